//! `pawl prune`: delete the oldest segments of a journal, by age, by size, or as far as a snapshot allows.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use clap::Args;
use pawl_engine::quantity::Span;
use pawl_journal::log::{GoingSegment, HeldBack, Hold, PrunePlan, Retention};
use serde_json::json;

use crate::exit::Exit;
use crate::output::{Bar, Table, put, say, thousands, time_text};

/// Most segments that are listed one by one; of the others their range is told.
const ROWS_MAX: usize = 20;

/// What a journal without a snapshot cannot do when its beginning is gone.
const CONSEQUENCE: &str = "without a snapshot, what is left can be read, but not replayed, explained from the start, or resumed \
                           by `pawl run`";

/// Delete the oldest segments of a journal. Shows what would go; deletes only with --apply.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pawl prune J --older-than 30d\n  \
    pawl prune J --larger-than 50GB --apply\n  \
    pawl prune J --to-snapshot --apply\n  \
    pawl prune J --older-than 30d --without-snapshot --json\n\n\
    Whole segments go, from the oldest on; several limits add up. An age is that of the segment's file, when it was last \
    written, and not of the events in it. A size is what the segments and their indexes may have in all.\n\n\
    Never goes: a step that a registered cursor has still to see (`pawl cursor list`), what lies behind the newest \
    verified snapshot, the two newest segments. A journal without a verified snapshot is pruned only with \
    --without-snapshot: what is left can then be read, but not replayed, explained from the start, or resumed by \
    `pawl run`. The engine may run meanwhile. Where the journal begins from then on is kept in its pruned.json, what its \
    numbers mean in its pruned.run_started.\n\n\
    Exit codes: 0 done, or shown, or nothing to do; 2 cannot open, or --apply and everything is held back for want of \
    a snapshot.")]
#[command(group(clap::ArgGroup::new("limit").required(true).multiple(true)))]
pub struct Prune {
    /// Directory of the journal
    journal: PathBuf,
    /// Segments whose file was last written longer ago than this (30d, 12h; units d, h, m, s)
    #[arg(long, value_name = "AGE", group = "limit", value_parser = parse_age)]
    older_than: Option<Duration>,
    /// The oldest segments, until the rest has at most this size (50GB, 500MiB)
    #[arg(long, value_name = "SIZE", group = "limit", value_parser = parse_bytes)]
    larger_than: Option<u64>,
    /// Everything that the newest verified snapshot makes dispensable
    #[arg(long, group = "limit")]
    to_snapshot: bool,
    /// Prune although there is no verified snapshot
    #[arg(long, conflicts_with = "to_snapshot")]
    without_snapshot: bool,
    /// Delete what is shown
    #[arg(long, visible_alias = "yes")]
    apply: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Prune {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let retention = Retention {
            older_than: self.older_than,
            larger_than_bytes: self.larger_than,
            to_snapshot: self.to_snapshot,
            without_snapshot: self.without_snapshot,
        };
        let now = SystemTime::now();
        let plan = if self.apply {
            let bar = Bar::new("deleting", 1);
            retention.prune(&self.journal, now, &mut |done, total| {
                bar.set_total(total);
                bar.set(done);
            })?
        } else {
            retention.plan(&self.journal, now)?
        };
        if self.json {
            say!("{}", plan_json(&plan, self.apply));
        } else {
            self.print_text(&plan)?;
        }
        let wants_snapshot = self.to_snapshot && plan.snapshot.is_none();
        let is_refused = wants_snapshot || plan.held.iter().any(|held| held.by == Hold::NoSnapshot);
        if self.apply && plan.going.is_empty() && is_refused {
            eprintln!(
                "pawl: {} has no verified snapshot, so nothing was deleted: {CONSEQUENCE}; --without-snapshot deletes all \
                 the same",
                self.journal.display()
            );
            return Ok(Exit::Unusable);
        }
        Ok(Exit::Yes)
    }

    fn print_text(&self, plan: &PrunePlan) -> anyhow::Result<()> {
        print_going(plan)?;
        if !plan.held.is_empty() {
            let mut table = Table::new(&["held back by", "segments"]);
            for held in &plan.held {
                table.row([hold_text(&held.by), thousands(held.segments)]);
            }
            table.numbers_from(1);
            put!("{table}\n");
        }
        if plan.going.is_empty() {
            let all = format!("{} segments, {}", thousands(plan.segments), bytes_text(plan.bytes));
            if self.to_snapshot && plan.snapshot.is_none() {
                say!(" nothing to delete: there is no verified snapshot ({all} stay)");
            } else if plan.asked_segments == 0 {
                say!(" nothing to delete: no segment is old or large enough ({all} stay)");
            } else {
                say!(" nothing to delete: all that was asked for is held back ({all} stay)");
            }
            return Ok(());
        }
        let bytes: u64 = plan.going.iter().map(|segment| segment.bytes).sum();
        say!(
            " {} {} of {} segments, {} of {}; the journal {} at step {}",
            if self.apply { "deleted" } else { "would delete" },
            thousands(plan.going.len() as u64),
            thousands(plan.segments),
            bytes_text(bytes),
            bytes_text(plan.bytes),
            if self.apply { "begins" } else { "would begin" },
            plan.first_sequence
        );
        if plan.snapshot.is_none() {
            say!(" {CONSEQUENCE}");
        }
        if !self.apply {
            say!(" nothing was deleted; the same command with --apply does it");
        }
        Ok(())
    }
}

