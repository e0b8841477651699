//! The life of orders, through both stages: requests, reports in every order, deadlines, and the bounds of a step.

mod risk_driver;

use pawl_engine::instrument::Instrument;
use pawl_engine::order::{ORDERS_MAX, OrderStyle, RECENT_MAX, STEP_BYTES_TRADE_MAX};
use pawl_engine::quantity::{Decimal, Span};
use pawl_journal::record::{
    AlertCode, ClientOrderId, CommandAction, ExecutionKind, ExecutionReport, InstrumentId, Lots, OrderAction,
    OrderEvent, OrderState, OrderType, Points, RejectReason, Sequence, Severity, Time, TimeInForce, Vote,
};
use proptest::prelude::*;
use risk_driver::*;

const UP: Vote = Vote::UP;
const DOWN: Vote = Vote::DOWN;

fn limit_orders(change: impl FnOnce(&mut pawl_engine::settings::Settings)) -> Driver {
    let mut settings = settings();
    settings.order.order_type = OrderStyle::Limit;
    change(&mut settings);
    Driver::new(&settings)
}

/// A driver with one working limit order.
fn working() -> (Driver, ClientOrderId) {
    let mut driver = limit_orders(|_| {});
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    (driver, id)
}

#[test]
fn an_order_is_named_after_its_step_and_its_place_in_it() {
    let mut driver = Driver::new(&settings_of(&["EURUSD", "GBPUSD", "AUDUSD"]));
    let said = driver.signal_of(InstrumentId(2), UP);
    assert_eq!(said.request().client_order_id, ClientOrderId::of_step(Sequence(1), 0));
    driver.fill(said.request().client_order_id, 50, 114_550);
    driver.enter_of(InstrumentId(0), DOWN);
    let sequence = Sequence(driver.sequence + 1);
    let said = driver.command(CommandAction::FLATTEN);
    let ids: Vec<_> = said.requests.iter().map(|request| request.client_order_id).collect();
    assert_eq!(ids, [ClientOrderId::of_step(sequence, 0), ClientOrderId::of_step(sequence, 1)]);
    assert_eq!(ids[1].sequence(), sequence);
}

#[test]
fn a_new_order_is_requested_and_pending_in_the_step_that_decided_it() {
    let mut settings = settings();
    settings.order.valid_for = Span::seconds(30);
    let mut driver = Driver::new(&settings);
    let said = driver.signal(UP);
    let (request, change) = (said.request(), said.change());
    assert_eq!((request.action, request.order_type), (OrderAction::NEW, OrderType::MARKET));
    assert_eq!((request.time_in_force, request.quote_age_ns), (TimeInForce::IOC, 0));
    assert_eq!(request.valid_until, Time(NOON + 30 * SECOND));
    assert_eq!((change.from, change.to), (OrderState::NONE, OrderState::PENDING_NEW));
    assert_eq!((change.event, change.lots), (OrderEvent::SUBMIT, Lots(50)));
}

#[test]
fn partial_fills_add_up() {
    let (mut driver, id) = working();
    let first = driver.fill(id, 20, 114_540).change();
    assert_eq!((first.to, first.filled_lots), (OrderState::PARTIALLY_FILLED, Lots(20)));
    let second = driver.fill(id, 10, 114_530).change();
    assert_eq!((second.to, second.filled_cost), (OrderState::PARTIALLY_FILLED, 20 * 114_540 + 10 * 114_530));
    let last = driver.fill(id, 20, 114_540).change();
    assert_eq!((last.to, last.event, last.filled_lots), (OrderState::FILLED, OrderEvent::FILLED, Lots(50)));
    assert!(driver.order.live().is_empty());
    assert_eq!(driver.net(), 50);
}

#[test]
fn a_partial_fill_that_leaves_nothing_is_the_last_one() {
    let (mut driver, id) = working();
    let report = ExecutionReport {
        lots: Lots(50),
        price: Points(114_540),
        ..driver.report(id, ExecutionKind::PARTIALLY_FILLED)
    };
    assert_eq!(driver.tell(&report).change().to, OrderState::FILLED);
}

