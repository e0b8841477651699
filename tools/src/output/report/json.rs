//! A report as JSON, and its returns as CSV. What cannot be told is null.

use std::fmt::Write as _;

use pawl_engine::instrument::Instrument;
use pawl_engine::runtime::Percentiles;
use pawl_journal::record::{InstrumentId, Micros, RejectReason, Time, VerdictSource};
use pawl_replay::{AgentFigures, Costs, OrderLine, Report, Share, SymbolFigures, Trip, TripFigures};
use serde_json::{Map, Value, json};

use super::view::View;
use crate::output::time_text;

fn money(amount: Micros) -> Value {
    json!(amount.0 as f64 / 1e6)
}

fn maybe(amount: Option<Micros>) -> Value {
    amount.map_or(Value::Null, money)
}

fn at(time: Option<Time>) -> Value {
    time.map_or(Value::Null, |it| time_text(it).into())
}

/// The whole report.
pub fn report_json(report: &Report, view: &View) -> Value {
    let (ratios, stake) = (&report.ratios, &report.exposure);
    json!({
        "journal": view.journal,
        "covers": {
            "first": report.summary.first.0,
            "last": report.summary.last.0,
            "from": time_text(report.summary.time_first),
            "until": time_text(report.summary.time_last),
            "runs": report.runs,
            "ended": report.ended,
            "pruned": report.pruned.is_some(),
        },
        "notes": view.notes,
        "currency": report.settings.account.currency,
        "equity": { "opening": maybe(report.opening), "closing": maybe(report.closing), "profit": maybe(report.profit()) },
        "returns": {
            "every": report.every.name(),
            "periods_per_year": report.periods_per_year,
            "count": ratios.returns,
            "growth": ratios.growth,
            "mean": ratios.mean,
            "volatility": ratios.volatility,
            "sharpe": ratios.sharpe,
            "sortino": ratios.sortino,
            "cagr": ratios.cagr,
            "calmar": ratios.calmar,
            "max_drawdown": ratios.drawdown,
        },
        "drawdown": report.drawdown.map(|it| json!({
            "amount": money(it.amount),
            "fraction": it.fraction,
            "from": time_text(it.from),
            "to": time_text(it.to),
            "recovered": at(it.recovered),
        })),
        "underwater_ns": report.underwater_ns,
        "trips": trip_figures(&report.trips),
        "costs": costs(&report.costs),
        "exposure": {
            "time": stake.time,
            "gross_mean": stake.gross_mean,
            "gross_max": money(stake.gross_max),
            "equity_mean": money(stake.equity_mean),
        },
        "turnover": report.turnover as f64 / 1e6,
        "turnover_ratio": report.turnover_ratio(),
        "symbols": report.symbols.iter().map(|it| symbol(report, it)).collect::<Value>(),
        "agents": report.agents.iter().map(|it| agent(report, it)).collect::<Value>(),
        "latency_ns": latencies(report),
        "orders": report.orders.iter().map(|it| order(report, it)).collect::<Value>(),
        "round_trips": report.round_trips.iter().enumerate().map(|it| round_trip(report, it)).collect::<Value>(),
    })
}

/// What the table of returns begins with.
pub const RETURNS_HEAD: &str = "time,equity,return\n";

/// The samples as CSV: time, equity, return since the sample before.
pub fn returns_csv(report: &Report) -> String {
    let mut out = RETURNS_HEAD.to_owned();
    let mut before: Option<Micros> = None;
    for sample in &report.samples {
        let change = before
            .replace(sample.equity)
            .map_or_else(String::new, |before| (sample.equity.0 as f64 / before.0 as f64 - 1.0).to_string());
        // Writing to a String cannot fail.
        let _ = writeln!(out, "{},{},{change}", time_text(sample.time), sample.equity.0 as f64 / 1e6);
    }
    out
}

fn trip_figures(it: &TripFigures) -> Value {
    json!({
        "count": it.count,
        "wins": it.wins,
        "losses": it.losses,
        "win_rate": it.win_rate(),
        "profit_factor": it.profit_factor(),
        "profit": money(it.profit()),
        "gross_profit": money(it.gross_profit),
        "gross_loss": money(it.gross_loss),
        "average": maybe(it.average()),
        "best": maybe(it.best),
        "worst": maybe(it.worst),
        "held_average_ns": it.held_average_ns(),
        "open": it.open,
        "open_profit": money(it.open_profit),
    })
}

fn costs(it: &Costs) -> Value {
    json!({
        "total": money(it.total()),
        "commission": money(it.commission),
        "spread": money(it.spread),
        "slippage": money(it.slippage),
        "unquoted_fills": it.unquoted_fills,
    })
}

fn instrument(report: &Report, id: InstrumentId) -> Option<&Instrument> {
    report.settings.instruments.get(usize::from(id.0))
}

