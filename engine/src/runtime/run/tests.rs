//! Tests of a whole run over a disk that is slow, full or broken: what it decides, what leaves, how it ends.

use std::path::Path;
use std::sync::atomic::AtomicU64;

use parking_lot::Mutex;
use pawl_journal::log::{JournalOptions, Reader, Supply};
use pawl_journal::record::{
    Alert, AlertCode, CommandAction, CommandReason, CommandSource, ExecutionKind, ExecutionReport, Kind,
    Lots, OrderAction, OrderRequest, OutputHash, Points, Reconciled, Severity, StatementItem, Step, Tick,
    Time,
};

use super::super::health::disk::Disk;
use super::super::ingress::IngressSettings;
use super::super::options::RingFull;
use super::*;
use crate::feature::FeatureSettings;
use crate::inference::{AgentSettings, Models, RuleSettings, SignalSettings};
use crate::instrument::Instrument;
use crate::order::OrderSettings;
use crate::pipeline::{Passed, planted};
use crate::port::{FeedError, FeedTick};
use crate::risk::RiskSettings;
use crate::settings::AccountSettings;

const TICKS: u64 = 6_000;
const LATENCY: i64 = 20 * Time::MILLISECOND;

const EVERY_THREADING: [Threading; 3] = [Threading::Single, Threading::Fused, Threading::Staged];

/// A price that swings, so that averages cross and orders follow; ten ticks a second.
#[derive(Clone, Copy, Default)]
struct Swing {
    given: u64,
    is_live: bool,
    /// The volume of one of the ticks.
    volume_at: Option<(u64, Lots)>,
    /// So many fewer ticks.
    fewer: u64,
}

impl Feed for Swing {
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        self.given += 1;
        let swing = ((self.given as i64 % 200) - 100).abs();
        let volume = self.volume_at.filter(|(at, _)| *at == self.given).map_or(Lots(0), |(_, volume)| volume);
        Ok((self.given + self.fewer <= TICKS).then_some(FeedTick {
            time: Time(self.given as i64 * Time::SECOND / 10),
            source_sequence: self.given,
            bid: Points(114_500 + swing),
            ask: Points(114_502 + swing),
            volume,
            ..FeedTick::default()
        }))
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        self.given = source_sequence;
        Ok(())
    }

    fn is_live(&self) -> bool {
        self.is_live
    }

    fn has_ended(&self) -> bool {
        self.given + self.fewer > TICKS
    }

    fn name(&self) -> &str {
        "swing"
    }
}

/// Fills every order at a fixed price after the latency; does something to the disk at one tick.
#[derive(Default)]
struct Filler {
    due: std::collections::VecDeque<(Time, ExecutionReport)>,
    ticks: u64,
    reports: u64,
    submitted: Arc<Mutex<Vec<Time>>>,
    at: Option<(u64, Box<dyn FnMut() + Send>)>,
}

impl Venue for Filler {
    fn submit(&mut self, request: &OrderRequest, time: Time) {
        self.submitted.lock().push(time);
        self.reports += 1;
        let kind = if request.action == OrderAction::NEW {
            ExecutionKind::FILLED
        } else {
            ExecutionKind::CANCEL_REJECTED
        };
        let report = ExecutionReport {
            client_order_id: request.client_order_id,
            execution_sequence: self.reports,
            source_time: time,
            price: Points(114_540),
            lots: if kind == ExecutionKind::FILLED { request.lots } else { Lots(0) },
            kind,
            instrument: request.instrument,
            side: request.side,
            ..ExecutionReport::default()
        };
        self.due.push_back((Time(time.0 + LATENCY), report));
    }

    fn on_tick(&mut self, _: &Tick, _: Time) {
        self.ticks += 1;
        if let Some((tick, act)) = &mut self.at
            && *tick == self.ticks
        {
            act();
        }
    }

    fn next_due(&mut self) -> Option<Time> {
        self.due.front().map(|(due, _)| *due)
    }

    fn poll(&mut self, now: Time) -> Option<(Time, ExecutionReport)> {
        self.next_due().is_some_and(|due| due <= now).then(|| self.due.pop_front()).flatten()
    }

    fn statement(&mut self) -> Option<Vec<Reconciled>> {
        Some(vec![Reconciled { item: StatementItem::END, ..Reconciled::default() }])
    }

    fn latency_min(&self) -> i64 {
        LATENCY
    }
}

