//! Records as text, JSON and CSV: points become prices, lots become volumes, micros become money.
//!
//! Invariants: a number whose scale is not known is never shown under the name of one that is scaled: `bid` is a price,
//! `bid_points` counts points; `lots` is a volume, `lots_steps` counts the instrument's volume step.

use std::path::Path;

use jiff::Timestamp;
use pawl_engine::instrument::Instrument;
use pawl_engine::quantity::Decimal;
use pawl_engine::settings::Settings;
use pawl_journal::record::{Field, InstrumentId, Kind, Lots, Points, Record, StepRef, Time, Value};
use pawl_replay::{ReplayError, settings_of};
use serde_json::{Map, Value as Json};

/// What the name of a number ends in that counts points, or the instrument's volume step.
const POINTS: &str = "_points";
const STEPS: &str = "_steps";

/// The names and scales that a journal's settings give to the numbers in its records.
#[derive(Debug, Clone, Default)]
pub struct Names {
    instruments: Vec<Instrument>,
    agents: Vec<String>,
    /// Columns of the feature vector, in order.
    pub columns: Vec<String>,
}

impl Names {
    /// The names in these settings.
    pub fn new(settings: &Settings) -> Self {
        Self {
            instruments: settings.instruments.clone(),
            agents: settings.agents.iter().map(|agent| agent.name.clone()).collect(),
            columns: settings.features.columns.clone(),
        }
    }

    /// The names in a journal's settings. Where there are none, says so on stderr, and numbers are shown under the names
    /// of their own units; a journal without a step may still come to have some.
    pub fn of_journal(journal: &Path) -> Self {
        match settings_of(journal) {
            Ok((recorded, _)) => Self::new(&recorded.engine),
            Err(ReplayError::Empty) => Self::default(),
            Err(error) => {
                eprintln!(
                    "pawl: prices are in points (`bid_points`), volumes in volume steps (`lots_steps`), instruments, agents \
                     and columns have numbers: {error}"
                );
                Self::default()
            }
        }
    }

    /// Whether there are any.
    pub fn are_known(&self) -> bool {
        !self.instruments.is_empty()
    }

    /// The instrument with this id.
    pub fn instrument(&self, id: InstrumentId) -> Option<&Instrument> {
        self.instruments.get(usize::from(id.0))
    }

    fn of(&self, record: &Record<'_>) -> Option<&Instrument> {
        let mut found = None;
        record.visit(&mut |field| {
            if let Value::Instrument(id) = field.value {
                found = self.instrument(id);
            }
        });
        found
    }
}

/// A time as RFC 3339 in UTC with nanoseconds.
pub fn time_text(time: Time) -> String {
    match Timestamp::from_nanosecond(i128::from(time.0)) {
        Ok(timestamp) => format!("{timestamp:.9}"),
        Err(_) => time.0.to_string(),
    }
}

/// A time to the millisecond, for people.
pub fn millisecond_text(time: Time) -> String {
    let text = time_text(time);
    text.get(..23).map_or_else(|| text.clone(), str::to_owned)
}

/// A whole step as one JSON object; only records of `kinds` if there are any named.
pub fn step_json(step: StepRef<'_>, kinds: &[Kind], names: &Names) -> Json {
    let mut object = Map::new();
    object.insert("sequence".into(), step.sequence().0.into());
    object.insert("time".into(), time_text(step.time()).into());
    let records =
        step.records().filter(|record| wanted(record, kinds)).map(|record| record_json(&record, names));
    object.insert("records".into(), records.collect());
    Json::Object(object)
}

