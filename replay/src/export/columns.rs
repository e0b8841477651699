//! The columns of every kind of file.

use std::borrow::Cow;

use pawl_journal::record::{BarClosed, EquityChanged, Features, Prediction, Tick};

use super::column::{Column, Holds, Row};
use super::orders::{Fill, Life};
use Holds::{
    Bool, MaybeDouble, MaybePrice, MaybeSingle, MaybeTime, MaybeVolume, MaybeWord, Millionths, Money, Price,
    Reals, Signed, Single, Time, Unsigned, Volume, Word,
};

/// A code's name; its number if this build does not know it.
macro_rules! word {
    ($code:expr) => {
        match $code {
            code => code.name().map_or_else(|| Cow::Owned(format!("unknown({})", code.0)), Cow::Borrowed),
        }
    };
}

/// The columns of a kind: those of the step, the symbol, and its own.
fn of_instrument<T>(own: Vec<Column<T>>) -> Vec<Column<T>> {
    Column::of_step().into_iter().chain([Column::symbol()]).chain(own).collect()
}

/// The same of what belongs to no instrument.
fn of_account<T>(own: Vec<Column<T>>) -> Vec<Column<T>> {
    Column::of_step().into_iter().chain(own).collect()
}

pub(super) fn ticks() -> Vec<Column<Tick>> {
    of_instrument(vec![
        Column::new("source_time", Time(|row| row.it.source_time), "the tick's own time; may go back"),
        Column::new(
            "source_sequence",
            Unsigned(|row| row.it.source_sequence),
            "its place in its feed, from 1",
        ),
        Column::new(
            "feed",
            Unsigned(|row| u64::from(row.it.feed.0)),
            "the feed's place among the run's feeds",
        ),
        Column::new("bid", MaybePrice(|row| row.it.bid), "best bid; null: the feed gave none"),
        Column::new("ask", MaybePrice(|row| row.it.ask), "best ask; null: the feed gave none"),
        Column::new("last", MaybePrice(|row| row.it.last), "price of the last trade; null: none"),
        Column::new("volume", MaybeVolume(|row| row.it.volume), "volume of the last trade; null: none"),
        Column::new("flags", Word(|row| bars(row.it.flags.names())), "what changed, between bars: bid|ask"),
        Column::new(
            "marks",
            Word(|row| bars(row.it.marks.names())),
            "what is wrong with it, between bars; empty: nothing",
        ),
    ])
}

pub(super) fn bar_rows() -> Vec<Column<BarClosed>> {
    of_instrument(vec![
        Column::new("number", Unsigned(|row| row.it.number), "number of the bar in its instrument, from 1"),
        Column::new(
            "open_time",
            Time(|row| row.it.open_time),
            "start of its interval; of tick bars, of its first tick",
        ),
        Column::new(
            "close_time",
            Time(|row| row.it.close_time),
            "end of its interval, exclusive; of tick bars, of its last tick",
        ),
        Column::new("open", Price(|row| row.it.open), "first bid"),
        Column::new("high", Price(|row| row.it.high), "highest bid"),
        Column::new("low", Price(|row| row.it.low), "lowest bid"),
        Column::new("close", Price(|row| row.it.close), "last bid"),
        Column::new(
            "volume",
            Unsigned(|row| row.it.volume),
            "volume traded in it; of feeds of quotes, its ticks",
        ),
        Column::new("ticks", Unsigned(|row| u64::from(row.it.ticks)), "ticks in it"),
    ])
}

/// `names` are the columns of the feature vector.
pub(super) fn features(names: &[String]) -> Vec<Column<Features>> {
    of_instrument(vec![
        Column::new(
            "ready",
            Bool(|row| row.it.ready == 1),
            "whether every feature has had the input it needs",
        ),
        Column::new(
            "features",
            Reals(names.to_vec()),
            "a feature, under its configured name; `pawl run --list-columns` says what it is",
        ),
    ])
}

