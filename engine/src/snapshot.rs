//! Snapshots: everything that a journal's steps lead to, in a file beside the journal.
//!
//! ```text
//!  JOURNAL/snapshots/NNNNNNNNNNNNNNNNNNNN.snapshot     the state after step N, 20 digits
//!                    NNNNNNNNNNNNNNNNNNNN.verified     another replay came to the same state
//!
//!  | magic 8 | version 4 | zero 4 | BLAKE3 of the rest 32 | rkyv archive of a `Snapshot` |
//! ```
//!
//! The words are those of [`crate::state`], which only the build that wrote them is sure to read rightly: a snapshot
//! of another build is passed over, and the steps are run again instead.
//!
//! Invariants: under its own name a snapshot is whole; nothing relies on one before it is verified; one that is
//! damaged, foreign or of another build costs time and never correctness. This is the only file that names `rkyv`.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::{Path, PathBuf};

use pawl_journal::log::{JournalError, Origin};
use pawl_journal::record::{Sequence, Time};
use rkyv::rancor;
use rkyv::util::AlignedVec;
use serde::{Deserialize, Serialize};

/// The folder of a journal's snapshots.
const FOLDER: &str = "snapshots";
const MAGIC: &[u8; 8] = b"PAWLSNAP";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 48;

/// Most bytes of a snapshot that is read.
const BYTES_MAX: u64 = 1 << 28;

/// Everything that a journal's steps lead to.
#[derive(Debug, Clone, PartialEq, Eq, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Snapshot {
    /// The journal.
    pub journal_id: [u8; 16],
    /// Hash of the build whose words these are.
    pub build_hash: u64,
    /// The last step that it covers.
    pub sequence: u64,
    /// Where that step was, as [`Origin::words`] gives it.
    pub origin: [u64; 3],
    /// The time of that step, ns since the UNIX epoch.
    pub time: i64,
    /// Runs that began up to that step.
    pub runs: u32,
    /// What decides, as the last run's first record has it.
    pub settings: String,
    /// The pipeline.
    pub pipeline: Vec<u64>,
    /// Ingress, feeds aside.
    pub intake: Vec<u64>,
    /// The venue, if it does not keep its own books.
    pub venue: Vec<u64>,
}

/// Why a snapshot cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file or folder could not be read or written.
    #[error("could not {doing} {}: {source}", path.display())]
    Io {
        /// What was tried.
        doing: &'static str,
        /// With what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is no snapshot, or not what was written.
    #[error("{} is damaged ({what}): delete it, and `pawl snapshot` writes a new one", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// A later version of Pawl wrote it.
    #[error("{} is a snapshot of version {version}; this build reads version {VERSION}", path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
}

impl SnapshotError {
    fn io(doing: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { doing, path: path.to_owned(), source }
    }
}

/// A snapshot's file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SnapshotFile {
    /// Where it is.
    pub path: PathBuf,
    /// The last step that it covers, as its name says.
    pub sequence: Sequence,
    /// Bytes of the file.
    pub bytes: u64,
    /// Whether another replay came to the same state.
    pub verified: bool,
}

/// What stands beside a verified snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Verified {
    /// BLAKE3 of the snapshot's archive, in hexadecimal.
    blake3: String,
    /// When, ns since the UNIX epoch, by the wall clock.
    when_ns: i64,
}

/// The snapshots of a journal.
#[derive(Debug, Clone)]
pub struct Snapshots {
    journal: PathBuf,
    folder: PathBuf,
}

impl Snapshots {
    /// Those of the journal in this directory.
    #[must_use]
    pub fn of(journal: &Path) -> Self {
        Self { journal: journal.to_owned(), folder: journal.join(FOLDER) }
    }

    /// Where the snapshot after this step is, or would be.
    #[must_use]
    pub fn path(&self, sequence: Sequence) -> PathBuf {
        self.folder.join(format!("{:020}.snapshot", sequence.0))
    }

