//! A comparison for people and for programs: rows as they are found, then what it all came to.

mod json;
mod text;

use std::io::Write as _;
use std::ops::ControlFlow;

use pawl_engine::differing::DifferingKey;
use pawl_journal::record::{Kind, Record, StepRef};
use pawl_replay::diff::{Compared, Finding, Source, What};
use serde_json::Value;

use super::{Names, millisecond_text, plain_text, record_json, shown_name, thousands, time_text};
use crate::exit::OutputError;

/// Fields that a row tells of a changed record.
const FIELDS_TOLD: usize = 3;

/// Kinds that are counted and not compared.
const UNCOMPARED: [Kind; 4] = [Kind::RunStarted, Kind::RunEnded, Kind::Checkpoint, Kind::Stamps];

/// Prints a comparison.
pub struct DiffPrinter {
    /// What the two sides are called.
    pub labels: [&'static str; 2],
    /// The names of each side's instruments, agents and columns.
    pub names: [Names; 2],
    /// Account currency.
    pub currency: String,
    /// Rows to print; none is all of them.
    pub limit: Option<u64>,
    /// Kinds of records that get rows; none is every kind.
    pub kinds: Vec<Kind>,
    /// JSON lines, as they are found.
    pub json: bool,
    /// From where on the second side is a hypothesis: as a sentence, and as a program reads it.
    pub hypothetical: Option<(String, Value)>,
    rows: Vec<[String; 9]>,
    found: u64,
    out: std::io::BufWriter<std::io::Stdout>,
    failed: Option<std::io::Error>,
}

impl DiffPrinter {
    /// A printer of text, for two sides with these names.
    pub fn new(labels: [&'static str; 2], names: [Names; 2], currency: &str) -> Self {
        Self {
            labels,
            names,
            currency: currency.to_owned(),
            limit: None,
            kinds: Vec::new(),
            json: false,
            hypothetical: None,
            rows: Vec::new(),
            found: 0,
            out: std::io::BufWriter::new(std::io::stdout()),
            failed: None,
        }
    }

    /// Takes one difference.
    pub fn visit(&mut self, finding: &Finding<'_>) -> ControlFlow<()> {
        let wanted = match finding.what.kind() {
            _ if matches!(finding.what, What::Elsewhere { .. }) => false,
            // In text they are counted: pulses decide nothing by themselves, and can be as many as seconds.
            _ if matches!(finding.what, What::Inputs { steps, pulses, .. } if steps == pulses) => self.json,
            Some(kind) => self.kinds.is_empty() || self.kinds.contains(&kind),
            None => true,
        };
        if !wanted {
            return ControlFlow::Continue(());
        }
        self.found += 1;
        if self.limit.is_some_and(|limit| self.found > limit) {
            return ControlFlow::Continue(());
        }
        if !self.json {
            let row = self.row(finding);
            self.rows.push(row);
            return ControlFlow::Continue(());
        }
        let line = self.line(finding);
        match writeln!(self.out, "{line}") {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                self.failed = Some(error);
                ControlFlow::Break(())
            }
        }
    }

    /// Prints what it all came to.
    pub fn finish(mut self, keys: &[DifferingKey], compared: &Compared) -> anyhow::Result<()> {
        if let Some(error) = self.failed.take() {
            return Err(OutputError(error).into());
        }
        if !self.json {
            return self.text(keys, compared);
        }
        if let Some(first) = &compared.first {
            writeln!(self.out, "{}", self.first_line(first)).map_err(OutputError)?;
        }
        writeln!(self.out, "{}", self.result_line(keys, compared)).map_err(OutputError)?;
        Ok(self.out.flush().map_err(OutputError)?)
    }

    fn label(&self, source: Source) -> &'static str {
        self.labels[source as usize]
    }