pub(super) fn predictions() -> Vec<Column<Prediction>> {
    of_instrument(vec![
        Column::new("agent", Word(|row| row.agent.map_or("", |it| &it.name).into()), "who says it"),
        Column::new(
            "model",
            Word(|row| format!("{:016x}", row.it.model_hash).into()),
            "the model: the first 16 digits of the SHA-256 of its file; of a rule, a hash of its text",
        ),
        Column::in_unit(
            "age_ns",
            "ns",
            Signed(|row| row.it.age_ns),
            "how much older the vector is that it was scored on",
        ),
        Column::new(
            "probability_down",
            MaybeSingle(|row| class(row, 0)),
            "that the mid falls; null: the agent tells none",
        ),
        Column::new(
            "probability_flat",
            MaybeSingle(|row| class(row, 1)),
            "that it stays; null: the agent tells none",
        ),
        Column::new(
            "probability_up",
            MaybeSingle(|row| class(row, 2)),
            "that it rises; null: the agent tells none",
        ),
        Column::new("score", Single(|row| row.it.score), "from -1, surely down, to +1, surely up"),
        Column::new(
            "vote",
            Word(|row| word!(row.it.vote)),
            "the agent's answer after its thresholds: up, flat, down",
        ),
    ])
}

pub(super) fn orders() -> Vec<Column<Life>> {
    let step = |name, of, about| Column::new(name, Unsigned(of), about);
    vec![
        step(
            "sequence",
            |row: &Row<'_, Life>| row.sequence.0,
            "the step that decided; joins ticks, features, predictions",
        ),
        Column::new(
            "time",
            MaybeTime(|row| row.it.decided.map(|it| it.time)),
            "its time; null: before what was exported",
        ),
        Column::symbol(),
        Column::new(
            "client_order_id",
            Unsigned(|row| row.it.change.client_order_id.0),
            "the order; one row each; joins fills",
        ),
        Column::new("side", Word(|row| word!(row.it.change.side)), "buy or sell"),
        Column::new(
            "order_type",
            MaybeWord(|row| Some(word!(row.it.decided?.request.order_type))),
            "market or limit",
        ),
        Column::new(
            "time_in_force",
            MaybeWord(|row| Some(word!(row.it.decided?.request.time_in_force))),
            "ioc, fok or gtc",
        ),
        Column::new(
            "source",
            MaybeWord(|row| Some(word!(row.it.decided?.source))),
            "who wanted it: signal, command or limit",
        ),
        Column::new("requested_lots", MaybeVolume(|row| row.it.requested().lots), "its volume as requested"),
        Column::new(
            "requested_price",
            MaybePrice(|row| row.it.requested().price),
            "its limit; of a market order the worst price it takes; null: any",
        ),
        Column::new(
            "reference",
            MaybePrice(|row| row.it.reference()),
            "the quote it was decided on: ask of a buy, bid of a sell",
        ),
        Column::in_unit(
            "quote_age_ns",
            "ns",
            Signed(|row| row.it.requested().quote_age_ns),
            "age of that quote",
        ),
        Column::new(
            "valid_until",
            MaybeTime(|row| row.it.valid_until()),
            "when the venue is to drop it; null: never",
        ),
        Column::new(
            "state",
            Word(|row| word!(row.it.change.to)),
            "where it is in its life, at the end of what was exported",
        ),
        Column::new("lots", Volume(|row| row.it.change.lots), "its volume at last: another after a replace"),
        Column::new(
            "price",
            MaybePrice(|row| row.it.change.price),
            "its working price at last; null for a market order",
        ),
        Column::new("filled_lots", Volume(|row| row.it.change.filled_lots), "what was filled of it"),
        Column::in_unit("average_price", "price", MaybeDouble(Life::average), "of its fills; null: none"),
        Column::in_unit(
            "filled_cost",
            "points x volume steps",
            Signed(|row| row.it.change.filled_cost),
            "sum of price times volume over its fills, exact",
        ),
        Column::new("fills", Unsigned(|row| row.it.fills), "rows that it has in fills"),
        Column::new("commission", Money(|row| row.it.commission), "of these fills; positive is a cost"),
        Column::new(
            "changes",
            Unsigned(|row| row.it.changes),
            "times that it went from one state to another",
        ),
        Column::new(
            "answered_sequence",
            Unsigned(|row| row.it.answered.map_or(0, |it| it.0.0)),
            "the first report about it; 0: none",
        ),
        Column::new("answered_time", MaybeTime(|row| row.it.answered.map(|it| it.1)), "its time; null: none"),
        Column::new(
            "ended_sequence",
            Unsigned(|row| row.it.ended.map_or(0, |it| it.0.0)),
            "the step that made it final; 0: it still works",
        ),
        Column::new(
            "ended_time",
            MaybeTime(|row| row.it.ended.map(|it| it.1)),
            "its time; null: it still works",
        ),
        Column::new(
            "reject_reason",
            MaybeWord(|row| row.it.rejected.map(|it| word!(it))),
            "why the venue refused it; null: it did not",
        ),
    ]
}

