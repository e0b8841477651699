//! `Follower`: how a program that follows a journal says, while it lives, which step it has come to.
//!
//! ```text
//!  JOURNAL/followers/PID-N     80 bytes, locked (flock) by whoever writes it; rewritten in place, removed at the end
//!
//!  0        8         12         16     24         32       40          72         76    80
//!  | magic  | version | name len | pid  | started  | next   | name      | reserved | crc  |
//! ```
//!
//! Unlike a cursor it promises nothing and keeps nothing from being pruned: it is there to be looked at. A file without
//! a lock is one whose writer died; the next follower removes it.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::cursor::now;
use super::directory::Directory;
use super::error::JournalError;
use super::storage::Disk;
use super::{beside, plain};
use crate::record::{Sequence, Time};

const FOLDER: &str = "followers";
const MAGIC: &[u8; 8] = b"PAWLFLWR";
const VERSION: u32 = 1;
const BYTES: usize = 80;
const NAME_BYTES_MAX: usize = 32;

/// A program that follows a journal, as long as this is not dropped.
#[derive(Debug)]
pub struct Follower {
    file: File,
    path: PathBuf,
    entry: FollowerEntry,
}

/// What a program that follows a journal says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowerEntry {
    /// What it calls itself.
    pub name: String,
    /// Its process.
    pub pid: u32,
    /// When it began, wall-clock time.
    pub started: Time,
    /// The first step that it has not seen.
    pub next_sequence: Sequence,
}

impl Follower {
    /// Says that this process follows the journal in `dir` under a name, of which at most 32 bytes are told, and has come to
    /// the step `next`. Whoever may not write in the directory cannot say so, and follows all the same.
    ///
    /// # Errors
    /// [`JournalError::NotWritable`], [`JournalError::WrongKind`], [`JournalError::DiskFull`], [`JournalError::Io`];
    /// [`JournalError::NoJournal`], [`JournalError::NotAJournal`] if there is no journal.
    pub fn register(dir: &Path, name: &str, next: Sequence) -> Result<Self, JournalError> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        Directory::new(Disk::new(dir)).segments()?;
        let folder = dir.join(FOLDER);
        match fs::create_dir(&folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(JournalError::io("create", &folder, error));
            }
            _ => {}
        }
        remove_dead(&folder);
        let pid = std::process::id();
        let path = folder.join(format!("{pid}-{}", NUMBER.fetch_add(1, Ordering::Relaxed)));
        let options = &mut File::options();
        let file = plain::open(&path, options.read(true).write(true).create(true).truncate(true), "create")?;
        file.lock().map_err(|error| JournalError::io("lock", &path, error))?;
        let name = name.chars().scan(0, |bytes, letter| {
            *bytes += letter.len_utf8();
            (*bytes <= NAME_BYTES_MAX).then_some(letter)
        });
        let entry = FollowerEntry { name: name.collect(), pid, started: now(), next_sequence: next };
        let follower = Self { file, path, entry };
        follower.write()?;
        Ok(follower)
    }

    /// Says that it has come to the step `next`. One write of 80 bytes, so not for every step.
    ///
    /// # Errors
    /// [`JournalError::DiskFull`], [`JournalError::Io`].
    pub fn reached(&mut self, next: Sequence) -> Result<(), JournalError> {
        if next == self.entry.next_sequence {
            return Ok(());
        }
        self.entry.next_sequence = next;
        self.write()
    }

    /// Everybody who follows the journal in `dir` now and says so, by process. What is no such file is left out.
    ///
    /// # Errors
    /// [`JournalError::Io`] if the folder of the followers cannot be listed.
    pub fn list(dir: &Path) -> Result<Vec<FollowerEntry>, JournalError> {
        let folder = dir.join(FOLDER);
        let mut entries: Vec<_> = files(&folder)?
            .iter()
            .filter(|path| beside::is_claimed(path))
            .filter_map(|path| read(path))
            .collect();
        entries.sort_by_key(|entry| (entry.pid, entry.started));
        Ok(entries)
    }

    fn write(&self) -> Result<(), JournalError> {
        let failed = |error| JournalError::io("write", &self.path, error);
        self.file.write_all_at(&bytes_of(&self.entry), 0).map_err(failed)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        // What stays is removed by the next one.
        let _ = fs::remove_file(&self.path);
    }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, JournalError> {
    let failed = |error| JournalError::io("list", folder, error);
    if plain::open_folder_if_there(folder)?.is_none() {
        return Ok(Vec::new());
    }
    fs::read_dir(folder).map_err(failed)?.map(|entry| Ok(entry.map_err(failed)?.path())).collect()
}

