//! `pawl replay`: run a journal again and compare.

use std::path::{Path, PathBuf};

use clap::Args;
use pawl_journal::log::Reader;
use pawl_journal::record::{Sequence, Time};
use pawl_replay::{ModelSource, Replayed, Scope, replay};

use crate::exit::Exit;
use crate::output::{Bar, say, thousands, time_text};
use crate::session::models_in;

/// Run a journal again through the same pipeline and compare every record.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl replay J\n  pawl replay J --from 1000 --until 2000\n  \
    pawl replay J --recompute\n\n\
    Predictions of models are taken from the journal; --recompute runs the models as well and reports their largest \
    error (equal means within 1e-6). Exit codes: 0 identical, 1 diverged (where and what), 2 unusable.")]
pub struct Replay {
    /// Directory of the journal
    journal: PathBuf,
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
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Replay {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let last = Reader::open(&self.journal)?.last_sequence()?;
        let bar = Bar::new("replaying", self.until.unwrap_or(last.0));
        let scope = Scope {
            from: self.from.map(Sequence),
            until: self.until.map(Sequence),
            recompute: self.recompute,
        };
        let as_recorded = self.models.is_none();
        let models =
            ModelSource { models: models_in(self.models.as_deref().unwrap_or(Path::new("."))), as_recorded };
        let replayed = replay(&self.journal, scope, &models, |at| bar.set(at.0))?;
        drop(bar);
        if self.json {
            say!("{}", serde_json::to_string(&replayed)?);
        } else {
            print_text(&replayed)?;
        }
        Ok(if replayed.is_identical() { Exit::Yes } else { Exit::Finding })
    }
}

fn print_text(replayed: &Replayed) -> anyhow::Result<()> {
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
        None if replayed.is_identical() => {
            say!("identical");
        }
        None => {
            say!("a model does not repeat its predictions within 1e-6");
        }
        Some(it) => {
            say!("diverged at step {} ({}), stage {}", it.sequence, time_text(Time(it.time)), it.stage);
            say!("  record {} ({}), field {}", it.record, it.kind, it.field);
            say!("  recorded  {}", it.recorded);
            say!("  computed  {}", it.computed);
            say!("look around it with `pawl tail JOURNAL --from {}`", it.sequence.saturating_sub(3).max(1));
        }
    }
    Ok(())
}
