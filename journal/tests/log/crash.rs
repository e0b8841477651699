//! What a writer that died leaves, and what the next one makes of it. The states in between are laid out by hand,
//! byte for byte as an interrupted recovery or roll leaves them.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use pawl_journal::log::{Appender, Damage, From, Reader, SealReason, Tailer};
use pawl_journal::record::Sequence;
use tempfile::TempDir;

use crate::support::{SMALL, append, assert_is, check, journal, read_all, segments};

/// Where the frames of the last segment end.
fn end_of_frames(dir: &Path) -> u64 {
    let mut reader = Reader::open(dir).unwrap();
    reader.seek(reader.last_sequence().unwrap()).unwrap();
    let frame = reader.next().unwrap().unwrap();
    frame.offset() + frame.step().bytes().len().next_multiple_of(32) as u64
}

/// Leaves the bytes of an append that was interrupted before its commit: everything but the first word.
fn tear(dir: &Path) -> (PathBuf, u64) {
    let (file, end) = (segments(dir).pop().unwrap(), end_of_frames(dir));
    File::options().write(true).open(&file).unwrap().write_all_at(&[0xA5; 300], end + 8).unwrap();
    (file, end)
}

fn copy(from: &Path) -> (TempDir, PathBuf) {
    let home = TempDir::new().unwrap();
    let to = home.path().join("journal");
    copy_into(from, &to);
    (home, to)
}

fn copy_into(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_into(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Lays out what an interruption leaves in a journal's directory.
type Interrupt<'a> = &'a dyn Fn(&Path);

fn quarantine(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let Ok(entries) = fs::read_dir(dir.join("quarantine")) else { return BTreeMap::new() };
    entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap()))
        .collect()
}

#[test]
fn a_writer_that_died_between_steps_lost_nothing() {
    let (_home, dir) = journal(0);
    let mut expected = 0;
    for count in [1, 5_000, 0, 0, 3, 12_345] {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        let recovered = *appender.recovered();
        assert_eq!((recovered.last_sequence, recovered.quarantined_bytes), (Sequence(expected), 0));
        assert!(!recovered.was_clean);
        append(&mut appender, count);
        expected += count;
    }
    assert_eq!(read_all(&dir), expected);
    assert_eq!(check(&dir).findings, []);
}

#[test]
fn an_append_that_was_interrupted_goes_to_quarantine() {
    let (_home, dir) = journal(5_000);
    let (file, end) = tear(&dir);
    let findings = check(&dir).findings;
    assert_eq!(findings.len(), 1);
    assert!(
        matches!(findings[0].what, Damage::Tail { bytes } if (300..=320).contains(&bytes)),
        "{}",
        findings[0]
    );
    assert_eq!((&findings[0].file, findings[0].offset, findings[0].sequence), (&file, end, Sequence(5_001)));
    assert_eq!(read_all(&dir), 5_000);

    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    let recovered = *appender.recovered();
    assert_eq!((recovered.last_sequence, recovered.was_clean), (Sequence(5_000), false));
    assert!((300..=320).contains(&recovered.quarantined_bytes));
    append(&mut appender, 10);
    drop(appender);
    assert_eq!(read_all(&dir), 5_010);
    assert_eq!(check(&dir).findings, []);
    let kept = quarantine(&dir);
    assert_eq!(kept.len(), 1);
    let bytes = kept.values().next().unwrap();
    assert_eq!(bytes.len() as u64, recovered.quarantined_bytes);
    assert_eq!((&bytes[..8], &bytes[8..308]), (&[0; 8][..], &[0xA5; 300][..]));
}

