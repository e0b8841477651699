//! `pawl doctor`: is this machine fit for a configuration, and what to change.
//!
//! ```text
//! configuration --> needs --+
//! system files (root) ------+--> checks: pass, warn or fail; what was found, what to change, with which command, and why
//! journal's directory ------+
//! what `pawl run` checks ---'
//! ```
//!
//! Invariants: nothing is changed; what the machine is, is read below one root, so that tests play other machines.

mod cores;
mod disk;
mod memory;
mod models;
mod start;
mod system;

use std::path::{Path, PathBuf};

use clap::Args;
use pawl_engine::runtime::{Cores, LockMemory, Threading, Wait};
use pawl_journal::log::writer_alive;
use serde::Serialize;
use toml::Value;

use self::system::System;
use crate::config::{Config, CoreChoice, Layers, Loaded, Origin};
use crate::exit::Exit;
use crate::inputs::models_beside;
use crate::machine;
use crate::output::{Table, put, say};

/// Check whether this machine is fit to run the engine, and say what to change and why.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl doctor\n  pawl doctor --journal /data/journal --json\n  \
    pawl doctor --config pawl.toml        whether it would run: its values, feeds, models, cores, journal\n\n\
    Nothing is changed. Every file of the configuration's feeds is looked into. Warnings cost latency; what fails keeps a run from starting, or from what it promises.\n\n\
    Exit codes: 0 nothing failed, 1 something failed, 2 the configuration cannot be read.")]
pub struct Doctor {
    /// Check what this configuration needs
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where the journal is to be; the configuration's directory, or without one the disk of this one
    #[arg(long, value_name = "DIR")]
    journal: Option<String>,
    /// Print the checks as JSON
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Grade {
    Pass,
    Warn,
    Fail,
}

/// What was looked at, and what came of it.
#[derive(Debug, Serialize)]
struct Check {
    name: &'static str,
    grade: Grade,
    found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    advice: Option<Advice>,
}

/// The way to a pass.
#[derive(Debug, Serialize)]
struct Advice {
    /// What to change.
    change: String,
    /// The command, or the setting, that does it.
    command: String,
    /// What it costs to leave it.
    why: &'static str,
}

impl Check {
    fn pass(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, grade: Grade::Pass, found: found.into(), advice: None }
    }

    fn warn(name: &'static str, found: impl Into<String>, advice: Advice) -> Self {
        Self { name, grade: Grade::Warn, found: found.into(), advice: Some(advice) }
    }

    fn fail(name: &'static str, found: impl Into<String>, advice: Advice) -> Self {
        Self { name, grade: Grade::Fail, found: found.into(), advice: Some(advice) }
    }
}

/// What a configuration asks of a machine.
struct Needs {
    /// The cores that are named, in the order of their use.
    named: Option<Vec<usize>>,
    /// Those the hot threads come to run on; none if they are not pinned, or cannot be.
    hot: Vec<usize>,
    /// How many of them it wants.
    wanted: usize,
    threading: Threading,
    waits: Vec<Wait>,
    lock_memory: LockMemory,
    segment_bytes: u64,
    journal: PathBuf,
}

impl Needs {
    fn of(config: &Config, journal: PathBuf, machine: &Cores) -> Self {
        let choice = &config.runtime.cores;
        let threading = config.threading.threading(machine.usable().len(), config.runtime.speed == 0.0);
        let hot = choice.cores(threading, machine);
        let named = matches!(choice, CoreChoice::These(_)).then(|| hot.clone());
        Self {
            hot: if machine.check(&hot).is_ok() { hot } else { Vec::new() },
            named,
            wanted: threading.threads(),
            threading,
            waits: config.runtime.wait.waits(),
            lock_memory: config.runtime.lock_memory,
            segment_bytes: config.journal.segment_bytes,
            journal,
        }
    }
}

impl Doctor {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let loaded = self.load()?;
        let config = &loaded.config;
        let is_named = self.config.is_some() || self.journal.is_some();
        let journal = PathBuf::from(if is_named { &config.journal.dir } else { "." });
        let system = System::new(Path::new("/"));
        let needs = Needs::of(config, journal, &system.cores);
        let mut checks = checks(&system, &needs);
        if is_named {
            checks.push(disk::journal(&needs.journal));
        }
        if self.config.is_some() {
            checks.extend(start::configuration(&loaded, models_beside(self.config.as_deref())));
            if !config.metrics.listen.is_empty() {
                checks.push(start::metrics(&config.metrics.listen, writer_alive(&needs.journal)));
            }
        } else {
            checks.push(models::at_hand());
        }
        let is_fit = checks.iter().all(|check| check.grade != Grade::Fail);
        if self.json {
            let described = machine::describe();
            say!("{}", serde_json::json!({ "machine": described, "checks": checks, "fit": is_fit }));
        } else {
            say!("{}\n{}\n", machine::build(), machine::describe());
            put!("{}", text(&checks));
        }
        Ok(if is_fit { Exit::Yes } else { Exit::Finding })
    }

    fn load(&self) -> anyhow::Result<Loaded> {
        let mut layers = Layers::defaults();
        if let Some(path) = &self.config {
            layers.file(path)?;
            layers.environment(|name| std::env::var(name).ok())?;
        }
        if let Some(journal) = &self.journal {
            layers.set(
                "journal.dir",
                Value::String(journal.clone()),
                Origin::Flag("--journal".to_owned()),
            )?;
        }
        Ok(layers.finish()?)
    }
}

/// What the machine is, whatever is to run on it.
fn checks(system: &System, needs: &Needs) -> Vec<Check> {
    vec![
        cores::usable(system, needs),
        cores::waiting(system, needs),
        cores::isolation(system, needs),
        cores::governor(system, needs),
        cores::clock_source(system),
        cores::steal(system),
        memory::huge_pages(system),
        memory::lock(system, needs),
        memory::swap(system),
        memory::real_time(system, needs),
        memory::open_files(system),
        disk::file_system(&needs.journal),
        disk::free_space(&needs.journal, needs.segment_bytes),
    ]
}

fn text(checks: &[Check]) -> String {
    let mut table = Table::new(&["", "check", "found"]);
    for check in checks {
        let grade = match check.grade {
            Grade::Pass => "pass",
            Grade::Warn => "warn",
            Grade::Fail => "FAIL",
        };
        table.row([grade, check.name, &check.found]);
    }
    let mut text = table.to_string();
    let advised: Vec<_> = checks.iter().filter_map(|check| Some((check, check.advice.as_ref()?))).collect();
    if !advised.is_empty() {
        text.push_str("\nWhat to change\n");
    }
    for (check, Advice { change, command, why }) in advised {
        text.push_str(&format!(" {}: {change}\n     {command}\n   {why}\n", check.name));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_that_tells_nothing_gets_an_answer_to_everything() {
        let empty = system::Fake::new();
        let (system, home) = (empty.system(), tempfile::tempdir().expect("a directory"));
        let needs = Needs::of(&Config::default(), home.path().join("journal"), &system.cores);
        let checks = checks(&system, &needs);
        assert_eq!(checks.len(), 13);
        for check in &checks {
            assert!(!check.found.is_empty(), "{check:?}");
            assert_eq!(check.advice.is_none(), check.grade == Grade::Pass, "{check:?}");
        }
        let text = text(&checks);
        assert!(text.contains("What to change") && text.contains("warn  isolation"), "{text}");
    }
}