/// One record as a JSON object.
pub fn record_json(record: &Record<'_>, names: &Names) -> Json {
    let mut object = Map::new();
    let kind = record
        .kind()
        .map_or_else(|| format!("unknown_{}", record.header().kind), |kind| kind.name().to_owned());
    object.insert("kind".into(), kind.into());
    let instrument = names.of(record);
    record.visit(&mut |field: Field<'_>| {
        if let (Some(Kind::Features), Value::Reals(values)) = (record.kind(), &field.value) {
            let columns = values.iter().enumerate().map(|(place, value)| {
                let name = names.columns.get(place).cloned();
                (name.unwrap_or_else(|| format!("column_{place}")), real(f64::from(*value)))
            });
            object.insert(field.name.into(), Json::Object(columns.collect()));
            return;
        }
        let is_scaled = if matches!(field.value, Value::Instrument(_)) {
            names.are_known()
        } else {
            instrument.is_some() || (names.are_known() && is_zero(&field.value))
        };
        object.insert(shown(&field, is_scaled), json_value(&field, instrument, names));
    });
    Json::Object(object)
}

/// Nothing needs no unit: a record that is about no instrument has no price and no volume.
const fn is_zero(value: &Value<'_>) -> bool {
    matches!(value, Value::Points(Points(0)) | Value::Lots(Lots(0)))
}

fn json_value(field: &Field<'_>, instrument: Option<&Instrument>, names: &Names) -> Json {
    match &field.value {
        Value::Unsigned(hash) if field.name.ends_with("_hash") => format!("{hash:016x}").into(),
        Value::Unsigned(number) => Json::from(*number),
        Value::Signed(number) => Json::from(*number),
        Value::Real(number) => real(*number),
        Value::Time(time) => time_text(*time).into(),
        Value::Points(points) => match instrument {
            Some(it) => decimal(&it.price_text(*points)),
            None => points.0.into(),
        },
        Value::Lots(lots) => match instrument {
            Some(it) => real(it.volume(*lots).to_f64()),
            None => lots.0.into(),
        },
        Value::Micros(micros) => decimal(&money_text(micros.0)),
        Value::Instrument(id) if !names.are_known() => id.0.into(),
        Value::Instrument(id) => names.instrument(*id).map_or(Json::Null, |it| it.symbol.clone().into()),
        Value::Agent(id) => {
            names.agents.get(usize::from(id.0)).map_or_else(|| id.0.into(), |name| name.clone().into())
        }
        Value::Code(name, number) => name.map_or_else(|| (*number).into(), Into::into),
        Value::Flags(names) => names.clone().into(),
        Value::Reals(values) => values.iter().map(|value| real(f64::from(*value))).collect(),
        Value::Text(text) => serde_json::from_str(text).unwrap_or_else(|_| (*text).into()),
    }
}

/// A field's name as it is shown: an instrument by its symbol, and nothing that hides the record's own kind.
pub fn shown_name(field: &str) -> &str {
    match field {
        "instrument" => "symbol",
        "kind" => "execution",
        other => other,
    }
}

/// The same of a field that may not be scaled: what cannot be has its unit in the name.
fn shown(field: &Field<'_>, is_known: bool) -> String {
    match (&field.value, field.name) {
        (Value::Points(_), name) if !is_known => format!("{name}{POINTS}"),
        (Value::Lots(_), name) if !is_known => format!("{name}{STEPS}"),
        (Value::Instrument(_), name) if !is_known => name.to_owned(),
        (_, name) => shown_name(name).to_owned(),
    }
}

/// A single-precision value keeps its own shortest digits; JSON has no infinities.
fn real(value: f64) -> Json {
    let single = value as f32;
    let shortest =
        if f64::from(single).to_bits() == value.to_bits() { single.to_string().parse() } else { Ok(value) };
    serde_json::Number::from_f64(shortest.unwrap_or(value)).map_or(Json::Null, Json::Number)
}

fn decimal(text: &str) -> Json {
    text.parse::<f64>().ok().and_then(serde_json::Number::from_f64).map_or(Json::Null, Json::Number)
}

/// Money in millionths as people write it.
fn money_text(micros: i64) -> String {
    Decimal(micros.saturating_mul(100)).to_string()
}

