//! Repair as its users see it: what it says, what it keeps, and that nothing is gone afterwards.

#![expect(clippy::unwrap_used, reason = "a situation that cannot be set up fails its test")]

#[path = "log/support.rs"]
mod support;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use pawl_journal::log::repair::{Consent, RepairPlan, Repaired, plan};
use pawl_journal::log::{
    Appender, Cursor, CursorDamage, Damage, Durability, From, JournalError, JournalOptions, Reader,
    Retention, SealReason, Tailer, pruned,
};
use pawl_journal::record::{Sequence, Step};
use proptest::prelude::*;
use rustix::process::geteuid;
use rustix::thread::set_thread_res_uid;
use tempfile::TempDir;

use support::{SMALL, append, assert_is, build, check, journal, read_all, segments, time_of};

const STEPS: u64 = 36_000;

/// A journal of several segments in two turns, the second one sealed in order: all of it is known to be on disk.
fn sealed() -> (TempDir, PathBuf) {
    let (home, dir) = journal(0);
    for (count, reason) in [(STEPS / 4 * 3, SealReason::Failed), (STEPS / 4, SealReason::Ended)] {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        append(&mut appender, count);
        appender.seal(reason).unwrap();
    }
    assert!(segments(&dir).len() >= 5 && check(&dir).findings.is_empty());
    (home, dir)
}

fn planned(dir: &Path) -> RepairPlan {
    plan(dir, &mut |_, _| {}).unwrap()
}

fn carried_out(dir: &Path, consent: Consent) -> Repaired {
    planned(dir).carry_out(consent, &mut |_, _| {}).unwrap()
}

/// Every file below a directory.
fn contents(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                let name = path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned();
                found.insert(name, fs::read(path).unwrap());
            }
        }
    }
    found
}

fn copy(from: &Path) -> (TempDir, PathBuf) {
    let home = TempDir::new().unwrap();
    let to = home.path().join("journal");
    for (name, bytes) in contents(from) {
        let path = to.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
    }
    (home, to)
}

fn patch(path: &Path, offset: u64, bytes: &[u8]) {
    File::options().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

fn flip(path: &Path, offset: u64) {
    let mut byte = [0];
    File::open(path).unwrap().read_exact_at(&mut byte, offset).unwrap();
    patch(path, offset, &[byte[0] ^ 0x10]);
}

fn first_of(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

fn records(dir: &Path) -> Vec<serde_json::Value> {
    let kept = contents(dir);
    let records = kept.iter().filter(|(name, _)| name.starts_with("repairs/"));
    records.map(|(_, bytes)| serde_json::from_slice(bytes).unwrap()).collect()
}

/// Bytes in use: those behind them are zero.
fn used(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)]
}

/// Repairs a journal that needs consent, and makes sure that the rest of the world holds: nothing happens without it,
/// the journal is clean and whole up to `kept` behind it, everything else is in quarantine, a writer goes on.
fn repair_to(dir: &Path, kept: u64) -> RepairPlan {
    let before = contents(dir);
    let plan = planned(dir);
    assert!(plan.needs_consent && !plan.is_recovery && !plan.is_empty());
    assert_eq!(plan.kept_until, Sequence(kept));
    if kept > 0 {
        assert_eq!((plan.kept_from, plan.kept_until_time), (Sequence(1), time_of(kept)));
    }
    let loss = plan.loss.clone().unwrap();
    assert_eq!(loss.first, Sequence(kept + 1));
    let refused = plan.carry_out(Consent::None, &mut |_, _| {}).unwrap_err();
    assert!(
        matches!(refused, JournalError::LossNotAccepted { first, .. } if first == loss.first),
        "{refused}"
    );
    assert!(contents(dir) == before, "nothing is changed without consent");

    let repaired = plan.carry_out(Consent::Flag, &mut |_, _| {}).unwrap();
    assert_eq!(repaired.verified.findings, []);
    assert_eq!(repaired.quarantined, plan.quarantined);
    let record = records(dir).pop().unwrap();
    assert_eq!((&record["state"], &record["accepted_by"]), (&"done".into(), &"--accept-loss".into()));
    assert_eq!(
        (&record["kept_until"], &record["lost"]["first"]),
        (&plan.kept_until.0.into(), &(kept + 1).into())
    );
    assert_eq!(record["quarantined"].as_array().unwrap().len(), plan.quarantined.len());
    assert_eq!(record["findings"].as_array().unwrap().len(), plan.findings.len());
    assert_kept(dir, &before, &repaired);
    goes_on(dir, kept);
    plan
}

/// Whatever was in a segment before is there now, in its place or in quarantine.
fn assert_kept(dir: &Path, before: &BTreeMap<String, Vec<u8>>, repaired: &Repaired) {
    let after = contents(dir);
    for (name, bytes) in before.iter().filter(|(name, _)| name.ends_with(".pawl")) {
        let mut together = after.get(name).map_or(&[][..], |now| used(now)).to_vec();
        let moved: Vec<_> = repaired.quarantined.iter().filter(|it| it.from == *name).collect();
        for it in &moved {
            let kept = &after[&it.name];
            assert_eq!(kept.len() as u64, it.bytes);
            let (from, to) = (it.offset as usize, (it.offset + it.bytes) as usize);
            together.resize(together.len().max(to), 0);
            together[from..to].copy_from_slice(kept);
        }
        let cut = moved.iter().filter(|it| it.offset > 0).map(|it| (it.offset + it.bytes) as usize).max();
        let end = cut.unwrap_or(used(bytes).len()).min(bytes.len()).min(together.len());
        // Zeros in the place of a header are not kept.
        let begin = if bytes.iter().take(4096).all(|byte| *byte == 0) { end.min(4096) } else { 0 };
        assert!(together[begin..end] == bytes[begin..end], "{name}");
        assert!(used(bytes).len() <= together.len(), "{name}");
    }
}

/// A repaired journal is one: clean, read to its end, followed, and written on with the next sequence.
fn goes_on(dir: &Path, kept: u64) {
    goes_on_from(dir, 1, kept);
}

