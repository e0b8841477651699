//! Comparing the records of two steps that belong together, field by field, with ids of orders mapped.
//!
//! Invariants: stamps and checkpoints are not compared, nor what only numbers things: the venue's and
//! the feed's own numbers, and the hashes of models and schemas, which the settings tell better.

use pawl_engine::settings::Settings;
use pawl_journal::record::{
    Alert, BarClosed, ExecutionReport, Features, Field, Kind, OrderAction, OrderChanged, OrderRequest,
    PositionChanged, Prediction, Record, Signal, StepRef, Value, Verdict,
};

use super::finding::Source;
use super::orders::Orders;

/// Fields that name something of one side.
const UNCOMPARED: [&str; 7] = [
    "model_hash",
    "schema_hash",
    "venue_order_id",
    "execution_sequence",
    "source_sequence",
    "request",
    "agent",
];

/// One difference between the records of two steps, by the places of the records.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Differs<'n> {
    /// Both have the record, and these fields differ.
    Changed { places: [usize; 2], fields: Vec<&'n str> },
    /// Only this side has it.
    Only { source: Source, place: usize },
}

/// What makes two records of two steps the same thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    kind: u16,
    instrument: u16,
    /// Agent, action or code.
    detail: u16,
    order: Option<(Source, u64)>,
}

/// Compares the records of steps.
pub(super) struct Comparer<'n> {
    columns: [&'n [String]; 2],
    /// For each agent of B the one of A with its name.
    agents: Vec<u16>,
    /// Whether agents and columns have the same places on both sides.
    same_places: bool,
}

/// Marks an agent that the other side does not have.
const NO_AGENT: u16 = u16::MAX;

impl<'n> Comparer<'n> {
    pub(super) fn new(settings: [&'n Settings; 2]) -> Self {
        let [a, b] = settings;
        let place = |name: &String| a.agents.iter().position(|it| it.name == *name);
        let agents: Vec<u16> =
            b.agents.iter().map(|it| place(&it.name).map_or(NO_AGENT, |place| place as u16)).collect();
        let columns = [&a.features.columns[..], &b.features.columns[..]];
        let in_place = agents.iter().enumerate().all(|(place, agent)| usize::from(*agent) == place);
        Self { same_places: in_place && columns[0] == columns[1], columns, agents }
    }

    /// Every difference between two steps, in the order of their records. Their orders are paired already.
    pub(super) fn compare(&self, a: StepRef<'_>, b: StepRef<'_>, orders: &Orders) -> Vec<Differs<'n>> {
        if a.time() == b.time() && self.is_same(a, b) { Vec::new() } else { self.search(a, b, orders) }
    }

    /// Whether the records are the same bytes and name no orders: the usual case, and a quick one.
    fn is_same(&self, a: StepRef<'_>, b: StepRef<'_>) -> bool {
        let (mut left, mut right) = (a.records().filter(is_compared), b.records().filter(is_compared));
        loop {
            match (left.next(), right.next()) {
                (None, None) => return true,
                (Some(x), Some(y)) => {
                    let plain = self.same_places || x.kind().is_some_and(Kind::is_input);
                    if !plain || names_orders(&x) || x.header() != y.header() || x.bytes() != y.bytes() {
                        return false;
                    }
                }
                _ => return false,
            }
        }
    }

