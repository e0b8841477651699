//! The directory of a journal: which names are in it, what may be created there, and in which order names appear.
//!
//! ```text
//!  LOCK  ctl.sock  snapshots/  quarantine/  *.idx  spare-*.pawl      ours, and not the journal itself
//!  00000000000000000001.pawl ...                                    segments, named by their first sequence
//! ```
//!
//! Invariants: a segment gets its name by `rename`, whole and synced, and the directory is synced before anybody
//! can be sent there; nothing but an unpublished spare is ever deleted.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use rustix::fs::{FallocateFlags, fallocate, fstatfs};
use rustix::io::Errno;

use super::error::JournalError;

/// The directory of one journal.
#[derive(Debug, Clone)]
pub(super) struct Directory {
    path: PathBuf,
}

/// What is in the directory.
#[derive(Debug, Default)]
pub(super) struct Listing {
    /// First sequences of the segments, ascending.
    pub(super) segments: Vec<u64>,
    /// Files that were to become segments and did not.
    pub(super) spares: Vec<PathBuf>,
    /// Something that is not ours.
    pub(super) foreign: Option<String>,
}

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

impl Directory {
    /// The directory at `path`, which may not exist yet.
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf() }
    }

    /// Its path.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Path of the segment that begins with this sequence.
    pub(super) fn segment_path(&self, first_sequence: u64) -> PathBuf {
        self.path.join(format!("{first_sequence:020}.pawl"))
    }

    /// Path of the writer's lock.
    pub(super) fn lock_path(&self) -> PathBuf {
        self.path.join("LOCK")
    }

    /// Creates the directory if it is not there.
    pub(super) fn create(&self) -> Result<(), JournalError> {
        // Looked at before anything is created, so that a refusal leaves nothing behind.
        if let Some(existing) = self.path.ancestors().find(|path| path.is_dir()) {
            file_system_of(existing)?;
        }
        fs::create_dir_all(&self.path).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
                JournalError::NotAJournal { dir: self.path.clone(), holds: "a file".to_owned() }
            }
            _ => JournalError::io("create", &self.path, error),
        })
    }

    /// Everything in the directory.
    pub(super) fn list(&self) -> Result<Listing, JournalError> {
        let failed = |error| match io::Error::kind(&error) {
            io::ErrorKind::NotFound => JournalError::NoJournal { dir: self.path.clone() },
            io::ErrorKind::NotADirectory => {
                JournalError::NotAJournal { dir: self.path.clone(), holds: "a file".to_owned() }
            }
            _ => JournalError::io("list", &self.path, error),
        };
        let mut listing = Listing::default();
        for entry in fs::read_dir(&self.path).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            match Name::of(&entry.file_name()) {
                Name::Segment(first_sequence) => listing.segments.push(first_sequence),
                Name::Spare => listing.spares.push(entry.path()),
                Name::Ours => {}
                Name::Foreign(name) => listing.foreign = Some(name),
            }
        }
        listing.segments.sort_unstable();
        Ok(listing)
    }

    /// The segments, of which there must be one.
    pub(super) fn segments(&self) -> Result<Vec<u64>, JournalError> {
        let segments = self.list()?.segments;
        if segments.is_empty() {
            return Err(JournalError::NoJournal { dir: self.path.clone() });
        }
        Ok(segments)
    }

    /// Refuses a file system that a mapped journal is not safe on.
    pub(super) fn check_file_system(&self) -> Result<(), JournalError> {
        file_system_of(&self.path).map(|_| ())
    }

    /// Creates a file that nobody can find yet, with all its bytes allocated.
    pub(super) fn create_spare(&self, index: u64, len: u64) -> Result<Spare<'_>, JournalError> {
        let path = self.path.join(format!("spare-{index:020}.pawl"));
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&path)
            .map_err(|error| JournalError::io("create", &path, error))?;
        let spare = Spare { directory: self, path, file, published: false };
        self.allocate(&spare.file, &spare.path, len)?;
        Ok(spare)
    }

    /// Makes sure that all of the first `len` bytes of a file are there, zero where they were not.
    pub(super) fn allocate(&self, file: &File, path: &Path, len: u64) -> Result<(), JournalError> {
        fallocate(file, FallocateFlags::empty(), 0, len).map_err(|errno| match errno {
            Errno::NOSPC | Errno::DQUOT => {
                JournalError::DiskFull { dir: self.path.clone(), wanted_bytes: len }
            }
            Errno::OPNOTSUPP | Errno::NOSYS => JournalError::UnsupportedFileSystem {
                dir: self.path.clone(),
                name: "one without fallocate".to_owned(),
            },
            _ => JournalError::io("allocate", path, errno.into()),
        })
    }

    /// Makes names that were given durable.
    pub(super) fn sync(&self) -> Result<(), JournalError> {
        sync_directory(&self.path)
    }

    /// Copies `len` bytes of a file from `from` on into quarantine, whole or not at all, and leaves a copy that is
    /// there already as it is. Gives the bytes in quarantine under this name.
    pub(super) fn quarantine(
        &self,
        name: &str,
        source: &File,
        from: u64,
        len: u64,
    ) -> Result<u64, JournalError> {
        let folder = self.path.join("quarantine");
        let path = folder.join(name);
        if let Ok(there) = fs::metadata(&path) {
            return Ok(there.len());
        }
        if len == 0 {
            return Ok(0);
        }
        fs::create_dir_all(&folder).map_err(|error| JournalError::io("create", &folder, error))?;
        let unfinished = folder.join(format!("{name}.unfinished"));
        let failed = |error| JournalError::io("write", &unfinished, error);
        let mut copy = File::create(&unfinished).map_err(failed)?;
        let mut source = source;
        source.seek(SeekFrom::Start(from)).map_err(failed)?;
        io::copy(&mut source.take(len), &mut copy).map_err(failed)?;
        copy.sync_all().map_err(failed)?;
        fs::rename(&unfinished, &path).map_err(failed)?;
        sync_directory(&folder)?;
        self.sync()?;
        Ok(len)
    }
}

