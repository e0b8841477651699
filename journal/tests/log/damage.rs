//! Damaged bytes: each is noticed, or ends the journal exactly there; no wrong step is ever given.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use pawl_journal::log::{Appender, Damage, From, JournalError, Reader, SealReason, Tailer, verify};
use pawl_journal::record::{Sequence, Step};
use proptest::prelude::*;
use tempfile::TempDir;

use crate::support::{SMALL, append, assert_is, build, check, journal, segments};

const STEPS: u64 = 12;

/// A journal of one segment with a few steps, and where its frames end.
fn small(sealed: bool) -> (TempDir, PathBuf, PathBuf, u64) {
    let (home, dir) = (TempDir::new().unwrap(), "journal");
    let dir = home.path().join(dir);
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    append(&mut appender, STEPS);
    if sealed {
        appender.seal(SealReason::Ended).unwrap();
    }
    let used = appender.bytes_written();
    let file = segments(&dir).pop().unwrap();
    (home, dir, file, used)
}

/// Reads until the end or the first damage. Every step on the way must be the right one. Gives how many there were.
fn steps_before_damage(dir: &Path) -> (u64, Option<JournalError>) {
    let mut reader = match Reader::open(dir) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    let mut count = 0;
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                count += 1;
                assert_is(&frame, count);
            }
            Ok(None) => return (count, None),
            Err(error) => {
                assert!(reader.next().is_err(), "damage does not go away");
                return (count, Some(error));
            }
        }
    }
}

/// Offset of each step's frame.
fn offsets(dir: &Path) -> Vec<u64> {
    let mut reader = Reader::open(dir).unwrap();
    let mut offsets = Vec::new();
    while let Some(frame) = reader.next().unwrap() {
        offsets.push(frame.offset());
    }
    offsets
}

#[test]
fn every_flipped_bit_is_found_and_no_wrong_step_is_read() {
    for sealed in [false, true] {
        let (_home, dir, path, used) = small(sealed);
        let offsets = offsets(&dir);
        let file = File::options().read(true).write(true).open(&path).unwrap();
        let mut bytes = vec![0; SMALL.segment_bytes as usize];
        file.read_exact_at(&mut bytes, 0).unwrap();
        let beyond = (used..used + 96).chain((used + 96..bytes.len() as u64).step_by(50_021));
        for at in (0..200).chain((200..4092).step_by(61)).chain(4092..used).chain(beyond) {
            for bit in 0..8 {
                let byte = bytes[at as usize];
                file.write_all_at(&[byte ^ (1 << bit)], at).unwrap();
                let verified = check(&dir);
                assert!(!verified.findings.is_empty(), "bit {bit} of byte {at}, sealed: {sealed}");
                let (count, error) = steps_before_damage(&dir);
                assert!(count == STEPS || error.is_some(), "bit {bit} of byte {at}: taken for the end");
                let whole = offsets.iter().filter(|offset| **offset <= at).count() as u64;
                let certain = if at < 4096 { 0 } else { whole.saturating_sub(1) };
                assert!(count >= certain, "bit {bit} of byte {at}: {count} steps, {certain} are whole");
                file.write_all_at(&[byte], at).unwrap();
            }
        }
        assert_eq!(check(&dir).findings, []);
    }
}

#[test]
fn every_truncation_is_found_and_ends_the_journal_there() {
    for sealed in [false, true] {
        let (_home, dir, path, used) = small(sealed);
        let offsets = offsets(&dir);
        let whole = fs::read(&path).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        for len in (0..used + 96).chain((used + 96..SMALL.segment_bytes).step_by(40_009)) {
            file.set_len(len).unwrap();
            let findings = check(&dir).findings;
            assert!(matches!(findings[0].what, Damage::Truncated { found, .. } if found == len), "{len}");
            let (count, error) = steps_before_damage(&dir);
            // Step `n` is certain when even the step behind it begins before the cut.
            let certain =
                if len < 4096 { 0 } else { offsets.iter().filter(|offset| **offset <= len).count() };
            assert!(count >= (certain as u64).saturating_sub(1), "{len}: {count} steps, {certain} begin");
            assert!(count == STEPS || error.is_some(), "{len}: the reader took the cut for the end");
            file.set_len(SMALL.segment_bytes).unwrap();
            file.write_all_at(&whole[..used as usize], 0).unwrap();
        }
        assert_eq!(check(&dir).findings, []);
    }
}

