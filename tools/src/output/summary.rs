//! The summary of a run, for a trader and an engineer.

use std::fmt::Write as _;

use pawl_engine::quantity::Decimal;
use pawl_engine::risk::Mode;
use pawl_engine::runtime::{DurabilityReport, MemoryLock, Outcome, Percentiles};
use pawl_journal::log::Durability;
use pawl_replay::Summary;

use super::record::time_text;
use super::table::Table;

/// What happened and how long it took, as text.
pub fn summary_text(
    summary: &Summary,
    outcome: &Outcome,
    memory: &MemoryLock,
    currency: &str,
    journal_bytes: u64,
) -> String {
    let mut out = String::new();
    let count = |kind: &str| summary.records.get(kind).copied().unwrap_or(0);
    let seconds = outcome.elapsed_ns as f64 / 1e9;
    let ticks = count("tick");
    // Writing to a String cannot fail.
    let _ = writeln!(out, "\nWhat came in and what came of it");
    let mut table = Table::new(&[]);
    let span = format!("{} .. {}", &time_text(summary.time_first)[..19], &time_text(summary.time_last)[..19]);
    table.row(["event time (UTC)", &span]);
    table.row(["steps", &thousands(summary.last.0 + 1 - summary.first.0)]);
    table.row(["ticks", &format!("{}{}", thousands(ticks), marks(summary))]);
    table.row(["bars", &thousands(count("bar_closed"))]);
    table.row(["feature vectors", &thousands(count("features"))]);
    table.row(["predictions", &thousands(count("prediction"))]);
    let signals = format!(
        "{} up, {} down, of {}",
        thousands(summary.signals_up),
        thousands(summary.signals_down),
        thousands(count("signal"))
    );
    table.row(["signals", &signals]);
    table.row([
        "verdicts",
        &format!("{} approved, {} refused", thousands(summary.approved), thousands(summary.refused)),
    ]);
    for (reason, times) in &summary.refused_by {
        table.row([&format!("  refused: {reason}"), &thousands(*times)]);
    }
    table.row(["orders", &thousands(summary.orders)]);
    table.row(["fills", &thousands(summary.fills)]);
    for (kind, times) in summary.reports.iter().filter(|(kind, _)| !matches!(**kind, "filled" | "accepted")) {
        table.row([&format!("  reports: {kind}"), &thousands(*times)]);
    }
    for (command, times) in &summary.commands {
        table.row([&format!("command: {command}"), &thousands(*times)]);
    }
    let _ = write!(out, "{table}");

    let _ = writeln!(out, "\nMoney ({currency})");
    let mut table =
        Table::new(&["", "ticks", "bars", "orders", "fills", "net lots", "realised", "open", "commission"]);
    for (it, position) in summary.instruments.iter().zip(&outcome.after.positions) {
        table.row([
            it.symbol.clone(),
            thousands(it.ticks),
            thousands(it.bars),
            thousands(it.orders),
            thousands(it.fills),
            position.net.to_string(),
            cents(position.realised),
            cents(position.unrealised),
            cents(position.commission),
        ]);
    }
    table.numbers_from(1);
    let _ = write!(out, "{table}");
    let (before, after) = (&outcome.before, &outcome.after);
    let _ = writeln!(
        out,
        " balance {} -> {}   equity {} -> {}   P&L {}   deepest drawdown {}",
        cents(before.balance),
        cents(after.balance),
        cents(before.equity),
        cents(after.equity),
        cents(Decimal(after.equity.0 - before.equity.0)),
        after.drawdown_max,
    );
    if after.mode != Mode::Active {
        let since = if before.mode == Mode::Active { "" } else { ", as the run found it" };
        let _ = writeln!(out, " {} ({}){since}", after.mode, after.causes.join(", "));
    }

    let _ = writeln!(out, "\nTime per step (ns)");
    let mut table = Table::new(&["", "p50", "p90", "p99", "p99.9", "max", "steps"]);
    for (stage, it) in &summary.latency.0 {
        table.row(latency_row(stage, it));
    }
    if outcome.gateway.count > 0 {
        table.row(latency_row("published to gateway", &outcome.gateway));
    }
    if outcome.durability.held.count > 0 {
        table.row(latency_row("committed to released", &outcome.durability.held));
    }
    table.numbers_from(1);
    let _ = write!(out, "{table}");
    let _ = write!(out, "\nDurability\n{}", durability_table(&outcome.durability));
    let _ = writeln!(
        out,
        "\n {} ticks in {seconds:.2} s: {} ticks/s, {} steps/s   journal {} ({} of steps){}",
        thousands(ticks),
        thousands(rate(ticks, seconds)),
        thousands(rate(summary.last.0 + 1 - summary.first.0, seconds)),
        mebibytes(journal_bytes),
        mebibytes(summary.bytes),
        if outcome.pinned { "" } else { "   (cores could not be pinned)" },
    );
    if let MemoryLock::Refused { problem } = memory {
        let _ = writeln!(out, " memory is not locked: {problem}");
    }
    out
}

