//! The file `counters`: the words of all counters in a journal's directory, for other processes and for afterwards.
//!
//! ```text
//!  word 0       header: magic, version, words, pid, started, first step, 0, checksum          (one page)
//!  word 512     copy A: number, time, state, checksum, 7,232 counters
//!  word 8192    copy B: the same
//! ```
//!
//! The copies are written in turn, each with a number of its own and a checksum (XXH3) over all of it: a reader takes the
//! newer one that is whole, so neither a copy that is just being written nor a writer that was killed in the middle of
//! one is in its way.
//!
//! Invariants: nothing of the file is believed that its checksum does not cover; a reader maps nothing.

use std::path::{Path, PathBuf};

use pawl_journal::log::{JournalError, SharedWords};
use pawl_journal::record::{Sequence, Time};
use xxhash_rust::xxh3::Xxh3;

use super::Counters;
use super::buckets::Distribution;
use super::catalogue::{Family, WORDS};

const MAGIC: u64 = u64::from_le_bytes(*b"PAWLCTRS");
const VERSION: u64 = 1;

/// Words in front of the first copy, of which the header has eight.
const HEADER_WORDS: usize = 512;
const HEADER_USED: usize = 8;

/// Words of a copy: four of its own, the counters, and what is left of its last page.
const COPY_WORDS: usize = (COPY_HEAD + WORDS).next_multiple_of(512);
const COPY_HEAD: usize = 4;

const FILE_WORDS: usize = HEADER_WORDS + 2 * COPY_WORDS;

const RUNNING: u64 = 1;
const ENDED: u64 = 2;

/// Times that a file is read again in which no copy is whole: its writer may have been faster than the reader.
const TRIES: u32 = 3;

/// The file of a run's counters, for the engine.
#[derive(Debug)]
pub struct CountersFile {
    words: SharedWords,
    written: u64,
}

/// The counters of a run, as its file had them.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The engine's process.
    pub pid: u32,
    /// When the counting began.
    pub started: Time,
    /// The run's first step.
    pub first: Sequence,
    /// When these values were published.
    pub time: Time,
    /// Whether the engine ended in order behind them.
    pub is_ended: bool,
    /// What was counted.
    pub values: Values,
}

/// What the counters were at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Values(Vec<u64>);

/// Why the counters of a journal cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CountersError {
    /// There is no journal, or its file cannot be opened.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// No run has counted here.
    #[error(
        "{} has no counters: no engine has run on it since it was made here, or it ran with runtime.counters = false",
        dir.display()
    )]
    Missing {
        /// The journal's directory.
        dir: PathBuf,
    },
    /// Another version wrote them.
    #[error("{} is of version {version}, and this build reads {VERSION}: use the pawl that runs the engine", file.display())]
    Version {
        /// The file.
        file: PathBuf,
        /// What it says.
        version: u64,
    },
    /// The bytes are not what was written.
    #[error("{} is damaged ({what}): the next `pawl run` makes a new one", file.display())]
    Damaged {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
}

impl CountersFile {
    /// Makes the file of a run that begins with step `first`, in place of the one of the run before. The caller writes the
    /// journal.
    ///
    /// # Errors
    /// Those of [`SharedWords::create`].
    pub fn create(dir: &Path, first: Sequence, started: Time) -> Result<Self, JournalError> {
        let mut words = SharedWords::create(dir, FILE_WORDS)?;
        let mut header = [
            MAGIC,
            VERSION,
            WORDS as u64,
            u64::from(std::process::id()),
            started.0.cast_unsigned(),
            first.0,
            0,
            0,
        ];
        header[HEADER_USED - 1] = checksum(&header[..HEADER_USED - 1]);
        for (index, word) in header.into_iter().enumerate() {
            words.store(index, word);
        }
        Ok(Self { words, written: 0 })
    }