#[test]
fn a_writer_goes_on_behind_the_last_whole_step_of_a_damaged_end() {
    let (_home, dir, path, _) = small(false);
    let offsets = offsets(&dir);
    let whole = fs::read(&path).unwrap();
    for (index, offset) in offsets.iter().enumerate() {
        for cut in [false, true] {
            fs::remove_dir_all(&dir).unwrap();
            fs::create_dir(&dir).unwrap();
            let mut bytes = whole.clone();
            if cut {
                bytes.truncate(*offset as usize + 45);
            } else {
                bytes[*offset as usize + 40] ^= 4;
            }
            fs::write(&path, &bytes).unwrap();
            for extra in 0..3 {
                let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
                assert_eq!(appender.recovered().last_sequence, Sequence(index as u64 + extra));
                assert_eq!(appender.recovered().quarantined_bytes > 0, extra == 0);
                append(&mut appender, 1);
            }
            assert_eq!(steps_before_damage(&dir).0, index as u64 + 3);
            assert_eq!(check(&dir).findings, [], "step {index}, cut: {cut}");
            let kept = fs::read_dir(dir.join("quarantine")).unwrap().next().unwrap().unwrap();
            let kept = fs::read(kept.path()).unwrap();
            let lost = &bytes[*offset as usize..];
            let end = lost.iter().rposition(|byte| *byte != 0).unwrap() + 1;
            let padded = kept.len() >= end && kept.len() - end < 8;
            assert!(padded && kept[..end] == lost[..end], "step {index}, cut: {cut}");
        }
    }
}

#[test]
fn damage_before_the_last_segment_stops_a_reader_and_is_listed_and_the_rest_is_counted() {
    let (_home, dir) = journal(20_000);
    let file = File::options().write(true).open(&segments(&dir)[1]).unwrap();
    file.write_all_at(&[0xFF; 3], 4096 + 500_000).unwrap();
    let (count, error) = steps_before_damage(&dir);
    let Some(JournalError::Damaged { file: told, offset, sequence, what }) = error else {
        panic!("no damage")
    };
    assert_eq!(told, segments(&dir)[1]);
    assert_eq!(sequence, Sequence(count + 1));
    assert!((4096 + 499_000..=4096 + 500_000).contains(&offset));
    let verified = check(&dir);
    assert_eq!((verified.findings[0].offset, verified.findings[0].what), (offset, what));
    assert_eq!(verified.last_sequence, Sequence(20_000));
    assert!(verified.steps > count && verified.steps < 20_000);
}

#[test]
fn a_middle_segment_whose_end_was_wiped_is_not_the_end_of_the_journal() {
    let (_home, dir) = journal(20_000);
    let file = File::options().write(true).open(&segments(&dir)[1]).unwrap();
    file.write_all_at(&vec![0; (1 << 20) - 400_000], 400_000).unwrap();
    let (count, error) = steps_before_damage(&dir);
    assert!(count < 20_000);
    assert!(error.is_some(), "the reader took a hole for the end");
    assert!(!check(&dir).findings.is_empty());
}

#[test]
fn an_unknown_record_is_counted_and_an_ill_formed_step_is_found() {
    let home = TempDir::new().unwrap();
    let mut appender = Appender::create_or_open(home.path(), &SMALL).unwrap();
    let mut step = Step::new();
    build(&mut step, 1);
    appender.append(&step).unwrap();
    step.begin(Sequence(2), appender.last_time());
    appender.append(&step).unwrap();
    let verified = check(home.path());
    assert_eq!((verified.steps, verified.findings.len()), (2, 1));
    assert_eq!((verified.findings[0].sequence, verified.findings[0].what), (Sequence(2), Damage::Records));
}

