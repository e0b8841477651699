//! The report: what a journal's trading came to, from one walk over it.
//!
//! ```text
//!            +--> valuation --> equity at every tick --> samples --> ratios      falls, curve
//!  step -----+--> votes ------> whose order it is --+
//!            +--> ledger <--------------------------+--> orders, round trips, costs --> figures
//!            +--> summary (counts, latencies)
//! ```
//!
//! Several runs of one journal are one history: positions and money go on where the run before left them, and time
//! between runs counts as any other. Memory is flat in the length of the journal, but for orders, round trips and the
//! samples. Money is integer micros of the account currency; only ratios are floats.

mod equity;
mod figures;
mod ledger;
mod ratios;
#[cfg(test)]
mod tests;
mod valuation;
mod votes;
mod walk;

use std::path::Path;

use pawl_engine::runtime::{Latency, Percentiles};
use pawl_engine::settings::Settings;
use pawl_journal::log::{Pruned, Reader, pruned};
use pawl_journal::record::{Micros, Sequence, Time};

use super::error::ReplayError;
use super::settings::settings_of;
use super::summary::Summary;
use walk::Walk;

pub use equity::{CurvePoint, Drawdown, Interval, Sample};
pub use figures::{AgentFigures, Exposure, SymbolFigures, TripFigures};
pub use ledger::{Costs, OrderLine, Trip};
pub use ratios::Ratios;
pub use votes::Share;

/// How a report is to sample and annualise.
#[derive(Debug, Clone, Copy, Default)]
pub struct ReportOptions {
    /// How far apart the samples are; by the length of the journal if none is given.
    pub every: Option<Interval>,
    /// Samples in a year; by the calendar if none is given.
    pub periods_per_year: Option<f64>,
}

/// What a journal's trading came to.
#[derive(Debug, Clone)]
pub struct Report {
    /// The settings of its first run that is there: names and scales.
    pub settings: Settings,
    /// Counts, and latencies by stage.
    pub summary: Summary,
    /// Time from receipt to the decision in steps that sent an order; none if there is none.
    pub decided: Option<Percentiles>,
    /// Event time from an order's decision to the first word of the venue; none if there is none.
    pub answered: Option<Percentiles>,
    /// Runs, from the first one that is there.
    pub runs: u64,
    /// Whether the last run said that it ended.
    pub ended: bool,
    /// Where the journal begins, if its beginning was pruned.
    pub pruned: Option<Pruned>,
    /// Equity at the beginning; none in a pruned journal that tells none.
    pub opening: Option<Micros>,
    /// Equity at the end.
    pub closing: Option<Micros>,
    /// How far apart the samples are.
    pub every: Interval,
    /// Samples in a year, for the ratios.
    pub periods_per_year: f64,
    /// Equity at equal intervals.
    pub samples: Vec<Sample>,
    /// What the samples say.
    pub ratios: Ratios,
    /// The deepest fall, measured at every tick; none if equity never fell.
    pub drawdown: Option<Drawdown>,
    /// Longest event time below a peak, ns.
    pub underwater_ns: i64,
    /// Equity for a picture.
    pub curve: Vec<CurvePoint>,
    /// All round trips together.
    pub trips: TripFigures,
    /// What trading cost.
    pub costs: Costs,
    /// How much was at stake.
    pub exposure: Exposure,
    /// Price times volume of all fills, account currency, in micros.
    pub turnover: i128,
    /// By instrument, in table order.
    pub symbols: Vec<SymbolFigures>,
    /// By agent, in table order; behind them what was nobody's, if there is any.
    pub agents: Vec<AgentFigures>,
    /// Every order and every recorded refusal, in the order of their decision.
    pub orders: Vec<OrderLine>,
    /// Every round trip, in the order of their opening.
    pub round_trips: Vec<Trip>,
    /// Most that told and computed equity differed by: 0 unless the journal was pruned.
    pub carried_max: Micros,
}

impl Report {
    /// What was earned or lost: closing less opening equity.
    #[must_use]
    pub fn profit(&self) -> Option<Micros> {
        Some(self.closing? - self.opening?)
    }

    /// Event time covered, ns.
    #[must_use]
    pub fn span_ns(&self) -> i64 {
        self.summary.time_last.0 - self.summary.time_first.0
    }