    /// Every file that has a snapshot's name, oldest first.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn list(&self) -> Result<Vec<SnapshotFile>, SnapshotError> {
        let failed = |error| SnapshotError::io("list", &self.folder, error);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            let Some(sequence) = sequence_of(&path) else { continue };
            let Ok(metadata) = path.metadata() else { continue };
            if metadata.is_file() {
                let verified = path.with_extension("verified").is_file();
                files.push(SnapshotFile { sequence, bytes: metadata.len(), verified, path });
            }
        }
        files.sort_by_key(|file| file.sequence);
        Ok(files)
    }

    /// Writes a snapshot: whole and on disk when this returns, and not verified.
    ///
    /// # Errors
    /// [`SnapshotError::Io`].
    pub fn write(&self, snapshot: &Snapshot) -> Result<PathBuf, SnapshotError> {
        let path = self.path(Sequence(snapshot.sequence));
        let archive = archive_of(snapshot);
        let mut header = [0; HEADER_BYTES];
        header[..8].copy_from_slice(MAGIC);
        header[8..12].copy_from_slice(&VERSION.to_le_bytes());
        header[16..].copy_from_slice(blake3::hash(&archive).as_bytes());
        // What was verified was another file.
        remove(&path.with_extension("verified"))?;
        self.put(&path, &[&header, &archive])?;
        Ok(path)
    }

    /// Reads the snapshot in this file.
    ///
    /// # Errors
    /// [`SnapshotError`]; damage of any kind is told, and nothing in the file can cause a panic.
    pub fn read(path: &Path) -> Result<Snapshot, SnapshotError> {
        read(path).map(|(snapshot, _)| snapshot)
    }

    /// Notes that another replay came to this snapshot, whose file holds just that.
    ///
    /// # Errors
    /// [`SnapshotError`]; also if the file does not hold this snapshot.
    pub fn verify(&self, snapshot: &Snapshot, when: Time) -> Result<(), SnapshotError> {
        let path = self.path(Sequence(snapshot.sequence));
        let (written, hash) = read(&path)?;
        if written != *snapshot {
            return Err(SnapshotError::Damaged { path, what: "another replay came to another state" });
        }
        let verified = Verified { blake3: hash.to_hex().to_string(), when_ns: when.0 };
        let text = serde_json::to_vec(&verified).expect("texts and numbers are JSON");
        self.put(&path.with_extension("verified"), &[&text])
    }

    /// The newest verified snapshot of this journal and this build that covers no step behind `until`; what was passed
    /// over on the way goes to `skipped`.
    ///
    /// # Errors
    /// [`SnapshotError::Io`] if the folder cannot be listed.
    pub fn newest(
        &self,
        journal_id: [u8; 16],
        build_hash: u64,
        until: Sequence,
        mut skipped: impl FnMut(&SnapshotFile, SkippedBecause),
    ) -> Result<Option<Snapshot>, SnapshotError> {
        for file in self.list()?.iter().rev().filter(|file| file.sequence <= until) {
            match self.usable(file, journal_id, build_hash) {
                Ok(snapshot) => return Ok(Some(snapshot)),
                Err(because) => skipped(file, because),
            }
        }
        Ok(None)
    }

    fn usable(
        &self,
        file: &SnapshotFile,
        journal_id: [u8; 16],
        build_hash: u64,
    ) -> Result<Snapshot, SkippedBecause> {
        let marker =
            fs::read(file.path.with_extension("verified")).map_err(|_| SkippedBecause::Unverified)?;
        let verified: Verified = serde_json::from_slice(&marker).map_err(|_| SkippedBecause::Unverified)?;
        let (snapshot, hash) = read(&file.path).map_err(SkippedBecause::Unreadable)?;
        if verified.blake3 != hash.to_hex().as_str() || Sequence(snapshot.sequence) != file.sequence {
            return Err(SkippedBecause::Unverified);
        }
        if snapshot.journal_id != journal_id {
            return Err(SkippedBecause::Foreign);
        }
        if snapshot.build_hash != build_hash {
            return Err(SkippedBecause::Build);
        }
        let origin = Origin::from_words(snapshot.origin);
        if !origin.holds(&self.journal, file.sequence).map_err(SkippedBecause::Journal)? {
            return Err(SkippedBecause::Cut);
        }
        Ok(snapshot)
    }

    fn put(&self, path: &Path, parts: &[&[u8]]) -> Result<(), SnapshotError> {
        fs::create_dir_all(&self.folder).map_err(|error| SnapshotError::io("create", &self.folder, error))?;
        let mut name = path.file_name().unwrap_or_default().to_owned();
        // Another process may be writing the same one.
        name.push(format!(".{}.unfinished", std::process::id()));
        let unfinished = path.with_file_name(name);
        let write = || {
            let mut file = File::create(&unfinished)?;
            parts.iter().try_for_each(|part| file.write_all(part))?;
            file.sync_all()?;
            fs::rename(&unfinished, path)
        };
        if let Err(error) = write() {
            // What cannot be removed either stays; nothing takes it for a snapshot.
            drop(fs::remove_file(&unfinished));
            return Err(SnapshotError::io("write", path, error));
        }
        let sync = |folder: &Path| File::open(folder).and_then(|folder| folder.sync_all());
        sync(&self.folder).map_err(|error| SnapshotError::io("sync", &self.folder, error))?;
        let parent = self.folder.parent().unwrap_or(Path::new("."));
        sync(parent).map_err(|error| SnapshotError::io("sync", parent, error))
    }
}

