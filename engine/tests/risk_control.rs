//! What stops trading and gets out of it: commands, latches, stops, retries.

mod risk_driver;

use pawl_engine::order::OrderStyle;
use pawl_engine::quantity::{Ppm, Span};
use pawl_engine::risk::Mode;
use pawl_journal::record::{
    AlertCode, CommandAction, CommandReason, ExecutionKind, InstrumentId, LimitName, LinkKind, LinkState,
    Lots, Micros, OrderAction, OrderState, OrderType, Reasons, RunStarted, Severity, TickMarks,
    VerdictSource, Vote,
};
use risk_driver::*;

const UP: Vote = Vote::UP;
const DOWN: Vote = Vote::DOWN;

fn limit_orders() -> Driver {
    let mut settings = settings();
    settings.order.order_type = OrderStyle::Limit;
    Driver::new(&settings)
}

#[test]
fn a_halt_stops_new_risk_at_once_and_only_resume_lifts_it() {
    let mut driver = Driver::new(&settings());
    let said = driver.command(CommandAction::HALT);
    assert_eq!((said.codes(), said.alerts[0].severity), (vec![AlertCode::HALTED], Severity::CRITICAL));
    assert_eq!(driver.signal(UP).refused(), Reasons::HALTED);
    driver.wait(24 * 3_600 * SECOND);
    driver.step(&RunStarted::default(), |_| {});
    assert!(driver.signal(UP).is_silent(), "a new day and a new run lift nothing");
    assert_eq!((driver.risk.mode(), driver.risk.is_halted()), (Mode::Halted, true));
    assert_eq!(driver.risk.state().causes, ["halt"]);
    assert_eq!(driver.command(CommandAction::RESUME).codes(), [AlertCode::RESUMED]);
    assert_eq!((driver.risk.mode(), driver.signal(UP).approved()), (Mode::Active, 50));
}

#[test]
fn a_halt_cancels_what_would_add_and_leaves_what_closes() {
    let mut driver = limit_orders();
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    let said = driver.command(CommandAction::HALT);
    assert_eq!(cancelled(&said), [id]);
    assert_eq!((said.verdict().source, said.verdict().action), (VerdictSource::COMMAND, OrderAction::CANCEL));

    let mut driver = limit_orders();
    let id = driver.signal(UP).request().client_order_id;
    driver.fill(id, 50, 114_540);
    driver.command(CommandAction::REDUCE_ONLY);
    let close = driver.signal(DOWN);
    assert_eq!((close.approved(), close.verdict().reasons.has(Reasons::REDUCE_ONLY)), (50, true));
    driver.say(close.request().client_order_id, ExecutionKind::ACCEPTED);
    assert!(driver.command(CommandAction::HALT).requests.is_empty(), "it only closes");
    assert!(driver.timer().is_silent());
}

#[test]
fn a_cancel_that_the_venue_refused_is_asked_again_while_halted() {
    let mut driver = limit_orders();
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    driver.command(CommandAction::HALT);
    driver.say(id, ExecutionKind::CANCEL_REJECTED);
    assert!(driver.timer().is_silent(), "not at once");
    driver.wait(5 * SECOND);
    assert_eq!(cancelled(&driver.timer()), [id]);
    driver.say(id, ExecutionKind::CANCELLED);
    driver.wait(60 * SECOND);
    assert!(driver.timer().is_silent());
}

#[test]
fn a_cancel_waits_for_a_venue_that_is_down() {
    let mut driver = limit_orders();
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    driver.link(LinkKind::VENUE, LinkState::DOWN);
    assert_eq!(driver.command(CommandAction::HALT).refused(), Reasons::VENUE_DOWN);
    assert!(driver.timer().is_silent());
    assert_eq!(cancelled(&driver.link(LinkKind::VENUE, LinkState::UP)), [id]);
}

#[test]
fn reduce_only_lets_out_and_not_in() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    assert_eq!(driver.command(CommandAction::REDUCE_ONLY).codes(), [AlertCode::REDUCE_ONLY]);
    assert_eq!(driver.risk.mode(), Mode::ReduceOnly);
    let said = driver.signal(DOWN);
    assert_eq!((said.approved(), said.verdict().reasons), (50, Reasons::REDUCE_ONLY));
    driver.fill(said.request().client_order_id, 50, 114_540);
    assert_eq!(driver.signal(DOWN).refused(), Reasons::REDUCE_ONLY);
    driver.command(CommandAction::RESUME);
    assert_eq!(driver.signal(DOWN).approved(), 49);
}