fn print_going(plan: &PrunePlan) -> anyhow::Result<()> {
    if plan.going.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&["first step", "last step", "steps", "size", "last written", ""]);
    let (listed, others) = plan.going.split_at(plan.going.len().min(ROWS_MAX));
    for segment in listed {
        let note = if segment.is_leftover { "left by an interrupted pruning" } else { "" };
        table.row([
            segment.first_sequence.to_string(),
            segment.last_sequence.to_string(),
            thousands(steps(segment)),
            bytes_text(segment.bytes),
            time_text(segment.written).get(..19).unwrap_or_default().to_owned(),
            note.to_owned(),
        ]);
    }
    table.numbers_from(0);
    put!("{table}");
    if let [first, .., last] | [first @ last] = others {
        say!(
            " and {} more, steps {} .. {}",
            thousands(others.len() as u64),
            first.first_sequence,
            last.last_sequence
        );
    }
    say!();
    Ok(())
}

fn steps(segment: &GoingSegment) -> u64 {
    segment.last_sequence.0 + 1 - segment.first_sequence.0
}

fn hold_text(hold: &Hold) -> String {
    match hold {
        Hold::Cursor { name, next_sequence } => format!("cursor {name} at step {next_sequence}"),
        Hold::Snapshot { sequence } => format!("the newest verified snapshot, of step {sequence}"),
        Hold::NoSnapshot => "no verified snapshot (--without-snapshot)".to_owned(),
        Hold::Newest => "the two newest segments".to_owned(),
    }
}

fn plan_json(plan: &PrunePlan, applied: bool) -> serde_json::Value {
    let going = |segment: &GoingSegment| {
        json!({
            "first": segment.first_sequence.0,
            "last": segment.last_sequence.0,
            "steps": steps(segment),
            "bytes": segment.bytes,
            "written": time_text(segment.written),
            "leftover": segment.is_leftover,
        })
    };
    let held = |held: &HeldBack| {
        let segments = held.segments;
        match &held.by {
            Hold::Cursor { name, next_sequence } => {
                json!({ "by": "cursor", "name": name, "next": next_sequence.0, "segments": segments })
            }
            Hold::Snapshot { sequence } => {
                json!({ "by": "snapshot", "sequence": sequence.0, "segments": segments })
            }
            Hold::NoSnapshot => json!({ "by": "no_snapshot", "segments": segments }),
            Hold::Newest => json!({ "by": "newest", "segments": segments }),
        }
    };
    json!({
        "applied": applied,
        "segments": plan.segments,
        "bytes": plan.bytes,
        "asked_segments": plan.asked_segments,
        "going": plan.going.iter().map(going).collect::<Vec<_>>(),
        "going_bytes": plan.going.iter().map(|segment| segment.bytes).sum::<u64>(),
        "held": plan.held.iter().map(held).collect::<Vec<_>>(),
        "snapshot": plan.snapshot.map(|sequence| sequence.0),
        "first_after": plan.first_sequence.0,
    })
}

fn bytes_text(bytes: u64) -> String {
    let mebibytes = bytes as f64 / 1_048_576.0;
    if mebibytes < 1024.0 { format!("{mebibytes:.1} MiB") } else { format!("{:.1} GiB", mebibytes / 1024.0) }
}

fn parse_age(text: &str) -> Result<Duration, String> {
    let span: Span = text.parse()?;
    Ok(Duration::from_nanos(span.0.unsigned_abs()))
}

/// Units of a size and their bytes.
const UNITS: [(&str, u64); 9] = [
    ("B", 1),
    ("kB", 1_000),
    ("MB", 1_000_000),
    ("GB", 1_000_000_000),
    ("TB", 1_000_000_000_000),
    ("KiB", 1 << 10),
    ("MiB", 1 << 20),
    ("GiB", 1 << 30),
    ("TiB", 1 << 40),
];

fn parse_bytes(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size: write a whole number and a unit, such as 50GB or 500MiB");
    let (number, unit) = text.split_at(text.find(|digit: char| !digit.is_ascii_digit()).ok_or_else(wrong)?);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let (_, bytes) = UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
    number.checked_mul(*bytes).ok_or_else(|| format!("`{text}` is more than any disk has"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_and_is_refused_without_one() {
        assert_eq!(parse_bytes("50GB"), Ok(50_000_000_000));
        assert_eq!(parse_bytes("500 MiB"), Ok(500 << 20));
        assert_eq!(parse_bytes("0B"), Ok(0));
        for text in
            ["", "50", "GB", "1.5GB", "-1GB", "50gb", "50 parsecs", "99999999999999999999B", "18446745TB"]
        {
            let message = parse_bytes(text).unwrap_err();
            assert!(message.contains(text), "{message}");
        }
        assert_eq!(parse_age("30d"), Ok(Duration::from_secs(30 * 86_400)));
    }
}
