//! What does a step cost, in one thread, from its input to its commit?
//!
//! Topology: ticks in memory -> pipeline (feature > inference > risk > order) -> journal, one thread, no ring. The
//! baseline is the same loop with an empty step and no pipeline: the clock and the loop. A regression here is a
//! regression of every mode. Orders go to the paper venue and its reports come back as inputs, so the answer can be
//! checked: the journal is verified, and its tick count compared.

use std::time::Instant;

use pawl_adapters::feed::{Memory, Synthetic, SyntheticSettings};
use pawl_adapters::venue::{Paper, PaperSettings};
use pawl_engine::Input;
use pawl_engine::feature::FeatureSettings;
use pawl_engine::inference::{AgentSettings, Models, RuleSettings, SignalSettings, Trigger};
use pawl_engine::instrument::Instrument;
use pawl_engine::order::OrderSettings;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::port::{FeedTick, Venue};
use pawl_engine::risk::RiskSettings;
use pawl_engine::runtime::{IngressSettings, Latency};
use pawl_engine::settings::{AccountSettings, Settings};
use pawl_journal::log::{Appender, JournalOptions, SealReason, verify};
use pawl_journal::record::{FeedId, InstrumentId, Kind, OrderRequest, Sequence, Step, TickMarks, Time};

/// What a run came to.
struct Measured {
    name: &'static str,
    latency: Latency,
    steps: u64,
    orders: u64,
    seconds: f64,
}

fn main() {
    let smoke = std::env::args().any(|argument| matches!(argument.as_str(), "--smoke" | "--test"));
    let ticks = ticks(if smoke { 5_000 } else { 200_000 });
    println!("step: {} synthetic ticks of EURUSD, one thread, paper venue", ticks.len());
    println!("{}", conditions());
    println!();
    println!(
        "{:<34} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8} {:>12}",
        "ns per step", "p50", "p90", "p99", "p99.9", "max", "orders", "steps/s"
    );
    row(&baseline(ticks.len() as u64));
    let all = FeatureSettings::default().columns;
    let two = ["tick_sma_10", "tick_sma_50"].map(str::to_owned).to_vec();
    for (name, columns, journaled) in [
        ("two averages, not journaled", &two, false),
        ("two averages, journaled", &two, true),
        ("all columns, not journaled", &all, false),
        ("all columns, journaled", &all, true),
    ] {
        row(&measure(name, &ticks, columns, journaled));
    }
}

fn ticks(count: u64) -> Vec<FeedTick> {
    let eurusd = Instrument::well_known("EURUSD").expect("known");
    let settings = SyntheticSettings { ticks: count, ..SyntheticSettings::default() };
    let mut feed = Synthetic::new(settings, InstrumentId(0), &eurusd).expect("valid settings");
    Memory::from_feed(&mut feed).expect("made up").ticks().to_vec()
}

fn settings(columns: &[String]) -> Settings {
    let mut columns = columns.to_vec();
    for name in ["tick_sma_10", "tick_sma_50"] {
        if !columns.iter().any(|column| column == name) {
            columns.push(name.to_owned());
        }
    }
    let rule = RuleSettings { fast: "tick_sma_10".into(), slow: "tick_sma_50".into() };
    Settings {
        account: AccountSettings::default(),
        instruments: vec![Instrument::well_known("EURUSD").expect("known")],
        ingress: IngressSettings::default(),
        features: FeatureSettings { columns, ..FeatureSettings::default() },
        agents: vec![AgentSettings { rule: Some(rule), on: Trigger::Tick, ..AgentSettings::named("cross") }],
        signal: SignalSettings::default(),
        risk: RiskSettings { max_order_rate: 1_024, ..RiskSettings::default() },
        order: OrderSettings::default(),
        checkpoint: pawl_engine::settings::CheckpointSettings::default(),
    }
}

/// The loop and the clock alone.
fn baseline(count: u64) -> Measured {
    let mut latency = Latency::new();
    let mut step = Step::new();
    let began = Instant::now();
    for number in 1..=count {
        let start = Instant::now();
        step.begin(Sequence(number), Time(0));
        std::hint::black_box(&mut step);
        latency.record(start.elapsed().as_nanos() as u64);
    }
    Measured {
        name: "base: an empty step",
        latency,
        steps: count,
        orders: 0,
        seconds: began.elapsed().as_secs_f64(),
    }
}

fn measure(name: &'static str, ticks: &[FeedTick], columns: &[String], journaled: bool) -> Measured {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let settings = settings(columns);
    let mut pipeline = Pipeline::new(&settings, &Models::new(".")).expect("valid settings");
    let mut venue = Paper::new(&PaperSettings::default(), &settings.instruments).expect("valid settings");
    let options = JournalOptions { segment_bytes: 256 << 20, ..JournalOptions::default() };
    let mut journal = Appender::create_or_open(directory.path(), &options).expect("a journal");
    let (mut step, mut latency) = (Step::new(), Latency::new());
    let (mut sequence, mut orders, mut now) = (Sequence(0), 0, Time(0));
    let began = Instant::now();
    let mut process = |input: &Input, time: Time, venue: &mut Paper| {
        now = now.max(time);
        sequence = Sequence(sequence.0 + 1);
        let start = Instant::now();
        input.begin(&mut step, sequence, now);
        pipeline.run(&mut step);
        if journaled {
            journal.append(&step).expect("appended");
        }
        latency.record(start.elapsed().as_nanos() as u64);
        if let Input::Tick(tick) = input {
            venue.on_tick(tick, now);
        }
        for request in step.view().all::<OrderRequest>() {
            venue.submit(request, now);
            orders += 1;
        }
    };
    for tick in ticks {
        while let Some((due, report)) = venue.poll(tick.time) {
            process(&Input::Report(report), due, &mut venue);
        }
        process(&Input::Tick(tick.record(FeedId(0), TickMarks::NONE)), tick.time, &mut venue);
    }
    let seconds = began.elapsed().as_secs_f64();
    journal.seal(SealReason::Ended).expect("sealed");
    if journaled {
        let verified = verify(directory.path(), &mut |_, _| {}).expect("readable");
        let counted = verified
            .record_counts
            .iter()
            .find(|(kind, _)| **kind == Kind::Tick)
            .map_or(0, |(_, count)| *count);
        assert!(
            verified.findings.is_empty() && counted == ticks.len() as u64,
            "the journal holds every tick"
        );
    }
    assert!(orders > 0, "the averages cross");
    Measured { name, latency, steps: sequence.0, orders, seconds }
}

fn row(it: &Measured) {
    let at = it.latency.percentiles();
    println!(
        "{:<34} {:>8} {:>8} {:>8} {:>8} {:>10} {:>8} {:>12.0}",
        it.name,
        at.p50_ns,
        at.p90_ns,
        at.p99_ns,
        at.p999_ns,
        at.max_ns,
        it.orders,
        it.steps as f64 / it.seconds,
    );
}

/// Processor, kernel, build.
fn conditions() -> String {
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let model = read("/proc/cpuinfo");
    let model = model
        .lines()
        .find_map(|line| line.strip_prefix("model name\t: "))
        .unwrap_or("unknown processor")
        .to_owned();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!(
        "conditions: {model}, {cores} cores, Linux {}, load {}, {profile} build",
        read("/proc/sys/kernel/osrelease").trim(),
        read("/proc/loadavg").split_whitespace().next().unwrap_or("?"),
    )
}
