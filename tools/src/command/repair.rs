//! `pawl repair`: make a damaged journal usable again, after saying what that gives up.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;

use clap::Args;
use pawl_journal::log::repair::{Consent, RepairPlan, Repaired, plan};
use serde_json::{Value, json};

use crate::exit::{Exit, OutputError};
use crate::output::{Bar, Table, put, say, thousands, time_text};
use crate::session::seen_gone;

/// Most findings, files and cursors that are printed; the rest is counted.
const ROWS_MAX: usize = 20;

/// Make a damaged journal usable again: say what would be lost, ask, and write down what was done.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl repair J --dry-run\n  pawl repair J\n  pawl repair J --accept-loss --json\n\n\
    What is damaged and can be put right without loss is put right, without being asked for more: an index, a seal, a \
    file's length, and a header too, as far as its own checksum, its frames and the segments around it prove what it \
    was. Otherwise the journal ends before the damage, and everything behind it is moved to J/quarantine, byte for \
    byte; nothing is deleted. The numbers of lost steps are used again by the next run. Where the segments before the \
    first one are gone and no pruned.json says that they were pruned, the journal begins with the first one there is. \
    What was done is in J/repairs.\n\n\
    Loss, and such a start, is accepted on a terminal by typing yes, elsewhere with --accept-loss. What `pawl run` would \
    recover by itself needs neither.\n\n\
    Cursors that cannot be used are named and left alone: `pawl cursor remove` takes them away.\n\n\
    Exit codes: 0 repaired, or nothing to repair; 1 the loss was not accepted, --dry-run found something to repair, or \
    no repair can put it right: nothing was changed; 2 cannot be repaired: no journal, being written, a later format, no permission; 3 the \
    environment failed."
)]
pub struct Repair {
    /// Directory of the journal
    journal: PathBuf,
    /// Say what would be done, and do nothing: exit code 1 if there is something
    #[arg(long)]
    dry_run: bool,
    /// Give up what has to be given up without asking
    #[arg(long, conflicts_with = "dry_run")]
    accept_loss: bool,
    /// Print plan and result as JSON; never asks
    #[arg(long)]
    json: bool,
}

/// What became of the plan.
#[derive(Clone, Copy)]
enum Became {
    NothingToDo,
    DryRun,
    NotAccepted,
    Done,
}

impl Repair {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let plan = with_bar("verifying", |progress| plan(&self.journal, progress))?;
        if !self.json {
            print_plan(&plan)?;
        }
        let consent =
            if plan.is_empty() || self.dry_run { Some(Consent::None) } else { self.consent(&plan)? };
        let (became, repaired) = match consent {
            _ if plan.is_empty() => (Became::NothingToDo, None),
            _ if self.dry_run => (Became::DryRun, None),
            None => (Became::NotAccepted, None),
            Some(consent) => {
                let repaired = with_bar("verifying again", |progress| plan.carry_out(consent, progress))?;
                (Became::Done, Some(repaired))
            }
        };
        if self.json {
            say!("{}", as_json(&plan, became, repaired.as_ref()));
        } else {
            self.print_end(&plan, became, repaired.as_ref())?;
        }
        let left = repaired.as_ref().map_or(&plan.findings, |it| &it.verified.findings);
        let is_left = !left.is_empty();
        let is_open = matches!(became, Became::NotAccepted | Became::DryRun);
        Ok(if is_left || is_open { Exit::Finding } else { Exit::Yes })
    }

    /// Who accepts what the plan gives up; none if nobody does.
    fn consent(&self, plan: &RepairPlan) -> anyhow::Result<Option<Consent>> {
        if !plan.needs_consent {
            return Ok(Some(Consent::None));
        }
        if self.accept_loss {
            return Ok(Some(Consent::Flag));
        }
        if self.json || !std::io::stdin().is_terminal() || !std::io::stdout().is_terminal() {
            return Ok(None);
        }
        put!("\n {}. Type yes to go on: ", consequence(plan));
        std::io::stdout().flush().map_err(OutputError)?;
        let mut answer = String::new();
        std::io::stdin().read_line(&mut answer)?;
        Ok((answer.trim() == "yes").then_some(Consent::Terminal))
    }

    fn print_end(
        &self,
        plan: &RepairPlan,
        became: Became,
        repaired: Option<&Repaired>,
    ) -> anyhow::Result<()> {
        match became {
            Became::NothingToDo if plan.findings.is_empty() => say!(" nothing to repair"),
            Became::NothingToDo => say!(" nothing that a repair can put right"),
            Became::DryRun if plan.needs_consent => {
                say!(" nothing was changed; the same with --accept-loss in place of --dry-run does it");
            }
            Became::DryRun => say!(" nothing was changed; the same without --dry-run does it"),
            Became::NotAccepted => say!(
                " nothing was changed; if that is accepted ({}): pawl repair {} --accept-loss",
                consequence(plan),
                self.journal.display()
            ),
            Became::Done => {}
        }
        let Some(repaired) = repaired else { return Ok(()) };
        if let Some(record) = &repaired.record {
            say!(" repaired; what was done is in {}", record.display());
        }
        for finding in repaired.verified.findings.iter().take(ROWS_MAX) {
            say!(" damaged still: {finding}");
        }
        if !repaired.verified.findings.is_empty() {
            say!(" repair it again: the damage was in the way of this");
        }
        Ok(())
    }
}

