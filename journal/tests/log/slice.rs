//! Slices: any part of a journal, whole by itself, made of the same bytes.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use pawl_journal::log::{Appender, Reader, Retention, SealReason, Slice, pruned, run_start, slice};
use pawl_journal::record::{RunStarted, Sequence, Step};
use tempfile::TempDir;

use crate::support::{SMALL, append, build, check, journal, segments, time_of};

/// A journal of two runs, each of more than a segment.
fn two_runs(count: u64) -> (TempDir, PathBuf) {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("journal");
    for _ in 0..2 {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        let mut step = Step::new();
        step.begin(appender.next_sequence(), time_of(appender.next_sequence().0));
        RunStarted::default().push(&mut step, "{\"settings\":1}", "{}");
        appender.append(&step).unwrap();
        append(&mut appender, count - 1);
        appender.seal(SealReason::Ended).unwrap();
    }
    (home, dir)
}

/// Writes the files of a slice into a new directory.
fn written(slice: &Slice, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for file in &slice.files {
        let mut bytes = Vec::new();
        file.open().unwrap().read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes.len() as u64, file.bytes, "{}", file.name);
        fs::write(to.join(&file.name), bytes).unwrap();
    }
}

/// The frames from a step on to another, each as its bytes say.
fn frames(dir: &Path, from: u64, until: u64) -> Vec<Vec<u8>> {
    let mut reader = Reader::open(dir).unwrap();
    reader.seek(Sequence(from)).unwrap();
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        if frame.sequence().0 > until {
            break;
        }
        frames.push(frame.step().bytes().to_vec());
    }
    frames
}

/// First steps of the segments.
fn firsts(dir: &Path) -> Vec<u64> {
    segments(dir).iter().map(|path| path.file_stem().unwrap().to_str().unwrap().parse().unwrap()).collect()
}

/// Takes a slice, and asserts that it is a sound journal of just these steps; gives its directory.
fn assert_slice(dir: &Path, from: u64, until: u64, to: &Path) {
    let taken = slice(dir, Sequence(from), Sequence(until)).unwrap();
    let first = firsts(dir).into_iter().rfind(|first| *first <= from).unwrap();
    assert_eq!((taken.first, taken.last), (Sequence(first), Sequence(until)));
    written(&taken, to);
    let verified = check(to);
    assert!(verified.findings.is_empty(), "{from} .. {until}: {:?}", verified.findings);
    assert_eq!((verified.first_sequence, verified.last_sequence), (Sequence(first), Sequence(until)));
    assert!(frames(to, first, u64::MAX) == frames(dir, first, until), "{from} .. {until}");
    let start = |dir: &Path| run_start(dir).unwrap().map(|step| step.bytes()[32..].to_vec());
    assert_eq!(start(to).is_some(), start(dir).is_some());
    assert_eq!(pruned(to).unwrap().map(|it| it.first_sequence.0), (first > 1).then_some(first));
}

#[test]
fn every_part_of_a_journal_is_a_journal_by_itself() {
    let (home, dir) = two_runs(20_000);
    let starts = firsts(&dir);
    assert!(starts.len() >= 4, "{starts:?}");
    let mut ends: Vec<u64> = starts.iter().flat_map(|first| [first - 1, *first, first + 1]).collect();
    ends.extend([12_345, 20_000, 20_001, 39_999, 40_000]);
    let mut tried = 0;
    for from in [1, 2, starts[1] - 1, starts[1], starts[2], 20_000, 20_001, 40_000] {
        for until in ends.iter().copied().filter(|until| *until >= from.max(1)) {
            let to = home.path().join("slice");
            assert_slice(&dir, from, until, &to);
            tried += 1;
            fs::remove_dir_all(&to).unwrap();
        }
    }
    assert!(tried > 40, "{tried}");
}

#[test]
fn the_whole_of_a_journal_that_ended_is_every_byte_of_it() {
    let (home, dir) = two_runs(20_000);
    let to = home.path().join("slice");
    assert_slice(&dir, 1, 40_000, &to);
    for path in segments(&dir) {
        assert!(
            fs::read(&path).unwrap() == fs::read(to.join(path.file_name().unwrap())).unwrap(),
            "{path:?}"
        );
    }
    assert!(check(&to).sealed);
}

#[test]
fn a_slice_of_a_slice_and_of_a_pruned_journal_keeps_the_start_of_its_runs() {
    let (home, dir) = two_runs(20_000);
    let starts = firsts(&dir);
    let (once, twice) = (home.path().join("once"), home.path().join("twice"));
    assert_slice(&dir, starts[1], 40_000, &once);
    assert_slice(&once, starts[2], 39_000, &twice);
    let retention =
        Retention { larger_than_bytes: Some(3 << 20), without_snapshot: true, ..Retention::default() };
    let plan = retention.prune(&dir, std::time::SystemTime::now(), &mut |_, _| {}).unwrap();
    let first = plan.first_sequence.0;
    assert!(first > 1);
    let whole = home.path().join("whole");
    assert_slice(&dir, first, 40_000, &whole);
    assert_slice(&dir, 40_000, 40_000, &home.path().join("end"));
}

#[test]
fn what_is_being_written_is_cut_behind_its_last_step() {
    let (home, dir) = journal(100);
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    append(&mut appender, 50);
    let before = slice(&dir, Sequence(1), Sequence(u64::MAX)).unwrap();
    assert_eq!(before.last, Sequence(150));
    append(&mut appender, 50);
    let to = home.path().join("slice");
    written(&before, &to);
    let mut reader = Reader::open(&to).unwrap();
    let mut count = 0;
    while let Some(frame) = reader.next().unwrap() {
        count += 1;
        let mut expected = Step::new();
        build(&mut expected, count);
        assert_eq!(frame.step().bytes()[8..], expected.bytes()[8..]);
    }
    assert_eq!(count, 150, "what came later is not in it");
    appender.seal(SealReason::Ended).unwrap();
}
