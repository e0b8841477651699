//! Holes: nothing where steps were is never taken for the end of a journal, and never cut away in silence.

#![expect(clippy::unwrap_used, reason = "a situation that cannot be set up fails its test")]

#[path = "log/support.rs"]
mod support;

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use pawl_journal::log::repair::plan;
use pawl_journal::log::{
    Appender, Claim, Damage, Durability, From, JournalError, JournalOptions, Reader, SealReason, Tailer,
};
use pawl_journal::record::Sequence;
use tempfile::TempDir;

use support::{SMALL, append, check, journal, read_all, segments};

const STEPS: u64 = 30_000;

/// A journal of several segments, closed in order.
fn closed(durability: Durability) -> (TempDir, PathBuf) {
    let (home, dir) = journal(0);
    let mut appender = Appender::create_or_open(&dir, &JournalOptions { durability, ..SMALL }).unwrap();
    append(&mut appender, STEPS);
    appender.seal(SealReason::Ended).unwrap();
    drop(appender);
    assert!(segments(&dir).len() >= 3 && check(&dir).findings.is_empty());
    (home, dir)
}

/// Where a step's frame begins, somewhere in the middle of a segment.
fn a_frame(file: &Path) -> u64 {
    let bytes = fs::read(file).unwrap();
    let mut offset = 4_096;
    loop {
        let len = u32::from_le_bytes(bytes[offset..offset + 4].try_into().unwrap()) as usize;
        let is_step = u16::from_le_bytes(bytes[offset + 24..offset + 26].try_into().unwrap()) == 1;
        if offset > 300_000 && is_step {
            return offset as u64;
        }
        offset += len.next_multiple_of(32);
    }
}

fn zero(file: &Path, offset: u64, bytes: usize) {
    File::options().write(true).open(file).unwrap().write_all_at(&vec![0; bytes], offset).unwrap();
}

fn listing(dir: &Path) -> Vec<(PathBuf, u64)> {
    let mut found: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|it| it.unwrap())
        .map(|it| (it.path(), it.metadata().unwrap().len()))
        .collect();
    found.sort();
    found
}

#[test]
fn a_hole_in_any_segment_of_a_closed_journal_is_damage_to_readers_and_to_tailers_at_their_end() {
    for place in 0..3 {
        let (_home, dir) = closed(Durability::PageCache);
        let files = segments(&dir);
        let file = &files[[0, 1, files.len() - 1][place]];
        let at = a_frame(file);
        zero(file, at, 4_096);
        let damaged = |error: &JournalError| {
            matches!(error, JournalError::Damaged { what: Damage::NotSealed | Damage::EndLost { .. }, offset, .. }
                if *offset == at)
        };
        let mut reader = Reader::open(&dir).unwrap();
        let error = loop {
            match reader.next() {
                Ok(Some(_)) => {}
                Ok(None) => panic!("the hole in {} was taken for the end", file.display()),
                Err(error) => break error,
            }
        };
        assert!(damaged(&error), "{error}");
        for mut tailer in
            [Tailer::open(&dir, From::Start).unwrap(), Tailer::durable(&dir, From::Start).unwrap()]
        {
            while tailer.poll().unwrap().is_some() {}
            let error = tailer.check_end().unwrap_err();
            assert!(damaged(&error), "{error}");
        }
        assert!(!check(&dir).findings.is_empty());
    }
}

#[test]
fn the_end_of_a_sound_journal_is_its_end() {
    let (_home, dir) = closed(Durability::PageCache);
    let mut tailer = Tailer::open(&dir, From::Start).unwrap();
    while tailer.poll().unwrap().is_some() {}
    assert!(tailer.check_end().unwrap() && tailer.is_closed());
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    append(&mut appender, 10);
    // What was appended after the tailer looked is no hole, and not passed over either.
    let mut seen = 0;
    while !tailer.check_end().unwrap() || tailer.poll().unwrap().is_some() {
        seen += 1;
    }
    assert_eq!((seen, tailer.next_sequence()), (10, Sequence(STEPS + 11)));
}

#[test]
fn a_segment_without_its_header_is_not_cut_away_if_anything_says_that_its_steps_were_on_disk() {
    for durability in [Durability::PageCache, "async:1ms".parse().unwrap(), Durability::Gated] {
        let (_home, dir) = closed(durability);
        let files = segments(&dir);
        for (place, file) in files.iter().enumerate().skip(1) {
            let header = fs::read(file).unwrap()[..4_096].to_vec();
            zero(file, 0, 4_096);
            let before = listing(&dir);
            let error = Claim::take(&dir, &SMALL).expect_err("it would be cut away");
            assert!(matches!(error, JournalError::Damaged { .. }), "{durability}, segment {place}: {error}");
            assert_eq!(listing(&dir), before);
            let plan = plan(&dir, &mut |_, _| {}).unwrap();
            assert!(plan.loss.is_none() && !plan.needs_consent && !plan.is_recovery, "{plan:?}");
            File::options().write(true).open(file).unwrap().write_all_at(&header, 0).unwrap();
        }
        assert_eq!(read_all(&dir), STEPS);
    }
}

#[test]
fn a_finished_segment_that_was_truncated_is_not_taken_for_one_that_ends_there() {
    let (_home, dir) = closed(Durability::PageCache);
    let last = segments(&dir).pop().unwrap();
    let at = a_frame(&last);
    for bytes in [4_096, at, at + 9] {
        File::options().write(true).open(&last).unwrap().set_len(bytes).unwrap();
        let before = listing(&dir);
        let error = Claim::take(&dir, &SMALL).expect_err("steps would be gone");
        assert!(matches!(error, JournalError::Damaged { .. }), "{bytes}: {error}");
        assert_eq!(listing(&dir), before);
        let plan = plan(&dir, &mut |_, _| {}).unwrap();
        assert!(plan.needs_consent && !plan.is_recovery && plan.loss.unwrap().is_open);
    }
}