/// The same of one that begins with a later step.
fn goes_on_from(dir: &Path, first: u64, kept: u64) {
    assert_eq!(check(dir).findings, []);
    assert_eq!(read_from(dir, first), kept);
    assert!(planned(dir).is_empty(), "repairing again finds nothing to do");
    let count = records(dir).len();
    assert!(carried_out(dir, Consent::None).record.is_none());
    assert_eq!(records(dir).len(), count);
    let mut tailer = Tailer::open(dir, From::Now).unwrap();
    assert!(tailer.poll().unwrap().is_none());
    let mut appender = Appender::create_or_open(dir, &SMALL).unwrap();
    assert_eq!(appender.next_sequence(), Sequence(kept + 1));
    append(&mut appender, 2_000);
    for sequence in kept + 1..=kept + 2_000 {
        assert_is(&tailer.poll().unwrap().unwrap(), sequence);
    }
    drop(appender);
    assert_eq!(check(dir).findings, []);
    assert_eq!(read_from(dir, first), kept + 2_000);
}

/// Reads a journal from its first step to its end, each as it was built. Gives the last one.
fn read_from(dir: &Path, first: u64) -> u64 {
    let mut reader = Reader::open(dir).unwrap();
    let mut last = first - 1;
    while let Some(frame) = reader.next().unwrap() {
        last += 1;
        assert_is(&frame, last);
    }
    last
}

/// The step whose frame holds this byte, by reading the journal before it is damaged.
fn step_at(dir: &Path, path: &Path, offset: u64) -> u64 {
    let mut reader = Reader::open(dir).unwrap();
    reader.seek(Sequence(first_of(path))).unwrap();
    let mut found = 0;
    while let Some(frame) = reader.next().unwrap() {
        if frame.offset() > offset || frame.sequence() < Sequence(found) {
            break;
        }
        found = frame.sequence().0;
    }
    found
}

#[test]
fn a_clean_journal_has_nothing_to_repair() {
    for (_home, dir) in [sealed(), journal(STEPS)] {
        let before = contents(&dir);
        let plan = planned(&dir);
        assert!(plan.is_empty() && plan.findings.is_empty() && plan.loss.is_none() && !plan.needs_consent);
        assert_eq!(plan.kept_until, Sequence(STEPS));
        assert!(carried_out(&dir, Consent::None).record.is_none());
        assert!(contents(&dir) == before);
    }
}

#[test]
fn a_flipped_byte_in_an_early_segment_ends_the_journal_before_its_step() {
    let (_home, dir) = sealed();
    let (files, offset) = (segments(&dir), 400_000);
    let lost = step_at(&dir, &files[1], offset);
    flip(&files[1], offset);
    for (name, next) in [("ahead", lost + 1), ("at-the-end", lost), ("behind", 3)] {
        drop(Cursor::open_at(&dir, name, From::Sequence(Sequence(next))).unwrap());
    }
    let plan = repair_to(&dir, lost - 1);
    let loss = plan.loss.as_ref().unwrap();
    assert_eq!((loss.last, loss.is_open), (Some(Sequence(STEPS)), false));
    assert_eq!((loss.steps(), loss.last_time), (STEPS - lost + 1, Some(time_of(STEPS))));
    assert_eq!(plan.lost_segments(), files.len() - 2);
    let ahead: Vec<_> = plan.cursors_ahead.iter().map(|it| (it.name.as_str(), it.next_sequence)).collect();
    assert_eq!(ahead, [("ahead", Sequence(lost + 1))]);
}

/// Damage to a header page: what is written over it.
fn header_damages(dir: &Path, path: &Path, other: &Path) -> Vec<(&'static str, Vec<u8>)> {
    let page = |path: &Path| fs::read(path).unwrap()[..4096].to_vec();
    let whole = page(path);
    let with = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut page = whole.clone();
        change(&mut page);
        page
    };
    let neighbour = segments(dir).into_iter().find(|it| it != path);
    let mut damages = vec![
        ("a bit of the salt", with(&|page| page[83] ^= 1)),
        ("a bit of the checksum", with(&|page| page[4094] ^= 0x80)),
        ("a bit where zeros are", with(&|page| page[2_000] ^= 2)),
        ("bytes where zeros are", with(&|page| page[200..3_000].fill(0xA5))),
        ("zeros", vec![0; 4096]),
        ("zeros in the first sector", with(&|page| page[..512].fill(0))),
        ("zeros in the last sector", with(&|page| page[3_584..].fill(0))),
        ("anything", (0..4096_u32).map(|at| (at.wrapping_mul(2_654_435_761) >> 13) as u8).collect()),
        ("some fields", with(&|page| page[60..130].fill(0xEE))),
        ("of another journal", page(&segments(other)[0])),
    ];
    damages.extend(neighbour.map(|it| ("of another segment", page(&it))));
    damages
}

/// Repairs a journal that has lost a header and nothing else.
fn rebuilt(dir: &Path, path: &Path, steps: u64, what: &str) {
    let (name, page) =
        (path.file_name().unwrap().to_str().unwrap(), fs::read(path).unwrap()[..4096].to_vec());
    let plan = planned(dir);
    assert!(!plan.is_empty() && !plan.needs_consent && !plan.is_recovery, "{what}: {plan:?}");
    assert_eq!((&plan.loss, plan.kept_until), (&None, Sequence(steps)), "{what}");
    let how = plan.mended.iter().find(|(file, how)| file == name && how.contains("header")).unwrap();
    assert!(how.1.contains("no step is lost"), "{what}: {how:?}");
    let repaired = plan.carry_out(Consent::None, &mut |_, _| {}).unwrap();
    assert_eq!(repaired.verified.findings, [], "{what}");
    assert_eq!(repaired.quarantined, plan.quarantined);
    let kept: Vec<_> = repaired.quarantined.iter().filter(|it| it.name.ends_with(".page")).collect();
    if page.iter().any(|byte| *byte != 0) {
        assert!(fs::read(dir.join(&kept[0].name)).unwrap() == page, "{what}");
    }
    assert_eq!(kept.len(), usize::from(page.iter().any(|byte| *byte != 0)), "{what}");
    assert_eq!(records(dir).pop().unwrap()["state"], "done");
    goes_on(dir, steps);
}

