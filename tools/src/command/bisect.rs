//! `pawl bisect`: where two builds of this program first decide differently on the inputs of a journal.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use pawl_journal::log::Reader;
use pawl_journal::record::{Kind, Sequence, Time};
use pawl_replay::bisect::{BisectScope, Bisected, DecisionApart, Program, Progress, StateApart, bisect};
use serde_json::{Value, json};

use crate::exit::Exit;
use crate::opened::Opened;
use crate::output::{Bar, Names, Table, plain_text, put, say, step_text, thousands, time_text};

/// Longest value that is shown in text.
const VALUE_CHARS: usize = 60;

/// Find the first step, stage and field in which two builds differ on the inputs of one journal.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl bisect J --old pawl-0.1\n  \
    pawl bisect J --old target/old/pawl --new target/new/pawl\n  pawl bisect J --old pawl-0.1 --from 5001\n  \
    pawl bisect J --old pawl-0.1 --json | jq .decision\n\n\
    Both programs run the recorded inputs again, the venue's reports too, each past its own differences; either may \
    decide other than the journal has it (`pawl replay` compares one build with the journal). They are compared by \
    hashes every so many steps, then at every step between the last two that agree, then field by field. Decisions are \
    what counts; where a stage holds something else before that, the step and the field where it began come first. \
    A stage that differs before the first step has another layout: its decisions are compared, its state is not.\n\n\
    Predictions of models are taken from the journal, so that the models need not be there; --recompute runs them in \
    both builds, and finds a difference in how they are evaluated. A state that differs for fewer than --every steps and then no more, and changed nothing, is not seen.\n\n\
    Exit codes: 0 the builds agree, 1 they differ (where, in what), 2 could not answer.")]
pub struct Bisect {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// The one build: a pawl program
    #[arg(long, value_name = "BIN")]
    old: PathBuf,
    /// The other build; this program if none is given
    #[arg(long, value_name = "BIN")]
    new: Option<PathBuf>,
    /// The first step to compare: differences before it are passed over
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// The last step to compare
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Steps between two looks at what the stages hold; the square root of their number if none is given
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    every: Option<u64>,
    /// Run the models again in both, instead of taking their predictions from the journal
    #[arg(long)]
    recompute: bool,
    /// The folder that holds the models' folders, for --recompute; the one the run used if none is given
    #[arg(long, value_name = "DIR", requires = "recompute")]
    models: Option<PathBuf>,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Bisect {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let opened = Opened::take(&mut self.journal)?;
        let new = match &self.new {
            Some(new) => new.clone(),
            None => std::env::current_exe().context("cannot find the program's own file: give --new")?,
        };
        let mut options: Vec<OsString> = Vec::new();
        if self.recompute {
            options.push("--recompute".into());
            if let Some(models) = opened.models_folder(self.models.as_deref()) {
                options.extend(["--models".into(), models.into()]);
            }
        }
        let programs = [&self.old, &new].map(|path| Program::new(path, &self.journal, &options));
        let scope =
            BisectScope { from: self.from.map(Sequence), until: self.until.map(Sequence), every: self.every };
        let last = Reader::open(&self.journal)?.last_sequence()?;
        let bar = Bar::new("bisecting", self.until.unwrap_or(last.0));
        let builds = programs.each_ref().map(|it| it as _);
        let found = bisect(&self.journal, builds, scope, |progress| match progress {
            Progress::Comparing(at) => bar.set(at),
            Progress::Narrowing(from, until) => {
                bar.set_with(until, format!("between steps {from} and {until}"));
            }
        })?;
        drop(bar);
        if self.json {
            let mut result = json!({ "agree": found.agrees() });
            if let (Value::Object(result), Value::Object(rest)) = (&mut result, serde_json::to_value(&found)?)
            {
                result.extend(rest);
            }
            say!("{result}");
        } else {
            self.text(&found, opened.named(), &new)?;
        }
        Ok(if found.agrees() { Exit::Yes } else { Exit::Finding })
    }

