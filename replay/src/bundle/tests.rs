//! Hostile bundles: each ends as a bundle does, and is refused for what is in it, with nothing written elsewhere.

use std::fs;
use std::path::{Path, PathBuf};

use pawl_journal::log::{Appender, JournalOptions, Reader, SealReason};
use pawl_journal::record::{Sequence, Step, Time, Timer};
use sha2::{Digest as _, Sha256};
use tar::EntryType;
use tempfile::TempDir;

use super::manifest::{FORMAT, FileTold, MANIFEST, Manifest};
use super::{BundleError, END_HEAD, JOURNAL, check_journal, hex, unpack};

const SETTINGS: &str = "settings.json";
const ENVIRONMENT: &str = "environment.json";
const ROOM: u64 = 1 << 30;

/// One entry of an archive: what its header says, and what follows.
#[derive(Clone)]
struct Entry {
    path: String,
    kind: EntryType,
    said_bytes: u64,
    content: Vec<u8>,
}

fn entry(path: &str, content: &[u8]) -> Entry {
    Entry {
        path: path.to_owned(),
        kind: EntryType::Regular,
        said_bytes: content.len() as u64,
        content: content.to_vec(),
    }
}

fn told(path: &str, content: &[u8]) -> FileTold {
    FileTold { path: path.to_owned(), bytes: content.len() as u64, sha256: hex(&Sha256::digest(content)) }
}

fn manifest(files: Vec<FileTold>) -> Manifest {
    Manifest {
        format: FORMAT,
        journal_id: "00".repeat(16),
        first_step: 1,
        last_step: 1,
        replay_from: 1,
        build: String::new(),
        build_hash: String::new(),
        bundled_by: String::new(),
        platform: String::new(),
        snapshot: None,
        files,
    }
}

/// Writes a file that ends as a bundle does, and tries to unpack it; gives the message, or the names of what is there.
fn tried(entries: &[Entry], room: u64) -> Result<Vec<String>, String> {
    let home = TempDir::new().unwrap();
    let file = home.path().join("b.pawl");
    let mut archive = tar::Builder::new(Vec::new());
    for it in entries {
        let mut header = tar::Header::new_gnu();
        // Past what the library would refuse to write.
        let name = &mut header.as_gnu_mut().unwrap().name;
        name[..it.path.len()].copy_from_slice(it.path.as_bytes());
        header.set_size(it.said_bytes);
        header.set_entry_type(it.kind);
        if it.kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        archive.append(&header, it.content.as_slice()).unwrap();
    }
    let mut bytes = zstd::encode_all(archive.into_inner().unwrap().as_slice(), 1).unwrap();
    let hash = Sha256::digest(&bytes);
    bytes.extend(END_HEAD);
    bytes.extend(hash);
    fs::write(&file, bytes).unwrap();
    let into = home.path().join("in");
    fs::create_dir(&into).unwrap();
    let unpacked = unpack(&file, &into, room, |_, _| {});
    let outside: Vec<_> = fs::read_dir(home.path()).unwrap().flatten().map(|it| it.file_name()).collect();
    assert_eq!(outside.len(), 2, "nothing is written elsewhere: {outside:?}");
    unpacked.map(|_| names(&into)).map_err(|error| error.to_string())
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().flatten().map(|it| it.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// The entries of a sound bundle, whose manifest says `files`.
fn bundle(files: Vec<FileTold>, more: &[Entry]) -> Vec<Entry> {
    let text = serde_json::to_vec(&manifest(files)).unwrap();
    [&[entry(MANIFEST, &text)], more].concat()
}

#[test]
fn a_sound_one_is_unpacked() {
    let files = vec![told(ENVIRONMENT, b"{}"), told(SETTINGS, &[0; 700_000])];
    let entries = bundle(files, &[entry(ENVIRONMENT, b"{}"), entry(SETTINGS, &[0; 700_000])]);
    assert_eq!(tried(&entries, ROOM).unwrap(), [ENVIRONMENT, SETTINGS]);
}

#[test]
fn a_path_out_of_the_directory_is_refused_in_the_manifest_and_in_the_archive() {
    for path in ["../evil", "/tmp/evil", "journal/../../evil", "models/../../evil/model.onnx", "evil"] {
        let named = bundle(vec![told(path, b"x")], &[entry(path, b"x")]);
        assert!(tried(&named, ROOM).unwrap_err().contains("no place in a bundle"), "{path}");
        let smuggled = bundle(vec![told(SETTINGS, b"x")], &[entry(path, b"x")]);
        assert!(tried(&smuggled, ROOM).unwrap_err().contains("stands where"), "{path}");
    }
}

#[test]
fn what_is_no_regular_file_is_refused() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Fifo,
        EntryType::Char,
        EntryType::GNULongName,
        EntryType::XHeader,
    ] {
        let link = Entry { kind, ..entry(SETTINGS, b"") };
        let refused = tried(&bundle(vec![told(SETTINGS, b"")], &[link]), ROOM).unwrap_err();
        assert!(refused.contains("no regular file"), "{kind:?}: {refused}");
    }
}

