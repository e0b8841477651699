//! Memory: the files of a journal on the heap of this process, where every byte that is read is counted.
//!
//! ```text
//!  Memory --names--> File: bytes, and how many of them the file has
//!            |
//!            +-- patch, cut, put_file: what a test does to a file behind everybody's back
//! ```
//!
//! Invariants: whoever reads more than its budget panics, so work without a bound is a failed test and not a hung one;
//! random numbers are not random, so that a journal is the same in every run.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::log::error::JournalError;
use crate::log::region::{Bytes, WritableBytes};
use crate::log::storage::{Region, Storage, WritableRegion};

/// Most bytes of a file: a header may ask for more.
const LEN_MAX: u64 = 64 << 20;

/// The files of one journal. Clones are the same files.
#[derive(Debug, Clone)]
pub(super) struct Memory(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    dir: PathBuf,
    files: Mutex<BTreeMap<String, File>>,
    random: AtomicU64,
    is_locked: AtomicBool,
    read_bytes: AtomicU64,
    budget_bytes: AtomicU64,
}

/// One file. Bytes behind its length are there and not seen.
#[derive(Debug, Clone)]
struct File {
    bytes: Bytes,
    len: usize,
}

/// What a reader has of a file.
#[derive(Debug, Clone)]
pub(super) struct MemoryRegion {
    file: File,
    shared: Arc<Shared>,
}

/// What the writer has of a file.
#[derive(Debug)]
pub(super) struct MemoryWritable {
    bytes: WritableBytes,
    region: MemoryRegion,
}

/// The writer's lock.
#[derive(Debug)]
pub(super) struct MemoryLock(Arc<Shared>);

impl Drop for MemoryLock {
    fn drop(&mut self) {
        self.0.is_locked.store(false, Ordering::Relaxed);
    }
}

impl Shared {
    fn count(&self, bytes: usize) {
        let before = self.read_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
        let budget = self.budget_bytes.load(Ordering::Relaxed);
        assert!(before + bytes as u64 <= budget, "more than {budget} bytes were read: work without a bound");
    }
}

impl File {
    fn new(bytes: &[u8], len: usize) -> Self {
        let mut heap = WritableBytes::heap(len.next_multiple_of(8));
        heap.write(0, bytes);
        Self { bytes: heap.region().clone(), len }
    }

    fn read(&self, len: usize) -> &[u8] {
        self.bytes.committed(0, len.min(self.len))
    }
}

impl Memory {
    /// An empty directory.
    pub(super) fn new() -> Self {
        Self(Arc::new(Shared {
            dir: PathBuf::from("memory"),
            files: Mutex::default(),
            random: AtomicU64::new(0x9E37_79B9_7F4A_7C15),
            is_locked: AtomicBool::new(false),
            read_bytes: AtomicU64::new(0),
            budget_bytes: AtomicU64::new(u64::MAX),
        }))
    }

    fn files(&self) -> MutexGuard<'_, BTreeMap<String, File>> {
        self.0.files.lock().unwrap()
    }

    /// The same files once more, in a directory of their own.
    pub(super) fn copy(&self) -> Self {
        let copy = Self::new();
        for (name, bytes) in self.contents() {
            copy.put_file(&name, &bytes);
        }
        copy
    }

    /// Every file and its bytes.
    pub(super) fn contents(&self) -> BTreeMap<String, Vec<u8>> {
        self.files().iter().map(|(name, file)| (name.clone(), file.read(file.len).to_vec())).collect()
    }

    /// The names of all files.
    pub(super) fn file_names(&self) -> Vec<String> {
        self.files().keys().cloned().collect()
    }

    /// Bytes of a file.
    pub(super) fn len(&self, name: &str) -> usize {
        self.files()[name].len
    }

    /// Bytes of all files.
    pub(super) fn total_bytes(&self) -> u64 {
        self.files().values().map(|file| file.len as u64).sum()
    }

    /// Puts a file there.
    pub(super) fn put_file(&self, name: &str, bytes: &[u8]) {
        self.files().insert(name.to_owned(), File::new(bytes, bytes.len()));
    }

    /// Reads bytes of a file.
    pub(super) fn bytes(&self, name: &str, offset: usize, len: usize) -> Vec<u8> {
        self.files()[name].read(usize::MAX)[offset..offset + len].to_vec()
    }

    /// Writes over bytes of a file, as far as it has them. Whoever has it open sees them.
    pub(super) fn patch(&self, name: &str, offset: usize, bytes: &[u8]) {
        let files = self.files();
        let Some(file) = files.get(name) else { return };
        let len = bytes.len().min(file.len.saturating_sub(offset));
        if len > 0 {
            WritableBytes::succeed(&file.bytes).write(offset, &bytes[..len]);
        }
    }

    /// Cuts a file, or gives back what a cut took. Whoever has it open keeps what it has.
    pub(super) fn cut(&self, name: &str, len: usize) {
        let mut files = self.files();
        if let Some(file) = files.get_mut(name) {
            file.len = len.min(file.bytes.len());
        }
    }

    /// Takes away every file that is not one of these.
    pub(super) fn retain(&self, names: &[String]) {
        self.files().retain(|name, _| names.contains(name));
    }

    /// The names of all files but one.
    pub(super) fn without(&self, name: &str) -> Vec<String> {
        let mut names = self.file_names();
        names.retain(|it| it != name);
        names
    }

    /// Lets random numbers go on from this one, so that another journal is another one.
    pub(super) fn set_random(&self, from: u64) {
        self.0.random.store(from, Ordering::Relaxed);
    }

    /// Lets everybody read this many bytes more, and no more.
    pub(super) fn set_budget(&self, bytes: u64) {
        let read_bytes = self.0.read_bytes.load(Ordering::Relaxed);
        self.0.budget_bytes.store(read_bytes.saturating_add(bytes), Ordering::Relaxed);
    }

    fn region(&self, file: &File, len: usize) -> MemoryRegion {
        let file = File { bytes: file.bytes.clone(), len: len.min(file.len) };
        MemoryRegion { file, shared: Arc::clone(&self.0) }
    }

    fn writable(&self, file: &File) -> MemoryWritable {
        let bytes = WritableBytes::succeed(&file.bytes);
        MemoryWritable { bytes, region: self.region(file, file.len) }
    }

    fn not_there(&self, name: &str) -> JournalError {
        JournalError::io("open", &self.path(name), io::ErrorKind::NotFound.into())
    }
}

