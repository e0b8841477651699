//! Golden journals: what released versions wrote, whole and damaged, is read for ever and judged as it always was.
//!
//! The journals lie gzipped in `golden/`; `golden/make.py` says how each was made. A row of the table says what
//! `verify`, a `Reader` and the next writer make of one. A new case is a directory there and a row here.

#![expect(clippy::unwrap_used, reason = "a situation that cannot be set up fails its test")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;
use pawl_journal::log::{
    Appender, Damage, Durability, HeaderDamage, JournalError, JournalOptions, Reader, verify,
};
use pawl_journal::record::{RunEnded, Sequence, Step};
use tempfile::TempDir;

/// Something wrong: first sequence of the segment (its name), offset, sequence, what.
type Place = (u64, u64, u64, Damage);

/// A newer format: first sequence of the segment (its name), and what is needed.
type Newer = (u64, &'static str);

/// One golden journal and what is said of it.
struct Case {
    /// Its directory: format version and name.
    name: &'static str,
    /// What `verify` says.
    verified: Verified,
    /// How many steps a `Reader` gives, and what it says then.
    read: (u64, End),
    /// What the next writer does.
    written: Writer,
}

#[derive(Debug, PartialEq)]
enum Verified {
    /// Steps, their output hash, whether the end is sealed, and what is wrong.
    Judged(u64, u64, bool, Vec<Place>),
    /// It does not judge a newer format.
    Refused(Newer),
}

#[derive(Debug, PartialEq)]
enum End {
    /// The journal ends here.
    Whole,
    /// Its bytes are not what was written.
    Damaged(Place),
    /// It goes on in a newer format.
    Newer(Newer),
}

#[derive(Debug, PartialEq)]
enum Writer {
    /// It goes on behind this step, with this many bytes moved to quarantine, and says whether the end was in order.
    GoesOn(u64, u64, bool),
    /// It refuses.
    Refuses(End),
}

const SEALED: bool = true;
const OPEN: bool = false;
const CLEAN: bool = true;
const CRASHED: bool = false;

/// Hash of the two short turns that most cases are made from.
const PAIR: u64 = 0x11c1_2628_8866_12ad;

/// The same without its last step.
const PAIR_LESS_ONE: u64 = 0xe8fa_900d_b7fa_9e9d;

fn whole(name: &'static str, steps: u64, hash: u64, seal: bool) -> Case {
    Case {
        name,
        verified: Verified::Judged(steps, hash, seal, vec![]),
        read: (steps, End::Whole),
        written: Writer::GoesOn(steps, 0, seal),
    }
}

fn newer(name: &'static str, steps: u64, what: Newer) -> Case {
    Case {
        name,
        verified: Verified::Refused(what),
        read: (steps, End::Newer(what)),
        written: Writer::Refuses(End::Newer(what)),
    }
}

fn damaged(
    name: &'static str,
    (steps, hash, seal, finding): (u64, u64, bool, Place),
    read: (u64, End),
    written: Writer,
) -> Case {
    Case { name, verified: Verified::Judged(steps, hash, seal, vec![finding]), read, written }
}

/// What every golden journal is worth.
fn cases() -> Vec<Case> {
    [cases_of_1_0(), cases_of_1_1()].into_iter().flatten().collect()
}

fn cases_of_1_0() -> Vec<Case> {
    let checksum = |stored, computed| Damage::FrameChecksum { stored, computed };
    let missing = |first_sequence| Damage::SegmentMissing { first_sequence };
    let flipped = (25, 7936, 37, checksum(0xb08f_1dc5, 0xa57d_babb));
    let header = (25, 0, 25, Damage::Header(HeaderDamage::Checksum));
    let page = (25, 10_048, 48, checksum(0xa144_65a9, 0xe878_188e));
    let short = Damage::Truncated { expected: 1 << 20, found: 7976 };
    let chain = Damage::Header(HeaderDamage::Chain("not its index"));
    vec![
        whole("1.0/whole", 2204, 0xefef_bd40_0d4b_2764, SEALED),
        whole("1.0/turns", 74, 0x812d_bde6_1a0a_5dbb, SEALED),
        whole("1.0/later-minor", 48, PAIR, SEALED),
        whole("1.0/unknown-skippable", 48, PAIR, SEALED),
        whole("1.0/unsealed", 48, PAIR, OPEN),
        newer("1.0/newer-major", 24, (25, "journal format 2.3")),
        newer("1.0/incompatible-feature", 24, (25, "feature \"folded frames\" (bit 41)")),
        newer("1.0/unknown-frame", 36, (25, "frame kind 77")),
        damaged(
            "1.0/torn-append",
            (47, PAIR_LESS_ONE, OPEN, (25, 10_048, 48, Damage::Tail { bytes: 48 })),
            (47, End::Whole),
            Writer::GoesOn(47, 48, CRASHED),
        ),
        damaged(
            "1.0/torn-page",
            (47, PAIR_LESS_ONE, OPEN, page),
            (47, End::Damaged(page)),
            Writer::GoesOn(47, 48, CRASHED),
        ),
        damaged(
            "1.0/truncated",
            (36, 0x9af8_9ab0_e6c0_f98c, OPEN, (25, 7976, 0, short)),
            (36, End::Damaged((25, 7936, 37, short))),
            Writer::GoesOn(36, 40, CRASHED),
        ),
        damaged(
            "1.0/flipped-byte",
            (62, 0xce3d_132e_7fe3_29b4, SEALED, flipped),
            (36, End::Damaged(flipped)),
            Writer::GoesOn(74, 0, CLEAN),
        ),
        damaged(
            "1.0/flipped-header",
            (50, 0xd0d5_5efc_4309_6eb1, SEALED, header),
            (24, End::Damaged(header)),
            Writer::Refuses(End::Damaged(header)),
        ),
        damaged(
            "1.0/missing-middle",
            (50, 0xd0d5_5efc_4309_6eb1, SEALED, (49, 0, 25, missing(25))),
            (24, End::Damaged((1, 10_176, 25, Damage::NotSealed))),
            Writer::Refuses(End::Damaged((49, 0, 49, chain))),
        ),
        damaged(
            "1.0/missing-start",
            (50, 0xd763_5faf_eec9_7e21, SEALED, (25, 0, 25, Damage::StartMissing { first_sequence: 25 })),
            (50, End::Whole),
            Writer::GoesOn(74, 0, CLEAN),
        ),
    ]
}

/// The same steps in frames of format 1.1: the hashes are those of 1.0.
fn cases_of_1_1() -> Vec<Case> {
    let checksum = |stored, computed| Damage::FrameChecksum { stored, computed };
    let page = (25, 16_960, 48, checksum(0x7a79_f092, 0x3345_8db5));
    let durable = (25, 16_384, 45, checksum(0x813c_996f, 0x94ce_3e11));
    let index = (25, 0, 25, Damage::Index("is not the one of its frames"));
    let header = (25, 0, 25, Damage::Header(HeaderDamage::Checksum));
    let chain = Damage::Header(HeaderDamage::Chain("not its index"));
    let missing = Damage::SegmentMissing { first_sequence: 25 };
    vec![
        whole("1.1/whole", 2204, 0xefef_bd40_0d4b_2764, SEALED),
        whole("1.1/turns", 74, 0x812d_bde6_1a0a_5dbb, SEALED),
        whole("1.1/unsealed", 48, PAIR, OPEN),
        newer("1.1/newer-major", 24, (25, "journal format 2.3")),
        damaged(
            "1.1/torn-append",
            (47, PAIR_LESS_ONE, OPEN, (25, 16_960, 48, Damage::Tail { bytes: 48 })),
            (47, End::Whole),
            Writer::GoesOn(47, 48, CRASHED),
        ),
        damaged(
            "1.1/torn-page",
            (47, PAIR_LESS_ONE, OPEN, page),
            (47, End::Damaged(page)),
            Writer::GoesOn(47, 48, CRASHED),
        ),
        damaged(
            "1.1/flipped-durable",
            (44, 0x13d4_70a4_54c2_2905, OPEN, durable),
            (44, End::Damaged(durable)),
            Writer::Refuses(End::Damaged(durable)),
        ),
        damaged("1.1/wrong-index", (48, PAIR, SEALED, index), (48, End::Whole), Writer::GoesOn(48, 0, CLEAN)),
        damaged(
            "1.1/flipped-header",
            (50, 0xd0d5_5efc_4309_6eb1, SEALED, header),
            (24, End::Damaged(header)),
            Writer::Refuses(End::Damaged(header)),
        ),
        damaged(
            "1.1/missing-middle",
            (50, 0xd0d5_5efc_4309_6eb1, SEALED, (49, 0, 25, missing)),
            (24, End::Damaged((1, 14_016, 25, Damage::NotSealed))),
            Writer::Refuses(End::Damaged((49, 0, 49, chain))),
        ),
    ]
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A golden journal, unpacked.
fn unpacked(name: &str) -> TempDir {
    let home = TempDir::new().unwrap();
    for packed in fs::read_dir(folder().join(name)).unwrap().map(|entry| entry.unwrap().path()) {
        let mut file = File::create(home.path().join(packed.file_stem().unwrap())).unwrap();
        io::copy(&mut GzDecoder::new(File::open(&packed).unwrap()), &mut file).unwrap();
    }
    home
}

/// First sequence of the segment at this path: its name.
fn name_of(path: &Path) -> u64 {
    path.file_stem().unwrap().to_str().unwrap().parse().unwrap()
}

/// An error as the table says it, if it is what the table expects otherwise.
fn end_of(name: &str, error: JournalError, expected: &End) -> End {
    match (error, expected) {
        (JournalError::Damaged { file, offset, sequence, what }, _) => {
            End::Damaged((name_of(&file), offset, sequence.0, what))
        }
        (JournalError::NewerFormat { file, feature }, End::Newer((first, expected))) => {
            assert_eq!((name_of(&file), feature.as_str()), (*first, *expected), "{name}");
            End::Newer((*first, expected))
        }
        (other, _) => panic!("{name}: {other}"),
    }
}

/// Reads to the end: how many steps there are, and what is said then.
fn read(name: &str, dir: &Path, expected: &End) -> (u64, End) {
    let mut reader = Reader::open(dir).unwrap_or_else(|error| panic!("{name}: {error}"));
    let mut steps = 0;
    loop {
        match reader.next() {
            Ok(Some(frame)) => {
                assert!(frame.step().is_well_formed(), "{name}: step {}", frame.sequence());
                steps += 1;
            }
            Ok(None) => return (steps, End::Whole),
            Err(error) => return (steps, end_of(name, error, expected)),
        }
    }
}

#[test]
fn every_golden_journal_is_in_the_table() {
    let directories = |path: PathBuf| {
        fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir())
    };
    let there: BTreeSet<String> = directories(folder())
        .filter(|version| !version.ends_with("__pycache__"))
        .flat_map(directories)
        .map(|path| path.strip_prefix(folder()).unwrap().display().to_string())
        .collect();
    let told: BTreeSet<String> = cases().iter().map(|case| case.name.to_owned()).collect();
    assert_eq!(there, told);
}

#[test]
fn verify_judges_golden_journals_as_it_always_did() {
    for Case { name, verified: expected, .. } in cases() {
        let home = unpacked(name);
        let found = match verify(home.path(), &mut |_, _| {}) {
            Ok(verified) => {
                let findings = verified.findings.iter();
                let places = findings.map(|it| (name_of(&it.file), it.offset, it.sequence.0, it.what));
                let hash = verified.output_hash.0;
                Verified::Judged(verified.steps, hash, verified.sealed, places.collect())
            }
            Err(error) => {
                let Verified::Refused(what) = expected else { panic!("{name}: {error}") };
                let End::Newer(what) = end_of(name, error, &End::Newer(what)) else { panic!("{name}") };
                Verified::Refused(what)
            }
        };
        assert_eq!(found, expected, "{name}");
    }
}

#[test]
fn a_reader_gives_what_is_whole_of_golden_journals_and_says_what_is_not() {
    for Case { name, read: expected, .. } in cases() {
        let home = unpacked(name);
        assert_eq!(read(name, home.path(), &expected.1), expected, "{name}");
    }
}

#[test]
fn a_writer_goes_on_in_golden_journals_that_are_sound_and_refuses_the_others() {
    let options = JournalOptions { segment_bytes: 1 << 20, durability: Durability::PageCache };
    for Case { name, read: (steps, end), written: expected, .. } in cases() {
        let home = unpacked(name);
        let mut appender = match (Appender::create_or_open(home.path(), &options), &expected) {
            (Ok(appender), _) => appender,
            (Err(error), Writer::Refuses(why)) => {
                assert_eq!(&end_of(name, error, why), why, "{name}");
                continue;
            }
            (Err(error), _) => panic!("{name}: {error}"),
        };
        let recovered = *appender.recovered();
        let last = recovered.last_sequence.0;
        let found = Writer::GoesOn(last, recovered.quarantined_bytes, recovered.was_clean);
        assert_eq!(found, expected, "{name}");
        let mut step = Step::new();
        step.begin(appender.next_sequence(), appender.last_time());
        step.push(&RunEnded::default());
        appender.append(&step).unwrap();
        drop(appender);
        let after = match end {
            End::Damaged((.., sequence, _)) if sequence <= last => (steps, end),
            _ => (steps + 1, End::Whole),
        };
        assert_eq!(read(name, home.path(), &after.1), after, "{name}");
    }
}

#[test]
fn a_seek_in_golden_journals_comes_to_its_step_whatever_their_indexes_say() {
    for (name, last) in [("1.0/whole", 2204), ("1.1/whole", 2204), ("1.1/turns", 74), ("1.1/wrong-index", 48)]
    {
        let home = unpacked(name);
        for sequence in (1..=last).step_by(if last > 100 { 97 } else { 1 }) {
            let mut reader = Reader::open(home.path()).unwrap();
            reader.seek(Sequence(sequence)).unwrap();
            assert_eq!(reader.next().unwrap().unwrap().sequence(), Sequence(sequence), "{name}");
        }
    }
}