    fn row(&self, finding: &Finding<'_>) -> [String; 9] {
        let empty = String::new;
        if let What::Inputs { source, first, last, steps, .. } = finding.what {
            let how = match steps {
                1 => "1 step".to_owned(),
                _ => format!("{} steps, up to step {}", thousands(steps), last.sequence),
            };
            let mut places = [empty(), empty()];
            places[source as usize] = first.sequence.to_string();
            let [a, b] = places;
            let what = format!("only in {}", self.label(source));
            return [
                what,
                "inputs".into(),
                millisecond_text(first.time),
                empty(),
                a,
                b,
                empty(),
                empty(),
                how,
            ];
        }
        let time = finding.steps.iter().flatten().next().map(|it| millisecond_text(it.time()));
        let [a, b] = finding.steps.map(|step| step.map_or_else(empty, |it| it.sequence().to_string()));
        let kind = finding.what.kind().map_or("unknown", Kind::name).to_owned();
        let (what, records, how) = match finding.what {
            What::Changed { records, fields } => {
                ("changed".to_owned(), records.map(Some), self.changes(&records, finding.steps, fields))
            }
            What::Only { source, record } | What::Elsewhere { source, record } => {
                let records = if source == Source::A { [Some(record), None] } else { [None, Some(record)] };
                (format!("only in {}", self.label(source)), records, self.gist(&record, source))
            }
            What::Inputs { .. } => (empty(), [None, None], empty()),
        };
        let json = [0, 1].map(|it| records[it].map(|record| record_json(&record, &self.names[it])));
        let symbol = json.iter().flatten().find_map(|it| it["symbol"].as_str().map(str::to_owned));
        let [x, y] = json.map(|it| {
            let id = it.and_then(|it| it["client_order_id"].as_u64().or_else(|| it["target"].as_u64()));
            id.filter(|id| *id != 0).map_or_else(empty, |id| id.to_string())
        });
        let unsure = if finding.inputs_differ { ", on other inputs" } else { "" };
        [
            what,
            kind,
            time.unwrap_or_default(),
            symbol.unwrap_or_default(),
            a,
            b,
            x,
            y,
            format!("{how}{unsure}"),
        ]
    }

    fn changes(&self, records: &[Record<'_>; 2], steps: [Option<StepRef<'_>>; 2], fields: &[&str]) -> String {
        let mut parts: Vec<String> = fields
            .iter()
            .take(FIELDS_TOLD)
            .map(|field| {
                let [left, right] = [0, 1].map(|it| self.value(&records[it], steps[it], field, it));
                format!("{} {left} | {right}", shown_name(field))
            })
            .collect();
        if fields.len() > FIELDS_TOLD {
            parts.push(format!("{} more", fields.len() - FIELDS_TOLD));
        }
        parts.join(", ")
    }

    /// What a record without counterpart says, in a few words.
    fn gist(&self, record: &Record<'_>, source: Source) -> String {
        let json = record_json(record, &self.names[source as usize]);
        let zero = |it: &Value| it.as_f64() == Some(0.0);
        let words = [
            "action",
            "execution",
            "outcome",
            "code",
            "reason",
            "reasons",
            "side",
            "order_type",
            "lots",
            "price",
        ];
        let told = words.iter().filter_map(|name| {
            let value = json.get(*name).filter(|it| !zero(it))?;
            let text = plain_text(value);
            (!text.is_empty() && text != "none").then_some(match *name {
                "price" => format!("at {text}"),
                "lots" => format!("{text} lots"),
                _ => text,
            })
        });
        told.collect::<Vec<_>>().join(" ")
    }

    /// A field's value as people write it.
    fn value(&self, record: &Record<'_>, step: Option<StepRef<'_>>, field: &str, side: usize) -> String {
        if field == "time" {
            return step.map_or_else(String::new, |step| clock_text(&time_text(step.time())).to_owned());
        }
        let json = record_json(record, &self.names[side]);
        let value = json.get(shown_name(field)).or_else(|| json.get("values")?.get(field));
        match value {
            Some(Value::Array(items)) if items.is_empty() => "none".to_owned(),
            Some(Value::String(text)) if field.ends_with("time") => clock_text(text).to_owned(),
            Some(value) => plain_text(value),
            None => String::new(),
        }
    }
}

/// A key as the configuration has it.
fn shown_key(key: &str) -> &str {
    key.strip_prefix("engine.").unwrap_or(key)
}

/// The time of day of a time, to the nanosecond.
fn clock_text(time: &str) -> &str {
    time.get(11..29).unwrap_or(time)
}