#[test]
fn a_disk_that_fills_up_lets_out_and_not_in_until_an_operator_resumes() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    let said = driver.engine_command(CommandAction::REDUCE_ONLY, CommandReason::JOURNAL_LOW);
    assert_eq!((said.codes(), said.alerts[0].severity), (vec![AlertCode::JOURNAL_LOW], Severity::CRITICAL));
    assert_eq!((driver.risk.mode(), driver.risk.state().causes), (Mode::ReduceOnly, vec!["journal_low"]));
    let said = driver.engine_command(CommandAction::HALT, CommandReason::JOURNAL_OUT);
    assert_eq!(said.codes(), [AlertCode::JOURNAL_OUT]);
    assert_eq!(driver.risk.mode(), Mode::Halted);
    assert_eq!(driver.risk.state().causes, ["journal_low", "journal_out"]);
    let out = driver.signal(DOWN);
    assert_eq!((out.approved(), out.verdict().reasons), (50, Reasons::HALTED.with(Reasons::REDUCE_ONLY)));
    driver.fill(out.request().client_order_id, 50, 114_540);
    assert_eq!(driver.signal(DOWN).refused(), Reasons::HALTED.with(Reasons::REDUCE_ONLY));
    assert_eq!(driver.command(CommandAction::RESUME).codes(), [AlertCode::RESUMED]);
    assert_eq!((driver.risk.mode(), driver.risk.state().causes), (Mode::Active, vec![]));
    assert_eq!(driver.signal(DOWN).approved(), 49);
}

#[test]
fn flatten_closes_every_position_and_halts() {
    let mut driver = Driver::new(&settings_of(&["EURUSD", "GBPUSD", "AUDUSD"]));
    driver.enter_of(InstrumentId(0), UP);
    driver.enter_of(InstrumentId(1), DOWN);
    let said = driver.command(CommandAction::FLATTEN);
    assert_eq!(said.codes(), [AlertCode::FLATTEN]);
    let closes: Vec<_> =
        said.requests.iter().map(|it| (it.instrument.0, it.side.sign(), it.lots.0)).collect();
    assert_eq!(closes, [(0, -1, 50), (1, 1, 49)]);
    assert!(said.verdicts.iter().all(|verdict| verdict.source == VerdictSource::COMMAND));
    assert!(said.requests.iter().all(|it| it.order_type == OrderType::MARKET && it.price.0 == 0));
    assert!(driver.timer().is_silent(), "the closes are on their way");
    assert_eq!(driver.signal_of(InstrumentId(2), UP).refused(), Reasons::HALTED);
    for request in said.requests {
        driver.fill(request.client_order_id, request.lots.0, 114_540);
    }
    assert!(driver.timer().is_silent() && driver.risk.live().is_empty());
    assert_eq!(driver.risk.state().causes, ["flatten"]);
}

#[test]
fn flatten_cancels_first_and_closes_when_the_cancel_is_confirmed() {
    let mut driver = limit_orders();
    let id = driver.signal(UP).request().client_order_id;
    driver.fill(id, 20, 114_540);
    let said = driver.command(CommandAction::FLATTEN);
    assert_eq!((cancelled(&said), said.requests.len()), (vec![id], 1));
    assert!(driver.timer().is_silent());
    let partly = driver.fill(id, 5, 114_540);
    assert!(partly.requests.is_empty(), "the cancel was overtaken by a fill");
    let close = driver.say(id, ExecutionKind::CANCELLED);
    assert_eq!((close.request().lots, close.request().side.sign()), (Lots(25), -1));
}

