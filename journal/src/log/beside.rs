//! Small files beside the segments: one JSON object with a checksum, written whole or not at all.
//!
//! ```text
//!  {"next_sequence":77, ... ,"crc32c":"89ab0123"}      the checksum is of the object without it
//!  NAME.unfinished > fsync > lock > rename to NAME > fsync of the directory
//! ```
//!
//! Invariants: under its own name such a file is whole; a byte of it that is not what was written is noticed; no more
//! than a page is ever read of it.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::path::Path;
use std::thread;
use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::JournalError;
use super::plain;
use super::storage::{Disk, Storage as _, has_name};

/// Most bytes such a file has.
pub(super) const BYTES_MAX: usize = 4096;

/// How often, and how far apart, a lock is tried: a probe holds it for an instant, a registration for a few syncs.
const TRIES: u32 = 500;
const PAUSE: Duration = Duration::from_millis(2);

/// Writes `content` to `path` and gives the file, locked. The caller has made sure that nobody else writes there.
pub(super) fn write<T: Serialize>(path: &Path, content: &T) -> Result<File, JournalError> {
    let mut name = OsString::from(path.file_name().unwrap_or_default());
    name.push(".unfinished");
    let unfinished = path.with_file_name(name);
    let failed = |error| JournalError::io("write", &unfinished, error);
    let options = &mut File::options();
    let mut file =
        plain::open(&unfinished, options.read(true).write(true).create(true).truncate(true), "create")?;
    if !lock_if_free(&file).map_err(failed)? {
        return Err(JournalError::InUse { path: path.to_path_buf() });
    }
    file.write_all(text_of(content).as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&unfinished, path).map_err(|error| JournalError::io("write", path, error))?;
    Disk::new(path.parent().unwrap_or(Path::new("."))).sync_names()?;
    Ok(file)
}

/// The content of `path`; `None` if there is no such file, `damaged` if it is not what was written.
pub(super) fn read<T: DeserializeOwned>(
    path: &Path,
    damaged: impl FnOnce() -> JournalError,
) -> Result<Option<T>, JournalError> {
    plain::open_if_there(path)?.map(|file| read_file(&file, path, damaged)).transpose()
}

/// The content of a file that is open at its start.
pub(super) fn read_file<T: DeserializeOwned>(
    file: &File,
    path: &Path,
    damaged: impl FnOnce() -> JournalError,
) -> Result<T, JournalError> {
    let mut bytes = Vec::new();
    file.take(BYTES_MAX as u64)
        .read_to_end(&mut bytes)
        .map_err(|error| JournalError::io("read", path, error))?;
    content_of(&bytes).ok_or_else(damaged)
}

/// Opens `path` and takes its lock; `None` if there is no such file. Whoever holds the lock of the file that has the
/// name has the name: only he replaces or deletes the file.
pub(super) fn claim(path: &Path) -> Result<Option<File>, JournalError> {
    claim_with(path, plain::open_if_there)
}

/// As [`claim`], for a folder.
pub(super) fn claim_folder(path: &Path) -> Result<Option<File>, JournalError> {
    claim_with(path, plain::open_folder_if_there)
}

fn claim_with(
    path: &Path,
    open: impl Fn(&Path) -> Result<Option<File>, JournalError>,
) -> Result<Option<File>, JournalError> {
    let failed = |error| JournalError::io("lock", path, error);
    for _ in 0..TRIES {
        let Some(file) = open(path)? else { return Ok(None) };
        // The holder may have put another file in this one's place, and so let go of this one.
        if lock_if_free(&file).map_err(failed)? && has_name(&file, path).map_err(failed)? {
            return Ok(Some(file));
        }
        thread::sleep(PAUSE);
    }
    Err(JournalError::InUse { path: path.to_path_buf() })
}

/// Whether somebody holds the lock of `path`.
pub(super) fn is_claimed(path: &Path) -> bool {
    let opened = plain::open_if_there(path).ok().flatten();
    opened.is_some_and(|file| matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)))
}

