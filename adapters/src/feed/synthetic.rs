//! `Synthetic`: a market made up from a seed, for demonstrations and tests.
//!
//! ```text
//! arrivals   a Hawkes process: every tick makes the next ones likelier for a second; the base rate follows activity
//! activity   slowly wandering (lognormal, 15 minutes): more ticks and larger moves together
//! value      a random walk whose deviation follows activity, with a drift that lasts for a minute (momentum)
//! mid        value and a passing disturbance of a few seconds (mean reversion)
//! spread     the instrument's usual one; wider with activity and in bursts
//! gap        one silence of several minutes, in which value moves on
//! ```
//!
//! Momentum and mean reversion are weak, so that a model trained on the ticks learns a little and not everything.
//! Bursts: A. G. Hawkes, "Spectra of some self-exciting and mutually exciting point processes", Biometrika 58, 1971;
//! their exact simulation: A. Dassios, H. Zhao, "Exact simulation of Hawkes process with exponentially decaying
//! intensity", Electronic Communications in Probability 18, 2013.
//!
//! Same settings and instrument, same ticks, to the bit on every machine. Times grow from tick to tick, in whole
//! milliseconds.

use pawl_engine::instrument::Instrument;
use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_engine::quantity::{Ppm, Span};
use pawl_journal::record::{InstrumentId, Lots, Points, TickFlags, Time};

use super::take_to;
use super::usual::Usual;
use crate::random::Random;

/// Chance-wise, how many further ticks each tick causes: the share of ticks that come in bursts.
const EXCITEMENT: f64 = 0.6;
/// How fast excitement fades, per second.
const FADING: f64 = 2.0;
/// How long activity, drift and disturbance last, in seconds.
const ACTIVITY_SECONDS: f64 = 900.0;
const DRIFT_SECONDS: f64 = 45.0;
const DISTURBANCE_SECONDS: f64 = 4.0;
/// Deviation of the logarithm of activity.
const ACTIVITY_DEVIATION: f64 = 0.5;
/// What drift moves in a minute, against what chance does.
const DRIFT_STRENGTH: f64 = 0.8;
/// Deviation of the disturbance, against what chance moves while one lasts.
const DISTURBANCE_STRENGTH: f64 = 0.7;

/// What session to make up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyntheticSettings {
    /// Where the random numbers come from. Instruments of different symbols differ under the same seed.
    pub seed: u64,
    /// When the session begins.
    pub start: Time,
    /// How long it lasts; above 0.
    pub duration: Span,
    /// About how many ticks it has; above 0, at most 100 a second.
    pub ticks: u64,
    /// How long the feed falls silent, once; 0 is never, at most half of `duration`.
    pub gap: Span,
    /// How far into the session it falls silent. 0% to 100%.
    pub gap_at: Ppm,
}

impl Default for SyntheticSettings {
    /// Four hours of Monday, 8 January 2024 from 08:00 UTC, about 60,000 ticks, and a gap of seven minutes.
    fn default() -> Self {
        Self {
            seed: 1,
            start: Time(1_704_700_800 * Time::SECOND),
            duration: Span::seconds(4 * 3_600),
            ticks: 60_000,
            gap: Span::seconds(7 * 60),
            gap_at: Ppm(600_000),
        }
    }
}

/// A market made up from a seed.
#[derive(Debug, Clone)]
pub struct Synthetic {
    name: String,
    instrument: InstrumentId,
    settings: SyntheticSettings,
    nature: Nature,
    random: Random,
    /// Exact event time in seconds since the start.
    clock: f64,
    /// Time of the last tick in milliseconds since the start.
    at_ms: i64,
    gap_is_over: bool,
    /// Logarithm of activity over its deviation.
    activity: f64,
    /// Ticks per second that recent ticks add.
    excitement: f64,
    /// Relative, per second.
    drift: f64,
    /// In points.
    value: f64,
    /// In points.
    disturbance: f64,
    /// In points.
    spread: f64,
    bid: i64,
    ask: i64,
    sequence: u64,
}

