//! Mended journals: whatever bit of a header is wrong, whatever is left of its page, a repair gives back every step.
//!
//! ```text
//!  every bit of a header flipped             > the very header again, by its own checksum
//!  the page gone, torn, noise, another's     > a header under which every frame checks, with and without the index
//!  anything at all                           > nobody panics; in a few repairs a journal that verify finds clean
//! ```

use proptest::prelude::*;

use super::blow::{blow, strike};
use super::driven::{Driven, check, read_all, scaled};
use super::flips::{in_parallel, long, segments, short};
use super::hostile::good;
use super::memory::Memory;
use crate::log::directory::{index_name, segment_name};
use crate::log::error::JournalError;
use crate::log::header::{Fields, HEADER_BYTES};
use crate::log::repair::{Consent, RepairPlan, plan_in};

/// Repairs that a journal may take: each may find what another damage hid.
const REPAIRS_MAX: u32 = 8;

fn planned(memory: &Memory) -> RepairPlan<Memory> {
    plan_in(memory.clone(), &mut |_, _| {}).unwrap()
}

/// Repairs what gives nothing up, and makes sure that every step is there and that somebody can go on.
fn mend(memory: &Memory, steps: u64, what: &str) {
    let plan = planned(memory);
    assert!(!plan.needs_consent && plan.loss.is_none() && !plan.mended.is_empty(), "{what}: {plan:?}");
    let repaired = plan.carry_out(Consent::None, &mut |_, _| {}).unwrap();
    assert_eq!(repaired.verified.findings, [], "{what}");
    let (count, error) = read_all(memory);
    assert!(count == steps && error.is_none(), "{what}: {count} steps, {error:?}");
    assert!(planned(memory).is_empty(), "{what}");
}

/// The fields of the header that is there.
fn fields(memory: &Memory, first: u64) -> Fields {
    Fields::of_page(&memory.bytes(&segment_name(first), 0, HEADER_BYTES)).unwrap()
}

#[test]
fn whatever_bit_of_a_header_is_flipped_a_repair_flips_it_back() {
    for sealed in [true, false] {
        let memory = short(sealed);
        let (steps, _) = read_all(&memory);
        let mut bits: Vec<(u64, usize)> = Vec::new();
        // An unsealed journal differs in its last segment alone.
        for first in segments(&memory).into_iter().skip(if sealed { 0 } else { 2 }) {
            let zeros = (152 * 8..4092 * 8).step_by(scaled(997, 1) as usize);
            let fields = (0..152 * 8).chain(4092 * 8..4096 * 8).step_by(scaled(5, 1) as usize);
            bits.extend(fields.chain(zeros).map(|bit| (first, bit)));
        }
        let names = memory.file_names();
        in_parallel(&memory, &bits, |memory, (first, bit)| {
            let (name, at) = (segment_name(first), bit / 8);
            let before = memory.bytes(&name, 0, HEADER_BYTES);
            memory.patch(&name, at, &[before[at] ^ (1 << (bit % 8))]);
            mend(memory, steps, &format!("bit {bit} of the header of {first}"));
            assert!(memory.bytes(&name, 0, HEADER_BYTES) == before, "bit {bit} of the header of {first}");
            memory.retain(&names);
        });
    }
}

/// What may be left of a header page.
fn pages(page: &[u8], foreign: &[u8]) -> Vec<(&'static str, Vec<u8>)> {
    let with = |change: &dyn Fn(&mut [u8])| {
        let mut page = page.to_vec();
        change(&mut page);
        page
    };
    vec![
        ("nothing", vec![0; HEADER_BYTES]),
        ("no first sector", with(&|page| page[..512].fill(0))),
        ("no last sector", with(&|page| page[3_584..].fill(0))),
        ("noise", (0..HEADER_BYTES).map(|at| (at * at % 253) as u8).collect()),
        ("noise in the fields", with(&|page| page[40..120].fill(0x5A))),
        ("noise in the salt and the epoch", with(&|page| page[80..96].fill(0x5A))),
        ("that of another journal", foreign.to_vec()),
    ]
}