#[test]
fn more_less_twice_or_another_content_than_the_manifest_says_is_refused() {
    let (one, two) = (entry(ENVIRONMENT, b"{}"), entry(SETTINGS, b"{}"));
    let files = || vec![told(ENVIRONMENT, b"{}"), told(SETTINGS, b"{}")];
    let refused = |files, entries: &[Entry]| tried(&bundle(files, entries), ROOM).unwrap_err();
    assert!(refused(files(), std::slice::from_ref(&one)).contains("settings.json is missing"));
    assert!(refused(files(), &[two.clone(), one.clone()]).contains("stands where"));
    assert!(refused(files(), &[one.clone(), two.clone(), two.clone()]).contains("more in it"));
    assert!(refused(vec![told(SETTINGS, b"{}"); 2], &[two.clone(), two.clone()]).contains("twice"));
    assert!(refused(files(), &[one.clone(), entry(SETTINGS, b"[]")]).contains("SHA-256"));
    assert!(refused(files(), &[one.clone(), entry(SETTINGS, b"{ }")]).contains("has not the 2 bytes"));
    let lying = Entry { said_bytes: 1 << 40, ..two.clone() };
    assert!(refused(files(), &[one, lying]).contains("has not the 2 bytes"));
    assert!(tried(std::slice::from_ref(&two), ROOM).unwrap_err().contains("stands where"));
    assert!(tried(&[], ROOM).unwrap_err().contains("empty"));
    assert!(tried(&[entry(MANIFEST, b"nonsense")], ROOM).unwrap_err().contains("no JSON"));
    assert!(tried(&[entry(MANIFEST, b"{}")], ROOM).unwrap_err().contains("its manifest is none"));
    let cut_off = Entry { said_bytes: 1 << 20, ..two };
    let files = vec![FileTold { bytes: 1 << 20, ..told(SETTINGS, b"{}") }];
    assert!(refused(files, &[cut_off]).contains("damaged"));
}

#[test]
fn sizes_beyond_all_reason_are_refused_before_anything_is_written() {
    let huge = |bytes| FileTold { bytes, ..told(SETTINGS, b"{}") };
    let refused = tried(&bundle(vec![huge(u64::MAX)], &[]), ROOM).unwrap_err();
    assert!(refused.contains("it says that"), "{refused}");
    let refused = tried(&bundle(vec![huge(ROOM + 1)], &[]), ROOM).unwrap_err();
    assert!(refused.contains("there is room for 1073741824") && refused.contains("TMPDIR"), "{refused}");
    let lying = Entry { said_bytes: u64::MAX >> 8, ..entry(MANIFEST, b"{}") };
    assert!(tried(&[lying], ROOM).unwrap_err().contains("its manifest has"));
}

#[test]
fn a_later_format_is_told_as_one() {
    let mut later = serde_json::to_value(manifest(Vec::new())).unwrap();
    later["format"] = (FORMAT + 1).into();
    later["tomorrow"] = true.into();
    let refused = tried(&[entry(MANIFEST, later.to_string().as_bytes())], ROOM).unwrap_err();
    assert!(refused.contains("format 2") && refused.contains("use the version"), "{refused}");
}

#[test]
fn every_flipped_bit_every_missing_end_and_every_tail_is_noticed() {
    let home = TempDir::new().unwrap();
    let file = home.path().join("b.pawl");
    let files = vec![told(SETTINGS, b"{\"a\":1}")];
    let text = serde_json::to_vec(&manifest(files)).unwrap();
    let mut archive = tar::Builder::new(Vec::new());
    for (path, content) in [(MANIFEST, text.as_slice()), (SETTINGS, b"{\"a\":1}")] {
        let mut header = tar::Header::new_ustar();
        header.set_path(path).unwrap();
        header.set_size(content.len() as u64);
        header.set_cksum();
        archive.append(&header, content).unwrap();
    }
    let mut whole = zstd::encode_all(archive.into_inner().unwrap().as_slice(), 1).unwrap();
    let hash = Sha256::digest(&whole);
    whole.extend(END_HEAD);
    whole.extend(hash);
    let mut tries = 0;
    let mut tried = |bytes: &[u8]| {
        fs::write(&file, bytes).unwrap();
        tries += 1;
        let into: PathBuf = home.path().join(tries.to_string());
        fs::create_dir(&into).unwrap();
        let unpacked = unpack(&file, &into, ROOM, |_, _| {});
        assert!(unpacked.is_ok() || names(&into).is_empty(), "nothing is unpacked of what is damaged");
        unpacked
    };
    tried(&whole).unwrap();
    for at in 0..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1 << (at % 8);
        let refused = tried(&bytes).unwrap_err();
        assert!(
            matches!(refused, BundleError::Damaged { .. } | BundleError::NotABundle { .. }),
            "byte {at}: {refused}"
        );
        assert!(tried(&whole[..at]).is_err(), "cut at {at}");
    }
    assert!(tried(&[whole.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn a_manifest_that_tells_of_another_journal_is_refused() {
    let home = TempDir::new().unwrap();
    let journal = home.path().join(JOURNAL);
    let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::default() };
    let mut appender = Appender::create_or_open(&journal, &options).unwrap();
    let mut step = Step::new();
    for sequence in 1..=9 {
        step.begin(Sequence(sequence), Time(1));
        step.push(&Timer::default());
        appender.append(&step).unwrap();
    }
    appender.seal(SealReason::Ended).unwrap();
    let right = Manifest {
        journal_id: hex(&Reader::open(&journal).unwrap().journal_id()),
        last_step: 9,
        ..manifest(Vec::new())
    };
    let file = Path::new("b.pawl");
    check_journal(file, home.path(), &right).unwrap();
    let wrong: [fn(&mut Manifest); 6] = [
        |it| it.journal_id = "00".repeat(16),
        |it| it.first_step = 2,
        |it| it.last_step = 8,
        |it| it.last_step = u64::MAX,
        |it| it.replay_from = 0,
        |it| it.replay_from = 11,
    ];
    for change in wrong {
        let mut told = right.clone();
        change(&mut told);
        let message = check_journal(file, home.path(), &told).unwrap_err().to_string();
        assert!(message.contains("b.pawl") && message.contains("in it are steps 1 to 9"), "{message}");
    }
    fs::remove_dir_all(&journal).unwrap();
    let message = check_journal(file, home.path(), &right).unwrap_err().to_string();
    assert!(message.contains("its journal cannot be read"), "{message}");
}
