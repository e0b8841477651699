//! `pawl chain`: one causal chain, from the tick to the last fill, with its latencies.

use std::path::{Path, PathBuf};

use clap::Args;
use pawl_engine::quantity::Decimal;
use pawl_engine::settings::Settings;
use pawl_journal::log::Reader;
use pawl_journal::record::{
    ExecutionReport, Features, Kind, Lots, Micros, OrderChanged, Points, Prediction, Record, Step, StepRef,
    Time, Verdict,
};
use pawl_replay::{Chain as Followed, ChainStep, EarlierStep, Spans, chain, settings_of};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::opened::Opened;
use crate::output::{Bar, Names, cents, put, record_json, say, step_json, step_text, thousands, time_text};

/// Columns that are shown where a model decided, which takes them all.
const COLUMNS_SHOWN: usize = 6;

/// Where the fields of a record begin in text.
const INDENT: usize = 34;

/// Follow one causal chain: tick, features, predictions, signal, verdict, order, every report, position and P&L.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl chain J 12345          the step that decided\n  \
    pawl chain J 790080         the order it made (client_order_id)\n  \
    pawl chain J 12345 --features\n  pawl chain J 12345 --json\n\n\
    Time in the engine is real, from the journal's stamps; time at the venue is event time. Of the features those \
    that the deciding rule compares are shown, of a model's the first few.")]
pub struct Chain {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// A step's sequence, or a client order id
    id: u64,
    /// Take ID as a client order id even if there is a step of that number
    #[arg(long)]
    order: bool,
    /// Show every column of the feature vectors
    #[arg(long)]
    features: bool,
    /// Print the chain as JSON
    #[arg(long)]
    json: bool,
}

impl Chain {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let _opened = Opened::take(&mut self.journal)?;
        let bar = Bar::new("following", Reader::open(&self.journal)?.last_sequence()?.0);
        let followed = chain(&self.journal, self.id, self.order, |at| bar.set(at.0))?;
        drop(bar);
        let told = Told::new(&self.journal, self.features);
        if self.json {
            say!("{}", told.json(&followed));
        } else {
            told.text(&followed)?;
        }
        Ok(Exit::Yes)
    }
}

/// How a chain is told.
struct Told {
    names: Names,
    settings: Option<Settings>,
    all_columns: bool,
}

impl Told {
    fn new(journal: &Path, all_columns: bool) -> Self {
        let settings = settings_of(journal).ok().map(|(recorded, _)| recorded.engine);
        Self { names: Names::of_journal(journal), settings, all_columns }
    }

    fn json(&self, followed: &Followed) -> Value {
        let decided = followed.decided().unwrap_or_default();
        let steps: Vec<Value> = followed
            .steps
            .iter()
            .map(|it| {
                let mut step = step_json(it.step.view(), &[], &self.names);
                step["since_decision_ns"] = (it.step.view().time() - decided).0.into();
                step["spans"] = json!(it.spans);
                step
            })
            .collect();
        let earlier: Vec<Value> = followed
            .earlier
            .iter()
            .map(|it| {
                let mut step = step_json(it.step.view(), &[Kind::Prediction], &self.names);
                step["records"] = counted(it).map(|record| record_json(&record, &self.names)).collect();
                step
            })
            .collect();
        json!({
            "order": followed.order.map(|id| id.0),
            "final": followed.is_final,
            "earlier": earlier,
            "steps": steps,
            "outcome": self.outcome_json(followed),
        })
    }

    fn outcome_json(&self, followed: &Followed) -> Value {
        let Some(change) = last_change(followed) else { return Value::Null };
        let decided = followed.decided().unwrap_or_default();
        let reports: Vec<i64> = reports(followed).map(|(time, _)| (time - decided).0).collect();
        let instrument = self.names.instrument(change.instrument);
        let volume = |lots: Lots| instrument.map_or(lots.0 as f64, |it| it.volume(lots).to_f64());
        let money = |it: Micros| it.0 as f64 / 1e6;
        json!({
            "state": change.to.name(),
            "filled_lots": volume(change.filled_lots),
            "average_price": average(change).and_then(|points| self.price(change, points).parse::<f64>().ok()),
            "slippage_points": slippage(followed),
            "venue": { "answered_ns": reports.first(), "last_report_ns": reports.last() },
            "position": followed.effect.map(|it| json!({
                "net_before": volume(it.net_before), "net_after": volume(it.net_after),
                "realised": money(it.realised), "commission": money(it.commission),
            })),
        })
    }

