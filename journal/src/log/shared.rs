//! `SharedWords`: a small file of 8-byte words beside the segments, written by one process while others read it.
//!
//! ```text
//!  writer:   counters.unfinished > allocate > map > fault in > rename to counters       store: one word, whole
//!  readers:  open > read                                                                never map it
//! ```
//!
//! A reader reads instead of mapping, so that a file which somebody cuts short is an error to it and no fault. Which words
//! belong together is the content's business: it has a checksum.
//!
//! Invariants: under its own name the file has all its bytes allocated, so that no store meets a full disk; a word is
//! never half written; nothing is ever synced, for what is in it is worth nothing when the machine is gone.

use std::path::Path;

use super::directory::Directory;
use super::error::JournalError;
use super::region::WritableBytes;
use super::storage::{Disk, Region as _, Storage as _, WritableRegion as _};

/// The file's name in a journal's directory.
const NAME: &str = "counters";

/// A file of words, for the one who writes it.
#[derive(Debug)]
pub struct SharedWords(WritableBytes);

impl SharedWords {
    /// Makes the file `counters` of the journal in `dir`, all zero, in place of one that is there. The caller holds the
    /// writer's lock.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`], [`JournalError::NotWritable`], [`JournalError::WrongKind`], [`JournalError::Io`].
    pub fn create(dir: &Path, words: usize) -> Result<Self, JournalError> {
        let disk = Disk::new(dir);
        super::plain::check_free(&disk.path(NAME))?;
        let unfinished = format!("{NAME}.unfinished");
        let len = words * 8;
        let bytes = disk.create(&unfinished, len as u64)?;
        let failed = |error| JournalError::io("allocate", &disk.path(&unfinished), error);
        bytes.region().prefault(0, len).map_err(failed)?;
        disk.rename(&unfinished, NAME)?;
        Ok(Self(bytes))
    }

    /// Stores a word, behind everything that was stored before.
    ///
    /// # Panics
    /// If the file has no such word.
    pub fn store(&mut self, index: usize, value: u64) {
        self.0.commit(index * 8, value);
    }

    /// The words of the file `counters` of the journal in `dir`, at most `words_max` of them; `None` if it has no such file.
    ///
    /// # Errors
    /// [`JournalError::NoJournal`], [`JournalError::NotAJournal`], [`JournalError::NotADirectory`] if there is no journal;
    /// [`JournalError::WrongKind`], [`JournalError::Io`].
    pub fn read(dir: &Path, words_max: usize) -> Result<Option<Vec<u64>>, JournalError> {
        let directory = Directory::new(Disk::new(dir));
        directory.segments()?;
        let Some((bytes, _)) = directory.storage.head(NAME, words_max * 8)? else { return Ok(None) };
        let (words, _) = bytes.as_chunks::<8>();
        Ok(Some(words.iter().map(|word| u64::from_le_bytes(*word)).collect()))
    }
}

/// Whether a writer has the journal in `dir` now.
#[must_use]
pub fn writer_alive(dir: &Path) -> bool {
    Disk::new(dir).is_locked()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Appender, JournalOptions};

    #[test]
    fn what_is_stored_is_read_while_the_file_is_open_and_after() {
        let home = tempfile::tempdir().unwrap();
        assert!(matches!(SharedWords::read(home.path(), 8), Err(JournalError::NoJournal { .. })));
        let _journal = Appender::create_or_open(home.path(), &JournalOptions::default()).unwrap();
        assert_eq!(SharedWords::read(home.path(), 8).unwrap(), None);
        let mut words = SharedWords::create(home.path(), 4).unwrap();
        words.store(1, u64::MAX);
        words.store(3, 7);
        assert_eq!(SharedWords::read(home.path(), 8).unwrap(), Some(vec![0, u64::MAX, 0, 7]));
        drop(words);
        assert_eq!(SharedWords::read(home.path(), 2).unwrap(), Some(vec![0, u64::MAX]));
        let second = SharedWords::create(home.path(), 1).unwrap();
        assert_eq!(SharedWords::read(home.path(), 8).unwrap(), Some(vec![0]), "the first is out of the way");
        drop(second);
        assert!(!home.path().join("counters.unfinished").exists());
    }

    #[test]
    fn a_folder_or_a_fifo_in_its_place_is_an_error_that_names_it() {
        let home = tempfile::tempdir().unwrap();
        let _journal = Appender::create_or_open(home.path(), &JournalOptions::default()).unwrap();
        std::fs::create_dir(home.path().join(NAME)).unwrap();
        for error in
            [SharedWords::create(home.path(), 1).unwrap_err(), SharedWords::read(home.path(), 1).unwrap_err()]
        {
            assert!(matches!(error, JournalError::WrongKind { .. }), "{error}");
        }
    }
}
