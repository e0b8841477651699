//! What is refused, and that a refusal changes nothing.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::thread;

use pawl_journal::log::{
    Appender, Damage, From, HeaderDamage, JournalError, JournalOptions, Reader, SealReason, Tailer, verify,
};
use pawl_journal::record::{Sequence, Step};
use rustix::process::geteuid;
use rustix::thread::set_thread_res_uid;
use tempfile::TempDir;

use crate::support::{SMALL, append, assert_is, build, check, journal, read_all, segments};

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_second_writer_is_refused_while_the_first_one_lives() {
    let (_home, dir) = journal(3);
    let tailer = Tailer::open(&dir, From::Start).unwrap();
    assert!(!tailer.writer_alive());
    let first = Appender::create_or_open(&dir, &SMALL).unwrap();
    assert!(tailer.writer_alive());
    let refused = Appender::create_or_open(&dir, &SMALL).unwrap_err();
    assert!(matches!(&refused, JournalError::Locked { dir: told } if *told == dir), "{refused}");
    drop(first);
    assert!(!tailer.writer_alive());
    assert_eq!(Appender::create_or_open(&dir, &SMALL).unwrap().next_sequence(), Sequence(4));
}

#[test]
fn followers_that_ask_for_the_writer_do_not_keep_one_out() {
    let (_home, dir) = journal(1);
    let tailer = Tailer::open(&dir, From::Start).unwrap();
    let ended = std::sync::atomic::AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(std::sync::atomic::Ordering::Relaxed) {
                std::hint::black_box(tailer.writer_alive());
            }
        });
        for _ in 0..20 {
            drop(Appender::create_or_open(&dir, &SMALL).unwrap());
        }
        ended.store(true, std::sync::atomic::Ordering::Relaxed);
    });
}

#[test]
fn a_directory_that_holds_something_else_is_refused_and_left_alone() {
    let home = TempDir::new().unwrap();
    fs::write(home.path().join("notes.txt"), "mine").unwrap();
    fs::create_dir(home.path().join("snapshots")).unwrap();
    let refused = Appender::create_or_open(home.path(), &SMALL).unwrap_err();
    assert!(matches!(&refused, JournalError::NotAJournal { holds, .. } if holds == "notes.txt"), "{refused}");
    let refused = verify(home.path(), &mut |_, _| {}).unwrap_err();
    assert!(matches!(refused, JournalError::NotAJournal { .. }), "{refused}");
    assert_eq!(names(home.path()), ["notes.txt", "snapshots"]);
    let file = home.path().join("notes.txt");
    let refused = Appender::create_or_open(&file, &SMALL).unwrap_err();
    assert!(matches!(&refused, JournalError::NotADirectory { path } if *path == file), "{refused}");
}

#[test]
fn a_directory_that_holds_only_what_is_ours_becomes_a_journal() {
    let home = TempDir::new().unwrap();
    for folder in ["snapshots", "quarantine"] {
        fs::create_dir(home.path().join(folder)).unwrap();
    }
    for file in ["LOCK", "ctl.sock", "00000000000000000001.idx", "spare-00000000000000000009.pawl"] {
        fs::write(home.path().join(file), "").unwrap();
    }
    append(&mut Appender::create_or_open(home.path(), &SMALL).unwrap(), 2);
    assert_eq!(read_all(home.path()), 2);
    assert!(!names(home.path()).iter().any(|name| name.starts_with("spare-")));
}

#[test]
fn no_journal_is_not_an_empty_journal() {
    let home = TempDir::new().unwrap();
    for dir in [home.path().to_path_buf(), home.path().join("nowhere")] {
        assert!(matches!(Reader::open(&dir), Err(JournalError::NoJournal { .. })));
        assert!(matches!(Tailer::open(&dir, From::Now), Err(JournalError::NoJournal { .. })));
        assert!(matches!(verify(&dir, &mut |_, _| {}), Err(JournalError::NoJournal { .. })));
    }
    assert_eq!(names(home.path()), [""; 0]);
}

#[test]
fn a_file_system_without_honest_files_is_refused_by_name() {
    let refused = Appender::create_or_open(Path::new("/proc/self"), &SMALL).unwrap_err();
    assert!(
        matches!(&refused, JournalError::UnsupportedFileSystem { name, .. } if name == "proc"),
        "{refused}"
    );
}

#[test]
fn segment_sizes_that_the_format_excludes_are_refused() {
    let home = TempDir::new().unwrap();
    for segment_bytes in [0, 4096, (1 << 20) - 4096, (1 << 20) + 1, (1 << 32) + 4096] {
        let refused = Appender::create_or_open(
            home.path(),
            &JournalOptions { segment_bytes, ..JournalOptions::default() },
        )
        .unwrap_err();
        assert!(matches!(refused, JournalError::SegmentBytes { .. }), "{refused}");
    }
    assert_eq!(names(home.path()), [""; 0]);
}