/// Whatever the bytes are, everybody comes back with an answer.
fn survive(dir: &Path) {
    let _ = verify(dir, &mut |_, _| {});
    if let Ok(mut reader) = Reader::open(dir) {
        while let Ok(Some(_)) = reader.next() {}
        let _ = (reader.seek(Sequence(3)), reader.last_sequence(), reader.first_sequence());
    }
    if let Ok(mut tailer) = Tailer::open(dir, From::Now) {
        let _ = tailer.poll();
    }
    if let Ok(mut appender) = Appender::create_or_open(dir, &SMALL) {
        append(&mut appender, 1);
        let _ = appender.seal(SealReason::Ended);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_in_place_of_segments_panics_nobody(
        files in prop::collection::vec((0_u64..4, prop::collection::vec(any::<u8>(), 0..9_000), any::<bool>()), 1..4)
    ) {
        let home = TempDir::new().unwrap();
        for (first, mut bytes, magic) in files {
            if magic && bytes.len() > 8 {
                bytes[..8].copy_from_slice(b"PAWLJRNL");
            }
            fs::write(home.path().join(format!("{first:020}.pawl")), bytes).unwrap();
        }
        survive(home.path());
    }

    #[test]
    fn garbage_over_a_journal_panics_nobody_and_gives_no_wrong_step(
        patches in prop::collection::vec((0_u64..12_000, prop::collection::vec(any::<u8>(), 1..200)), 1..5),
        roll in any::<bool>(),
    ) {
        let (_home, dir) = journal(if roll { 6_000 } else { 40 });
        let path = segments(&dir).pop().unwrap();
        let file = File::options().write(true).open(path).unwrap();
        for (at, bytes) in patches {
            file.write_all_at(&bytes, at).unwrap();
        }
        steps_before_damage(&dir);
        survive(&dir);
    }
}

/// Flips a bit in the record of the step with this sequence.
fn damage_step(path: &Path, offset: u64) {
    let file = File::options().read(true).write(true).open(path).unwrap();
    let (at, mut byte) = (offset + 48, [0]);
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

#[test]
fn beside_its_writer_a_tailer_checks_orders_and_what_was_there_before_it() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("journal");
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    let mut step = Step::new();
    for sequence in 1..=STEPS {
        build(&mut step, sequence);
        if sequence == 9 {
            step.mark_orders();
        }
        appender.append(&step).unwrap();
    }
    let (path, offsets) = (segments(&dir).pop().unwrap(), offsets(&dir));
    let place = |sequence: u64| offsets[sequence as usize - 1];
    // Its own steps without an order are taken as they are, by a tailer that was told so and by no other.
    damage_step(&path, place(6));
    let read = |mut tailer: Tailer| {
        let mut last = None;
        loop {
            match tailer.poll() {
                Ok(Some(frame)) => last = Some(frame.sequence()),
                Ok(None) => return (last, None),
                Err(error) => return (last, Some(error)),
            }
        }
    };
    let beside = |from| read(Tailer::beside_writer(&dir, Sequence(from)).unwrap());
    let is_checksum = |error: &Option<JournalError>| {
        matches!(error, Some(JournalError::Damaged { what: Damage::FrameChecksum { .. }, .. }))
    };
    assert!(matches!(beside(5), (Some(Sequence(STEPS)), None)));
    let other = read(Tailer::open(&dir, From::Sequence(Sequence(5))).unwrap());
    assert!(matches!(other.0, Some(Sequence(5))) && is_checksum(&other.1), "{other:?}");
    // What lies in front of its first own step it checks like everybody.
    let later = beside(8);
    assert!(later.0.is_none() && is_checksum(&later.1), "{later:?}");
    // An order that is not what was written goes nowhere.
    damage_step(&path, place(9));
    let order = beside(5);
    assert!(matches!(order.0, Some(Sequence(8))) && is_checksum(&order.1), "{order:?}");
}