    /// Writes what the counters are now into the older of the two copies.
    pub fn publish(&mut self, counters: &Counters, now: Time, is_ended: bool) {
        self.written += 1;
        let state = if is_ended { ENDED } else { RUNNING };
        let head = [self.written, now.0.cast_unsigned(), state];
        let first = HEADER_WORDS + (self.written as usize % 2) * COPY_WORDS;
        let mut hash = Xxh3::new();
        for (index, word) in head.into_iter().enumerate() {
            hash.update(&word.to_le_bytes());
            self.words.store(first + index, word);
        }
        for id in 0..WORDS {
            let word = counters.get(id);
            hash.update(&word.to_le_bytes());
            self.words.store(first + COPY_HEAD + id, word);
        }
        self.words.store(first + COPY_HEAD - 1, hash.digest());
    }

    /// The counters of the last run on the journal in `dir`, which may be going on.
    ///
    /// # Errors
    /// [`CountersError`]; whatever the file holds, it is an error and no panic.
    pub fn read(dir: &Path) -> Result<Reading, CountersError> {
        let mut tries = TRIES;
        loop {
            tries -= 1;
            let words = SharedWords::read(dir, FILE_WORDS + 1)?;
            let words = words.ok_or_else(|| CountersError::Missing { dir: dir.to_path_buf() })?;
            match reading_of(&words) {
                Ok(reading) => return Ok(reading),
                Err(Unreadable::Version(version)) => {
                    return Err(CountersError::Version { file: dir.join("counters"), version });
                }
                Err(Unreadable::Copies) if tries > 0 => {}
                Err(problem) => {
                    return Err(CountersError::Damaged { file: dir.join("counters"), what: problem.what() });
                }
            }
        }
    }
}

/// Why words are no counters.
#[derive(Debug, PartialEq, Eq)]
enum Unreadable {
    Magic,
    Version(u64),
    Header,
    Length,
    Copies,
}

impl Unreadable {
    const fn what(&self) -> &'static str {
        match self {
            Self::Magic => "it does not begin as such a file does",
            Self::Version(_) => "another version",
            Self::Header => "its header is not what was written",
            Self::Length => "it has another length",
            Self::Copies => "neither of its copies is whole",
        }
    }
}

fn reading_of(words: &[u64]) -> Result<Reading, Unreadable> {
    let Some(header) = words.get(..HEADER_USED) else { return Err(Unreadable::Length) };
    if header[0] != MAGIC {
        return Err(Unreadable::Magic);
    }
    if header[HEADER_USED - 1] != checksum(&header[..HEADER_USED - 1]) {
        return Err(Unreadable::Header);
    }
    // Behind the checksum: a version that was really written.
    if header[1] != VERSION || header[2] != WORDS as u64 {
        return Err(Unreadable::Version(header[1]));
    }
    if words.len() != FILE_WORDS {
        return Err(Unreadable::Length);
    }
    let copies = words[HEADER_WORDS..].chunks_exact(COPY_WORDS).filter_map(|copy| {
        let (head, counters) = (&copy[..COPY_HEAD], &copy[COPY_HEAD..COPY_HEAD + WORDS]);
        let mut hash = Xxh3::new();
        for word in head[..COPY_HEAD - 1].iter().chain(counters) {
            hash.update(&word.to_le_bytes());
        }
        // A copy that was never written is zero, and has number 0.
        (hash.digest() == head[COPY_HEAD - 1] && head[0] > 0).then_some((head, counters))
    });
    let (head, counters) = copies.max_by_key(|(head, _)| head[0]).ok_or(Unreadable::Copies)?;
    Ok(Reading {
        pid: u32::try_from(header[3]).map_err(|_| Unreadable::Header)?,
        started: Time(header[4].cast_signed()),
        first: Sequence(header[5]),
        time: Time(head[1].cast_signed()),
        is_ended: head[2] == ENDED,
        values: Values(counters.to_vec()),
    })
}

fn checksum(words: &[u64]) -> u64 {
    let mut hash = Xxh3::new();
    for word in words {
        hash.update(&word.to_le_bytes());
    }
    hash.digest()
}

impl Values {
    /// What the counters of this process are now.
    pub(super) fn of(counters: &Counters) -> Self {
        Self((0..WORDS).map(|id| counters.get(id)).collect())
    }

    /// The word of a counter or a gauge at this place of its family.
    ///
    /// # Panics
    /// If the family has no such place.
    #[must_use]
    pub fn value(&self, family: &Family, index: usize) -> u64 {
        assert!(index < family.len, "{} has {} values", family.name, family.len);
        self.0[family.value_id(index)]
    }

