//! What a statement of the venue does to both stages: nothing where it says what is known, and otherwise what the
//! engine needs to be right after a restart. The tests named after other projects are the cases their users reported.

mod risk_driver;

use pawl_engine::order::OrderStyle;
use pawl_engine::risk::Mode;
use pawl_journal::record::{
    AlertCode, ClientOrderId, CommandAction, ExecutionKind, InstrumentId, Lots, Micros, OrderEvent,
    OrderState, Points, Reasons, Reconciled, RejectReason, Side, StatementItem, Vote,
};
use risk_driver::*;

const UP: Vote = Vote::UP;
const DOWN: Vote = Vote::DOWN;
const PRICE: i64 = 114_540;

/// A driver with one working limit order to buy 50.
fn working() -> (Driver, ClientOrderId) {
    let mut settings = settings();
    settings.order.order_type = OrderStyle::Limit;
    let mut driver = Driver::new(&settings);
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    (driver, id)
}

/// The working order of [`working`], as the venue lists it.
fn order(id: ClientOrderId, filled: i64) -> Reconciled {
    Reconciled {
        client_order_id: id,
        price: Points(PRICE),
        lots: Lots(50),
        filled_lots: Lots(filled),
        item: StatementItem::ORDER,
        side: Side::BUY,
        ..Reconciled::default()
    }
}

fn position(lots: i64, price: i64) -> Reconciled {
    Reconciled {
        lots: Lots(lots),
        price: Points(price),
        item: StatementItem::POSITION,
        ..Reconciled::default()
    }
}

fn codes(said: &[Said]) -> Vec<AlertCode> {
    said.iter().flat_map(Said::codes).collect()
}

#[test]
fn nothing_is_traded_before_the_venue_has_said_what_it_holds() {
    let mut driver = Driver::new(&settings());
    driver.begin_run();
    assert_eq!(driver.signal(UP).refused(), Reasons::NOT_RECONCILED);
    assert_eq!(driver.command(CommandAction::FLATTEN).codes(), [AlertCode::FLATTEN]);
    driver.command(CommandAction::RESUME);
    driver.statement(&[]);
    assert_eq!(driver.signal(UP).approved(), 50);
}

#[test]
fn a_close_too_waits_for_the_statement() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    driver.begin_run();
    let said = driver.command(CommandAction::FLATTEN);
    assert_eq!(said.refused(), Reasons::NOT_RECONCILED);
    driver.statement(&[position(50, 0)]);
    assert_eq!(driver.timer().request().lots, Lots(50));
}

#[test]
fn a_statement_that_says_what_is_known_changes_nothing() {
    let (mut driver, id) = working();
    driver.fill(id, 20, PRICE);
    let (live, account) = (driver.order.live().to_vec(), driver.risk.account());
    driver.begin_run();
    let said = driver.statement(&[order(id, 20), position(20, 0)]);
    assert!(
        said.iter().all(|said| said.is_silent() && said.positions.is_empty() && said.equities.is_empty())
    );
    assert_eq!((driver.order.live(), driver.risk.account()), (&*live, account));
    assert_eq!(driver.risk.mode(), Mode::Active);
}

#[test]
fn orders_on_their_way_are_known_while_the_venue_lists_them() {
    let mut driver = Driver::new(&settings());
    let id = driver.signal(UP).request().client_order_id;
    driver.begin_run();
    let market = Reconciled { price: Points(0), ..order(id, 0) };
    assert!(driver.statement(&[market]).iter().all(Said::is_silent));
    assert_eq!(driver.state_of(id), Some(OrderState::PENDING_NEW));
}

#[test]
fn an_order_that_the_venue_does_not_list_is_unknown_asked_about_and_never_sent_again() {
    let mut driver = Driver::new(&settings());
    let id = driver.signal(UP).request().client_order_id;
    driver.wait(3 * SECOND).begin_run();
    let said = driver.statement(&[]);
    assert_eq!((codes(&said), said[0].change().to), (vec![AlertCode::ORDER_UNKNOWN], OrderState::UNKNOWN));
    assert!(said[0].requests.is_empty(), "the request may still be on its way");
    assert_eq!(driver.signal(UP).requests.len(), 0, "the instrument is frozen");
    driver.wait(7 * SECOND);
    assert_eq!(driver.timer().asked(), [id], "ten seconds after it was requested");
    let said = driver.say_because(id, ExecutionKind::REJECTED, RejectReason::UNKNOWN_ORDER);
    assert_eq!((said.change().to, driver.risk.mode()), (OrderState::REJECTED, Mode::Active));
    driver.wait(5 * SECOND);
    assert_eq!(driver.signal(UP).approved(), 50, "it never arrived, so it is decided anew");
}

#[test]
fn an_unknown_order_that_the_venue_lists_works_again() {
    let (mut driver, id) = working();
    driver.say(id, ExecutionKind::UNKNOWN);
    driver.begin_run();
    let said = driver.statement(&[order(id, 0)]);
    let change = said[0].change();
    assert_eq!(
        (change.from, change.to, change.event),
        (OrderState::UNKNOWN, OrderState::WORKING, OrderEvent::RECONCILED)
    );
    assert_eq!((codes(&said), driver.risk.mode()), (vec![], Mode::Active));
}

