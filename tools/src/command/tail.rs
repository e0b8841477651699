//! `pawl tail`: read a journal, or follow one that is being written.
//!
//! ```text
//!  step --Printer--> buffer --write, flush--> stdout --> the place that the cursor saves
//! ```
//!
//! Invariants: a cursor's place is never ahead of what stdout has taken, however the command ends; stdout has nothing
//! but steps, everything about them goes to stderr.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use pawl_engine::settings::{RecordedEnvironment, RecordedSettings};
use pawl_journal::log::{Cursor, Durability, Follower, From, Reader, Tailer, pruned};
use pawl_journal::record::{Kind, RunStarted, Sequence, StepRef};

use crate::exit::{Exit, OutputError};
use crate::inputs::parse_time;
use crate::opened::Opened;
use crate::output::{Names, csv_header, csv_row, step_json, step_text, time_text};
use crate::signals::stop_on_signals;

/// How often a quiet journal is looked at, and how often a vanished writer is noticed.
const POLL: Duration = Duration::from_millis(2);
const ALIVE: Duration = Duration::from_millis(500);

/// Bytes that are gathered before they are written.
const BUFFER_BYTES: usize = 1 << 16;

/// Shortest time between two saves of a cursor, and how many steps go by between two looks at the clock.
const SAVE: Duration = Duration::from_millis(100);
const LOOK_STEPS: u32 = 64;

/// Print the steps of a journal, from the beginning or as they are written.
#[derive(Args)]
#[command(after_help = "Examples:\n  \
    pawl tail J | head\n  \
    pawl tail J --follow --format json\n  \
    pawl tail J --kind order_request,execution_report\n  \
    pawl tail J --kind features --format csv > features.csv\n  \
    pawl tail J --from 2019-02-04T12:00:00Z --kind bar_closed\n  \
    pawl tail J --follow --durable --json --cursor database | load-into-database\n\n\
    JSON is one object per step and line. CSV needs exactly one --kind; its first line names the columns, but not where \
    a cursor goes on, so that the output can be appended to what is there (--header prints it all the same). Where \
    the settings of a journal are lost, a number is named after its own unit (bid_points, lots_steps). With --follow \
    the command ends with the writer: 0 if it closed the journal, 1 if it died.\n\n\
    With --durable, stderr says at the end how far the journal is on disk. A run with journal.durability = page-cache \
    says so only when a segment is full, and at its end; one with async:50ms or gated says it all the time.\n\n\
    A cursor remembers which steps stdout has taken, at most 100 ms late: after a crash these are printed again, and \
    none is left out. Ctrl-C and SIGTERM save it too. A pipe has taken what was written to it, read or not: behind \
    `| head` the cursor may be some 64 KiB further than what head has shown, so end with --until N. While a cursor is \
    registered, `pawl prune` keeps what it has still to print; `pawl cursor list` shows it. With --durable it is never \
    ahead of what a power cut leaves of the journal.\n\n\
    Exit codes: 0 done, or stdout was closed; 1 with --follow: the writer died; 2 cannot open, or damaged; 3 the \
    environment failed.")]
pub struct Tail {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// Go on with steps as they are written, until the writer ends
    #[arg(long)]
    follow: bool,
    /// Begin at a step (7), a time (2019-02-04T12:00:00Z), or `now`
    #[arg(long, value_name = "N|TIME|now")]
    from: Option<String>,
    /// Go on behind what was printed under this name before, and remember how far this comes; --from only for a new
    /// one
    #[arg(long, value_name = "NAME")]
    cursor: Option<String>,
    /// Only steps that the writer has said to be on disk
    #[arg(long)]
    durable: bool,
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
    /// Print the first line of CSV although a cursor goes on
    #[arg(long)]
    header: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
    Csv,
}

