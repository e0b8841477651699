//! The configuration file's keys.

use pawl_adapters::venue::PaperSettings;
use pawl_engine::feature::FeatureSettings;
use pawl_engine::inference::{AgentSettings, RuleSettings, SignalSettings, Trigger};
use pawl_engine::order::OrderSettings;
use pawl_engine::quantity::Span;
use pawl_engine::risk::RiskSettings;
use pawl_engine::runtime::{Cores, IngressSettings, LockMemory, RingFull, Threading, Wait};
use pawl_engine::settings::{AccountSettings, CheckpointSettings};
use pawl_journal::log::{Durability, JournalOptions};
use serde::{Deserialize, Serialize};

use super::instrument::InstrumentConfig;

/// Everything a configuration file may say.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Paper or live.
    pub mode: Mode,
    /// Which threads there are.
    pub threading: ThreadingChoice,
    /// The journal.
    pub journal: JournalConfig,
    /// How the machine is used; nothing here changes what the engine decides.
    pub runtime: RuntimeConfig,
    /// Counters over HTTP.
    pub metrics: MetricsConfig,
    /// The account.
    pub account: AccountSettings,
    /// How inputs are ordered and marked.
    pub ingress: IngressSettings,
    /// Bars and columns.
    pub features: FeatureSettings,
    /// How agents become one signal.
    pub signal: SignalSettings,
    /// Limits and sizing.
    pub risk: RiskSettings,
    /// How orders are worked.
    pub order: OrderSettings,
    /// How often the journal says what the stages hold.
    pub checkpoint: CheckpointSettings,
    /// Venues.
    pub venue: VenueConfig,
    /// Where ticks come from.
    pub feed: Vec<FeedConfig>,
    /// Instruments that are not well known, or differ from what is.
    pub instrument: Vec<InstrumentConfig>,
    /// Who scores the columns.
    pub agent: Vec<AgentSettings>,
}

/// Paper or live.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Orders go to the paper venue.
    Paper,
    /// Orders go to a real venue, if two switches agree.
    Live,
}

/// The journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct JournalConfig {
    /// Its directory.
    #[serde(deserialize_with = "directory")]
    pub dir: String,
    /// Bytes of a segment.
    pub segment_bytes: u64,
    /// When steps are made durable.
    pub durability: DurabilityChoice,
}

/// The path of a directory, as it can be shown.
fn directory<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let dir = String::deserialize(deserializer)?;
    if dir.is_empty() || dir.contains(char::is_control) {
        let problem =
            format!("{dir:?} is no directory: expected a path that is not empty, without control characters");
        return Err(serde::de::Error::custom(problem));
    }
    Ok(dir)
}

/// When steps are made durable, as the file says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum DurabilityChoice {
    /// `auto`: page-cache on paper, gated live.
    #[default]
    Auto,
    /// This mode.
    This(Durability),
}

impl DurabilityChoice {
    /// The mode of durability for this mode of trading.
    #[must_use]
    pub const fn durability(self, mode: Mode) -> Durability {
        match (self, mode) {
            (Self::This(durability), _) => durability,
            (Self::Auto, Mode::Paper) => Durability::PageCache,
            (Self::Auto, Mode::Live) => Durability::Gated,
        }
    }
}

impl Serialize for DurabilityChoice {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Auto => serializer.serialize_str("auto"),
            Self::This(durability) => serializer.collect_str(durability),
        }
    }
}

impl<'de> Deserialize<'de> for DurabilityChoice {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.as_str() {
            "auto" => Ok(Self::Auto),
            other => other.parse().map(Self::This).map_err(serde::de::Error::custom),
        }
    }
}

/// How the machine is used.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RuntimeConfig {
    /// Cores to pin to.
    pub cores: CoreChoice,
    /// Whether memory is locked, so that no page of it is ever waited for.
    pub lock_memory: LockMemory,
    /// How threads wait that have nothing to do.
    pub wait: WaitChoice,
    /// Slots of the ring, a power of two.
    pub ring_slots: usize,
    /// What is done when it is full and the feed is live.
    pub ring_full: RingFull,
    /// Event time per wall-clock time; 0 is as fast as the machine goes.
    pub speed: f64,
    /// Whether steps carry stamps.
    pub stamps: bool,
    /// Steps from one snapshot to the next while the engine runs; 0 takes none.
    pub snapshot_every: u64,
    /// Whether the engine counts what it does, for `pawl top` and `metrics.listen`.
    pub counters: bool,
}

/// Counters over HTTP.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MetricsConfig {
    /// Address and port that they are served on; empty is none.
    pub listen: String,
}

/// Which threads there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected \"auto\", \"single\", \"fused\" or \"staged\"")]
pub enum ThreadingChoice {
    /// These.
    This(Threading),
    /// `auto`: those that are fastest for the feeds on the cores there are.
    Named(AutoName),
}

/// The word `auto`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AutoName {
    /// By the machine.
    Auto,
}