#[test]
fn whatever_is_left_of_a_header_page_a_repair_finds_a_header_under_which_every_frame_checks() {
    let foreign = {
        let other = Memory::new();
        other.set_random(7);
        let mut driven = Driven::open(&other).unwrap();
        driven.append_many(3);
        driven.seal();
        other.bytes(&segment_name(1), 0, HEADER_BYTES)
    };
    for memory in [long(true), long(false), short(true), short(false)] {
        let (steps, _) = read_all(&memory);
        for first in segments(&memory) {
            let name = segment_name(first);
            let before = fields(&memory, first);
            for (what, page) in pages(&memory.bytes(&name, 0, HEADER_BYTES), &foreign) {
                for has_index in [true, false] {
                    let memory = memory.copy();
                    memory.patch(&name, 0, &page);
                    if !has_index {
                        memory.retain(&memory.without(&index_name(first)));
                    }
                    let what = format!("{what} of the header of {first}, index {has_index}");
                    mend(&memory, steps, &what);
                    let after = fields(&memory, first);
                    let Fields { salt, durable_sequence, compatible, .. } = before;
                    // What nothing told any more: never more than there was, and said where it matters.
                    assert!(after.durable_sequence <= durable_sequence, "{what}");
                    let is_it = Fields { salt, durable_sequence, compatible, ..after } == before;
                    assert!(is_it, "{what}: {after:?} instead of {before:?}");
                    let mut driven = Driven::open(&memory).unwrap();
                    driven.append_many(5);
                    driven.seal();
                    assert_eq!(check(&memory).findings, [], "{what}");
                    assert_eq!(read_all(&memory).0, steps + 5, "{what}");
                }
            }
        }
    }
}

/// Repairs until nothing is found any more.
fn repair_all(memory: &Memory) -> Result<(), TestCaseError> {
    for _ in 0..REPAIRS_MAX {
        let plan = match plan_in(memory.clone(), &mut |_, _| {}) {
            Ok(plan) => plan,
            Err(
                JournalError::NoJournal { .. }
                | JournalError::NotAJournal { .. }
                | JournalError::NewerFormat { .. },
            ) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("no plan: {error}"))),
        };
        match plan.carry_out(Consent::Flag, &mut |_, _| {}) {
            Ok(repaired) if repaired.verified.findings.is_empty() => return Ok(()),
            Ok(_) => {}
            // A header may ask for more bytes than there are, a frame in a spare for a later version.
            Err(JournalError::DiskFull { .. } | JournalError::NewerFormat { .. }) => return Ok(()),
            Err(error) => return Err(TestCaseError::fail(format!("not carried out: {error}"))),
        }
    }
    Err(TestCaseError::fail(format!(
        "damaged still after {REPAIRS_MAX} repairs: {:?}",
        check(memory).findings
    )))
}

#[test]
fn a_segment_that_names_itself_as_what_came_before_it_ends_a_repair_all_the_same() {
    let whole = short(false);
    for first in segments(&whole) {
        for predecessor in segments(&whole) {
            let memory = whole.copy();
            let name = segment_name(first);
            let page = Fields {
                predecessor_first_sequence: predecessor,
                durable_sequence: 0,
                ..fields(&memory, first)
            }
            .page();
            memory.patch(&name, 0, &page);
            memory.patch(&name, HEADER_BYTES + 200, &[0xff; 64]);
            repair_all(&memory).unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 2_000, failure_persistence: None, ..ProptestConfig::with_cases(scaled(500, 50_000) as u32) })]

    #[test]
    fn a_journal_with_right_checksums_and_wrong_numbers_is_repaired_in_a_few_turns(
        blows in prop::collection::vec(blow(), 1..6),
        sealed in any::<bool>(),
    ) {
        let memory = good(sealed);
        blows.iter().for_each(|blow| strike(&memory, blow));
        repair_all(&memory)?;
    }

    #[test]
    fn segments_of_any_bytes_are_repaired(
        files in prop::collection::vec((0_u64..4, prop::collection::vec(any::<u8>(), 0..9_000)), 1..4)
    ) {
        let memory = Memory::new();
        for (number, bytes) in files {
            memory.put_file(&segment_name(number), &bytes);
        }
        repair_all(&memory)?;
    }
}