/// What does not change in a session.
#[derive(Debug, Clone, Copy)]
struct Nature {
    /// Ticks per second that come by themselves.
    rate: f64,
    /// Relative deviation of value per square root of a second.
    volatility: f64,
    /// Deviation of the drift, relative per second.
    drift: f64,
    /// Deviation of the disturbance, in points.
    disturbance: f64,
    /// Usual spread in points.
    spread: f64,
}

impl Synthetic {
    /// A session of this instrument.
    ///
    /// # Errors
    /// [`FeedError`] for settings that make no session; it names the one that is wrong.
    pub fn new(
        settings: SyntheticSettings,
        instrument: InstrumentId,
        definition: &Instrument,
    ) -> Result<Self, FeedError> {
        let name = format!("synthetic {}", definition.symbol);
        check(&settings)
            .map_err(|problem| FeedError { message: format!("{name}: {problem}"), environment: false })?;
        let usual = Usual::of(&definition.symbol);
        let value = (usual.price * libm::pow(10.0, f64::from(definition.digits))).max(10.0);
        let seconds = (settings.duration.0 - settings.gap.0) as f64 / Time::SECOND as f64;
        let volatility = usual.daily_volatility / 86_400.0_f64.sqrt();
        let nature = Nature {
            rate: settings.ticks as f64 / seconds * (1.0 - EXCITEMENT),
            volatility,
            drift: DRIFT_STRENGTH * volatility / 60.0_f64.sqrt(),
            disturbance: DISTURBANCE_STRENGTH * volatility * DISTURBANCE_SECONDS.sqrt() * value,
            spread: (value * usual.spread).max(1.0),
        };
        let stream = definition.symbol.bytes().fold(0, |hash: u64, byte| {
            hash.wrapping_mul(0x0000_0100_0000_01b3).wrapping_add(u64::from(byte) + 1)
        });
        Ok(Self {
            name,
            instrument,
            settings,
            nature,
            random: Random::stream(settings.seed, stream),
            clock: 0.0,
            at_ms: 0,
            gap_is_over: settings.gap.0 == 0,
            activity: 0.0,
            excitement: 0.0,
            drift: 0.0,
            value,
            disturbance: 0.0,
            spread: nature.spread,
            bid: 0,
            ask: 0,
            sequence: 0,
        })
    }

    /// Activity as a factor of mean 1.
    fn activity_factor(&self) -> f64 {
        libm::exp(ACTIVITY_DEVIATION * self.activity - 0.5 * ACTIVITY_DEVIATION * ACTIVITY_DEVIATION)
    }

    /// Seconds until the next tick: the sooner of one that comes by itself and one that earlier ticks cause.
    fn wait(&mut self, rate: f64) -> f64 {
        let by_itself = -libm::log(self.random.unit()) / rate;
        let caused = 1.0 + FADING * libm::log(self.random.unit()) / self.excitement;
        if caused > 0.0 { by_itself.min(-libm::log(caused) / FADING) } else { by_itself }
    }

    /// Moves the clock to the next tick, over the gap if it lies between; how many seconds that took, and activity.
    fn pass(&mut self) -> (f64, f64) {
        let before = self.clock;
        let factor = self.activity_factor();
        self.clock += self.wait(self.nature.rate * factor);
        let fraction = self.settings.gap_at.0 as f64 / 1_000_000.0;
        let session = self.settings.duration.0 - self.settings.gap.0;
        if !self.gap_is_over && self.clock > session as f64 / Time::SECOND as f64 * fraction {
            self.clock += self.settings.gap.0 as f64 / Time::SECOND as f64;
            self.gap_is_over = true;
        }
        (self.clock - before, factor)
    }

