//! Storage: everything that the log asks of the system, behind one trait.
//!
//! ```text
//!  Appender, Supplier, Flusher, Recovery, Reader, Tailer, Verifier
//!        |                       |
//!    Storage (names)      Region, WritableRegion (bytes)
//!        |                       |
//!   Disk: a directory      a mapped file          <- the product
//!   Memory, Simulated, Loom: bytes in memory       <- its proof
//! ```
//!
//! Invariants: what a name leads to changes only by `create`, `put`, `rename` and `remove`; bytes are durable only
//! behind a [`Region::sync`], names only behind [`Storage::sync_names`].

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::error::JournalError;

mod disk;
mod lock;
#[cfg(test)]
pub(super) mod machine;
#[cfg(test)]
mod pages;
#[cfg(test)]
pub(super) mod simulated;

pub use disk::{Disk, file_system_of};
pub(super) use lock::has_name;

/// The files of one journal. Names are relative to its directory and may name one folder: `quarantine/NAME`.
pub trait Storage: Clone + fmt::Debug + Send + Sync + 'static {
    /// Bytes of a file for everybody who reads.
    type Region: Region;
    /// Bytes of a file for the one writer.
    type Writable: WritableRegion<Region = Self::Region>;
    /// The writer's lock, held until dropped.
    type Lock: fmt::Debug + Send;

    /// The journal's directory, for messages.
    fn dir(&self) -> &Path;

    /// Creates the directory if it is not there; refuses a place that is not fit for a journal.
    fn prepare(&self) -> Result<(), JournalError>;

    /// Every name in the directory, in any order.
    fn names(&self) -> Result<Vec<OsString>, JournalError>;

    /// Creates a file of zeros with all its bytes allocated, in place of one that has the name.
    fn create(&self, name: &str, len: u64) -> Result<Self::Writable, JournalError>;

    /// Opens a file for the writer, with all of its first `len` bytes allocated.
    fn reopen(&self, name: &str, len: u64) -> Result<Self::Writable, JournalError>;

    /// Opens the first `len` bytes of a file, which it must have.
    fn open(&self, name: &str, len: u64) -> Result<Self::Region, JournalError>;

    /// The first bytes of a file, at most this many, and its length; `None` if there is no such file.
    fn head(&self, name: &str, bytes: usize) -> Result<Option<(Vec<u8>, u64)>, JournalError>;

    /// Puts a small file or a copy under a name, whole and durable or not at all.
    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError>;

    /// Puts a small file under a name, whole or not at all, that may be lost when the machine dies.
    fn put_derived(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError>;

    /// Gives a file another name, in place of the file that has it.
    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError>;

    /// Deletes a file.
    fn remove(&self, name: &str) -> Result<(), JournalError>;

    /// Makes the next sync write these bytes of a file, as far as it has them, whatever the system believes to be on
    /// disk already. Changes none of them. (A page that could not be written counts as written from then on.)
    fn rewrite(&self, name: &str, from: usize, to: usize) -> Result<(), JournalError>;

    /// Makes all names durable.
    fn sync_names(&self) -> Result<(), JournalError>;

    /// Takes the writer's lock.
    fn lock(&self) -> Result<Self::Lock, JournalError>;

    /// Whether a writer has the lock.
    fn is_locked(&self) -> bool;

    /// A random number, for what must differ between journals and segments and decides nothing.
    fn random(&self) -> Result<u64, JournalError>;

    /// The path of a name, for messages.
    fn path(&self, name: &str) -> PathBuf {
        self.dir().join(name)
    }
}

/// The bytes of one file, shared with everybody who has it open. Clones are the same bytes.
pub trait Region: Clone + fmt::Debug + Send + Sync + 'static {
    /// Bytes of the region.
    fn len(&self) -> usize;

    /// Loads the 8-byte word at `offset` with Acquire: what was stored before a [`WritableRegion::commit`] of it is
    /// visible.
    fn word(&self, offset: usize) -> u64;

    /// The `len` bytes of a frame at `offset` whose first word was loaded non-zero through [`Self::word`].
    fn committed(&self, offset: usize, len: usize) -> &[u8];

    /// Says that a frame here is about to be read. Changes no byte, and may name bytes beyond the region.
    fn expect(&self, _offset: usize, _len: usize) {}

    /// Offset just past the last word that is not zero in `from..to` (both multiples of 8), or `None`.
    fn last_nonzero(&self, from: usize, to: usize) -> Option<usize>;

    /// Makes writing to a range fast. Changes no byte.
    fn prefault(&self, offset: usize, len: usize) -> std::io::Result<()>;

    /// Returns when every byte of a range that was written before the call is on disk, and the file's length too.
    fn sync(&self, offset: usize, len: usize) -> std::io::Result<()>;
}

/// The bytes of one file, for the one writer.
pub trait WritableRegion: fmt::Debug + Send + 'static {
    /// What everybody else has of it.
    type Region: Region;

    /// The same bytes for reading.
    fn region(&self) -> &Self::Region;

    /// Copies bytes of a frame that is not committed yet.
    fn write(&mut self, offset: usize, bytes: &[u8]);

    /// Stores the first word of a frame with Release: with this one store the frame is there for every reader.
    fn commit(&mut self, offset: usize, word: u64);
}
