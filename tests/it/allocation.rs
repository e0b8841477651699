//! Allocation: after warm-up a step allocates nothing, whatever it decides.
//!
//! Counting allocations takes a global allocator, which is why this file alone in the suite is fenced for `unsafe`.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use pawl_engine::Input;
use pawl_engine::feature::FeatureSettings;
use pawl_engine::inference::{AgentSettings, Models, RuleSettings, SignalSettings};
use pawl_engine::instrument::Instrument;
use pawl_engine::order::OrderSettings;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::port::Venue as _;
use pawl_engine::risk::RiskSettings;
use pawl_engine::runtime::IngressSettings;
use pawl_engine::settings::{AccountSettings, Settings};
use pawl_journal::log::{Appender, From, JournalOptions, Tailer};
use pawl_journal::record::{InstrumentId, OrderRequest, Points, Sequence, Step, Tick, Time};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// The system's allocator, counting the allocations of each thread.
struct Counting;

// SAFETY: every call goes to the system's allocator as it came; counting touches a thread-local cell without a
// destructor and allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller keeps the contract of `dealloc`; the block came from the system's allocator.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

fn settings() -> Settings {
    let rule = RuleSettings { fast: "tick_sma_5".into(), slow: "tick_sma_20".into() };
    let mut columns = FeatureSettings::default().columns;
    columns.push("tick_sma_5".into());
    Settings {
        account: AccountSettings::default(),
        instruments: vec![Instrument::well_known("EURUSD").expect("known")],
        ingress: IngressSettings::default(),
        features: FeatureSettings { bars: "10 ticks".into(), columns },
        agents: vec![AgentSettings { rule: Some(rule), ..AgentSettings::named("cross") }],
        signal: SignalSettings::default(),
        risk: RiskSettings::default(),
        order: OrderSettings::default(),
        checkpoint: pawl_engine::settings::CheckpointSettings::default(),
    }
}

/// A price that swings, so that averages cross and orders follow.
fn tick(number: i64) -> Tick {
    let swing = ((number % 200) - 100).abs();
    Tick {
        source_time: Time(number * Time::SECOND / 10),
        source_sequence: number as u64,
        bid: Points(114_500 + swing),
        ask: Points(114_502 + swing),
        instrument: InstrumentId(0),
        ..Tick::default()
    }
}

#[test]
fn a_step_allocates_nothing_after_warm_up() {
    let scratch = crate::support::scratch();
    let settings = settings();
    let mut pipeline = Pipeline::new(&settings, &Models::new(".")).expect("valid settings");
    let options = JournalOptions { segment_bytes: 64 << 20, ..JournalOptions::default() };
    let journal = scratch.path().join("journal");
    let mut appender = Appender::create_or_open(&journal, &options).expect("a journal");
    let mut tailer = Tailer::open(&journal, From::Start).expect("a tailer");
    let mut venue =
        pawl_adapters::venue::Paper::new(&Default::default(), &settings.instruments).expect("a venue");
    let mut step = Step::new();
    let (mut sequence, mut counted, mut orders) = (Sequence(0), 0, 0);
    for number in 1..=60_000 {
        let time = Time(number * Time::SECOND / 10);
        let mut inputs = vec![];
        while let Some((due, report)) = venue.poll(time) {
            inputs.push((due, Input::Report(report)));
        }
        inputs.push((time, Input::Tick(tick(number))));
        for (time, input) in inputs {
            let before = allocations();
            sequence = Sequence(sequence.0 + 1);
            input.begin(&mut step, sequence, time.max(appender.last_time()));
            pipeline.run(&mut step);
            appender.append(&step).expect("appended");
            if let Input::Tick(tick) = &input {
                venue.on_tick(tick, time);
            }
            while let Some(frame) = tailer.poll().expect("readable") {
                for request in frame.step().all::<OrderRequest>() {
                    venue.submit(request, frame.step().time());
                    orders += 1;
                }
            }
            if number > 10_000 {
                counted += allocations() - before;
            }
        }
    }
    assert!(orders > 100, "the measured steps include orders: {orders}");
    assert_eq!(counted, 0, "allocations after warm-up");
}