/// When steps were made durable, and what that cost where there is a bound to keep.
fn durability_table(report: &DurabilityReport) -> Table {
    let mut table = Table::new(&[]);
    let meaning = match report.mode {
        Durability::PageCache => "orders leave when committed, the kernel writes back when it likes",
        Durability::Async(_) => "orders leave when committed, what is on disk follows",
        Durability::Gated => "orders leave when they are on disk",
    };
    let durable = thousands(report.durable.0);
    table.row([&report.mode.to_string(), &format!("{meaning}; on disk up to step {durable}")]);
    if report.mode == Durability::PageCache {
        return table;
    }
    let it = &report.statistics;
    let syncs =
        format!("{}, longest {}, all {}", thousands(it.syncs), ms(it.sync_ns_max), ms(it.sync_ns_total));
    table.row(["syncs", &syncs]);
    table.row([
        "not yet on disk",
        &format!("at most {} steps, {}", thousands(it.lag_steps_max), ms(it.lag_ns_max)),
    ]);
    table.row(["padding", &format!("{} bytes", thousands(it.pad_bytes))]);
    let rolls =
        format!("{}, of which {} waited for a segment", thousands(it.rolls), thousands(it.roll_waits));
    table.row(["segments begun", &rolls]);
    table
}

fn ms(nanoseconds: u64) -> String {
    format!("{:.2} ms", nanoseconds as f64 / 1e6)
}

fn latency_row(name: &str, it: &Percentiles) -> [String; 7] {
    [
        name.to_owned(),
        thousands(it.p50_ns),
        thousands(it.p90_ns),
        thousands(it.p99_ns),
        thousands(it.p999_ns),
        thousands(it.max_ns),
        thousands(it.count),
    ]
}

fn marks(summary: &Summary) -> String {
    let mut parts: Vec<String> =
        summary.marks.iter().map(|(mark, times)| format!("{times} {mark}")).collect();
    if summary.ticks_dropped > 0 {
        parts.push(format!("{} left out", thousands(summary.ticks_dropped)));
    }
    if parts.is_empty() { String::new() } else { format!(" ({})", parts.join(", ")) }
}

fn rate(count: u64, seconds: f64) -> u64 {
    if seconds > 0.0 { (count as f64 / seconds) as u64 } else { 0 }
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / 1_048_576.0)
}

/// Money with two decimals.
pub fn cents(money: Decimal) -> String {
    const CENT: i64 = Decimal::ONE / 100;
    let rounded = (money.0 + money.0.signum() * CENT / 2) / CENT * CENT;
    let text = Decimal(rounded).to_string();
    match text.split_once('.') {
        Some((whole, cents)) => format!("{whole}.{cents:0<2}"),
        None => format!("{text}.00"),
    }
}

/// A count with thin groups of three digits.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_and_counts_read_as_people_write_them() {
        assert_eq!(cents(Decimal(-1_234_567 * 100)), "-1.23");
        assert_eq!(cents(Decimal(99_999_995_000 * 100)), "100000.00");
        assert_eq!(cents(Decimal(500_000 * 100)), "0.50");
        assert_eq!(
            (thousands(999), thousands(1_000), thousands(136_741)),
            ("999".into(), "1,000".into(), "136,741".into())
        );
    }
}
