//! Calls that fail: the N-th allocation, sync, rename or copy of a turn.

use std::sync::Arc;

use super::check::read;
use super::history::{History, Plan, build, open};
use super::random::Random;
use super::{run, scale};
use crate::log::background::Background;
use crate::log::directory::{Directory, segment_name};
use crate::log::options::JournalOptions;
use crate::log::reader::Reader;
use crate::log::repair::{Consent, plan_in};
use crate::log::storage::machine::{Call, Death, Imaging, Machine};
use crate::log::storage::simulated::Simulated;
use crate::log::tailer::{From, Tailer};
use crate::record::{Sequence, Step};

const PLAN: Plan =
    Plan { imaging: Imaging::Some(10), turns: 5, work: 60, depth: 1, is_paged: false, is_failing: true };

#[test]
fn a_call_that_fails_is_a_typed_error_and_final_and_moves_no_watermark() {
    let wanted = scale(2_000);
    let images = run(1, wanted, |seed| History::run(PLAN, seed));
    assert!(images >= wanted || super::only_seed().is_some());
}

/// Two segments of large steps, the older of which could not be synced: what of it reached the disk nobody knows. Gives
/// the steps.
fn failed_behind_a_roll(storage: &Simulated) -> Vec<Arc<[u8]>> {
    let options = JournalOptions { segment_bytes: JournalOptions::SEGMENT_BYTES_MIN, ..Default::default() };
    let mut appender = open(storage, &options).unwrap();
    appender.background().hurry();
    let (mut step, mut random, mut steps) = (Step::new(), Random::new(7), Vec::new());
    while appender.watermarks().statistics().rolls == 0 || !steps.len().is_multiple_of(5) {
        steps.push(build(&mut step, &mut random, steps.len() as u64 + 1, 0, 50_000));
        appender.append(&step).unwrap();
    }
    storage.machine().failing = Some((Call::Sync, 0));
    if let Background::Inline { flusher, .. } = appender.background() {
        flusher.finish();
    }
    assert!(appender.watermarks().failure().is_some());
    steps
}

#[test]
fn what_a_repair_keeps_behind_a_failed_sync_is_on_disk() {
    for seed in 1..=20 {
        let storage = Simulated::new(Machine::new(Random::new(seed)));
        let steps = failed_behind_a_roll(&storage);
        let mut reader = Reader::open_in(storage.clone()).unwrap();
        reader.seek(Sequence(steps.len() as u64)).unwrap();
        let last = reader.next().unwrap().unwrap().offset() as usize;
        let second = Directory::new(storage.clone()).segments().unwrap()[1];
        {
            let mut machine = storage.machine();
            let file = machine.find(&segment_name(second)).unwrap();
            machine.write(file, last + 1_000, &[0xFF; 64]);
        }
        let plan = plan_in(storage.clone(), &mut |_, _| {}).unwrap();
        let kept = steps.len() - 1;
        assert!(kept as u64 > second && plan.kept_until == Sequence(kept as u64));
        plan.carry_out(Consent::Flag, &mut |_, _| {}).unwrap();
        let after = Simulated::new(storage.machine().die(Death::Machine));
        let mut tailer = Tailer::open_in(&after, From::Start, false).unwrap();
        assert_eq!(read(&mut tailer, 0, &steps), Ok(kept), "seed {seed}");
    }
}
