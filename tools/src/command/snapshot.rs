//! `pawl snapshot`: write down what a journal comes to, so that a restart and a look at a late step are quick.

use std::path::PathBuf;
use std::sync::atomic::Ordering;

use clap::Args;
use pawl_engine::snapshot::{SnapshotFile, Snapshots};
use pawl_journal::log::Reader;
use pawl_journal::record::Sequence;
use pawl_replay::{ReplayError, Shadow};
use serde_json::json;

use crate::exit::Exit;
use crate::machine;
use crate::output::{Bar, Table, say, thousands};
use crate::signals::stop_on_signals;
use crate::twin::twin_of;

/// Take a snapshot of the whole state after a step, and verify it by a second replay.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl snapshot J\n  pawl snapshot J --at 1000000\n  pawl snapshot J --list\n\n\
    The journal may be one that is being written: the engine neither waits nor notices. `pawl run` and `pawl state` \
    begin at the newest verified snapshot of the same build, and `pawl prune --to-snapshot` deletes what lies before \
    one. Exit codes: 0 taken or there already, 1 the journal cannot be reproduced, 2 unusable, 3 the \
    environment failed, 130 stopped by Ctrl-C, which leaves nothing behind."
)]
pub struct Snapshot {
    /// Directory of the journal
    journal: PathBuf,
    /// The last step that it covers; the last one there is if none is given
    #[arg(long, value_name = "N")]
    at: Option<u64>,
    /// List the snapshots there are, and take none
    #[arg(long, conflicts_with = "at")]
    list: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Snapshot {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let last = Reader::open(&self.journal)?.last_sequence()?;
        if self.list {
            return self.print_list();
        }
        let stop = stop_on_signals()?;
        let bar = Bar::new("replaying", 2 * self.at.unwrap_or(last.0));
        let mut before = Sequence(0);
        let mut done = 0;
        let mut shadow = Shadow {
            journal: &self.journal,
            build_hash: machine::build_hash()?,
            twin: &|| twin_of(&self.journal),
            progress: &mut |at| {
                // The second replay begins at the beginning again.
                done += at.0.saturating_sub(before.0);
                before = if at < before { Sequence(0) } else { at };
                bar.set(done);
            },
            skipped: &mut |file, because| {
                eprintln!("pawl: {} is passed over: {because}", file.path.display());
            },
            stop: &stop,
        };
        let taken = shadow.take(self.at.map(Sequence), machine::now())?;
        drop(bar);
        if taken.is_none() && stop.load(Ordering::Relaxed) {
            return Err(ReplayError::Stopped.into());
        }
        match (taken, self.json) {
            (Some(taken), true) => say!(
                "{}",
                json!({ "sequence": taken.sequence.0, "path": taken.path, "based_on": taken.based_on.0, "taken": true })
            ),
            (Some(taken), false) => {
                say!("snapshot after step {} in {}", taken.sequence, taken.path.display());
                say!("verified by a second replay from step {}", taken.based_on.0 + 1);
            }
            (None, true) => say!("{}", json!({ "sequence": self.at.unwrap_or(last.0), "taken": false })),
            (None, false) => {
                say!("there is a verified snapshot after step {} already", self.at.unwrap_or(last.0));
            }
        }
        Ok(Exit::Yes)
    }

    fn print_list(&self) -> anyhow::Result<Exit> {
        let files = Snapshots::of(&self.journal).list()?;
        if self.json {
            say!("{}", serde_json::to_string(&files)?);
            return Ok(Exit::Yes);
        }
        if files.is_empty() {
            say!("no snapshot yet: `pawl snapshot {}` takes one", self.journal.display());
            return Ok(Exit::Yes);
        }
        let mut table = Table::new(&["step", "bytes", "verified", "file"]);
        for SnapshotFile { path, sequence, bytes, verified } in files {
            let verified = if verified { "yes" } else { "no" };
            table.row([
                sequence.to_string(),
                thousands(bytes),
                verified.to_owned(),
                path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            ]);
        }
        crate::output::put!("{table}");
        Ok(Exit::Yes)
    }
}
