//! The storage of the model: files whose every load and store is one of loom's.
//!
//! ```text
//!  file:  header page | granule | granule | ...      granule: 32 bytes
//!  each granule:  stamp (loom atomic, Relaxed) > which version of the bytes this thread sees
//!                 word  (loom atomic)          > the commit word, if a frame begins here
//! ```
//!
//! Plain bytes are modelled by a Relaxed stamp per granule: a reader that nothing orders behind the writer is given
//! an older version of the bytes by loom, sooner or later, and the checksum says so. That is what a torn read is, and it
//! needs no `unsafe`.
//!
//! Invariants: names lead to files through no synchronisation of loom's, unless it is asked for, so that whatever a
//! reader finds behind a name is ordered by commit words alone.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicU64 as Counter;
use std::sync::{Arc, Mutex, OnceLock};

use loom::sync::atomic::{AtomicU64, Ordering, fence};

use crate::log::error::JournalError;
use crate::log::frame::{FRAME_ALIGN, span};
use crate::log::header::HEADER_BYTES;
use crate::log::storage::{Region, Storage, WritableRegion};

/// A mistake that the model must find.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Planted {
    Nothing,
    /// The commit word is stored before the bytes.
    CommitFirst,
    /// The commit word is stored without Release.
    CommitRelaxed,
    /// The header of the next segment is written only when the first frame in it is committed.
    HeaderLate,
}

/// Bytes that are written and read together.
#[derive(Debug)]
struct Granule {
    stamp: AtomicU64,
    versions: Mutex<Vec<Vec<u8>>>,
    word: AtomicU64,
}

impl Granule {
    fn new(bytes: usize) -> Self {
        Self { stamp: AtomicU64::new(0), versions: Mutex::new(vec![vec![0; bytes]]), word: AtomicU64::new(0) }
    }

    /// Only the one writer writes, so the last version is what it sees.
    fn write(&self, at: usize, bytes: &[u8]) {
        let mut versions = self.versions.lock().unwrap();
        let mut version = versions.last().unwrap().clone();
        version[at..at + bytes.len()].copy_from_slice(bytes);
        versions.push(version);
        let stamp = versions.len() as u64 - 1;
        drop(versions);
        self.stamp.store(stamp, Ordering::Relaxed);
    }

    fn read(&self) -> Vec<u8> {
        let stamp = self.stamp.load(Ordering::Relaxed);
        self.versions.lock().unwrap()[stamp as usize].clone()
    }
}

/// The bytes of a segment.
#[derive(Debug)]
struct File {
    header: Granule,
    granules: Vec<Granule>,
    len: u64,
}

impl File {
    fn new(len: u64, region_bytes: usize) -> Self {
        let count = (region_bytes - HEADER_BYTES) / FRAME_ALIGN;
        let granules = (0..count).map(|_| Granule::new(FRAME_ALIGN)).collect();
        Self { header: Granule::new(HEADER_BYTES), granules, len }
    }

    fn write(&self, offset: usize, bytes: &[u8]) {
        if offset < HEADER_BYTES {
            return self.header.write(offset, bytes);
        }
        let (mut at, mut rest) = (offset - HEADER_BYTES, bytes);
        while !rest.is_empty() {
            let within = at % FRAME_ALIGN;
            let (now, later) = rest.split_at(rest.len().min(FRAME_ALIGN - within));
            self.granules[at / FRAME_ALIGN].write(within, now);
            (at, rest) = (at + now.len(), later);
        }
    }

    fn read(&self, offset: usize, len: usize) -> Vec<u8> {
        if offset == 0 && len == HEADER_BYTES {
            return self.header.read();
        }
        assert!(offset >= HEADER_BYTES && offset.is_multiple_of(FRAME_ALIGN));
        let first = (offset - HEADER_BYTES) / FRAME_ALIGN;
        let granules = &self.granules[first..first + span(len) / FRAME_ALIGN];
        let mut bytes: Vec<u8> = granules.iter().flat_map(Granule::read).collect();
        bytes.truncate(len);
        bytes
    }

