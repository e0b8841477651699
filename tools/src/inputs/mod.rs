//! Inputs: the flags that say what an engine runs on and with which settings, the same for every command that runs one.
//!
//! ```text
//! --config --set        layers of the configuration
//! --feed --symbol       which files        --from --until      which part of them
//! ```

mod files;
mod flags;

use std::path::{Path, PathBuf};

use anyhow::bail;
use clap::Args;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use pawl_adapters::feed::TimeRange;
use pawl_engine::instrument::Instrument;
use pawl_journal::record::Time;

pub use files::{FeedFiles, NoTicks};
use flags::FeedFlags;

use crate::config::{Config, Layers, Loaded, check, resolve_instruments};
use crate::exit::message;
use crate::session::Session;

/// What an engine runs on, and with which settings.
#[derive(Debug, Args)]
pub struct Inputs {
    /// Configuration file (TOML); see pawl.example.toml
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    #[command(flatten)]
    feeds: FeedFlags,
    /// Begin with the first tick at or after this time: 2024-01-02, or 2024-01-02T08:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    from: Option<Time>,
    /// End before this time: a date is its midnight, so that it is the first day left out
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    until: Option<Time>,
    /// Set any key of the configuration (an agent's as agent.NAME.KEY); repeatable
    #[arg(long = "set", value_name = "KEY=VALUE")]
    set: Vec<String>,
}

impl Inputs {
    /// Defaults, file, environment, and the flags of feeds; [`Self::set`] comes last.
    pub fn layers(&self) -> anyhow::Result<Layers> {
        let mut layers = Layers::defaults();
        if let Some(path) = &self.config {
            layers.file(path)?;
        }
        layers.environment(|name| std::env::var(name).ok())?;
        self.feeds.lay(&mut layers)?;
        Ok(layers)
    }

    /// Lays `--set` over everything else.
    pub fn set(&self, layers: &mut Layers) -> anyhow::Result<()> {
        self.set.iter().try_for_each(|assignment| Ok(layers.set_text(assignment)?))
    }

    /// The part of the feeds that is asked for.
    pub fn range(&self) -> anyhow::Result<TimeRange> {
        let TimeRange { from, until } = TimeRange::ALL;
        let range = TimeRange { from: self.from.unwrap_or(from), until: self.until.unwrap_or(until) };
        if range.from >= range.until {
            bail!("--from must be before --until, which is not part of the range");
        }
        Ok(range)
    }

    /// Models are looked for beside the configuration that names them.
    pub fn models(&self) -> PathBuf {
        models_beside(self.config.as_deref())
    }
}

/// The folder in which the models of a configuration file are looked for.
pub fn models_beside(config: Option<&Path>) -> PathBuf {
    let folder = config.and_then(Path::parent).filter(|it| !it.as_os_str().is_empty());
    folder.unwrap_or(Path::new(".")).to_owned()
}

/// The session of a configuration over its feeds, which are opened at the beginning of a range. The same for who runs it
/// and for who asks whether it would run.
pub fn session(config: Config, models: PathBuf, range: TimeRange) -> anyhow::Result<Session> {
    check(&config)?;
    let instruments = instruments(&config)?;
    let feeds = FeedFiles::find(&config, &instruments)?.open(&instruments, range)?;
    Ok(Session::new(config, instruments, models, feeds))
}

/// The instruments of a configuration that has feeds.
pub fn instruments(config: &Config) -> anyhow::Result<Vec<Instrument>> {
    if config.feed.is_empty() {
        bail!("there is no feed: give --feed FILE --symbol NAME, or a [[feed]] in the configuration");
    }
    let instruments = resolve_instruments(config)?;
    for definition in &instruments {
        definition.validate()?;
    }
    Ok(instruments)
}

/// Adds to an error where the key it speaks of was set.
pub fn locate(loaded: &Loaded, error: anyhow::Error) -> anyhow::Error {
    let message = message(&error);
    let located = loaded.locate(&message);
    if located == message { error } else { error.context(located) }
}

/// A moment as people write it: `2024-01-02`, `2024-01-02T08:00` (both UTC), or with a zone `2024-01-02T08:00:00+01:00`.
pub fn parse_time(text: &str) -> Result<Time, String> {
    let timestamp = text
        .parse::<Timestamp>()
        .or_else(|_| text.parse::<DateTime>()?.to_zoned(TimeZone::UTC).map(|it| it.timestamp()))
        .map_err(|_| format!("`{text}` is no time such as 2019-02-04 or 2019-02-04T12:00:00Z"))?;
    let nanoseconds = i64::try_from(timestamp.as_nanosecond());
    nanoseconds.map(Time).map_err(|_| format!("`{text}` is beyond the years 1678 to 2262"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_may_be_a_date_and_is_utc_unless_it_says_otherwise() {
        let seconds = |text: &str| parse_time(text).map(|time| time.0 / Time::SECOND);
        let noon = 1_549_281_600;
        assert_eq!(seconds("2019-02-04"), Ok(noon - 12 * 3_600));
        for text in
            ["2019-02-04T12:00", "2019-02-04 12:00:00", "2019-02-04T12:00:00Z", "2019-02-04T13:00:00+01:00"]
        {
            assert_eq!(seconds(text), Ok(noon), "{text}");
        }
        for text in ["", "yesterday", "2019-02-30", "2019.02.04", "9999-01-01", "12:00"] {
            assert!(seconds(text).is_err(), "{text}");
        }
    }
}
