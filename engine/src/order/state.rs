//! The life of an order: one table of state x event, drawn here and walked by every order.
//!
//! ```text
//!                     +--------------------- rejected ----------------------------> REJECTED
//!                     |
//!  NONE --submit--> PENDING_NEW --accepted--> WORKING --fill--> PARTIALLY_FILLED --last fill--> FILLED
//!                     |                        |  ^               |  ^
//!                     +-------- cancel --------+--|-----cancel----+  |
//!                     v                           |                  |
//!                   PENDING_CANCEL --cancel rejected-----------------+        (back to where it rests)
//!                     |      ^
//!                     |      +---cancel--- PENDING_REPLACE <--replace-- WORKING, PARTIALLY_FILLED
//!                     |                       +-------------- replaced, replace rejected --> where it rests
//!                     +--cancelled--> CANCELLED      expired --> EXPIRED      (from every live state)
//!
//!  no answer in time, or the venue does not know: every live state --> UNKNOWN --any later report--> what it says
//!                                                                       |  ^
//!                                                                       +--+ query, again and again
//! ```
//!
//! [`TABLE`] is the whole of it. A row is ordinary (`to`, `rests`), odd but real (`odd`: a fill after a cancel, an
//! acceptance after a fill, a cancel rejected because the fill was faster), or impossible (`NO`), which becomes a
//! typed error and an alert. Invariants: a final state never becomes a live one again; nothing but what the venue says
//! leaves `UNKNOWN`, so an order whose outcome is not known is never sent again.
//! States and events follow the execution types and order states of FIX 4.4, tags 39 and 150.

use pawl_journal::record::{OrderEvent, OrderState};

/// An event that the state of the order does not allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "an order that is {state} cannot see {event}: compare the venue's record of the order with the journal"
)]
pub struct Impossible {
    /// Where the order is.
    pub state: OrderState,
    /// What was to move it.
    pub event: OrderEvent,
}

/// Where an event takes an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Next {
    /// The state after the event; may be the state before.
    pub state: OrderState,
    /// Whether the row is one that only delays, losses and races produce.
    pub is_odd: bool,
}

/// One cell of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cell {
    To(OrderState),
    /// To `WORKING`, or `PARTIALLY_FILLED` if something was filled.
    Rests,
    Odd(OrderState),
    Impossible,
}

const EVENTS: usize = 15;
const STATES: usize = 11;

const NO: Cell = Cell::Impossible;
const RESTS: Cell = Cell::Rests;

const PN: OrderState = OrderState::PENDING_NEW;
const W: OrderState = OrderState::WORKING;
const PF: OrderState = OrderState::PARTIALLY_FILLED;
const PC: OrderState = OrderState::PENDING_CANCEL;
const PR: OrderState = OrderState::PENDING_REPLACE;
const U: OrderState = OrderState::UNKNOWN;
const F: OrderState = OrderState::FILLED;
const C: OrderState = OrderState::CANCELLED;
const E: OrderState = OrderState::EXPIRED;
const R: OrderState = OrderState::REJECTED;

const fn to(state: OrderState) -> Cell {
    Cell::To(state)
}

const fn odd(state: OrderState) -> Cell {
    Cell::Odd(state)
}

/// Every state (row) and event (column).
#[rustfmt::skip]
const TABLE: [[Cell; EVENTS]; STATES] = [
    //             submit    cancel    replace   accepted  rejected  part      filled    cancelled expired   replaced  cxl rej   rpl rej   unknown   query     reconciled
    /* none */    [to(PN),   NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO,       NO    ],
    /* new */     [NO,       to(PC),   NO,       to(W),    to(R),    to(PF),   to(F),    to(C),    to(E),    NO,       NO,       NO,       to(U),    NO,       RESTS ],
    /* working */ [NO,       to(PC),   to(PR),   odd(W),   odd(R),   to(PF),   to(F),    to(C),    to(E),    odd(W),   odd(W),   odd(W),   to(U),    NO,       RESTS ],
    /* partly */  [NO,       to(PC),   to(PR),   odd(PF),  NO,       to(PF),   to(F),    to(C),    to(E),    odd(PF),  odd(PF),  odd(PF),  to(U),    NO,       RESTS ],
    /* cancel */  [NO,       NO,       NO,       odd(PC),  odd(R),   to(PC),   to(F),    to(C),    to(E),    odd(PC),  RESTS,    odd(PC),  to(U),    NO,       to(PC)],
    /* replace */ [NO,       to(PC),   NO,       odd(PR),  odd(R),   to(PR),   to(F),    to(C),    to(E),    RESTS,    odd(PR),  RESTS,    to(U),    NO,       to(PR)],
    /* unknown */ [NO,       NO,       NO,       RESTS,    to(R),    to(PF),   to(F),    to(C),    to(E),    RESTS,    RESTS,    RESTS,    odd(U),   to(U),    RESTS ],
    /* filled */  [NO,       NO,       NO,       odd(F),   NO,       odd(F),   odd(F),   odd(F),   odd(F),   odd(F),   odd(F),   odd(F),   odd(F),   NO,       NO    ],
    /* cancelled*/[NO,       NO,       NO,       odd(C),   NO,       odd(C),   odd(F),   odd(C),   odd(C),   odd(C),   odd(C),   odd(C),   odd(C),   NO,       NO    ],
    /* expired */ [NO,       NO,       NO,       odd(E),   NO,       odd(E),   odd(F),   odd(E),   odd(E),   odd(E),   odd(E),   odd(E),   odd(E),   NO,       NO    ],
    /* rejected */[NO,       NO,       NO,       NO,       odd(R),   NO,       NO,       NO,       NO,       NO,       odd(R),   odd(R),   odd(R),   NO,       NO    ],
];