#[test]
fn a_fill_before_the_acceptance_is_taken_and_the_acceptance_changes_nothing() {
    let mut driver = limit_orders(|_| {});
    let id = driver.signal(UP).request().client_order_id;
    assert_eq!(driver.fill(id, 20, 114_540).change().to, OrderState::PARTIALLY_FILLED);
    assert!(driver.say(id, ExecutionKind::ACCEPTED).is_silent());
    assert_eq!(driver.fill(id, 30, 114_540).change().to, OrderState::FILLED);
    assert!(driver.say(id, ExecutionKind::ACCEPTED).is_silent());
}

#[test]
fn a_fill_after_the_cancel_is_real_and_told() {
    let (mut driver, id) = working();
    driver.signal(DOWN);
    driver.say(id, ExecutionKind::CANCELLED);
    let report = ExecutionReport {
        lots: Lots(20),
        price: Points(114_540),
        ..driver.report(id, ExecutionKind::PARTIALLY_FILLED)
    };
    let said = driver.tell(&report);
    assert_eq!(said.codes(), [AlertCode::LATE_FILL]);
    assert_eq!((said.change().from, said.change().to), (OrderState::CANCELLED, OrderState::CANCELLED));
    assert_eq!((said.change().filled_lots, driver.net()), (Lots(20), 20));
    let rest = ExecutionReport { lots: Lots(30), ..driver.report(id, ExecutionKind::FILLED) };
    assert_eq!(driver.tell(&rest).change().to, OrderState::FILLED, "it was filled after all");
    assert_eq!(driver.net(), 50);
}

#[test]
fn a_cancel_that_the_fill_overtook_leaves_the_order_filled() {
    let (mut driver, id) = working();
    assert_eq!(driver.signal(DOWN).change().to, OrderState::PENDING_CANCEL);
    assert_eq!(driver.fill(id, 50, 114_540).change().to, OrderState::FILLED);
    let said = driver.say_because(id, ExecutionKind::CANCEL_REJECTED, RejectReason::TOO_LATE);
    assert!(said.is_silent());
}

#[test]
fn a_report_counts_once() {
    let (mut driver, id) = working();
    let report = ExecutionReport {
        lots: Lots(20),
        price: Points(114_540),
        ..driver.report(id, ExecutionKind::PARTIALLY_FILLED)
    };
    driver.tell(&report);
    let again = driver.tell(&report);
    assert_eq!((again.codes(), again.changes.len()), (vec![AlertCode::DUPLICATE_REPORT], 0));
    assert_eq!(again.alerts[0].severity, Severity::INFO);
    assert_eq!((driver.net(), driver.order.live()[0].filled), (20, Lots(20)));
}

#[test]
fn an_overfill_is_told_and_held() {
    let (mut driver, id) = working();
    let said = driver.fill(id, 60, 114_540);
    assert_eq!(said.codes(), [AlertCode::OVERFILL]);
    assert_eq!((said.alerts[0].observed, said.alerts[0].limit), (60, 50));
    assert_eq!((said.change().to, driver.net()), (OrderState::FILLED, 60));
    let more = ExecutionReport { lots: Lots(1), ..driver.report(id, ExecutionKind::FILLED) };
    assert_eq!(driver.tell(&more).codes(), [AlertCode::OVERFILL], "even when it is final");
    assert_eq!(driver.net(), 61);
}

#[test]
fn a_last_fill_that_does_not_add_up_is_told() {
    let (mut driver, id) = working();
    let report = ExecutionReport {
        lots: Lots(10),
        price: Points(114_540),
        ..driver.report(id, ExecutionKind::FILLED)
    };
    let said = driver.tell(&report);
    assert_eq!(said.codes(), [AlertCode::IMPOSSIBLE_REPORT]);
    assert_eq!(
        (said.change().to, driver.net()),
        (OrderState::FILLED, 10),
        "the venue's word on the end counts"
    );
}