#[test]
fn flatten_goes_on_until_flat() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    let id = driver.command(CommandAction::FLATTEN).request().client_order_id;
    driver.fill(id, 30, 114_540);
    let rest = driver.say(id, ExecutionKind::CANCELLED).request();
    assert_eq!(rest.lots, Lots(20), "what was not filled is ordered again at once");
    assert!(driver.say(rest.client_order_id, ExecutionKind::REJECTED).requests.is_empty());
    driver.wait(5 * SECOND - 1);
    assert!(driver.timer().is_silent(), "a venue that rejects is not hammered");
    driver.wait(1);
    let last = driver.timer().request();
    assert_eq!(last.lots, Lots(20));
    driver.fill(last.client_order_id, 20, 114_540);
    assert_eq!(driver.net(), 0);
    let late = driver.fill(id, 3, 114_540);
    assert_eq!((driver.net(), late.request().lots), (-3, Lots(3)), "a late fill is closed too");
}

#[test]
fn flatten_waits_for_an_unknown_order_and_says_why() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    let id = driver.command(CommandAction::FLATTEN).request().client_order_id;
    let said = driver.say(id, ExecutionKind::UNKNOWN);
    assert_eq!((said.refused(), said.verdict().source), (Reasons::UNKNOWN_ORDER, VerdictSource::COMMAND));
    driver.wait(60 * SECOND);
    let said = driver.timer();
    assert_eq!((said.asked(), said.verdicts.len()), (vec![id], 0));
    driver.fill(id, 50, 114_540);
    assert_eq!((driver.net(), driver.timer().is_silent()), (0, true), "it was filled after all");
}

#[test]
fn a_close_is_sliced_to_what_the_instrument_takes_and_not_to_the_order_limit() {
    let mut settings = settings();
    settings.instruments[0].volume_max = pawl_engine::quantity::Decimal(40_000_000);
    let mut driver = Driver::new(&settings);
    let id = driver.signal(UP).request().client_order_id;
    driver.fill(id, 90, 114_550);
    driver.limit(LimitName::MAX_ORDER, 1_000_000);
    let first = driver.command(CommandAction::FLATTEN);
    assert_eq!((first.request().lots, first.verdict().wanted_lots), (Lots(40), Lots(90)));
    assert_eq!(first.verdict().reasons, Reasons::MAX_ORDER);
    let second = driver.fill(first.request().client_order_id, 40, 114_540);
    assert_eq!(second.request().lots, Lots(40), "slice by slice");
    let last = driver.fill(second.request().client_order_id, 40, 114_540);
    assert_eq!((last.request().lots, last.verdict().reasons), (Lots(10), Reasons::NONE));
}

#[test]
fn resume_ends_a_flatten() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    driver.link(LinkKind::VENUE, LinkState::DOWN);
    assert_eq!(driver.command(CommandAction::FLATTEN).refused(), Reasons::VENUE_DOWN);
    driver.command(CommandAction::RESUME);
    assert!(driver.link(LinkKind::VENUE, LinkState::UP).is_silent());
    assert_eq!(driver.net(), 50);
}

#[test]
fn a_position_that_loses_its_stop_is_closed_and_not_entered_again() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    assert!(driver.quote(114_351, 114_361).is_silent(), "199 points below the entry");
    let said = driver.quote(114_350, 114_360);
    let verdict = said.verdict();
    assert_eq!(
        (verdict.source, verdict.action, said.approved()),
        (VerdictSource::LIMIT, OrderAction::NEW, 50)
    );
    assert!(driver.signal(UP).is_silent(), "being closed");
    driver.fill(said.request().client_order_id, 50, 114_350);
    assert!(driver.signal(UP).is_silent(), "the signal never changed its mind");
    assert!(driver.signal(Vote::FLAT).is_silent());
    assert_eq!(driver.signal(UP).approved(), 49);
}

#[test]
fn a_stopped_position_takes_no_signal_until_it_is_flat() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    let id = driver.quote(114_350, 114_360).request().client_order_id;
    assert!(driver.signal(DOWN).is_silent());
    driver.quote(114_600, 114_610);
    driver.fill(id, 20, 114_600);
    let rest = driver.say(id, ExecutionKind::CANCELLED);
    assert_eq!(rest.request().lots, Lots(30), "the market came back, the close goes on");
    driver.fill(rest.request().client_order_id, 30, 114_600);
    assert_eq!(driver.signal(UP).approved(), 50, "the signal was something else in between");
}