impl Tail {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let opened = Opened::take(&mut self.journal)?;
        if opened.is_bundle() && self.cursor.is_some() {
            bail!("a cursor is kept in a journal: --cursor does not go with a bundle");
        }
        let kinds = self.kind.iter().map(|name| parse_kind(name)).collect::<anyhow::Result<Vec<_>>>()?;
        let format = if self.json { Format::Json } else { self.format };
        if format == Format::Csv && kinds.len() != 1 {
            bail!("CSV has one kind of record: name it with --kind, for example --kind features");
        }
        if self.header && format != Format::Csv {
            bail!("only CSV has a first line that names the columns: --header goes with --format csv");
        }
        let from = self.from.as_deref().map_or(Ok(From::Start), parse_from)?;
        check_range(&self.journal, from, self.until)?;
        let (cursor, from) = match &self.cursor {
            Some(name) => {
                let cursor = Cursor::open_at(&self.journal, name, from)?;
                if let (false, Some(from)) = (cursor.is_new(), &self.from) {
                    bail!(
                        "the cursor `{name}` goes on at step {}, not at {from}: leave --from away, or begin anew after \
                         `pawl cursor remove`",
                        cursor.next_sequence()
                    );
                }
                let next = cursor.next_sequence();
                (Some(cursor), From::Sequence(next))
            }
            None => (None, from),
        };
        let stop = if cursor.is_some() || self.durable { stop_on_signals()? } else { Arc::default() };
        let mut tailer = if self.durable {
            Tailer::durable(&self.journal, from)?
        } else {
            Tailer::open(&self.journal, from)?
        };
        let names = Names::of_journal(&self.journal);
        let goes_on = cursor.as_ref().is_some_and(|cursor| !cursor.is_new());
        let header = format == Format::Csv && (self.header || !goes_on);
        let mut printer = Printer { kinds, format, names, header };
        // Who may not write there follows all the same.
        let follower = (self.follow && !opened.is_bundle())
            .then(|| Follower::register(&self.journal, "pawl tail", tailer.next_sequence()).ok());
        let mut output = Output::new(cursor, follower.flatten());
        printer.begin(&mut output.buffer)?;
        let ended = self.print(&mut tailer, &mut printer, &mut output, &stop);
        let ended =
            ended.and_then(|died| self.check_end(from, tailer.next_sequence(), &output).map(|()| died));
        // Whatever ended it: what is still in the buffer goes out, and the place is saved.
        let flushed = output.flush();
        let saved = output.save();
        let writer_died = ended?;
        flushed.and(saved)?;
        self.tell_end(writer_died)
    }

    /// Refuses a step behind the end of the journal, which nothing was printed of, and says so of the end itself.
    fn check_end(&self, from: From, next: Sequence, output: &Output) -> anyhow::Result<()> {
        let is_asked = matches!(from, From::Sequence(_) | From::Time(_)) && self.cursor.is_none();
        if self.follow || output.passed.is_some() || !is_asked {
            return Ok(());
        }
        if let Some(until) = self.until.filter(|until| next.0 > until + 1) {
            eprintln!("pawl: nothing to print: no step up to {until} is that late");
            return Ok(());
        }
        let what = if self.durable { "what is told to be on disk" } else { "the journal" };
        let told = match next.0 - 1 {
            0 => format!("{what} holds no step yet"),
            last => format!("{what} ends with step {last}"),
        };
        match from {
            From::Sequence(from) if from > next && !self.durable => {
                bail!("there is no step {from}: {told}; --follow waits for more");
            }
            _ => eprintln!("pawl: nothing to print: {told}"),
        }
        Ok(())
    }

    /// Says how the journal ends where the steps alone do not.
    fn tell_end(&self, writer_died: bool) -> anyhow::Result<Exit> {
        if !self.durable && !writer_died {
            return Ok(Exit::Yes);
        }
        let reader = Reader::open(&self.journal)?;
        let last = reader.last_sequence()?;
        if self.durable {
            let durable = reader.durable_sequence()?;
            eprintln!("pawl: durable up to step {durable} of {last} committed");
        }
        if !writer_died {
            return Ok(Exit::Yes);
        }
        eprintln!(
            "pawl: the writer is gone without closing the journal: the last step is {last}; `pawl verify {}` says whether \
             it is whole, and the next `pawl run` on it recovers it and goes on",
            self.journal.display()
        );
        Ok(Exit::Finding)
    }

    /// Prints until there is nothing more to print, or to wait for. Whether that is because the writer died.
    fn print(
        &self,
        tailer: &mut Tailer,
        printer: &mut Printer,
        output: &mut Output,
        stop: &AtomicBool,
    ) -> anyhow::Result<bool> {
        let mut quiet = Quiet::default();
        let mut is_hinted = !self.durable;
        while !stop.load(Ordering::Relaxed) {
            match tailer.poll()? {
                Some(frame) => {
                    quiet = Quiet::default();
                    let step = frame.step();
                    if self.until.is_some_and(|until| step.sequence().0 > until) {
                        break;
                    }
                    printer.print(step, &mut output.buffer)?;
                    output.passed(step.sequence())?;
                }
                None => {
                    output.flush()?;
                    output.save_when_due()?;
                    if !is_hinted && quiet.has_just_begun() {
                        is_hinted = self.hint(tailer);
                    }
                    if self.follow && quiet.wait(|| tailer.writer_alive()) {
                        continue;
                    }
                    if !tailer.check_end()? {
                        continue;
                    }
                    return Ok(self.follow && !tailer.is_closed());
                }
            }
        }
        Ok(false)
    }

    /// Says why durable steps are long in coming, if they are. False if that is not known yet.
    fn hint(&self, tailer: &Tailer) -> bool {
        if !tailer.writer_alive() {
            return true;
        }
        let Some(durability) = durability_of(&self.journal) else { return false };
        if durability == Durability::PageCache.to_string() {
            eprintln!(
                "pawl: the run that writes {} has journal.durability = {durability}: its steps count as durable only when \
                 their segment is full, or the run ends; with async:50ms or gated they would at once",
                self.journal.display()
            );
        }
        true
    }
}

