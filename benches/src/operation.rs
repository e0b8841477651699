//! The hot operations, one call at a time, for whoever times or counts them.
//!
//! | operation | one call |
//! |---|---|
//! | `step` | one tick through the four stages, all default features, a rule that trades, no model, not journaled |
//! | `step-models` | the same with the demo's two models |
//! | `append` | one step of that size into the journal |
//! | `ring` | one envelope published and polled, on one thread |
//! | `inference` | one row through the demo's larger model |
//! | `line` | one line of a MetaTrader 5 export parsed |
//!
//! Every call does its whole work; nothing is precomputed but the ticks. Same calls, same instructions.

use std::hint::black_box;
use std::io::Read;

use pawl_adapters::feed::{Memory, Mt5Export, Synthetic, SyntheticSettings};
use pawl_engine::Input;
use pawl_engine::feature::FeatureSettings;
use pawl_engine::inference::{
    AgentSettings, BuiltinModel, Models, NativeModel, RuleSettings, SignalSettings, Trigger,
};
use pawl_engine::instrument::Instrument;
use pawl_engine::order::OrderSettings;
use pawl_engine::pipeline::Pipeline;
use pawl_engine::port::{Feed, FeedTick};
use pawl_engine::risk::RiskSettings;
use pawl_engine::runtime::{Envelope, IngressSettings, Instant, Polled, ring};
use pawl_engine::settings::{AccountSettings, CheckpointSettings, Settings};
use pawl_journal::log::{Appender, JournalOptions};
use pawl_journal::record::{FeedId, InstrumentId, Sequence, Step, TickMarks, Time};

/// Ticks that are gone through again and again, each time later.
const TICKS: u64 = 8_192;

/// An operation.
#[derive(Debug, Clone, Copy)]
pub struct Operation {
    /// Its name.
    pub name: &'static str,
    /// Calls in front of those that count.
    pub warm_up: u64,
    /// Makes what is called.
    pub make: fn() -> Box<dyn FnMut()>,
}

/// All of them.
pub const OPERATIONS: [Operation; 6] = [
    Operation { name: "step", warm_up: 10_000, make: || step(&["cross"]) },
    Operation { name: "step-models", warm_up: 10_000, make: || step(&["cross", "fast", "precise"]) },
    Operation { name: "append", warm_up: 2_000, make: append },
    Operation { name: "ring", warm_up: 2_000, make: hop },
    Operation { name: "inference", warm_up: 200, make: inference },
    Operation { name: "line", warm_up: 2_000, make: line },
];

const PRECISE: &[u8] = include_bytes!("../../tools/models/precise/model.onnx");

fn eurusd() -> Instrument {
    Instrument::well_known("EURUSD").expect("known")
}

/// A made-up market.
fn ticks() -> Vec<FeedTick> {
    let settings = SyntheticSettings { ticks: TICKS, ..SyntheticSettings::default() };
    let mut feed = Synthetic::new(settings, InstrumentId(0), &eurusd()).expect("valid settings");
    Memory::from_feed(&mut feed).expect("made up").ticks().to_vec()
}

/// Settings under which a rule trades often, with these agents.
fn settings(agents: &[&str]) -> Settings {
    let agent = |name: &&str| match *name {
        "cross" => {
            let rule = RuleSettings { fast: "tick_ema_20".into(), slow: "tick_sma_20".into() };
            AgentSettings { rule: Some(rule), weight: 100.0, ..AgentSettings::named("cross") }
        }
        model => AgentSettings {
            model: Some(format!("builtin:{model}")),
            on: if model == "fast" { Trigger::Tick } else { Trigger::Bar },
            ..AgentSettings::named(model)
        },
    };
    Settings {
        account: AccountSettings::default(),
        instruments: vec![eurusd()],
        ingress: IngressSettings::default(),
        features: FeatureSettings::default(),
        agents: agents.iter().map(agent).collect(),
        signal: SignalSettings::default(),
        risk: RiskSettings { max_order_rate: 1_024, ..RiskSettings::default() },
        order: OrderSettings::default(),
        checkpoint: CheckpointSettings { every: 0 },
    }
}

/// A pipeline and the ticks that it goes through.
struct Stages {
    pipeline: Pipeline,
    ticks: Vec<FeedTick>,
    span: i64,
    number: u64,
    step: Step,
}