impl MemoryRegion {
    /// The same bytes, cut.
    pub(super) fn cut(&self, len: usize) -> Self {
        let mut region = self.clone();
        region.file.len = region.file.len.min(len);
        region
    }
}

impl Region for MemoryRegion {
    fn len(&self) -> usize {
        self.file.len
    }

    fn word(&self, offset: usize) -> u64 {
        assert!(self.file.len >= offset + 8);
        self.shared.count(8);
        self.file.bytes.word(offset)
    }

    fn committed(&self, offset: usize, len: usize) -> &[u8] {
        assert!(self.file.len >= offset + len);
        self.shared.count(len);
        self.file.bytes.committed(offset, len)
    }

    fn last_nonzero(&self, from: usize, to: usize) -> Option<usize> {
        assert!(from >= to || to <= self.file.len);
        let found = self.file.bytes.last_nonzero(from, to);
        self.shared.count(to.saturating_sub(found.unwrap_or(from)));
        found
    }

    fn prefault(&self, _offset: usize, _len: usize) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, _offset: usize, _len: usize) -> io::Result<()> {
        Ok(())
    }
}

impl WritableRegion for MemoryWritable {
    type Region = MemoryRegion;

    fn region(&self) -> &MemoryRegion {
        &self.region
    }

    fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.bytes.write(offset, bytes);
    }

    fn commit(&mut self, offset: usize, word: u64) {
        self.bytes.commit(offset, word);
    }
}

impl Storage for Memory {
    type Region = MemoryRegion;
    type Writable = MemoryWritable;
    type Lock = MemoryLock;

    fn dir(&self) -> &Path {
        &self.0.dir
    }

    fn prepare(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn names(&self) -> Result<Vec<OsString>, JournalError> {
        let top = |name: &String| name.split('/').next().expect("a name has a start").into();
        let mut names: Vec<OsString> = self.files().keys().map(top).collect();
        names.dedup();
        Ok(names)
    }

    fn create(&self, name: &str, len: u64) -> Result<MemoryWritable, JournalError> {
        let file = File::new(&[], len as usize);
        self.files().insert(name.to_owned(), file.clone());
        Ok(self.writable(&file))
    }

    fn reopen(&self, name: &str, len: u64) -> Result<MemoryWritable, JournalError> {
        let mut files = self.files();
        let file = files.get_mut(name).ok_or_else(|| self.not_there(name))?;
        if len > LEN_MAX {
            return Err(JournalError::DiskFull { dir: self.0.dir.clone(), wanted_bytes: len });
        }
        if file.len < len as usize {
            *file = File::new(file.read(file.len), len as usize);
        }
        Ok(self.writable(file))
    }

    fn open(&self, name: &str, len: u64) -> Result<MemoryRegion, JournalError> {
        let files = self.files();
        let file = files.get(name).ok_or_else(|| self.not_there(name))?;
        Ok(self.region(file, len as usize))
    }

    fn head(&self, name: &str, bytes: usize) -> Result<Option<(Vec<u8>, u64)>, JournalError> {
        let files = self.files();
        let Some(file) = files.get(name) else { return Ok(None) };
        let head = file.read(bytes).to_vec();
        self.0.count(head.len());
        Ok(Some((head, file.len as u64)))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.put_file(name, bytes);
        Ok(())
    }

    fn put_derived(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.put(name, bytes)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError> {
        let mut files = self.files();
        let file = files.remove(from).ok_or_else(|| self.not_there(from))?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        self.files().remove(name).map(|_| ()).ok_or_else(|| self.not_there(name))
    }

    fn rewrite(&self, _name: &str, _from: usize, _to: usize) -> Result<(), JournalError> {
        Ok(())
    }

    fn sync_names(&self) -> Result<(), JournalError> {
        Ok(())
    }

    fn lock(&self) -> Result<MemoryLock, JournalError> {
        if self.0.is_locked.swap(true, Ordering::Relaxed) {
            return Err(JournalError::Locked { dir: self.0.dir.clone() });
        }
        Ok(MemoryLock(Arc::clone(&self.0)))
    }

    fn is_locked(&self) -> bool {
        self.0.is_locked.load(Ordering::Relaxed)
    }

    fn random(&self) -> Result<u64, JournalError> {
        Ok(self.0.random.fetch_add(0x9E37_79B9_7F4A_7C15, Ordering::Relaxed))
    }
}
