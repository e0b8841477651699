//! `pawl export`: a journal's ticks, bars, features, predictions, orders, fills and equity as Parquet files.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context as _, bail};
use clap::Args;
use pawl_journal::log::From;
use pawl_replay::export::{ColumnTold, Edge, ExportKind, ExportOptions, Exported, columns_of, export};
use pawl_replay::settings_of;
use serde_json::{Value, json};

use super::tail::parse_from;
use crate::exit::Exit;
use crate::machine;
use crate::opened::Opened;
use crate::output::{Bar, Table, check_outside_journals, put, say, thousands};
use crate::signals::stop_on_signals;

/// What the columns of features are named where no journal says it.
const FEATURE: &str = "(each configured column)";

/// Export ticks, bars, features, predictions, orders, fills and equity to Parquet.
#[derive(Args)]
#[command(
    after_help = "Examples:\n  pawl export J --out data\n  pawl export J --out data --kind orders,fills\n  \
    pawl export J --out data --from 2019-02-04T12:00:00Z --until 2019-02-04T13:00:00Z\n  \
    pawl export --columns\n  pawl export J --columns --kind features\n  \
    python3 -c \"import pandas; print(pandas.read_parquet('data/fills.parquet'))\"\n\n\
    One file per kind, with its schema even if it has no rows. `sequence`, the step, joins the files; \
    `client_order_id` joins fills to orders, one row per order. A price, a volume or an amount is two columns: the \
    value, and the whole number that the journal holds (bid and bid_points, lots and lots_steps, equity and \
    equity_micros). Times are timestamp[ns, UTC]. --columns lists every column; a file says the same of its own in the \
    metadata of its fields.\n\n\
    Features are one column each, under their configured names: all runs of one journal have the same, other journals \
    may have others (pandas.concat and polars.concat(how=\"diagonal\") fill up with nulls).\n\n\
    A journal that is being written is exported up to the step that is committed when the command begins. Files get \
    their names when all are whole; Ctrl-C leaves nothing behind. DIR is no place in a journal, and takes one export at \
    a time.\n\n\
    Exit codes: 0 done, 2 unusable, 3 the environment failed, or stopped."
)]
pub struct Export {
    /// Directory of the journal, or a bundle
    #[arg(required_unless_present = "columns")]
    journal: Option<PathBuf>,
    /// The directory that the files go to; made if it is not there
    #[arg(long, value_name = "DIR", required_unless_present = "columns")]
    out: Option<PathBuf>,
    /// Only these kinds: ticks, bars, features, predictions, orders, fills, equity
    #[arg(long, value_name = "KIND,..", value_delimiter = ',')]
    kind: Vec<String>,
    /// Begin at a step (7) or a time (2019-02-04T12:00:00Z)
    #[arg(long, value_name = "N|TIME")]
    from: Option<String>,
    /// End behind a step, or behind the steps of a time
    #[arg(long, value_name = "N|TIME")]
    until: Option<String>,
    /// Replace the files of an earlier export in DIR, all seven; nothing else in it is touched
    #[arg(long)]
    replace: bool,
    /// List the columns of every kind, and export nothing
    #[arg(long, conflicts_with_all = ["out", "from", "until", "replace"])]
    columns: bool,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Export {
    /// Runs the command.
    pub fn run(mut self) -> anyhow::Result<Exit> {
        let _opened = self.journal.as_mut().map(Opened::take).transpose()?;
        let kinds = self.kinds()?;
        if self.columns {
            return self.print_columns(&kinds);
        }
        let (Some(journal), Some(out)) = (&self.journal, &self.out) else {
            bail!("a journal and --out DIR are needed");
        };
        check_outside_journals("--out", out)?;
        let (from, until) = (parse_edge(self.from.as_deref())?, parse_edge(self.until.as_deref())?);
        check_order(from, until)?;
        let options = ExportOptions {
            out: out.clone(),
            kinds,
            from,
            until,
            replace: self.replace,
            exported_by: machine::build(),
        };
        let stop = stop_on_signals()?;
        let bar = Bar::new("exporting", 1);
        let exported = export(journal, &options, |at, last| {
            bar.set_total(last.0);
            bar.set(at.0);
            if stop.load(Ordering::Relaxed) { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })?;
        drop(bar);
        if self.json {
            say!("{}", serde_json::to_string(&exported)?);
        } else {
            print_text(&exported)?;
        }
        Ok(Exit::Yes)
    }

    /// The kinds asked for, each once; all if none is named.
    fn kinds(&self) -> anyhow::Result<Vec<ExportKind>> {
        let parse = |name: &String| {
            ExportKind::from_name(name).with_context(|| {
                format!(
                    "`{name}` is no kind of file; there are {}",
                    ExportKind::ALL.map(ExportKind::name).join(", ")
                )
            })
        };
        let asked = self.kind.iter().map(parse).collect::<anyhow::Result<Vec<_>>>()?;
        let is_asked = |kind: &ExportKind| asked.is_empty() || asked.contains(kind);
        Ok(ExportKind::ALL.into_iter().filter(is_asked).collect())
    }

    fn print_columns(&self, kinds: &[ExportKind]) -> anyhow::Result<Exit> {
        let features = match self.journal.as_deref().map(feature_names) {
            Some(names) => names?,
            None => vec![FEATURE.to_owned()],
        };
        let told = kinds.iter().map(|kind| (*kind, columns_of(*kind, &features)));
        if self.json {
            let columns: Value = told
                .map(|(kind, columns)| (kind.name().to_owned(), columns.iter().map(column_json).collect()))
                .collect::<serde_json::Map<_, _>>()
                .into();
            say!("{columns}");
            return Ok(Exit::Yes);
        }
        for (kind, columns) in told {
            let mut table = Table::new(&["column", "type", "null", "unit", "meaning"]);
            for it in &columns {
                let null = if it.nullable { "null" } else { "" };
                table.row([&it.name, it.stored.name(), null, it.unit, &it.about]);
            }
            say!("{}", kind.file_name());
            put!("{table}\n");
        }
        Ok(Exit::Yes)
    }
}

fn feature_names(journal: &Path) -> anyhow::Result<Vec<String>> {
    Ok(settings_of(journal)?.0.engine.features.columns)
}

fn column_json(it: &ColumnTold) -> Value {
    json!({
        "name": it.name, "type": it.stored.name(), "nullable": it.nullable, "unit": it.unit, "meaning": it.about,
    })
}

fn parse_edge(text: Option<&str>) -> anyhow::Result<Option<Edge>> {
    text.map(|text| match parse_from(text)? {
        From::Sequence(sequence) => Ok(Edge::Step(sequence)),
        From::Time(time) => Ok(Edge::Time(time)),
        From::Start | From::Now => {
            bail!("`{text}` is neither a step (7) nor a time (2019-02-04T12:00:00Z)")
        }
    })
    .transpose()
}

/// Refuses an end that lies before the beginning, as far as the two can be compared without a journal.
fn check_order(from: Option<Edge>, until: Option<Edge>) -> anyhow::Result<()> {
    let is_wrong = match (from, until) {
        (Some(Edge::Step(from)), Some(Edge::Step(until))) => from > until,
        (Some(Edge::Time(from)), Some(Edge::Time(until))) => from > until,
        _ => false,
    };
    if is_wrong {
        bail!("--from lies behind --until: there is nothing to export");
    }
    Ok(())
}

fn print_text(exported: &Exported) -> anyhow::Result<()> {
    let mut table = Table::new(&["file", "rows", "bytes"]);
    for file in &exported.files {
        table.row([file.path.display().to_string(), thousands(file.rows), thousands(file.bytes)]);
    }
    table.numbers_from(1);
    put!("{table}");
    say!(" steps {} .. {}", exported.first, exported.last);
    Ok(())
}
