//! `View`: a report as headline figures and tables of text, the same for a terminal and for a page.

use std::path::Path;

use pawl_engine::instrument::Instrument;
use pawl_journal::record::{InstrumentId, Micros};
use pawl_replay::{AgentFigures, Drawdown, Interval, Report, SymbolFigures, TripFigures};

use super::orders::orders;
use super::words::{moment, money, percent, ratio, span, wide_money};
use crate::output::thousands;

/// Whether a number is good news.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    Plain,
    Good,
    Bad,
}

impl Tone {
    fn of(amount: Micros) -> Self {
        match amount.0 {
            1.. => Self::Good,
            0 => Self::Plain,
            ..=-1 => Self::Bad,
        }
    }

    /// The class that the page gives it.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Good => "good",
            Self::Bad => "bad",
        }
    }
}

/// A text with its tone.
pub struct Cell {
    pub text: String,
    pub tone: Tone,
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self { text: text.into(), tone: Tone::Plain }
    }
}

/// Money that is good or bad news.
pub fn earned(amount: Micros) -> Cell {
    Cell { text: money(amount), tone: Tone::of(amount) }
}

/// One figure, and what it means.
pub struct Figure {
    pub name: &'static str,
    pub value: Cell,
    /// What belongs to the value, in a few words.
    pub detail: String,
    /// How it is computed.
    pub meaning: String,
    /// Whether it stands at the top of the page.
    pub is_headline: bool,
}

/// A table.
pub struct Grid {
    pub title: &'static str,
    pub heads: Vec<&'static str>,
    pub rows: Vec<Vec<Cell>>,
    /// The first column that is aligned to the right.
    pub numbers_from: usize,
    /// What its columns mean.
    pub caption: String,
}

/// A report, in text.
pub struct View {
    pub journal: String,
    pub period: String,
    pub notes: Vec<String>,
    pub figures: Vec<Figure>,
    pub grids: Vec<Grid>,
    pub orders: Grid,
    pub orders_left_out: usize,
}

/// Most orders that a page lists; JSON has all.
const ORDERS_MAX: usize = 2_000;

const NOT_ENOUGH: &str = "not enough data";

impl View {
    /// The view of the report on a journal.
    pub fn new(report: &Report, journal: &Path) -> Self {
        let (from, until) = (report.summary.time_first, report.summary.time_last);
        let left_out = report.orders.len().saturating_sub(ORDERS_MAX);
        Self {
            journal: journal.display().to_string(),
            period: format!("{} .. {} UTC, {}", moment(from, 0), moment(until, 0), span(report.span_ns())),
            notes: notes(report),
            figures: [results(report), falls(report), trips(report), stakes(report)]
                .into_iter()
                .flatten()
                .collect(),
            grids: vec![symbols(report), agents(report), latencies(report)],
            orders: orders(report, left_out),
            orders_left_out: left_out,
        }
    }
}

fn notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if let Some(pruned) = &report.pruned {
        notes.push(format!(
            "The journal was pruned: this covers steps from {} on. Equity begins with the first that is told there; \
             positions from before are in the equity, but not in round trips, costs or attribution until they are closed.",
            report.summary.first.0.max(pruned.first_sequence.0),
        ));
    }
    if report.runs > 1 {
        notes.push(format!(
            "{} runs as one history: positions and money go on, and the time between runs counts.",
            report.runs
        ));
    }
    if !report.ended {
        notes.push("The last run has not ended: it is being written, or its writer died. This is what it was so far.".into());
    }
    if report.ratios.returns > 0 && report.span_ns() < 30 * Interval::Day.nanoseconds() {
        notes.push(format!(
            "Annualised figures extrapolate {} to a year: they compare runs of the same length, and foretell nothing.",
            span(report.span_ns())
        ));
    }
    if report.costs.unquoted_fills > 0 {
        notes.push(format!(
            "{} fills are of orders whose decision has no quote here: their spread and slippage are not in the costs.",
            thousands(report.costs.unquoted_fills)
        ));
    }
    notes
}

fn figure(name: &'static str, value: impl Into<Cell>, detail: String, meaning: impl Into<String>) -> Figure {
    Figure { name, value: value.into(), detail, meaning: meaning.into(), is_headline: true }
}

fn below(figure: Figure) -> Figure {
    Figure { is_headline: false, ..figure }
}

fn told(value: Option<f64>, text: fn(f64) -> String) -> String {
    value.map_or_else(|| NOT_ENOUGH.to_owned(), text)
}

