//! Tests: what is counted of steps, word by word.

use pawl_journal::record::{
    AgentId, AlertCode, Features, InstrumentId, Reasons, RejectReason, Side, Step, Time, Timer, Vote,
};

use super::*;

fn stepped(build: impl FnOnce(&mut Step)) -> (Arc<Counters>, Step) {
    let counters = Arc::new(Counters::default());
    let mut step = Step::new();
    step.begin(Sequence(7), Time(9));
    build(&mut step);
    CoreCounters::new(Arc::clone(&counters), Mode::Active).step(&step, None);
    (counters, step)
}

#[test]
fn a_quiet_tick_counts_its_instrument_its_vector_and_its_times() {
    let counters = Arc::new(Counters::default());
    let mut core = CoreCounters::new(Arc::clone(&counters), Mode::Active);
    let mut step = Step::new();
    for sequence in 1..=3 {
        step.begin(Sequence(sequence), Time(5));
        step.push(&Tick { instrument: InstrumentId(2), ..Tick::default() });
        step.push_with_reals(&Features::default(), 2);
        let stamps = Stamps {
            published_ns: 10,
            taken_ns: 110,
            feature_ns: 150,
            inference_ns: 150,
            risk_ns: 250,
            order_ns: 260,
            ..Stamps::default()
        };
        step.push(&stamps);
        core.step(&step, Some((&stamps, 300)));
    }
    let get = |family: Family, index: usize| counters.get(family.id + index);
    assert_eq!((get(at::COMMITTED, 0), get(at::STEPS, 0), get(at::VECTORS, 0)), (3, 3, 3));
    assert_eq!((get(at::TICKS, 2), get(at::INPUTS, 3), get(at::FLAGGED, 0)), (3, 3, 0));
    let values = counters.values();
    let sums: Vec<_> = (0..7)
        .map(|stage| values.distribution(&at::STAGE_LATENCY, stage))
        .map(|it| (it.count(), it.sum_ns()))
        .collect();
    assert_eq!(sums, [(3, 297), (3, 123), (3, 0), (3, 297), (3, 30), (3, 123), (3, 909)]);
}

#[test]
fn every_reason_of_a_refusal_counts_and_what_cuts_an_approval_does_not() {
    let (counters, _) = stepped(|step| {
        step.push(&Timer::default());
        let reasons = Reasons::MAX_SPREAD.with(Reasons::NOT_RECONCILED);
        step.push(&Verdict { reasons, outcome: Outcome::REFUSED, ..Verdict::default() });
        step.push(&Verdict {
            reasons: Reasons::MAX_POSITION,
            outcome: Outcome::APPROVED,
            ..Verdict::default()
        });
    });
    let refused: Vec<_> = (0..64).filter(|bit| counters.get(at::REFUSALS.id + bit) == 1).collect();
    assert_eq!(refused, [11, 20]);
    assert_eq!((counters.get(at::VERDICTS.id + 1), counters.get(at::VERDICTS.id + 2)), (1, 1));
}

#[test]
fn reports_orders_alerts_predictions_and_halts_have_words_of_their_own() {
    let (counters, _) = stepped(|step| {
        step.push(&ExecutionReport {
            kind: ExecutionKind::REJECTED,
            reason: RejectReason::NO_QUOTE,
            side: Side::BUY,
            ..ExecutionReport::default()
        });
        step.push(&Prediction { agent: AgentId(4), ..Prediction::default() });
        step.push(&Signal { direction: Vote::DOWN, ..Signal::default() });
        for action in [OrderAction::NEW, OrderAction::CANCEL] {
            step.push(&OrderRequest { action, instrument: InstrumentId(1), ..OrderRequest::default() });
        }
        step.push(&Alert { code: AlertCode::LATE_FILL, ..Alert::default() });
        step.push(&Alert { code: AlertCode(60_000), ..Alert::default() });
    });
    let get = |family: Family, index: usize| counters.get(family.id + index);
    assert_eq!((get(at::REPORTS, 2), get(at::REJECTS, 2), get(at::INPUTS, 4)), (1, 1, 1));
    assert_eq!((get(at::PREDICTIONS, 4), get(at::SIGNALS, 2), get(at::ORDERS, 1)), (1, 1, 1));
    assert_eq!((get(at::REQUESTS, 1), get(at::REQUESTS, 2)), (1, 1));
    assert_eq!(
        (get(at::ALERTS, 11), get(at::ALERTS, 31)),
        (1, 1),
        "a code that has no place counts as the last"
    );
    let mut core = CoreCounters::new(Arc::clone(&counters), Mode::Active);
    core.mode(Mode::ReduceOnly);
    core.mode(Mode::Halted);
    assert_eq!((get(at::MODE, 0), get(at::HALTS, 0)), (2, 1));
}