fn settings() -> Settings {
    let rule = RuleSettings { fast: "tick_sma_5".into(), slow: "tick_sma_20".into() };
    let mut columns = FeatureSettings::default().columns;
    columns.push("tick_sma_5".into());
    Settings {
        account: AccountSettings::default(),
        instruments: vec![Instrument::well_known("EURUSD").unwrap()],
        ingress: IngressSettings::default(),
        features: FeatureSettings { bars: "10 ticks".into(), columns },
        agents: vec![AgentSettings { rule: Some(rule), ..AgentSettings::named("cross") }],
        signal: SignalSettings::default(),
        risk: RiskSettings::default(),
        order: OrderSettings::default(),
        checkpoint: crate::settings::CheckpointSettings::default(),
    }
}

fn options(threading: Threading) -> RunOptions {
    RunOptions {
        threading,
        cores: Vec::new(),
        waits: Vec::new(),
        ring_slots: 64,
        on_ring_full: RingFull::Halt,
        speed: None,
        stamps: true,
        journal: JournalOptions { segment_bytes: 4 << 20, ..JournalOptions::default() },
    }
}

fn open(directory: &Path, threading: Threading, durability: &str, disk: &Disk, venue: Filler) -> Run {
    let mut options = options(threading);
    options.journal.durability = durability.parse().unwrap();
    open_with(directory, options, disk, venue, Swing::default())
}

fn open_with(directory: &Path, options: RunOptions, disk: &Disk, venue: Filler, feed: Swing) -> Run {
    let settings = settings();
    let texts = RunTexts { settings: serde_json::to_string(&settings).unwrap(), ..RunTexts::default() };
    let pipeline = Pipeline::new(&settings, &Models::new(".")).unwrap();
    let (_, commands) = crossbeam_channel::bounded(1);
    let sources = Sources {
        feeds: vec![(Box::new(feed), InstrumentId(0))],
        venue: Box::new(venue),
        commands,
        stop: Arc::default(),
    };
    let health = |_| -> Box<dyn Health> { Box::new(disk.clone()) };
    let prepared = Run::prepare(directory, &settings, pipeline, &texts, options, sources, &Arc::default());
    prepared.unwrap().begin_with(health).unwrap()
}

fn output_hash(directory: &Path) -> OutputHash {
    let mut hash = OutputHash::default();
    read(directory, |step| hash = hash.after(step));
    hash
}