#[test]
fn a_header_that_is_lost_is_rebuilt_and_no_step_goes_with_it() {
    let ((_home, whole), (_other_home, other)) = (sealed(), sealed());
    let files = segments(&whole);
    // The first of all, one in a turn, the first of a turn, the last.
    let turn = fs::read(&files[files.len() - 1]).unwrap()[88];
    let of_turn = files.iter().position(|path| fs::read(path).unwrap()[88] == turn).unwrap();
    assert!((2..files.len() - 1).contains(&of_turn), "{of_turn} of {}", files.len());
    for at in [0, 1, of_turn, files.len() - 1] {
        for has_index in [true, false] {
            for (what, page) in header_damages(&whole, &files[at], &other) {
                let (_home, dir) = copy(&whole);
                let path = dir.join(files[at].file_name().unwrap());
                let before = fs::read(&path).unwrap();
                patch(&path, 0, &page);
                if !has_index {
                    fs::remove_file(path.with_extension("idx")).unwrap();
                }
                rebuilt(&dir, &path, STEPS, &format!("segment {at}, index {has_index}: {what}"));
                let after = fs::read(&path).unwrap();
                // The salt cannot be told from the frames; the seed that it gives can.
                assert!(after[24..80] == before[24..80], "{at} {has_index} {what}");
                assert!(after[88..144] == before[88..144], "{at} {has_index} {what}");
                assert!(!has_index || after[80..88] == before[80..88], "{at} {has_index} {what}");
            }
        }
    }
}

#[test]
fn the_only_segment_of_a_journal_gets_its_header_back_sealed_or_not() {
    let (_other_home, other) = sealed();
    for is_sealed in [true, false] {
        let (_home, whole) = journal(0);
        let mut appender = Appender::create_or_open(&whole, &SMALL).unwrap();
        append(&mut appender, 700);
        if is_sealed {
            appender.seal(SealReason::Ended).unwrap();
        }
        drop(appender);
        for file in segments(&whole).into_iter().skip(1) {
            fs::remove_file(file).unwrap();
        }
        let name = segments(&whole)[0].file_name().unwrap().to_owned();
        for (what, page) in header_damages(&whole, &whole.join(&name), &other) {
            for has_cursor in [true, false] {
                let (_home, dir) = copy(&whole);
                if has_cursor {
                    drop(Cursor::open(&dir, "reader").unwrap());
                }
                fs::remove_file(dir.join(&name).with_extension("idx")).ok();
                let before = fs::read(dir.join(&name)).unwrap();
                patch(&dir.join(&name), 0, &page);
                rebuilt(
                    &dir,
                    &dir.join(&name),
                    700,
                    &format!("sealed {is_sealed}, cursor {has_cursor}: {what}"),
                );
                if has_cursor {
                    assert!(fs::read(dir.join(&name)).unwrap()[32..48] == before[32..48], "{what}");
                    assert_eq!(Cursor::open(&dir, "reader").unwrap().next_sequence(), Sequence(1));
                }
            }
        }
    }
}

#[test]
fn several_headers_are_rebuilt_at_once_and_from_one_another() {
    let (_home, whole) = sealed();
    let files = segments(&whole);
    for lost in [vec![0, 1], (0..files.len()).collect(), vec![1, 2, files.len() - 1]] {
        for has_indexes in [true, false] {
            let (_home, dir) = copy(&whole);
            for at in &lost {
                let path = dir.join(files[*at].file_name().unwrap());
                patch(&path, 0, &[0; 4096]);
                if !has_indexes {
                    fs::remove_file(path.with_extension("idx")).unwrap();
                }
            }
            let plan = planned(&dir);
            assert!(!plan.needs_consent && plan.loss.is_none(), "{plan:?}");
            assert_eq!(plan.kept_until, Sequence(STEPS));
            assert_eq!(plan.mended.iter().filter(|(_, how)| how.contains("header")).count(), lost.len());
            plan.carry_out(Consent::None, &mut |_, _| {}).unwrap();
            goes_on(&dir, STEPS);
        }
    }
}

#[test]
fn a_torn_header_that_a_writer_would_give_up_with_its_steps_is_rebuilt_by_a_repair() {
    // Of a machine that died: the last segment's header never reached the disk, its steps did.
    let (_home, dir) = journal(STEPS / 4);
    let last = segments(&dir).pop().unwrap();
    assert!(first_of(&last) > 1);
    patch(&last, 0, &[0; 4096]);
    let (_other, other) = copy(&dir);
    let writer = Appender::create_or_open(&other, &SMALL).unwrap();
    assert_eq!(writer.recovered().last_sequence, Sequence(first_of(&last) - 1));
    rebuilt(&dir, &last, STEPS / 4, "torn");
}

#[test]
fn a_lost_header_and_damaged_frames_cost_only_what_the_frames_do() {
    let (_home, whole) = sealed();
    let files = segments(&whole);
    for at in [0, 1, files.len() - 1] {
        let offset = 150_000;
        let lost = step_at(&whole, &files[at], offset);
        let (_home, dir) = copy(&whole);
        let path = dir.join(files[at].file_name().unwrap());
        flip(&path, offset);
        patch(&path, 0, &[0; 4096]);
        fs::remove_file(path.with_extension("idx")).unwrap();
        let plan = repair_to(&dir, lost - 1);
        let loss = plan.loss.unwrap();
        assert_eq!((loss.last, loss.is_open), (Some(Sequence(STEPS)), false));
        assert!(plan.mended.iter().any(|(_, how)| how.contains("header")));
    }
    // Where the first frame is damaged too nothing of the segment stays, but what was in it is told.
    let (_home, dir) = copy(&whole);
    let path = dir.join(files[1].file_name().unwrap());
    patch(&path, 0, &vec![0xA5; 4096 + 500]);
    let plan = repair_to(&dir, first_of(&files[1]) - 1);
    assert_eq!(plan.loss.unwrap().last, Some(Sequence(STEPS)));
}