fn name_of(report: &Report, id: InstrumentId) -> Value {
    instrument(report, id).map_or(Value::Null, |it| it.symbol.clone().into())
}

fn symbol(report: &Report, it: &SymbolFigures) -> Value {
    json!({
        "symbol": name_of(report, it.instrument),
        "orders": it.orders,
        "refused": it.refused,
        "fills": it.fills,
        "profit": money(it.profit),
        "trips": trip_figures(&it.trips),
        "costs": costs(&it.costs),
        "turnover": it.turnover as f64 / 1e6,
        "exposure": it.exposure,
    })
}

fn agent(report: &Report, it: &AgentFigures) -> Value {
    let settings = it.agent.and_then(|id| report.settings.agents.get(usize::from(id.0)));
    json!({
        "agent": settings.map(|it| &it.name),
        "weight": settings.map(|it| it.weight),
        "predictions": it.predictions,
        "up": it.up,
        "down": it.down,
        "orders": it.orders,
        "profit": money(it.profit()),
        "trips": trip_figures(&it.trips),
    })
}

fn latencies(report: &Report) -> Value {
    let told = |it: &Percentiles| json!(it);
    let mut out: Map<String, Value> =
        report.summary.latency.0.iter().map(|(name, it)| ((*name).to_owned(), told(it))).collect();
    out.extend(report.decided.as_ref().map(|it| ("received to decided, with an order".to_owned(), told(it))));
    out.extend(
        report.answered.as_ref().map(|it| ("order to first answer (event time)".to_owned(), told(it))),
    );
    Value::Object(out)
}

fn shares(report: &Report, shares: &[Share]) -> Value {
    let share = |it: &Share| {
        let agent = report.settings.agents.get(usize::from(it.agent.0));
        json!({ "agent": agent.map(|it| &it.name), "part": it.part })
    };
    shares.iter().map(share).collect()
}

/// A number with the decimals of the text.
fn number(text: &str) -> Value {
    text.parse::<f64>().map_or(Value::Null, |it| json!(it))
}

fn order(report: &Report, it: &OrderLine) -> Value {
    let scale = instrument(report, it.instrument);
    let is_refusal = it.order.0 == 0;
    let average = scale
        .filter(|_| it.filled_lots.0 > 0)
        .map(|scale| it.filled_cost as f64 / it.filled_lots.0 as f64 / 10_f64.powi(i32::from(scale.digits)));
    let trip = |place: Option<usize>| place.map(|place| place + 1);
    json!({
        "order": (!is_refusal).then_some(it.order.0),
        "sequence": it.sequence.0,
        "time": time_text(it.time),
        "symbol": name_of(report, it.instrument),
        "side": it.side.name(),
        "lots": scale.map(|scale| scale.volume(it.lots).to_f64()),
        "type": it.order_type.name(),
        "price": scale.filter(|_| it.price.0 != 0).map(|scale| number(&scale.price_text(it.price))),
        "source": (it.source != VerdictSource::default()).then(|| it.source.name()).flatten(),
        "shares": shares(report, &it.shares),
        "state": if is_refusal { Some("refused") } else { it.state.name() },
        "refused": it.refused.names().collect::<Vec<_>>(),
        "rejected": (it.rejected != RejectReason::NONE).then(|| it.rejected.name()).flatten(),
        "fills": it.fills,
        "filled": scale.map(|scale| scale.volume(it.filled_lots).to_f64()),
        "average_price": average,
        "profit": maybe(it.profit),
        "closed_trip": trip(it.closed),
        "opened_trip": trip(it.opened),
    })
}

fn round_trip(report: &Report, (place, it): (usize, &Trip)) -> Value {
    let scale = instrument(report, it.instrument);
    let average = |cost: i128, lots: i64| {
        scale
            .filter(|_| lots > 0)
            .map(|scale| cost as f64 / lots as f64 / 10_f64.powi(i32::from(scale.digits)))
    };
    json!({
        "trip": place + 1,
        "symbol": name_of(report, it.instrument),
        "side": it.side.name(),
        "opened": time_text(it.opened),
        "closed": at(it.closed),
        "opening_order": it.opening_order.0,
        "closing_order": it.closing_order.filter(|_| it.closed.is_some()).map(|it| it.0),
        "lots": scale.map(|scale| scale.volume(it.entry_lots).to_f64()),
        "entry": average(it.entry_cost, it.entry_lots.0),
        "exit": average(it.exit_cost, it.exit_lots.0),
        "realised": money(it.realised),
        "commission": money(it.commission),
        "unrealised": money(it.unrealised),
        "profit": money(it.profit()),
        "shares": shares(report, &it.shares),
        "carried": it.carried,
    })
}
