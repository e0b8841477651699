//! `pawl replay`: run a journal again and compare, at full speed, at the pace of its events, or step by step.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use pawl_journal::log::Reader;
use pawl_journal::record::{KeptStep, Sequence, StepRef, Time};
use pawl_replay::{Around, Divergence, ModelSource, Replayed, Scope, replay};
use serde_json::{Value, json};

use super::stepper::Stepper;
use crate::exit::{Exit, OutputError};
use crate::machine;
use crate::opened::Opened;
use crate::output::{Bar, Names, put, say, step_json, step_text, thousands, time_text};
use crate::signals::stop_on_signals;

/// How long a paced replay sleeps at once, so that Ctrl-C is heard.
const NAP: Duration = Duration::from_millis(50);

/// Run a journal again through the same pipeline and compare every record.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl replay J\n  pawl replay J --from 1000 --until 2000\n  \
    pawl replay J --recompute\n  pawl replay J --from 5000 --speed 10x\n  pawl replay J --step\n  \
    printf 'o\\ns\\nq\\n' | pawl replay J --step\n\n\
    Predictions of models are taken from the journal; --recompute runs the models as well and reports their largest \
    error (equal means within 1e-6). With --from N the steps before N are not compared: state begins at the newest \
    verified snapshot before N (`pawl snapshot`), or at the beginning. At the first difference the replay ends and \
    shows the steps around it; where only a checkpoint differs it names the stage, and the steps in which its state \
    came apart.\n\n\
    --speed prints the steps as `pawl tail` does, when their events are due; Ctrl-C ends it in order. --step reads \
    commands, `?` lists them.\n\n\
    Exit codes: 0 identical, 1 diverged (where and what), 2 unusable.")]
pub struct Replay {
    /// Directory of the journal, or a bundle
    journal: PathBuf,
    /// The same as the user named it
    #[arg(skip)]
    named: PathBuf,
    /// Run the models again too
    #[arg(long)]
    recompute: bool,
    /// The folder that holds the models' folders, for --recompute; the one the run used if none is given
    #[arg(long, value_name = "DIR")]
    models: Option<PathBuf>,
    /// The first step to compare
    #[arg(long, value_name = "N")]
    from: Option<u64>,
    /// The last step to run
    #[arg(long, value_name = "N")]
    until: Option<u64>,
    /// Print the steps at the pace of their events, so many times as fast
    #[arg(long, value_name = "1x", value_parser = parse_speed)]
    speed: Option<f64>,
    /// Go through the steps by hand: forward, back, to the next order
    #[arg(long, conflicts_with_all = ["speed", "recompute", "json"])]
    step: bool,
    /// Print the result as JSON; with --speed, each step as well
    #[arg(long)]
    json: bool,
}