/// Leaves nothing of a segment that could be told from noise.
fn destroy(path: &Path) {
    let noise = (0..fs::metadata(path).unwrap().len()).map(|at| ((at * 0x9E37_79B9) >> 11) as u8 | 1);
    fs::write(path, noise.collect::<Vec<u8>>()).unwrap();
}

#[test]
fn a_segment_of_which_nothing_is_left_ends_the_journal_with_the_one_before() {
    let (_home, whole) = sealed();
    let files = segments(&whole);
    for at in [1, 2, files.len() - 1] {
        let (_home, dir) = copy(&whole);
        destroy(&dir.join(files[at].file_name().unwrap()));
        let plan = repair_to(&dir, first_of(&files[at]) - 1);
        assert_eq!(plan.lost_segments(), files.len() - at);
        let (loss, is_last) = (plan.loss.unwrap(), at == files.len() - 1);
        assert_eq!((loss.last, loss.is_open), ((!is_last).then_some(Sequence(STEPS)), is_last));
    }
    // A header that never reached the disk, and no frame: a writer takes it for what it is.
    let (_home, dir) = copy(&whole);
    let last = dir.join(files[files.len() - 1].file_name().unwrap());
    fs::write(&last, vec![0; 1 << 20]).unwrap();
    let plan = planned(&dir);
    assert!(plan.is_recovery && !plan.needs_consent);
    plan.carry_out(Consent::None, &mut |_, _| {}).unwrap();
    goes_on(&dir, first_of(&last) - 1);
}

#[test]
fn a_first_segment_of_which_nothing_is_left_leaves_an_empty_journal_that_can_be_begun_again() {
    let (_home, whole) = sealed();
    let name = segments(&whole)[0].file_name().unwrap().to_owned();
    for len in [1 << 20, 4_096, 300, 0] {
        for is_alone in [false, true] {
            let (_home, dir) = copy(&whole);
            for file in segments(&dir).iter().skip(if is_alone { 1 } else { usize::MAX }) {
                fs::remove_file(file).unwrap();
            }
            destroy(&dir.join(&name));
            File::options().write(true).open(dir.join(&name)).unwrap().set_len(len).unwrap();
            let plan = repair_to(&dir, 0);
            let loss = plan.loss.unwrap();
            assert_eq!(
                (loss.last, loss.is_open),
                ((!is_alone).then_some(Sequence(STEPS)), is_alone),
                "{len}"
            );
            assert!(plan.mended.iter().any(|(_, how)| how.contains("made anew")), "{:?}", plan.mended);
        }
    }
}

/// A sealed journal without its first two segments, pruned.
fn pruned_journal() -> (TempDir, PathBuf, u64) {
    let (home, dir) = sealed();
    let bytes = (segments(&dir).len() as u64 - 2) << 20;
    let wish = Retention {
        larger_than_bytes: Some(bytes + (1 << 18)),
        without_snapshot: true,
        ..Retention::default()
    };
    wish.prune(&dir, SystemTime::now(), &mut |_, _| {}).unwrap();
    assert_eq!(check(&dir).findings, []);
    let first = first_of(&segments(&dir)[0]);
    assert_eq!(pruned(&dir).unwrap().unwrap().first_sequence, Sequence(first));
    (home, dir, first)
}

#[test]
fn a_start_that_nothing_explains_any_more_is_taken_for_one_with_consent() {
    for marker in [Some("{\"first_sequence\":1}"), None] {
        for is_header_lost in [false, true] {
            let (_home, dir, first) = pruned_journal();
            let path = dir.join("pruned.json");
            match marker {
                Some(text) => fs::write(&path, text).unwrap(),
                None => fs::remove_file(&path).unwrap(),
            }
            if is_header_lost {
                patch(&segments(&dir)[0], 0, &[0; 4096]);
            }
            let before = contents(&dir);
            let plan = planned(&dir);
            assert_eq!((plan.begins_at, plan.needs_consent), (Some(Sequence(first)), true));
            assert_eq!((plan.loss.clone(), plan.kept_from), (None, Sequence(first)));
            assert!(
                plan.findings
                    .iter()
                    .any(|it| matches!(it.what, Damage::PrunedMarker { .. } | Damage::StartMissing { .. }))
            );
            let refused = plan.carry_out(Consent::None, &mut |_, _| {}).unwrap_err();
            assert!(matches!(refused, JournalError::StartGone { .. }), "{refused}");
            assert!(contents(&dir) == before, "nothing is changed without consent");
            let repaired = plan.carry_out(Consent::Flag, &mut |_, _| {}).unwrap();
            assert_eq!(repaired.verified.findings, []);
            let told = pruned(&dir).unwrap().unwrap();
            assert_eq!((told.first_sequence, told.removed_steps), (Sequence(first), first - 1));
            if let Some(text) = marker {
                assert_eq!(fs::read_to_string(dir.join("quarantine/pruned-1.json")).unwrap(), text);
            }
            assert_eq!(records(&dir).pop().unwrap()["begins_at"], first);
            goes_on_from(&dir, first, STEPS);
        }
    }
}

#[test]
fn the_first_header_of_a_pruned_journal_is_rebuilt_from_what_pruned_json_says() {
    for (what, page) in [("zeros", [0; 4096]), ("anything", [0xA5; 4096])] {
        let (_home, dir, first) = pruned_journal();
        let path = segments(&dir)[0].clone();
        let index = fs::read(&path).unwrap()[48..56].to_vec();
        patch(&path, 0, &page);
        let plan = planned(&dir);
        assert!(!plan.needs_consent && plan.loss.is_none() && plan.begins_at.is_none(), "{what}: {plan:?}");
        plan.carry_out(Consent::None, &mut |_, _| {}).unwrap();
        assert!(fs::read(&path).unwrap()[48..56] == index);
        goes_on_from(&dir, first, STEPS);
    }
}