fn sync_directory(path: &Path) -> Result<(), JournalError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(|error| JournalError::io("sync", path, error))
}

/// A file on its way to become a segment; deleted if it does not.
#[derive(Debug)]
pub(super) struct Spare<'a> {
    directory: &'a Directory,
    /// Where it is now.
    pub(super) path: PathBuf,
    /// The file, open for reading and writing.
    pub(super) file: File,
    published: bool,
}

impl Spare<'_> {
    /// Gives the file its name, in place of an empty segment if one has it, with everything written so far durable.
    pub(super) fn publish(mut self, first_sequence: u64) -> Result<PathBuf, JournalError> {
        let path = self.directory.segment_path(first_sequence);
        self.file.sync_data().map_err(|error| JournalError::io("sync", &self.path, error))?;
        fs::rename(&self.path, &path).map_err(|error| JournalError::io("write", &path, error))?;
        self.published = true;
        self.directory.sync()?;
        Ok(path)
    }
}

impl Drop for Spare<'_> {
    fn drop(&mut self) {
        if !self.published {
            // Nobody can have found it; the next start deletes what stays.
            drop(fs::remove_file(&self.path));
        }
    }
}

/// What a name in the directory says.
#[derive(Debug, PartialEq, Eq)]
enum Name {
    Segment(u64),
    Spare,
    Ours,
    Foreign(String),
}

impl Name {
    fn of(name: &OsStr) -> Self {
        let Some(text) = name.to_str() else {
            return Self::Foreign(name.to_string_lossy().into_owned());
        };
        if let Some(stem) = text.strip_suffix(".pawl") {
            if stem.len() == 20
                && stem.bytes().all(|byte| byte.is_ascii_digit())
                && let Ok(first_sequence) = stem.parse()
            {
                return Self::Segment(first_sequence);
            }
            if stem.starts_with("spare-") {
                return Self::Spare;
            }
        }
        match text {
            "LOCK" | "ctl.sock" | "snapshots" | "quarantine" => Self::Ours,
            _ if text.ends_with(".idx") || text.starts_with("spare-") => Self::Ours,
            _ => Self::Foreign(text.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_an_error_before_it_is_a_fault() {
        // tmpfs refuses at once what is larger than itself (shmem_fallocate), so nothing is really filled.
        let home = tempfile::tempdir_in("/dev/shm").unwrap();
        let wanted_bytes = 1 << 50;
        let error = Directory::new(home.path()).create_spare(1, wanted_bytes).unwrap_err();
        assert!(
            matches!(error, JournalError::DiskFull { wanted_bytes: told, .. } if told == wanted_bytes),
            "{error}"
        );
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    }

    #[test]
    fn names_are_told_apart() {
        let name = |text: &str| Name::of(OsStr::new(text));
        assert_eq!(name("00000000000000000001.pawl"), Name::Segment(1));
        assert_eq!(name("00000000000000233017.pawl"), Name::Segment(233_017));
        assert_eq!(name("spare-00000000000000000002.pawl"), Name::Spare);
        for ours in ["LOCK", "ctl.sock", "snapshots", "quarantine", "00000000000000000001.idx"] {
            assert_eq!(name(ours), Name::Ours, "{ours}");
        }
        for foreign in
            ["1.pawl", "99999999999999999999.pawl", "+0000000000000000001.pawl", "notes.txt", "lock"]
        {
            assert_eq!(name(foreign), Name::Foreign(foreign.to_owned()));
        }
    }
}
