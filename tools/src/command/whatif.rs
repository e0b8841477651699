//! `pawl whatif`: what a recorded session would have come to with other settings or another model.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context as _, bail};
use clap::Args;
use pawl_adapters::venue::{Paper, PaperSettings};
use pawl_engine::settings::{RecordedEnvironment, RecordedSettings};
use pawl_journal::log::{Appender, Durability, JournalOptions, Reader, SealReason};
use pawl_journal::record::{Kind, Step, StepRef};
use pawl_replay::diff::{Steps, comparable, diff};
use pawl_replay::whatif::{Because, Change, Changed, Hypothetical, Told, WhatIf};
use pawl_replay::{ReplayError, told};
use serde_json::{Value, json};

use crate::command::tail::parse_kind;
use crate::config;
use crate::exit::Exit;
use crate::machine;
use crate::opened::Opened;
use crate::output::{Bar, DiffPrinter, Names, check_outside_journals, time_text};
use crate::session::check_reply_timeout;
use crate::signals::stop_on_signals;

/// Rows of a table, unless another number is asked for.
const ROWS: u64 = 20;

/// Run a journal's inputs with other settings or another model, and compare the decisions with the recorded ones.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl whatif J --set risk.max_position=2\n  \
    pawl whatif J --model fast=models/fast-2 --out J2 && pawl report J2 --html j2.html\n  \
    pawl whatif J --set agent.fast.threshold=0.2 --set signal.threshold=0.1\n  \
    pawl whatif J --set venue.paper.latency=200ms --json | jq -c 'select(.line == \"result\")'\n\n\
    Ticks, pulses, commands and links are fed as they were recorded. The venue's reports are, too, as long as every \
    order is as recorded; from the first other order on the paper venue answers, with the recorded settings and seed, \
    and the output says from which step on that is so. What follows is a hypothesis: the market does not answer to \
    orders that were not there, and the venue's chances are drawn request by request, so that one order more or less \
    gives the later ones other chances.\n\n\
    --set takes what decides: risk.*, order.*, signal.*, features.*, agent.NAME.* (or agent[N].*) and venue.paper.*, \
    written as in the configuration. An agent with another model has the threshold of that model's manifest, unless \
    it is set. Models that did not change are not run, their predictions are in the journal; other features make \
    every model run.\n\n\
    Without a change nothing differs, if this build decides as the one that wrote the journal: `pawl replay` tells. \
    --json prints what `pawl diff --json` prints, and in `result` what is hypothetical. Exit codes: 0 the same \
    decisions, 1 others, 2 cannot answer, 3 the environment failed, 130 stopped by Ctrl-C. What is not whole is not left in --out.")]
pub struct Whatif {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// Set one key of the configuration; may be given several times
    #[arg(long, value_name = "KEY=VALUE")]
    set: Vec<String>,
    /// Give an agent another model: its directory, or builtin:NAME; may be given several times
    #[arg(long, value_name = "NAME=DIR")]
    model: Vec<String>,
    /// The folder that holds the folders of the other models, if they have to run; where the run had them if none is
    /// given
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// Write what would have been into a journal of its own, for `pawl report`, `pawl chain` and the others
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Rows to print; 20, and with --json all
    #[arg(long, value_name = "N")]
    limit: Option<u64>,
    /// Records that get rows; order_request and execution_report, and with --json every kind
    #[arg(long, value_name = "KIND,..", value_delimiter = ',')]
    kind: Vec<String>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

impl Whatif {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        self.out.as_deref().map_or(Ok(()), |out| check_outside_journals("--out", out))?;
        let opened = Opened::take(&mut self.journal)?;
        opened.check_state()?;
        let kinds = self.kind.iter().map(|name| parse_kind(name)).collect::<anyhow::Result<Vec<_>>>()?;
        let change = self.change()?;
        let told = told(&self.journal)?;
        let source = opened.models(self.models.as_deref());
        let Changed { mut settings, pipeline } = change.apply(&told, &source)?;
        let recorded = told.settings;
        let (was, is) = (paper_of(&recorded)?, paper_of(&settings)?);
        // In the words that a run would have recorded.
        settings.venue = json!({ "paper": is });
        let venue = Paper::new(&is, &settings.engine.instruments)?;
        check_reply_timeout(&is, &settings.engine.order)?;
        let keys = comparable(&recorded, &settings)?.keys;
        let models =
            pipeline.inference.models().map(|it| (it.sha256.clone(), it.directory.clone())).collect();
        let names = [Names::new(&recorded.engine), Names::new(&settings.engine)];
        let mut printer = DiffPrinter::new(["record", "whatif"], names, &recorded.engine.account.currency);
        (printer.json, printer.limit, printer.kinds) = (self.json, self.limit, kinds);
        if !self.json {
            printer.limit = Some(self.limit.unwrap_or(ROWS));
            if printer.kinds.is_empty() {
                printer.kinds = vec![Kind::OrderRequest, Kind::ExecutionReport];
            }
        }
        let mut record = Reader::open(&self.journal)?;
        let bar = Bar::new("what if", record.last_sequence()?.0);
        let mut whatif = WhatIf::open(&self.journal, pipeline, Box::new(venue), was != is)?;
        let mut journal = None;
        if let Some(out) = &self.out {
            whatif = whatif.telling(told_of(&settings, told.environment, models)?);
            journal = Some(NewJournal::make(out)?);
        }
        let mut whatif = Written { whatif, journal };
        let compared = diff(
            [&mut Watched { reader: &mut record, bar: &bar, done: 0 }, &mut whatif],
            [&recorded.engine, &settings.engine],
            &mut |finding| printer.visit(finding),
        )?;
        drop(bar);
        let Written { whatif, journal } = whatif;
        if let Some(journal) = journal {
            journal.keep()?;
        }
        printer.hypothetical = whatif.hypothetical().map(|it| (sentence(&it), json_of(&it)));
        printer.finish(&keys, &compared)?;
        Ok(if compared.is_equal() { Exit::Yes } else { Exit::Finding })
    }

