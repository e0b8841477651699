//! `Usual`: roughly what a market is like, by its symbol, so that a made-up session looks like it.

/// Roughly what a market is like.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usual {
    /// A price it had.
    pub(super) price: f64,
    /// Deviation of a day's relative move.
    pub(super) daily_volatility: f64,
    /// Spread as a fraction of the price.
    pub(super) spread: f64,
}

/// Prices of January 2024, rounded; by the beginning of the symbol.
const PRICES: &[(&str, f64)] = &[
    ("BTC", 44_000.0),
    ("ETH", 2_250.0),
    ("XAU", 2_040.0),
    ("XAG", 23.2),
    ("EURUSD", 1.095),
    ("GBPUSD", 1.271),
    ("USDJPY", 144.5),
    ("EURJPY", 158.2),
    ("GBPJPY", 183.7),
    ("USDCHF", 0.85),
    ("USDCAD", 1.337),
    ("AUDUSD", 0.671),
    ("NZDUSD", 0.624),
    ("EURGBP", 0.861),
    ("USDHUF", 345.0),
];

impl Usual {
    /// What the market of this symbol is like; a currency pair around 1 if the symbol is none that is known.
    pub(super) fn of(symbol: &str) -> Self {
        let price = PRICES.iter().find(|(beginning, _)| symbol.starts_with(beginning)).map_or(1.0, |it| it.1);
        let (daily_volatility, spread) = match symbol.get(..3) {
            Some("BTC" | "ETH") => (0.03, 4e-4),
            Some("XAU" | "XAG") => (0.01, 1.2e-4),
            _ => (0.006, 1.2e-5),
        };
        Self { price, daily_volatility, spread }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_suffix_does_not_change_the_market() {
        assert_eq!(Usual::of("EURUSD+"), Usual::of("EURUSD"));
        assert!((Usual::of("BTCUSD").price - 44_000.0).abs() < 1e-9);
        assert!((Usual::of("\u{e4}\u{f6}").price - 1.0).abs() < 1e-9);
    }
}