impl ThreadingChoice {
    /// The threads for so many cores. Feeds of the past that are taken in lockstep, as fast as it goes, gain nothing by a
    /// second thread; others have one for each stage where a core is left for everything else.
    #[must_use]
    pub const fn threading(self, cores: usize, is_lockstep: bool) -> Threading {
        match self {
            Self::This(threading) => threading,
            Self::Named(AutoName::Auto) if is_lockstep || cores < Threading::Fused.threads() => {
                Threading::Single
            }
            Self::Named(AutoName::Auto) if cores > Threading::Staged.threads() => Threading::Staged,
            Self::Named(AutoName::Auto) => Threading::Fused,
        }
    }
}

/// How threads wait that have nothing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    untagged,
    expecting = "expected \"spin\", \"yield\" or \"sleep\", or a list of them, one for each thread"
)]
pub enum WaitChoice {
    /// All of them so.
    Every(Wait),
    /// In the order of `cores`; the last one is for the rest.
    Each(#[serde(deserialize_with = "some_waits")] Vec<Wait>),
}

/// At least one.
fn some_waits<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<Wait>, D::Error> {
    let waits = Vec::deserialize(deserializer)?;
    if waits.is_empty() { Err(serde::de::Error::custom("none is named")) } else { Ok(waits) }
}

impl WaitChoice {
    /// In the order of the threads.
    #[must_use]
    pub fn waits(&self) -> Vec<Wait> {
        match self {
            Self::Every(wait) => vec![*wait],
            Self::Each(waits) => waits.clone(),
        }
    }
}

/// Cores to pin to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a list of cores such as [2, 3], \"auto\" or \"none\"")]
pub enum CoreChoice {
    /// These: the edge's (or the only thread's), then the pipeline's or its stages'.
    These(Vec<usize>),
    /// `auto`: isolated ones, then the last ones this process may use. `none`: no pinning.
    Named(CoreName),
}

/// A named choice of cores.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CoreName {
    /// Isolated cores, then the last ones that this process may use.
    Auto,
    /// No pinning.
    None,
}

/// Venues.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VenueConfig {
    /// The paper venue.
    pub paper: PaperSettings,
}

/// Where ticks come from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeedConfig {
    /// Tick exports of MetaTrader 5, plain or gzip: a file, a pattern, a folder, or a list of them.
    pub file: Files,
    /// The instrument it quotes.
    pub symbol: String,
    /// How far the file's clock is ahead of UTC.
    #[serde(default)]
    pub utc_offset: Span,
}

/// One text that means files, or several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "expected a file, a pattern or a folder, or a list of them")]
pub enum Files {
    /// A file, a pattern, or a folder.
    One(String),
    /// Several of them.
    Several(Vec<String>),
}

impl Files {
    /// All of them.
    #[must_use]
    pub fn patterns(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Several(several) => several,
        }
    }
}

impl Default for Files {
    fn default() -> Self {
        Self::Several(Vec::new())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            mode: Mode::Paper,
            threading: ThreadingChoice::This(Threading::Fused),
            journal: JournalConfig::default(),
            runtime: RuntimeConfig::default(),
            metrics: MetricsConfig::default(),
            account: AccountSettings::default(),
            ingress: IngressSettings::default(),
            features: FeatureSettings::default(),
            signal: SignalSettings::default(),
            risk: RiskSettings::default(),
            order: OrderSettings::default(),
            checkpoint: CheckpointSettings::default(),
            venue: VenueConfig::default(),
            feed: Vec::new(),
            instrument: Vec::new(),
            agent: vec![AgentSettings {
                rule: Some(RuleSettings { fast: "sma_10".to_owned(), slow: "sma_30".to_owned() }),
                on: Trigger::Bar,
                max_age: Span::seconds(300),
                ..AgentSettings::named("cross")
            }],
        }
    }
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self {
            dir: "journal".to_owned(),
            segment_bytes: JournalOptions::default().segment_bytes,
            durability: DurabilityChoice::Auto,
        }
    }
}

impl Default for RuntimeConfig {
    fn default() -> Self {
        Self {
            cores: CoreChoice::Named(CoreName::Auto),
            lock_memory: LockMemory::Auto,
            wait: WaitChoice::Every(Wait::Yield),
            ring_slots: 1_024,
            ring_full: RingFull::Halt,
            speed: 0.0,
            stamps: true,
            snapshot_every: 1_000_000,
            counters: true,
        }
    }
}

impl CoreChoice {
    /// The cores for this threading, out of those of a machine.
    #[must_use]
    pub fn cores(&self, threading: Threading, machine: &Cores) -> Vec<usize> {
        let wanted = threading.threads();
        match self {
            Self::These(cores) => cores.iter().copied().take(wanted).collect(),
            Self::Named(CoreName::None) => Vec::new(),
            Self::Named(CoreName::Auto) => machine.choose(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn auto_takes_the_threads_that_the_feeds_and_the_cores_allow() {
        let auto = ThreadingChoice::Named(AutoName::Auto);
        let live = [1, 2, 5, 6, 64].map(|cores| auto.threading(cores, false));
        use Threading::{Fused, Single, Staged};
        assert_eq!(live, [Single, Fused, Fused, Staged, Staged]);
        assert_eq!(auto.threading(64, true), Single, "a backtest is fastest on one thread");
        assert_eq!(ThreadingChoice::This(Staged).threading(1, true), Staged, "who says so gets it");
    }
}