#[test]
fn recovery_that_was_interrupted_anywhere_ends_the_same() {
    let (_home, torn) = journal(4_000);
    let (file, end) = tear(&torn);
    let name = file.file_name().unwrap();
    let (_done_home, done) = copy(&torn);
    drop(Appender::create_or_open(&done, &SMALL).unwrap());
    let kept = quarantine(&done);
    assert_eq!(kept.len(), 1);
    let write = |dir: &Path, bytes: &[u8], at: u64| {
        File::options().write(true).open(dir.join(name)).unwrap().write_all_at(bytes, at).unwrap();
    };
    let with_copy = |dir: &Path| copy_into(&done.join("quarantine"), &dir.join("quarantine"));
    let interrupted: [(&str, Interrupt<'_>); 8] = [
        ("before anything", &|_| {}),
        ("while the copy was made", &|dir| {
            fs::create_dir(dir.join("quarantine")).unwrap();
            let unfinished = format!("quarantine/{}.unfinished", kept.keys().next().unwrap());
            fs::write(dir.join(unfinished), "half of").unwrap();
        }),
        ("behind the copy", &with_copy),
        ("while the tail was cleared", &|dir| {
            with_copy(dir);
            write(dir, &[0; 100], end);
        }),
        ("when the tail was cleared", &|dir| {
            with_copy(dir);
            write(dir, &[0; 320], end);
        }),
        ("while the seal was written", &|dir| {
            with_copy(dir);
            write(dir, &[0; 320], end);
            let mut seal = [0; 64];
            File::open(done.join(name)).unwrap().read_exact_at(&mut seal, end).unwrap();
            write(dir, &seal[8..40], end + 8);
        }),
        ("behind the seal", &|dir| {
            with_copy(dir);
            fs::copy(done.join(name), dir.join(name)).unwrap();
        }),
        ("while the next segment was made", &|dir| {
            with_copy(dir);
            fs::copy(done.join(name), dir.join(name)).unwrap();
            fs::write(dir.join("spare-00000000000000000002.pawl"), "half of it").unwrap();
        }),
    ];
    for (when, interrupt) in interrupted {
        let (_home, dir) = copy(&torn);
        interrupt(&dir);
        for round in 0..2 {
            let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
            assert_eq!(appender.recovered().last_sequence, Sequence(4_000 + round), "{when}");
            assert!(!appender.recovered().was_clean, "{when}");
            append(&mut appender, 1);
        }
        assert_eq!(read_all(&dir), 4_002, "{when}");
        assert_eq!(check(&dir).findings, [], "{when}");
        let mut quarantined = quarantine(&dir);
        quarantined.retain(|name, _| !name.ends_with(".unfinished"));
        assert_eq!(quarantined.keys().collect::<Vec<_>>(), kept.keys().collect::<Vec<_>>(), "{when}");
        assert_eq!(quarantined, kept, "{when}");
    }
}

#[test]
fn a_roll_that_was_interrupted_is_finished_by_the_next_writer() {
    let (_home, dir) = journal(0);
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    while appender.watermarks().statistics().rolls < 1 {
        append(&mut appender, 1);
    }
    let last = appender.next_sequence().0 - 1;
    drop(appender);
    let files = segments(&dir);
    let second = File::options().read(true).write(true).open(&files[1]).unwrap();
    let mut used = [0; 8];
    second.read_exact_at(&mut used, 104).unwrap();
    let seal_at = u64::from_le_bytes(used) - 64;
    // The first step of the second segment is not there yet, and neither is the seal of the first one.
    second.write_all_at(&[0; 1024], 4096).unwrap();
    let first = File::options().read(true).write(true).open(&files[0]).unwrap();
    let mut seal = [0; 64];
    first.read_exact_at(&mut seal, seal_at).unwrap();
    first.write_all_at(&[0; 64], seal_at).unwrap();
    assert_eq!(check(&dir).findings, []);
    assert_eq!(read_all(&dir), last - 1);

    let mut tailer = Tailer::open(&dir, From::Now).unwrap();
    let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
    assert_eq!(appender.next_sequence(), Sequence(last));
    append(&mut appender, 2);
    let mut again = [0; 64];
    first.read_exact_at(&mut again, seal_at).unwrap();
    assert_eq!(seal, again);
    assert_is(&tailer.poll().unwrap().unwrap(), last);
    assert_is(&tailer.poll().unwrap().unwrap(), last + 1);
    assert_eq!(read_all(&dir), last + 1);
    assert_eq!(check(&dir).findings, []);
}

#[test]
fn a_tailer_goes_on_across_every_way_a_writer_can_end() {
    let (_home, dir) = journal(0);
    let mut tailer = Tailer::open(&dir, From::Start).unwrap();
    let mut seen = 0;
    for turn in 0..12 {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        assert!(tailer.poll().unwrap().is_none());
        let count = [1, 6_000, 0, 40][turn % 4];
        append(&mut appender, count);
        let torn = turn % 3 == 1 && count > 0;
        if turn % 3 == 0 {
            appender.seal(SealReason::Ended).unwrap();
        }
        drop(appender);
        if torn {
            tear(&dir);
        }
        for _ in 0..count {
            seen += 1;
            assert_is(&tailer.poll().unwrap().unwrap(), seen);
        }
        assert!(tailer.poll().unwrap().is_none());
        assert!(!tailer.writer_alive());
    }
    assert_eq!(read_all(&dir), seen);
    assert_eq!(check(&dir).findings, []);
}