#[test]
fn an_order_that_was_filled_further_is_taken_over_told_and_halts() {
    let (mut driver, id) = working();
    driver.begin_run();
    let said = driver.statement(&[order(id, 30), position(30, PRICE)]);
    assert_eq!(codes(&said), [AlertCode::ORDER_DIFFERS, AlertCode::POSITION_DIFFERS]);
    assert_eq!((said[0].alerts[0].observed, said[0].alerts[0].limit), (30, 0));
    assert_eq!((said[0].change().filled_lots, said[0].change().to), (Lots(30), OrderState::PARTIALLY_FILLED));
    assert_eq!((driver.net(), driver.risk.mode()), (30, Mode::Halted));
    assert_eq!(driver.risk.state().causes, ["reconcile"]);
    driver.fill(id, 20, PRICE);
    assert_eq!((driver.net(), driver.state_of(id)), (50, None), "the rest is counted once");
    driver.command(CommandAction::RESUME);
    assert_eq!(driver.risk.mode(), Mode::Active);
}

#[test]
fn an_open_order_that_is_not_ours_or_has_ended_for_us_is_told_and_halts() {
    for foreign in [0, 77] {
        let mut driver = Driver::new(&settings());
        driver.begin_run();
        let said = driver.statement(&[order(ClientOrderId(foreign), 0)]);
        assert_eq!((codes(&said), driver.risk.mode()), (vec![AlertCode::UNKNOWN_ORDER], Mode::Halted));
    }
    let (mut driver, id) = working();
    driver.say(id, ExecutionKind::CANCELLED);
    driver.begin_run();
    let said = driver.statement(&[order(id, 0)]);
    assert_eq!((codes(&said), driver.risk.mode()), (vec![AlertCode::UNKNOWN_ORDER], Mode::Halted));
    assert_eq!(driver.order.live(), [], "what ended stays ended");
}

#[test]
fn another_balance_is_told_and_not_taken_over() {
    let mut driver = Driver::new(&settings());
    let ours = driver.risk.account().balance;
    let balance = |micros| Reconciled {
        balance: Micros(micros),
        item: StatementItem::BALANCE,
        instrument: InstrumentId::NONE,
        ..Reconciled::default()
    };
    driver.begin_run();
    assert_eq!(codes(&driver.statement(&[balance(ours.0)])), []);
    let said = driver.statement(&[balance(ours.0 + 5)]);
    assert_eq!((codes(&said), driver.risk.mode()), (vec![AlertCode::BALANCE_DIFFERS], Mode::Active));
    assert_eq!(driver.risk.account().balance, ours);
}

#[test]
fn a_statement_that_breaks_off_does_not_count() {
    let (mut driver, id) = working();
    driver.begin_run();
    assert!(driver.step(&order(id, 0), |_| {}).is_silent());
    driver.begin_run();
    let said = driver.statement(&[]);
    assert_eq!(said[0].change().to, OrderState::UNKNOWN, "listed by the first, not by the second");
}

#[test]
fn an_item_of_nothing_we_trade_is_told_and_halts() {
    let mut driver = Driver::new(&settings());
    driver.begin_run();
    let said = driver.statement(&[Reconciled { instrument: InstrumentId(9), ..position(5, 100) }]);
    assert_eq!((codes(&said), driver.risk.mode()), (vec![AlertCode::POSITION_DIFFERS], Mode::Halted));
}

/// A synthetic opposite fill: the strategy thinks that it is flat while the venue holds a position.
#[test]
fn nautilus_4736_a_position_that_is_known_stays_and_one_that_is_not_is_taken_over_without_a_fill() {
    let mut driver = Driver::new(&settings());
    driver.enter(DOWN);
    driver.begin_run();
    let said = driver.statement(&[position(-50, 0)]);
    assert!(said.iter().all(|said| said.positions.is_empty() && said.is_silent()));
    assert_eq!((driver.net(), driver.signal(DOWN).requests.len()), (-50, 0), "it knows what it holds");

    let mut driver = Driver::new(&settings());
    driver.quote(114_540, 114_550);
    let account = driver.risk.account();
    driver.begin_run();
    let said = driver.statement(&[position(-50, 114_545)]);
    let told = said[0].positions[0];
    assert_eq!((told.net_lots, told.entry_cost, told.realised), (Lots(-50), -50 * 114_545, Micros(0)));
    assert_eq!((said[0].changes.len(), codes(&said)), (0, vec![AlertCode::POSITION_DIFFERS]));
    assert_eq!((driver.net(), driver.risk.account().balance), (-50, account.balance), "nothing is realised");
    assert_eq!(driver.signal(UP).approved(), 50, "closing what is held is no new risk");
}

