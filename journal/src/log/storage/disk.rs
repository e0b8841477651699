//! The disk: a journal's files in a directory of a local file system, mapped.
//!
//! Invariants: all bytes of a file are allocated before it is mapped for writing, so that a full disk is an error and
//! not a fault; nothing here truncates a file that has been a segment.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatfs};
use rustix::io::Errno;

use super::Storage;
use super::lock::WriterLock;
use crate::log::error::JournalError;
use crate::log::plain;
use crate::log::region::{Bytes, WritableBytes};

/// The directory of one journal.
#[derive(Debug, Clone)]
pub struct Disk {
    dir: PathBuf,
}

/// Bytes that are rewritten at once.
const REWRITE_BYTES: usize = 1 << 20;

/// File systems on which a shared mapping is coherent, `fallocate` is honest and `rename` is atomic. overlayfs
/// hands all three to the file system of its upper layer, and the kernel demands of that one what network file
/// systems do not have (Documentation/filesystems/overlayfs.rst, "Upper and Lower").
const FILE_SYSTEMS: [(u64, &str); 5] = [
    (0xEF53, "ext4"),
    (0x5846_5342, "xfs"),
    (0x9123_683E, "btrfs"),
    (0x0102_1994, "tmpfs"),
    (0x794C_7630, "overlayfs"),
];

/// File systems that are refused by name (statfs(2), linux/magic.h).
const REFUSED: [(u64, &str); 9] = [
    (0x6969, "nfs"),
    (0xFF53_4D42, "cifs"),
    (0xFE53_4D42, "smb2"),
    (0x6573_5546, "fuse"),
    (0x0102_1997, "9p"),
    (0x00C3_6400, "ceph"),
    (0x9FA0, "proc"),
    (0x6265_6572, "sysfs"),
    (0x2FC1_2FC1, "zfs"),
];

/// The name of the file system that holds `path`, if a mapped journal is safe on it.
///
/// # Errors
/// [`JournalError::UnsupportedFileSystem`] if it is not, [`JournalError::Io`] if the path cannot be looked at.
pub fn file_system_of(path: &Path) -> Result<&'static str, JournalError> {
    let failed = |error| JournalError::io("open", path, error);
    let directory = File::open(path).map_err(failed)?;
    let magic = fstatfs(&directory).map_err(|errno| failed(errno.into()))?.f_type as u64 & 0xFFFF_FFFF;
    if let Some((_, name)) = FILE_SYSTEMS.iter().find(|(known, _)| *known == magic) {
        return Ok(name);
    }
    let name = REFUSED.iter().find(|(known, _)| *known == magic).map(|(_, name)| (*name).to_owned());
    let name = name.unwrap_or_else(|| format!("a file system with magic number {magic:#x}"));
    Err(JournalError::UnsupportedFileSystem { dir: path.to_path_buf(), name })
}

impl Disk {
    /// The directory at `dir`, which may not exist yet.
    pub(in crate::log) fn new(dir: &Path) -> Self {
        Self { dir: dir.to_path_buf() }
    }

    /// Makes sure that all of the first `len` bytes of a file are there, zero where they were not.
    fn allocate(&self, file: &File, path: &Path, len: u64) -> Result<(), JournalError> {
        fallocate(file, FallocateFlags::empty(), 0, len).map_err(|errno| match errno {
            Errno::NOSPC | Errno::DQUOT => {
                JournalError::DiskFull { dir: self.dir.clone(), wanted_bytes: len }
            }
            Errno::OPNOTSUPP | Errno::NOSYS => JournalError::UnsupportedFileSystem {
                dir: self.dir.clone(),
                name: "one without fallocate".to_owned(),
            },
            _ => JournalError::io("allocate", path, errno.into()),
        })
    }

    fn map(&self, file: &File, path: &Path, len: u64) -> Result<WritableBytes, JournalError> {
        self.allocate(file, path, len)?;
        WritableBytes::mapped(file, len as usize).map_err(|error| JournalError::io("map", path, error))
    }

    /// Writes a file under another name and renames it when `finish` is through with it.
    fn put_file(
        &self,
        name: &str,
        bytes: &[u8],
        finish: impl FnOnce(&File) -> io::Result<()>,
    ) -> Result<(), JournalError> {
        plain::check_free(&self.path(name))?;
        let unfinished = self.path(&format!("{name}.unfinished"));
        let mut file =
            plain::open(&unfinished, File::options().write(true).create(true).truncate(true), "create")?;
        file.write_all(bytes)
            .and_then(|()| finish(&file))
            .and_then(|()| fs::rename(&unfinished, self.path(name)))
            .map_err(|error| JournalError::io("write", &unfinished, error))
    }
}

impl Storage for Disk {
    type Region = Bytes;
    type Writable = WritableBytes;
    type Lock = WriterLock;

    fn dir(&self) -> &Path {
        &self.dir
    }