fn results(report: &Report) -> Vec<Figure> {
    let currency = &report.settings.account.currency;
    let every = report.every.name();
    let it = &report.ratios;
    let year = format!("{} {every}s in a year", report.periods_per_year);
    let amount = |value: Option<Micros>| value.map_or_else(|| NOT_ENOUGH.into(), |it| Cell::from(money(it)));
    vec![
        figure(
            "P&L",
            report.profit().map_or_else(|| NOT_ENOUGH.into(), earned),
            it.growth.map_or_else(String::new, percent),
            format!("{currency}: closing less opening equity, open positions at the last quote"),
        ),
        below(figure("opening equity", amount(report.opening), String::new(), "at the first step")),
        below(figure("closing equity", amount(report.closing), String::new(), "at the last step")),
        figure(
            "Sharpe",
            told(it.sharpe, ratio),
            String::new(),
            format!(
                "mean / standard deviation of {} returns, one a {every}, times the root of {year}; risk-free rate 0",
                it.returns
            ),
        ),
        figure(
            "Sortino",
            told(it.sortino, ratio),
            String::new(),
            "mean / root of the mean squared negative return, annualised as Sharpe; required return 0",
        ),
        figure(
            "Calmar",
            told(it.calmar, ratio),
            String::new(),
            format!("CAGR / deepest drawdown of the samples ({})", told(it.drawdown, percent)),
        ),
        figure(
            "CAGR",
            told(it.cagr, percent),
            String::new(),
            format!("(closing / opening) ^ (periods in a year / returns) - 1; {year}"),
        ),
        below(figure(
            "volatility",
            told(it.volatility, percent),
            String::new(),
            "standard deviation of the returns, annualised",
        )),
    ]
}

fn falls(report: &Report) -> Vec<Figure> {
    let meaning = "deepest fall from a peak, at every tick";
    let deepest = |it: Drawdown| {
        let recovered = it.recovered.map(|time| format!("recovered {}", moment(time, 0)));
        figure(
            "max drawdown",
            percent(it.fraction),
            format!("{} {}", money(it.amount), report.settings.account.currency),
            format!(
                "{meaning}: below it from {}, lowest {}, {}",
                moment(it.from, 0),
                moment(it.to, 0),
                recovered.as_deref().unwrap_or("not recovered")
            ),
        )
    };
    let none = || figure("max drawdown", "0%", "equity never fell".into(), meaning);
    vec![
        report.drawdown.map_or_else(none, deepest),
        below(figure(
            "longest below peak",
            span(report.underwater_ns),
            String::new(),
            "event time from a fall below a peak to the next peak, or to the end",
        )),
    ]
}

fn trips(report: &Report) -> Vec<Figure> {
    let currency = &report.settings.account.currency;
    let trips = &report.trips;
    let or_none = |value: Option<Micros>| value.map_or_else(|| Cell::from("-"), earned);
    let open = match trips.open {
        0 => String::new(),
        open => format!("and {open} open, {} {currency}", money(trips.open_profit)),
    };
    vec![
        figure(
            "round trips",
            thousands(trips.count),
            open,
            "from flat to flat in one instrument; a fill that crosses zero closes one and opens the next",
        ),
        figure(
            "win rate",
            told(trips.win_rate(), percent),
            format!("{} won, {} lost", trips.wins, trips.losses),
            "round trips that earned more than nothing after commission, among those that won or lost",
        ),
        figure(
            "profit factor",
            match trips.profit_factor() {
                Some(factor) => ratio(factor),
                None if trips.wins > 0 => "no loss".to_owned(),
                None => NOT_ENOUGH.to_owned(),
            },
            format!("{} / {}", money(trips.gross_profit), money(trips.gross_loss)),
            "what won round trips earned / what lost ones lost, after commission",
        ),
        below(figure(
            "average trip",
            or_none(trips.average()),
            String::new(),
            "what closed round trips earned / how many",
        )),
        below(figure("best trip", or_none(trips.best), String::new(), "after commission")),
        below(figure("worst trip", or_none(trips.worst), String::new(), "after commission")),
        below(figure(
            "average holding",
            trips.held_average_ns().map_or_else(|| "-".to_owned(), span),
            String::new(),
            "event time from the first to the last fill of a round trip",
        )),
    ]
}