#[test]
fn a_damaged_marker_of_a_journal_that_has_its_start_is_taken_away() {
    let (_home, dir) = sealed();
    fs::write(dir.join("pruned.json"), "{").unwrap();
    lossless(&dir, 1);
    assert!(!dir.join("pruned.json").exists());
    goes_on(&dir, STEPS);
}

#[test]
fn cursors_that_cannot_be_used_are_named_and_left_alone() {
    let (_home, dir) = sealed();
    let (_other_home, other) = sealed();
    drop(Cursor::open(&other, "foreign").unwrap());
    for name in ["good", "torn"] {
        drop(Cursor::open(&dir, name).unwrap());
    }
    fs::copy(other.join("cursors/foreign.cursor"), dir.join("cursors/foreign.cursor")).unwrap();
    fs::write(dir.join("cursors/torn.cursor"), "{\"journal_id\":").unwrap();
    let before = contents(&dir);
    let plan = planned(&dir);
    let damaged: Vec<_> = plan.cursors_damaged.iter().map(|(name, what)| (name.as_str(), *what)).collect();
    assert_eq!(damaged, [("foreign", CursorDamage::Journal), ("torn", CursorDamage::Bytes)]);
    assert!(plan.is_empty());
    carried_out(&dir, Consent::Flag);
    assert!(contents(&dir) == before);
}

#[test]
fn behind_a_missing_segment_everything_goes_to_quarantine() {
    let (_home, whole) = sealed();
    let files = segments(&whole);
    for gone in [vec![2], vec![1, 2], vec![files.len() - 1]] {
        let (_home, dir) = copy(&whole);
        for at in &gone {
            fs::remove_file(dir.join(files[*at].file_name().unwrap())).unwrap();
            // Of the last one not even its index is left.
            let _ = fs::remove_file(dir.join(files[*at].with_extension("idx").file_name().unwrap()));
        }
        let is_last = gone[0] == files.len() - 1;
        let plan = repair_to(&dir, first_of(&files[gone[0]]) - 1);
        assert_eq!(plan.lost_segments(), files.len() - gone[0] - gone.len());
        let loss = plan.loss.unwrap();
        assert_eq!((loss.last, loss.is_open), ((!is_last).then_some(Sequence(STEPS)), is_last));
    }
}

#[test]
fn a_segment_of_another_journal_goes_to_quarantine_with_what_follows() {
    let (_one, one) = sealed();
    let (_two, two) = sealed();
    let (from, to) = (&segments(&two)[1], &segments(&one)[1]);
    assert_eq!(from.file_name(), to.file_name());
    fs::copy(from, to).unwrap();
    let plan = repair_to(&one, first_of(to) - 1);
    assert!(plan.loss.unwrap().steps() > 0);
}

#[test]
fn a_truncated_file_loses_what_was_cut_off_and_nothing_if_that_was_zero() {
    let (_home, whole) = sealed();
    let files = segments(&whole);
    let name = files[1].file_name().unwrap();
    for len in [5_003, 300_000, 700_001] {
        let lost = step_at(&whole, &files[1], len);
        let (_home, dir) = copy(&whole);
        File::options().write(true).open(dir.join(name)).unwrap().set_len(len).unwrap();
        repair_to(&dir, lost - 1);
    }
    let (_home, dir) = copy(&whole);
    // The last one of the first turn is not full.
    let name = files[3].file_name().unwrap();
    let bytes = fs::read(dir.join(name)).unwrap();
    File::options().write(true).open(dir.join(name)).unwrap().set_len(used(&bytes).len() as u64 + 7).unwrap();
    lossless(&dir, 0);
    assert!(fs::read(dir.join(name)).unwrap() == bytes);
}

/// Repairs what gives nothing up, and makes sure of it.
fn lossless(dir: &Path, kept: usize) {
    let plan = planned(dir);
    assert!(!plan.findings.is_empty());
    assert!(!plan.is_empty() && !plan.needs_consent && plan.loss.is_none() && !plan.is_recovery);
    assert_eq!((plan.kept_until, plan.quarantined.len()), (Sequence(STEPS), kept));
    let before = contents(dir);
    let repaired = plan.carry_out(Consent::None, &mut |_, _| {}).unwrap();
    assert_eq!((&repaired.verified.findings, &repaired.quarantined), (&vec![], &plan.quarantined));
    for it in &repaired.quarantined {
        let (from, kept) = (&before[&it.from], fs::read(dir.join(&it.name)).unwrap());
        assert_eq!(kept, from[it.offset as usize..][..it.bytes as usize]);
    }
    assert_eq!(records(dir).pop().unwrap()["state"], "done");
    assert!(planned(dir).is_empty());
    assert_eq!(read_all(dir), STEPS);
}

#[test]
fn a_damaged_seal_is_written_again_where_the_segments_around_it_say_what_it_was() {
    let (_home, whole) = sealed();
    for pair in segments(&whole).windows(2) {
        let path = &pair[0];
        let bytes = fs::read(path).unwrap();
        // The next header says how long this one is.
        let used_bytes = fs::read(&pair[1]).unwrap()[104..112].try_into().map(u64::from_le_bytes).unwrap();
        let seal = used_bytes - 64;
        for damage in 0..3 {
            let (_home, dir) = copy(&whole);
            let path = dir.join(path.file_name().unwrap());
            match damage {
                0 => flip(&path, seal + 40),
                1 => patch(&path, seal, &[0; 64]),
                _ => patch(&path, seal, &[0xEE; 64]),
            }
            if check(&dir).findings.is_empty() {
                // Without its seal it is a roll that was interrupted, which a writer finishes.
                assert_eq!(damage, 1);
                continue;
            }
            let kept = usize::from(damage != 1);
            lossless(&dir, kept);
            assert!(fs::read(&path).unwrap() == bytes, "it is what it was, byte for byte");
            goes_on(&dir, STEPS);
        }
    }
}

