//! A comparison as lines of JSON.

use pawl_engine::differing::DifferingKey;
use pawl_journal::record::{KeptStep, Kind, Micros};
use pawl_replay::diff::{Compared, Finding, First, Place, Source, Tally, What};
use serde_json::{Map, Value, json};

use super::{DiffPrinter, UNCOMPARED, shown_key};
use crate::output::{record_json, shown_name, step_json, time_text};

impl DiffPrinter {
    pub(super) fn line(&self, finding: &Finding<'_>) -> Value {
        let mut line = Map::new();
        if let What::Inputs { source, first, last, steps, pulses } = finding.what {
            return json!({
                "line": "inputs", "only": self.label(source), "steps": steps, "pulses": pulses,
                "first": place_json(Some(first)), "last": place_json(Some(last)),
            });
        }
        line.insert("line".into(), "difference".into());
        line.insert("kind".into(), finding.what.kind().map_or("unknown", Kind::name).into());
        let records = match finding.what {
            What::Changed { records, fields } => {
                let fields: Vec<&str> = fields.iter().map(|it| shown_name(it)).collect();
                line.insert("what".into(), "changed".into());
                line.insert("fields".into(), fields.into());
                records.map(Some)
            }
            What::Elsewhere { source, record } | What::Only { source, record } => {
                line.insert("what".into(), "only".into());
                line.insert("only".into(), self.label(source).into());
                if source == Source::A { [Some(record), None] } else { [None, Some(record)] }
            }
            What::Inputs { .. } => [None, None],
        };
        for source in Source::BOTH {
            let index = source as usize;
            let side = finding.steps[index].map_or(Value::Null, |step| {
                let record = records[index].map_or(Value::Null, |it| record_json(&it, &self.names[index]));
                json!({ "sequence": step.sequence().0, "time": time_text(step.time()), "record": record })
            });
            line.insert(self.labels[index].to_lowercase(), side);
        }
        line.insert("inputs_differ".into(), finding.inputs_differ.into());
        Value::Object(line)
    }

    pub(super) fn first_line(&self, first: &First) -> Value {
        let mut line = json!({ "line": "first", "stage": first.stage, "kind": first.kind });
        line["fields"] = first.fields.iter().map(|it| Value::from(shown_name(it))).collect();
        for source in Source::BOTH {
            let index = source as usize;
            let steps = |kept: &[KeptStep]| -> Value {
                kept.iter().map(|it| step_json(it.view(), &[], &self.names[index])).collect()
            };
            line[self.labels[index].to_lowercase()] = json!({
                "before": steps(&first.before[index]),
                "step": first.steps[index].as_ref().map(|it| step_json(it.view(), &[], &self.names[index])),
                "record": first.record(source).map(|it| record_json(&it, &self.names[index])),
                "after": steps(&first.after[index]),
            });
        }
        line
    }

    pub(super) fn result_line(&self, keys: &[DifferingKey], compared: &Compared) -> Value {
        let [a, b] = self.labels.map(str::to_lowercase);
        let sides = |values: [u64; 2]| json!({ &a: values[0], &b: values[1] });
        let places = |it: &[Option<Place>; 2]| json!({ &a: place_json(it[0]), &b: place_json(it[1]) });
        let kinds: Map<String, Value> = compared
            .kinds
            .iter()
            .filter(|(kind, _)| !UNCOMPARED.contains(kind))
            .map(|(kind, it)| {
                let count = json!({
                    "records": sides(it.records), "equal": it.equal(), "changed": it.changed, "only": sides(it.only),
                    "first": it.first.as_ref().map(places),
                });
                (kind.name().to_owned(), count)
            })
            .collect();
        let settings: Vec<Value> =
            keys.iter().map(|it| json!({ "key": shown_key(&it.key), &a: it.left, &b: it.right })).collect();
        let steps = &compared.steps;
        let mut line = json!({
            "line": "result",
            "equal": compared.is_equal(),
            "differences": self.found,
            "settings": settings,
            "steps": { "equal": steps.equal, "changed": steps.changed, "only": sides(steps.only) },
            "kinds": kinds,
            "inputs_differ_from": compared.inputs_differ_from.as_ref().map(places),
            "state_differs_from": compared.state_differs_from.map(|(at, of)| {
                json!({ "of": of.name(), &a: place_json(Some(at[0])), &b: place_json(Some(at[1])) })
            }),
            "results": { &a: tally_json(&compared.tallies[0]), &b: tally_json(&compared.tallies[1]) },
        });
        if let Some((_, hypothetical)) = &self.hypothetical {
            line["hypothetical"] = hypothetical.clone();
        }
        line
    }
}

fn place_json(place: Option<Place>) -> Value {
    place.map_or(Value::Null, |it| json!({ "sequence": it.sequence.0, "time": time_text(it.time) }))
}

fn tally_json(tally: &Tally) -> Value {
    let money = |it: Micros| it.0 as f64 / 1e6;
    json!({
        "steps": tally.steps, "runs": tally.runs, "orders": tally.orders, "fills": tally.fills,
        "net": money(tally.net()), "commission": money(tally.commission),
        "drawdown_max": tally.drawdown_ppm_max() as f64 / 1e6,
    })
}
