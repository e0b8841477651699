//! `pawl fingerprint`: what this build decides and holds on its way through a journal, as hashes.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;

use clap::Args;
use pawl_engine::state::ListedField;
use pawl_journal::log::Reader;
use pawl_journal::record::{Sequence, StepRef, Time};
use pawl_replay::bisect::{Line, PROTOCOL};
use pawl_replay::{Fingerprint, Fingerprints, STAGES, Scope};

use crate::exit::{Exit, OutputError};
use crate::machine;
use crate::opened::Opened;
use crate::output::{Bar, Names, millisecond_text, step_json, step_text, thousands};

/// Print what this build decides and holds every so many steps, as hashes.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl fingerprint J\n  pawl fingerprint J --every 1 --from 5000 --until 5100\n  \
    pawl fingerprint J --from 5000 --until 5000 --whole | less\n  pawl fingerprint J --json > of-this-machine\n\n\
    The recorded inputs, the venue's reports too, are fed to this build as they are, and nothing is compared: where it \
    decides other than the journal has it, it goes on. `decided` is the hash of what the steps since the line before \
    decided, the others are of what the stages hold; predictions of models are taken from the journal unless \
    --recompute is given. Two builds, or two machines, that print the same decide the same. --whole prints the step and \
    every field of the stages as well.\n\n\
    --json is what `pawl bisect` asks of both builds. Exit codes: 0 printed, 2 unusable."
)]
pub struct FingerprintArgs {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// Steps between two fingerprints
    #[arg(long, value_name = "N", default_value_t = 65_536, value_parser = clap::value_parser!(u64).range(1..))]
    every: u64,
    /// The first step to tell of
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// The last step to tell of
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Run the models again, instead of taking their predictions from the journal
    #[arg(long)]
    recompute: bool,
    /// The folder that holds the models' folders, for --recompute; the one the run used if none is given
    #[arg(long, value_name = "DIR", requires = "recompute")]
    models: Option<PathBuf>,
    /// Print the steps and every field of the stages too
    #[arg(long)]
    whole: bool,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

impl FingerprintArgs {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let opened = Opened::take(&mut self.journal)?;
        opened.check_state()?;
        let scope = Scope {
            from: self.from.map(Sequence),
            until: self.until.map(Sequence),
            recompute: self.recompute,
            build_hash: machine::build_hash()?,
        };
        let last = Reader::open(&self.journal)?.last_sequence()?;
        let models = opened.models(self.models.as_deref());
        let mut fingerprints = Fingerprints::open(&self.journal, scope, self.every, &models)?;
        let names = if self.whole { Names::of_journal(&self.journal) } else { Names::default() };
        let mut printer = Printer { out: std::io::BufWriter::new(std::io::stdout()), json: self.json, names };
        printer.build(scope.build_hash)?;
        let bar = Bar::new("replaying", self.until.unwrap_or(last.0));
        while let Some(fingerprint) = fingerprints.next()? {
            bar.set(fingerprint.sequence);
            printer.fingerprint(&fingerprint)?;
            if self.whole {
                let fields = fingerprints.fields();
                printer.whole(fingerprints.step(), fields)?;
            }
        }
        drop(bar);
        printer.end(fingerprints.steps(), &fingerprints.decisions())?;
        Ok(Exit::Yes)
    }
}

/// Prints fingerprints, for a program or for people.
struct Printer {
    out: std::io::BufWriter<std::io::Stdout>,
    json: bool,
    names: Names,
}

impl Printer {
    fn build(&mut self, build_hash: u64) -> anyhow::Result<()> {
        if self.json {
            let build_hash = format!("{build_hash:016x}");
            return self.line(&Line::Build { protocol: PROTOCOL, build: machine::build(), build_hash });
        }
        let [feature, inference, risk, order] = STAGES;
        self.text(&format!(
            "{:>9}  {:<23}  {:<16}  {feature:<16}  {inference:<16}  {risk:<16}  {order}\n",
            "step", "time (UTC)", "decided"
        ))
    }

    fn fingerprint(&mut self, it: &Fingerprint) -> anyhow::Result<()> {
        if self.json {
            return self.line(&Line::Fingerprint(*it));
        }
        let time = if it.sequence == 0 { String::new() } else { millisecond_text(Time(it.time)) };
        let decided = if it.decided == 0 { String::new() } else { format!("{:016x}", it.decided) };
        let states = it.states().map(|hash| format!("{hash:016x}")).join("  ");
        self.text(&format!("{:>9}  {time:<23}  {decided:<16}  {states}\n", it.sequence))
    }

    fn whole(&mut self, step: Option<StepRef<'_>>, fields: Vec<ListedField>) -> anyhow::Result<()> {
        if self.json {
            if let Some(step) = step {
                self.line(&Line::Step { step: step_json(step, &[], &self.names) })?;
            }
            return fields.into_iter().try_for_each(|field| self.line(&Line::Field(field)));
        }
        if let Some(step) = step {
            let text = step_text(step, &[], &self.names);
            self.text(&text)?;
        }
        fields.into_iter().try_for_each(|it| self.text(&format!("           {}  {}\n", it.path, it.value)))
    }

    fn end(&mut self, steps: u64, decisions: &BTreeMap<&'static str, u64>) -> anyhow::Result<()> {
        if self.json {
            let decisions = decisions.iter().map(|(kind, count)| ((*kind).to_owned(), *count)).collect();
            self.line(&Line::End { steps, decisions })?;
        } else {
            let counts: Vec<String> =
                decisions.iter().map(|(kind, count)| format!("{} {kind}", thousands(*count))).collect();
            self.text(&format!("{} steps: {}\n", thousands(steps), counts.join(", ")))?;
        }
        Ok(self.out.flush().map_err(OutputError)?)
    }

    fn line(&mut self, line: &Line) -> anyhow::Result<()> {
        let text = serde_json::to_string(line)?;
        Ok(writeln!(self.out, "{text}").map_err(OutputError)?)
    }

    fn text(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.out.write_all(text.as_bytes()).map_err(OutputError)?)
    }
}
