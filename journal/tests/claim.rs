//! The claim: what a look at a journal changes before the first byte is written, which is nothing but what a crash left.

#![expect(clippy::unwrap_used, reason = "a situation that cannot be set up fails its test")]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use pawl_journal::log::{Appender, Claim, JournalError, Reader, SealReason};
use pawl_journal::record::Sequence;
use tempfile::TempDir;

#[path = "log/support.rs"]
mod support;

use support::{SMALL, append, check, journal, read_all, segments};

/// Everything below a directory: files with their bytes, folders without.
fn contents(dir: &Path) -> BTreeMap<String, Option<Vec<u8>>> {
    let mut found = BTreeMap::new();
    let mut folders = vec![dir.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let bytes = (!path.is_dir()).then(|| fs::read(&path).unwrap());
            found.insert(path.strip_prefix(dir).unwrap().to_str().unwrap().to_owned(), bytes);
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found
}

/// A journal of several turns and segments that ended in order.
fn sealed() -> (TempDir, std::path::PathBuf) {
    let (home, dir) = journal(0);
    for count in [20_000, 0, 300] {
        let mut appender = Appender::create_or_open(&dir, &SMALL).unwrap();
        append(&mut appender, count);
        appender.seal(SealReason::Ended).unwrap();
    }
    (home, dir)
}

#[test]
fn a_claim_that_is_dropped_leaves_a_sealed_journal_byte_for_byte_as_it_was() {
    let (_home, dir) = sealed();
    let before = contents(&dir);
    for _ in 0..3 {
        let claim = Claim::take(&dir, &SMALL).unwrap();
        assert_eq!((claim.next_sequence(), claim.recovered().was_clean), (Sequence(20_301), true));
        assert!(matches!(Claim::take(&dir, &SMALL), Err(JournalError::Locked { .. })), "it is taken");
        assert_eq!(read_all(&dir), 20_300, "and can be read meanwhile");
        drop(claim);
        assert!(contents(&dir) == before);
    }
    let mut appender = Claim::take(&dir, &SMALL).unwrap().begin().unwrap();
    append(&mut appender, 10);
    drop(appender);
    assert_eq!((read_all(&dir), check(&dir).findings), (20_310, vec![]));
}

#[test]
fn a_claim_that_is_dropped_leaves_a_crashed_journal_recovered_and_nothing_more() {
    let (_home, dir) = journal(5_000);
    let file = segments(&dir).pop().unwrap();
    let end = {
        let mut reader = Reader::open(&dir).unwrap();
        reader.seek(Sequence(5_000)).unwrap();
        let frame = reader.next().unwrap().unwrap();
        frame.offset() + frame.step().bytes().len().next_multiple_of(32) as u64
    };
    File::options().write(true).open(&file).unwrap().write_all_at(&[0xA5; 100], end + 8).unwrap();
    let before = contents(&dir);
    let recovered = Claim::take(&dir, &SMALL).unwrap().recovered();
    assert!(recovered.quarantined_bytes >= 100 && !recovered.was_clean);
    let after = contents(&dir);
    let new: Vec<_> = after.keys().filter(|name| !before.contains_key(*name)).collect();
    let is_recovery = |name: &&&String| name.starts_with("quarantine") || name.ends_with(".idx");
    assert!(!new.is_empty() && new.iter().all(|name| is_recovery(&name)), "{new:?}");
    // The next one finds it so, and does nothing.
    let again = Claim::take(&dir, &SMALL).unwrap().recovered();
    assert_eq!((again.quarantined_bytes, again.last_sequence, again.was_clean), (0, Sequence(5_000), false));
    assert!(contents(&dir) == after);
    assert_eq!((read_all(&dir), check(&dir).findings), (5_000, vec![]));
}

#[test]
fn a_refusal_leaves_the_directory_as_it_was() {
    let (_home, dir) = sealed();
    let files = segments(&dir);
    // A missing segment, a damaged header, damage in front of the last seal, none of its own lock's file.
    let (middle, last) = (fs::read(&files[1]).unwrap(), fs::read(files.last().unwrap()).unwrap());
    let spoil: [&dyn Fn(); 3] = [
        &|| fs::remove_file(&files[1]).unwrap(),
        &|| File::options().write(true).open(&files[1]).unwrap().write_all_at(&[9; 8], 40).unwrap(),
        &|| {
            fs::remove_file(files.last().unwrap().with_extension("idx")).unwrap();
            let file = File::options().write(true).open(files.last().unwrap()).unwrap();
            file.write_all_at(&[9; 8], 5_000).unwrap();
        },
    ];
    for (which, spoil) in spoil.into_iter().enumerate() {
        spoil();
        for has_lock in [true, false] {
            if !has_lock {
                fs::remove_file(dir.join("LOCK")).unwrap();
            }
            let before = contents(&dir);
            let refused = Claim::take(&dir, &SMALL).unwrap_err();
            assert!(matches!(refused, JournalError::Damaged { .. }), "{which}: {refused}");
            assert!(contents(&dir) == before, "{which}");
        }
        fs::write(&files[1], &middle).unwrap();
        fs::write(files.last().unwrap(), &last).unwrap();
        drop(Claim::take(&dir, &SMALL).unwrap());
        fs::write(dir.join("LOCK"), "").unwrap();
    }
}

#[test]
fn a_claim_on_nothing_leaves_nothing_unless_it_is_begun() {
    let home = TempDir::new().unwrap();
    let (new, here) = (home.path().join("a/b/journal"), home.path().join("here"));
    fs::create_dir(&here).unwrap();
    let before = contents(home.path());
    for dir in [&new, &here] {
        let claim = Claim::take(dir, &SMALL).unwrap();
        assert_eq!(claim.next_sequence(), Sequence(1));
        drop(claim);
        assert!(contents(home.path()) == before);
    }
    // Somebody who is refused takes nothing away from the one who has it.
    let claim = Claim::take(&here, &SMALL).unwrap();
    let files = contents(&here);
    assert!(matches!(Claim::take(&here, &SMALL), Err(JournalError::Locked { .. })));
    assert!(contents(&here) == files);
    drop(claim);
    // What somebody else has put there meanwhile stays.
    let claim = Claim::take(&new, &SMALL).unwrap();
    fs::write(new.parent().unwrap().join("note"), "mine").unwrap();
    drop(claim);
    assert!(!new.exists() && new.parent().unwrap().join("note").exists());
    drop(Claim::take(&new, &SMALL).unwrap().begin().unwrap());
    assert_eq!(check(&new).findings, []);
    assert!(new.join("LOCK").exists());
}