/// Does something long with a progress bar.
fn with_bar<T>(title: &'static str, work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> T) -> T {
    let bar = Bar::new(title, 1);
    work(&mut |done, total| {
        bar.set_total(total);
        bar.set(done);
    })
}

/// How many steps are given up, as far as that is known.
fn lost_text(plan: &RepairPlan) -> String {
    let Some(loss) = &plan.loss else { return "no steps".to_owned() };
    match (loss.steps(), loss.is_open) {
        (0, _) => format!("all steps from {} on, how many is not known", loss.first),
        (steps, true) => format!("at least {} steps", thousands(steps)),
        (1, false) => "1 step".to_owned(),
        (steps, false) => format!("{} steps", thousands(steps)),
    }
}

/// What is to be accepted.
fn consequence(plan: &RepairPlan) -> String {
    let start = plan.begins_at.map(|first| format!("the journal begins with step {first}"));
    let loss = plan.loss.as_ref().map(|_| format!("this gives up {}", lost_text(plan)));
    [start, loss].into_iter().flatten().collect::<Vec<_>>().join(", ")
}

fn print_plan(plan: &RepairPlan) -> anyhow::Result<()> {
    for finding in plan.findings.iter().take(ROWS_MAX) {
        say!(" damaged: {finding}");
    }
    more(plan.findings.len())?;
    for (name, what) in plan.cursors_damaged.iter().take(ROWS_MAX) {
        say!(" the cursor `{name}` {what}: it is left alone, `pawl cursor remove` takes it away");
    }
    more(plan.cursors_damaged.len())?;
    if plan.is_empty() {
        return Ok(());
    }
    let mut table = Table::new(&[]);
    let kept = match plan.kept_until.0 {
        0 => "nothing: every step is lost".to_owned(),
        until => {
            let count = thousands(until + 1 - plan.kept_from.0);
            let time = time_text(plan.kept_until_time);
            format!("{count} steps ({} .. {until}), the last of {time}", plan.kept_from)
        }
    };
    table.row(["can be kept".to_owned(), kept]);
    if let Some(first) = plan.begins_at {
        let what = "those before it are not there, and nothing says whether they were pruned";
        table.row(["begins with".to_owned(), format!("step {first}: {what}")]);
        table.row(["", "it can be read and followed, but no state can be rebuilt from before that step"]);
    }
    for (file, how) in plan.mended.iter().take(ROWS_MAX) {
        table.row(["is put right".to_owned(), format!("{file}: {how}")]);
    }
    match &plan.loss {
        None if plan.is_recovery => table.row(["would be lost", "no whole step"]),
        None if plan.begins_at.is_some() => table.row(["would be lost", "no step that is there"]),
        None => table.row(["would be lost", "no step"]),
        Some(loss) => {
            let range = match loss.last {
                Some(last) if loss.is_open => format!(" ({} .. {last}, or beyond)", loss.first),
                Some(last) => format!(" ({} .. {last})", loss.first),
                None => String::new(),
            };
            let until = loss
                .last_time
                .map_or(String::new(), |time| format!(", the last whole one of {}", time_text(time)));
            table.row(["would be lost".to_owned(), format!("{}{range}{until}", lost_text(plan))]);
        }
    }
    for it in plan.quarantined.iter().take(ROWS_MAX) {
        let from =
            if it.offset == 0 { it.from.clone() } else { format!("{} from offset {}", it.from, it.offset) };
        table.row(["goes to".to_owned(), format!("{}: {} bytes of {from}", it.name, thousands(it.bytes))]);
    }
    for cursor in plan.cursors_ahead.iter().take(ROWS_MAX) {
        let next = cursor.next_sequence;
        let what =
            format!("{} waits for step {next}: it is refused then, remove it and begin anew", cursor.name);
        table.row(["cursor".to_owned(), what]);
    }
    put!("\n{table}");
    more(plan.quarantined.len())?;
    more(plan.cursors_ahead.len())?;
    let names: Vec<_> = plan.cursors_ahead.iter().map(|cursor| cursor.name.clone()).collect();
    if let Some(told) = seen_gone(&names) {
        say!(" {told}");
    }
    if plan.is_recovery {
        say!(" `pawl run` recovers this by itself: no step that was on disk for certain is lost");
    }
    Ok(())
}