#[test]
fn a_journal_that_may_not_be_written_can_still_be_read() {
    let (_home, dir) = journal(5_000);
    fs::set_permissions(dir.parent().unwrap(), fs::Permissions::from_mode(0o755)).unwrap();
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o555)).unwrap();
    for file in segments(&dir).iter().chain([&dir.join("LOCK")]) {
        fs::set_permissions(file, fs::Permissions::from_mode(0o444)).unwrap();
    }
    thread::scope(|scope| {
        scope.spawn(|| {
            if geteuid().is_root() {
                // Root may write anything. On Linux a thread has its own user: this one becomes nobody.
                let nobody = rustix::fs::Uid::from_raw(65_534);
                set_thread_res_uid(nobody, nobody, nobody).unwrap();
            }
            assert_eq!(read_all(&dir), 5_000);
            assert_eq!(check(&dir).findings, []);
            let mut tailer = Tailer::open(&dir, From::Sequence(Sequence(4_999))).unwrap();
            assert_is(&tailer.poll().unwrap().unwrap(), 4_999);
            assert!(!tailer.writer_alive());
            let refused = Appender::create_or_open(&dir, &SMALL).unwrap_err();
            assert!(matches!(refused, JournalError::NotWritable { .. }), "{refused}");
            let refused = Appender::create_or_open(&dir.join("new"), &SMALL).unwrap_err();
            assert!(matches!(refused, JournalError::NotWritable { .. }), "{refused}");
        });
    });
    fs::set_permissions(&dir, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn a_missing_segment_in_the_middle_is_a_refusal_for_everybody() {
    let (_home, dir) = journal(20_000);
    let files = segments(&dir);
    let gone: u64 = files[1].file_stem().unwrap().to_str().unwrap().parse().unwrap();
    fs::remove_file(&files[1]).unwrap();
    let refused = Appender::create_or_open(&dir, &SMALL).unwrap_err();
    assert!(
        matches!(refused, JournalError::Damaged { what: Damage::Header(HeaderDamage::Chain(_)), .. }),
        "{refused}"
    );
    let mut reader = Reader::open(&dir).unwrap();
    let refused = loop {
        match reader.next() {
            Ok(frame) => assert!(frame.unwrap().sequence() < Sequence(gone)),
            Err(refused) => break refused,
        }
    };
    let expected = Damage::SegmentMissing { first_sequence: gone };
    assert!(matches!(refused, JournalError::Damaged { what, .. } if what == expected), "{refused}");
    let findings = check(&dir).findings;
    assert_eq!(findings.iter().map(|finding| finding.what).collect::<Vec<_>>(), [expected]);
}

#[test]
fn a_segment_of_another_journal_is_noticed() {
    let (_one, one) = journal(20_000);
    let (_two, two) = journal(20_000);
    let (from, to) = (&segments(&two)[2], &segments(&one)[2]);
    assert_eq!(from.file_name(), to.file_name());
    fs::copy(from, to).unwrap();
    let what = Damage::Header(HeaderDamage::Chain("another journal's id"));
    assert!(check(&one).findings.iter().any(|finding| finding.what == what));
    assert!(
        matches!(Appender::create_or_open(&one, &SMALL), Err(JournalError::Damaged { what: told, .. }) if told == what)
    );
}

#[test]
fn a_roll_that_fails_loses_nothing_and_may_be_tried_again() {
    let home = TempDir::new().unwrap();
    let mut appender = Appender::create_or_open(home.path(), &SMALL).unwrap();
    let in_the_way = home.path().join("spare-00000000000000000004.pawl");
    fs::create_dir(&in_the_way).unwrap();
    let mut step = Step::new();
    let refused = loop {
        build(&mut step, appender.next_sequence().0);
        if let Err(refused) = appender.append(&step) {
            break refused;
        }
    };
    assert!(matches!(&refused, JournalError::WrongKind { path, .. } if *path == in_the_way), "{refused}");
    let last = appender.next_sequence().0 - 1;
    assert!(last > 1_000);
    assert!(appender.append(&step).is_err());
    assert_eq!(read_all(home.path()), last);
    fs::remove_dir(&in_the_way).unwrap();
    appender.append(&step).unwrap();
    appender.seal(SealReason::Failed).unwrap();
    assert_eq!(read_all(home.path()), last + 1);
    assert_eq!(check(home.path()).findings, []);
}
