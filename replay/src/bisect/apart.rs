//! What differs at one step: the first record and field of two decisions, the first field of two states.

use std::collections::{BTreeMap, BTreeSet};

use pawl_engine::pipeline::Passed;
use pawl_engine::state::ListedField;
use pawl_journal::record::{Kind, Sequence};
use serde::Serialize;
use serde_json::{Map, Value};

use super::Build;
use super::error::BisectError;
use super::pass::build;
use super::protocol::Line;

/// What is said of values that are shown the same and are not the same.
const SAME_SHOWN: &str = "the same values, in other bytes";

/// The first field in which the states of a stage differ.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateApart {
    /// The step behind which they do.
    pub sequence: u64,
    /// Its time, ns since the UNIX epoch; 0 before the first step.
    pub time: i64,
    /// The stage.
    pub stage: &'static str,
    /// Where the field is, such as `feature.books[0].bars.closed`.
    pub path: String,
    /// What the old build holds there; nothing if it has no such field.
    pub old: Option<String>,
    /// What the new build holds there; nothing if it has no such field.
    pub new: Option<String>,
    /// Fields of the stage that differ.
    pub fields: usize,
}

/// The first field in which what was decided differs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionApart {
    /// The step.
    pub sequence: u64,
    /// Its time, ns since the UNIX epoch.
    pub time: i64,
    /// The stage that wrote the record.
    pub stage: &'static str,
    /// The record's place in the step, from 0 for the input.
    pub record: usize,
    /// Its kind, in the build that has a record there.
    pub kind: String,
    /// The field; `record` if only one of the builds has one there, or each one of another kind.
    pub field: String,
    /// What the old build decided.
    pub old: Value,
    /// What the new build decided.
    pub new: Value,
    /// The other fields of the record that differ.
    pub also: Vec<String>,
}

/// What a build decides and holds at one step.
#[derive(Debug, Default)]
pub(super) struct Whole {
    sequence: u64,
    time: i64,
    /// The records, checkpoints and stamps left out.
    records: Vec<Value>,
    fields: Vec<ListedField>,
}

impl Whole {
    /// Asks a build about step `of`, and takes what it tells with the fingerprint `at`: that step, or the one before.
    pub(super) fn of(asked: &dyn Build, of: Sequence, at: u64) -> Result<Self, BisectError> {
        let mut answer = asked.ask(of, of, 1, true)?;
        build(&mut *answer)?;
        let (mut whole, mut is_wanted) = (Self::default(), false);
        loop {
            match answer.next()? {
                Line::Fingerprint(it) => {
                    is_wanted = it.sequence == at;
                    if is_wanted {
                        (whole.sequence, whole.time) = (it.sequence, it.time);
                    }
                }
                Line::Step { step } if is_wanted => whole.records = records_of(&step),
                Line::Field(field) if is_wanted => whole.fields.push(field),
                Line::Step { .. } | Line::Field(_) => {}
                Line::End { .. } => return Ok(whole),
                line @ Line::Build { .. } => return Err(answer.garbled(&line)),
            }
        }
    }

    fn fields_of(&self, stage: &str) -> Vec<&ListedField> {
        let is_of = |field: &&ListedField| field.path.split('.').next() == Some(stage);
        self.fields.iter().filter(is_of).collect()
    }

    /// What came in.
    pub(super) fn input(&self) -> Value {
        self.records.first().cloned().unwrap_or(Value::Null)
    }
}

/// The records of a step that are compared: how a build holds its state, and how long it took, are not.
fn records_of(step: &Value) -> Vec<Value> {
    let uncompared = [Kind::Checkpoint.name(), Kind::Stamps.name()];
    let records = step["records"].as_array().cloned().unwrap_or_default();
    records.into_iter().filter(|it| !uncompared.contains(&kind_of(it))).collect()
}

fn kind_of(record: &Value) -> &str {
    record["kind"].as_str().unwrap_or("unknown")
}

impl StateApart {
    /// The first field of `stage` that differs, in the order in which they are visited.
    pub(super) fn of(stage: &'static str, old: &Whole, new: &Whole) -> Self {
        let [lefts, rights] = [old.fields_of(stage), new.fields_of(stage)];
        let map = |fields: &[&ListedField]| -> BTreeMap<String, String> {
            fields.iter().map(|it| (it.path.clone(), it.value.clone())).collect()
        };
        let [olds, news] = [map(&lefts), map(&rights)];
        let paths: BTreeSet<&String> = olds.keys().chain(news.keys()).collect();
        let place = (0..lefts.len().max(rights.len())).find(|place| lefts.get(*place) != rights.get(*place));
        let path = place.and_then(|place| match (lefts.get(place), rights.get(place)) {
            // A field that only the new build has stands in front of one that both have.
            (Some(left), Some(right)) if left.path != right.path && !olds.contains_key(&right.path) => {
                Some(&right.path)
            }
            (left, right) => left.or(right).map(|it| &it.path),
        });
        let value = |of: &BTreeMap<String, String>| match path {
            Some(path) => of.get(path).cloned(),
            None => Some(SAME_SHOWN.to_owned()),
        };
        Self {
            sequence: old.sequence,
            time: old.time,
            stage,
            path: path.map_or_else(|| stage.to_owned(), Clone::clone),
            old: value(&olds),
            new: value(&news),
            fields: paths.into_iter().filter(|path| olds.get(*path) != news.get(*path)).count(),
        }
    }
}

impl DecisionApart {
    /// The first field of the first record that differs.
    pub(super) fn of(old: &Whole, new: &Whole) -> Self {
        let apart = |record: usize, kind: &str, field: &str, values: [Value; 2]| {
            let [left, right] = values;
            Self {
                sequence: old.sequence,
                time: old.time,
                stage: Passed::stage_of(kind),
                record,
                kind: kind.to_owned(),
                field: field.to_owned(),
                old: left,
                new: right,
                also: Vec::new(),
            }
        };
        for record in 0..old.records.len().max(new.records.len()) {
            let pair = [old.records.get(record), new.records.get(record)];
            let [Some(left), Some(right)] = pair else {
                let kinds = pair.map(|it| it.map_or("nothing", kind_of));
                let kind = if pair[0].is_some() { kinds[0] } else { kinds[1] };
                return apart(record, kind, "record", kinds.map(Value::from));
            };
            if kind_of(left) != kind_of(right) {
                return apart(record, kind_of(left), "record", [left, right].map(|it| kind_of(it).into()));
            }
            let empty = Map::new();
            let fields = |it: &Value| flat(it.as_object().unwrap_or(&empty));
            let (lefts, rights) = (fields(left), fields(right));
            let names = lefts.keys().chain(rights.keys().filter(|name| !lefts.contains_key(*name)));
            let mut apart_in = names.filter(|name| lefts.get(*name) != rights.get(*name));
            if let Some(name) = apart_in.next() {
                let values = [&lefts, &rights].map(|it| it.get(name).cloned().unwrap_or(Value::Null));
                let also = apart_in.cloned().collect();
                return Self { also, ..apart(record, kind_of(left), name, values) };
            }
        }
        let record = 0;
        let kind = old.records.first().map_or("unknown", kind_of);
        apart(record, kind, "bytes", [SAME_SHOWN.into(), SAME_SHOWN.into()])
    }
}

/// The fields of a record; the columns of a feature vector are fields of their own.
fn flat(record: &Map<String, Value>) -> Map<String, Value> {
    let mut fields = Map::new();
    for (name, value) in record {
        match value {
            Value::Object(columns) if name == "values" => fields.extend(columns.clone()),
            other => {
                fields.insert(name.clone(), other.clone());
            }
        }
    }
    fields
}
