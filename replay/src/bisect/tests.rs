//! Bisections of builds that are made up.

use std::cell::RefCell;
use std::collections::BTreeMap;

use pawl_engine::state::ListedField;
use pawl_journal::log::{Appender, JournalOptions, SealReason};
use pawl_journal::record::{Step, Tick, Time};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::fingerprint::Fingerprint;

const STEPS: u64 = 1_000;

/// A build that decides and holds 0 at every step, but for what it is told to.
#[derive(Default)]
struct Made {
    /// Decided from one step to another.
    decides: BTreeMap<u64, u64>,
    /// Held by risk behind a step.
    risk: BTreeMap<u64, u64>,
    /// Held by inference, and by its field, at all times.
    inference: u64,
    /// Another answer each time it is asked.
    wavers: bool,
    asked: RefCell<Vec<(u64, u64, u64)>>,
}

impl Build for Made {
    fn ask(
        &self,
        from: Sequence,
        until: Sequence,
        every: u64,
        whole: bool,
    ) -> Result<Box<dyn Answer>, BisectError> {
        let wavers = self.wavers && !self.asked.borrow().is_empty();
        if !whole {
            self.asked.borrow_mut().push((from.0, until.0, every));
        }
        let decides = |at: u64| if wavers { 0 } else { self.decides.get(&at).copied().unwrap_or(0) };
        let risk = |at: u64| self.risk.get(&at).copied().unwrap_or(0);
        let mut lines =
            vec![Line::Build { protocol: PROTOCOL, build: "made".to_owned(), build_hash: "0".to_owned() }];
        let mut since = from.0;
        for at in from.0 - 1..=until.0 {
            if at >= from.0 && !at.is_multiple_of(every) && at != until.0 {
                continue;
            }
            let decided =
                (since..=at).fold(0, |hash: u64, at| hash.wrapping_mul(31).wrapping_add(decides(at)));
            since = at + 1;
            lines.push(Line::Fingerprint(Fingerprint {
                sequence: at,
                time: 0,
                decided,
                feature: 0,
                inference: self.inference,
                risk: risk(at),
                order: 0,
            }));
            if whole {
                let verdict = json!({ "kind": "verdict", "symbol": "X", "lots": decides(at) });
                let records =
                    json!([{ "kind": "tick" }, verdict, { "kind": "checkpoint", "hash": self.inference }]);
                lines.push(Line::Step { step: json!({ "sequence": at, "records": records }) });
                let field = |path: &str, value: u64| {
                    Line::Field(ListedField { path: path.to_owned(), value: value.to_string() })
                };
                lines
                    .push(field(if self.inference == 0 { "inference.seats" } else { "inference.chairs" }, 4));
                lines.push(field("risk.rate", 7));
                lines.push(field("risk.desks[0].net", risk(at)));
            }
        }
        lines.push(Line::End { steps: until.0 + 1 - from.0, decisions: BTreeMap::new() });
        lines.reverse();
        Ok(Box::new(Lines(lines)))
    }
}

/// Lines, the next one last.
struct Lines(Vec<Line>);

impl Answer for Lines {
    fn next(&mut self) -> Result<Line, BisectError> {
        self.0.pop().ok_or_else(|| self.garbled(&Line::Step { step: Value::Null }))
    }

    fn garbled(&self, line: &Line) -> BisectError {
        BisectError::Garbled { program: "made".into(), line: format!("{line:?}") }
    }
}

fn journal() -> TempDir {
    let home = TempDir::new().unwrap();
    let options = JournalOptions { segment_bytes: JournalOptions::SEGMENT_BYTES_MIN, ..Default::default() };
    let mut appender = Appender::create_or_open(home.path(), &options).unwrap();
    let mut step = Step::new();
    for sequence in 1..=STEPS {
        step.begin(Sequence(sequence), Time(0));
        step.push(&Tick::default());
        appender.append(&step).unwrap();
    }
    appender.seal(SealReason::Ended).unwrap();
    home
}

fn bisected(new: &Made, scope: BisectScope) -> Result<Bisected, BisectError> {
    bisect(journal().path(), [&Made::default(), new], scope, |_| {})
}

fn found(new: &Made) -> Bisected {
    bisected(new, BisectScope::default()).unwrap()
}

/// The same value from one step to another.
fn from_to(from: u64, to: u64) -> BTreeMap<u64, u64> {
    (from..=to).map(|at| (at, 9)).collect()
}