    fn search(&self, a: StepRef<'_>, b: StepRef<'_>, orders: &Orders) -> Vec<Differs<'n>> {
        let entries = |source: Source, step: StepRef<'_>| -> Vec<_> {
            let records = step.records().enumerate().filter(|(_, record)| is_compared(record));
            records.map(|(place, record)| (place, self.identity(source, &record, orders))).collect()
        };
        let left = entries(Source::A, a);
        let mut right = entries(Source::B, b);
        let mut found = Vec::new();
        for (place, identity) in left {
            let Some(partner) = right.iter().position(|(_, other)| *other == identity) else {
                found.push((place, Differs::Only { source: Source::A, place }));
                continue;
            };
            let places = [place, right.remove(partner).0];
            let records = (a.records().nth(places[0]), b.records().nth(places[1]));
            let mut fields = Vec::new();
            if place == 0 && a.time() != b.time() {
                fields.push("time");
            }
            if let (Some(x), Some(y)) = records {
                self.fields(&x, &y, orders, &mut fields);
            }
            if !fields.is_empty() {
                found.push((place, Differs::Changed { places, fields }));
            }
        }
        found.extend(right.into_iter().map(|(place, _)| (place, Differs::Only { source: Source::B, place })));
        found.sort_by_key(|(place, _)| *place);
        found.into_iter().map(|(_, it)| it).collect()
    }

    /// The names of the fields in which two records differ.
    fn fields(&self, a: &Record<'_>, b: &Record<'_>, orders: &Orders, fields: &mut Vec<&'n str>) {
        let is_vector = a.kind() == Some(Kind::Features);
        if !is_vector && !names_orders(a) && a.bytes() == b.bytes() {
            return;
        }
        let before = fields.len();
        let (left, right) = (visit(a), visit(b));
        for (x, y) in left.iter().zip(&right) {
            let is_other_time = x.name == "source_time" && fields.first() == Some(&"time");
            if UNCOMPARED.contains(&x.name) || is_other_time || is_vector && x.name == "columns" {
                continue;
            }
            match (&x.value, &y.value) {
                (Value::Reals(x), Value::Reals(y)) if is_vector => self.columns(x, y, fields),
                (Value::Unsigned(x_id), Value::Unsigned(y_id)) if is_order_id(x.name) => {
                    let is_one = orders.name(Source::A, *x_id) == orders.name(Source::B, *y_id);
                    // 0 is no order, and is that on both sides.
                    if (*x_id == 0) != (*y_id == 0) || (*x_id != 0 && !is_one) {
                        fields.push(x.name);
                    }
                }
                (x_value, y_value) if !is_equal(x_value, y_value) => fields.push(x.name),
                _ => {}
            }
        }
        let is_known = !left.is_empty() && left.len() == right.len();
        if !is_known && fields.len() == before && a.bytes() != b.bytes() {
            fields.push("layout");
        }
    }

    /// The columns that both vectors have and in which they differ.
    fn columns(&self, a: &[f32], b: &[f32], fields: &mut Vec<&'n str>) {
        let [left, right] = self.columns;
        if left == right {
            let pairs = left.iter().zip(a.iter().zip(b));
            fields.extend(pairs.filter(|(_, (x, y))| x.to_bits() != y.to_bits()).map(|(name, _)| &name[..]));
            return;
        }
        for (name, x) in left.iter().zip(a) {
            let place = right.iter().position(|other| other == name);
            let y = place.and_then(|place| b.get(place));
            if y.is_some_and(|y| x.to_bits() != y.to_bits()) {
                fields.push(name);
            }
        }
    }

    fn identity(&self, source: Source, record: &Record<'_>, orders: &Orders) -> Identity {
        let named = |id: u64| Some(orders.name(source, id));
        let kind = record.header().kind;
        let mut it = Identity { kind, instrument: 0, detail: 0, order: None };
        match record.kind() {
            Some(Kind::BarClosed) => {
                it.instrument = record.get::<BarClosed>().map_or(0, |bar| bar.instrument.0);
            }
            Some(Kind::Features) => {
                it.instrument = record.get::<Features>().map_or(0, |vector| vector.instrument.0);
            }
            Some(Kind::Prediction) => {
                let Some(prediction) = record.get::<Prediction>() else { return it };
                (it.instrument, it.detail) = (prediction.instrument.0, prediction.agent.0);
                if source == Source::B {
                    it.detail = self.agent_of_a(prediction.agent.0);
                }
            }
            Some(Kind::Signal) => {
                it.instrument = record.get::<Signal>().map_or(0, |signal| signal.instrument.0);
            }
            Some(Kind::Verdict) => {
                let Some(verdict) = record.get::<Verdict>() else { return it };
                (it.instrument, it.detail) = (verdict.instrument.0, verdict.action.0);
                if verdict.action != OrderAction::NEW {
                    it.order = named(verdict.target.0);
                }
            }
            Some(Kind::OrderRequest) => {
                let Some(request) = record.get::<OrderRequest>() else { return it };
                (it.detail, it.order) = (request.action.0, named(request.client_order_id.0));
            }
            Some(Kind::OrderChanged) => {
                it.order = record.get::<OrderChanged>().and_then(|change| named(change.client_order_id.0));
            }
            Some(Kind::ExecutionReport) => {
                it.order = record.get::<ExecutionReport>().and_then(|it| named(it.client_order_id.0));
            }
            Some(Kind::PositionChanged) => {
                it.instrument = record.get::<PositionChanged>().map_or(0, |position| position.instrument.0);
            }
            Some(Kind::Alert) => {
                let Some(alert) = record.get::<Alert>() else { return it };
                (it.instrument, it.detail) = (alert.instrument.0, alert.code.0);
            }
            _ => {}
        }
        it
    }

    fn agent_of_a(&self, agent_of_b: u16) -> u16 {
        match self.agents.get(usize::from(agent_of_b)) {
            // An agent that A does not have keeps apart from all of A's.
            None | Some(&NO_AGENT) => NO_AGENT - agent_of_b,
            Some(agent) => *agent,
        }
    }
}

pub(super) fn is_compared(record: &Record<'_>) -> bool {
    !matches!(record.kind(), Some(Kind::Stamps | Kind::Checkpoint))
}

fn names_orders(record: &Record<'_>) -> bool {
    match record.kind() {
        Some(Kind::OrderRequest | Kind::OrderChanged | Kind::ExecutionReport) => true,
        Some(Kind::Verdict) => record.get::<Verdict>().is_some_and(|it| it.target.0 != 0),
        Some(Kind::Alert) => record.get::<Alert>().is_some_and(|it| it.client_order_id.0 != 0),
        _ => false,
    }
}

fn is_order_id(field: &str) -> bool {
    matches!(field, "client_order_id" | "target")
}

fn visit<'a>(record: &Record<'a>) -> Vec<Field<'a>> {
    let mut fields = Vec::new();
    record.visit(&mut |field| fields.push(field));
    fields
}

/// Equal to the bit: a number that is none is equal to itself.
fn is_equal(a: &Value<'_>, b: &Value<'_>) -> bool {
    match (a, b) {
        (Value::Real(x), Value::Real(y)) => x.to_bits() == y.to_bits(),
        (Value::Reals(x), Value::Reals(y)) => {
            x.len() == y.len() && x.iter().zip(*y).all(|(x, y)| x.to_bits() == y.to_bits())
        }
        _ => a == b,
    }
}
