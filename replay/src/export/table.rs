//! `Table`: the columns of a kind and the file that their values go to; `Tables`: all that an export writes.

use std::path::Path;

use pawl_engine::instrument::Instrument;
use pawl_engine::settings::RecordedSettings;
use pawl_journal::record::{
    AgentId, BarClosed, EquityChanged, Features, InstrumentId, Kind, Prediction, Record, Sequence, StepRef,
    Tick, Time,
};

use super::column::{Agent, Column, ColumnTold, Row};
use super::error::ExportError;
use super::kind::ExportKind;
use super::orders::{Fill, Life, Lives};
use super::parquet::Sheet;
use super::{ExportedFile, columns};

/// Names and scales, as the settings of a journal give them.
#[derive(Debug, Clone)]
pub(super) struct Names {
    instruments: Vec<Instrument>,
    agents: Vec<Agent>,
    features: Vec<String>,
}

impl Names {
    pub(super) fn new(recorded: &RecordedSettings) -> Self {
        let agents = recorded.engine.agents.iter().map(|agent| {
            let head = format!("{}: ", agent.name);
            let classes = recorded.classes.iter().find_map(|it| it.strip_prefix(&head));
            let classes: Vec<String> =
                classes.and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
            let place = |name: &str| classes.iter().position(|class| class == name);
            Agent { name: agent.name.clone(), classes: [place("down"), place("flat"), place("up")] }
        });
        Self {
            agents: agents.collect(),
            instruments: recorded.engine.instruments.clone(),
            features: recorded.engine.features.columns.clone(),
        }
    }

    fn instrument(&self, id: InstrumentId, sequence: Sequence) -> Result<&Instrument, ExportError> {
        let found = self.instruments.get(usize::from(id.0));
        found.ok_or_else(|| ExportError::Foreign { sequence, what: format!("it names instrument {id}") })
    }

    fn agent(&self, id: AgentId, sequence: Sequence) -> Result<&Agent, ExportError> {
        let found = self.agents.get(usize::from(id.0));
        found.ok_or_else(|| ExportError::Foreign { sequence, what: format!("it names agent {id}") })
    }
}

/// One file.
struct Table<T> {
    kind: ExportKind,
    columns: Vec<Column<T>>,
    sheet: Sheet,
}

impl<T> Table<T> {
    fn put(&mut self, row: &Row<'_, T>) -> Result<(), ExportError> {
        self.columns.iter().for_each(|column| column.put(row, &mut self.sheet));
        self.sheet.end_row()
    }
}

/// All files of an export.
pub(super) struct Tables {
    names: Names,
    lives: Lives,
    ticks: Option<Table<Tick>>,
    bars: Option<Table<BarClosed>>,
    features: Option<Table<Features>>,
    predictions: Option<Table<Prediction>>,
    orders: Option<Table<Life>>,
    fills: Option<Table<Fill>>,
    equity: Option<Table<EquityChanged>>,
}

