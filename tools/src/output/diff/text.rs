//! A comparison as tables.

use pawl_engine::differing::DifferingKey;
use pawl_engine::quantity::{Decimal, Ppm};
use pawl_journal::record::{KeptStep, Kind, Micros};
use pawl_replay::diff::{Compared, First, Place, Source};
use serde_json::Value;

use super::{DiffPrinter, UNCOMPARED, shown_key};
use crate::output::{Table, cents, plain_text, shown_name, step_text, thousands, time_text};

/// Longest value of a setting that is shown.
const SETTING_CHARS: usize = 40;

impl DiffPrinter {
    pub(super) fn text(&self, keys: &[DifferingKey], compared: &Compared) -> anyhow::Result<()> {
        let [a, b] = self.labels;
        for (label, tally) in self.labels.iter().zip(&compared.tallies) {
            let span = |place: Option<Place>| {
                place.map_or_else(String::new, |it| time_text(it.time)[..19].to_owned())
            };
            let (steps, runs) = (thousands(tally.steps), tally.runs);
            // None is told where none began in what is compared.
            let runs = if runs <= 1 { String::new() } else { format!(" in {runs} runs") };
            say!("{label}: {steps} steps{runs}, {} .. {}", span(tally.first), span(tally.last));
        }
        if !keys.is_empty() {
            say!("\nSettings that differ");
            let mut table = Table::new(&["", a, b]);
            for it in keys {
                table.row([shown_key(&it.key).to_owned(), short(&it.left), short(&it.right)]);
            }
            put!("{table}");
        }
        if let Some(first) = &compared.first {
            self.first_text(first)?;
        }
        self.counts(compared)?;
        self.notes(compared)?;
        if !self.rows.is_empty() {
            say!("\nDecisions and inputs that differ");
            let [step_a, step_b] = self.labels.map(|it| format!("step of {it}"));
            let [order_a, order_b] = self.labels.map(|it| format!("order of {it}"));
            let mut table = Table::new(&[
                "",
                "record",
                "time (UTC)",
                "symbol",
                &step_a,
                &step_b,
                &order_a,
                &order_b,
                "how",
            ]);
            let mut rows: Vec<_> = self.rows.iter().collect();
            // What waited for its counterpart in vain was found late.
            rows.sort_by_key(|row| &row[2]);
            for row in rows {
                table.row(row);
            }
            put!("{table}");
        }
        let untold = self.found - self.rows.len() as u64;
        if untold > 0 {
            say!(" and {} more: --limit {} shows them, --json all there are", thousands(untold), self.found);
        }
        self.results(compared)?;
        say!(
            "{}",
            match (compared.is_equal(), keys.is_empty()) {
                (true, true) => "the same decisions on the same inputs",
                (true, false) => "other settings, and yet the same decisions on the same inputs",
                // Pulses come first only if nothing else differs.
                (false, _) if compared.first.as_ref().is_some_and(|it| it.kind == Kind::Timer.name()) => {
                    "they differ in timer pulses, and decide the same"
                }
                (false, _) => "they differ",
            }
        );
        Ok(())
    }

    fn first_text(&self, first: &First) -> anyhow::Result<()> {
        let at =
            first.steps.iter().flatten().next().map(|it| time_text(it.view().time())).unwrap_or_default();
        let places: Vec<_> = Source::BOTH
            .iter()
            .filter_map(|source| {
                let step = first.steps[*source as usize].as_ref()?;
                Some(format!("step {} of {}", step.view().sequence(), self.label(*source)))
            })
            .collect();
        say!("\nFirst difference: {} at {at}, stage {}", places.join(", "), first.stage);
        let records = Source::BOTH.map(|source| first.record(source));
        let mut table = Table::new(&[first.kind, self.labels[0], self.labels[1]]);
        if let [Some(left), Some(right)] = &records {
            for field in &first.fields {
                let steps = [0, 1].map(|it| first.steps[it].as_ref().map(KeptStep::view));
                let [left, right] = [(left, steps[0], 0), (right, steps[1], 1)]
                    .map(|(it, step, side)| self.value(it, step, field, side));
                table.row([shown_name(field), &left, &right]);
            }
        } else {
            let there = records.each_ref().map(|it| if it.is_some() { "there" } else { "not there" });
            table.row(["record", there[0], there[1]]);
        }
        put!("{table}");
        say!("\nThe steps around it");
        let shown: Vec<Kind> = Kind::ALL
            .iter()
            .copied()
            .filter(|it| !matches!(it, Kind::Stamps | Kind::Checkpoint | Kind::RunStarted))
            .filter(|it| *it != Kind::Features || first.kind == it.name())
            .collect();
        let text = |source: Source, kept: &[KeptStep]| -> String {
            kept.iter().map(|it| step_text(it.view(), &shown, &self.names[source as usize])).collect()
        };
        let before = Source::BOTH.map(|it| text(it, &first.before[it as usize]));
        let is_shared = before[0] == before[1];
        if is_shared {
            marked("   ", &before[0])?;
        }
        for source in Source::BOTH {
            let (index, label) = (source as usize, self.label(source));
            if !is_shared {
                marked(&format!("{label}  "), &before[index])?;
            }
            match &first.steps[index] {
                Some(step) => marked(&format!("{label} >"), &text(source, std::slice::from_ref(step)))?,
                None => say!(" {label} >       no such step"),
            }
            marked(&format!("{label}  "), &text(source, &first.after[index]))?;
        }
        Ok(())
    }

