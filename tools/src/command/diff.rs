//! `pawl diff`: what two journals decided on the same inputs, and where they part.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use clap::Args;
use pawl_journal::log::Reader;
use pawl_journal::record::{Kind, StepRef};
use pawl_replay::ReplayError;
use pawl_replay::diff::{Steps, comparable, diff};
use pawl_replay::settings_of;

use crate::command::tail::parse_kind;
use crate::exit::Exit;
use crate::opened::Opened;
use crate::output::{Bar, DiffPrinter, Names};

/// Rows of a table, unless another number is asked for.
const ROWS: u64 = 20;

/// Compare two journals: the first difference, and every decision that appears, vanishes or changes.
#[derive(Args)]
#[command(after_help = "Examples:\n  pawl diff A B\n  pawl diff A B --limit 100\n  \
    pawl diff A B --kind verdict,signal\n  pawl diff A B --json | jq -c 'select(.kind == \"order_request\")'\n\n\
    Steps belong together by their input: a tick by its feed and time there, a pulse by its time. Orders made at the same \
    input for the same instrument are one order, whatever their ids, and its reports are compared in their own \
    order. Settings may differ (they are listed); instruments may not. Stamps, checkpoints and what a run says of \
    its machine are not compared. Pulses that only one journal has are counted, and come first only if nothing else \
    differs.\n\n\
    --json prints a line per difference (`difference`, `inputs`), then `first`, with the steps around it, and \
    `result`. Exit codes: 0 the same, 1 different, 2 cannot be compared.")]
pub struct Diff {
    /// Directory of the one journal, or a bundle
    a: PathBuf,
    /// Directory of the other journal, or a bundle
    b: PathBuf,
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

impl Diff {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let _opened = [Opened::take(&mut self.a)?, Opened::take(&mut self.b)?];
        let kinds = self.kind.iter().map(|name| parse_kind(name)).collect::<anyhow::Result<Vec<_>>>()?;
        let settings = [settings_of(&self.a)?.0, settings_of(&self.b)?.0];
        let keys = comparable(&settings[0], &settings[1])?.keys;
        let names = settings.each_ref().map(|it| Names::new(&it.engine));
        let mut printer = DiffPrinter::new(["A", "B"], names, &settings[0].engine.account.currency);
        (printer.json, printer.limit, printer.kinds) = (self.json, self.limit, kinds);
        if !self.json {
            printer.limit = Some(self.limit.unwrap_or(ROWS));
            if printer.kinds.is_empty() {
                printer.kinds = vec![Kind::OrderRequest, Kind::ExecutionReport];
            }
        }
        let done = Cell::new(0);
        let bar = Bar::new("comparing", 0);
        let [mut a, mut b] = [Watched::open(&self.a, &bar, &done)?, Watched::open(&self.b, &bar, &done)?];
        bar.set_total(a.last()? + b.last()?);
        let compared =
            diff([&mut a, &mut b], settings.each_ref().map(|it| &it.engine), &mut |it| printer.visit(it))?;
        drop(bar);
        printer.finish(&keys, &compared)?;
        Ok(if compared.is_equal() { Exit::Yes } else { Exit::Finding })
    }
}

/// A journal whose reading moves a bar.
struct Watched<'a> {
    reader: Reader,
    bar: &'a Bar,
    /// Steps read of all journals.
    done: &'a Cell<u64>,
}

impl<'a> Watched<'a> {
    fn open(journal: &Path, bar: &'a Bar, done: &'a Cell<u64>) -> anyhow::Result<Self> {
        Ok(Self { reader: Reader::open(journal)?, bar, done })
    }

    fn last(&self) -> anyhow::Result<u64> {
        Ok(self.reader.last_sequence()?.0)
    }
}

impl Steps for Watched<'_> {
    fn next(&mut self) -> Result<Option<StepRef<'_>>, ReplayError> {
        let done = self.done.get() + 1;
        self.done.set(done);
        if done.is_multiple_of(8_192) {
            self.bar.set(done);
        }
        Steps::next(&mut self.reader)
    }
}