fn stakes(report: &Report) -> Vec<Figure> {
    let currency = &report.settings.account.currency;
    let (costs, stake) = (&report.costs, &report.exposure);
    vec![
        figure(
            "exposure",
            percent(stake.time),
            stake.gross_mean.map_or_else(String::new, |it| format!("gross {}x", ratio(it))),
            format!(
                "event time with a position; gross: mean of long and short at mid, over mean equity; at most {} {currency}",
                money(stake.gross_max)
            ),
        ),
        figure(
            "turnover",
            told(report.turnover_ratio(), |it| format!("{}x", ratio(it))),
            format!("{} {currency}", wide_money(report.turnover)),
            "price times volume of every fill, over the mean equity in event time",
        ),
        figure(
            "costs",
            money(costs.total()),
            String::new(),
            format!("{currency}: commission, spread and slippage; all of it is in the P&L already"),
        ),
        below(figure("commission", money(costs.commission), String::new(), "what the venue charged")),
        below(figure(
            "spread",
            money(costs.spread),
            String::new(),
            "half the spread at the decision of the order, for every lot filled",
        )),
        below(figure(
            "slippage",
            money(costs.slippage),
            String::new(),
            "fill against the quote at the decision (ask to buy, bid to sell); negative is better than the quote",
        )),
    ]
}

fn trip_cells(trips: &TripFigures) -> [Cell; 3] {
    [
        thousands(trips.count).into(),
        trips.win_rate().map_or_else(|| "-".to_owned(), percent).into(),
        trips.profit_factor().map_or_else(|| "-".to_owned(), ratio).into(),
    ]
}

fn symbols(report: &Report) -> Grid {
    let row = |it: &SymbolFigures| -> Vec<Cell> {
        let symbol = instrument(report, it.instrument).map_or_else(|| "?".to_owned(), |it| it.symbol.clone());
        let mut row = vec![symbol.into(), thousands(it.orders).into(), thousands(it.refused).into()];
        row.push(thousands(it.fills).into());
        row.extend(trip_cells(&it.trips));
        row.push(percent(it.exposure).into());
        row.push(wide_money(it.turnover).into());
        row.extend([it.costs.commission, it.costs.spread, it.costs.slippage].map(|it| money(it).into()));
        row.push(earned(it.trips.open_profit));
        row.push(earned(it.profit));
        row
    };
    Grid {
        title: "By symbol",
        heads: vec![
            "symbol", "orders", "refused", "fills", "trips", "won", "factor", "exposure", "turnover",
            "commission", "spread", "slippage", "open", "P&L",
        ],
        rows: report.symbols.iter().map(row).collect(),
        numbers_from: 1,
        caption: "P&L is after commission, round trips that are still open included (open: their part of it). A standing \
                  refusal is in the journal, and here, once."
            .into(),
    }
}

fn agents(report: &Report) -> Grid {
    let row = |it: &AgentFigures| -> Vec<Cell> {
        let settings = it.agent.and_then(|id| report.settings.agents.get(usize::from(id.0)));
        let name = settings.map_or_else(|| "(nobody)".to_owned(), |it| it.name.clone());
        let weight = settings.map_or_else(String::new, |it| it.weight.to_string());
        let mut row: Vec<Cell> = vec![name.into(), weight.into()];
        row.extend([it.predictions, it.up, it.down, it.orders].map(|count| thousands(count).into()));
        row.extend(trip_cells(&it.trips));
        row.push(earned(it.trips.open_profit));
        row.push(earned(it.profit()));
        row
    };
    Grid {
        title: "By agent",
        heads: vec![
            "agent", "weight", "predictions", "up", "down", "orders", "trips", "won", "factor", "open", "P&L",
        ],
        rows: report.agents.iter().map(row).collect(),
        numbers_from: 1,
        caption: "A round trip belongs to the agents whose vote pointed the way of the order that opened it, each by weight \
                  times absolute score at that moment. Nobody's are those that a limit, an operator or a lost beginning \
                  opened."
            .into(),
    }
}

fn latencies(report: &Report) -> Grid {
    let stages = report.summary.latency.0.iter().map(|(name, it)| (*name, it));
    let more = [
        ("received to decided, with an order", report.decided.as_ref()),
        ("order to first answer (event time)", report.answered.as_ref()),
    ];
    let more = more.into_iter().filter_map(|(name, it)| Some((name, it?)));
    let row = |(name, it): (&str, &pawl_engine::runtime::Percentiles)| {
        let numbers = [it.p50_ns, it.p90_ns, it.p99_ns, it.p999_ns, it.max_ns, it.count];
        std::iter::once(Cell::from(name)).chain(numbers.map(|it| thousands(it).into())).collect()
    };
    Grid {
        title: "Time per step (ns)",
        heads: vec!["", "p50", "p90", "p99", "p99.9", "max", "count"],
        rows: stages.chain(more).map(row).collect(),
        numbers_from: 1,
        caption: "From the stamps that every step carries, measured on the machine that ran. Event time is the market's.".into(),
    }
}

/// The instrument with this id, if the settings have it.
pub fn instrument(report: &Report, id: InstrumentId) -> Option<&Instrument> {
    report.settings.instruments.get(usize::from(id.0))
}
