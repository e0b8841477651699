//! Where a command writes to: never into a journal, never over what is not its own, and under its name only when whole.
//!
//! ```text
//!  OutFile::check --> create: .tmpXXXXXX beside it --write--> keep: on disk, then renamed to its name
//! ```
//!
//! Invariants: what lies in a directory of segments is refused; a file that another command makes meanwhile is kept,
//! unless it may be replaced; what is not kept is gone.

use std::fs::{File, Permissions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Component, Path, PathBuf};

use anyhow::bail;
use pawl_journal::log::is_segment_name;
use tempfile::NamedTempFile;

use crate::exit::FileError;

/// How much of a file tells what it is.
const BEGINNING_BYTES: u64 = 4_096;

/// Which file that is there may be replaced.
pub enum Replaces {
    /// None; what to do instead.
    Nothing(&'static str),
    /// One that is such a thing, as this tells.
    Own(&'static str, fn(&Path) -> std::io::Result<bool>),
}

/// A file that a command is to write.
pub struct OutFile {
    path: PathBuf,
    folder: PathBuf,
    replaces: Replaces,
}

impl OutFile {
    /// The file that `flag` names; refuses a place that cannot be, before any work is done for it.
    pub fn check(flag: &str, path: &Path, replaces: Replaces) -> anyhow::Result<Self> {
        let told = path.display();
        let folder = match path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        };
        if !folder.is_dir() {
            bail!(
                "{flag} {told}: there is no directory {}: make it first, or name another file",
                folder.display()
            );
        }
        if path.is_dir() || path.file_name().is_none() {
            bail!("{flag} {told} is a directory: name a file in it");
        }
        check_outside_journals(flag, path)?;
        match path.symlink_metadata() {
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => return Err(FileError::of(path)(error).into()),
            Ok(metadata) if !metadata.is_file() => {
                bail!("{flag} {told} is no regular file (a device, a pipe or a link): name another file")
            }
            Ok(_) => match &replaces {
                Replaces::Nothing(instead) => bail!("{flag} {told} is there already: {instead}"),
                Replaces::Own(what, is_own) => {
                    // What cannot be read is not known to be ours.
                    if !is_own(path).unwrap_or(false) {
                        bail!(
                            "{flag} {told} is there and is not {what}: name another file, or remove it first"
                        );
                    }
                }
            },
        }
        Ok(Self { path: path.to_owned(), folder: folder.to_owned(), replaces })
    }

    /// A file beside it to write to; dropped, it is gone.
    pub fn create(&self) -> Result<NamedTempFile, FileError> {
        let readable = Permissions::from_mode(0o666);
        let file = tempfile::Builder::new().permissions(readable).tempfile_in(&self.folder);
        file.map_err(FileError::of(&self.path))
    }

    /// Gives what was written its name, once it is on disk. Its bytes.
    pub fn keep(&self, file: NamedTempFile) -> anyhow::Result<u64> {
        let failed = FileError::of(&self.path);
        file.as_file().sync_all().map_err(&failed)?;
        let bytes = file.as_file().metadata().map_err(&failed)?.len();
        let kept = match self.replaces {
            Replaces::Own(..) => file.persist(&self.path),
            Replaces::Nothing(_) => file.persist_noclobber(&self.path),
        };
        match kept {
            Ok(_) => Ok(bytes),
            Err(refused) if refused.error.kind() == ErrorKind::AlreadyExists => {
                bail!(
                    "{} was made by another command meanwhile, and is kept: name another file",
                    self.path.display()
                )
            }
            Err(refused) => Err(failed(refused.error).into()),
        }
    }

    /// Writes the whole file.
    pub fn write(&self, text: &str) -> anyhow::Result<()> {
        let mut file = self.create()?;
        file.as_file_mut().write_all(text.as_bytes()).map_err(FileError::of(&self.path))?;
        self.keep(file).map(drop)
    }
}

/// The first bytes of a file.
pub fn beginning(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(BEGINNING_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Refuses a place in a directory that holds a journal's segments, at any depth. What is named need not be there.
pub fn check_outside_journals(flag: &str, path: &Path) -> anyhow::Result<()> {
    let told = path.display();
    let whole = std::path::absolute(path)?;
    // What is there, with its links followed; a file stands for its directory.
    let Some((there, found)) = whole.ancestors().find_map(|it| Some((it, it.canonicalize().ok()?))) else {
        return Ok(());
    };
    let rest = whole.strip_prefix(there).unwrap_or(Path::new(""));
    if rest.components().any(|it| it == Component::ParentDir) {
        bail!("{flag} {told}: `..` behind a directory that is not there: name the place without it");
    }
    // A link is made or replaced where it lies, too.
    let beside = whole.parent().and_then(|it| it.canonicalize().ok());
    for start in [Some(found), beside].into_iter().flatten() {
        if let Some(journal) = start.ancestors().find(|it| holds_segments(it)) {
            bail!(
                "{flag} {told} lies in the journal {}, where nothing else belongs: name a place outside of it",
                journal.display()
            );
        }
    }
    Ok(())
}

fn holds_segments(directory: &Path) -> bool {
    // What cannot be listed cannot be written to either, or is told when it is.
    let Ok(entries) = std::fs::read_dir(directory) else { return false };
    entries.flatten().any(|entry| is_segment_name(&entry.file_name()))
}