    /// Lets value, drift, disturbance, activity and excitement go on for so many seconds.
    fn evolve(&mut self, seconds: f64, factor: f64) {
        let (for_value, for_activity) = self.random.normals();
        let (for_drift, for_disturbance) = self.random.normals();
        let walk = self.nature.volatility * factor * seconds.sqrt() * for_value;
        self.value *= 1.0 + (walk + self.drift * seconds.min(DRIFT_SECONDS)).clamp(-0.05, 0.05);
        self.value = self.value.clamp(10.0, 1e13);
        self.activity = reverting(self.activity, seconds / ACTIVITY_SECONDS, for_activity);
        self.drift =
            self.nature.drift * reverting(self.drift / self.nature.drift, seconds / DRIFT_SECONDS, for_drift);
        self.disturbance = self.nature.disturbance
            * reverting(
                self.disturbance / self.nature.disturbance,
                seconds / DISTURBANCE_SECONDS,
                for_disturbance,
            );
        self.excitement = self.excitement * libm::exp(-FADING * seconds) + EXCITEMENT * FADING;
    }

    /// The quote around the mid of now; the spread goes a fifth of the way to where activity and bursts pull it.
    fn quote(&mut self, factor: f64) -> (i64, i64) {
        let usual_excitement = EXCITEMENT * self.nature.rate / (1.0 - EXCITEMENT);
        let burst = self.excitement / (usual_excitement + EXCITEMENT * FADING);
        let wanted = self.nature.spread * (0.4 + 0.35 * factor + 0.25 * burst);
        self.spread += 0.2 * (wanted - self.spread);
        let spread = libm::floor(self.spread + self.random.unit()).max(1.0);
        let bid = libm::floor(self.value + self.disturbance - 0.5 * spread + 0.5).max(1.0);
        (bid as i64, (bid + spread) as i64)
    }
}

/// A process of deviation 1 that returns to 0 (Ornstein and Uhlenbeck), after so many of its time constants.
fn reverting(value: f64, constants: f64, normal: f64) -> f64 {
    let kept = libm::exp(-constants);
    value * kept + (1.0 - kept * kept).sqrt() * normal
}

fn check(settings: &SyntheticSettings) -> Result<(), String> {
    let SyntheticSettings { duration, ticks, gap, gap_at, start, .. } = *settings;
    if duration.0 < Time::SECOND || start.0.checked_add(duration.0).is_none() {
        return Err(format!("duration = {duration} must be at least 1s and end before the year 2262"));
    }
    if gap.0 < 0 || gap.0 > duration.0 / 2 {
        return Err(format!("gap = {gap} must be between 0s and half of duration = {duration}"));
    }
    if !(0..=1_000_000).contains(&gap_at.0) {
        return Err(format!("gap_at = {gap_at} must be between 0% and 100%"));
    }
    let ticks_max = (duration.0 - gap.0) as u64 / 10_000_000;
    if ticks == 0 || ticks > ticks_max {
        return Err(format!("ticks = {ticks} must be between 1 and {ticks_max}, which is 100 a second"));
    }
    Ok(())
}

impl Feed for Synthetic {
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        let (seconds, factor) = self.pass();
        self.evolve(seconds, factor);
        self.at_ms = (self.at_ms + 1).max((self.clock * 1_000.0) as i64);
        // Time only grows, so that nothing comes behind the end.
        if self.at_ms >= self.settings.duration.0 / Time::MILLISECOND {
            return Ok(None);
        }
        let (bid, ask) = self.quote(factor);
        let mut flags = TickFlags::NONE;
        flags.set_if(TickFlags::BID, bid != self.bid);
        flags.set_if(TickFlags::ASK, ask != self.ask);
        (self.bid, self.ask) = (bid, ask);
        self.sequence += 1;
        Ok(Some(FeedTick {
            time: Time(self.settings.start.0 + self.at_ms * Time::MILLISECOND),
            source_sequence: self.sequence,
            bid: Points(bid),
            ask: Points(ask),
            last: Points(0),
            volume: Lots(0),
            instrument: self.instrument,
            flags,
        }))
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        let reached = self.sequence;
        take_to(self, reached, source_sequence)
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn progress(&self) -> Option<f64> {
        let end_ms = self.settings.duration.0 / Time::MILLISECOND;
        Some((self.at_ms as f64 / end_ms as f64).min(1.0))
    }
}

#[cfg(test)]
mod tests;
