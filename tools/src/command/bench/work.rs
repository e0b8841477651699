//! What the engine is given to do: settings that the benchmarks share, so that their figures can be compared.

use pawl_adapters::feed::Memory;
use pawl_engine::inference::{AgentSettings, RuleSettings};
use pawl_engine::port::{Feed, FeedError, FeedTick};
use pawl_engine::quantity::{Decimal, Ppm, Span};
use pawl_engine::runtime::{RingFull, Threading};
use serde::Serialize;

use crate::command::demo::demo_config;
use crate::config::{Config, CoreChoice, CoreName, ThreadingChoice};
use crate::session::Session;

use super::ticks::Ticks;

/// The ways the engine's threads can be.
pub const THREADINGS: [Threading; 3] = [Threading::Single, Threading::Fused, Threading::Staged];

/// A feed of ticks in memory that is live: they are taken as fast as the engine takes them, in no lockstep with the venue.
#[derive(Debug)]
pub struct FreeRunning(pub Memory);

impl Feed for FreeRunning {
    #[inline]
    fn next(&mut self) -> Result<Option<FeedTick>, FeedError> {
        self.0.next()
    }

    fn skip_to(&mut self, source_sequence: u64) -> Result<(), FeedError> {
        self.0.skip_to(source_sequence)
    }

    fn is_live(&self) -> bool {
        true
    }

    fn name(&self) -> &str {
        self.0.name()
    }
}

/// What the stages have to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Work {
    /// What peers publish figures of: two moving averages, an order at each cross that is filled at once.
    Peers,
    /// Every default feature column, a rule over them, no model.
    Features,
    /// The same columns and the demo's two models.
    Models,
}

impl Work {
    /// The configuration of a run. Bars are counted in ticks, about as many as a minute of a real day has, and the timer is
    /// off: a benchmark has much more ticks in a second of the clock, or seconds of event time in one, than a market.
    /// Models keep the minute that they were trained on, so their ticks come at their own time ([`Self::is_live`]).
    pub fn config(self, threading: Threading) -> Config {
        let mut config = as_run(threading);
        config.ingress.timer = Span(0);
        config.runtime.ring_full = RingFull::Wait;
        let paper = &mut config.venue.paper;
        (paper.latency, paper.latency_jitter) = (Span(100_000), Span(0));
        match self {
            Self::Features => config.features.bars = "100 ticks".to_owned(),
            Self::Models => config.agent = demo_config().agent,
            Self::Peers => {
                (paper.latency, paper.slippage_points) = (Span(0), 0);
                (paper.partial, paper.reject) = (Ppm(0), Ppm(0));
                config.features.columns = ["tick_sma_20", "tick_sma_100"].map(str::to_owned).to_vec();
                config.agent = vec![cross("tick_sma_20", "tick_sma_100", 1.0)];
                loosen(&mut config);
            }
        }
        config
    }

    /// Whether ticks that come by a schedule can happen now: not where bars of a minute have to close in a second.
    pub fn is_live(self) -> bool {
        self != Self::Models
    }

    /// As [`Self::config`], with about a thousand orders a second: enough of them to measure their way, and no more than
    /// the limit allows in the minute that no turn lasts.
    pub fn trading(self, threading: Threading) -> Config {
        let mut config = self.config(threading);
        let cross = cross("mid", "tick_sma_20", 100.0);
        match self {
            Self::Models => config.agent.push(cross),
            Self::Peers | Self::Features => config.agent = vec![cross],
        }
        let paper = &mut config.venue.paper;
        // In lockstep the edge runs ahead by as much.
        paper.latency = if self.is_live() { Span(1_000_000) } else { Span::seconds(8) };
        (paper.partial, paper.reject) = (Ppm(0), Ppm(0));
        loosen(&mut config);
        config
    }
}

/// What `pawl run` does without any settings, in this threading mode.
pub fn as_run(threading: Threading) -> Config {
    let mut config = Config { threading: ThreadingChoice::This(threading), ..Config::default() };
    config.runtime.cores = CoreChoice::Named(CoreName::Auto);
    config.runtime.snapshot_every = 0;
    config
}

/// Up while one column is above the other, down while it is below.
fn cross(fast: &str, slow: &str, weight: f32) -> AgentSettings {
    let rule = RuleSettings { fast: fast.to_owned(), slow: slow.to_owned() };
    AgentSettings { rule: Some(rule), weight, ..AgentSettings::named("cross") }
}

/// Limits that never bite, so that every cross is an order.
fn loosen(config: &mut Config) {
    let risk = &mut config.risk;
    risk.max_order_rate = 1_024;
    // One order closes and reverses.
    risk.max_order = Decimal(2 * Decimal::ONE);
    risk.max_spread = 1_000_000;
    risk.stop_points = 1_000_000;
    risk.risk_fraction = Ppm(1_000_000);
    risk.max_daily_loss = Decimal(1_000_000_000 * Decimal::ONE);
    risk.max_drawdown = Ppm(1_000_000);
    risk.retry_after = Span(0);
    config.account.balance = Decimal(1_000_000_000 * Decimal::ONE);
}

/// A session of this configuration over these ticks.
pub fn session(config: Config, ticks: &Ticks, feed: impl Feed + 'static) -> Session {
    Session::new(config, ticks.instruments.clone(), ".".into(), ticks.feed(feed))
}

/// The name of a threading mode, as the configuration has it.
pub fn threading_name(threading: Threading) -> String {
    format!("{threading:?}").to_lowercase()
}
