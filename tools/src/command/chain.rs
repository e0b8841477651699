//! `pawl chain`: one causal chain, from the tick to the last fill, with its latencies.

use std::path::PathBuf;

use clap::Args;
use pawl_journal::record::{Kind, OrderChanged, Stamps, StepRef, Time};
use pawl_replay::{Chain as Followed, chain};
use serde_json::json;

use crate::exit::Exit;
use crate::output::{Names, put, say, step_json, step_text, time_text};

/// Follow one causal chain: tick, features, predictions, signal, verdict, order, every report, position and P&L.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl chain J 12345          the step that decided\n  \
    pawl chain J 790080         the order it made (client_order_id)\n  pawl chain J 12345 --json")]
pub struct Chain {
    /// Directory of the journal
    journal: PathBuf,
    /// A step's sequence, or a client order id
    id: u64,
    /// Take ID as a client order id even if there is a step of that number
    #[arg(long)]
    order: bool,
    /// Print the chain as JSON
    #[arg(long)]
    json: bool,
}

impl Chain {
    /// Runs the command.
    pub fn run(self) -> anyhow::Result<Exit> {
        let followed = chain(&self.journal, self.id, self.order)?;
        let names = Names::of_journal(&self.journal);
        if self.json {
            let steps: Vec<_> =
                followed.steps.iter().map(|it| step_json(it.step.view(), &[], &names)).collect();
            let order = followed.order.map(|id| id.0);
            say!("{}", json!({ "order": order, "final": followed.is_final, "steps": steps }));
        } else {
            print_text(&followed, &names)?;
        }
        Ok(Exit::Yes)
    }
}

fn print_text(followed: &Followed, names: &Names) -> anyhow::Result<()> {
    let Some(first) = followed.steps.first().map(|it| it.step.view()) else { return Ok(()) };
    match followed.order {
        Some(order) => {
            say!("order {order}, decided in step {} at {}", first.sequence(), time_text(first.time()));
        }
        None => say!("step {} at {} is about no order", first.sequence(), time_text(first.time())),
    }
    for (index, kept) in followed.steps.iter().enumerate() {
        let step = kept.step.view();
        if index > 0 {
            say!("\n+{} in event time", milliseconds(step.time(), first.time()));
        }
        let shown: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| *kind != Kind::Stamps).collect();
        put!("{}", step_text(step, &shown, names));
        print_stamps(step)?;
    }
    if let Some(change) = followed.steps.last().and_then(|it| it.step.view().all::<OrderChanged>().last()) {
        say!(
            "\n{} after {}",
            if followed.is_final {
                format!("final: {}", change.to)
            } else {
                format!("not final yet: {}", change.to)
            },
            followed
                .steps
                .last()
                .map_or_else(String::new, |it| milliseconds(it.step.view().time(), first.time())),
        );
    }
    Ok(())
}

fn print_stamps(step: StepRef<'_>) -> anyhow::Result<()> {
    let Some(it) = step.get::<Stamps>() else { return Ok(()) };
    let span = |from: u32, to: u32| to.saturating_sub(from);
    say!(
        "{:34}  time spent: ring {} ns, feature {} ns, inference {} ns, risk {} ns, order {} ns; decided {} ns after receipt",
        "",
        span(it.published_ns, it.taken_ns),
        span(it.taken_ns, it.feature_ns),
        span(it.feature_ns, it.inference_ns),
        span(it.inference_ns, it.risk_ns),
        span(it.risk_ns, it.order_ns),
        it.order_ns,
    );
    Ok(())
}

fn milliseconds(time: Time, since: Time) -> String {
    format!("{:.3} ms", (time.0 - since.0) as f64 / 1e6)
}