fn lock_if_free(file: &File) -> io::Result<bool> {
    match file.try_lock() {
        Ok(()) => Ok(true),
        Err(TryLockError::WouldBlock) => Ok(false),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Deletes a file; that it is not there is as good.
pub(super) fn remove(path: &Path) -> Result<(), JournalError> {
    match fs::remove_file(path) {
        Err(source) => match source.kind() {
            io::ErrorKind::NotFound => Ok(()),
            // It is the directory that must be writable.
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                let path = path.parent().unwrap_or(path).to_path_buf();
                Err(JournalError::NotWritable { path, source })
            }
            _ => Err(JournalError::io("remove", path, source)),
        },
        Ok(()) => Ok(()),
    }
}

/// How a checksum ends the text, its digits left out.
const CHECKSUM: &str = ",\"crc32c\":\"";
const END: &str = "\"}\n";

/// The text of such a file.
pub(super) fn text_of<T: Serialize>(content: &T) -> String {
    let object = serde_json::to_string(content).expect("numbers and texts are JSON");
    let checksum = crc32c::crc32c(object.as_bytes());
    format!("{}{CHECKSUM}{checksum:08x}{END}", &object[..object.len() - 1])
}

/// What such a file holds, if it is what was written.
pub(super) fn content_of<T: DeserializeOwned>(bytes: &[u8]) -> Option<T> {
    let text = std::str::from_utf8(bytes).ok()?.strip_suffix(END)?;
    let (fields, digits) = text.split_at_checked(text.len().checked_sub(8)?)?;
    let object = format!("{}}}", fields.strip_suffix(CHECKSUM)?);
    // Compared as text: a digit of another case is not what was written either.
    if digits != format!("{:08x}", crc32c::crc32c(object.as_bytes())) {
        return None;
    }
    serde_json::from_str(&object).ok()
}

/// A journal's id as these files hold it.
pub(super) fn id_text(journal_id: [u8; 16]) -> String {
    journal_id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The id of a journal that is written so.
pub(super) fn id_of_text(text: &str) -> Option<[u8; 16]> {
    let journal_id = u128::from_str_radix(text, 16).ok()?.to_be_bytes();
    (id_text(journal_id) == text).then_some(journal_id)
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[derive(Debug, PartialEq, Eq, Serialize, serde::Deserialize)]
    struct Content {
        name: String,
        number: u64,
    }

    fn damaged() -> JournalError {
        JournalError::InUse { path: "damaged".into() }
    }

    #[test]
    fn every_changed_byte_and_every_missing_end_is_noticed() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("file");
        let content = Content { name: "a".to_owned(), number: u64::MAX };
        drop(write(&path, &content).unwrap());
        assert_eq!(read(&path, damaged).unwrap(), Some(content));
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            for bit in 0..8 {
                let mut bytes = whole.clone();
                bytes[at] ^= 1 << bit;
                assert!(content_of::<Content>(&bytes).is_none(), "bit {bit} of byte {at}");
            }
            assert!(content_of::<Content>(&whole[..at]).is_none(), "cut at {at}");
        }
        fs::write(&path, vec![b' '; 1 << 20]).unwrap();
        assert!(read::<Content>(&path, damaged).is_err());
    }

    #[test]
    fn what_was_left_unfinished_is_in_nobodys_way() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("file");
        fs::write(home.path().join("file.unfinished"), "{\"name\":\"a much longer te").unwrap();
        assert!(read::<Content>(&path, damaged).unwrap().is_none());
        drop(write(&path, &Content { name: String::new(), number: 1 }).unwrap());
        assert_eq!(read::<Content>(&path, damaged).unwrap().unwrap().number, 1);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }

    #[test]
    fn whoever_holds_the_lock_has_the_name_and_keeps_it_when_he_replaces_the_file() {
        let home = TempDir::new().unwrap();
        let path = home.path().join("file");
        assert!(claim(&path).unwrap().is_none());
        let content = Content { name: String::new(), number: 1 };
        let first = write(&path, &content).unwrap();
        assert!(is_claimed(&path));
        let second = write(&path, &content).unwrap();
        drop(first);
        assert!(is_claimed(&path), "the file in its place is locked too");
        drop(second);
        assert!(!is_claimed(&path));
        let third = claim(&path).unwrap().unwrap();
        assert!(is_claimed(&path));
        drop(third);
    }
}
