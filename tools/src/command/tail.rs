//! `pawl tail`: read a journal, or follow one that is being written.

use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use jiff::Timestamp;
use pawl_engine::settings::RecordedSettings;
use pawl_journal::log::{From, Tailer};
use pawl_journal::record::{Kind, RunStarted, Sequence, StepRef, Time};
use pawl_replay::settings_of;

use crate::exit::{Exit, OutputError};
use crate::output::{Names, csv_header, csv_row, step_json, step_text};

/// How often a quiet journal is looked at, and how often a vanished writer is noticed.
const POLL: Duration = Duration::from_millis(2);
const ALIVE: Duration = Duration::from_millis(500);

/// Print the steps of a journal, from the beginning or as they are written.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pawl tail J | head\n  \
    pawl tail J --follow --format json\n  \
    pawl tail J --kind order_request,execution_report\n  \
    pawl tail J --kind features --format csv > features.csv\n  \
    pawl tail J --from 2019-02-04T12:00:00Z --kind bar_closed\n\n\
    JSON is one object per step and line. CSV needs exactly one --kind. With --follow the command ends when the \
    writer has sealed the journal or is gone.")]
pub struct Tail {
    /// Directory of the journal
    journal: PathBuf,
    /// Go on with steps as they are written, until the writer ends
    #[arg(long)]
    follow: bool,
    /// Begin at a step (7), a time (2019-02-04T12:00:00Z), or `now`
    #[arg(long, value_name = "N|TIME|now")]
    from: Option<String>,
    /// End behind this step
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Only records of these kinds
    #[arg(long, value_name = "KIND,..", value_delimiter = ',')]
    kind: Vec<String>,
    /// Text, JSON lines or CSV
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
}

impl Tail {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let kinds = self.kind.iter().map(|name| parse_kind(name)).collect::<anyhow::Result<Vec<_>>>()?;
        let format = if self.json { Format::Json } else { self.format };
        if format == Format::Csv && kinds.len() != 1 {
            bail!("CSV has one kind of record: name it with --kind, for example --kind features");
        }
        let from = self.from.as_deref().map_or(Ok(From::Start), parse_from)?;
        let mut tailer = Tailer::open(&self.journal, from)?;
        let mut printer =
            Printer { kinds, format, names: names_of(&self.journal), header: format == Format::Csv };
        let mut out = BufWriter::with_capacity(1 << 16, std::io::stdout().lock());
        let mut quiet = Quiet::default();
        loop {
            match tailer.poll()? {
                Some(frame) => {
                    quiet = Quiet::default();
                    let step = frame.step();
                    if self.until.is_some_and(|until| step.sequence().0 > until) {
                        break;
                    }
                    printer.print(step, &mut out)?;
                }
                None if !self.follow => break,
                None => {
                    out.flush().map_err(OutputError)?;
                    if !quiet.wait(|| tailer.writer_alive()) {
                        break;
                    }
                }
            }
        }
        out.flush().map_err(OutputError)?;
        Ok(Exit::Yes)
    }
}

/// A journal that says nothing: is it only quiet, or is its writer gone?
#[derive(Default)]
struct Quiet {
    waited: Duration,
    gone: bool,
}

impl Quiet {
    /// Waits a moment. False when the writer is gone and a last look after that found nothing.
    fn wait(&mut self, alive: impl Fn() -> bool) -> bool {
        if self.gone {
            return false;
        }
        if self.waited >= ALIVE {
            self.waited = Duration::ZERO;
            self.gone = !alive();
            return true;
        }
        std::thread::sleep(POLL);
        self.waited += POLL;
        true
    }
}

struct Printer {
    kinds: Vec<Kind>,
    format: Format,
    names: Names,
    header: bool,
}

impl Printer {
    fn print(&mut self, step: StepRef<'_>, out: &mut impl std::io::Write) -> anyhow::Result<()> {
        self.learn(step);
        if std::mem::take(&mut self.header) {
            writeln!(out, "{}", csv_header(self.kinds[0], &self.names)).map_err(OutputError)?;
        }
        if !self.kinds.is_empty()
            && !step.records().any(|it| it.kind().is_some_and(|kind| self.kinds.contains(&kind)))
        {
            return Ok(());
        }
        match self.format {
            Format::Json => {
                writeln!(out, "{}", step_json(step, &self.kinds, &self.names)).map_err(OutputError)?;
            }
            Format::Text => {
                write!(out, "{}", step_text(step, &self.kinds, &self.names)).map_err(OutputError)?;
            }
            Format::Csv => {
                for record in step.records().filter(|record| record.kind() == Some(self.kinds[0])) {
                    writeln!(out, "{}", csv_row(step, &record, &self.names)).map_err(OutputError)?;
                }
            }
        }
        Ok(())
    }

    /// Takes the names from the start of a run, for a journal that was empty when it was opened.
    fn learn(&mut self, step: StepRef<'_>) {
        let Some(record) = step.record(Kind::RunStarted) else { return };
        let Some(started) = record.get::<RunStarted>() else { return };
        if let Ok(recorded) = serde_json::from_str::<RecordedSettings>(started.texts(&record).0) {
            self.names = Names::new(&recorded.engine);
        }
    }
}

/// The names in a journal's settings; plain numbers are printed where it has none yet.
pub fn names_of(journal: &Path) -> Names {
    settings_of(journal).map(|(recorded, _)| Names::new(&recorded.engine)).unwrap_or_default()
}

fn parse_kind(name: &str) -> anyhow::Result<Kind> {
    Kind::from_name(name).with_context(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("`{name}` is no kind of record; there are {}", known.join(", "))
    })
}

fn parse_from(text: &str) -> anyhow::Result<From> {
    if text == "now" {
        return Ok(From::Now);
    }
    if let Ok(sequence) = text.parse() {
        return Ok(From::Sequence(Sequence(sequence)));
    }
    let timestamp: Timestamp = text.parse().ok().with_context(|| {
        format!("`{text}` is neither a step (7), nor a time (2019-02-04T12:00:00Z), nor `now`")
    })?;
    let nanoseconds =
        i64::try_from(timestamp.as_nanosecond()).ok().context("the time is beyond the year 2262")?;
    Ok(From::Time(Time(nanoseconds)))
}