/// Where `event` takes an order that is in `state`; `filled` says whether any of it was filled.
///
/// # Errors
/// [`Impossible`] if the order cannot see that event in that state, or either is not known to this build.
pub fn next(state: OrderState, event: OrderEvent, filled: bool) -> Result<Next, Impossible> {
    let cell = usize::from(event.0)
        .checked_sub(1)
        .and_then(|column| TABLE.get(usize::from(state.0)).and_then(|row| row.get(column)));
    match cell {
        Some(Cell::To(state)) => Ok(Next { state: *state, is_odd: false }),
        Some(Cell::Odd(state)) => Ok(Next { state: *state, is_odd: true }),
        Some(Cell::Rests) => Ok(Next { state: if filled { PF } else { W }, is_odd: false }),
        Some(Cell::Impossible) | None => Err(Impossible { state, event }),
    }
}

/// Whether the order waits for an answer to a request of ours.
#[must_use]
pub const fn is_pending(state: OrderState) -> bool {
    matches!(state, PN | PC | PR)
}

/// Whether a cancel may be requested.
#[must_use]
pub const fn can_cancel(state: OrderState) -> bool {
    matches!(state, PN | W | PF | PR)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REQUESTS: [OrderEvent; 3] = [OrderEvent::SUBMIT, OrderEvent::CANCEL, OrderEvent::REPLACE];

    fn each() -> impl Iterator<Item = (OrderState, OrderEvent, bool)> {
        OrderState::ALL.iter().flat_map(|state| {
            OrderEvent::ALL.iter().flat_map(|event| [false, true].map(|filled| (*state, *event, filled)))
        })
    }

    #[test]
    fn the_table_has_a_cell_for_every_state_and_event() {
        assert_eq!((STATES, EVENTS), (OrderState::ALL.len(), OrderEvent::ALL.len()));
        for (index, state) in OrderState::ALL.iter().enumerate() {
            assert_eq!(usize::from(state.0), index, "rows are in code order");
        }
        for (index, event) in OrderEvent::ALL.iter().enumerate() {
            assert_eq!(usize::from(event.0), index + 1, "columns are in code order");
        }
    }

    /// The table said again, by rule instead of by row.
    fn by_rule(state: OrderState, event: OrderEvent, filled: bool) -> Option<(OrderState, bool)> {
        let rests = if filled { PF } else { W };
        let is_live = state != OrderState::NONE && !state.is_final();
        let answers = |pending| if state == pending || state == U { (rests, false) } else { (state, true) };
        match event {
            OrderEvent::SUBMIT => (state == OrderState::NONE).then_some((PN, false)),
            OrderEvent::CANCEL => [PN, W, PF, PR].contains(&state).then_some((PC, false)),
            OrderEvent::REPLACE => [W, PF].contains(&state).then_some((PR, false)),
            OrderEvent::QUERY => (state == U).then_some((U, false)),
            OrderEvent::RECONCILED if [PC, PR].contains(&state) => Some((state, false)),
            OrderEvent::RECONCILED => is_live.then_some((rests, false)),
            _ if state == OrderState::NONE => None,
            OrderEvent::REJECTED if state == PF || (state.is_final() && state != R) => None,
            OrderEvent::REJECTED => Some((R, ![PN, U].contains(&state))),
            OrderEvent::UNKNOWN if is_live => Some((U, state == U)),
            OrderEvent::UNKNOWN => Some((state, true)),
            OrderEvent::CANCEL_REJECTED | OrderEvent::REPLACE_REJECTED if state == R => Some((R, true)),
            _ if state == R => None,
            OrderEvent::FILLED => Some((F, !is_live)),
            _ if state.is_final() => Some((state, true)),
            OrderEvent::CANCELLED => Some((C, false)),
            OrderEvent::EXPIRED => Some((E, false)),
            OrderEvent::PARTIALLY_FILLED if [PC, PR].contains(&state) => Some((state, false)),
            OrderEvent::PARTIALLY_FILLED => Some((PF, false)),
            OrderEvent::ACCEPTED => Some(if state == PN { (W, false) } else { answers(U) }),
            _ if state == PN => None,
            OrderEvent::CANCEL_REJECTED => Some(answers(PC)),
            _ => Some(answers(PR)),
        }
    }

    #[test]
    fn every_cell_of_the_table_follows_the_rules() {
        for (state, event, filled) in each() {
            let found = next(state, event, filled).ok().map(|next| (next.state, next.is_odd));
            assert_eq!(found, by_rule(state, event, filled), "{state} {event} filled: {filled}");
        }
    }

    #[test]
    fn a_final_order_never_lives_again() {
        for (state, event, filled) in each().filter(|(state, ..)| state.is_final()) {
            if let Ok(next) = next(state, event, filled) {
                assert!(next.state.is_final() && next.is_odd, "{state} {event}");
            }
        }
    }

    #[test]
    fn a_filled_order_stays_filled_and_a_rejected_one_rejected() {
        for event in OrderEvent::ALL {
            for state in [F, R] {
                let after = next(state, *event, true).map_or(state, |next| next.state);
                assert_eq!(after, state, "{event}");
            }
        }
    }

    #[test]
    fn nothing_but_what_the_venue_says_leaves_unknown() {
        for event in REQUESTS {
            assert_eq!(next(U, event, false), Err(Impossible { state: U, event }));
        }
        assert_eq!(next(U, OrderEvent::QUERY, false), Ok(Next { state: U, is_odd: false }), "a question");
        for event in OrderEvent::ALL.iter().filter(|it| !REQUESTS.contains(it) && **it != OrderEvent::QUERY) {
            let after = next(U, *event, false).expect("every report is an answer").state;
            assert_eq!(after == U, *event == OrderEvent::UNKNOWN, "{event}");
        }
    }

    #[test]
    fn only_a_submit_makes_an_order_and_only_once() {
        for (state, event, filled) in each() {
            let made = next(state, event, filled).is_ok();
            if state == OrderState::NONE {
                assert_eq!(made, event == OrderEvent::SUBMIT);
            } else if event == OrderEvent::SUBMIT {
                assert!(!made);
            }
        }
    }

    #[test]
    fn every_live_order_can_be_filled_cancelled_expired_or_lost() {
        for state in [PN, W, PF, PC, PR, U] {
            for (event, after) in [
                (OrderEvent::FILLED, F),
                (OrderEvent::CANCELLED, C),
                (OrderEvent::EXPIRED, E),
                (OrderEvent::UNKNOWN, U),
            ] {
                assert_eq!(next(state, event, false).map(|next| next.state), Ok(after), "{state} {event}");
            }
        }
    }

    #[test]
    fn a_refused_cancel_or_replace_leaves_the_order_where_it_rests() {
        for (state, event) in [
            (PC, OrderEvent::CANCEL_REJECTED),
            (PR, OrderEvent::REPLACE_REJECTED),
            (PR, OrderEvent::REPLACED),
            (U, OrderEvent::CANCEL_REJECTED),
        ] {
            assert_eq!(next(state, event, false), Ok(Next { state: W, is_odd: false }));
            assert_eq!(next(state, event, true), Ok(Next { state: PF, is_odd: false }));
        }
    }

    #[test]
    fn the_odd_rows_that_reality_produces_are_possible() {
        for (state, event, after) in [
            (C, OrderEvent::PARTIALLY_FILLED, C),
            (C, OrderEvent::FILLED, F),
            (E, OrderEvent::FILLED, F),
            (F, OrderEvent::CANCEL_REJECTED, F),
            (F, OrderEvent::ACCEPTED, F),
            (F, OrderEvent::PARTIALLY_FILLED, F),
            (PF, OrderEvent::ACCEPTED, PF),
            (PC, OrderEvent::ACCEPTED, PC),
            (C, OrderEvent::REPLACED, C),
            (F, OrderEvent::REPLACED, F),
        ] {
            assert_eq!(next(state, event, true), Ok(Next { state: after, is_odd: true }), "{state} {event}");
        }
    }

    #[test]
    fn what_cannot_be_is_named_with_a_way_out() {
        let error = next(R, OrderEvent::FILLED, false).expect_err("a rejected order has no fills");
        assert_eq!(
            error.to_string(),
            "an order that is rejected cannot see filled: compare the venue's record of the order with the journal"
        );
        assert!(next(OrderState(99), OrderEvent::FILLED, false).is_err());
        assert!(next(W, OrderEvent(0), false).is_err());
        assert!(next(W, OrderEvent(99), false).is_err());
    }

    #[test]
    fn pending_and_cancellable_states_are_those_of_the_table() {
        for state in OrderState::ALL {
            assert_eq!(can_cancel(*state), next(*state, OrderEvent::CANCEL, false).is_ok());
        }
        assert_eq!(OrderState::ALL.iter().filter(|state| is_pending(**state)).count(), 3);
    }
}