    fn text(&self, found: &Bisected, journal: &Path, new: &Path) -> anyhow::Result<()> {
        let mut table = Table::new(&[]);
        for ((side, path), told) in [("old", self.old.as_path()), ("new", new)].iter().zip(&found.builds) {
            table.row([side, &*path.display().to_string(), &told.build, &told.build_hash]);
        }
        put!("{table}");
        let every = found.stretches.steps;
        say!(
            "steps {} .. {} of {}, looked at every {}",
            found.from,
            found.until,
            journal.display(),
            steps(every)
        );
        if found.builds[0].build_hash == found.builds[1].build_hash {
            say!("the two are the same program");
        }
        for it in &found.before {
            let sides = [&it.old, &it.new].map(|value| value.as_deref().map_or("nothing".to_owned(), short));
            say!(
                "the state of {} is another one before step {}, and is not compared: {}: {} / {}{}",
                it.stage,
                found.from,
                it.path,
                sides[0],
                sides[1],
                more_fields(it).map_or_else(String::new, |more| format!(", {more}"))
            );
        }
        if let Some(state) = &found.state {
            state_text(state)?;
        }
        if let Some(decision) = &found.decision {
            decision_text(decision, found.state.is_some())?;
        }
        if found.agrees() {
            let held =
                if found.before.is_empty() { ", and hold the same wherever that was looked at" } else { "" };
            say!("they decide the same at every step{held}");
            return Ok(());
        }
        self.input(found)?;
        self.behind(found, journal)
    }

    /// What came in at the first divergence, as the journal has it.
    fn input(&self, found: &Bisected) -> anyhow::Result<()> {
        let Some(at) = found.first() else { return Ok(()) };
        let mut reader = Reader::open(&self.journal)?;
        reader.seek(Sequence(at))?;
        let Some(frame) = reader.next()? else { return Ok(()) };
        let input: Vec<Kind> = frame.step().input().and_then(|it| it.kind()).into_iter().collect();
        say!("\nWhat came in at that first step");
        put!("{}", step_text(frame.step(), &input, &Names::of_journal(&self.journal)));
        Ok(())
    }

    /// How far it goes, and what it comes to.
    fn behind(&self, found: &Bisected, journal: &Path) -> anyhow::Result<()> {
        let it = found.stretches;
        say!("\nBehind it");
        if it.apart == 0 {
            say!("  every decision up to step {} is the same", found.until);
        } else {
            say!(
                "  other decisions in {} of {} stretches of {}, the last of which ends with step {}",
                thousands(it.apart),
                thousands(it.count),
                steps(it.steps),
                it.last
            );
        }
        let mut table = Table::new(&["", "old", "new"]);
        let mut rows = 0;
        for (kind, [old, new]) in found.decisions.iter().filter(|(_, [old, new])| old != new) {
            table.row([kind.clone(), thousands(*old), thousands(*new)]);
            rows += 1;
        }
        if rows > 0 {
            table.numbers_from(1);
            put!("{table}");
        } else if it.apart > 0 {
            say!("  as many records of each kind in both");
        }
        if let Some(at) = found.first() {
            let journal = journal.display();
            say!("\nlook around it with `{} replay {journal} --step --from {at}`", self.old.display());
        }
        Ok(())
    }
}

fn state_text(it: &StateApart) -> anyhow::Result<()> {
    say!(
        "\nFirst divergence: step {} ({}), the state of stage {}",
        it.sequence,
        time_text(Time(it.time)),
        it.stage
    );
    let value = |value: &Option<String>| value.as_deref().map_or_else(|| "nothing".to_owned(), short);
    let mut table = Table::new(&["", "old", "new"]);
    table.row([it.path.clone(), value(&it.old), value(&it.new)]);
    if let Some(more) = more_fields(it) {
        table.row([more, String::new(), String::new()]);
    }
    put!("{table}");
    Ok(())
}

/// How many fields differ but for the one that is shown.
fn more_fields(it: &StateApart) -> Option<String> {
    match it.fields.saturating_sub(1) {
        0 => None,
        1 => Some("and 1 more field".to_owned()),
        more => Some(format!("and {} more fields", thousands(more as u64))),
    }
}

fn decision_text(it: &DecisionApart, is_behind_state: bool) -> anyhow::Result<()> {
    let title = if is_behind_state { "First other decision" } else { "First divergence" };
    say!("\n{title}: step {} ({}), stage {}", it.sequence, time_text(Time(it.time)), it.stage);
    let mut table = Table::new(&[&format!("record {}, {}", it.record, it.kind), "old", "new"]);
    table.row([it.field.clone(), short(&shown(&it.old)), short(&shown(&it.new))]);
    put!("{table}");
    if !it.also.is_empty() {
        say!("  and also {}", short(&it.also.join(", ")));
    }
    Ok(())
}

fn shown(value: &Value) -> String {
    match plain_text(value) {
        text if text.is_empty() => "none".to_owned(),
        text => text,
    }
}

fn short(text: &str) -> String {
    match text.char_indices().nth(VALUE_CHARS) {
        Some((end, _)) => format!("{}..", &text[..end]),
        None => text.to_owned(),
    }
}

fn steps(count: u64) -> String {
    if count == 1 { "step".to_owned() } else { format!("{} steps", thousands(count)) }
}