#[test]
fn a_short_position_is_stopped_at_the_ask() {
    let mut driver = Driver::new(&settings());
    driver.enter(DOWN);
    assert!(driver.quote(114_735, 114_739).is_silent());
    let said = driver.quote(114_735, 114_740);
    assert_eq!((said.request().side.sign(), said.request().lots), (1, Lots(50)));
    driver.fill(said.request().client_order_id, 50, 114_740);
    assert_eq!(driver.signal(UP).approved(), 49, "the other direction is free");
}

#[test]
fn a_stop_works_while_halted_and_cancels_what_is_in_the_way() {
    let mut driver = limit_orders();
    let id = driver.signal(UP).request().client_order_id;
    driver.fill(id, 50, 114_540);
    let exit = driver.signal(DOWN).request().client_order_id;
    driver.say(exit, ExecutionKind::ACCEPTED);
    let halted = driver.command(CommandAction::HALT);
    assert_eq!(cancelled(&halted), [exit], "closing and reversing adds");
    assert!(driver.quote(114_340, 114_350).is_silent(), "its cancel is on the way");
    let said = driver.say(exit, ExecutionKind::CANCELLED);
    assert_eq!((said.verdict().source, said.request().lots), (VerdictSource::LIMIT, Lots(50)));
}

#[test]
fn a_rejected_order_is_not_tried_again_for_a_while() {
    let mut driver = Driver::new(&settings());
    for kind in [ExecutionKind::REJECTED, ExecutionKind::CANCELLED, ExecutionKind::EXPIRED] {
        let id = driver.signal(UP).request().client_order_id;
        driver.say(id, kind);
        assert!(driver.signal(UP).is_silent());
        driver.wait(5 * SECOND - 1);
        assert!(driver.signal(UP).is_silent());
        driver.wait(1);
    }
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::REJECTED);
    assert_eq!(driver.signal(DOWN).approved(), 50, "the other side is another thing");
}

#[test]
fn a_signal_that_turns_cancels_what_is_on_the_way_before_it_sends() {
    let mut driver = limit_orders();
    let id = driver.signal(UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    let said = driver.signal(DOWN);
    assert_eq!((cancelled(&said), said.requests.len()), (vec![id], 1));
    assert_eq!((said.verdict().source, said.verdict().target), (VerdictSource::SIGNAL, id));
    assert!(driver.signal(DOWN).is_silent(), "waits for the venue");
    driver.say(id, ExecutionKind::CANCELLED);
    assert_eq!(driver.signal(DOWN).approved(), 50);
}

#[test]
fn a_flat_signal_wants_nothing() {
    let mut driver = Driver::new(&settings());
    assert!(driver.signal(Vote::FLAT).is_silent());
    driver.enter(UP);
    assert!(driver.signal(Vote::FLAT).is_silent() && driver.signal(UP).is_silent());
}

#[test]
fn a_lost_drawdown_starts_over_when_resumed() {
    let mut settings = settings();
    settings.risk.max_drawdown = Ppm(600);
    settings.risk.max_daily_loss = dollars(60);
    let mut driver = Driver::new(&settings);
    driver.enter(UP);
    let said = driver.quote(114_430, 114_440);
    assert_eq!(said.codes(), [AlertCode::DAILY_LOSS, AlertCode::DRAWDOWN]);
    assert_eq!(driver.risk.state().causes, ["daily_loss", "drawdown"]);
    assert!(driver.quote(114_425, 114_435).is_silent(), "told once");
    let said = driver.command(CommandAction::RESUME);
    assert_eq!((said.codes(), driver.risk.mode()), (vec![AlertCode::RESUMED], Mode::Active));
    let account = said.equity();
    assert_eq!((account.peak, account.drawdown_ppm, account.daily), (account.equity, 0, Micros(0)));
    assert_eq!(account.drawdown_ppm_max, 625, "the deepest is history and stays");
    assert!(driver.quote(114_420, 114_430).is_silent());
    driver.quote(114_360, 114_370);
    let account = driver.risk.account();
    assert_eq!((account.daily, account.drawdown_ppm), (Micros(-32_500_000), 325));
}

#[test]
fn a_resumed_halt_of_an_operator_moves_neither_peak_nor_day() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    driver.quote(114_450, 114_460);
    driver.command(CommandAction::HALT);
    let before = driver.risk.account();
    driver.command(CommandAction::RESUME);
    assert_eq!(driver.risk.account(), before);
}