#[test]
fn what_the_state_does_not_allow_is_told_and_changes_nothing() {
    let (mut driver, id) = working();
    driver.fill(id, 20, 114_540);
    let said = driver.say(id, ExecutionKind::REJECTED);
    assert_eq!((said.codes(), said.changes.len()), (vec![AlertCode::IMPOSSIBLE_REPORT], 0));
    let (state, kind) = (OrderState::PARTIALLY_FILLED.0, ExecutionKind::REJECTED.0);
    assert_eq!((said.alerts[0].observed, said.alerts[0].limit), (i64::from(state), i64::from(kind)));
    let empty = driver.report(id, ExecutionKind::FILLED);
    assert_eq!(driver.tell(&empty).codes(), [AlertCode::IMPOSSIBLE_REPORT], "a fill of nothing");
    assert_eq!(driver.say(id, ExecutionKind(77)).codes(), [AlertCode::IMPOSSIBLE_REPORT]);
    assert_eq!(driver.order.live()[0].leaves(), Lots(30));
}

#[test]
fn a_report_about_an_order_we_do_not_know_is_told() {
    let mut driver = Driver::new(&settings());
    for id in [ClientOrderId(0), ClientOrderId(77)] {
        let said = driver.say(id, ExecutionKind::ACCEPTED);
        assert_eq!((said.codes(), said.changes.len()), (vec![AlertCode::UNKNOWN_ORDER], 0));
    }
}

#[test]
fn an_order_that_ended_long_ago_is_no_longer_known() {
    let mut driver = limit_orders(|it| {
        it.risk.max_order_rate = 1_024;
        it.risk.retry_after = Span(0);
    });
    let first = driver.signal(UP).request().client_order_id;
    driver.say(first, ExecutionKind::REJECTED);
    for _ in 1..RECENT_MAX {
        let id = driver.signal(UP).request().client_order_id;
        driver.say(id, ExecutionKind::REJECTED);
    }
    assert!(driver.say(first, ExecutionKind::CANCEL_REJECTED).is_silent(), "still remembered");
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::REJECTED);
    assert_eq!(driver.say(first, ExecutionKind::CANCEL_REJECTED).codes(), [AlertCode::UNKNOWN_ORDER]);
}

#[test]
fn an_order_without_an_answer_is_unknown_and_never_sent_again() {
    let mut driver = Driver::new(&settings());
    let id = driver.signal(UP).request().client_order_id;
    driver.wait(10 * SECOND - 1);
    assert!(driver.timer().is_silent());
    driver.wait(1);
    let said = driver.timer();
    assert_eq!((said.codes(), said.change().to), (vec![AlertCode::ORDER_UNKNOWN], OrderState::UNKNOWN));
    assert_eq!((said.alerts[0].client_order_id, said.alerts[0].observed), (id, 10 * SECOND));
    assert_eq!(said.asked(), [id], "the venue is asked what became of it");
    driver.wait(10 * SECOND - 1);
    assert!(driver.timer().is_silent());
    driver.wait(3_600 * SECOND);
    let said = driver.timer();
    assert_eq!((said.asked(), said.alerts.len(), said.changes.len()), (vec![id], 0, 0), "and again");
    assert!(driver.signal(UP).requests.is_empty());
    let said = driver.fill(id, 50, 114_550);
    assert_eq!((said.change().from, said.change().to), (OrderState::UNKNOWN, OrderState::FILLED));
}

#[test]
fn an_answer_that_comes_with_the_deadline_counts() {
    let mut driver = Driver::new(&settings());
    let id = driver.signal(UP).request().client_order_id;
    driver.wait(10 * SECOND);
    assert_eq!(driver.say(id, ExecutionKind::ACCEPTED).change().to, OrderState::WORKING);
}

#[test]
fn a_cancel_without_an_answer_is_unknown_too() {
    let (mut driver, id) = working();
    driver.wait(100 * SECOND);
    driver.signal(DOWN);
    driver.wait(10 * SECOND);
    assert_eq!(driver.timer().change().to, OrderState::UNKNOWN);
    assert_eq!(driver.say(id, ExecutionKind::CANCEL_REJECTED).change().to, OrderState::WORKING);
}

