//! Instruments: what is well known, what the file adds or changes, and how their profit becomes account currency.

use pawl_engine::instrument::Instrument;
use pawl_engine::quantity::Decimal;
use serde::{Deserialize, Serialize};

use super::file::Config;
use super::layer::ConfigError;

/// An instrument in the file: only what differs from the well-known contract of `symbol`, or of `like`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct InstrumentConfig {
    /// The broker's name, suffix included.
    pub symbol: String,
    /// A well-known symbol whose contract it has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub like: Option<String>,
    /// See [`Instrument::digits`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digits: Option<u8>,
    /// See [`Instrument::contract_size`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract_size: Option<Decimal>,
    /// See [`Instrument::volume_min`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_min: Option<Decimal>,
    /// See [`Instrument::volume_max`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_max: Option<Decimal>,
    /// See [`Instrument::volume_step`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_step: Option<Decimal>,
    /// See [`Instrument::currency`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub currency: Option<String>,
    /// See [`Instrument::conversion`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion: Option<String>,
    /// See [`Instrument::conversion_inverse`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversion_inverse: Option<bool>,
    /// See [`Instrument::max_spread`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_spread: Option<i64>,
    /// See [`Instrument::stop_points`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stop_points: Option<i64>,
}

/// The instrument table: the file's instruments in their order, then those that only a feed names.
///
/// # Errors
/// [`ConfigError::Contradiction`], naming the symbol and what to write, when a contract is not known, or its
/// profit cannot be converted into the account currency.
pub fn resolve_instruments(config: &Config) -> Result<Vec<Instrument>, ConfigError> {
    let mut instruments = Vec::new();
    for configured in &config.instrument {
        instruments.push(resolve(configured)?);
    }
    for (index, feed) in config.feed.iter().enumerate() {
        if feed.symbol.is_empty() {
            return Err(ConfigError::Contradiction(
                "a feed has an empty symbol: say which instrument it quotes, such as symbol = \"EURUSD\""
                    .to_owned(),
            ));
        }
        if config.feed[..index].iter().any(|before| before.symbol == feed.symbol) {
            return Err(ConfigError::Contradiction(format!(
                "{} has two [[feed]]: give it one, with all its files: file = [\"A.csv\", \"B.csv\"]",
                feed.symbol
            )));
        }
        if !instruments.iter().any(|known: &Instrument| known.symbol == feed.symbol) {
            instruments
                .push(resolve(&InstrumentConfig { symbol: feed.symbol.clone(), ..Default::default() })?);
        }
    }
    convert(&mut instruments, &config.account.currency)?;
    Ok(instruments)
}

fn resolve(configured: &InstrumentConfig) -> Result<Instrument, ConfigError> {
    let known = Instrument::well_known(configured.like.as_deref().unwrap_or(&configured.symbol));
    if let (Some(like), None) = (&configured.like, &known) {
        return Err(ConfigError::Contradiction(format!(
            "instrument {}: like = \"{like}\" is no well-known symbol; name one such as \"EURUSD\", or give every key",
            configured.symbol
        )));
    }
    let missing = |key: &str| {
        ConfigError::Contradiction(format!(
            "instrument {symbol}: {key} is not known; give it under [[instrument]] with symbol = \"{symbol}\", or say \
             like = \"EURUSD\" (a well-known symbol with the same contract)",
            symbol = configured.symbol,
        ))
    };
    let number = |given: Option<Decimal>, of: fn(&Instrument) -> Decimal, key| {
        given.or_else(|| known.as_ref().map(of)).ok_or_else(|| missing(key))
    };
    Ok(Instrument {
        symbol: configured.symbol.clone(),
        digits: configured
            .digits
            .or_else(|| known.as_ref().map(|it| it.digits))
            .ok_or_else(|| missing("digits"))?,
        contract_size: number(configured.contract_size, |it| it.contract_size, "contract_size")?,
        volume_min: number(configured.volume_min, |it| it.volume_min, "volume_min")?,
        volume_max: number(configured.volume_max, |it| it.volume_max, "volume_max")?,
        volume_step: number(configured.volume_step, |it| it.volume_step, "volume_step")?,
        currency: configured
            .currency
            .clone()
            .or_else(|| known.as_ref().map(|it| it.currency.clone()))
            .ok_or_else(|| missing("currency"))?,
        conversion: configured.conversion.clone(),
        conversion_inverse: configured.conversion_inverse.unwrap_or(false),
        max_spread: configured
            .max_spread
            .or_else(|| known.as_ref().map(|it| it.max_spread))
            .ok_or_else(|| missing("max_spread"))?,
        stop_points: configured
            .stop_points
            .or_else(|| known.as_ref().map(|it| it.stop_points))
            .ok_or_else(|| missing("stop_points"))?,
    })
}

/// Finds the conversion instrument of every instrument whose profit is not in the account currency.
fn convert(instruments: &mut [Instrument], account: &str) -> Result<(), ConfigError> {
    let symbols: Vec<String> = instruments.iter().map(|it| it.symbol.clone()).collect();
    for instrument in instruments {
        if instrument.currency == account || instrument.conversion.is_some() {
            continue;
        }
        let direct = format!("{}{account}", instrument.currency);
        let inverse = format!("{account}{}", instrument.currency);
        let found = [(direct.clone(), false), (inverse.clone(), true)]
            .into_iter()
            .find(|(symbol, _)| symbols.contains(symbol));
        let Some((symbol, inverted)) = found else {
            return Err(ConfigError::Contradiction(format!(
                "instrument {}: its profit is in {}, the account is in {account}: add a feed of {direct} or {inverse}, \
                 set `conversion` of the instrument, or set account.currency",
                instrument.symbol, instrument.currency,
            )));
        };
        instrument.conversion = Some(symbol);
        instrument.conversion_inverse = inverted;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::file::FeedConfig;
    use super::*;

    fn config(symbols: &[&str]) -> Config {
        let feed = |symbol: &&str| FeedConfig { symbol: (*symbol).into(), ..FeedConfig::default() };
        Config { feed: symbols.iter().map(feed).collect(), ..Config::default() }
    }

    #[test]
    fn well_known_symbols_need_no_configuration_and_find_their_conversion() {
        let table = resolve_instruments(&config(&["EURUSD", "USDJPY"])).expect("known");
        assert_eq!(table.len(), 2);
        let twice = resolve_instruments(&config(&["EURUSD", "EURUSD"])).expect_err("two feeds").to_string();
        assert!(twice.contains("EURUSD"), "{twice}");
        assert_eq!((table[1].conversion.as_deref(), table[1].conversion_inverse), (Some("USDJPY"), true));
    }

    #[test]
    fn unknown_symbols_and_missing_conversions_say_what_to_write() {
        let error = resolve_instruments(&config(&["EURUSD.r"])).expect_err("unknown").to_string();
        assert!(error.contains("EURUSD.r") && error.contains("[[instrument]]"), "{error}");
        let error = resolve_instruments(&config(&["EURGBP"])).expect_err("no conversion").to_string();
        assert!(error.contains("GBPUSD"), "{error}");
    }

    #[test]
    fn a_suffix_takes_the_contract_of_the_symbol_it_is_like() {
        let mut config = config(&["EURUSD+"]);
        config.instrument = vec![InstrumentConfig {
            symbol: "EURUSD+".into(),
            like: Some("EURUSD".into()),
            ..Default::default()
        }];
        let table = resolve_instruments(&config).expect("known");
        assert_eq!((table.len(), table[0].symbol.as_str(), table[0].digits), (1, "EURUSD+", 5));
    }
}