/// Why a snapshot is passed over. Nothing is lost by it but time.
#[derive(Debug, thiserror::Error)]
pub enum SkippedBecause {
    /// No other replay came to it yet.
    #[error("it is not verified")]
    Unverified,
    /// Another journal's.
    #[error("it is of another journal")]
    Foreign,
    /// Steps that it covers were taken away by a recovery or a repair.
    #[error("the journal was cut since, and goes on from other steps")]
    Cut,
    /// The journal cannot be asked.
    #[error(transparent)]
    Journal(JournalError),
    /// Another build's.
    #[error("another build wrote it")]
    Build,
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(SnapshotError),
}

fn sequence_of(path: &Path) -> Option<Sequence> {
    let digits = path.file_name()?.to_str()?.strip_suffix(".snapshot")?;
    let all = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    all.then(|| digits.parse().ok()).flatten().map(Sequence)
}

fn archive_of(snapshot: &Snapshot) -> AlignedVec {
    rkyv::to_bytes::<rancor::Error>(snapshot).expect("numbers and texts can be archived")
}

fn read(path: &Path) -> Result<(Snapshot, blake3::Hash), SnapshotError> {
    let damaged = |what| SnapshotError::Damaged { path: path.to_owned(), what };
    let failed = |error| SnapshotError::io("read", path, error);
    let file = File::open(path).map_err(|error| SnapshotError::io("open", path, error))?;
    let mut header = [0; HEADER_BYTES];
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(damaged("it is not a regular file"));
    }
    let mut file = file.take(BYTES_MAX);
    file.read_exact(&mut header).map_err(|_| damaged("it is too short"))?;
    if header[..8] != *MAGIC {
        return Err(damaged("it does not begin as one"));
    }
    let version = u32::from_le_bytes(std::array::from_fn(|byte| header[8 + byte]));
    if version != VERSION {
        return Err(SnapshotError::Newer { path: path.to_owned(), version });
    }
    let mut archive = AlignedVec::<16>::new();
    archive.extend_from_reader(&mut file).map_err(failed)?;
    let hash = blake3::hash(&archive);
    if header[12..16] != [0; 4] || hash.as_bytes() != &header[16..] {
        return Err(damaged("its checksum is wrong"));
    }
    let snapshot = rkyv::from_bytes::<Snapshot, rancor::Error>(&archive)
        .map_err(|_| damaged("its archive is malformed"))?;
    Ok((snapshot, hash))
}

