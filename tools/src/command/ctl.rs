//! `pawl ctl`: speak to a running engine.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use pawl_adapters::control::{Reply, Request, ask};
use pawl_engine::risk::limit_value;
use pawl_journal::record::{LimitName, Time};

use crate::exit::Exit;
use crate::output::{say, time_text};

/// Speak to the engine that runs on a journal; every command becomes a step of it.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl ctl J halt\n  pawl ctl J resume\n  pawl ctl J limit max_position 0.5\n  \
    pawl ctl J limit max_quote_age 2s\n  pawl ctl J status --json\n\n\
    A halt is latched: it survives a restart, and only `resume` lifts it."
)]
pub struct Ctl {
    /// Directory of the journal
    journal: PathBuf,
    #[command(subcommand)]
    action: Action,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Subcommand)]
enum Action {
    /// Add no risk until `resume`; cancel working orders that would
    Halt,
    /// Lift a halt or reduce-only
    Resume,
    /// Only orders that bring a position nearer to zero
    ReduceOnly,
    /// Halt, cancel every working order, close every position
    Flatten,
    /// Change one limit while the engine runs
    Limit {
        /// Its name, as in the section `risk` of the configuration
        name: String,
        /// Its new value, as in the configuration (0.5, 2s, 1.5%)
        value: String,
    },
    /// How the engine is
    Status,
}

impl Ctl {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let plain = |action: &str| Request { action: action.to_owned(), limit: None, value: None };
        let request = match &self.action {
            Action::Halt => plain("halt"),
            Action::Resume => plain("resume"),
            Action::ReduceOnly => plain("reduce-only"),
            Action::Flatten => plain("flatten"),
            Action::Status => plain("status"),
            Action::Limit { name, value } => {
                let limit =
                    LimitName::from_name(name).filter(|it| *it != LimitName::NONE).ok_or_else(|| {
                        let known: Vec<_> =
                            LimitName::ALL[1..].iter().filter_map(|limit| limit.name()).collect();
                        anyhow::anyhow!(
                            "`{name}` is no limit that can be changed; there are {}",
                            known.join(", ")
                        )
                    })?;
                let value =
                    limit_value(limit, value).map_err(|message| anyhow::anyhow!("{name}: {message}"))?;
                Request { action: "limit".to_owned(), limit: Some(name.clone()), value: Some(value) }
            }
        };
        let reply = ask(&self.journal, &request)?;
        if self.json {
            say!("{}", serde_json::to_string(&reply)?);
        }
        let quiet = self.json;
        match reply {
            Reply::Done { sequence, mode } => {
                if !quiet {
                    say!("done in step {sequence}; the engine is {mode}");
                }
                Ok(Exit::Yes)
            }
            Reply::Status { mode, sequence, time, ticks, share } => {
                if !quiet {
                    say!(
                        "{mode}, step {sequence} at {}, {ticks} ticks, {:.1}% of its feeds",
                        time_text(Time(time)),
                        share * 100.0
                    );
                }
                Ok(Exit::Yes)
            }
            Reply::Refused { message } => {
                eprintln!("pawl: {message}");
                Ok(Exit::Unusable)
            }
        }
    }
}