    fn text(&self, followed: &Followed) -> anyhow::Result<()> {
        let Some(first) = followed.steps.first().map(|it| it.step.view()) else { return Ok(()) };
        match followed.order {
            Some(order) => {
                say!("order {order}, decided in step {} at {}", first.sequence(), time_text(first.time()));
            }
            None => say!("step {} at {} is about no order", first.sequence(), time_text(first.time())),
        }
        for kept in &followed.earlier {
            self.earlier(kept, first.time())?;
        }
        for (index, kept) in followed.steps.iter().enumerate() {
            if index > 0 {
                let since = (kept.step.view().time() - first.time()).0;
                let at = if kept.step.view().record(Kind::ExecutionReport).is_some() {
                    " at the venue"
                } else {
                    ""
                };
                say!("\n+{} in event time{at}", milliseconds(since));
            }
            self.step(kept)?;
        }
        self.outcome(followed, first)
    }

    /// A step with predictions that still counted.
    fn earlier(&self, earlier: &EarlierStep, decided: Time) -> anyhow::Result<()> {
        let mut only = Step::new();
        only.begin(earlier.step.view().sequence(), earlier.step.view().time());
        counted(earlier).for_each(|record| only.push_record(&record));
        put!("{}", step_text(only.view(), &[], &self.names));
        say!("{:INDENT$}  {} before, and still counted\n", "", milliseconds((decided - only.time()).0));
        Ok(())
    }

    fn step(&self, kept: &ChainStep) -> anyhow::Result<()> {
        let step = kept.step.view();
        let is_told = |kind: Kind| !matches!(kind, Kind::Stamps | Kind::Checkpoint);
        let told: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| is_told(*kind)).collect();
        let text = step_text(step, &told, &self.names);
        let records = step.records().filter(|it| it.kind().is_some_and(is_told));
        for (line, record) in text.lines().zip(records) {
            if record.kind() == Some(Kind::Features) && !self.all_columns {
                say!("{}", self.features(&record, step));
            } else {
                say!("{line}");
            }
        }
        let Some(spans) = &kept.spans else { return Ok(()) };
        let commit = spans.commit_ns.map_or(1, |_| 0);
        let parts = Spans::NAMES.iter().zip(spans.parts()).take(Spans::NAMES.len() - commit);
        let parts: Vec<_> = parts.map(|(name, ns)| format!("{name} {}", thousands(u64::from(ns)))).collect();
        say!(
            "{:INDENT$}  time spent (ns): {}; {} {}",
            "",
            parts.join(", "),
            thousands(spans.received_to_committed_ns()),
            if commit == 0 { "from received to committed" } else { "from received to decided" }
        );
        Ok(())
    }

    /// A feature vector with the columns that decided first.
    fn features(&self, record: &Record<'_>, step: StepRef<'_>) -> String {
        let json = record_json(record, &self.names);
        let ready = record.get::<Features>().is_some_and(|it| it.ready == 1);
        let mut line = format!(
            "{:INDENT$}  {:<16} symbol={} {}",
            "",
            "features",
            json["symbol"].as_str().unwrap_or("?"),
            if ready { "ready" } else { "warming up" }
        );
        let columns = self.columns(step);
        for name in &columns {
            let value = &json["values"][*name];
            line.push_str(&format!(" {name}={value}"));
        }
        let more = self.names.columns.len().saturating_sub(columns.len());
        if more > 0 {
            line.push_str(&format!(" and {more} more (--features)"));
        }
        line
    }

    /// The columns that the rules of the agents that spoke compare, then some for the models.
    fn columns(&self, step: StepRef<'_>) -> Vec<&str> {
        let Some(settings) = &self.settings else { return Vec::new() };
        let agents: Vec<_> =
            step.all::<Prediction>().filter_map(|it| settings.agents.get(usize::from(it.agent.0))).collect();
        let mut columns: Vec<&str> = Vec::new();
        for rule in agents.iter().filter_map(|it| it.rule.as_ref()) {
            columns.extend([rule.fast.as_str(), rule.slow.as_str()]);
        }
        if agents.is_empty() || agents.iter().any(|it| it.model.is_some()) {
            let others = settings.features.columns.iter().map(String::as_str);
            columns.extend(others.take(COLUMNS_SHOWN));
        }
        let mut seen = std::collections::BTreeSet::new();
        columns.retain(|name| seen.insert(*name));
        columns
    }

    fn outcome(&self, followed: &Followed, first: StepRef<'_>) -> anyhow::Result<()> {
        let Some(change) = last_change(followed) else { return Ok(()) };
        let after = followed.steps.last().map_or(0, |it| (it.step.view().time() - first.time()).0);
        let ended = if followed.is_final { "final" } else { "not final yet" };
        say!("\n{ended}: {} after {}", change.to, milliseconds(after));
        let instrument = self.names.instrument(change.instrument);
        let volume =
            |lots: Lots| instrument.map_or_else(|| lots.to_string(), |it| it.volume(lots).to_string());
        if let Some(points) = average(change) {
            let slippage = slippage(followed).map_or_else(String::new, |points| {
                let word = if points > 0.0 { "worse" } else { "better" };
                match points {
                    0.0 => ", the quote of the decision".to_owned(),
                    _ => format!(", {:.1} points {word} than the quote of the decision", points.abs()),
                }
            });
            say!(
                "filled {} of {} at {}{slippage}",
                volume(change.filled_lots),
                volume(change.lots),
                self.price(change, points)
            );
        }
        if let Some(it) = followed.effect {
            let money = |it: Micros| cents(Decimal(it.0.saturating_mul(100)));
            say!(
                "position {} -> {}, realised {}, commission {}",
                volume(it.net_before),
                volume(it.net_after),
                money(it.realised),
                money(it.commission)
            );
        } else if change.filled_lots.0 > 0 {
            say!("position not known: the steps before it are gone");
        }
        Ok(())
    }

    /// A price between points, with one decimal more than the instrument has.
    fn price(&self, change: &OrderChanged, points: f64) -> String {
        match self.names.instrument(change.instrument) {
            Some(it) if points.fract() == 0.0 => it.price_text(Points(points as i64)),
            Some(it) => {
                format!("{:.*}", usize::from(it.digits) + 1, points / 10_f64.powi(i32::from(it.digits)))
            }
            None => points.to_string(),
        }
    }
}

