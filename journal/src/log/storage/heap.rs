//! The heap: a journal's files in memory of this process, shared by every clone.
//!
//! Invariants: everything is durable at once and nothing fails; a file's bytes stay where they are as long as anybody
//! has them open, whatever becomes of its name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Region as _, Storage, WritableRegion as _};
use crate::log::error::JournalError;
use crate::log::region::{Bytes, WritableBytes};

/// The directory of one journal in memory.
#[derive(Debug, Clone, Default)]
pub(in crate::log) struct Heap(Arc<Mutex<Files>>);

#[derive(Debug, Default)]
struct Files {
    by_name: BTreeMap<String, File>,
    is_locked: bool,
    drawn: u64,
}

/// A file. Its memory may be longer, for it is made of 8-byte words.
#[derive(Debug, Clone)]
struct File {
    bytes: Bytes,
    len: u64,
}

/// The writer's lock.
#[derive(Debug)]
pub(in crate::log) struct HeapLock(Heap);

impl Drop for HeapLock {
    fn drop(&mut self) {
        self.0.files().is_locked = false;
    }
}

impl Heap {
    fn files(&self) -> MutexGuard<'_, Files> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn file(&self, name: &str) -> Result<File, JournalError> {
        let found = self.files().by_name.get(name).cloned();
        found.ok_or_else(|| JournalError::io("open", &self.path(name), io::ErrorKind::NotFound.into()))
    }

    fn add(&self, name: &str, len: u64) -> WritableBytes {
        let bytes = WritableBytes::heap((len as usize).next_multiple_of(8));
        let file = File { bytes: bytes.region().clone(), len };
        self.files().by_name.insert(name.to_owned(), file);
        bytes
    }
}

impl Storage for Heap {
    type Region = Bytes;
    type Writable = WritableBytes;
    type Lock = HeapLock;

    fn dir(&self) -> &Path {
        Path::new("heap")
    }

    fn prepare(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn names(&self) -> Result<Vec<OsString>, JournalError> {
        let files = self.files();
        // A folder is there when something is in it, and may be named more than once.
        let top = files.by_name.keys().map(|name| name.split('/').next().unwrap_or(name));
        Ok(top.map(OsString::from).collect())
    }

    fn create(&self, name: &str, len: u64) -> Result<WritableBytes, JournalError> {
        Ok(self.add(name, len))
    }

    fn reopen(&self, name: &str, len: u64) -> Result<WritableBytes, JournalError> {
        let file = self.file(name)?;
        if file.len == len {
            return Ok(WritableBytes::succeed(&file.bytes));
        }
        let mut bytes = self.add(name, len);
        bytes.write(0, file.bytes.committed(0, file.len.min(len) as usize));
        Ok(bytes)
    }

    fn open(&self, name: &str, len: u64) -> Result<Bytes, JournalError> {
        let file = self.file(name)?;
        assert_eq!(file.len, len, "{name} is opened in part");
        Ok(file.bytes)
    }

    fn head(&self, name: &str, bytes: usize) -> Result<Option<(Vec<u8>, u64)>, JournalError> {
        let Ok(file) = self.file(name) else { return Ok(None) };
        let len = bytes.min(file.len as usize);
        Ok(Some((file.bytes.committed(0, len).to_vec(), file.len)))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.add(name, bytes.len() as u64).write(0, bytes);
        Ok(())
    }

    fn put_derived(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.put(name, bytes)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError> {
        let file = self.file(from)?;
        let mut files = self.files();
        files.by_name.remove(from);
        files.by_name.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        self.file(name)?;
        self.files().by_name.remove(name);
        Ok(())
    }

    fn sync_names(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn lock(&self) -> Result<HeapLock, JournalError> {
        if std::mem::replace(&mut self.files().is_locked, true) {
            return Err(JournalError::Locked { dir: self.dir().to_path_buf() });
        }
        Ok(HeapLock(self.clone()))
    }

    fn is_locked(&self) -> bool {
        self.files().is_locked
    }

    fn random(&self) -> Result<u64, JournalError> {
        let mut files = self.files();
        files.drawn += 1;
        Ok(files.drawn.wrapping_mul(0x9E37_79B9_7F4A_7C15))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::appender::{Appender, SealReason};
    use crate::log::background::Background;
    use crate::log::options::JournalOptions;
    use crate::log::reader::Reader;
    use crate::log::verify::verify_in;
    use crate::record::{RunEnded, Sequence, Step, Time};

    const OPTIONS: JournalOptions = JournalOptions {
        segment_bytes: JournalOptions::SEGMENT_BYTES_MIN,
        durability: crate::log::options::Durability::Gated,
    };

    #[test]
    fn a_journal_on_the_heap_is_one_like_any_other() {
        let heap = Heap::default();
        let mut step = Step::new();
        for (turn, is_sealed) in [true, false, false, true].into_iter().enumerate() {
            let mut appender = Appender::open_in(heap.clone(), &OPTIONS, Background::start).unwrap();
            assert_eq!(appender.recovered().last_sequence, Sequence(turn as u64 * 100));
            assert!(Appender::open_in(heap.clone(), &OPTIONS, Background::start).is_err(), "it has a writer");
            for _ in 0..100 {
                step.begin(appender.next_sequence(), Time(1));
                step.push_with_tail(&RunEnded::default(), &[7; 30_000]);
                appender.append(&step).unwrap();
            }
            if is_sealed {
                appender.seal(SealReason::Ended).unwrap();
            }
        }
        let mut reader = Reader::open_in(heap.clone()).unwrap();
        for sequence in 1..=400 {
            assert_eq!(reader.next().unwrap().unwrap().sequence(), Sequence(sequence));
        }
        assert!(reader.next().unwrap().is_none());
        let verified = verify_in(heap, &mut |_, _| {}).unwrap();
        assert_eq!((verified.findings, verified.steps, verified.sealed), (vec![], 400, true));
    }
}
