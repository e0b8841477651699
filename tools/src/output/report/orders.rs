//! The list of orders: each with its fills, its round trip, or the reasons that refused it.

use pawl_journal::record::{OrderState, OrderType, RejectReason, VerdictSource};
use pawl_replay::{OrderLine, Report, Share};

use super::view::{Cell, Grid, Tone, earned, instrument};
use super::words::{average_price, moment, volume};

/// The orders but for the oldest `left_out`.
pub fn orders(report: &Report, left_out: usize) -> Grid {
    Grid {
        title: "Orders",
        heads: vec![
            "time", "order", "symbol", "side", "lots", "type", "by", "state", "filled", "price", "trip", "P&L", "trip P&L",
        ],
        rows: report.orders.iter().skip(left_out).map(|it| order_row(report, it)).collect(),
        numbers_from: 8,
        caption: "Filled: volume, and in how many fills if it took several. P&L of an order: what its fills realised, less their \
                  commission. Trip P&L stands at the order that closed \
                  the round trip."
            .into(),
    }
}

fn order_row(report: &Report, it: &OrderLine) -> Vec<Cell> {
    let instrument = instrument(report, it.instrument);
    let in_lots = |lots| instrument.map_or_else(String::new, |it| volume(it, lots));
    let symbol = instrument.map_or_else(|| "?".to_owned(), |it| it.symbol.clone());
    let kind = match (it.order_type, instrument) {
        (OrderType::LIMIT, Some(instrument)) => format!("limit {}", instrument.price_text(it.price)),
        (other, _) => other.to_string(),
    };
    let is_refusal = it.order.0 == 0;
    let why = match it.rejected {
        RejectReason::NONE => it.refused.names().collect::<Vec<_>>().join(", "),
        reason => reason.to_string(),
    };
    let state = if is_refusal { "refused".to_owned() } else { it.state.to_string() };
    let state = if why.is_empty() { state } else { format!("{state}: {why}") };
    let tone = if is_refusal || it.state == OrderState::REJECTED { Tone::Bad } else { Tone::Plain };
    let trips: Vec<_> =
        [it.closed, it.opened].into_iter().flatten().map(|place| format!("#{}", place + 1)).collect();
    let closed = it
        .closed
        .map(|place| &report.round_trips[place])
        .filter(|trip| trip.counts() && trip.closing_order == Some(it.order));
    let filled = match it.fills {
        0 => String::new(),
        1 => in_lots(it.filled_lots),
        fills => format!("{} in {fills}", in_lots(it.filled_lots)),
    };
    vec![
        moment(it.time, 3).into(),
        if is_refusal { String::new() } else { it.order.to_string() }.into(),
        symbol.into(),
        it.side.to_string().into(),
        in_lots(it.lots).into(),
        kind.into(),
        by(report, it).into(),
        Cell { text: state, tone },
        filled.into(),
        instrument
            .map_or_else(String::new, |instrument| average_price(instrument, it.filled_cost, it.filled_lots))
            .into(),
        trips.join(" ").into(),
        it.profit.map_or_else(|| "".into(), earned),
        closed.map_or_else(|| "".into(), |trip| earned(trip.profit())),
    ]
}

/// Who is behind an order.
fn by(report: &Report, it: &OrderLine) -> String {
    if it.source != VerdictSource::SIGNAL {
        return it.source.name().unwrap_or("").to_owned();
    }
    let name = |share: &Share| {
        let agent = report.settings.agents.get(usize::from(share.agent.0));
        agent.map_or_else(|| share.agent.to_string(), |it| it.name.clone())
    };
    match &it.shares[..] {
        [] => "signal".to_owned(),
        [one] => name(one),
        many => many
            .iter()
            .map(|share| format!("{} {:.0}%", name(share), share.part * 100.0))
            .collect::<Vec<_>>()
            .join(", "),
    }
}