#[test]
fn a_decision_is_found_at_any_step() {
    for at in [1, 2, 30, 31, 32, 62, 500, 999, STEPS] {
        let new = Made { decides: from_to(at, at), ..Made::default() };
        let found = found(&new);
        let decision = found.decision.expect("it is planted");
        assert_eq!((decision.sequence, decision.stage, decision.record), (at, "risk", 1));
        assert_eq!((decision.field.as_str(), decision.old, decision.new), ("lots", json!(0), json!(9)));
        assert_eq!((found.stretches.apart, found.stretches.count), (1, 33), "1000 steps, 31 at a time");
        assert_eq!(found.input, json!({ "kind": "tick" }));
        let asked = new.asked.borrow();
        assert!(asked.len() == 2 && asked[1].1 - asked[1].0 < 31, "two passes, one of them short: {asked:?}");
    }
}

#[test]
fn a_state_that_differs_before_a_decision_does_is_where_it_began() {
    for (held, decided) in [(5, 900), (40, 41), (1, STEPS)] {
        let new = Made { decides: from_to(decided, STEPS), risk: from_to(held, STEPS), ..Made::default() };
        let found = found(&new);
        let state = found.state.expect("it is planted");
        assert_eq!((state.sequence, state.stage, state.path.as_str()), (held, "risk", "risk.desks[0].net"));
        assert_eq!((state.old.as_deref(), state.new.as_deref(), state.fields), (Some("0"), Some("9"), 1));
        assert_eq!(found.decision.expect("it is planted").sequence, decided);
    }
}

#[test]
fn a_state_that_follows_from_a_decision_is_not_told() {
    for later in [0, 1, 500] {
        let new = Made { decides: from_to(77, 77), risk: from_to(77 + later, STEPS), ..Made::default() };
        let found = found(&new);
        assert_eq!((found.state, found.decision.map(|it| it.sequence)), (None, Some(77)));
    }
}

#[test]
fn a_state_that_came_apart_and_decided_nothing_is_a_divergence() {
    let new = Made { risk: from_to(640, STEPS), ..Made::default() };
    let found = found(&new);
    assert_eq!((found.state.as_ref().map(|it| it.sequence), &found.decision), (Some(640), &None));
    assert!(!found.agrees() && found.stretches.apart == 0);
}

#[test]
fn a_state_that_is_the_same_again_soon_is_seen_if_every_step_is_looked_at() {
    let new = Made { risk: from_to(40, 50), ..Made::default() };
    assert!(found(&new).agrees(), "31, 62, ..: in between, and without effect");
    let every = BisectScope { every: Some(1), ..BisectScope::default() };
    assert_eq!(bisected(&new, every).unwrap().state.map(|it| it.sequence), Some(40));
}

#[test]
fn another_layout_is_told_and_leaves_the_other_stages_and_the_decisions() {
    let layout = |decides, risk| Made { decides, risk, inference: 5, ..Made::default() };
    let same = found(&layout(BTreeMap::new(), BTreeMap::new()));
    assert!(same.agrees());
    let [before] = &same.before[..] else { panic!("one stage: {same:?}") };
    assert_eq!((before.sequence, before.stage, before.fields), (0, "inference", 2));
    assert_eq!(
        (before.path.as_str(), &before.old, &before.new),
        ("inference.chairs", &None, &Some("4".to_owned()))
    );
    let other = found(&layout(from_to(200, STEPS), from_to(100, STEPS)));
    assert_eq!(other.state.map(|it| (it.sequence, it.stage)), Some((100, "risk")));
    assert_eq!(other.decision.map(|it| it.sequence), Some(200));
}

#[test]
fn differences_in_front_of_the_first_step_are_passed_over() {
    let new = Made { decides: [(10, 9), (300, 9)].into(), ..Made::default() };
    let scope = |from: u64, until: u64| BisectScope {
        from: Some(Sequence(from)),
        until: Some(Sequence(until)),
        every: None,
    };
    assert_eq!(bisected(&new, scope(11, STEPS)).unwrap().decision.map(|it| it.sequence), Some(300));
    assert!(bisected(&new, scope(11, 299)).unwrap().agrees());
    assert_eq!(bisected(&new, scope(300, 300)).unwrap().decision.map(|it| it.sequence), Some(300));
}

#[test]
fn a_build_that_answers_otherwise_each_time_is_found_out() {
    let new = Made { decides: from_to(500, 500), wavers: true, ..Made::default() };
    let error = bisected(&new, BisectScope::default()).unwrap_err();
    assert!(matches!(error, BisectError::Unsteady { from: 497, until: 527 }), "{error}");
}