/// The predictions of an earlier step that still counted.
fn counted(earlier: &EarlierStep) -> impl Iterator<Item = Record<'_>> {
    earlier.step.view().records().filter(|record| {
        record.get::<Prediction>().is_some_and(|prediction| earlier.agents.contains(&prediction.agent))
    })
}

/// The last thing that happened to the order of the chain.
fn last_change(followed: &Followed) -> Option<&OrderChanged> {
    let order = followed.order?;
    followed
        .steps
        .iter()
        .rev()
        .find_map(|it| it.step.view().all::<OrderChanged>().filter(|it| it.client_order_id == order).last())
}

fn reports(followed: &Followed) -> impl Iterator<Item = (Time, &ExecutionReport)> {
    followed.steps.iter().filter_map(|it| {
        let step = it.step.view();
        Some((step.time(), step.get::<ExecutionReport>()?))
    })
}

/// Average price of what was filled, in points.
fn average(change: &OrderChanged) -> Option<f64> {
    (change.filled_lots.0 != 0).then(|| change.filled_cost as f64 / change.filled_lots.0 as f64)
}

/// How much worse than the quote of the decision the order was filled, in points; negative is better.
fn slippage(followed: &Followed) -> Option<f64> {
    let change = last_change(followed)?;
    let decided = followed.steps.first()?.step.view();
    let verdict = decided.all::<Verdict>().find(|it| it.instrument == change.instrument)?;
    let price = average(change).filter(|_| verdict.reference.0 > 0)?;
    // Adding zero takes the sign off a zero.
    Some((price - verdict.reference.0 as f64) * change.side.sign() as f64 + 0.0)
}

fn milliseconds(nanoseconds: i64) -> String {
    format!("{:.3} ms", nanoseconds as f64 / 1e6)
}
