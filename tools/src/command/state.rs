//! `pawl state`: the whole engine state after a step.

use std::path::PathBuf;

use clap::Args;
use pawl_journal::log::Reader;
use pawl_journal::record::Sequence;
use pawl_replay::{Rerun, StateAt, state_at};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::machine;
use crate::opened::Opened;
use crate::output::{Bar, say, time_text};

/// Show the whole state of the engine after a step: positions, orders, limits, bars, windows, agents.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl state J\n  pawl state J --at 12345\n  pawl state J --json | jq .risk.positions"
)]
pub struct State {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// The step; the last one if none is given
    #[arg(long, value_name = "N")]
    at: Option<u64>,
    /// Print the state as JSON
    #[arg(long)]
    json: bool,
}

impl State {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let opened = Opened::take(&mut self.journal)?;
        opened.check_state()?;
        let at = match self.at {
            Some(at) => Sequence(at),
            None => Reader::open(&self.journal)?.last_sequence()?,
        };
        let bar = Bar::new("replaying", at.0);
        let StateAt { rerun, divergence, .. } =
            state_at(&self.journal, at, machine::build_hash()?, |at| bar.set(at.0))?;
        drop(bar);
        let state = state_json(&rerun);
        if self.json {
            say!("{state}");
        } else {
            print_tree("", &state)?;
        }
        let Some(it) = divergence else { return Ok(Exit::Yes) };
        eprintln!(
            "pawl: this is the state of this build, which decides differently from the journal since step {} ({} {}); \
             `pawl replay` says more",
            it.sequence, it.kind, it.field
        );
        Ok(Exit::Finding)
    }
}

/// The whole state after the step that was run last.
pub(super) fn state_json(rerun: &Rerun) -> Value {
    let pipeline = &rerun.pipeline;
    let (sequence, time) = rerun.reached;
    json!({
        "sequence": sequence.0,
        "time": time_text(time),
        "risk": pipeline.risk.state(),
        "order": pipeline.order.state(),
        "inference": pipeline.inference.state(),
        "feature": pipeline.feature.state(),
    })
}

/// Prints a value as an indented tree; what is flat stays on one line.
pub(super) fn print_tree(indent: &str, value: &Value) -> anyhow::Result<()> {
    match value {
        Value::Object(object) => object.iter().try_for_each(|(key, value)| print_entry(indent, key, value)),
        Value::Array(items) => items
            .iter()
            .enumerate()
            .try_for_each(|(index, item)| print_entry(indent, &format!("[{index}]"), item)),
        leaf => {
            say!("{indent}{}", leaf_text(leaf));
            Ok(())
        }
    }
}

fn print_entry(indent: &str, key: &str, value: &Value) -> anyhow::Result<()> {
    let is_flat = |value: &Value| !value.is_object() && !value.is_array();
    match value {
        Value::Object(object) if key.starts_with('[') && object.values().all(is_flat) => {
            let pairs: Vec<String> =
                object.iter().map(|(key, value)| format!("{key}={}", leaf_text(value))).collect();
            say!("{indent}{key:<5}{}", pairs.join("  "));
        }
        Value::Object(object) if !object.is_empty() => {
            say!("{indent}{key}");
            print_tree(&format!("{indent}  "), value)?;
        }
        Value::Array(items) if !items.iter().all(is_flat) => {
            say!("{indent}{key}");
            print_tree(&format!("{indent}  "), value)?;
        }
        leaf => say!("{indent}{key:<24} {}", leaf_text(leaf)),
    }
    Ok(())
}

fn leaf_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Object(object) if object.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(leaf_text).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}