/// Stdout with a buffer, and the cursor that follows what it has taken.
struct Output {
    cursor: Option<Cursor>,
    /// For those who want to see how far this is.
    follower: Option<Follower>,
    buffer: Vec<u8>,
    /// The last step in the buffer or before it.
    passed: Option<Sequence>,
    /// The last step that stdout has taken.
    written: Option<Sequence>,
    saved: Instant,
    steps: u32,
}

impl Output {
    fn new(cursor: Option<Cursor>, follower: Option<Follower>) -> Self {
        let buffer = Vec::with_capacity(2 * BUFFER_BYTES);
        Self { cursor, follower, buffer, passed: None, written: None, saved: Instant::now(), steps: 0 }
    }

    /// Notes that a step is in the buffer, printed or left out.
    fn passed(&mut self, sequence: Sequence) -> anyhow::Result<()> {
        self.passed = Some(sequence);
        self.steps += 1;
        if self.buffer.len() >= BUFFER_BYTES {
            self.flush()?;
        }
        if self.steps.is_multiple_of(LOOK_STEPS) && self.cursor.is_some() && self.saved.elapsed() >= SAVE {
            self.flush()?;
            self.save()?;
        }
        Ok(())
    }

    /// Writes the buffer. What could not be written is not tried again.
    fn flush(&mut self) -> anyhow::Result<()> {
        let mut stdout = std::io::stdout().lock();
        let taken = stdout.write_all(&self.buffer).and_then(|()| stdout.flush());
        self.buffer.clear();
        match taken {
            Ok(()) => {
                self.written = self.passed;
                if let (Some(follower), Some(written)) = (&mut self.follower, self.written) {
                    // It is only looked at: a full disk is no reason to print no more.
                    let _ = follower.reached(Sequence(written.0 + 1));
                }
            }
            Err(error) => {
                self.passed = self.written;
                return Err(OutputError(error).into());
            }
        }
        Ok(())
    }

    fn save_when_due(&mut self) -> anyhow::Result<()> {
        if self.cursor.is_some() && self.saved.elapsed() >= SAVE { self.save() } else { Ok(()) }
    }

    fn save(&mut self) -> anyhow::Result<()> {
        self.saved = Instant::now();
        if let (Some(cursor), Some(written)) = (&mut self.cursor, self.written) {
            cursor.save(Sequence(written.0 + 1))?;
        }
        Ok(())
    }
}

/// A journal that says nothing: is it only quiet, or is its writer gone?
#[derive(Default)]
struct Quiet {
    waited: Duration,
    gone: bool,
}

