//! What every situation needs: steps that say which they are, and journals of them.

use std::path::{Path, PathBuf};

use pawl_journal::log::{Appender, Durability, Frame, JournalOptions, Reader, Verified, verify};
use pawl_journal::record::{Points, RunEnded, Sequence, Step, Tick, Time};
use tempfile::TempDir;

/// The smallest segments: a journal rolls after a few thousand steps.
pub(crate) const SMALL: JournalOptions =
    JournalOptions { segment_bytes: 1 << 20, durability: Durability::PageCache };

/// Time of the step with this sequence: two steps share one.
pub(crate) fn time_of(sequence: u64) -> Time {
    Time(1_549_238_400_000_000_000 + sequence.cast_signed() / 2 * 1_000)
}

/// A step that differs from every other one, of a size that differs from its neighbours'.
pub(crate) fn build(step: &mut Step, sequence: u64) {
    step.begin(Sequence(sequence), time_of(sequence));
    let tick = Tick {
        source_time: time_of(sequence),
        source_sequence: sequence,
        bid: Points(sequence.cast_signed()),
        ask: Points(sequence.cast_signed() + 2),
        ..Tick::default()
    };
    if sequence.is_multiple_of(7) {
        let message = vec![b'a' + (sequence % 26) as u8; (sequence * 37 % 500) as usize];
        step.push_with_tail(&RunEnded::default(), &message);
    } else {
        step.push(&tick);
    }
}

/// Whether a frame is exactly the step with this sequence.
pub(crate) fn assert_is(frame: &Frame<'_>, sequence: u64) {
    let mut expected = Step::new();
    build(&mut expected, sequence);
    assert_eq!(frame.step().bytes()[8..], expected.bytes()[8..], "step {sequence}");
}

/// Appends `count` steps.
pub(crate) fn append(appender: &mut Appender, count: u64) {
    let mut step = Step::new();
    for _ in 0..count {
        build(&mut step, appender.next_sequence().0);
        appender.append(&step).unwrap();
    }
}

/// A directory for a journal, and a journal of `count` steps in it, not sealed.
pub(crate) fn journal(count: u64) -> (TempDir, PathBuf) {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("journal");
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    append(&mut appender, count);
    (home, dir)
}

/// Reads the journal to its end: steps from 1 on, each as it was built. Gives their number.
pub(crate) fn read_all(dir: &Path) -> u64 {
    let mut reader = Reader::open(dir).unwrap();
    let mut count = 0;
    while let Some(frame) = reader.next().unwrap() {
        count += 1;
        assert_is(&frame, count);
    }
    count
}

/// Verifies without looking at the progress.
pub(crate) fn check(dir: &Path) -> Verified {
    verify(dir, &mut |_, _| {}).unwrap()
}

/// The segment files, in order.
pub(crate) fn segments(dir: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "pawl"))
        .filter(|path| !path.file_name().unwrap().to_str().unwrap().starts_with("spare-"))
        .collect();
    files.sort();
    files
}