    /// Turnover over the mean equity.
    #[must_use]
    pub fn turnover_ratio(&self) -> Option<f64> {
        let equity = self.exposure.equity_mean.0;
        (equity > 0).then(|| self.turnover as f64 / equity as f64)
    }
}

/// Most samples that a report takes.
const SAMPLES_MAX: i64 = 10_000_000;

/// Reports on the steps of a journal that are committed now. `progress` is told the step that was read and the last one.
///
/// # Errors
/// [`ReplayError`] if the journal cannot be read, is empty, has lost the start of every run, or is too long for the interval asked for ([`ReplayError::TooManySamples`]).
pub fn report(
    directory: &Path,
    options: ReportOptions,
    mut progress: impl FnMut(Sequence, Sequence),
) -> Result<Report, ReplayError> {
    let mut reader = Reader::open(directory)?;
    let pruned = pruned(directory)?;
    let settings = settings_of(directory)?.0.engine;
    let last = reader.last_sequence()?;
    let (from, until) = bounds(&mut reader, last)?;
    let span = until.0 - from.0;
    let every = options.every.unwrap_or(Interval::for_span(span));
    if span / every.nanoseconds() > SAMPLES_MAX {
        return Err(ReplayError::TooManySamples { every: every.name(), most: SAMPLES_MAX as u64 });
    }
    let mut walk = Walk::new(&settings, pruned.is_none(), (from, until), every);
    while let Some(frame) = reader.next()? {
        let step = frame.step();
        walk.step(step);
        if step.sequence().0.is_multiple_of(4_096) {
            progress(step.sequence(), last);
        }
        if step.sequence() >= last {
            break;
        }
    }
    Ok(finish(walk, settings, pruned, every, options))
}

/// Event time of the first and of the last step; the reader stands at the first step again.
fn bounds(reader: &mut Reader, last: Sequence) -> Result<(Time, Time), ReplayError> {
    let from = reader.next()?.ok_or(ReplayError::Empty)?.step().time();
    reader.seek(last)?;
    let until = reader.next()?.map_or(from, |frame| frame.step().time());
    reader.seek(Sequence(1))?;
    Ok((from, until))
}

fn finish(
    mut walk: Walk,
    settings: Settings,
    pruned: Option<Pruned>,
    every: Interval,
    options: ReportOptions,
) -> Report {
    let exposure = walk.exposure();
    let now = walk.now;
    walk.ledger.finish(now, &walk.valuation);
    let (symbols, agents) = (walk.symbols(), walk.agents());
    let mut trips = TripFigures::default();
    walk.ledger.trips.iter().for_each(|trip| trips.add(trip, trip.profit()));
    let mut costs = Costs::default();
    symbols.iter().for_each(|symbol| costs.add(symbol.costs));
    let mut answered = Latency::new();
    for order in &walk.ledger.orders {
        if let Some(time) = order.answered {
            answered.record((time.0 - order.time.0).unsigned_abs());
        }
    }
    let samples = match walk.equity {
        Some((_, closing)) => walk.sampler.finish(now, closing),
        None => Vec::new(),
    };
    let periods_per_year = options.periods_per_year.unwrap_or(every.per_year());
    let (drawdown, underwater_ns) = walk.falls.finish(now);
    let measured = |latency: &Latency| Some(latency.percentiles()).filter(|it| it.count > 0);
    Report {
        decided: measured(&walk.decided),
        answered: measured(&answered),
        runs: walk.runs,
        ended: walk.ended,
        pruned,
        opening: walk.equity.map(|it| it.0),
        closing: walk.equity.map(|it| it.1),
        every,
        periods_per_year,
        ratios: Ratios::of(samples.iter().map(|it| it.equity), periods_per_year),
        samples,
        drawdown,
        underwater_ns,
        curve: walk.curve.finish(),
        trips,
        costs,
        exposure,
        turnover: symbols.iter().map(|it| it.turnover).sum(),
        symbols,
        agents,
        orders: walk.ledger.orders,
        round_trips: walk.ledger.trips,
        carried_max: walk.carried_max,
        summary: walk.fold.finish(),
        settings,
    }
}