fn read(directory: &Path, mut look: impl FnMut(pawl_journal::record::StepRef<'_>)) {
    let mut reader = Reader::open(directory).unwrap();
    while let Some(frame) = reader.next().unwrap() {
        look(frame.step());
    }
}

#[test]
fn durability_decides_when_orders_leave_and_nothing_else() {
    let scratch = tempfile::tempdir().unwrap();
    let mut hashes = Vec::new();
    for (name, threading, durability) in [
        ("a", Threading::Single, "page-cache"),
        ("b", Threading::Single, "async:5ms"),
        ("c", Threading::Single, "gated"),
        ("d", Threading::Fused, "page-cache"),
        ("e", Threading::Fused, "gated"),
        ("f", Threading::Staged, "page-cache"),
        ("g", Threading::Staged, "async:5ms"),
        ("h", Threading::Staged, "gated"),
    ] {
        let directory = scratch.path().join(name);
        let disk = Disk::syncing_after(50);
        let outcome = open(&directory, threading, durability, &disk, Filler::default()).drive().unwrap();
        assert_eq!(outcome.reason, EndReason::FEED_ENDED);
        assert!(outcome.gateway.count > 20, "there were orders: {outcome:?}");
        let held = if durability == "gated" { outcome.gateway.count } else { 0 };
        assert_eq!(outcome.durability.held.count, held, "{name}");
        hashes.push(output_hash(&directory));
    }
    assert!(hashes.windows(2).all(|pair| pair[0] == pair[1]), "{hashes:?}");
}

#[test]
fn a_sync_that_fails_ends_the_run_and_lets_nothing_leave() {
    for threading in EVERY_THREADING {
        let scratch = tempfile::tempdir().unwrap();
        let disk = Disk::syncing_after(5);
        let failing = disk.clone();
        let submitted = Arc::new(Mutex::new(Vec::new()));
        let at_failure = Arc::new(AtomicU64::new(u64::MAX));
        let (orders, count) = (Arc::clone(&submitted), Arc::clone(&at_failure));
        let fail = move || {
            failing.fail();
            count.store(orders.lock().len() as u64, Ordering::SeqCst);
        };
        let venue = Filler {
            submitted: Arc::clone(&submitted),
            at: Some((3_000, Box::new(fail))),
            ..Filler::default()
        };
        let error = open(scratch.path(), threading, "gated", &disk, venue).drive().unwrap_err();
        assert!(matches!(error, RunError::Journal(JournalError::SyncFailed { .. })), "{error}");
        assert_eq!(submitted.lock().len() as u64, at_failure.load(Ordering::SeqCst), "nothing left since");
        assert!(submitted.lock().len() > 5, "orders had left before");
    }
}

#[test]
fn a_disk_that_fills_up_makes_the_engine_reduce_only_and_then_halts_it_for_reasons_in_the_journal() {
    for threading in EVERY_THREADING {
        let scratch = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        disk.set_supply(Supply::Low);
        let full = disk.clone();
        let venue =
            Filler { at: Some((2_000, Box::new(move || full.set_supply(Supply::Out)))), ..Filler::default() };
        let outcome = open(scratch.path(), threading, "page-cache", &disk, venue).drive().unwrap();
        assert_eq!(outcome.after.causes, ["journal_low", "journal_out"]);
        assert_eq!(outcome.after.mode, Mode::Halted);
        let (mut commands, mut orders) = (Vec::new(), 0);
        read(scratch.path(), |step| {
            if let Some(it) = step.get::<Command>() {
                commands.push((it.source, it.action, it.reason));
            }
            orders += step.all::<OrderRequest>().count();
        });
        let engine = CommandSource::ENGINE;
        assert_eq!(
            commands,
            [
                (engine, CommandAction::REDUCE_ONLY, CommandReason::JOURNAL_LOW),
                (engine, CommandAction::HALT, CommandReason::JOURNAL_OUT),
            ]
        );
        assert_eq!(orders, 0, "it was reduce-only from the start, with nothing to reduce");
        // The next run reproduces every step, and is still halted.
        let again = open(scratch.path(), threading, "page-cache", &Disk::default(), Filler::default());
        assert_eq!(again.before.causes, ["journal_low", "journal_out"]);
    }
}

/// A run that has begun: its core and its journal.
fn begun(directory: &Path) -> Run {
    open(directory, Threading::Single, "page-cache", &Disk::default(), Filler::default())
}

fn last_step(directory: &Path) -> Step {
    let mut last = Step::new();
    read(directory, |step| {
        last.begin(step.sequence(), step.time());
        step.records().for_each(|record| last.push_record(&record));
    });
    last
}

#[test]
fn a_journal_that_takes_no_more_steps_says_why_and_is_sealed() {
    let scratch = tempfile::tempdir().unwrap();
    let mut run = begun(scratch.path());
    let full = JournalError::DiskFull { dir: scratch.path().into(), wanted_bytes: 4_096 };
    let error = seal_failed(&mut run.core, &RunEnded::default(), full.into());
    let said = error.to_string();
    assert!(said.contains("no room") && said.contains("sealed after step 2"), "{said}");
    let RunError::Stopped { source: JournalError::DiskFull { .. }, last } = error else { panic!("{said}") };
    drop(run);
    let step = last_step(scratch.path());
    let ended = *step.view().get::<RunEnded>().expect("it says why");
    assert_eq!((step.sequence(), ended.reason), (last, EndReason::ENVIRONMENT_FAILED));
    let next =
        pawl_journal::log::Appender::create_or_open(scratch.path(), &JournalOptions::default()).unwrap();
    assert!(next.recovered().was_clean, "it was sealed");
}

#[test]
fn a_journal_whose_sync_failed_is_left_as_it_is() {
    let scratch = tempfile::tempdir().unwrap();
    let mut run = begun(scratch.path());
    let failed = JournalError::SyncFailed {
        dir: scratch.path().into(),
        durable: Sequence(0),
        what: "fdatasync: I/O error".into(),
    };
    let error = seal_failed(&mut run.core, &RunEnded::default(), failed.into());
    assert!(matches!(error, RunError::Journal(JournalError::SyncFailed { .. })), "{error}");
    assert_eq!(last_step(scratch.path()).sequence(), Sequence(1), "nothing was added");
}

#[test]
fn a_stage_that_panics_is_named_and_leaves_a_journal_that_the_next_run_goes_on_with() {
    for threading in EVERY_THREADING {
        for at in [Passed::Feature, Passed::Inference, Passed::Risk, Passed::Order] {
            let scratch = tempfile::tempdir().unwrap();
            let short = Swing { fewer: TICKS - 600, ..Swing::default() };
            let feed = Swing { volume_at: Some((300, planted::volume(at))), ..short };
            let run =
                open_with(scratch.path(), options(threading), &Disk::default(), Filler::default(), feed);
            let error = run.drive().unwrap_err();
            let RunError::Panicked { part, message } = &error else { panic!("{threading:?}: {error}") };
            assert_eq!((*part, message.as_str()), (at.part(), "planted"), "{threading:?}");
            let mut last = (0, None);
            read(scratch.path(), |step| {
                assert!(step.record(Kind::Tick).is_none() || step.record(Kind::Features).is_some());
                last =
                    (step.sequence().0, step.input_as::<Tick>().map(|tick| tick.source_sequence).or(last.1));
            });
            assert!(last.1 <= Some(299), "nothing of the step that failed: {last:?}");
            assert!(threading == Threading::Staged || last.1 == Some(299), "and all before it: {last:?}");
            let again =
                open_with(scratch.path(), options(threading), &Disk::default(), Filler::default(), short);
            let outcome = again.drive().unwrap();
            assert_eq!((outcome.reason, outcome.resumed_after.0), (EndReason::FEED_ENDED, last.0));
        }
    }
}

#[test]
fn a_live_feed_is_taken_as_it_comes_at_the_time_of_the_wall_clock_and_runs_again_the_same() {
    for threading in EVERY_THREADING {
        let scratch = tempfile::tempdir().unwrap();
        let before = Clock::new().unix(Clock::new().now());
        let feed = Swing { is_live: true, ..Swing::default() };
        let options = RunOptions { on_ring_full: RingFull::Wait, ..options(threading) };
        let run = open_with(scratch.path(), options.clone(), &Disk::default(), Filler::default(), feed);
        let outcome = run.drive().unwrap();
        assert_eq!(outcome.reason, EndReason::FEED_ENDED);
        let (mut ticks, mut orders, mut reports, mut time) = (0, 0, 0, before);
        read(scratch.path(), |step| {
            if let Some(tick) = step.input_as::<Tick>() {
                ticks += 1;
                assert_eq!(tick.source_sequence, ticks, "in order, each once");
                assert!(step.time() >= time);
                time = step.time();
            }
            orders += step.all::<OrderRequest>().count();
            reports += step.all::<ExecutionReport>().count();
        });
        assert_eq!((ticks, orders), (TICKS, reports), "every tick, and every order answered: {threading:?}");
        let again = open_with(scratch.path(), options, &Disk::default(), Filler::default(), feed);
        assert_eq!(again.resumed_after(), outcome.last, "what it decided is what the journal says");
    }
}

#[test]
fn a_pipeline_that_falls_behind_a_live_feed_halts_or_waits_and_says_so() {
    for threading in [Threading::Fused, Threading::Staged] {
        for on_ring_full in [RingFull::Halt, RingFull::Wait] {
            let scratch = tempfile::tempdir().unwrap();
            let options = RunOptions { ring_slots: 2, on_ring_full, ..options(threading) };
            let feed = Swing { is_live: true, ..Swing::default() };
            let outcome = open_with(scratch.path(), options, &Disk::default(), Filler::default(), feed);
            let outcome = outcome.drive().unwrap();
            assert!(outcome.ring_full > 0);
            let mut alerts = Vec::new();
            read(scratch.path(), |step| {
                let codes = step.all::<Alert>().filter(|it| it.code == AlertCode::RING_FULL);
                alerts.extend(codes.map(|alert| alert.severity));
            });
            let (severity, causes): (_, &[&str]) = match on_ring_full {
                RingFull::Halt => (Severity::CRITICAL, &["ring_full"]),
                RingFull::Wait => (Severity::WARNING, &[]),
            };
            assert_eq!(outcome.after.causes, causes);
            assert!(!alerts.is_empty() && alerts.iter().all(|it| *it == severity), "{alerts:?}");
            assert!(alerts.len() as u64 <= outcome.ring_full, "once for each time it falls behind");
        }
    }
}

#[test]
fn feeds_of_the_past_and_live_ones_are_not_mixed_and_nothing_is_written() {
    let live: Box<dyn Feed> = Box::new(Swing { is_live: true, ..Swing::default() });
    let feeds = vec![(live, InstrumentId(0)), (Box::new(Swing::default()) as _, InstrumentId(0))];
    let error = refuse_mixed(&feeds).unwrap_err();
    assert!(matches!(error, RunError::MixedFeeds { .. }), "{error}");
}