impl Tables {
    /// Begins the files of these kinds in a directory; `said` is what each says of itself.
    pub(super) fn create(
        out: &Path,
        kinds: &[ExportKind],
        names: &Names,
        said: &[(&'static str, String)],
    ) -> Result<Self, ExportError> {
        let files = Files { out, kinds, said };
        Ok(Self {
            ticks: files.table(ExportKind::Ticks, columns::ticks)?,
            bars: files.table(ExportKind::Bars, columns::bar_rows)?,
            features: files.table(ExportKind::Features, || columns::features(&names.features))?,
            predictions: files.table(ExportKind::Predictions, columns::predictions)?,
            orders: files.table(ExportKind::Orders, columns::orders)?,
            fills: files.table(ExportKind::Fills, columns::fills)?,
            equity: files.table(ExportKind::Equity, columns::equity)?,
            names: names.clone(),
            lives: Lives::default(),
        })
    }

    /// Takes in a step.
    pub(super) fn step(&mut self, step: StepRef<'_>) -> Result<(), ExportError> {
        let at = Rows { names: &self.names, sequence: step.sequence(), time: step.time() };
        for record in step.records() {
            match record.kind() {
                Some(Kind::Tick) => put(&mut self.ticks, &record, |it: &Tick| at.of(it, it.instrument))?,
                Some(Kind::BarClosed) => {
                    put(&mut self.bars, &record, |it: &BarClosed| at.of(it, it.instrument))?;
                }
                Some(Kind::Features) => {
                    put(&mut self.features, &record, |it: &Features| at.vector(it, &record))?;
                }
                Some(Kind::Prediction) => {
                    put(&mut self.predictions, &record, |it: &Prediction| at.prediction(it))?;
                }
                Some(Kind::EquityChanged) => {
                    put(&mut self.equity, &record, |it: &EquityChanged| Ok(at.of_account(it)))?;
                }
                _ => {}
            }
        }
        if let Some(table) = &mut self.fills
            && let Some(fill) = Fill::in_step(step)
        {
            table.put(&at.of(&fill, fill.report.instrument)?)?;
        }
        if let Some(table) = &mut self.orders {
            self.lives.step(step);
            while let Some(life) = self.lives.pop_settled() {
                table.put(&of_order(&self.names, &life)?)?;
            }
        }
        Ok(())
    }

    /// Writes what is left, and gives the files their names once all are whole.
    pub(super) fn finish(mut self, last: Sequence) -> Result<Vec<ExportedFile>, ExportError> {
        if let Some(table) = &mut self.orders {
            for life in self.lives.finish() {
                table.put(&of_order(&self.names, &life)?)?;
            }
        }
        let mut sheets: Vec<(ExportKind, Sheet)> = Vec::new();
        let mut take = |sheet: Option<(ExportKind, Sheet)>| sheets.extend(sheet);
        take(self.ticks.map(|it| (it.kind, it.sheet)));
        take(self.bars.map(|it| (it.kind, it.sheet)));
        take(self.features.map(|it| (it.kind, it.sheet)));
        take(self.predictions.map(|it| (it.kind, it.sheet)));
        take(self.orders.map(|it| (it.kind, it.sheet)));
        take(self.fills.map(|it| (it.kind, it.sheet)));
        take(self.equity.map(|it| (it.kind, it.sheet)));
        let counts = sheets
            .iter_mut()
            .map(|(_, sheet)| sheet.finish(("pawl.last_step", last.to_string())))
            .collect::<Result<Vec<_>, _>>()?;
        let named = sheets.into_iter().zip(counts).map(|((kind, sheet), (rows, bytes))| {
            Ok(ExportedFile { kind, path: sheet.publish()?, rows, bytes })
        });
        named.collect()
    }
}

/// Gives the row of a record to its file, if that is asked for and the record is of a layout that this build knows.
fn put<'a, T: pawl_journal::record::Body>(
    table: &mut Option<Table<T>>,
    record: &Record<'a>,
    row: impl FnOnce(&'a T) -> Result<Row<'a, T>, ExportError>,
) -> Result<(), ExportError> {
    match (table, record.get::<T>()) {
        (Some(table), Some(it)) => table.put(&row(it)?),
        _ => Ok(()),
    }
}

/// What makes rows of a step's records.
struct Rows<'a> {
    names: &'a Names,
    sequence: Sequence,
    time: Time,
}

impl<'a> Rows<'a> {
    fn of_account<T>(&self, it: &'a T) -> Row<'a, T> {
        Row { sequence: self.sequence, time: self.time, it, reals: &[], instrument: None, agent: None }
    }

    fn of<T>(&self, it: &'a T, id: InstrumentId) -> Result<Row<'a, T>, ExportError> {
        let instrument = Some(self.names.instrument(id, self.sequence)?);
        Ok(Row { instrument, ..self.of_account(it) })
    }

    fn vector(&self, it: &'a Features, record: &Record<'a>) -> Result<Row<'a, Features>, ExportError> {
        let reals = record.tail_reals::<Features>();
        if reals.len() != self.names.features.len() {
            let what = format!("its vector has {} columns", reals.len());
            return Err(ExportError::Foreign { sequence: self.sequence, what });
        }
        Ok(Row { reals, ..self.of(it, it.instrument)? })
    }

    fn prediction(&self, it: &'a Prediction) -> Result<Row<'a, Prediction>, ExportError> {
        let agent = Some(self.names.agent(it.agent, self.sequence)?);
        Ok(Row { agent, ..self.of(it, it.instrument)? })
    }
}

/// The row of an order is of the step that decided it, which its id names.
fn of_order<'a>(names: &'a Names, life: &'a Life) -> Result<Row<'a, Life>, ExportError> {
    let sequence = life.change.client_order_id.sequence();
    let time = life.decided.map_or(Time(0), |it| it.time);
    Rows { names, sequence, time }.of(life, life.change.instrument)
}

/// Where the files go, which, and what each says of itself.
struct Files<'a> {
    out: &'a Path,
    kinds: &'a [ExportKind],
    said: &'a [(&'static str, String)],
}

impl Files<'_> {
    fn table<T>(
        &self,
        kind: ExportKind,
        columns: impl FnOnce() -> Vec<Column<T>>,
    ) -> Result<Option<Table<T>>, ExportError> {
        if !self.kinds.contains(&kind) {
            return Ok(None);
        }
        let columns = columns();
        let told: Vec<ColumnTold> = columns.iter().flat_map(Column::told).collect();
        let mut said = self.said.to_vec();
        said.push(("pawl.kind", kind.name().to_owned()));
        Ok(Some(Table {
            kind,
            columns,
            sheet: Sheet::create(self.out.join(kind.file_name()), &told, &said)?,
        }))
    }
}
