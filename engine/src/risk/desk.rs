//! `Desk`: all that risk holds of one instrument: its terms, quote, position, last signal and last answers.

use pawl_journal::record::{InstrumentId, Micros, OrderAction, Reasons, Side, Signal, Time, VerdictSource};

use super::market::Market;
use super::money::Conversion;
use super::position::Position;
use crate::instrument::Instrument;
use crate::stateful;

/// The last refusal that the journal holds, so that a standing one is written once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Refusal {
    pub(super) side: Side,
    pub(super) action: OrderAction,
    pub(super) reasons: Reasons,
}

stateful!(Refusal { side, action, reasons });

/// One instrument, as risk sees it.
#[derive(Debug, Clone)]
pub(super) struct Desk {
    pub(super) id: InstrumentId,
    pub(super) instrument: Instrument,
    /// Profit of one lot over one point, 1e-12 of the profit currency.
    pub(super) point_value: i64,
    /// Smallest order, lots.
    pub(super) volume_min: i64,
    /// Largest order, lots.
    pub(super) volume_max: i64,
    /// Adverse move that the sizing assumes and the stop allows, points.
    pub(super) stop_points: i64,
    /// How profit becomes account currency; none if it is that already.
    pub(super) conversion: Option<Conversion>,
    /// One bit per instrument whose profit this one's price converts.
    pub(super) converts: u64,
    pub(super) market: Market,
    pub(super) position: Position,
    /// Realised since the journal began, account currency, without commission.
    pub(super) realised: Micros,
    /// Realised before there was a rate to convert it, points x lots.
    pub(super) unconverted: i128,
    pub(super) unrealised: Micros,
    pub(super) commission: Micros,
    /// The last signal.
    pub(super) signal: Signal,
    /// Sign of the position that the stop closed; not entered again until the signal says something else.
    pub(super) stopped: i64,
    /// Who wants the position closed, while it is being closed.
    pub(super) closing: VerdictSource,
    /// Until when nothing is tried again: by side, and by whether it is a close that is wanted in any case.
    quiet: [[Time; 2]; 2],
    refusals: [Refusal; 3],
}

stateful!(Desk {
    market, position, realised, unconverted, unrealised, commission, signal, stopped, closing, quiet, refusals,
} but {
    id, instrument, point_value, volume_min, volume_max, stop_points, conversion, converts,
});

impl Desk {
    /// A desk with nothing held. The instrument is valid.
    pub(super) fn new(id: InstrumentId, instrument: &Instrument) -> Self {
        Self {
            id,
            instrument: instrument.clone(),
            point_value: instrument.point_value(),
            volume_min: instrument.lots_floor(instrument.volume_min).0,
            volume_max: instrument.lots_floor(instrument.volume_max).0,
            stop_points: instrument.stop_points,
            conversion: None,
            converts: 0,
            market: Market::new(),
            position: Position::default(),
            realised: Micros(0),
            unconverted: 0,
            unrealised: Micros(0),
            commission: Micros(0),
            signal: Signal::default(),
            stopped: 0,
            closing: VerdictSource::default(),
            quiet: [[Time(0); 2]; 2],
            refusals: [Refusal::default(); 3],
        }
    }

    /// Whether its positions or profits depend on a quote.
    pub(super) const fn is_valued(&self) -> bool {
        self.position.net != 0 || self.unconverted != 0
    }

    /// Nothing of this kind is tried again before `until`.
    pub(super) fn be_quiet(&mut self, side: Side, source: VerdictSource, until: Time) {
        *self.quiet_of(side, source) = until;
    }

    /// Whether an order of this kind may be tried.
    pub(super) fn may_try(&mut self, side: Side, source: VerdictSource, now: Time) -> bool {
        *self.quiet_of(side, source) <= now
    }

    fn quiet_of(&mut self, side: Side, source: VerdictSource) -> &mut Time {
        &mut self.quiet[usize::from(side == Side::SELL)][usize::from(source != VerdictSource::SIGNAL)]
    }

    /// Notes the last answer to a source; false if it is the same refusal as before.
    pub(super) fn note(&mut self, source: VerdictSource, refusal: Refusal) -> bool {
        let slot = &mut self.refusals[usize::from(source.0.clamp(1, 3) - 1)];
        let is_new = *slot != refusal || refusal.reasons.is_empty();
        *slot = refusal;
        is_new
    }
}