fn more(count: usize) -> anyhow::Result<()> {
    if count > ROWS_MAX {
        say!(" and {} more", count - ROWS_MAX);
    }
    Ok(())
}

fn as_json(plan: &RepairPlan, became: Became, repaired: Option<&Repaired>) -> Value {
    let texts = |findings: &[pawl_journal::log::Finding]| -> Vec<String> {
        findings.iter().map(ToString::to_string).collect()
    };
    let lost = plan.loss.as_ref().map(|loss| {
        json!({
            "first": loss.first.0,
            "last": loss.last.map(|last| last.0),
            "may_be_more": loss.is_open,
            "steps": loss.steps(),
            "last_time": loss.last_time.map(time_text),
        })
    });
    let cursors = plan.cursors_ahead.iter().map(|it| json!({ "name": it.name, "next": it.next_sequence.0 }));
    let unusable =
        plan.cursors_damaged.iter().map(|(name, what)| json!({ "name": name, "what": what.to_string() }));
    let mended = plan.mended.iter().map(|(file, how)| json!({ "file": file, "how": how }));
    json!({
        "result": match became {
            Became::NothingToDo => "nothing_to_repair",
            Became::DryRun => "dry_run",
            Became::NotAccepted => "loss_not_accepted",
            Became::Done => "repaired",
        },
        "findings": texts(&plan.findings),
        "needs_acceptance": plan.needs_consent,
        "run_recovers_this": plan.is_recovery,
        "kept": { "first": plan.kept_from.0, "last": plan.kept_until.0, "last_time": time_text(plan.kept_until_time) },
        "begins_at": plan.begins_at.map(|first| first.0),
        "mended": mended.collect::<Vec<_>>(),
        "lost": lost,
        "quarantined": repaired.map_or(&plan.quarantined, |it| &it.quarantined),
        "cursors_ahead": cursors.collect::<Vec<_>>(),
        "cursors_damaged": unusable.collect::<Vec<_>>(),
        "record": repaired.and_then(|it| it.record.as_ref()).map(|path| path.display().to_string()),
        "clean": repaired.map(|it| it.verified.findings.is_empty()),
    })
}