#[test]
fn an_order_that_works_too_long_is_cancelled() {
    let mut driver = limit_orders(|it| it.order.valid_for = Span::seconds(30));
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    driver.wait(30 * SECOND - 1);
    assert!(driver.timer().is_silent());
    driver.wait(1);
    let said = driver.timer();
    assert_eq!((cancelled(&said), said.change().to), (vec![id], OrderState::PENDING_CANCEL));
    assert!(said.verdicts.is_empty(), "it needs nobody's approval");
    assert_eq!(driver.risk.order_rate(Time(driver.now)), 2, "and counts as a message");
    driver.say(id, ExecutionKind::CANCEL_REJECTED);
    driver.wait(30 * SECOND - 1);
    assert!(driver.timer().is_silent());
    driver.wait(1);
    assert_eq!(cancelled(&driver.timer()), [id], "asked again after as long");
    assert_eq!(driver.say(id, ExecutionKind::EXPIRED).change().to, OrderState::EXPIRED);
}

#[test]
fn a_venue_that_contradicts_itself_leaves_the_outcome_unknown() {
    for reason in [RejectReason::UNKNOWN_ORDER, RejectReason::TOO_LATE] {
        let (mut driver, id) = working();
        driver.signal(DOWN);
        let said = driver.say_because(id, ExecutionKind::CANCEL_REJECTED, reason);
        assert_eq!((said.codes(), said.change().to), (vec![AlertCode::ORDER_UNKNOWN], OrderState::UNKNOWN));
    }
}

#[test]
fn a_replace_takes_the_price_and_volume_of_the_venue() {
    let mut driver = limit_orders(|it| it.order.reprice_points = 5);
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    driver.fill(id, 20, 114_540);
    assert_eq!(driver.quote(114_600, 114_610).change().to, OrderState::PENDING_REPLACE);
    let report = ExecutionReport {
        price: Points(114_599),
        leaves_lots: Lots(25),
        ..driver.report(id, ExecutionKind::REPLACED)
    };
    let change = driver.tell(&report).change();
    assert_eq!((change.to, change.price), (OrderState::PARTIALLY_FILLED, Points(114_599)));
    assert_eq!((change.lots, change.filled_lots), (Lots(45), Lots(20)));
    driver.quote(114_700, 114_710);
    let refused = driver.say(id, ExecutionKind::REPLACE_REJECTED).change();
    assert_eq!((refused.to, refused.price), (OrderState::PARTIALLY_FILLED, Points(114_599)));
    driver.quote(114_701, 114_711);
    driver.say(id, ExecutionKind::CANCELLED);
    let late = driver.say(id, ExecutionKind::REPLACED);
    assert!(late.is_silent(), "replaced late");
}

#[test]
fn a_full_house_flattens_and_times_out_within_one_step() {
    let mut settings = settings();
    let names = (0..64).map(|index| format!("S{index}"));
    let eurusd = settings.instruments[0].clone();
    settings.instruments = names.map(|symbol| Instrument { symbol, ..eurusd.clone() }).collect();
    settings.order.order_type = OrderStyle::Limit;
    settings.risk.max_open_orders = 64;
    settings.risk.max_order_rate = 1_024;
    settings.account.balance = dollars(10_000_000);
    settings.risk.max_position = Decimal(10 * Decimal::ONE);
    let mut driver = Driver::new(&settings);
    for instrument in (0..64).map(InstrumentId) {
        driver.enter_of(instrument, UP);
        let id = driver.signal_of(instrument, DOWN).request().client_order_id;
        driver.say(id, ExecutionKind::ACCEPTED);
    }
    let cancels = driver.command(CommandAction::FLATTEN);
    assert_eq!(cancelled(&cancels).len(), 64);
    for id in cancelled(&cancels) {
        driver.say(id, ExecutionKind::UNKNOWN);
        let close = driver.say(id, ExecutionKind::CANCELLED);
        assert_eq!(close.requests.len(), 1);
    }
    driver.wait(10 * SECOND);
    let timeouts = driver.timer();
    assert_eq!(timeouts.alerts.len(), 64);
    assert!(timeouts.bytes.len() < STEP_BYTES_TRADE_MAX && driver.risk.live().len() <= ORDERS_MAX);

    let mut driver = Driver::new(&settings);
    for instrument in (0..64).map(InstrumentId) {
        driver.enter_of(instrument, DOWN);
    }
    let said = driver.command(CommandAction::FLATTEN);
    assert_eq!(said.requests.len(), 64);
    assert_eq!(said.requests[63].client_order_id, ClientOrderId::of_step(Sequence(driver.sequence), 63));
    assert!(said.bytes.len() < STEP_BYTES_TRADE_MAX);
}