impl Quiet {
    /// Whether nothing was waited for since there was a step, or since the writer was looked at.
    fn has_just_begun(&self) -> bool {
        self.waited.is_zero()
    }

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
    /// Prints the first line before there is a step, if it is known: the columns of features are the journal's own.
    fn begin(&mut self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        let is_known = self.kinds.first() != Some(&Kind::Features) || !self.names.columns.is_empty();
        if is_known { self.print_header(out) } else { Ok(()) }
    }

    fn print_header(&mut self, out: &mut Vec<u8>) -> anyhow::Result<()> {
        if std::mem::take(&mut self.header) {
            if self.kinds[0] == Kind::Features && !self.names.are_known() {
                bail!(
                    "the names of the feature columns are in the settings of a run, and this journal has none left: \
                     --format json gives the columns numbers"
                );
            }
            writeln!(out, "{}", csv_header(self.kinds[0], &self.names)).map_err(OutputError)?;
        }
        Ok(())
    }

    fn print(&mut self, step: StepRef<'_>, out: &mut Vec<u8>) -> anyhow::Result<()> {
        self.learn(step);
        self.print_header(out)?;
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
        // A CSV keeps the units that its head names.
        if self.format == Format::Csv && !self.header && !self.names.are_known() {
            return;
        }
        if let Ok(recorded) = serde_json::from_str::<RecordedSettings>(started.texts(&record).0) {
            self.names = Names::new(&recorded.engine);
        }
    }
}

/// Refuses a range that begins or ends before the journal, which would look like a journal without these steps, and says
/// so of a time: there may have been later steps that are gone.
fn check_range(journal: &Path, from: From, until: Option<u64>) -> anyhow::Result<()> {
    if let (From::Sequence(from), Some(until)) = (from, until)
        && from.0 > until
    {
        bail!("--from {from} lies behind --until {until}: there is nothing to print");
    }
    // Without a first step there is nothing to say, and what is wrong with it is for whoever prints it to say.
    let Ok(mut reader) = Reader::open(journal) else { return Ok(()) };
    let Ok(Some(frame)) = reader.next() else { return Ok(()) };
    let (first, time) = (frame.sequence(), frame.step().time());
    if first.0 == 1 {
        return Ok(());
    }
    let before = if matches!(pruned(journal), Ok(Some(_))) { "were pruned" } else { "are missing" };
    let told =
        format!("the journal begins at step {first} ({}): the steps before it {before}", time_text(time));
    let asked = match from {
        From::Sequence(from) => Some(from.0),
        From::Start | From::Time(_) | From::Now => until,
    };
    if let Some(asked) = asked.filter(|asked| *asked < first.0) {
        bail!("there is no step {asked}: {told}");
    }
    if matches!(from, From::Time(from) if from < time) {
        eprintln!("pawl: {told}");
    }
    Ok(())
}

/// The durability of the run that writes a journal, or wrote it last; none if it has not said so yet.
fn durability_of(journal: &Path) -> Option<String> {
    let mut reader = Reader::open(journal).ok()?;
    reader.seek_turn().ok()?;
    let frame = reader.next().ok()??;
    let record = frame.step().record(Kind::RunStarted)?;
    let environment = record.get::<RunStarted>()?.texts(&record).1;
    serde_json::from_str::<RecordedEnvironment>(environment).ok().map(|environment| environment.durability)
}

/// The kind with this name, as `--kind` takes it.
pub fn parse_kind(name: &str) -> anyhow::Result<Kind> {
    Kind::from_name(name).with_context(|| {
        let known: Vec<_> = Kind::ALL.iter().map(|kind| kind.name()).collect();
        format!("`{name}` is no kind of record; there are {}", known.join(", "))
    })
}

/// A step, a time or `now`, as `--from` takes it.
pub fn parse_from(text: &str) -> anyhow::Result<From> {
    if text == "now" {
        return Ok(From::Now);
    }
    if let Ok(sequence) = text.parse() {
        return Ok(From::Sequence(Sequence(sequence)));
    }
    let time = parse_time(text).ok().with_context(|| {
        format!("`{text}` is neither a step (7), nor a time (2019-02-04T12:00:00Z), nor `now`")
    })?;
    Ok(From::Time(time))
}