#[test]
fn bytes_that_belong_to_no_frame_are_cleared_and_kept() {
    let (_home, dir) = sealed();
    let path = &segments(&dir)[0];
    let bytes = fs::read(path).unwrap();
    let mut reader = Reader::open(&dir).unwrap();
    // A step that does not fill its last 32 bytes: its padding must be zero.
    let padding = loop {
        let frame = reader.next().unwrap().unwrap();
        let end = frame.offset() + frame.step().bytes().len() as u64;
        if !end.is_multiple_of(32) {
            break end;
        }
    };
    patch(path, padding, &[1; 3]);
    patch(path, bytes.len() as u64 - 20, &[2; 9]);
    File::options().write(true).open(path).unwrap().set_len(bytes.len() as u64 + 5_000).unwrap();
    patch(path, bytes.len() as u64 + 77, &[3; 100]);
    lossless(&dir, 3);
    assert!(fs::read(path).unwrap() == bytes);
    goes_on(&dir, STEPS);
}

#[test]
fn a_wrong_index_is_written_anew() {
    let (_home, dir) = sealed();
    let path = segments(&dir)[1].with_extension("idx");
    let bytes = fs::read(&path).unwrap();
    let other = fs::read(segments(&dir)[2].with_extension("idx")).unwrap();
    for wrong in [&b"no index"[..], &bytes[..bytes.len() - 1], &other] {
        fs::write(&path, wrong).unwrap();
        lossless(&dir, 0);
        assert!(fs::read(&path).unwrap() == bytes);
    }
}

#[test]
fn a_gated_journal_below_its_watermark_needs_consent_and_above_it_none() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("journal");
    let options = JournalOptions { durability: Durability::Gated, ..SMALL };
    let mut appender = Appender::create_or_open(&dir, &options).unwrap();
    let watermarks = appender.watermarks();
    append(&mut appender, 500);
    watermarks.request(Sequence(500));
    while watermarks.durable() < Sequence(500) {
        appender.tend().unwrap();
        std::thread::yield_now();
    }
    // The sync frame that tells of it.
    while check(&dir).durable_sequence < Sequence(500) {
        append(&mut appender, 1);
        std::thread::sleep(Duration::from_millis(1));
    }
    append(&mut appender, 50);
    let last = appender.next_sequence().0 - 1;
    drop(appender);
    let file = segments(&dir).pop().unwrap();
    let offset_of = |sequence| {
        let mut reader = Reader::open(&dir).unwrap();
        reader.seek(Sequence(sequence)).unwrap();
        reader.next().unwrap().unwrap().offset() + 40
    };
    let (below, above) = (offset_of(300), offset_of(last - 5));

    let (_above, torn) = copy(&dir);
    flip(&torn.join(file.file_name().unwrap()), above);
    let (_other, other) = copy(&torn);
    let plan = planned(&torn);
    assert!(plan.is_recovery && !plan.needs_consent);
    let loss = plan.loss.clone().unwrap();
    assert_eq!((loss.first, loss.last), (Sequence(last - 5), Some(Sequence(last))));
    let writer = Appender::create_or_open(&other, &SMALL).unwrap();
    assert_eq!(writer.recovered().last_sequence, plan.kept_until);
    plan.carry_out(Consent::None, &mut |_, _| {}).unwrap();
    goes_on(&torn, last - 6);

    flip(&file, below);
    let refused = Appender::create_or_open(&dir, &SMALL).unwrap_err();
    assert!(refused.to_string().contains("pawl repair"), "{refused}");
    let plan = repair_to(&dir, 299);
    assert_eq!(plan.loss.unwrap().last, Some(Sequence(last)));
}

#[test]
fn a_torn_end_is_what_a_writer_recovers_and_a_repair_does_it_too() {
    let (_home, dir) = journal(3_000);
    let file = segments(&dir).pop().unwrap();
    let bytes = fs::read(&file).unwrap();
    let end = used(&bytes).len().next_multiple_of(32) as u64;
    patch(&file, end + 8, &[0xA5; 300]);
    let plan = planned(&dir);
    assert!(plan.is_recovery && !plan.needs_consent && plan.loss.is_none());
    assert_eq!(plan.quarantined.len(), 1);
    let repaired = carried_out(&dir, Consent::None);
    let kept = fs::read(dir.join(&repaired.quarantined[0].name)).unwrap();
    assert_eq!((&kept[..8], &kept[8..308]), (&[0; 8][..], &[0xA5; 300][..]));
    goes_on(&dir, 3_000);
}

#[test]
fn a_step_that_its_writer_got_wrong_is_given_up_with_consent() {
    let home = TempDir::new().unwrap();
    let dir = home.path().join("journal");
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    append(&mut appender, 5);
    let mut step = Step::new();
    step.begin(Sequence(6), appender.last_time());
    appender.append(&step).unwrap();
    build(&mut step, 7);
    appender.append(&step).unwrap();
    drop(appender);
    let plan = repair_to(&dir, 5);
    assert_eq!(plan.loss.unwrap().last, Some(Sequence(7)));
}

#[test]
fn damage_in_the_first_frame_leaves_an_empty_journal_that_can_be_begun_again() {
    let (_home, dir) = sealed();
    flip(&segments(&dir)[0], 4096 + 40);
    let plan = repair_to(&dir, 0);
    assert_eq!(plan.loss.unwrap().steps(), STEPS);
}

#[test]
fn several_damages_end_the_journal_before_the_first_that_cannot_be_mended() {
    let (_home, dir) = sealed();
    let files = segments(&dir);
    fs::write(files[0].with_extension("idx"), "no index").unwrap();
    patch(&files[0], (1 << 20) - 8, &[9; 4]);
    let lost = step_at(&dir, &files[1], 200_000);
    flip(&files[1], 200_000);
    flip(&files[2], 90);
    flip(&files[3], 300_000);
    let plan = repair_to(&dir, lost - 1);
    assert_eq!(plan.mended.len(), 2);
}