    fn word(&self, offset: usize) -> &AtomicU64 {
        &self.granules[(offset - HEADER_BYTES) / FRAME_ALIGN].word
    }
}

/// Bytes that were read, kept as long as the region they were read from.
#[derive(Debug, Default)]
struct Kept(OnceLock<Box<(Vec<u8>, Kept)>>);

impl Kept {
    fn keep(&self, bytes: Vec<u8>) -> &[u8] {
        let mut last = self;
        while let Some(kept) = last.0.get() {
            last = &kept.1;
        }
        &last.0.get_or_init(|| Box::new((bytes, Self::default()))).0
    }
}

/// What a thread has of a file.
#[derive(Debug)]
pub(super) struct LoomRegion {
    file: Arc<File>,
    kept: Kept,
}

impl Clone for LoomRegion {
    fn clone(&self) -> Self {
        Self { file: Arc::clone(&self.file), kept: Kept::default() }
    }
}

impl Region for LoomRegion {
    fn len(&self) -> usize {
        HEADER_BYTES + self.file.granules.len() * FRAME_ALIGN
    }

    fn word(&self, offset: usize) -> u64 {
        // As `Bytes` does it.
        let word = self.file.word(offset).load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        word
    }

    fn committed(&self, offset: usize, len: usize) -> &[u8] {
        self.kept.keep(self.file.read(offset, len))
    }

    fn last_nonzero(&self, from: usize, to: usize) -> Option<usize> {
        let is_used = |offset: &usize| {
            let granule = &self.file.granules[(offset - HEADER_BYTES) / FRAME_ALIGN];
            granule.word.load(Ordering::Relaxed) != 0 || granule.read().iter().any(|byte| *byte != 0)
        };
        let mut granules = (from..to).step_by(FRAME_ALIGN).rev();
        granules.find(is_used).map(|offset| offset + FRAME_ALIGN)
    }

    fn prefault(&self, _offset: usize, _len: usize) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, _offset: usize, _len: usize) -> io::Result<()> {
        Ok(())
    }
}

/// What the writer has of a file.
#[derive(Debug)]
pub(super) struct LoomWritable {
    region: LoomRegion,
    planted: Planted,
    held: Vec<(usize, Vec<u8>)>,
}

impl WritableRegion for LoomWritable {
    type Region = LoomRegion;

    fn region(&self) -> &LoomRegion {
        &self.region
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        let is_held = match self.planted {
            Planted::CommitFirst => offset >= HEADER_BYTES,
            Planted::HeaderLate => offset < HEADER_BYTES,
            _ => false,
        };
        if is_held {
            self.held.push((offset, bytes.to_vec()));
        } else {
            self.region.file.write(offset, bytes);
        }
    }

    fn commit(&mut self, offset: usize, word: u64) {
        let order =
            if self.planted == Planted::CommitRelaxed { Ordering::Relaxed } else { Ordering::Release };
        self.region.file.word(offset).store(word, order);
        for (offset, bytes) in self.held.drain(..) {
            self.region.file.write(offset, &bytes);
        }
    }
}

/// What a name leads to.
#[derive(Debug, Clone)]
enum Named {
    Segment(Arc<File>),
    Small(Vec<u8>),
}

/// The files of one journal.
#[derive(Debug, Clone)]
pub(super) struct Loom(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    names: Mutex<BTreeMap<String, Named>>,
    planted: Planted,
    region_bytes: usize,
    /// A place where loom may let another thread go on.
    turn: AtomicU64,
    /// Whether who looks at the names is ordered behind who changed them, as the kernel has it: needed where nothing
    /// else says that a file is there. Elsewhere nothing is ordered but by commit words.
    are_names_ordered: bool,
    spares_entered: Counter,
    random: Counter,
}

