//! Comparisons of sessions made by hand.

use pawl_engine::instrument::Instrument;
use pawl_engine::settings::{AccountSettings, CheckpointSettings};
use pawl_journal::record::{
    ClientOrderId, EquityChanged, ExecutionKind, Lots, OrderAction, OrderRequest, OrderState, Points,
    Prediction, RunEnded, RunStarted, Sequence, Side, Signal, Step, Tick, Timer, Verdict,
};

use super::orders::Orders;
use super::*;
use pawl_journal::record::{ExecutionReport, Kind, OrderChanged, StepRef, Time};

/// A session being written down.
#[derive(Default)]
struct Session {
    steps: Vec<Step>,
    place: usize,
}

impl Session {
    fn push(mut self, time: i64, fill: impl FnOnce(&mut Step)) -> Self {
        let mut step = Step::new();
        step.begin(Sequence(self.steps.len() as u64 + 1), Time(time));
        fill(&mut step);
        self.steps.push(step);
        self
    }

    fn tick(self, time: i64, number: u64, bid: i64) -> Self {
        self.tick_and(time, number, bid, |_| {})
    }

    fn tick_and(self, time: i64, number: u64, bid: i64, then: impl FnOnce(&mut Step)) -> Self {
        let tick =
            Tick { source_time: Time(time), source_sequence: number, bid: Points(bid), ..Tick::default() };
        self.push(time, |step| {
            step.push(&tick);
            then(step);
        })
    }

    fn timer(self, time: i64) -> Self {
        self.push(time, |step| step.push(&Timer { due: Time(time), interval_ns: 1 }))
    }

    fn report(self, time: i64, order: ClientOrderId, kind: ExecutionKind, to: OrderState) -> Self {
        let report = ExecutionReport {
            client_order_id: order,
            kind,
            source_time: Time(time),
            ..ExecutionReport::default()
        };
        self.push(time, |step| {
            step.push(&report);
            step.push(&OrderChanged { client_order_id: order, to, ..OrderChanged::default() });
        })
    }

    fn accepted(self, time: i64, order: ClientOrderId) -> Self {
        self.report(time, order, ExecutionKind::ACCEPTED, OrderState::WORKING)
    }

    fn filled(self, time: i64, order: ClientOrderId) -> Self {
        self.report(time, order, ExecutionKind::FILLED, OrderState::FILLED)
    }

    /// The order that the next step would make.
    fn next_order(&self) -> ClientOrderId {
        ClientOrderId::of_step(Sequence(self.steps.len() as u64 + 1), 0)
    }
}

impl Steps for Session {
    fn next(&mut self) -> Result<Option<StepRef<'_>>, ReplayError> {
        self.place += 1;
        Ok(self.steps.get(self.place - 1).map(Step::view))
    }
}

fn order(step: &mut Step, lots: i64) {
    let client_order_id = ClientOrderId::of_step(step.sequence(), 0);
    step.push(&Verdict { wanted_lots: Lots(lots), action: OrderAction::NEW, ..Verdict::default() });
    step.push(&OrderRequest {
        client_order_id,
        lots: Lots(lots),
        action: OrderAction::NEW,
        side: Side::BUY,
        ..OrderRequest::default()
    });
    step.push(&OrderChanged { client_order_id, to: OrderState::PENDING_NEW, ..OrderChanged::default() });
    step.mark_orders();
}

fn settings() -> Settings {
    Settings {
        account: AccountSettings::default(),
        instruments: vec![Instrument::well_known("EURUSD").expect("known")],
        ingress: Default::default(),
        features: Default::default(),
        agents: Vec::new(),
        signal: Default::default(),
        risk: Default::default(),
        order: Default::default(),
        checkpoint: CheckpointSettings::default(),
    }
}

