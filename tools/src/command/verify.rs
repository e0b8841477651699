//! `pawl verify`: is a journal whole.

use std::path::PathBuf;

use clap::Args;
use pawl_journal::log::{DurableSource, Verified, verify};

use crate::exit::Exit;
use crate::opened::Opened;
use crate::output::{Bar, Table, put, say, thousands, time_text};

/// Most findings that are printed; the rest is counted.
const FINDINGS_MAX: usize = 50;

/// Check a journal's integrity: checksums, sequence, time, layout. Reads everything, repairs nothing.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl verify J\n  pawl verify J --json | jq .durable_sequence\n  \
    pawl verify J && pawl prune J --older-than 30d --apply\n\n\
    A journal that is being written, or whose writer died, is not damaged by that: it is verified to its last whole step.\n\
    Behind damage the rest of that segment is not read. `pawl repair J` says what can be kept.\n\n\
    Durable: up to which step something in the journal itself (a sync frame, a seal, a segment's header) says that it was \
    on disk. Behind it the system may or may not have written what is there.\n\
    The output hash covers every record but stamps and the run's own description of build, machine and threading.\n\n\
    Exit codes: 0 clean, 1 damaged (what and where), 2 cannot open, 3 the environment failed.")]
pub struct Verify {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Verify {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let _opened = Opened::take(&mut self.journal)?;
        let bar = Bar::new("verifying", 1);
        let verified = verify(&self.journal, &mut |done, total| {
            bar.set_total(total);
            bar.set(done);
        })?;
        drop(bar);
        if self.json {
            print_json(&verified)?;
        } else {
            print_text(&verified)?;
        }
        Ok(if verified.findings.is_empty() { Exit::Yes } else { Exit::Finding })
    }
}

fn print_json(verified: &Verified) -> anyhow::Result<()> {
    let counts: serde_json::Map<String, serde_json::Value> = verified
        .record_counts
        .iter()
        .map(|(kind, count)| (kind.name().to_owned(), (*count).into()))
        .collect();
    let findings: Vec<String> = verified.findings.iter().map(ToString::to_string).collect();
    say!(
        "{}",
        serde_json::json!({
            "clean": findings.is_empty(),
            "sealed": verified.sealed,
            "writer": writer(verified),
            "segments": verified.segments,
            "steps": verified.steps,
            "first": verified.first_sequence.0,
            "last": verified.last_sequence.0,
            "durable_sequence": verified.durable_sequence.0,
            "durable_by": verified.durable_by.map(source),
            "bytes": verified.bytes,
            "records": counts,
            "output_hash": verified.output_hash.to_string(),
            "findings": findings,
        })
    );
    Ok(())
}

fn print_text(verified: &Verified) -> anyhow::Result<()> {
    let mut table = Table::new(&["record", "count"]);
    for (kind, count) in &verified.record_counts {
        table.row([kind.name().to_owned(), thousands(*count)]);
    }
    table.numbers_from(1);
    put!("{table}");
    let mut table = Table::new(&[]);
    table.row(["steps".to_owned(), range(verified)]);
    if verified.steps > 0 {
        table.row([
            "time".to_owned(),
            format!("{} .. {}", time_text(verified.first_time), time_text(verified.last_time)),
        ]);
    }
    table.row([
        "segments".to_owned(),
        format!("{}, {} bytes on disk", verified.segments, thousands(verified.bytes)),
    ]);
    table.row(["durable".to_owned(), durable_text(verified)]);
    let sealed = match writer(verified) {
        "ended" => "yes",
        "alive" => "no: it is being written",
        _ => "no: its writer is gone without closing it; the next `pawl run` on it recovers it and goes on",
    };
    table.row(["sealed", sealed]);
    table.row(["output hash".to_owned(), verified.output_hash.to_string()]);
    put!("\n{table}");
    for finding in verified.findings.iter().take(FINDINGS_MAX) {
        say!(" damaged: {finding}");
    }
    if verified.findings.len() > FINDINGS_MAX {
        say!(" and {} more", verified.findings.len() - FINDINGS_MAX);
    }
    say!("{}", if verified.findings.is_empty() { " clean" } else { " damaged" });
    Ok(())
}

/// What became of the writer.
fn writer(verified: &Verified) -> &'static str {
    match (verified.sealed, verified.is_written) {
        (true, _) => "ended",
        (false, true) => "alive",
        (false, false) => "gone",
    }
}

fn source(by: DurableSource) -> &'static str {
    match by {
        DurableSource::Header => "header",
        DurableSource::SyncFrame => "sync_frame",
        DurableSource::Seal => "seal",
    }
}

/// How far the journal is on disk, and what in it says so.
fn durable_text(verified: &Verified) -> String {
    let Some(by) = verified.durable_by else {
        return "nothing in it says that any step is on disk".to_owned();
    };
    let by = match by {
        DurableSource::Header => "the header of a segment",
        DurableSource::SyncFrame => "a sync frame",
        DurableSource::Seal => "the seal",
    };
    let (durable, last) = (verified.durable_sequence, verified.last_sequence);
    let behind = match last.0.saturating_sub(durable.0) {
        0 => String::new(),
        behind => format!("; of the {} behind it nothing is said", thousands(behind)),
    };
    format!("up to step {durable}, as {by} says{behind}")
}

fn range(verified: &Verified) -> String {
    if verified.steps == 0 {
        return "none".to_owned();
    }
    format!("{} ({} .. {})", thousands(verified.steps), verified.first_sequence, verified.last_sequence)
}