    /// All values of a family together.
    #[must_use]
    pub fn total(&self, family: &Family) -> u64 {
        (0..family.len).fold(0, |sum, index| sum.wrapping_add(self.value(family, index)))
    }

    /// The histogram at this place of its family.
    ///
    /// # Panics
    /// If the family has no histograms, or none at this place.
    #[must_use]
    pub fn distribution(&self, family: &Family, index: usize) -> Distribution {
        assert!(index < family.len, "{} has {} values", family.name, family.len);
        Distribution::new(&self.0[family.value_id(index)..][..family.value_words()])
    }
}

#[cfg(test)]
mod tests {
    use pawl_journal::log::{Appender, JournalOptions};

    use super::super::catalogue::STEPS;
    use super::*;

    fn journal() -> (tempfile::TempDir, Appender) {
        let home = tempfile::tempdir().expect("a directory");
        let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::default() };
        let appender = Appender::create_or_open(home.path(), &options).expect("a journal");
        (home, appender)
    }

    #[test]
    fn the_newer_whole_copy_counts_and_the_older_one_where_that_is_half_written() {
        let (home, _appender) = journal();
        let dir = home.path();
        assert!(matches!(CountersFile::read(dir), Err(CountersError::Missing { .. })));
        let counters = Counters::default();
        let mut file = CountersFile::create(dir, Sequence(5), Time(1)).expect("made");
        assert!(
            matches!(CountersFile::read(dir), Err(CountersError::Damaged { .. })),
            "nothing is published"
        );
        for steps in 1..=3 {
            counters.set(STEPS, steps);
            file.publish(&counters, Time(steps as i64), false);
            let reading = CountersFile::read(dir).expect("whole");
            assert_eq!(
                (reading.values.value(&STEPS, 0), reading.first.0, reading.is_ended),
                (steps, 5, false)
            );
        }
        let path = dir.join("counters");
        let mut bytes = std::fs::read(&path).expect("read");
        // The third one went into copy B.
        bytes[(HEADER_WORDS + COPY_WORDS + COPY_HEAD + 9) * 8] ^= 1;
        std::fs::write(&path, &bytes).expect("written");
        assert_eq!(CountersFile::read(dir).expect("whole").values.value(&STEPS, 0), 2);
    }

    #[test]
    fn no_damage_is_believed_and_none_is_a_panic() {
        let (home, _appender) = journal();
        let counters = Counters::default();
        let mut file = CountersFile::create(home.path(), Sequence(1), Time(1)).expect("made");
        file.publish(&counters, Time(2), false);
        drop(file);
        let path = home.path().join("counters");
        let whole = std::fs::read(&path).expect("read");
        assert_eq!(whole.len(), FILE_WORDS * 8);
        let used: Vec<usize> = (0..HEADER_USED).chain([8192, 8193, 8194, 8195, 8196, 15_427]).collect();
        for at in used.iter().map(|word| word * 8 + word % 8) {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x40;
            std::fs::write(&path, &bytes).expect("written");
            assert!(CountersFile::read(home.path()).is_err(), "byte {at}");
        }
        for len in [0, 1, 8, 63, 64, 4096, whole.len() - 1, whole.len() - 8] {
            std::fs::write(&path, &whole[..len]).expect("written");
            assert!(
                matches!(CountersFile::read(home.path()), Err(CountersError::Damaged { .. })),
                "{len} bytes"
            );
        }
        std::fs::write(&path, [&whole[..], &[0; 64]].concat()).expect("written");
        assert!(CountersFile::read(home.path()).is_err(), "too long");
        let mut newer = whole[..64].to_vec();
        newer[8] = 9;
        let words: Vec<u64> = newer.as_chunks::<8>().0.iter().map(|word| u64::from_le_bytes(*word)).collect();
        newer[56..64].copy_from_slice(&checksum(&words[..7]).to_le_bytes());
        std::fs::write(&path, newer).expect("written");
        let error = CountersFile::read(home.path()).expect_err("newer");
        assert!(matches!(error, CountersError::Version { version: 9, .. }), "{error}");
    }
}