/// What was found, a line each.
fn compare(mut a: Session, mut b: Session) -> (Compared, Vec<String>) {
    let mut lines = Vec::new();
    let settings = settings();
    let compared = diff([&mut a, &mut b], [&settings, &settings], &mut |finding| {
        let kind = finding.what.kind().map_or("inputs", Kind::name);
        lines.push(match finding.what {
            What::Inputs { source, first, last, .. } => {
                format!("{kind} {source:?} {}..{}", first.sequence, last.sequence)
            }
            What::Elsewhere { source, .. } => format!("{kind} {source:?} elsewhere"),
            What::Only { source, .. } => format!("{kind} {source:?}"),
            What::Changed { fields, .. } => format!("{kind} {}", fields.join(",")),
        });
        ControlFlow::Continue(())
    });
    (compared.expect("they can be read"), lines)
}

/// A tick that makes an order, its reports at these times, and ticks behind them.
fn one_order(reports: [i64; 2]) -> Session {
    let session = Session::default().tick(10, 1, 100);
    let id = session.next_order();
    let mut session = session.tick_and(20, 2, 101, |step| order(step, 5));
    let mut kinds = [Session::accepted, Session::filled].iter().zip(reports).peekable();
    for (number, time) in (3..).zip([30, 40, 50]) {
        while let Some((report, at)) = kinds.next_if(|(_, at)| *at < time) {
            session = report(session, at, id);
        }
        session = session.tick(time, number, 100);
    }
    session
}

#[test]
fn a_report_more_shifts_numbers_and_ids_and_what_follows_is_still_the_same() {
    let session = |partial: bool| {
        let session = Session::default();
        let first = session.next_order();
        let mut session = session.tick_and(10, 1, 100, |step| order(step, 5)).accepted(11, first);
        if partial {
            session =
                session.report(12, first, ExecutionKind::PARTIALLY_FILLED, OrderState::PARTIALLY_FILLED);
        }
        let session = session.filled(13, first).tick(20, 2, 101);
        let second = session.next_order();
        session.tick_and(30, 3, 102, |step| order(step, 7)).accepted(31, second).filled(32, second)
    };
    let (compared, lines) = compare(session(false), session(true));
    assert_eq!(
        lines,
        ["execution_report time,kind", "order_changed to", "execution_report B"],
        "the fill meets the partial one, and B has one more"
    );
    assert_eq!((compared.steps.equal, compared.steps.changed, compared.steps.only), (6, 1, [0, 1]));
    let first = compared.first.expect("a difference");
    assert_eq!(
        (first.stage, first.kind, first.record(Source::A).is_some()),
        ("venue", "execution_report", true)
    );
    assert_eq!(compared.kinds[&Kind::OrderRequest].equal(), 2);
    assert_eq!(compared.inputs_differ_from, None);
}

#[test]
fn a_report_that_comes_behind_another_tick_is_the_first_difference_where_it_is_missing() {
    let (compared, lines) = compare(one_order([25, 26]), one_order([25, 45]));
    assert_eq!(lines, ["execution_report A elsewhere", "execution_report time"]);
    let first = compared.first.expect("a difference");
    let at = first.steps[0].as_ref().expect("a step of A").view();
    assert_eq!((at.sequence(), first.steps[1].is_none()), (Sequence(4), true));
    let around = |kept: &[pawl_journal::record::KeptStep]| -> Vec<u64> {
        kept.iter().map(|it| it.view().sequence().0).collect()
    };
    assert_eq!((around(&first.before[0]), around(&first.after[0])), (vec![2, 3], vec![5, 6]));
    assert_eq!((around(&first.before[1]), around(&first.after[1])), (vec![2, 3], vec![4, 5]));
    assert_eq!((compared.steps.only, compared.steps.changed), ([0, 0], 1));
}