fn remove(path: &Path) -> Result<(), SnapshotError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(SnapshotError::io("remove", path, error))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use pawl_journal::log::{Appender, JournalOptions, SealReason};
    use tempfile::TempDir;

    use super::*;

    const UNTIL: Sequence = Sequence(u64::MAX);

    /// A journal of one segment.
    fn journal() -> TempDir {
        let home = TempDir::new().unwrap();
        let options =
            JournalOptions { segment_bytes: JournalOptions::SEGMENT_BYTES_MIN, ..Default::default() };
        Appender::create_or_open(home.path(), &options).unwrap().seal(SealReason::Ended).unwrap();
        home
    }

    fn snapshot(home: &TempDir, sequence: u64) -> Snapshot {
        Snapshot {
            journal_id: [7; 16],
            build_hash: 9,
            sequence,
            origin: Origin::of_step(home.path(), Sequence(sequence)).unwrap().unwrap().words(),
            time: -5,
            runs: 2,
            settings: "{}".to_owned(),
            pipeline: (0..100).collect(),
            intake: vec![u64::MAX],
            venue: Vec::new(),
        }
    }

    fn newest(snapshots: &Snapshots, until: Sequence) -> (Option<u64>, Vec<String>) {
        let mut skipped = Vec::new();
        let note = |file: &SnapshotFile, because: SkippedBecause| {
            skipped.push(format!("{}: {because}", file.sequence));
        };
        let found = snapshots.newest([7; 16], 9, until, note).unwrap();
        (found.map(|it| it.sequence), skipped)
    }

    #[test]
    fn nothing_is_relied_on_before_it_is_verified() {
        let home = journal();
        let snapshots = Snapshots::of(home.path());
        assert_eq!(newest(&snapshots, UNTIL), (None, vec![]));
        for sequence in [10, 20] {
            let path = snapshots.write(&snapshot(&home, sequence)).unwrap();
            assert_eq!(Snapshots::read(&path).unwrap(), snapshot(&home, sequence));
        }
        snapshots.verify(&snapshot(&home, 10), Time(1)).unwrap();
        assert_eq!(newest(&snapshots, UNTIL), (Some(10), vec!["20: it is not verified".to_owned()]));
        let other = Snapshot { runs: 3, ..snapshot(&home, 20) };
        assert!(snapshots.verify(&other, Time(1)).unwrap_err().to_string().contains("another state"));
        snapshots.verify(&snapshot(&home, 20), Time(1)).unwrap();
        assert_eq!(newest(&snapshots, UNTIL), (Some(20), vec![]));
        assert_eq!(newest(&snapshots, Sequence(19)).0, Some(10));
        snapshots.write(&other).unwrap();
        assert_eq!(newest(&snapshots, UNTIL).0, Some(10), "written anew, it is not verified any more");
    }

    #[test]
    fn what_is_foreign_is_passed_over_and_told() {
        let home = journal();
        let snapshots = Snapshots::of(home.path());
        for foreign in [
            Snapshot { journal_id: [8; 16], ..snapshot(&home, 30) },
            Snapshot { build_hash: 1, ..snapshot(&home, 40) },
            Snapshot { origin: [1, 1, 77], ..snapshot(&home, 20) },
            snapshot(&home, 10),
        ] {
            snapshots.write(&foreign).unwrap();
            snapshots.verify(&foreign, Time(1)).unwrap();
        }
        let (found, skipped) = newest(&snapshots, UNTIL);
        assert_eq!(found, Some(10));
        let cut = "20: the journal was cut since, and goes on from other steps";
        assert_eq!(skipped, ["40: another build wrote it", "30: it is of another journal", cut]);
        fs::rename(snapshots.path(Sequence(10)), snapshots.path(Sequence(50))).unwrap();
        fs::rename(
            snapshots.path(Sequence(10)).with_extension("verified"),
            snapshots.path(Sequence(50)).with_extension("verified"),
        )
        .unwrap();
        assert_eq!(newest(&snapshots, UNTIL).0, None, "its name is not its own");
    }

    #[test]
    fn every_flipped_bit_and_every_missing_end_is_noticed() {
        let home = journal();
        let snapshots = Snapshots::of(home.path());
        let path = snapshots.write(&snapshot(&home, 10)).unwrap();
        let whole = fs::read(&path).unwrap();
        for at in 0..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            assert!(Snapshots::read(&path).is_err(), "byte {at}");
            fs::write(&path, &whole[..at]).unwrap();
            assert!(Snapshots::read(&path).is_err(), "cut at {at}");
        }
    }

    #[test]
    fn an_archive_with_the_right_checksum_and_nonsense_in_it_is_refused() {
        let home = journal();
        let snapshots = Snapshots::of(home.path());
        let path = snapshots.write(&snapshot(&home, 10)).unwrap();
        let whole = fs::read(&path).unwrap();
        let mut refused = 0;
        for at in HEADER_BYTES..whole.len() {
            let mut bytes = whole.clone();
            bytes[at] ^= 0xff;
            let hash = blake3::hash(&bytes[HEADER_BYTES..]);
            bytes[16..HEADER_BYTES].copy_from_slice(hash.as_bytes());
            fs::write(&path, &bytes).unwrap();
            // Another number is another snapshot; another length or place is none.
            refused += u32::from(Snapshots::read(&path).is_err());
        }
        assert!(refused > 0);
    }
}