impl Loom {
    /// An empty directory, where this much of each segment is modelled.
    pub(super) fn new(planted: Planted, region_bytes: usize, are_names_ordered: bool) -> Self {
        Self(Arc::new(Shared {
            dir: PathBuf::from("loom"),
            names: Mutex::default(),
            planted,
            region_bytes,
            turn: AtomicU64::new(0),
            are_names_ordered,
            spares_entered: Counter::new(0),
            random: Counter::new(7),
        }))
    }

    /// The names as they are at some time from now on.
    fn look<T>(&self, look: impl FnOnce(&mut BTreeMap<String, Named>) -> T) -> T {
        if self.0.are_names_ordered {
            self.0.turn.fetch_add(1, Ordering::AcqRel);
        } else {
            self.0.turn.load(Ordering::Relaxed);
        }
        look(&mut self.0.names.lock().unwrap())
    }

    /// Lets another thread go on, sooner or later.
    pub(super) fn pass(&self) {
        self.look(|_| ());
    }

    /// How often a segment was opened that had no name of its own yet.
    pub(super) fn spares_entered(&self) -> u64 {
        self.0.spares_entered.load(Ordering::Relaxed)
    }

    fn find(&self, name: &str) -> Option<Named> {
        self.look(|names| names.get(name).cloned())
    }

    fn not_there(&self, name: &str) -> JournalError {
        JournalError::io("open", &self.path(name), io::ErrorKind::NotFound.into())
    }
}

impl Storage for Loom {
    type Region = LoomRegion;
    type Writable = LoomWritable;
    type Lock = ();

    fn dir(&self) -> &Path {
        &self.0.dir
    }

    fn prepare(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn names(&self) -> Result<Vec<OsString>, JournalError> {
        Ok(self.look(|names| names.keys().map(OsString::from).collect()))
    }

    fn create(&self, name: &str, len: u64) -> Result<LoomWritable, JournalError> {
        let file = Arc::new(File::new(len, self.0.region_bytes));
        self.look(|names| names.insert(name.to_owned(), Named::Segment(Arc::clone(&file))));
        let region = LoomRegion { file, kept: Kept::default() };
        Ok(LoomWritable { region, planted: self.0.planted, held: Vec::new() })
    }

    fn reopen(&self, name: &str, len: u64) -> Result<LoomWritable, JournalError> {
        let region = self.open(name, len)?;
        Ok(LoomWritable { region, planted: self.0.planted, held: Vec::new() })
    }

    fn open(&self, name: &str, _len: u64) -> Result<LoomRegion, JournalError> {
        match self.find(name) {
            Some(Named::Segment(file)) => {
                let entered = u64::from(name.starts_with("spare-"));
                self.0.spares_entered.fetch_add(entered, Ordering::Relaxed);
                Ok(LoomRegion { file, kept: Kept::default() })
            }
            _ => Err(self.not_there(name)),
        }
    }

    fn head(&self, name: &str, bytes: usize) -> Result<Option<(Vec<u8>, u64)>, JournalError> {
        Ok(self.find(name).map(|named| {
            let (mut head, len) = match named {
                Named::Segment(file) => (file.header.read(), file.len),
                Named::Small(file) => (file.clone(), file.len() as u64),
            };
            head.truncate(bytes);
            (head, len)
        }))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.look(|names| names.insert(name.to_owned(), Named::Small(bytes.to_vec())));
        Ok(())
    }

    fn put_derived(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.put(name, bytes)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError> {
        self.look(|names| {
            let named = names.remove(from)?;
            names.insert(to.to_owned(), named)
        });
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        self.look(|names| names.remove(name));
        Ok(())
    }

    fn rewrite(&self, _name: &str, _from: usize, _to: usize) -> Result<(), JournalError> {
        Ok(())
    }

    fn sync_names(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn lock(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn is_locked(&self) -> bool {
        true
    }

    fn random(&self) -> Result<u64, JournalError> {
        Ok(self.0.random.fetch_add(1, Ordering::Relaxed))
    }
}
