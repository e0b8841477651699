//! Journals made to be read or opened, and the check that a journal holds what was put into it.

use std::fs::File;
use std::path::Path;

use anyhow::Context as _;
use pawl_journal::log::{Appender, JournalOptions, SealReason, Verified, verify};

use crate::measure::{Failure, Stop};

use super::steps::Steps;

/// Steps between two looks at the operator and the progress.
const STEPS_PER_LOOK: u64 = 16_384;

/// A journal that was made.
#[derive(Debug, Clone, Copy)]
pub struct Filled {
    /// Steps in it, numbered from 1.
    pub steps: u64,
    /// Bytes used: headers, frames, seals.
    pub bytes: u64,
}

/// Writes a journal of `bytes` bytes, seals it, and waits until all of it is on disk.
pub fn fill(
    dir: &Path,
    options: &JournalOptions,
    mut steps: Steps,
    bytes: u64,
    stop: &Stop,
    progress: impl Fn(u64),
) -> anyhow::Result<Filled> {
    let mut appender = Appender::create_or_open(dir, options)?;
    let mut sequence = 0;
    while appender.bytes_written() < bytes {
        sequence += 1;
        appender.append(steps.make(sequence))?;
        if sequence.is_multiple_of(STEPS_PER_LOOK) {
            stop.check()?;
            progress(appender.bytes_written());
        }
    }
    appender.seal(SealReason::Ended)?;
    let filled = Filled { steps: sequence, bytes: appender.bytes_written() };
    drop(appender);
    for entry in std::fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_file() {
            File::open(&path)
                .and_then(|file| file.sync_all())
                .with_context(|| format!("cannot sync {}", path.display()))?;
        }
    }
    Ok(filled)
}

/// Checks that the journal is whole, sealed, and holds so many steps.
pub fn check(dir: &Path, steps: u64, whose: &str) -> anyhow::Result<Verified> {
    let verified = verify(dir, &mut |_, _| {})?;
    Failure::unless(verified.findings.is_empty() && verified.sealed, || {
        format!(
            "the journal of `{whose}` is not whole: {:?}, sealed: {}",
            verified.findings.first(),
            verified.sealed
        )
    })?;
    Failure::unless(verified.steps == steps, || {
        format!("the journal of `{whose}` holds {} steps, not {steps}", verified.steps)
    })?;
    Ok(verified)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_that_does_not_hold_what_was_put_into_it_is_a_wrong_answer() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("journal");
        let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::default() };
        let filled = fill(&dir, &options, Steps::small(), 1 << 20, &Stop::default(), |_| {}).unwrap();
        assert_eq!(check(&dir, filled.steps, "test").unwrap().last_sequence.0, filled.steps);
        let wrong = |steps| {
            let error = check(&dir, steps, "test").unwrap_err();
            matches!(error.downcast_ref(), Some(Failure::WrongAnswer(_)))
        };
        assert!(wrong(filled.steps + 1));
        let file = std::fs::read_dir(&dir)
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .find(|path| path.extension().is_some_and(|ending| ending == "pawl"));
        let file = file.unwrap();
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[5_000] ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert!(wrong(filled.steps));
    }
}