#[test]
fn what_is_lost_again_goes_to_quarantine_again() {
    let (_home, dir) = sealed();
    let files = segments(&dir);
    for round in 1..=3 {
        // The segment behind the one that stays whole is lost each time.
        destroy(&files[1]);
        let repaired = carried_out(&dir, Consent::Terminal);
        assert_eq!(repaired.verified.findings, []);
        assert_eq!(read_all(&dir), first_of(&files[1]) - 1);
        let name = format!("quarantine/{:020}-{round}.pawl", first_of(&files[1]));
        assert!(repaired.quarantined.iter().any(|it| it.name == name), "{:?}", repaired.quarantined);
        append(&mut Appender::create_or_open(&dir, &SMALL).unwrap(), 5_000);
    }
    // A seal behind a cut may be damaged in its turn: another copy of the same place.
    let (_home, dir) = sealed();
    flip(&segments(&dir)[1], 200_000);
    carried_out(&dir, Consent::Terminal);
    let cut = segments(&dir).pop().unwrap();
    let end = used(&fs::read(&cut).unwrap()).len() as u64;
    patch(&cut, end - 20, &[0x77; 90]);
    let repaired = carried_out(&dir, Consent::Flag);
    assert!(repaired.quarantined[0].name.ends_with("-2.tail"), "{:?}", repaired.quarantined);
    assert_eq!(repaired.verified.findings, []);
    assert_eq!(records(&dir).len(), 2);
}

#[test]
fn a_journal_that_is_written_is_left_alone() {
    let (_home, dir) = sealed();
    flip(&segments(&dir)[1], 200_000);
    let plan_before = planned(&dir);
    let lock = File::options().write(true).open(dir.join("LOCK")).unwrap();
    lock.lock().unwrap();
    let before = contents(&dir);
    assert!(matches!(plan(&dir, &mut |_, _| {}), Err(JournalError::Locked { .. })));
    let refused = plan_before.carry_out(Consent::Flag, &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, JournalError::Locked { .. }), "{refused}");
    assert!(contents(&dir) == before);
}

#[test]
fn a_plan_of_a_journal_that_was_changed_since_is_not_carried_out() {
    let (_home, dir) = sealed();
    flip(&segments(&dir)[1], 200_000);
    let (one, two) = (planned(&dir), planned(&dir));
    one.carry_out(Consent::Flag, &mut |_, _| {}).unwrap();
    let before = contents(&dir);
    let refused = two.carry_out(Consent::Flag, &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, JournalError::PlanOutdated { .. }), "{refused}");
    assert!(contents(&dir) == before);
}

#[test]
fn a_journal_that_may_not_be_written_is_planned_and_not_repaired() {
    let (home, dir) = sealed();
    flip(&segments(&dir)[1], 200_000);
    for (path, mode) in [(home.path(), 0o755), (&dir, 0o555), (&dir.join("LOCK"), 0o444)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    let before = contents(&dir);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            if geteuid().is_root() {
                // Root may write anything. On Linux a thread has its own user: this one becomes nobody.
                let nobody = rustix::fs::Uid::from_raw(65_534);
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            let refused = planned(&dir).carry_out(Consent::Flag, &mut |_, _| {}).unwrap_err();
            assert!(matches!(refused, JournalError::NotWritable { .. }), "{refused}");
        });
    });
    assert!(contents(&dir) == before);
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
}

/// Lays out what an interruption leaves in a journal's directory.
type Interrupt<'a> = &'a dyn Fn(&Path);

