//! `pawl slowest`: the slowest steps or orders of a journal, and where their time went.

use std::path::PathBuf;

use clap::Args;
use pawl_journal::log::Reader;
use pawl_journal::record::Sequence;
use pawl_replay::{SlowOrder, SlowStep, Slowest as Found, Spans, slowest_orders, slowest_steps};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::opened::Opened;
use crate::output::{Bar, Names, Table, millisecond_text, put, say, thousands, time_text};

/// Characters of the bar that shows where the time went, and the letter of each part.
const BAR_CHARS: u64 = 24;
const LETTERS: [char; 7] = ['x', 'r', 'f', 'i', 'k', 'o', 'c'];

/// The parts that the time of a step is made of: what lies between published and the end of the order stage.
const OF_STEP: std::ops::Range<usize> = 1..6;

/// Most rows.
const ROWS_MAX: u64 = 100_000;

/// Show the slowest steps or orders, and where their time went.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl slowest J\n  pawl slowest J -n 50\n  pawl slowest J --orders\n  \
    pawl slowest J --orders --json\n\n\
    A step is timed from published to the end of the order stage, in real nanoseconds; an order from the receipt of \
    what caused it to the commit of its step, when the gateway may send it. What the venue took is event time. The \
    journal needs stamps (runtime.stamps, on by default).")]
pub struct Slowest {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// New orders instead of steps
    #[arg(long)]
    orders: bool,
    /// How many
    #[arg(short, long = "count", value_name = "N", default_value_t = 10,
        value_parser = clap::value_parser!(u64).range(1..=ROWS_MAX))]
    n: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Slowest {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let _opened = Opened::take(&mut self.journal)?;
        let bar = Bar::new("reading", Reader::open(&self.journal)?.last_sequence()?.0);
        let names = Names::of_journal(&self.journal);
        let progress = |at: Sequence| bar.set(at.0);
        let count = self.n as usize;
        if self.orders {
            let found = slowest_orders(&self.journal, count, progress)?;
            drop(bar);
            self.print_orders(&found, &names)?;
        } else {
            let found = slowest_steps(&self.journal, count, progress)?;
            drop(bar);
            self.print_steps(&found)?;
        }
        Ok(Exit::Yes)
    }

    fn print_steps(&self, found: &Found<SlowStep>) -> anyhow::Result<()> {
        if self.json {
            let rows: Vec<Value> = found.rows.iter().map(step_json).collect();
            say!("{}", json!({ "measured": found.measured, "unmeasured": found.unmeasured, "steps": rows }));
            return Ok(());
        }
        say!("The slowest of {} steps, published to decided (ns)", thousands(found.measured));
        let names = &Spans::NAMES[OF_STEP];
        let heads = [&["step", "time (UTC)", "input", "total"], names, &["where"]].concat();
        let mut table = Table::new(&heads);
        for it in &found.rows {
            let mut row = vec![it.sequence.to_string(), millisecond_text(it.time), it.input.to_owned()];
            row.push(thousands(it.spans.step_ns()));
            row.extend(it.spans.parts()[OF_STEP].iter().map(|it| nanoseconds(*it)));
            row.push(bar_of(&it.spans, OF_STEP));
            table.row(row);
        }
        table.numbers_from(3);
        put!("{table}");
        legend(OF_STEP, found.unmeasured, "steps")
    }

    fn print_orders(&self, found: &Found<SlowOrder>, names: &Names) -> anyhow::Result<()> {
        if self.json {
            let rows: Vec<Value> = found.rows.iter().map(|it| order_json(it, names)).collect();
            say!("{}", json!({ "measured": found.measured, "unmeasured": found.unmeasured, "orders": rows }));
            return Ok(());
        }
        if found.rows.is_empty() && found.unmeasured == 0 {
            say!("there is no order in this journal");
            return Ok(());
        }
        say!(
            "The slowest of {} orders, received to committed (ns), and the venue (event time)",
            thousands(found.measured)
        );
        let heads = [
            &["order", "symbol", "step", "time (UTC)", "input", "total"],
            &Spans::NAMES[..],
            &["answered", "ended", "as", "where"],
        ]
        .concat();
        let mut table = Table::new(&heads);
        for it in &found.rows {
            let step = &it.step;
            let symbol = names.instrument(it.instrument).map_or("", |it| &it.symbol);
            let mut row = vec![it.order.to_string(), symbol.to_owned(), step.sequence.to_string()];
            row.extend([millisecond_text(step.time), step.input.to_owned()]);
            row.push(thousands(step.spans.received_to_committed_ns()));
            row.extend(step.spans.parts().iter().map(|it| nanoseconds(*it)));
            row.extend([it.answered_ns, it.ended_ns].map(milliseconds));
            row.extend([it.state.to_string(), bar_of(&step.spans, 0..7)]);
            table.row(row);
        }
        table.numbers_from(5);
        put!("{table}");
        legend(0..7, found.unmeasured, "orders")
    }
}

