//! What the engine is given to do: settings that the benchmarks share, so that their figures can be compared.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use pawl_engine::inference::{AgentSettings, RuleSettings};
use pawl_engine::quantity::{Decimal, Ppm, Span};
use pawl_engine::runtime::Threading;
use serde::Serialize;

use crate::command::demo::demo_config;
use crate::config::{Config, CoreChoice, CoreName};
use crate::session::Session;

use super::ticks::Ticks;

/// The ways the engine's threads can be.
pub const THREADINGS: [Threading; 2] = [Threading::Single, Threading::Fused];

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
    /// The configuration of a run. The timer is off: its pulses are of event time, of which a benchmark has much more
    /// in a second than a market has. But for the peers' work the venue answers after a minute of event time, so that
    /// lockstep lets threads run apart as far as with a live feed.
    pub fn config(self, threading: Threading) -> Config {
        let mut config = as_run(threading);
        config.ingress.timer = Span(0);
        config.order.valid_for = Span(0);
        config.order.reply_timeout = Span::seconds(120);
        let paper = &mut config.venue.paper;
        (paper.latency, paper.latency_jitter) = (Span::seconds(60), Span(0));
        match self {
            Self::Features => {}
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

    /// As [`Self::config`], with an order every few ticks: enough of them to measure their way. The venue answers after
    /// ten seconds of event time.
    pub fn trading(self, threading: Threading) -> Config {
        let mut config = self.config(threading);
        let cross = cross("mid", "tick_sma_20", 100.0);
        match self {
            Self::Models => config.agent.push(cross),
            Self::Peers | Self::Features => config.agent = vec![cross],
        }
        let paper = &mut config.venue.paper;
        paper.latency = Span::seconds(10);
        (paper.partial, paper.reject) = (Ppm(0), Ppm(0));
        loosen(&mut config);
        config
    }
}

/// What `pawl run` does without any settings, in this threading mode.
pub fn as_run(threading: Threading) -> Config {
    let mut config = Config { threading, ..Config::default() };
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
pub fn session(config: Config, ticks: &Ticks, feed: impl pawl_engine::port::Feed + 'static) -> Session {
    Session::new(config, ticks.instruments.clone(), ".".into(), ticks.feed(feed))
}

/// The flag of a run that nobody stops: the benchmark itself looks at signals between runs.
pub fn unstopped() -> Arc<AtomicBool> {
    Arc::default()
}

/// The name of a threading mode, as the configuration has it.
pub fn threading_name(threading: Threading) -> String {
    format!("{threading:?}").to_lowercase()
}