#[test]
fn a_repair_that_was_interrupted_anywhere_ends_the_same() {
    let (_home, damaged) = sealed();
    let files = segments(&damaged);
    let lost = step_at(&damaged, &files[1], 200_000);
    flip(&files[1], 200_000);
    let name = files[1].file_name().unwrap();
    let (_done_home, done) = copy(&damaged);
    let plan = planned(&done);
    plan.carry_out(Consent::Flag, &mut |_, _| {}).unwrap();
    let tail = &plan.quarantined[0];
    assert!(tail.name.ends_with(".tail"));
    let moved: Vec<_> = plan.quarantined.iter().filter(|it| it.offset == 0).collect();
    assert_eq!(moved.len(), files.len() - 2);
    let write = |dir: &Path, bytes: &[u8], at: u64| patch(&dir.join(name), at, bytes);
    let with_record = |dir: &Path| {
        fs::create_dir(dir.join("repairs")).unwrap();
        fs::write(dir.join("repairs/20190101T000000.000000000Z.json"), "{\"state\": \"begun\"}").unwrap();
    };
    let with_copy = |dir: &Path| {
        with_record(dir);
        fs::create_dir(dir.join("quarantine")).unwrap();
        fs::copy(done.join(&tail.name), dir.join(&tail.name)).unwrap();
    };
    let with_moved = |dir: &Path, count: usize| {
        with_copy(dir);
        for it in moved.iter().rev().take(count) {
            let _ = fs::remove_file(dir.join(&it.from).with_extension("idx"));
            fs::rename(dir.join(&it.from), dir.join(&it.name)).unwrap();
        }
    };
    let all = moved.len();
    let with_all_moved = |dir: &Path| {
        with_moved(dir, all);
        fs::remove_file(dir.join(name).with_extension("idx")).unwrap();
    };
    let interrupted: [(&str, Interrupt<'_>); 10] = [
        ("behind the record", &with_record),
        ("while the tail was copied", &|dir| {
            with_record(dir);
            fs::create_dir(dir.join("quarantine")).unwrap();
            fs::write(dir.join(format!("{}.unfinished", tail.name)), "half of").unwrap();
        }),
        ("behind the copy", &with_copy),
        ("when the last segment was moved", &|dir| with_moved(dir, 1)),
        ("when all were moved", &|dir| with_moved(dir, all)),
        ("when the index of the cut segment was deleted", &with_all_moved),
        ("while the tail was cleared", &|dir| {
            with_all_moved(dir);
            write(dir, &vec![0; 100_000], tail.offset);
        }),
        ("when it was cleared", &|dir| {
            with_all_moved(dir);
            write(dir, &vec![0; tail.bytes as usize], tail.offset);
        }),
        ("while the seal was written", &|dir| {
            with_all_moved(dir);
            write(dir, &vec![0; tail.bytes as usize], tail.offset);
            let mut seal = [0; 64];
            File::open(done.join(name)).unwrap().read_exact_at(&mut seal, tail.offset).unwrap();
            write(dir, &seal[8..40], tail.offset + 8);
        }),
        ("behind the seal", &|dir| {
            with_all_moved(dir);
            fs::copy(done.join(name), dir.join(name)).unwrap();
            fs::copy(done.join(name).with_extension("idx"), dir.join(name).with_extension("idx")).unwrap();
        }),
    ];
    let is_bytes =
        |name: &String| name.ends_with(".pawl") || name.ends_with(".tail") || name.ends_with(".idx");
    let bytes_of = |dir: &Path| -> BTreeMap<String, Vec<u8>> {
        contents(dir).into_iter().filter(|(name, _)| is_bytes(name)).collect()
    };
    let expected = bytes_of(&done);
    for (when, interrupt) in interrupted {
        let (_home, dir) = copy(&damaged);
        interrupt(&dir);
        let plan = planned(&dir);
        let repaired = plan.carry_out(Consent::Flag, &mut |_, _| {}).unwrap();
        assert_eq!(repaired.verified.findings, [], "{when}");
        if when == "when it was cleared" {
            // Nothing is left to be seen: the next writer seals it, as it seals what a crash leaves.
            assert!(plan.is_empty());
        } else {
            let found = bytes_of(&dir);
            assert_eq!(found.keys().collect::<Vec<_>>(), expected.keys().collect::<Vec<_>>(), "{when}");
            for (name, bytes) in &found {
                assert!(*bytes == expected[name], "{when}: {name}");
            }
        }
        goes_on(&dir, lost - 1);
    }
}

#[test]
fn a_segment_that_still_has_a_spares_name_is_not_forgotten() {
    let (_home, dir) = sealed();
    let files = segments(&dir);
    let turn = fs::read(&files[files.len() - 1]).unwrap();
    let index = u64::from_le_bytes(turn[48..56].try_into().unwrap());
    let spare = dir.join(format!("spare-{index:020}.pawl"));
    fs::rename(&files[files.len() - 1], &spare).unwrap();
    let lost = step_at(&dir, &files[1], 200_000);
    flip(&files[1], 200_000);
    let before = fs::read(&spare).unwrap();
    let repaired = carried_out(&dir, Consent::Flag);
    let kept = repaired.quarantined.iter().any(|it| fs::read(dir.join(&it.name)).unwrap() == before);
    assert!(kept && !spare.exists());
    goes_on(&dir, lost - 1);
}

#[test]
fn a_spare_that_holds_steps_is_kept_although_nothing_says_where_it_belongs() {
    let (_home, dir) = sealed();
    let files = segments(&dir);
    let (last, before_last) = (&files[files.len() - 1], &files[files.len() - 2]);
    let bytes = fs::read(last).unwrap();
    let index = u64::from_le_bytes(bytes[48..56].try_into().unwrap());
    let spare = dir.join(format!("spare-{index:020}.pawl"));
    fs::rename(last, &spare).unwrap();
    destroy(before_last);
    let repaired = carried_out(&dir, Consent::Flag);
    let it = repaired.quarantined.iter().find(|it| it.name.contains("/spare-")).unwrap();
    assert!(fs::read(dir.join(&it.name)).unwrap() == bytes && !spare.exists());
    goes_on(&dir, first_of(before_last) - 1);
}

#[derive(Debug, Clone, Copy)]
enum End {
    Dropped,
    Sealed,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_was_damaged_a_repair_leaves_a_clean_prefix_and_agrees_with_recovery(
        patches in prop::collection::vec(
            (any::<prop::sample::Index>(), prop_oneof![0_u64..5_000, 0_u64..1_048_000], 1_usize..600, any::<u8>()), 1..4),
        removed in prop::option::weighted(0.2, any::<prop::sample::Index>()),
        cut in prop::option::weighted(0.2, (any::<prop::sample::Index>(), 0_u64..1_048_576)),
        end in prop_oneof![Just(End::Dropped), Just(End::Sealed)],
        steps in 100_u64..9_000,
    ) {
        let (_home, dir) = journal(steps / 2);
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        append(&mut appender, steps - steps / 2);
        if matches!(end, End::Sealed) {
            appender.seal(SealReason::Ended).unwrap();
        }
        drop(appender);
        let files = segments(&dir);
        for (file, offset, len, byte) in &patches {
            patch(&files[file.index(files.len())], *offset, &vec![*byte; *len]);
        }
        if let Some((file, len)) = cut {
            File::options().write(true).open(file.get(&files)).unwrap().set_len(len).unwrap();
        }
        if let Some(file) = removed {
            fs::remove_file(file.get(&files)).unwrap();
        }
        let before = contents(&dir);
        let plan = match plan(&dir, &mut |_, _| {}) {
            Ok(plan) => plan,
            Err(JournalError::NoJournal { .. }) => {
                prop_assert!(contents(&dir) == before);
                return Ok(());
            }
            Err(error) => panic!("{error}"),
        };
        let (_other, other) = copy(&dir);
        match Appender::create_or_open(&other, &SMALL) {
            Ok(appender) if plan.is_recovery => {
                prop_assert_eq!(appender.recovered().last_sequence, plan.kept_until);
            }
            Ok(_) => {}
            Err(error) => {
                prop_assert!(!plan.is_recovery && (plan.needs_consent || !plan.mended.is_empty()), "{}", error);
            }
        }
        let repaired = plan.carry_out(Consent::Flag, &mut |_, _| {}).unwrap();
        prop_assert_eq!(&repaired.verified.findings, &[]);
        prop_assert_eq!(repaired.verified.last_sequence, plan.kept_until);
        assert_kept(&dir, &before, &repaired);
        let first = plan.begins_at.map_or(1, |first| first.0);
        goes_on_from(&dir, first, plan.kept_until.0.max(first - 1));
    }
}