impl Replay {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let opened = Opened::take(&mut self.journal)?;
        opened.check_state()?;
        opened.named().clone_into(&mut self.named);
        let scope = Scope {
            from: self.from.map(Sequence),
            until: self.until.map(Sequence),
            recompute: self.recompute,
            build_hash: machine::build_hash()?,
        };
        if self.step {
            return Stepper::open(&self.journal, scope)?.run();
        }
        let models = opened.models(self.models.as_deref());
        let replayed = match self.speed {
            Some(speed) => self.paced(scope, &models, speed)?,
            None => {
                let last = Reader::open(&self.journal)?.last_sequence()?;
                let bar = Bar::new("replaying", self.until.unwrap_or(last.0));
                replay(&self.journal, scope, &models, |step| {
                    let at = step.sequence().0;
                    if at.is_multiple_of(4_096) {
                        bar.set(at);
                    }
                    ControlFlow::Continue(())
                })?
            }
        };
        if self.json {
            say!("{}", self.result_json(&replayed)?);
        } else {
            self.print_text(&replayed)?;
        }
        Ok(if replayed.is_identical() { Exit::Yes } else { Exit::Finding })
    }

    /// Prints every step when its event is due.
    fn paced(&self, scope: Scope, models: &ModelSource, speed: f64) -> anyhow::Result<Replayed> {
        let stop = stop_on_signals()?;
        let names = Names::of_journal(&self.journal);
        let mut pace = None;
        let mut broken = None;
        let replayed = replay(&self.journal, scope, models, |step| {
            if scope.from.is_some_and(|from| step.sequence() < from) {
                return ended(&stop);
            }
            let pace = pace.get_or_insert_with(|| Pace { began: Instant::now(), first: step.time(), speed });
            if !pace.wait(step.time(), &stop) {
                return ControlFlow::Break(());
            }
            if let Err(error) = self.print_step(step, &names) {
                broken = Some(error);
                return ControlFlow::Break(());
            }
            ended(&stop)
        })?;
        broken.map_or(Ok(replayed), Err)
    }

    fn print_step(&self, step: StepRef<'_>, names: &Names) -> anyhow::Result<()> {
        use std::io::Write as _;
        if self.json {
            say!("{}", step_json(step, &[], names));
        } else {
            put!("{}", step_text(step, &[], names));
        }
        std::io::stdout().flush().map_err(OutputError)?;
        Ok(())
    }

    fn result_json(&self, replayed: &Replayed) -> anyhow::Result<Value> {
        let mut result = serde_json::to_value(replayed)?;
        let Some(object) = result.as_object_mut() else { return Ok(result) };
        object.insert("identical".into(), replayed.is_identical().into());
        if let Some(Around { before, recorded, computed }) = &replayed.around {
            let names = Names::of_journal(&self.journal);
            let shown = |step: &KeptStep| step_json(step.view(), &[], &names);
            let before: Vec<Value> = before.iter().map(shown).collect();
            object.insert(
                "around".into(),
                json!({ "before": before, "recorded": shown(recorded), "computed": shown(computed) }),
            );
        }
        Ok(result)
    }

    fn print_text(&self, replayed: &Replayed) -> anyhow::Result<()> {
        if replayed.snapshot > 0 {
            say!("begun behind the snapshot after step {}", replayed.snapshot);
        }
        say!("steps {} .. {}, {} compared", replayed.first, replayed.last, thousands(replayed.compared));
        say!("output hash {}", replayed.output_hash);
        for model in &replayed.models {
            say!(
                "model {}: {} predictions recomputed, largest error {:e} (step {})",
                model.agent,
                thousands(model.predictions),
                model.error_max,
                model.worst
            );
        }
        match &replayed.divergence {
            None if replayed.is_identical() && replayed.stopped => {
                say!("stopped, identical so far");
            }
            None if replayed.is_identical() => {
                say!("identical");
            }
            None => {
                say!("a model does not repeat its predictions within 1e-6");
            }
            Some(it) => self.print_divergence(it, replayed.around.as_ref())?,
        }
        Ok(())
    }

    fn print_divergence(&self, it: &Divergence, around: Option<&Around>) -> anyhow::Result<()> {
        say!("diverged at step {} ({}), stage {}", it.sequence, time_text(it.time()), it.stage);
        say!("  record {} ({}), field {}", it.record, it.kind, it.field);
        say!("  recorded  {}", it.recorded);
        say!("  computed  {}", it.computed);
        if let Some(state) = &it.state {
            say!(
                "  every record agrees; the state of {} came apart in one of the steps {} .. {}",
                state.stages.join(", "),
                state.equal_after + 1,
                it.sequence
            );
        }
        let Some(around) = around else { return Ok(()) };
        let names = Names::of_journal(&self.journal);
        if !around.before.is_empty() {
            say!("\nthe steps before it");
            for step in &around.before {
                put!("{}", step_text(step.view(), &[], &names));
            }
        }
        say!("\nas recorded");
        put!("{}", step_text(around.recorded.view(), &[], &names));
        say!("\nas computed");
        put!("{}", step_text(around.computed.view(), &[], &names));
        say!("\nlook around it with `pawl replay {} --step --from {}`", self.named.display(), it.sequence);
        Ok(())
    }
}

/// When events are due, counted from the first one shown.
struct Pace {
    began: Instant,
    first: Time,
    speed: f64,
}

impl Pace {
    /// Waits until an event of this time is due; false if it was told to stop.
    fn wait(&self, time: Time, stop: &AtomicBool) -> bool {
        let since_ns = time.0.saturating_sub(self.first.0).max(0) as f64;
        let due = Duration::try_from_secs_f64(since_ns / self.speed / 1e9).unwrap_or(Duration::MAX);
        loop {
            if stop.load(Ordering::Relaxed) {
                return false;
            }
            let left = due.saturating_sub(self.began.elapsed());
            if left.is_zero() {
                return true;
            }
            std::thread::sleep(left.min(NAP));
        }
    }
}

fn ended(stop: &AtomicBool) -> ControlFlow<()> {
    if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
}

fn parse_speed(text: &str) -> Result<f64, String> {
    let speed = text.strip_suffix(['x', 'X']).unwrap_or(text).parse::<f64>();
    speed
        .ok()
        .filter(|it| it.is_finite() && *it > 0.0)
        .ok_or_else(|| "a speed is a number above 0: 1x, 10x, 0.5x".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_speed_is_a_number_above_zero_with_or_without_its_x() {
        assert_eq!((parse_speed("10x"), parse_speed("0.5X"), parse_speed("2")), (Ok(10.0), Ok(0.5), Ok(2.0)));
        for wrong in ["0", "-1x", "x", "", "NaN", "inf", "fast"] {
            assert!(parse_speed(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn an_event_is_due_as_long_after_the_first_as_the_speed_says() {
        let pace = Pace { began: Instant::now(), first: Time(5_000_000_000), speed: 10.0 };
        let stop = AtomicBool::new(false);
        assert!(pace.wait(Time(5_300_000_000), &stop));
        assert!(pace.began.elapsed() >= Duration::from_millis(30));
        assert!(pace.wait(Time(4_000_000_000), &stop), "what is before the first is due at once");
        stop.store(true, Ordering::Relaxed);
        assert!(!pace.wait(Time(i64::MAX), &stop), "nobody waits who was told to stop");
    }
}
