//! Feeds steps to a feature stage and reads back what it appended.

use pawl_engine::Stage as _;
use pawl_engine::feature::{Feature, FeatureError, FeatureSettings};
use pawl_engine::instrument::Instrument;
use pawl_engine::settings::{AccountSettings, Settings};
use pawl_journal::record::{
    BarClosed, Body, Features, InstrumentId, Kind, Lots, Points, Sequence, Step, Tick, TickFlags, TickMarks,
    Time, Timer,
};

/// One quote of an instrument.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Quote {
    /// Step time, ns.
    pub(crate) time: i64,
    /// Bid, points.
    pub(crate) bid: i64,
    /// Ask, points.
    pub(crate) ask: i64,
    /// Volume of a trade; 0 for a quote.
    pub(crate) volume: i64,
}

/// What the stage appended to one step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Output {
    pub(crate) bars: Vec<BarClosed>,
    pub(crate) features: Option<Features>,
    pub(crate) values: Vec<f32>,
}

/// A feature stage and the step it is fed with.
pub(crate) struct Driver {
    pub(crate) feature: Feature,
    pub(crate) step: Step,
    sequence: u64,
}

/// Settings for instruments of these symbols.
pub(crate) fn settings(symbols: &[&str], bars: &str, columns: &[&str]) -> Settings {
    Settings {
        account: AccountSettings::default(),
        instruments: symbols.iter().map(|symbol| Instrument::well_known(symbol).expect(symbol)).collect(),
        ingress: pawl_engine::runtime::IngressSettings::default(),
        features: FeatureSettings {
            bars: bars.to_owned(),
            columns: columns.iter().map(|name| (*name).to_owned()).collect(),
        },
        agents: Vec::new(),
        signal: pawl_engine::inference::SignalSettings::default(),
        risk: pawl_engine::risk::RiskSettings::default(),
        order: pawl_engine::order::OrderSettings::default(),
        checkpoint: pawl_engine::settings::CheckpointSettings::default(),
    }
}

/// Why a stage with these bars and columns cannot be built.
pub(crate) fn refused(bars: &str, columns: &[&str]) -> FeatureError {
    Feature::new(&settings(&["EURUSD"], bars, columns)).expect_err("the settings are wrong")
}

impl Driver {
    pub(crate) fn new(symbols: &[&str], bars: &str, columns: &[&str]) -> Self {
        let feature = Feature::new(&settings(symbols, bars, columns)).expect("the settings are right");
        Self { feature, step: Step::new(), sequence: 0 }
    }

    /// One step with this input.
    pub(crate) fn input<T: Body>(&mut self, time: i64, body: &T) -> Output {
        self.sequence += 1;
        self.step.begin(Sequence(self.sequence), Time(time));
        self.step.push(body);
        self.feature.on_step(&mut self.step);
        let view = self.step.view();
        assert!(view.is_well_formed());
        let kinds: Vec<_> = view.records().skip(1).map(|record| record.kind().expect("known")).collect();
        assert!(kinds.is_sorted(), "bars come before features");
        let record = view.record(Kind::Features);
        Output {
            bars: view.all::<BarClosed>().copied().collect(),
            features: view.get::<Features>().copied(),
            values: record.map(|record| record.tail_reals::<Features>().to_vec()).unwrap_or_default(),
        }
    }

    /// One tick step of this instrument.
    pub(crate) fn tick(&mut self, instrument: u16, quote: Quote) -> Output {
        self.input(quote.time, &tick(instrument, quote))
    }

    /// One timer step.
    pub(crate) fn timer(&mut self, time: i64) -> Output {
        self.input(time, &Timer { due: Time(time), interval_ns: Time::SECOND })
    }
}

/// A usable tick.
pub(crate) fn tick(instrument: u16, quote: Quote) -> Tick {
    let traded = if quote.volume > 0 { TickFlags::LAST.with(TickFlags::VOLUME) } else { TickFlags::NONE };
    Tick {
        source_time: Time(quote.time),
        bid: Points(quote.bid),
        ask: Points(quote.ask),
        volume: Lots(quote.volume),
        instrument: InstrumentId(instrument),
        flags: TickFlags::BID.with(traded),
        ..Tick::default()
    }
}

/// The same tick, with this mark.
pub(crate) fn marked(tick: Tick, marks: TickMarks) -> Tick {
    Tick { marks, ..tick }
}
