//! `FeedFlags`: `--feed` and `--symbol`, which belong to each other by their order.
//!
//! ```text
//! --feed a.csv b.csv --symbol EURUSD   --feed btc/ --symbol BTCUSD      the first --feed is of the first --symbol, ..
//! --feed a.csv --feed b.csv --symbol EURUSD                             one symbol is that of every --feed
//! ```

use anyhow::bail;
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches};
use toml::{Table, Value};

use crate::config::{Layers, Origin};

/// `--feed` and `--symbol`, as they were given.
#[derive(Debug, Clone, Default)]
pub struct FeedFlags {
    feeds: Vec<Vec<String>>,
    symbols: Vec<String>,
}

impl FeedFlags {
    /// Puts the feeds in the place of those of the configuration, if there are any.
    pub fn lay(&self, layers: &mut Layers) -> anyhow::Result<()> {
        let (feeds, symbols) = (&self.feeds, &self.symbols);
        if feeds.len() != symbols.len() && (symbols.len() != 1 || feeds.is_empty()) {
            bail!(
                "{} --feed and {} --symbol were given: give each feed its symbol, as in --feed FILES --symbol EURUSD",
                feeds.len(),
                symbols.len()
            );
        }
        let mut merged: Vec<(&String, Vec<Value>)> = Vec::new();
        for (files, symbol) in feeds.iter().zip(symbols.iter().cycle()) {
            let files = files.iter().cloned().map(Value::String);
            match merged.iter_mut().find(|(known, _)| *known == symbol) {
                Some((_, known)) => known.extend(files),
                None => merged.push((symbol, files.collect())),
            }
        }
        if merged.is_empty() {
            return Ok(());
        }
        let feed = |(symbol, mut files): (&String, Vec<Value>)| {
            let file = if files.len() == 1 { files.remove(0) } else { Value::Array(files) };
            Value::Table(Table::from_iter([
                ("file".to_owned(), file),
                ("symbol".to_owned(), Value::String(symbol.clone())),
            ]))
        };
        let feeds = Value::Array(merged.into_iter().map(feed).collect());
        Ok(layers.set("feed", feeds, Origin::Flag("--feed".to_owned()))?)
    }
}

impl Args for FeedFlags {
    fn augment_args(command: Command) -> Command {
        command
            .arg(
                Arg::new("feed")
                    .long("feed")
                    .value_name("FILES")
                    .num_args(1..)
                    .action(ArgAction::Append)
                    .help("Tick exports of MetaTrader 5, plain or gzip: files, a quoted 'glob*', or a folder of files that \
                           begin with the symbol; they become one feed in the order of their ticks. Repeatable, each with \
                           its --symbol"),
            )
            .arg(
                Arg::new("symbol")
                    .long("symbol")
                    .value_name("NAME")
                    .action(ArgAction::Append)
                    .help("Instrument of the --feed in the same place"),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for FeedFlags {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let feeds = matches.get_occurrences::<String>("feed").into_iter().flatten();
        let symbols = matches.get_many::<String>("symbol").into_iter().flatten();
        Ok(Self {
            feeds: feeds.map(|files| files.cloned().collect()).collect(),
            symbols: symbols.cloned().collect(),
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
