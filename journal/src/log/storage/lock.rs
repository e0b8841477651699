//! The writer's lock: an advisory lock on the file `LOCK`, held as long as its `File` is open.
//!
//! Invariants: it dies with its process, however that one dies; a probe never keeps it; whoever has it has it of the
//! file that has the name.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::log::error::JournalError;
use crate::log::plain;

/// How often, and how far apart, a writer tries again: a probe holds the lock for an instant.
const TRIES: u32 = 50;
const PAUSE: Duration = Duration::from_millis(2);

/// The lock, until dropped.
#[derive(Debug)]
pub struct WriterLock {
    _file: File,
}

impl WriterLock {
    /// Takes the lock, or says that another writer has it.
    pub(super) fn take(dir: &Path) -> Result<Self, JournalError> {
        let path = dir.join("LOCK");
        let failed = |error| JournalError::io("lock", &path, error);
        let options = &mut File::options();
        options.read(true).write(true).create(true).truncate(false);
        for _ in 0..TRIES {
            let file = plain::open(&path, options, "create")?;
            match file.try_lock() {
                Ok(()) if has_name(&file, &path).map_err(failed)? => return Ok(Self { _file: file }),
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => thread::sleep(PAUSE),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
        }
        Err(JournalError::Locked { dir: dir.to_path_buf() })
    }

    /// Whether a writer has the lock. If the file may not be opened, that cannot be known and the answer is yes.
    pub(super) fn is_held(dir: &Path) -> bool {
        match plain::open_if_there(&dir.join("LOCK")) {
            Ok(Some(file)) => matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)),
            // What is no file, no writer has taken.
            Ok(None) | Err(JournalError::WrongKind { .. }) => false,
            Err(_) => true,
        }
    }
}

/// Whether a file is the one that has the name: a writer that began nothing takes its lock's file away again.
pub(in crate::log) fn has_name(file: &File, path: &Path) -> io::Result<bool> {
    let held = file.metadata()?;
    match fs::metadata(path) {
        Ok(named) => Ok((named.dev(), named.ino()) == (held.dev(), held.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}