/// Removes the files of followers that died. One that is just being made is not locked for a moment, and is lost then:
/// its program goes on unseen.
fn remove_dead(folder: &Path) {
    for path in files(folder).unwrap_or_default() {
        if read(&path).is_some() && !beside::is_claimed(&path) {
            // Whoever else removes it does the same.
            let _ = fs::remove_file(&path);
        }
    }
}

fn read(path: &Path) -> Option<FollowerEntry> {
    let file = plain::open_if_there(path).ok()??;
    let mut bytes = Vec::with_capacity(BYTES);
    file.take(BYTES as u64).read_to_end(&mut bytes).ok()?;
    entry_of(&bytes)
}

fn bytes_of(entry: &FollowerEntry) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    let mut put = |at: usize, field: &[u8]| bytes[at..at + field.len()].copy_from_slice(field);
    put(0, MAGIC);
    put(8, &VERSION.to_le_bytes());
    put(12, &(entry.name.len() as u32).to_le_bytes());
    put(16, &u64::from(entry.pid).to_le_bytes());
    put(24, &entry.started.0.to_le_bytes());
    put(32, &entry.next_sequence.0.to_le_bytes());
    put(40, entry.name.as_bytes());
    let checksum = crc32c::crc32c(&bytes[..BYTES - 4]);
    bytes[BYTES - 4..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn entry_of(bytes: &[u8]) -> Option<FollowerEntry> {
    let bytes: &[u8; BYTES] = bytes.try_into().ok()?;
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"));
    let half = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let is_whole =
        &bytes[..8] == MAGIC && half(8) == VERSION && half(BYTES - 4) == crc32c::crc32c(&bytes[..BYTES - 4]);
    let name_bytes = half(12) as usize;
    if !is_whole || name_bytes > NAME_BYTES_MAX {
        return None;
    }
    Some(FollowerEntry {
        name: std::str::from_utf8(&bytes[40..40 + name_bytes]).ok()?.to_owned(),
        pid: u32::try_from(word(16)).ok()?,
        started: Time(word(24).cast_signed()),
        next_sequence: Sequence(word(32)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{Appender, JournalOptions};

    #[test]
    fn a_follower_is_seen_while_it_lives_and_a_dead_one_is_swept_away() {
        let home = tempfile::tempdir().unwrap();
        let _journal = Appender::create_or_open(home.path(), &JournalOptions::default()).unwrap();
        assert_eq!(Follower::list(home.path()).unwrap(), []);
        let mut first = Follower::register(home.path(), "dashboard", Sequence(1)).unwrap();
        let second = Follower::register(home.path(), &"é".repeat(40), Sequence(9)).unwrap();
        first.reached(Sequence(77)).unwrap();
        let told: Vec<_> = Follower::list(home.path())
            .unwrap()
            .into_iter()
            .map(|it| (it.name, it.next_sequence.0))
            .collect();
        assert_eq!(told, [("dashboard".to_owned(), 77), ("é".repeat(16), 9)]);
        drop(second);
        let dead = home.path().join("followers/1-0");
        fs::copy(&first.path, &dead).unwrap();
        fs::write(home.path().join("followers/notes"), "not ours").unwrap();
        assert_eq!(Follower::list(home.path()).unwrap().len(), 1, "nobody holds the copy");
        drop(Follower::register(home.path(), "next", Sequence(1)).unwrap());
        assert!(!dead.exists() && home.path().join("followers/notes").exists());
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let entry =
            FollowerEntry { name: "x".to_owned(), pid: 7, started: Time(1), next_sequence: Sequence(5) };
        let whole = bytes_of(&entry);
        assert_eq!(entry_of(&whole), Some(entry));
        for at in 0..BYTES {
            let mut bytes = whole;
            bytes[at] ^= 0x10;
            assert_eq!(entry_of(&bytes), None, "byte {at}");
            assert_eq!(entry_of(&whole[..at]), None);
        }
    }
}