    fn change(&self) -> anyhow::Result<Change> {
        let mut change = Change::default();
        for text in &self.set {
            let Some((key, value)) = text.split_once('=') else { bail!("--set {text}: it is not KEY=VALUE") };
            change.keys.push((key.trim().to_owned(), value_of(value.trim())?));
        }
        for text in &self.model {
            let Some((name, place)) = text.split_once('=').filter(|(_, place)| !place.is_empty()) else {
                bail!("--model {text}: it is not NAME=DIR")
            };
            let place = if place.starts_with("builtin:") {
                place.to_owned()
            } else {
                std::path::absolute(place).with_context(|| format!("--model {text}"))?.display().to_string()
            };
            change.models.push((name.to_owned(), place));
        }
        Ok(change)
    }
}

/// What a journal of the what-if says of its runs.
fn told_of(
    settings: &RecordedSettings,
    environment: RecordedEnvironment,
    models: Vec<(String, String)>,
) -> anyhow::Result<Told> {
    let mut environment = RecordedEnvironment {
        build: machine::build(),
        machine: machine::describe(),
        threading: "single".to_owned(),
        durability: Durability::PageCache.to_string(),
        command: machine::command(),
        started: time_text(machine::now()),
        ..environment
    };
    environment.models.extend(models.into_iter().map(|(hash, place)| (format!("sha256:{hash}"), place)));
    let settings = serde_json::to_string(settings)?;
    Ok(Told {
        settings_hash: machine::hash(settings.as_bytes()),
        build_hash: machine::build_hash()?,
        environment: serde_json::to_string(&environment)?,
        settings,
    })
}

/// A journal that is written where nothing was; unless it is kept, it is gone when this is dropped.
struct NewJournal {
    out: PathBuf,
    is_made: bool,
    /// `None` once it is kept.
    appender: Option<Appender>,
    stop: Arc<AtomicBool>,
}

impl NewJournal {
    fn make(out: &Path) -> anyhow::Result<Self> {
        if std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
            bail!(
                "--out {}: something is there already; name a directory that is new or empty",
                out.display()
            );
        }
        let stop = stop_on_signals()?;
        let is_made = !out.exists();
        let appender = Some(Appender::create_or_open(out, &JournalOptions::default())?);
        Ok(Self { out: out.to_owned(), is_made, appender, stop })
    }

    fn append(&mut self, step: &Step) -> Result<(), ReplayError> {
        if self.stop.load(Ordering::Relaxed) {
            return Err(ReplayError::Stopped);
        }
        if let Some(appender) = &mut self.appender {
            appender.append(step)?;
        }
        Ok(())
    }

    fn keep(mut self) -> anyhow::Result<()> {
        if let Some(appender) = &mut self.appender {
            appender.seal(SealReason::Ended)?;
        }
        self.appender = None;
        Ok(())
    }
}

impl Drop for NewJournal {
    fn drop(&mut self) {
        let Some(appender) = self.appender.take() else { return };
        // Nothing was in it before. What cannot be removed stays; the command says already that it failed.
        if let Ok(entries) = std::fs::read_dir(&self.out) {
            for entry in entries.flatten() {
                let path = entry.path();
                let _ =
                    if path.is_dir() { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) };
            }
        }
        // Until here its lock keeps others from beginning one there.
        drop(appender);
        if self.is_made {
            let _ = std::fs::remove_dir(&self.out);
        }
    }
}

/// A what-if that is written into a journal, if it is to be.
struct Written {
    whatif: WhatIf,
    journal: Option<NewJournal>,
}

impl Steps for Written {
    fn next(&mut self) -> Result<Option<StepRef<'_>>, ReplayError> {
        if self.whatif.next()?.is_none() {
            return Ok(None);
        }
        if let Some(journal) = &mut self.journal {
            journal.append(self.whatif.step())?;
        }
        Ok(Some(self.whatif.step().view()))
    }
}

/// A value written as in the configuration, as JSON.
fn value_of(text: &str) -> anyhow::Result<Value> {
    Ok(serde_json::to_value(config::value_of(text))?)
}

/// The settings of the paper venue, the only one that can answer again.
fn paper_of(settings: &RecordedSettings) -> anyhow::Result<PaperSettings> {
    let wrong = |message: String| ReplayError::Venue { message };
    let paper = settings.venue.get("paper").cloned().ok_or_else(|| wrong(settings.venue.to_string()))?;
    Ok(serde_json::from_value(paper).map_err(|error| wrong(error.to_string()))?)
}

fn sentence(it: &Hypothetical) -> String {
    let because = match it.because {
        Because::Orders => "its orders are not those of the record",
        Because::Venue => "the venue has other settings",
    };
    format!(
        "The venue's reports are hypothetical from step {} ({}) on: {because}, and the paper venue answers from there.",
        it.sequence,
        time_text(it.time)
    )
}

fn json_of(it: &Hypothetical) -> Value {
    let because = match it.because {
        Because::Orders => "orders",
        Because::Venue => "venue",
    };
    json!({ "sequence": it.sequence.0, "time": time_text(it.time), "because": because })
}

/// The record, whose reading moves a bar.
struct Watched<'a> {
    reader: &'a mut Reader,
    bar: &'a Bar,
    done: u64,
}

impl Steps for Watched<'_> {
    fn next(&mut self) -> Result<Option<StepRef<'_>>, ReplayError> {
        self.done += 1;
        if self.done.is_multiple_of(8_192) {
            self.bar.set(self.done);
        }
        Steps::next(self.reader)
    }
}
