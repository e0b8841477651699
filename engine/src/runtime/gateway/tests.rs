//! Tests of the gateway: what leaves, when, and what never does.

use std::sync::Arc;

use parking_lot::Mutex;
use pawl_journal::log::{Appender, JournalOptions};
use pawl_journal::record::{ClientOrderId, ExecutionReport, Reconciled, Step, Timer};

use super::super::health::disk::Disk;
use super::*;

const LATENCY: i64 = 20;

/// Remembers what it was given.
#[derive(Clone, Default)]
struct Desk(Arc<Mutex<Vec<(u64, i64)>>>);

impl Venue for Desk {
    fn submit(&mut self, request: &OrderRequest, time: Time) {
        self.0.lock().push((request.client_order_id.0, time.0));
    }

    fn on_tick(&mut self, _: &Tick, _: Time) {}

    fn next_due(&mut self) -> Option<Time> {
        None
    }

    fn poll(&mut self, _: Time) -> Option<(Time, ExecutionReport)> {
        None
    }

    fn statement(&mut self) -> Option<Vec<Reconciled>> {
        None
    }

    fn latency_min(&self) -> i64 {
        LATENCY
    }
}

/// A journal of steps 1 to 5 at times 100 to 500; steps 3 and 5 have orders, step 5 two of them.
struct Scene {
    gateway: Gateway,
    desk: Desk,
    disk: Disk,
    _journal: Appender,
    _scratch: tempfile::TempDir,
}

fn scene(durability: Durability) -> Scene {
    let scratch = tempfile::tempdir().unwrap();
    let directory = scratch.path().join("journal");
    let options = JournalOptions { segment_bytes: 1 << 20, ..JournalOptions::default() };
    let mut journal = Appender::create_or_open(&directory, &options).unwrap();
    let mut step = Step::new();
    for (sequence, orders) in [(1, 0), (2, 0), (3, 1), (4, 0), (5, 2)] {
        step.begin(Sequence(sequence), Time(sequence as i64 * 100));
        step.push(&Timer::default());
        for order in 0..orders {
            let client_order_id = ClientOrderId(sequence * 10 + order);
            step.push(&OrderRequest { client_order_id, ..OrderRequest::default() });
            step.mark_orders();
        }
        journal.append(&step).unwrap();
    }
    let (desk, disk) = (Desk::default(), Disk::default());
    let gateway = Gateway::open(
        &directory,
        durability,
        Box::new(disk.clone()),
        Sequence(0),
        Time(0),
        Box::new(desk.clone()),
        Clock::new(),
    )
    .unwrap();
    Scene { gateway, desk, disk, _journal: journal, _scratch: scratch }
}

impl Scene {
    /// What has left, and the last step seen, after another look.
    fn pump(&mut self) -> (Vec<u64>, u64) {
        self.gateway.pump(Sequence(5)).unwrap();
        (self.desk.0.lock().iter().map(|(id, _)| *id).collect(), self.gateway.seen().0)
    }

    fn fails(&mut self) -> String {
        self.gateway.pump(Sequence(5)).unwrap_err().to_string()
    }
}

#[test]
fn in_gated_mode_a_step_with_orders_waits_for_the_disk_and_the_steps_before_it_do_not() {
    let mut it = scene(Durability::Gated);
    assert_eq!(it.pump(), (vec![], 2));
    assert_eq!(it.disk.wanted(), 3, "the disk is asked at once");
    assert_eq!(it.pump(), (vec![], 2));
    it.disk.sync(2);
    assert_eq!(it.pump(), (vec![], 2), "the step before is not enough");
    it.disk.sync(3);
    assert_eq!(it.pump(), (vec![30], 4), "its own step is, and the next one without orders passes");
    assert_eq!(it.disk.wanted(), 5);
    it.disk.sync(5);
    assert_eq!(it.pump(), (vec![30, 50, 51], 5));
    assert_eq!(*it.desk.0.lock(), [(30, 300), (50, 500), (51, 500)], "at the time of their steps");
    assert_eq!(it.gateway.latencies().1.percentiles().count, 2, "two steps waited");
}

#[test]
fn one_sync_releases_every_step_that_it_covers() {
    let mut it = scene(Durability::Gated);
    it.pump();
    it.disk.sync(9);
    assert_eq!(it.pump(), (vec![30, 50, 51], 5));
    assert_eq!(it.disk.wanted(), 3, "the second was durable before it was asked for");
}

#[test]
fn while_a_step_is_held_time_may_go_on_only_to_what_its_orders_can_cause() {
    let mut it = scene(Durability::Gated);
    it.pump();
    let clear = |it: &Scene, time| it.gateway.is_clear(Sequence(5), Time(time));
    assert!(clear(&it, 300 + LATENCY - 1));
    assert!(!clear(&it, 300 + LATENCY), "an order of step 3 may be answered then");
    it.disk.sync(5);
    it.pump();
    assert!(clear(&it, i64::MAX), "nothing is on its way");
}

#[test]
fn in_the_other_modes_orders_leave_when_committed() {
    for mode in ["page-cache", "async:50ms"] {
        let mut it = scene(mode.parse().unwrap());
        assert_eq!(it.pump(), (vec![30, 50, 51], 5), "{mode}");
        assert_eq!((it.disk.wanted(), it.gateway.latencies().1.percentiles().count), (0, 0), "{mode}");
    }
}

#[test]
fn behind_a_failed_sync_nothing_leaves_in_any_mode() {
    for mode in ["page-cache", "async:50ms", "gated"] {
        let mut it = scene(mode.parse().unwrap());
        it.disk.fail();
        let said = it.fails();
        assert!(said.contains("could not be made durable") && said.contains("I/O error"), "{said}");
        it.disk.sync(5);
        it.fails();
        assert_eq!((it.desk.0.lock().len(), it.gateway.seen()), (0, Sequence(2)), "{mode}");
    }
}

#[test]
fn a_sync_that_fails_while_a_step_is_held_ends_the_wait() {
    let mut it = scene(Durability::Gated);
    it.disk.sync(3);
    assert_eq!(it.pump(), (vec![30], 4));
    it.disk.fail();
    it.fails();
    assert_eq!(it.desk.0.lock().len(), 1);
}