    fn counts(&self, compared: &Compared) -> anyhow::Result<()> {
        let [a, b] = self.labels;
        let only = self.labels.map(|it| format!("only in {it}"));
        let first = self.labels.map(|it| format!("first in {it}"));
        say!("\nWhat is the same, and what is not");
        let mut table = Table::new(&["", a, b, "equal", "changed", &only[0], &only[1], &first[0], &first[1]]);
        let steps = &compared.steps;
        let all = [0, 1].map(|it| thousands(steps.equal + steps.changed + steps.only[it]));
        let [left, right] = all;
        let step_row = [steps.equal, steps.changed, steps.only[0], steps.only[1]].map(thousands);
        let mut row = vec!["steps".to_owned(), left, right];
        row.extend(step_row);
        row.extend([String::new(), String::new()]);
        table.row(row);
        for (kind, it) in compared.kinds.iter().filter(|(kind, _)| !UNCOMPARED.contains(kind)) {
            let mut row = vec![kind.name().to_owned()];
            row.extend([it.records[0], it.records[1], it.equal()].map(thousands));
            row.extend([it.changed, it.only[0], it.only[1]].map(|count| match count {
                0 => String::new(),
                count => thousands(count),
            }));
            row.extend(it.first.unwrap_or_default().map(sequence_text));
            table.row(row);
        }
        table.numbers_from(1);
        put!("{table}");
        Ok(())
    }

    fn notes(&self, compared: &Compared) -> anyhow::Result<()> {
        if let Some((sentence, _)) = &self.hypothetical {
            say!("\n{sentence}");
        }
        if let Some(from) = compared.inputs_differ_from {
            let at: Vec<_> = Source::BOTH
                .iter()
                .map(|source| match from[*source as usize] {
                    Some(place) => format!("step {} of {}", place.sequence, self.label(*source)),
                    None => format!("the end of {}", self.label(*source)),
                })
                .collect();
            say!(
                "\nThe inputs themselves differ from {} on: what was decided behind that rests on other inputs.",
                at.join(", ")
            );
        }
        if let Some((at, of)) = compared.state_differs_from.filter(|_| compared.is_equal()) {
            say!(
                "\nThe state differs at the checkpoint in step {} of {}, step {} of {} (stage {of}); the decisions do not.",
                at[0].sequence,
                self.labels[0],
                at[1].sequence,
                self.labels[1],
            );
        }
        if !compared.is_complete {
            say!("\nThe comparison was stopped before the end.");
        }
        Ok(())
    }

    fn results(&self, compared: &Compared) -> anyhow::Result<()> {
        let [a, b] = &compared.tallies;
        say!("\nResults ({}), as of each side's last record of the account", self.currency);
        let mut table = Table::new(&["", self.labels[0], self.labels[1], "difference"]);
        let money = |name: &str, left: Micros, right: Micros| {
            let values = [left, right, right - left].map(|it| cents(Decimal(it.0.saturating_mul(100))));
            std::iter::once(name.to_owned()).chain(values)
        };
        table.row(money("net P&L", a.net(), b.net()));
        table.row(money("commission", a.commission, b.commission));
        let count = |name: &str, left: u64, right: u64| {
            let difference = i128::from(right) - i128::from(left);
            [name.to_owned(), thousands(left), thousands(right), difference.to_string()]
        };
        table.row(count("orders", a.orders, b.orders));
        table.row(count("fills", a.fills, b.fills));
        let (left, right) = (a.drawdown_ppm_max(), b.drawdown_ppm_max());
        let drawdown = [left, right, right - left].map(|it| Ppm(it).to_string());
        table.row(std::iter::once("deepest drawdown".to_owned()).chain(drawdown));
        table.numbers_from(1);
        put!("{table}");
        Ok(())
    }
}

/// Prints lines behind a mark.
fn marked(mark: &str, lines: &str) -> anyhow::Result<()> {
    lines.lines().try_for_each(|line| {
        say!(" {mark} {line}");
        Ok(())
    })
}

fn short(value: &Value) -> String {
    let text = plain_text(value);
    match text.char_indices().nth(SETTING_CHARS) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text,
    }
}

fn sequence_text(place: Option<Place>) -> String {
    place.map_or_else(String::new, |it| it.sequence.to_string())
}