fn legend(parts: std::ops::Range<usize>, unmeasured: u64, what: &str) -> anyhow::Result<()> {
    let letters: Vec<String> =
        parts.map(|part| format!("{} {}", LETTERS[part], Spans::NAMES[part])).collect();
    say!(" where: {}", letters.join(", "));
    if unmeasured > 0 {
        say!(" {} {what} have no stamps and are left out", thousands(unmeasured));
    }
    Ok(())
}

/// A bar of letters, as many of each part as its share of the time.
fn bar_of(spans: &Spans, shown: std::ops::Range<usize>) -> String {
    let parts = &spans.parts()[shown.clone()];
    let total: u64 = parts.iter().map(|it| u64::from(*it)).sum();
    let (mut bar, mut sum) = (String::new(), 0);
    for (part, letter) in parts.iter().zip(&LETTERS[shown]) {
        sum += u64::from(*part);
        // Rounded where parts meet, so that the letters always add up to the whole bar.
        let until = (sum * BAR_CHARS + total / 2).checked_div(total).unwrap_or(0);
        bar.extend(std::iter::repeat_n(*letter, (until as usize).saturating_sub(bar.len())));
    }
    bar
}

/// A stamp's nanoseconds; one that saturated says so.
fn nanoseconds(it: u32) -> String {
    let text = thousands(u64::from(it));
    if it == u32::MAX { format!(">={text}") } else { text }
}

fn milliseconds(nanoseconds: Option<i64>) -> String {
    nanoseconds.map_or_else(|| "-".to_owned(), |it| format!("{:.3} ms", it as f64 / 1e6))
}

fn step_json(step: &SlowStep) -> Value {
    json!({
        "sequence": step.sequence.0,
        "time": time_text(step.time),
        "input": step.input,
        "total_ns": step.spans.step_ns(),
        "spans": step.spans,
    })
}

fn order_json(order: &SlowOrder, names: &Names) -> Value {
    json!({
        "order": order.order.0,
        "symbol": names.instrument(order.instrument).map(|it| it.symbol.clone()),
        "sequence": order.step.sequence.0,
        "time": time_text(order.step.time),
        "input": order.step.input,
        "total_ns": order.step.spans.received_to_committed_ns(),
        "spans": order.step.spans,
        "venue": { "answered_ns": order.answered_ns, "ended_ns": order.ended_ns, "state": order.state.name() },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_long_as_any_other_whatever_it_is_made_of() {
        let spans = |risk_ns: u32, order_ns: u32| Spans { ring_ns: 1, risk_ns, order_ns, ..Spans::default() };
        assert_eq!(bar_of(&spans(1, 0), OF_STEP), "rrrrrrrrrrrrkkkkkkkkkkkk");
        assert_eq!(bar_of(&spans(1_000_000, 333_333), OF_STEP), "kkkkkkkkkkkkkkkkkkoooooo");
        assert_eq!(bar_of(&Spans::default(), OF_STEP), "");
        assert_eq!(nanoseconds(u32::MAX), ">=4,294,967,295");
    }
}
