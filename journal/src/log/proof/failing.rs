//! Calls that fail: the N-th allocation, sync, rename or copy of a turn.

use super::history::{History, Plan};
use super::{run, scale};
use crate::log::storage::machine::Imaging;

const PLAN: Plan =
    Plan { imaging: Imaging::Some(10), turns: 5, work: 60, depth: 1, is_paged: false, is_failing: true };

#[test]
fn a_call_that_fails_is_a_typed_error_and_final_and_moves_no_watermark() {
    let wanted = scale(2_000);
    let images = run(1, wanted, |seed| History::run(PLAN, seed));
    assert!(images >= wanted || super::only_seed().is_some());
}