    fn prepare(&self) -> Result<(), JournalError> {
        // Looked at before anything is created, so that a refusal leaves nothing behind.
        if let Some(existing) = self.dir.ancestors().find(|path| path.is_dir()) {
            file_system_of(existing)?;
        }
        fs::create_dir_all(&self.dir).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                JournalError::NotADirectory { path: self.dir.clone() }
            }
            _ => JournalError::io("create", &self.dir, error),
        })?;
        file_system_of(&self.dir).map(|_| ())
    }

    fn names(&self) -> Result<Vec<OsString>, JournalError> {
        let failed = |error| match io::Error::kind(&error) {
            io::ErrorKind::NotFound => JournalError::NoJournal { dir: self.dir.clone() },
            io::ErrorKind::NotADirectory => JournalError::NotADirectory { path: self.dir.clone() },
            _ => JournalError::io("list", &self.dir, error),
        };
        let entries = fs::read_dir(&self.dir).map_err(failed)?;
        entries.map(|entry| entry.map(|entry| entry.file_name()).map_err(failed)).collect()
    }

    fn create(&self, name: &str, len: u64) -> Result<WritableBytes, JournalError> {
        let path = self.path(name);
        let options = &mut File::options();
        let file = plain::open(&path, options.read(true).write(true).create(true).truncate(true), "create")?;
        self.map(&file, &path, len)
    }

    fn reopen(&self, name: &str, len: u64) -> Result<WritableBytes, JournalError> {
        let path = self.path(name);
        let file = plain::open(&path, File::options().read(true).write(true), "write to")?;
        self.map(&file, &path, len)
    }

    fn open(&self, name: &str, len: u64) -> Result<Bytes, JournalError> {
        let path = self.path(name);
        let file = plain::open(&path, File::options().read(true), "open")?;
        Bytes::readable(&file, len as usize).map_err(|error| JournalError::io("map", &path, error))
    }

    fn head(&self, name: &str, bytes: usize) -> Result<Option<(Vec<u8>, u64)>, JournalError> {
        let path = self.path(name);
        let Some(file) = plain::open_if_there(&path)? else { return Ok(None) };
        let failed = |error| JournalError::io("read", &path, error);
        let len = file.metadata().map_err(failed)?.len();
        let mut head = Vec::with_capacity(bytes);
        file.take(bytes as u64).read_to_end(&mut head).map_err(failed)?;
        Ok(Some((head, len)))
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.dir);
        fs::create_dir_all(folder).map_err(|error| JournalError::io("create", folder, error))?;
        self.put_file(name, bytes, File::sync_all)?;
        sync_directory(folder)?;
        self.sync_names()
    }

    fn put_derived(&self, name: &str, bytes: &[u8]) -> Result<(), JournalError> {
        self.put_file(name, bytes, File::sync_data)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), JournalError> {
        let to = self.path(to);
        let folder = to.parent().unwrap_or(&self.dir);
        if folder != self.dir {
            fs::create_dir_all(folder).map_err(|error| JournalError::io("create", folder, error))?;
        }
        fs::rename(self.path(from), &to).map_err(|error| JournalError::io("write", &to, error))?;
        if folder == self.dir { Ok(()) } else { sync_directory(folder) }
    }

    fn remove(&self, name: &str) -> Result<(), JournalError> {
        let path = self.path(name);
        fs::remove_file(&path).map_err(|error| JournalError::io("write", &path, error))
    }

    /// Reads the bytes and writes them back: all of them, for a file system may keep in mind which blocks of a page
    /// were written.
    fn rewrite(&self, name: &str, from: usize, to: usize) -> Result<(), JournalError> {
        let path = self.path(name);
        let failed = |error| JournalError::io("write to", &path, error);
        let file = File::options().read(true).write(true).open(&path).map_err(failed)?;
        let to = to.min(file.metadata().map_err(failed)?.len() as usize);
        let mut bytes = vec![0; REWRITE_BYTES.min(to.saturating_sub(from))];
        for at in (from..to).step_by(REWRITE_BYTES) {
            let bytes = &mut bytes[..REWRITE_BYTES.min(to - at)];
            file.read_exact_at(bytes, at as u64)
                .and_then(|()| file.write_all_at(bytes, at as u64))
                .map_err(failed)?;
        }
        Ok(())
    }

    fn sync_names(&self) -> Result<(), JournalError> {
        let quarantine = self.path("quarantine");
        if quarantine.is_dir() {
            sync_directory(&quarantine)?;
        }
        sync_directory(&self.dir)
    }

    fn lock(&self) -> Result<WriterLock, JournalError> {
        WriterLock::take(&self.dir)
    }

    fn is_locked(&self) -> bool {
        WriterLock::is_held(&self.dir)
    }

    fn random(&self) -> Result<u64, JournalError> {
        let path = Path::new("/dev/urandom");
        let mut bytes = [0; 8];
        File::open(path)
            .and_then(|mut source| source.read_exact(&mut bytes))
            .map_err(|error| JournalError::io("read", path, error))?;
        Ok(u64::from_le_bytes(bytes))
    }
}

fn sync_directory(path: &Path) -> Result<(), JournalError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| JournalError::io("sync", path, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rewriting_changes_no_byte_and_reaches_no_further_than_the_file() {
        let home = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..(REWRITE_BYTES * 5 / 2) as u32).map(|at| (at % 251) as u8).collect();
        fs::write(home.path().join("file"), &bytes).unwrap();
        let disk = Disk::new(home.path());
        for (from, to) in [(0, usize::MAX), (REWRITE_BYTES - 1, REWRITE_BYTES + 1), (5, 5), (9, 3)] {
            disk.rewrite("file", from, to).unwrap();
            assert!(fs::read(home.path().join("file")).unwrap() == bytes, "{from}..{to}");
        }
        assert!(disk.rewrite("nothing", 0, 1).is_err());
    }

    #[test]
    fn a_full_disk_is_an_error_before_it_is_a_fault() {
        // tmpfs refuses at once what is larger than itself (shmem_fallocate), so nothing is really filled.
        let home = tempfile::tempdir_in("/dev/shm").unwrap();
        let wanted_bytes = 1 << 50;
        let error = Disk::new(home.path()).create("spare", wanted_bytes).unwrap_err();
        assert!(
            matches!(error, JournalError::DiskFull { wanted_bytes: told, .. } if told == wanted_bytes),
            "{error}"
        );
    }
}
