//! Plain files: opens what stands under a name of the journal only if it is what must stand there, and never waits.
//!
//! Invariants: a fifo, a device, a socket or a folder where a file must be is an error that names it, and no wait for
//! whoever might be at its other end.

use std::fs::{self, File, FileType, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{FileTypeExt as _, OpenOptionsExt as _};
use std::path::Path;

use rustix::fs::OFlags;

use super::error::JournalError;

const FILE: &str = "a regular file";
const FOLDER: &str = "a directory";

/// Opens a regular file. `doing` says what for, as in [`JournalError::io`].
pub(super) fn open(
    path: &Path,
    options: &mut OpenOptions,
    doing: &'static str,
) -> Result<File, JournalError> {
    // Without NONBLOCK the opening of a fifo waits for its other end; of a regular file it changes nothing.
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    opened(path, options.custom_flags(flags.bits().cast_signed()), doing, FILE, Metadata::is_file)
}

/// Opens a regular file for reading; `None` if it is not there.
pub(super) fn open_if_there(path: &Path) -> Result<Option<File>, JournalError> {
    there(open(path, File::options().read(true), "open"))
}

/// Opens a folder; `None` if it is not there.
pub(super) fn open_folder_if_there(path: &Path) -> Result<Option<File>, JournalError> {
    let flags = OFlags::DIRECTORY.bits().cast_signed();
    there(opened(path, File::options().read(true).custom_flags(flags), "open", FOLDER, Metadata::is_dir))
}

/// Refuses a name that a file is to be put under and that a folder has: it would not go away for the file.
pub(super) fn check_free(path: &Path) -> Result<(), JournalError> {
    match fs::metadata(path) {
        Ok(found) if found.is_dir() => Err(wrong_kind(path, FILE, &found)),
        _ => Ok(()),
    }
}

fn there(opened: Result<File, JournalError>) -> Result<Option<File>, JournalError> {
    match opened {
        Ok(file) => Ok(Some(file)),
        Err(JournalError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn opened(
    path: &Path,
    options: &OpenOptions,
    doing: &'static str,
    wanted: &'static str,
    is_wanted: impl Fn(&Metadata) -> bool,
) -> Result<File, JournalError> {
    match options.open(path).and_then(|file| Ok((file.metadata()?, file))) {
        Ok((found, file)) if is_wanted(&found) => Ok(file),
        Ok((found, _)) => Err(wrong_kind(path, wanted, &found)),
        // What cannot be opened for what it is says so by many names (ENXIO, EISDIR, ENOTDIR, ..).
        Err(error) => Err(match fs::metadata(path) {
            Ok(found) if !is_wanted(&found) => wrong_kind(path, wanted, &found),
            _ => JournalError::io(doing, path, error),
        }),
    }
}

fn wrong_kind(path: &Path, wanted: &'static str, found: &Metadata) -> JournalError {
    JournalError::WrongKind { path: path.to_path_buf(), wanted, found: kind_of(found.file_type()) }
}

fn kind_of(found: FileType) -> &'static str {
    if found.is_file() {
        FILE
    } else if found.is_dir() {
        FOLDER
    } else if found.is_fifo() {
        "a fifo"
    } else if found.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use rustix::fs::{CWD, Mode, mkfifoat};
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn only_a_regular_file_is_opened_and_nothing_is_waited_for() {
        let home = TempDir::new().unwrap();
        let path = |name: &str| home.path().join(name);
        mkfifoat(CWD, path("fifo"), Mode::RWXU).unwrap();
        fs::create_dir(path("folder")).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        fs::write(path("file"), "").unwrap();
        std::os::unix::fs::symlink("fifo", path("link")).unwrap();
        for (name, kind) in
            [("fifo", "a fifo"), ("link", "a fifo"), ("folder", "a directory"), ("socket", "a socket")]
        {
            for options in [File::options().read(true), File::options().write(true)] {
                let refused = open(&path(name), options, "open").unwrap_err();
                assert!(
                    matches!(refused, JournalError::WrongKind { found, wanted: FILE, .. } if found == kind),
                    "{refused}"
                );
            }
        }
        let device = open_if_there(Path::new("/dev/null")).unwrap_err();
        assert!(matches!(device, JournalError::WrongKind { found: "a device", .. }), "{device}");
        assert!(open_if_there(&path("file")).unwrap().is_some());
        assert!(open_if_there(&path("nothing")).unwrap().is_none());
        assert!(check_free(&path("file")).is_ok() && check_free(&path("nothing")).is_ok());
        assert!(check_free(&path("folder")).is_err() && check_free(&path("link")).is_ok());
        assert!(open_folder_if_there(&path("folder")).unwrap().is_some());
        assert!(open_folder_if_there(&path("nothing")).unwrap().is_none());
        for name in ["fifo", "file"] {
            let refused = open_folder_if_there(&path(name)).unwrap_err();
            assert!(matches!(refused, JournalError::WrongKind { wanted: FOLDER, .. }), "{refused}");
        }
    }
}