#[test]
fn a_loss_limit_cancels_what_adds_as_a_limit() {
    let mut settings = settings_of(&["EURUSD", "GBPUSD"]);
    settings.risk.max_daily_loss = dollars(60);
    settings.order.order_type = OrderStyle::Limit;
    let mut driver = Driver::new(&settings);
    let held = driver.signal(UP).request().client_order_id;
    driver.fill(held, 50, 114_550);
    let id = driver.signal_of(InstrumentId(1), UP).request().client_order_id;
    driver.say(id, ExecutionKind::ACCEPTED);
    let said = driver.quote(114_430, 114_440);
    assert_eq!((cancelled(&said), said.verdict().source), (vec![id], VerdictSource::LIMIT));
}

#[test]
fn a_limit_changes_by_command_and_is_told() {
    let mut driver = Driver::new(&settings());
    let said = driver.limit(LimitName::MAX_ORDER, 25_000_000);
    assert_eq!(said.codes(), [AlertCode::LIMIT_CHANGED]);
    assert_eq!((said.alerts[0].observed, said.alerts[0].limit), (25_000_000, 100_000_000));
    assert_eq!(driver.risk.limit(LimitName::MAX_ORDER), 25_000_000);
    assert_eq!(driver.signal(UP).approved(), 25);
}

#[test]
fn a_loss_limit_lowered_below_the_loss_halts_in_the_same_step() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    driver.quote(114_450, 114_460);
    let said = driver.limit(LimitName::MAX_DAILY_LOSS, 50_000_000);
    assert_eq!(said.codes(), [AlertCode::LIMIT_CHANGED, AlertCode::DAILY_LOSS]);
}

#[test]
fn commands_that_make_no_sense_change_nothing_and_are_told() {
    let mut driver = Driver::new(&settings());
    for (name, value) in [
        (LimitName::MAX_ORDER, 0),
        (LimitName::MAX_POSITION, -1),
        (LimitName::PRICE_BAND, 1_000_001),
        (LimitName::MAX_QUOTE_AGE, 0),
        (LimitName::MAX_PREDICTION_AGE, -5),
        (LimitName::MAX_SPREAD, -1),
        (LimitName::MAX_ORDER_RATE, 1_025),
        (LimitName::MAX_OPEN_ORDERS, 65),
        (LimitName::MAX_DAILY_LOSS, 0),
        (LimitName::MAX_DRAWDOWN, 0),
        (LimitName::NONE, 5),
        (LimitName(77), 5),
    ] {
        let before = driver.risk.limit(name);
        let said = driver.limit(name, value);
        assert_eq!(said.codes(), [AlertCode::COMMAND_REFUSED], "{name} = {value}");
        assert_eq!((said.alerts[0].observed, said.alerts[0].limit), (value, before));
        assert_eq!(driver.risk.limit(name), before);
    }
    assert_eq!(driver.command(CommandAction(99)).codes(), [AlertCode::COMMAND_REFUSED]);
    assert_eq!(driver.signal(UP).approved(), 50);
}

#[test]
fn closing_an_unknown_mark_or_stale_quote_does_not_stop_an_operator() {
    let mut driver = Driver::new(&settings());
    driver.enter(UP);
    driver.wait(3_600 * SECOND);
    let tick = driver.tick_of(EURUSD, TickMarks::CROSSED);
    driver.step(&tick, |_| {});
    driver.link(LinkKind::FEED, LinkState::DOWN);
    let id = driver.command(CommandAction::FLATTEN).request().client_order_id;
    assert_eq!(driver.state_of(id), Some(OrderState::PENDING_NEW));
}

#[test]
fn one_signal_a_step_is_acted_on_and_an_instrument_gets_one_new_order() {
    let mut settings = settings();
    settings.risk.retry_after = Span(0);
    let mut driver = Driver::new(&settings);
    let tick = driver.tick_of(EURUSD, TickMarks::NONE);
    let signal = |direction| pawl_journal::record::Signal { direction, ..Default::default() };
    let said = driver.step(&tick, |step| {
        step.push(&signal(UP));
        step.push(&signal(DOWN));
    });
    assert_eq!((said.requests.len(), said.request().side.sign()), (1, -1), "the last one counts");
}