pub(super) fn fills() -> Vec<Column<Fill>> {
    of_instrument(vec![
        Column::new("source_time", Time(|row| row.it.report.source_time), "the venue's time"),
        Column::new(
            "client_order_id",
            Unsigned(|row| row.it.report.client_order_id.0),
            "the order; joins orders; 0: not ours",
        ),
        Column::new(
            "venue_order_id",
            Unsigned(|row| row.it.report.venue_order_id),
            "the order, in the venue's words",
        ),
        Column::new(
            "execution_sequence",
            Unsigned(|row| row.it.report.execution_sequence),
            "the venue's number for it, from 1",
        ),
        Column::new("execution", Word(|row| word!(row.it.report.kind)), "partially_filled or filled"),
        Column::new("side", Word(|row| word!(row.it.report.side)), "buy or sell"),
        Column::new(
            "signed_lots",
            Volume(|row| row.it.signed_lots()),
            "volume: positive was bought, negative sold",
        ),
        Column::new("price", Price(|row| row.it.report.price), "price"),
        Column::new("leaves_lots", Volume(|row| row.it.report.leaves_lots), "what still works of the order"),
        Column::new("commission", Money(|row| row.it.report.commission), "positive is a cost"),
        Column::new(
            "net_lots",
            Volume(|row| row.it.position.net_lots),
            "the position after it: positive long, negative short",
        ),
        Column::new(
            "realised",
            Money(|row| row.it.position.realised),
            "of this instrument since the journal began, without commission",
        ),
    ])
}

pub(super) fn equity() -> Vec<Column<EquityChanged>> {
    of_account(vec![
        Column::new(
            "balance",
            Money(|row| row.it.balance),
            "opening balance plus what was realised, less commission",
        ),
        Column::new("equity", Money(|row| row.it.equity), "balance plus unrealised profit"),
        Column::new(
            "peak",
            Money(|row| row.it.peak),
            "highest equity so far, or since a drawdown halt was resumed",
        ),
        Column::in_unit(
            "drawdown",
            "parts of the peak",
            Millionths(|row| row.it.drawdown_ppm),
            "peak less equity",
        ),
        Column::in_unit(
            "drawdown_max",
            "parts of the peak of its time",
            Millionths(|row| row.it.drawdown_ppm_max),
            "deepest drawdown so far",
        ),
        Column::new(
            "daily",
            Money(|row| row.it.daily),
            "equity less that at the start of the day (UTC), or since a daily-loss halt was resumed",
        ),
    ])
}

fn bars<'a>(names: impl Iterator<Item = &'static str>) -> Cow<'a, str> {
    let names: Vec<_> = names.collect();
    match names[..] {
        [] => Cow::Borrowed(""),
        [name] => Cow::Borrowed(name),
        _ => Cow::Owned(names.join("|")),
    }
}

/// Probability of a class, if the agent has it.
fn class(row: &Row<'_, Prediction>, class: usize) -> Option<f32> {
    let place = row.agent?.classes[class].filter(|place| *place < usize::from(row.it.classes))?;
    row.it.probabilities.get(place).copied()
}