/// A whole step as lines of text; only records of `kinds` if there are any named.
pub fn step_text(step: StepRef<'_>, kinds: &[Kind], names: &Names) -> String {
    let mut text = String::new();
    for record in step.records().filter(|record| wanted(record, kinds)) {
        let Json::Object(object) = record_json(&record, names) else { continue };
        let head = if text.is_empty() {
            format!("{:>9}  {}", step.sequence().0, millisecond_text(step.time()))
        } else {
            " ".repeat(34)
        };
        let mut line = format!("{head}  {:<16}", object["kind"].as_str().unwrap_or("?"));
        let mut fields: Vec<_> = object.iter().skip(1).collect();
        fields.sort_by_key(|(name, value)| text_rank(name, value));
        for (name, value) in fields {
            append(&mut line, name, value, step.time());
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// Fields whose zero means that there is none; text leaves them out.
const UNTOLD_ZEROES: [&str; 10] = [
    "last",
    "volume",
    "price",
    "target",
    "age_ns",
    "client_order_id",
    "venue_order_id",
    "lots",
    "approved_lots",
    "side",
];

fn is_untold_zero(name: &str) -> bool {
    let scaled = name.strip_suffix(POINTS).or_else(|| name.strip_suffix(STEPS)).unwrap_or(name);
    UNTOLD_ZEROES.contains(&scaled)
}

/// In text, what it is about comes first, then words, then numbers, then times.
fn text_rank(name: &str, value: &Json) -> u8 {
    match value {
        _ if name == "symbol" || name == "instrument" => 0,
        _ if is_time(name) || name == "values" => 3,
        Json::String(_) | Json::Array(_) => 1,
        _ => 2,
    }
}

fn is_time(name: &str) -> bool {
    name.ends_with("time") || matches!(name, "valid_until" | "received" | "due")
}

fn append(line: &mut String, name: &str, value: &Json, now: Time) {
    let shown = match value {
        Json::Null => return,
        Json::Number(number) if is_untold_zero(name) && number.as_f64() == Some(0.0) => return,
        Json::String(text) if text.is_empty() || (name == "reason" && text == "none") => return,
        Json::String(_) if name.ends_with("_hash") => return,
        Json::String(text) if is_time(name) && *text == time_text(now) => return,
        Json::String(text) if is_time(name) => text.get(..23).unwrap_or(text).to_owned(),
        Json::Array(items) if items.is_empty() => return,
        Json::Object(columns) if name == "values" => {
            for (name, value) in columns {
                line.push_str(&format!(" {name}={value}"));
            }
            return;
        }
        Json::Object(_) => format!("{{{} bytes}}", value.to_string().len()),
        plain => plain_text(plain),
    };
    line.push_str(&format!(" {name}={shown}"));
}

/// A value without quotes; the items of a list between bars.
pub fn plain_text(value: &Json) -> String {
    match value {
        Json::String(text) => text.clone(),
        Json::Array(items) => items.iter().map(plain_text).collect::<Vec<_>>().join("|"),
        other => other.to_string(),
    }
}

/// The head of a CSV of one kind of record.
pub fn csv_header(kind: Kind, names: &Names) -> String {
    let mut heads = vec!["sequence".to_owned(), "time".to_owned()];
    if kind == Kind::Features {
        heads.extend(["symbol".to_owned(), "ready".to_owned()]);
        heads.extend(names.columns.iter().cloned());
    } else {
        let mut layout = Vec::new();
        kind.visit_layout(&mut |field| layout.push(shown(&field, names.are_known())));
        let tail = kind.field_names().into_iter().skip(layout.len()).map(str::to_owned);
        heads.extend(layout.iter().cloned().chain(tail));
    }
    heads.join(",")
}

/// One record as a row of the CSV of its kind.
pub fn csv_row(step: StepRef<'_>, record: &Record<'_>, names: &Names) -> String {
    let mut cells = vec![step.sequence().0.to_string(), time_text(step.time())];
    let Json::Object(object) = record_json(record, names) else { return cells.join(",") };
    if record.kind() == Some(Kind::Features) {
        cells.extend(["symbol", "ready"].map(|name| object.get(name).map_or_else(String::new, csv_cell)));
        if let Some(Json::Object(values)) = object.get("values") {
            cells.extend(values.values().map(csv_cell));
        }
    } else {
        cells.extend(object.iter().skip(1).map(|(_, value)| csv_cell(value)));
    }
    cells.join(",")
}

fn csv_cell(value: &Json) -> String {
    let text = if value.is_null() { String::new() } else { plain_text(value) };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

fn wanted(record: &Record<'_>, kinds: &[Kind]) -> bool {
    kinds.is_empty() || record.kind().is_some_and(|kind| kinds.contains(&kind))
}

#[cfg(test)]
mod tests {
    use pawl_journal::record::{Features, Points, Sequence, Step, Tick};

    use super::*;

    fn names() -> Names {
        Names {
            instruments: vec![Instrument::well_known("EURUSD").expect("known")],
            agents: vec!["fast".into()],
            columns: vec!["sma_10".into(), "spread".into()],
        }
    }

    fn step() -> Step {
        let mut step = Step::new();
        step.begin(Sequence(7), Time(1_549_238_400_994_000_000));
        step.push(&Tick { bid: Points(114_543), ask: Points(114_545), ..Tick::default() });
        step.push_with_reals(&Features { columns: 2, ready: 1, ..Features::default() }, 2)
            .copy_from_slice(&[1.1, f32::NAN]);
        step
    }

    #[test]
    fn a_step_in_json_has_prices_in_their_own_decimals() {
        let step = step();
        let json = step_json(step.view(), &[Kind::Tick], &names());
        assert_eq!(json["time"], "2019-02-04T00:00:00.994000000Z");
        assert_eq!(json["records"][0]["bid"].to_string(), "1.14543");
        assert_eq!(json["records"][0]["symbol"], "EURUSD");
        assert_eq!(json["records"].as_array().map(Vec::len), Some(1));
    }

    #[test]
    fn features_become_named_columns_and_what_json_cannot_say_is_null() {
        let step = step();
        let record = step.view().record(Kind::Features).expect("features");
        let json = record_json(&record, &names());
        assert_eq!(json["values"]["sma_10"].to_string(), "1.1");
        assert!(json["values"]["spread"].is_null());
        assert_eq!(csv_header(Kind::Features, &names()), "sequence,time,symbol,ready,sma_10,spread");
        assert_eq!(csv_row(step.view(), &record, &names()), "7,2019-02-04T00:00:00.994000000Z,EURUSD,1,1.1,");
    }

    #[test]
    fn without_settings_every_number_says_that_it_is_not_scaled() {
        let (step, unknown) = (step(), Names::default());
        let json = step_json(step.view(), &[], &unknown);
        let (tick, features) = (&json["records"][0], &json["records"][1]);
        assert_eq!((&tick["bid_points"], &tick["volume_steps"]), (&114_543.into(), &0.into()));
        assert_eq!(
            (&tick["instrument"], &features["values"]["column_0"].to_string()),
            (&0.into(), &"1.1".to_owned())
        );
        assert!(
            ["bid", "ask", "last", "volume", "symbol"].iter().all(|name| tick.get(name).is_none()),
            "{tick}"
        );
        let text = step_text(step.view(), &[Kind::Tick], &unknown);
        assert!(text.contains(" bid_points=114543 ") && !text.contains("last"), "{text}");
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Features) {
            let (bare, scaled) = (csv_header(*kind, &unknown), csv_header(*kind, &names()));
            assert_eq!(bare.split(',').count(), scaled.split(',').count());
            let shared: Vec<_> =
                bare.split(',').filter(|name| scaled.split(',').any(|it| it == *name)).collect();
            assert!(!shared.iter().any(|name| ["price", "bid", "lots", "symbol"].contains(name)), "{bare}");
        }
    }

    #[test]
    fn the_head_of_a_csv_names_every_cell_of_its_rows() {
        for kind in Kind::ALL.iter().filter(|kind| **kind != Kind::Features) {
            let header = csv_header(*kind, &names());
            assert!(header.starts_with("sequence,time"), "{header}");
        }
        let step = step();
        let record = step.view().record(Kind::Tick).expect("tick");
        let row = csv_row(step.view(), &record, &names());
        assert_eq!(row.split(',').count(), csv_header(Kind::Tick, &names()).split(',').count());
    }
}