/// Something that can happen to a running engine.
#[derive(Debug, Clone)]
enum Happening {
    Signal(u16, u16),
    Quote(u16, i64),
    Report { nth: usize, kind: u16, reason: u16, lots: i64, again: bool },
    Command(u16),
    Wait(i64),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0_u16..3, prop::sample::select(vec![0_u16, 1, 65_535])).prop_map(|(i, d)| Happening::Signal(i, d)),
        3 => (0_u16..3, 110_000_i64..120_000).prop_map(|(i, bid)| Happening::Quote(i, bid)),
        8 => (0_usize..6, 1_u16..12, 0_u16..9, 0_i64..70, any::<bool>())
            .prop_map(|(nth, kind, reason, lots, again)| Happening::Report { nth, kind, reason, lots, again }),
        1 => (1_u16..5).prop_map(Happening::Command),
        2 => (0_i64..40).prop_map(|seconds| Happening::Wait(seconds * SECOND)),
    ]
}

/// Runs a story and returns every byte it wrote. The driver checks after every step that risk and order agree.
fn run(story: &[Happening], style: OrderStyle) -> Vec<u8> {
    let mut settings = settings_of(&["EURUSD", "GBPUSD", "AUDUSD"]);
    settings.order.order_type = style;
    settings.order.reprice_points = 20;
    settings.order.valid_for = Span::seconds(20);
    settings.risk.retry_after = Span::seconds(2);
    let mut driver = Driver::new(&settings);
    let mut ids: Vec<ClientOrderId> = vec![ClientOrderId(0)];
    let mut bytes = Vec::new();
    for happening in story {
        let said = match happening {
            Happening::Signal(instrument, direction) => {
                driver.signal_of(InstrumentId(*instrument), Vote(*direction))
            }
            Happening::Quote(instrument, bid) => driver.quote_of(InstrumentId(*instrument), *bid, bid + 10),
            Happening::Command(action) => driver.command(CommandAction(*action)),
            Happening::Wait(span) => driver.wait(*span).timer(),
            Happening::Report { nth, kind, reason, lots, again } => {
                let id = ids[ids.len().saturating_sub(1 + nth)];
                let report = ExecutionReport {
                    lots: Lots(*lots),
                    price: Points(driver.bid),
                    reason: RejectReason(*reason),
                    leaves_lots: Lots(*lots),
                    ..driver.report(id, ExecutionKind(*kind))
                };
                if *again {
                    bytes.extend(driver.tell(&report).bytes);
                }
                driver.tell(&report)
            }
        };
        let new = said.requests.iter().filter(|request| request.action == OrderAction::NEW);
        ids.extend(new.map(|request| request.client_order_id));
        assert!(driver.risk.live().len() <= ORDERS_MAX);
        bytes.extend(said.bytes);
    }
    ids.sort_unstable();
    let count = ids.len();
    ids.dedup();
    assert_eq!(ids.len(), count, "every order has a name of its own");
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn whatever_happens_risk_and_order_agree_and_a_second_run_is_the_same(
        story in prop::collection::vec(happening(), 1..120),
    ) {
        for style in [OrderStyle::Market, OrderStyle::Limit] {
            prop_assert_eq!(run(&story, style), run(&story, style));
        }
    }
}
