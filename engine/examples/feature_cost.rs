//! What a tick costs in the feature stage.
//!
//! Question: how many nanoseconds does the stage add to a step, for the default columns, for two moving averages, and
//! for no column at all? Topology: one thread, ticks in memory, one reused step; `base` builds the step without the
//! stage and is subtracted by the reader; the cases take turns, so that all see the same machine. A higher number means
//! that replay and backtest become slower by as much per tick. Prints the tenth percentile, the median and the slowest
//! of a hundred runs of 10,000 ticks each.
//!
//! Run by hand: `cargo run --release -p pawl-engine --example feature_cost`
#![expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]

use std::time::Instant;

use pawl_engine::Stage;
use pawl_engine::feature::{COLUMNS_DEFAULT, Feature, FeatureSettings};
use pawl_engine::instrument::Instrument;
use pawl_engine::settings::Settings;
use pawl_journal::record::{Features, Points, Sequence, Step, Tick, TickFlags, Time};

const TICKS: usize = 1_000_000;
const RUN: usize = 10_000;

fn main() {
    let ticks = session();
    let mut cases = vec![Case::new("base: a step and its tick", None)];
    cases.push(Case::new("no column", Some(&[])));
    cases.push(Case::new("sma_10 sma_30", Some(&["sma_10", "sma_30"])));
    cases.push(Case::new("tick_sma_10 tick_sma_30", Some(&["tick_sma_10", "tick_sma_30"])));
    for name in ["return_5", "spread_z_100", "tick_rate_20", "volatility_100", "tick_ema_20", "day_sin"] {
        cases.push(Case::new(name, Some(&[name])));
    }
    cases.push(Case::new("the default columns", Some(COLUMNS_DEFAULT)));
    for run in ticks.chunks(RUN) {
        for case in &mut cases {
            case.run(run);
        }
    }
    println!("{:<28} {:>8} {:>8} {:>8}   (ns a tick)", "", "quiet", "median", "max");
    for case in &mut cases {
        case.report();
    }
}

/// A seeded random walk of EURUSD: about 1.6 ticks a second, so that a bar of a minute has about a hundred.
fn session() -> Vec<(Time, Tick)> {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) % below
    };
    let (mut time, mut bid) = (1_549_238_400_000_000_000, 114_543_i64);
    (1..=TICKS as u64)
        .map(|source_sequence| {
            time += (1 + random(1_250)) as i64 * Time::MILLISECOND;
            bid += random(5) as i64 - 2;
            let ask = bid + 1 + random(8) as i64;
            let flags = TickFlags::BID.with(TickFlags::ASK);
            let source_time = Time(time);
            let tick = Tick {
                source_time,
                source_sequence,
                bid: Points(bid),
                ask: Points(ask),
                flags,
                ..Tick::default()
            };
            (source_time, tick)
        })
        .collect()
}

/// One set of columns and what its runs cost.
struct Case {
    what: &'static str,
    feature: Option<Feature>,
    step: Step,
    ready: usize,
    costs: Vec<f64>,
}

impl Case {
    fn new(what: &'static str, columns: Option<&[&str]>) -> Self {
        Self { what, feature: columns.map(stage), step: Step::new(), ready: 0, costs: Vec::new() }
    }

    fn run(&mut self, ticks: &[(Time, Tick)]) {
        let start = Instant::now();
        for (time, tick) in ticks {
            self.step.begin(Sequence(tick.source_sequence), *time);
            self.step.push(tick);
            if let Some(feature) = &mut self.feature {
                feature.on_step(&mut self.step);
            }
            std::hint::black_box(&mut self.step);
        }
        self.costs.push(start.elapsed().as_secs_f64() * 1e9 / ticks.len() as f64);
        self.ready += self.step.get::<Features>().map_or(0, |features| usize::from(features.ready));
    }

    fn report(&mut self) {
        if self.feature.is_some() {
            assert_eq!(self.ready, self.costs.len(), "the columns warm up within the first run");
        }
        self.costs.sort_by(f64::total_cmp);
        let at = |part: usize| self.costs[(self.costs.len() - 1) * part / 100];
        println!("{:<28} {:8.1} {:8.1} {:8.1}", self.what, at(10), at(50), at(100));
    }
}

fn stage(columns: &[&str]) -> Feature {
    let settings = Settings {
        account: pawl_engine::settings::AccountSettings::default(),
        instruments: vec![Instrument::well_known("EURUSD").expect("EURUSD is well known")],
        ingress: pawl_engine::runtime::IngressSettings::default(),
        features: FeatureSettings {
            bars: "1m".to_owned(),
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        },
        agents: Vec::new(),
        signal: pawl_engine::inference::SignalSettings::default(),
        risk: pawl_engine::risk::RiskSettings::default(),
        order: pawl_engine::order::OrderSettings::default(),
        checkpoint: pawl_engine::settings::CheckpointSettings::default(),
    };
    Feature::new(&settings).expect("the columns exist")
}
