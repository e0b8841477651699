//! What do stamps and counters cost a step? Whole runs over ticks in memory, `single`, everything journaled.
//!
//! The variants are run in turn, round after round, so that a machine that is busy with something else is so for all of
//! them; what is told is the median over the rounds of each variant's time, and of its ratio to the run without both in the
//! same round. A regression here is paid by every step of every run.
//!
//! `counter_cost [ROUNDS]` measures. `counter_cost one plain|stamps|counters|both cheap|all` is a single run, for a program
//! that counts instructions.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pawl_adapters::feed::{Memory, Synthetic, SyntheticSettings};
use pawl_adapters::venue::{Paper, PaperSettings};
use pawl_engine::feature::FeatureSettings;
use pawl_engine::inference::{AgentSettings, Models, RuleSettings, SignalSettings, Trigger};
use pawl_engine::instrument::Instrument;
use pawl_engine::order::OrderSettings;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::port::FeedTick;
use pawl_engine::risk::RiskSettings;
use pawl_engine::runtime::{
    IngressSettings, Outcome, Progress, RingFull, Run, RunOptions, RunTexts, Sources, Threading,
};
use pawl_engine::settings::{AccountSettings, CheckpointSettings, Settings};
use pawl_journal::log::JournalOptions;
use pawl_journal::record::InstrumentId;

const TICKS: u64 = 200_000;

/// Stamps, counters.
const VARIANTS: [(&str, bool, bool); 4] =
    [("plain", false, false), ("stamps", true, false), ("counters", false, true), ("both", true, true)];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ticks = ticks();
    if let [_, variant, load] = &words[..] {
        let (_, stamps, counters) = *VARIANTS.iter().find(|it| it.0 == variant).expect("a variant");
        let outcome = run(&settings(load == "all"), &ticks, stamps, counters);
        println!("{} steps", outcome.last.0);
        return;
    }
    let rounds = words.first().map_or(9, |rounds| rounds.parse().expect("a number of rounds"));
    println!("{TICKS} synthetic ticks, one thread, journaled; medians of {rounds} rounds, interleaved");
    for (load, all) in [("two averages", false), ("all columns", true)] {
        let settings = settings(all);
        let mut spent = vec![Vec::new(); VARIANTS.len()];
        for _ in 0..rounds {
            for (index, (_, stamps, counters)) in VARIANTS.iter().enumerate() {
                let outcome = run(&settings, &ticks, *stamps, *counters);
                spent[index].push(outcome.elapsed_ns as f64 / outcome.last.0 as f64);
            }
        }
        println!("{load}");
        for (index, (name, ..)) in VARIANTS.iter().enumerate() {
            let ratios: Vec<f64> =
                spent[index].iter().zip(&spent[0]).map(|(own, plain)| own / plain).collect();
            println!("  {name:<10} {:>7.1} ns a step  {:>6.3}", median(&spent[index]), median(&ratios));
        }
    }
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn ticks() -> Vec<FeedTick> {
    let eurusd = Instrument::well_known("EURUSD").expect("known");
    let settings = SyntheticSettings { ticks: TICKS, ..SyntheticSettings::default() };
    let mut feed = Synthetic::new(settings, InstrumentId(0), &eurusd).expect("valid settings");
    Memory::from_feed(&mut feed).expect("made up").ticks().to_vec()
}

fn settings(all: bool) -> Settings {
    let mut columns = if all { FeatureSettings::default().columns } else { Vec::new() };
    columns.extend(["tick_sma_10", "tick_sma_50"].map(str::to_owned));
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
        checkpoint: CheckpointSettings::default(),
    }
}

fn run(settings: &Settings, ticks: &[FeedTick], stamps: bool, counters: bool) -> Outcome {
    let home = tempfile::tempdir().expect("a temporary directory");
    let pipeline = Pipeline::new(settings, &Models::new(".")).expect("valid settings");
    let venue = Paper::new(&PaperSettings::default(), &settings.instruments).expect("valid settings");
    let (_, commands) = crossbeam_channel::bounded(0);
    let feed = Memory::new("memory", ticks.to_vec());
    let sources = Sources {
        feeds: vec![(Box::new(feed), InstrumentId(0))],
        venue: Box::new(venue),
        commands,
        stop: Arc::new(AtomicBool::new(false)),
    };
    let options = RunOptions {
        threading: Threading::Single,
        cores: Vec::new(),
        waits: Vec::new(),
        ring_slots: 1_024,
        on_ring_full: RingFull::Wait,
        speed: None,
        stamps,
        journal: JournalOptions { segment_bytes: 256 << 20, ..JournalOptions::default() },
    };
    let texts = RunTexts {
        settings: serde_json::to_string(settings).expect("settings are JSON"),
        ..RunTexts::default()
    };
    let progress = Arc::new(if counters { Progress::counted() } else { Progress::default() });
    let prepared =
        Run::prepare(home.path(), settings, pipeline, &texts, options, sources, &progress).expect("prepared");
    prepared.begin().expect("begun").drive().expect("it ends")
}
