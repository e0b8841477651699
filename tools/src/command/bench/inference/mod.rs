//! `pawl bench inference`: what it takes to score one row, natively and in ONNX Runtime.
//!
//! ```text
//!  one pinned thread:   turn 1: baseline, XGBoost native, XGBoost ONNX Runtime, LightGBM native ..;   turn 2: baseline, ..
//! ```
//!
//! Topology: rows in memory, another one at each call; calls one behind the other, which keeps the model in the cache, or paced
//! open-loop. The models are made up, of the size and
//! form that exporters give them, and written as ONNX files that both backends load. The baseline is the same loop and the
//! same two clock readings around nothing. A regression is one of every step with a model.

mod lane;

use std::fmt;

use clap::{Args, ValueEnum};
use pawl_engine::inference::{LIBRARY_VARIABLE, Specimen};
use serde::Serialize;

use crate::exit::Exit;
use crate::measure::{
    Aim, Conditions, Cores, Over, Place, Sections, Spread, Stop, heads, over_cells, percentile_cells,
};
use crate::output::{Table, thousands};

use self::lane::{CALLS, Evaluator, Lane, drive};

/// Measure inference: one row through trees, linear models and a perceptron, beside ONNX Runtime.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl bench inference\n  pawl bench inference --only xgboost --rate 10000\n  \
    ORT_DYLIB_PATH=/opt/onnxruntime/libonnxruntime.so pawl bench inference\n  pawl bench inference --quick --json\n\n\
    Exit codes: 0 measured (aims that are not met are told, not failed; without ONNX Runtime its rows are left out), \
    1 what was measured gave a wrong answer, 2 could not measure, 3 interrupted, 130 interrupted a second time. The whole takes about a minute. \
    Numbers count only from a release build on a machine that does nothing else."
)]
pub struct Inference {
    #[command(flatten)]
    sections: Sections<Section>,
    /// Rows that each scores, in turns of 2000, 2000 to 1000000000 [default: 200000]
    #[arg(long, value_parser = clap::value_parser!(u64).range(2_000..=1_000_000_000))]
    count: Option<u64>,
    /// Rows a second, as ticks would come, 100 to 1000000; without it as fast as it goes
    #[arg(long, value_parser = clap::value_parser!(u64).range(100..=1_000_000))]
    rate: Option<u64>,
}

/// What can be measured alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// 3 x 200 trees, complete to depth 6
    Xgboost,
    /// 3 x 200 trees of 31 leaves, at most depth 6
    Lightgbm,
    /// 100 trees of 200 leaves, at most depth 8
    RandomForest,
    /// Logistic regression behind a scaler
    Logistic,
    /// A perceptron, which only ONNX Runtime evaluates
    Perceptron,
}

impl Section {
    const fn specimen(self) -> Specimen {
        match self {
            Self::Xgboost => Specimen::Xgboost,
            Self::Lightgbm => Specimen::Lightgbm,
            Self::RandomForest => Specimen::RandomForest,
            Self::Logistic => Specimen::Logistic,
            Self::Perceptron => Specimen::Perceptron,
        }
    }
}

/// How much is measured, and where.
#[derive(Debug)]
struct Plan<'a> {
    place: &'a Place,
    cores: &'a Cores,
    stop: &'a Stop,
    turns: u64,
    rate: Option<u64>,
}

/// Everything that was measured.
#[derive(Debug, Serialize)]
struct Report {
    bench: &'static str,
    quick: bool,
    conditions: Conditions,
    inference: Scores,
}

/// What one row takes, model by model.
#[derive(Debug, Serialize)]
pub struct Scores {
    rate_per_second: Option<u64>,
    /// The baseline, and every model in every backend.
    pub rows: Vec<Row>,
    /// Why ONNX Runtime was not measured.
    onnx_runtime_missing: Option<String>,
    /// What they are held against.
    pub aims: Vec<Aim>,
}

/// One model in one backend, or the baseline.
#[derive(Debug, Serialize)]
pub struct Row {
    /// The model's name, or that of the baseline.
    pub model: &'static str,
    /// What evaluates it; nothing of the baseline.
    pub backend: Option<&'static str>,
    /// How long one row took.
    pub took: Spread,
    over_baseline: Option<Over>,
    /// The median by that of ONNX Runtime, of a native row.
    ratio_p50: Option<f64>,
}