#[test]
fn an_order_that_only_one_side_makes_takes_its_reports_with_it() {
    let quiet = Session::default().tick(10, 1, 100).tick(20, 2, 101).tick(30, 3, 100).tick(40, 4, 100);
    let (compared, lines) = compare(one_order([25, 26]), quiet.tick(50, 5, 100));
    assert_eq!(
        lines,
        ["verdict A", "order_request A", "order_changed A", "execution_report A", "execution_report A"]
    );
    assert_eq!(compared.kinds[&Kind::OrderRequest].only, [1, 0]);
    assert_eq!(
        (compared.tallies[0].orders, compared.tallies[0].fills, compared.tallies[1].orders),
        (1, 1, 0)
    );
}

#[test]
fn a_feed_that_lost_ticks_is_found_again_although_it_numbers_the_rest_anew() {
    let whole = Session::default().tick(10, 1, 100).tick(20, 2, 101).tick(20, 3, 102).tick(30, 4, 103);
    let lost = Session::default().tick(10, 1, 100).tick(20, 2, 102).tick(30, 3, 103);
    let (compared, lines) = compare(whole, lost);
    assert_eq!(lines, ["inputs A 2..2"]);
    assert_eq!((compared.steps.equal, compared.steps.only), (3, [1, 0]));
    let from = compared.inputs_differ_from.expect("inputs differ");
    assert_eq!(from.map(|it| it.expect("a step").sequence.0), [2, 2]);
}

#[test]
fn a_tick_with_another_price_is_one_changed_input() {
    let (compared, lines) = compare(
        Session::default().tick(10, 1, 100).tick(20, 2, 101).tick(30, 3, 103),
        Session::default().tick(10, 1, 100).tick(20, 2, 102).tick(30, 3, 103),
    );
    assert_eq!(lines, ["tick bid"]);
    assert_eq!(compared.first.map(|it| it.stage), Some("ingress"));
    assert!(compared.inputs_differ_from.is_some());
}

#[test]
fn a_pulse_more_is_a_difference_and_no_other_input() {
    let (compared, lines) = compare(
        Session::default().tick(10, 1, 100).timer(15).tick(20, 2, 100),
        Session::default().tick(10, 1, 100).tick(20, 2, 100),
    );
    assert_eq!(lines, ["inputs A 2..2"]);
    assert!(!compared.is_equal());
    assert_eq!(compared.inputs_differ_from, None);
}

#[test]
fn a_pulse_is_the_first_difference_only_if_nothing_else_is_one() {
    let first = |bid: i64| {
        let (compared, _) = compare(
            Session::default().tick(10, 1, 100).timer(15).tick(20, 2, 100),
            Session::default().tick(10, 1, 100).tick(20, 2, bid).timer(25),
        );
        let first = compared.first.expect("a difference");
        (first.kind, first.steps[0].as_ref().map(|it| it.view().sequence().0))
    };
    assert_eq!(first(100), ("timer", Some(2)));
    assert_eq!(first(101), ("tick", Some(3)));
}

#[test]
fn runs_that_were_interrupted_decide_the_same_as_one_that_was_not() {
    let started = |step: &mut Step| step.push_with_tail(&RunStarted::default(), b"");
    let (compared, lines) = compare(
        Session::default().push(0, started).tick(10, 1, 100).tick(20, 2, 100),
        Session::default().push(0, started).tick(10, 1, 100).push(10, started).tick(20, 2, 100),
    );
    assert!(compared.is_equal() && lines.is_empty(), "{lines:?}");
    assert_eq!(compared.tallies.map(|it| it.runs), [1, 2]);
}

