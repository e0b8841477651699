//! Bugs that are planted: the proof finds each of them, and finds nothing where there is none.

use std::panic::{AssertUnwindSafe, catch_unwind};

use super::crash::{LONG, SHORT};
use super::history::{History, Plan};
use crate::log::planted::{Bug, with_bug};
use crate::log::storage::machine::Imaging;

/// Most histories in which a bug may go unnoticed.
const SEEDS: u64 = 2000;

/// The first seed whose history shows that something is wrong.
fn first_found(plan: Plan, seeds: u64) -> Option<(u64, String)> {
    (1..=seeds).find_map(|seed| match catch_unwind(AssertUnwindSafe(|| History::run(plan, seed))) {
        Ok(Ok(_)) => None,
        Ok(Err(violation)) => Some((seed, violation)),
        Err(_) => Some((seed, "a panic".to_owned())),
    })
}

#[expect(clippy::print_stdout, reason = "a test that finds something says what")]
fn is_found(bug: Bug, plan: Plan) {
    let found = with_bug(bug, || first_found(plan, SEEDS));
    let (seed, violation) = found.unwrap_or_else(|| panic!("{bug:?} goes unnoticed in {SEEDS} histories"));
    println!("{bug:?}: history {seed}: {violation}");
    assert!(catch_unwind(|| History::run(plan, seed)).is_ok_and(|judged| judged.is_ok()), "without the bug");
}

const FAILING: Plan = Plan { is_failing: true, ..LONG };

/// Many turns of a few steps that end with their pages.
const EARLY: Plan =
    Plan { imaging: Imaging::Some(60), turns: 8, work: 12, depth: 0, is_paged: true, is_failing: false };

macro_rules! found {
    ($($test:ident: $bug:ident in $plan:expr;)+) => {
        $(#[test]
        fn $test() {
            is_found(Bug::$bug, $plan);
        })+
    };
}

found! {
    a_dropped_barrier_is_found: DroppedBarrier in LONG;
    a_finished_segment_that_is_not_synced_is_found: DroppedFinish in LONG;
    a_watermark_before_its_sync_is_found: WatermarkBeforeSync in LONG;
    names_that_are_not_synced_are_found: DroppedNames in LONG;
    a_header_that_is_not_synced_is_found: DroppedHeader in LONG;
    a_sync_that_is_tried_again_is_found: RetriedSync in FAILING;
    a_skipped_checksum_is_found: SkippedChecksum in LONG;
    a_reused_salt_is_found: ReusedSalt in EARLY;
    a_commit_word_before_its_payload_is_found: CommitFirst in SHORT;
    an_append_into_a_crashed_segment_is_found: AppendedIntoCrashed in LONG;
    a_recovery_that_syncs_nothing_is_found: RecoveryNotSynced in LONG;
    a_recovery_that_believes_the_memory_is_found: RecoveryNotRewritten in FAILING;
    a_skipped_quarantine_is_found: QuarantineSkipped in LONG;
}