impl Inference {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let quick = self.sections.quick;
        let (place, cores, stop) = (self.sections.place()?, Cores::usable(), Stop::on_signals()?);
        let conditions = Conditions::now(&place, &cores);
        let record = self.sections.begin("inference", &conditions)?;
        let count = self.count.unwrap_or(if quick { CALLS as u64 } else { 200_000 });
        let (turns, rate) = (count / CALLS as u64, self.rate);
        let plan = Plan { place: &place, cores: &cores, stop: &stop, turns, rate };
        let wanted = Section::value_variants().iter().filter(|section| self.sections.wants(**section));
        let inference = plan.measure(wanted.map(|section| section.specimen()))?;
        self.sections.show(&inference)?;
        let report = Report { bench: "inference", quick, conditions, inference };
        place.remove()?;
        self.sections.end(&report, record.as_ref())?;
        Ok(Exit::Yes)
    }
}

/// What a row of XGBoost takes in both backends, in so many turns.
pub fn xgboost(place: &Place, cores: &Cores, stop: &Stop, turns: u64) -> anyhow::Result<Scores> {
    Plan { place, cores, stop, turns, rate: None }.measure([Specimen::Xgboost])
}

impl Plan<'_> {
    /// Measures a row of each of these models in every backend that evaluates it.
    fn measure(&self, specimens: impl IntoIterator<Item = Specimen>) -> anyhow::Result<Scores> {
        let mut lanes = vec![Lane::baseline()];
        let mut missing = None;
        for specimen in specimens {
            missing = Lane::add(self, specimen, &mut lanes)?.or(missing);
        }
        drive(self, &mut lanes)?;
        Ok(Scores::of(&lanes, self.rate, missing))
    }
}

impl Scores {
    fn of(lanes: &[Lane], rate_per_second: Option<u64>, missing: Option<String>) -> Self {
        let spreads: Vec<Spread> = lanes.iter().map(|lane| lane.took.spread()).collect();
        let median = |model: &str, backend| {
            let at = lanes.iter().position(|lane| lane.model == model && lane.backend() == Some(backend));
            at.map(|at| spreads[at].whole.p50_ns as f64)
        };
        let baseline = spreads[0].whole;
        let rows: Vec<Row> = lanes
            .iter()
            .zip(&spreads)
            .map(|(lane, took)| Row {
                model: lane.model,
                backend: lane.backend(),
                took: *took,
                over_baseline: lane.backend().map(|_| Over::new(&took.whole, &baseline)),
                ratio_p50: (lane.backend() == Some(Evaluator::NATIVE))
                    .then(|| median(lane.model, Evaluator::ONNX_RUNTIME))
                    .flatten()
                    .map(|other| took.whole.p50_ns as f64 / other),
            })
            .collect();
        let mut aims = Vec::new();
        let name = Specimen::Xgboost.name();
        if let Some(row) = rows.iter().find(|row| row.model == name && row.backend == Some(Evaluator::NATIVE))
        {
            let microseconds = row.took.whole.p50_ns as f64 / 1e3;
            aims.push(Aim::at_most(format!("one row of {name}, native: p50"), microseconds, 3.0, "us"));
            if let Some(ratio) = row.ratio_p50 {
                aims.push(Aim::at_most("the same, by ONNX Runtime's p50", ratio, 0.1, "x"));
            }
        }
        Self { rate_per_second, rows, onnx_runtime_missing: missing, aims }
    }

    /// Why ONNX Runtime was not measured, and the way to it; nothing if it was.
    pub fn missing(&self) -> Option<String> {
        let problem = self.onnx_runtime_missing.as_ref()?;
        Some(format!(
            "ONNX Runtime is left out ({problem}): install it (`python3 -m pip install --target DIR onnxruntime`) and set \
             {LIBRARY_VARIABLE} to DIR/onnxruntime/capi/libonnxruntime.so.VERSION"
        ))
    }
}

impl fmt::Display for Scores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let rate = self.rate_per_second.map(|rate| format!("{} a second", thousands(rate)));
        let rate = rate.unwrap_or_else(|| "as fast as it goes".to_owned());
        writeln!(f, "What one row takes, {rate} (ns; + is over the baseline)")?;
        let mut table = Table::new(&heads(&["", ""], &["+p50", "+p99", "+p99.9", "by ONNX Runtime"]));
        for row in &self.rows {
            let mut cells = vec![row.model.to_owned(), row.backend.unwrap_or_default().to_owned()];
            cells.extend(percentile_cells(&row.took.whole));
            cells.extend(over_cells(row.over_baseline.as_ref()));
            cells.push(row.ratio_p50.map(|ratio| format!("{ratio:.3}")).unwrap_or_default());
            table.row(cells);
        }
        table.numbers_from(2);
        write!(f, "{table}")?;
        if let Some(missing) = self.missing() {
            writeln!(f, " {missing}")?;
        }
        self.aims.iter().try_for_each(|aim| writeln!(f, " {aim}"))
    }
}