#[test]
fn a_report_behind_the_end_of_its_order_belongs_to_the_one_of_the_other_side() {
    let session = |restarted: bool, latency: i64| {
        let session = Session::default().tick(10, 1, 100);
        let session =
            if restarted { session.push(10, |step| step.push(&RunEnded::default())) } else { session };
        let first = session.next_order();
        let session = session.tick_and(20, 2, 100, |step| order(step, 5)).filled(21, first).tick(30, 3, 100);
        session
            .report(30 + latency, first, ExecutionKind::CANCEL_REJECTED, OrderState::FILLED)
            .tick(40, 4, 100)
    };
    let (compared, lines) = compare(session(false, 1), session(true, 1));
    assert!(compared.is_equal() && lines.is_empty(), "{lines:?}");
    let (_, lines) = compare(session(false, 1), session(true, 2));
    assert_eq!(lines, ["execution_report time"], "they still belong together");
    // Restarted between the last fill and its order's late report, which all come between two ticks.
    let session = |restarts: usize| {
        let session = Session::default().tick(10, 1, 100);
        let first = session.next_order();
        let mut session = session.tick_and(20, 2, 100, |step| order(step, 5));
        for _ in 0..restarts {
            session = session.push(20, |step| step.push(&RunEnded::default()));
        }
        let session = session.filled(21, first);
        session.report(22, first, ExecutionKind::CANCEL_REJECTED, OrderState::FILLED).tick(40, 4, 100)
    };
    for restarts in 0..4 {
        let (compared, lines) = compare(session(0), session(restarts));
        assert!(compared.is_equal() && lines.is_empty(), "{restarts}: {lines:?}");
    }
}

#[test]
fn agents_are_known_by_their_names_and_columns_by_theirs() {
    let agent = |name: &str| -> pawl_engine::inference::AgentSettings {
        serde_json::from_value(serde_json::json!({ "name": name, "rule": { "fast": "x", "slow": "y" } }))
            .expect("an agent")
    };
    let mut of_a = settings();
    let mut of_b = settings();
    (of_a.agents, of_b.agents) = (vec![agent("one"), agent("two")], vec![agent("two"), agent("one")]);
    let session = |places: [u16; 2]| {
        Session::default().tick_and(10, 1, 100, |step| {
            for (place, score) in places.into_iter().zip([0.25, 0.5]) {
                let agent = pawl_journal::record::AgentId(place);
                step.push(&Prediction { agent, score, ..Prediction::default() });
            }
            step.push(&Signal::default());
        })
    };
    let compare = |mut a: Session, mut b: Session| {
        diff([&mut a, &mut b], [&of_a, &of_b], &mut |_| ControlFlow::Continue(())).expect("readable")
    };
    assert!(compare(session([0, 1]), session([1, 0])).is_equal(), "one says 0.25 on both sides");
    let crossed = compare(session([0, 1]), session([0, 1]));
    assert_eq!(crossed.kinds[&Kind::Prediction].changed, 2);
}

#[test]
fn equity_that_is_no_number_is_equal_to_itself_and_a_visitor_can_stop_it_all() {
    let session = |equity: i64| {
        let mut session = Session::default();
        for number in 1..=50 {
            session = session.tick_and(number * 10, number.cast_unsigned(), 100, |step| {
                step.push(&Signal { score: f32::NAN, ..Signal::default() });
                let equity = pawl_journal::record::Micros(equity);
                step.push(&EquityChanged { equity, ..EquityChanged::default() });
            });
        }
        session
    };
    assert!(compare(session(1), session(1)).0.is_equal());
    let (mut a, mut b, mut seen) = (session(1), session(2), 0);
    let settings = settings();
    let compared = diff([&mut a, &mut b], [&settings, &settings], &mut |_| {
        seen += 1;
        if seen == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    let compared = compared.expect("readable");
    assert_eq!((seen, compared.is_complete, compared.kinds[&Kind::Signal].records), (3, false, [3, 3]));
}

#[test]
fn what_is_kept_does_not_grow_with_the_orders_that_ended() {
    let mut orders = Orders::default();
    let mut made = Step::new();
    for number in 1..10_000_u64 {
        made.begin(Sequence(number), Time(0));
        order(&mut made, 1);
        let id = ClientOrderId::of_step(Sequence(number), 0).0;
        assert_eq!(orders.pair(made.view(), made.view()), [[Some(id), Some(id)]]);
        assert_eq!(orders.end(Source::A, id), None);
        assert_eq!(orders.end(Source::B, id), Some([Some(id), Some(id)]));
    }
    assert_eq!(orders.known_count(), 2 * 1_024);
}