/// A position whose venue says flat is no longer one.
#[test]
fn nautilus_4736_a_position_that_the_venue_no_longer_holds_is_gone() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    driver.begin_run();
    let said = driver.statement(&[]);
    assert_eq!((said[0].positions[0].net_lots, codes(&said)), (Lots(0), vec![AlertCode::POSITION_DIFFERS]));
    assert_eq!(driver.signal(DOWN).refused(), Reasons::HALTED, "there is nothing to close");
}

/// A working order dropped because the fills do not make up the venue's position.
#[test]
fn nautilus_5000_a_working_order_stays_when_the_position_differs() {
    let (mut driver, id) = working();
    driver.begin_run();
    let said = driver.statement(&[order(id, 0), position(70, PRICE)]);
    assert_eq!(codes(&said), [AlertCode::POSITION_DIFFERS]);
    assert_eq!((driver.state_of(id), driver.net()), (Some(OrderState::WORKING), 70));
    driver.fill(id, 50, PRICE);
    assert_eq!(driver.net(), 120, "and its fill counts");
}

/// Fills that the venue repeats after a restart applied a second time.
#[test]
fn nautilus_3046_a_fill_that_is_repeated_after_a_restart_is_not_applied_again() {
    let (mut driver, id) = working();
    let fill = pawl_journal::record::ExecutionReport {
        lots: Lots(20),
        price: Points(PRICE),
        leaves_lots: Lots(30),
        ..driver.report(id, ExecutionKind::PARTIALLY_FILLED)
    };
    driver.tell(&fill);
    driver.begin_run();
    driver.statement(&[order(id, 20), position(20, 0)]);
    assert_eq!(driver.tell(&fill).codes(), [AlertCode::DUPLICATE_REPORT]);
    assert_eq!(driver.net(), 20);
    // One that the statement took into account and that never came before is no news either.
    driver.executions += 1;
    let missed = pawl_journal::record::ExecutionReport { execution_sequence: driver.executions, ..fill };
    driver.begin_run();
    driver.statement(&[order(id, 40), position(40, PRICE)]);
    assert_eq!(driver.tell(&missed).codes(), [AlertCode::DUPLICATE_REPORT]);
    assert_eq!(driver.net(), 40, "counted once, by the statement");
}

/// A position held for longer than the venue's history of fills goes back.
#[test]
fn nautilus_3104_a_position_of_months_ago_is_the_journals_and_needs_no_history() {
    let mut driver = Driver::new(&settings());
    driver.enter(DOWN);
    driver.wait(120 * 86_400 * SECOND);
    driver.quote(113_000, 113_010);
    let account = driver.risk.account();
    driver.begin_run();
    assert!(driver.statement(&[position(-50, 0)]).iter().all(Said::is_silent));
    assert_eq!((driver.net(), driver.risk.account(), driver.risk.mode()), (-50, account, Mode::Active));
}

/// Orders of before the restart that nobody can cancel any more.
#[test]
fn hummingbot_366_an_order_of_before_the_restart_can_be_cancelled_after_it() {
    let (mut driver, id) = working();
    driver.begin_run();
    driver.statement(&[order(id, 0)]);
    assert_eq!(cancelled(&driver.signal(DOWN)), [id]);
    assert_eq!(driver.say(id, ExecutionKind::CANCELLED).change().to, OrderState::CANCELLED);
}

/// Orders lost to network errors that live on at the venue, while new ones are sent beside them.
#[test]
fn hummingbot_3374_an_order_whose_answer_was_lost_is_found_again_before_another_is_sent() {
    let mut settings = settings();
    settings.order.order_type = OrderStyle::Limit;
    let mut driver = Driver::new(&settings);
    let id = driver.signal(UP).request().client_order_id;
    driver.wait(10 * SECOND);
    assert_eq!(driver.timer().asked(), [id]);
    for _ in 0..20 {
        driver.wait(SECOND);
        assert!(driver.signal(UP).requests.iter().all(|it| it.client_order_id == id), "nothing new is sent");
    }
    assert_eq!(driver.say(id, ExecutionKind::ACCEPTED).change().to, OrderState::WORKING);
    assert_eq!(cancelled(&driver.signal(DOWN)), [id], "and it is ours to cancel");
}

/// Every order that was open before is known after, whatever became of the others.
#[test]
fn lean_7048_every_order_that_was_open_before_is_known_after() {
    let mut settings = settings_of(&["EURUSD", "GBPUSD", "AUDUSD"]);
    settings.order.order_type = OrderStyle::Limit;
    let mut driver = Driver::new(&settings);
    let ids: Vec<_> =
        (0..3).map(|at| driver.signal_of(InstrumentId(at), UP).request().client_order_id).collect();
    ids.iter().for_each(|id| drop(driver.say(*id, ExecutionKind::ACCEPTED)));
    let listed = |at: usize| Reconciled { instrument: InstrumentId(at as u16), ..order(ids[at], 0) };
    driver.begin_run();
    driver.statement(&[listed(2), listed(0)]);
    let states: Vec<_> = ids.iter().map(|id| driver.state_of(*id)).collect();
    assert_eq!(
        states,
        [OrderState::WORKING, OrderState::UNKNOWN, OrderState::WORKING].map(Some),
        "listed, not listed, listed"
    );
}
