//! Machines that die: at any call of a writer, of a recovery, and of a recovery of that.

use super::history::{History, Plan};
use super::{run, scale};
use crate::log::storage::machine::Imaging;

/// Images that the suite looks at, in all.
const IMAGES: u64 = 10_000;

/// Histories like those of a writer's life.
pub(super) const LONG: Plan =
    Plan { imaging: Imaging::Some(8), turns: 5, work: 60, depth: 2, is_paged: false, is_failing: false };

/// Short ones, of which every call is looked at.
pub(super) const SHORT: Plan =
    Plan { imaging: Imaging::Every, turns: 2, work: 3, depth: 1, is_paged: false, is_failing: false };

#[test]
fn what_a_dead_machine_leaves_is_a_prefix_up_to_the_watermark_at_least() {
    let wanted = scale(IMAGES * 6 / 10);
    let images = run(1, wanted, |seed| History::run(LONG, seed));
    assert!(images >= wanted || super::only_seed().is_some());
}

#[test]
fn a_short_life_that_ends_at_every_call_leaves_a_prefix() {
    let wanted = scale(IMAGES * 4 / 10);
    let images = run(1, wanted, |seed| History::run(SHORT, seed));
    assert!(images >= wanted || super::only_seed().is_some());
}
