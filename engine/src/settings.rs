//! `Settings`: everything that decides what the engine does. It is written into the journal at the start of every
//! run, and a replay builds the same pipeline from it.

use serde::{Deserialize, Serialize};

use crate::feature::FeatureSettings;
use crate::inference::{AgentSettings, SignalSettings};
use crate::instrument::{INSTRUMENTS_MAX, Instrument, InstrumentError};
use crate::order::OrderSettings;
use crate::quantity::{Decimal, Span};
use crate::risk::RiskSettings;
use crate::runtime::IngressSettings;

/// Everything that decides what the engine does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The account.
    pub account: AccountSettings,
    /// What is traded; an `InstrumentId` is an index into this.
    pub instruments: Vec<Instrument>,
    /// How inputs are ordered, marked and paced.
    pub ingress: IngressSettings,
    /// Bars and columns.
    pub features: FeatureSettings,
    /// Who scores the columns; an `AgentId` is an index into this.
    pub agents: Vec<AgentSettings>,
    /// How the agents become one signal.
    pub signal: SignalSettings,
    /// Limits and sizing.
    pub risk: RiskSettings,
    /// How orders are worked.
    pub order: OrderSettings,
    /// How often the journal says what the stages hold; never, in journals that were written before it could.
    #[serde(default = "CheckpointSettings::none")]
    pub checkpoint: CheckpointSettings,
}

/// Why settings that no single stage owns are refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An instrument is wrong.
    #[error(transparent)]
    Instrument(#[from] InstrumentError),
    /// Nothing to trade.
    #[error(
        "no instrument is configured: give a feed with `--feed FILE --symbol NAME`, or an [[instrument]]"
    )]
    NoInstrument,
    /// More than the tables hold.
    #[error("{found} instruments are configured; one engine trades at most {INSTRUMENTS_MAX}")]
    TooManyInstruments {
        /// How many are configured.
        found: usize,
    },
    /// The same symbol twice.
    #[error("instrument {symbol} is configured twice: give each symbol once")]
    DuplicateInstrument {
        /// Which symbol.
        symbol: String,
    },
    /// A setting of ingress makes no sense.
    #[error("ingress.{key} = {value}: {problem}")]
    Ingress {
        /// Which key.
        key: &'static str,
        /// The value found.
        value: String,
        /// What would be right.
        problem: &'static str,
    },
    /// The opening balance is not positive.
    #[error("account.balance = {balance} must be above 0 and at most 9000000000")]
    Balance {
        /// The balance found.
        balance: Decimal,
    },
}

impl Settings {
    /// Checks what no single stage owns: the account and the instruments.
    ///
    /// # Errors
    /// [`SettingsError`], naming the key and the way out.
    pub fn validate(&self) -> Result<(), SettingsError> {
        if self.instruments.is_empty() {
            return Err(SettingsError::NoInstrument);
        }
        if self.instruments.len() > INSTRUMENTS_MAX {
            return Err(SettingsError::TooManyInstruments { found: self.instruments.len() });
        }
        for (index, instrument) in self.instruments.iter().enumerate() {
            instrument.validate()?;
            if self.instruments[..index].iter().any(|before| before.symbol == instrument.symbol) {
                return Err(SettingsError::DuplicateInstrument { symbol: instrument.symbol.clone() });
            }
        }
        self.ingress.validate().map_err(|(key, value, problem)| SettingsError::Ingress {
            key,
            value,
            problem,
        })?;
        if self.account.balance.0 <= 0 || self.account.balance.0 > 9_000_000_000 * Decimal::ONE {
            return Err(SettingsError::Balance { balance: self.account.balance });
        }
        Ok(())
    }
}

/// What a journal holds of the settings of its runs: everything that decides. Part of the output hash.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordedSettings {
    /// The engine's settings; models are named by `sha256:` and the hash of the model file.
    pub engine: Settings,
    /// The venue's settings, by the name of the venue.
    pub venue: serde_json::Value,
    /// The feeds in the order of their `FeedId`.
    pub feeds: Vec<RecordedFeed>,
    /// What the outputs of each loaded model mean, by agent; as far as a model's file does not say it itself.
    pub classes: Vec<String>,
}

/// What a journal holds of a feed: what decides, and not where it came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RecordedFeed {
    /// What it quotes.
    pub symbol: String,
    /// How far its clock is ahead of UTC.
    pub utc_offset: Span,
}

/// What a journal holds of the environment of a run: nothing that decides. Not part of the output hash.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RecordedEnvironment {
    /// Version and profile of the build.
    pub build: String,
    /// Processor, kernel, cores.
    pub machine: String,
    /// `single` or `fused`.
    pub threading: String,
    /// When steps were made durable: `page-cache`, `async:T` or `gated`.
    pub durability: String,
    /// The command line.
    pub command: Vec<String>,
    /// Wall-clock time at which the run began, RFC 3339.
    pub started: String,
    /// Where each feed's ticks came from.
    pub feeds: Vec<String>,
    /// Where each model was, by `sha256:` and the hash of its file, for a recomputation.
    pub models: std::collections::BTreeMap<String, String>,
}

/// How often the journal says what the stages hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CheckpointSettings {
    /// Steps from one checkpoint to the next, beside the one at the end of every run; 0 is no checkpoints at all.
    pub every: u64,
}

impl CheckpointSettings {
    const fn none() -> Self {
        Self { every: 0 }
    }
}

impl Default for CheckpointSettings {
    fn default() -> Self {
        Self { every: 65_536 }
    }
}

/// The account that profit and limits are counted in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountSettings {
    /// Account currency.
    pub currency: String,
    /// Opening balance, in the account currency.
    pub balance: Decimal,
}

impl Default for AccountSettings {
    fn default() -> Self {
        Self { currency: "USD".to_owned(), balance: Decimal(100_000 * Decimal::ONE) }
    }
}