impl Stages {
    fn new(agents: &[&str]) -> Self {
        let models = Models::new(".").with_builtin(&[
            BuiltinModel {
                name: "fast",
                model: include_bytes!("../../tools/models/fast/model.onnx"),
                manifest: include_bytes!("../../tools/models/fast/manifest.json"),
            },
            BuiltinModel {
                name: "precise",
                model: PRECISE,
                manifest: include_bytes!("../../tools/models/precise/manifest.json"),
            },
        ]);
        let pipeline = Pipeline::new(&settings(agents), &models).expect("valid settings");
        let ticks = ticks();
        let span = ticks.last().map_or(0, |last| last.time.0) - ticks[0].time.0 + Time::SECOND;
        Self { pipeline, ticks, span, number: 0, step: Step::new() }
    }

    fn next(&mut self) -> &Step {
        let count = self.ticks.len() as u64;
        let mut tick = self.ticks[(self.number % count) as usize];
        tick.time = Time(tick.time.0 + (self.number / count) as i64 * self.span);
        self.number += 1;
        tick.source_sequence = self.number;
        let input = Input::Tick(tick.record(FeedId(0), TickMarks::NONE));
        input.begin(&mut self.step, Sequence(self.number), tick.time);
        self.pipeline.run(&mut self.step);
        &self.step
    }
}

fn step(agents: &[&str]) -> Box<dyn FnMut()> {
    let mut stages = Stages::new(agents);
    Box::new(move || {
        black_box(stages.next());
    })
}

fn append() -> Box<dyn FnMut()> {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let options = JournalOptions { segment_bytes: 64 << 20, ..JournalOptions::default() };
    let mut appender = Appender::create_or_open(directory.path(), &options).expect("a journal");
    let mut stages = Stages::new(&["cross"]);
    (0..200).for_each(|_| {
        stages.next();
    });
    let (template, mut step, mut sequence) = (stages.step, Step::new(), 0);
    Box::new(move || {
        let _kept = &directory;
        sequence += 1;
        step.begin(Sequence(sequence), template.time());
        template.view().records().for_each(|record| step.push_record(&record));
        appender.append(&step).expect("appended");
    })
}

fn hop() -> Box<dyn FnMut()> {
    let (mut publisher, mut subscriber) = ring(1_024);
    let tick = ticks()[0].record(FeedId(0), TickMarks::NONE);
    let now = Instant::default();
    let mut sequence = 0;
    Box::new(move || {
        sequence += 1;
        let input = Input::Tick(tick);
        let envelope =
            Envelope { sequence: Sequence(sequence), time: Time(0), received: now, published: now, input };
        assert!(publisher.try_publish(black_box(&envelope)), "the ring was emptied before");
        let polled = subscriber.poll(64, |envelope| {
            black_box(envelope);
            Ok::<_, ()>(())
        });
        assert_eq!(polled, Ok(Polled::Some(1)));
    })
}

fn inference() -> Box<dyn FnMut()> {
    let columns = FeatureSettings::default().columns.len();
    let mut model = NativeModel::from_onnx(PRECISE, columns).expect("a model");
    let rows: Vec<Vec<f32>> = (0..64_u32)
        .map(|row| {
            (0..columns as u32).map(|column| ((row * 37 + column * 11) % 101) as f32 / 50.0 - 1.0).collect()
        })
        .collect();
    let mut index = 0;
    Box::new(move || {
        index = (index + 1) % rows.len();
        black_box(model.score(black_box(&rows[index])));
    })
}

/// The lines of an export, without end.
struct Lines {
    text: Vec<u8>,
    at: usize,
    header: usize,
}

impl Read for Lines {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.at == self.text.len() {
            self.at = self.header;
        }
        let bytes = into.len().min(self.text.len() - self.at);
        into[..bytes].copy_from_slice(&self.text[self.at..self.at + bytes]);
        self.at += bytes;
        Ok(bytes)
    }
}

fn line() -> Box<dyn FnMut()> {
    let mut text = String::from("<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\r\n");
    let header = text.len();
    for (tick, number) in ticks().iter().zip(0_u64..) {
        let price = |points: i64| format!("{}.{:05}", points / 100_000, points % 100_000);
        let (minute, second, millisecond) = (number / 60_000 % 60, number / 1_000 % 60, number % 1_000);
        let (bid, ask) = (price(tick.bid.0), price(tick.ask.0));
        text += &format!("2024.01.08\t08:{minute:02}:{second:02}.{millisecond:03}\t{bid}\t{ask}\t\t\t6\r\n");
    }
    let lines = Lines { text: text.into_bytes(), at: 0, header };
    let mut feed = Mt5Export::from_reader("lines", Box::new(lines), None, InstrumentId(0), &eurusd())
        .expect("an export");
    Box::new(move || {
        let tick = feed.next().expect("well-formed");
        assert!(black_box(tick).is_some(), "there is no end");
    })
}
