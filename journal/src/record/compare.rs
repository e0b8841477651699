//! Comparing two steps: the first record and field in which what was recorded and what was computed differ.

use super::codec::Record;
use super::field::{Field, Value};
use super::kind::Kind;
use super::step::StepRef;

/// The first place in which two steps differ. Stamps are measurements and are not compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Which record of the step, from 0 for the input, stamps not counted.
    pub record: usize,
    /// The kind of that record, in the step that has one there.
    pub kind: &'static str,
    /// The field, or what else is different about the record.
    pub field: String,
    /// What the first step has there.
    pub left: String,
    /// What the second step has there.
    pub right: String,
}

/// The first difference between two steps, if there is one.
#[must_use]
pub fn first_difference(left: StepRef<'_>, right: StepRef<'_>) -> Option<Difference> {
    if left.sequence() != right.sequence() || left.time() != right.time() {
        let text = |step: StepRef<'_>| format!("{} at {}", step.sequence(), step.time());
        return Some(Difference {
            record: 0,
            kind: "step",
            field: "sequence".into(),
            left: text(left),
            right: text(right),
        });
    }
    let compared = |record: &Record<'_>| record.header().kind != Kind::Stamps.code();
    let mut lefts = left.records().filter(compared);
    let mut rights = right.records().filter(compared);
    for index in 0.. {
        match (lefts.next(), rights.next()) {
            (None, None) => break,
            (Some(a), Some(b)) if a.header() == b.header() && a.bytes() == b.bytes() => {}
            (a, b) => return Some(describe(index, a, b)),
        }
    }
    if left.has_orders() != right.has_orders() {
        let text = |step: StepRef<'_>| if step.has_orders() { "set" } else { "not set" }.to_owned();
        return Some(Difference {
            record: usize::from(left.record_count()),
            kind: "order_request",
            field: "orders flag".into(),
            left: text(left),
            right: text(right),
        });
    }
    None
}

fn describe(record: usize, left: Option<Record<'_>>, right: Option<Record<'_>>) -> Difference {
    let name = |it: &Option<Record<'_>>| it.map_or("nothing", |it| it.kind().map_or("unknown", Kind::name));
    let kind = if left.is_some() { name(&left) } else { name(&right) };
    let whole = || Difference {
        record,
        kind,
        field: "record".into(),
        left: name(&left).into(),
        right: name(&right).into(),
    };
    let (Some(a), Some(b)) = (left, right) else { return whole() };
    if a.header().kind != b.header().kind {
        return whole();
    }
    let fields = |it: Record<'_>| {
        let mut fields = Vec::new();
        it.visit(&mut |field: Field<'_>| fields.push((field.name, text(&field.value))));
        fields
    };
    let (a, b) = (fields(a), fields(b));
    for ((name, left), (_, right)) in a.iter().zip(&b) {
        if left != right {
            return Difference {
                record,
                kind,
                field: (*name).into(),
                left: left.clone(),
                right: right.clone(),
            };
        }
    }
    Difference { record, kind, field: "layout".into(), left: a.len().to_string(), right: b.len().to_string() }
}

fn text(value: &Value<'_>) -> String {
    match value {
        Value::Reals(values) => format!("{values:?}"),
        Value::Text(text) => (*text).to_owned(),
        Value::Flags(names) => names.join("|"),
        Value::Code(name, number) => name.map_or_else(|| number.to_string(), str::to_owned),
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Real(number) => format!("{number:?}"),
        Value::Time(it) => it.to_string(),
        Value::Points(it) => it.to_string(),
        Value::Lots(it) => it.to_string(),
        Value::Micros(it) => it.to_string(),
        Value::Instrument(it) => it.to_string(),
        Value::Agent(it) => it.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Points, Sequence, Stamps, Step, Tick, Time};

    fn step(bid: i64, stamp: u32) -> Step {
        let mut step = Step::new();
        step.begin(Sequence(5), Time(10));
        step.push(&Tick { bid: Points(bid), ..Tick::default() });
        step.push(&Stamps { published_ns: stamp, ..Stamps::default() });
        step
    }

    #[test]
    fn the_first_differing_field_is_named_with_both_values() {
        let difference = first_difference(step(1, 0).view(), step(2, 0).view()).expect("bids differ");
        assert_eq!((difference.kind, difference.field.as_str(), difference.record), ("tick", "bid", 0));
        assert_eq!((difference.left.as_str(), difference.right.as_str()), ("1", "2"));
    }

    #[test]
    fn stamps_make_no_difference_and_a_missing_record_does() {
        assert_eq!(first_difference(step(1, 7).view(), step(1, 9).view()), None);
        let mut longer = step(1, 0);
        longer.push(&Tick::default());
        let difference = first_difference(step(1, 0).view(), longer.view()).expect("one more record");
        assert_eq!(
            (difference.record, difference.left.as_str(), difference.right.as_str()),
            (1, "nothing", "tick")
        );
    }
}
