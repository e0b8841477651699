//! `BarInterval`: how long a bar is, in event time or in ticks.

use crate::quantity::Span;

use super::error::FeatureError;

const SPAN_MIN: i64 = 1_000_000;
const SPAN_MAX: i64 = 86_400_000_000_000;
const TICKS_MAX: u32 = 1_000_000;

/// How long a bar is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BarInterval {
    /// So long in event time; intervals are aligned to the UNIX epoch. From 1 ms to 1 day.
    Time(Span),
    /// So many usable ticks of the instrument. From 1 to 1,000,000.
    Ticks(u32),
}

impl std::str::FromStr for BarInterval {
    type Err = FeatureError;

    fn from_str(text: &str) -> Result<Self, FeatureError> {
        let fail = |problem| Err(FeatureError::Bars { text: text.to_owned(), problem });
        let trimmed = text.trim();
        if let Some(number) = trimmed.strip_suffix("ticks").or_else(|| trimmed.strip_suffix("tick")) {
            let digits = number.trim_end();
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return fail("the number of ticks is no whole number");
            }
            return match digits.parse() {
                Ok(0) => fail("a bar has at least one tick"),
                Ok(ticks) if ticks <= TICKS_MAX => Ok(Self::Ticks(ticks)),
                _ => fail("that is too many ticks"),
            };
        }
        match trimmed.parse::<Span>() {
            Ok(Span(ns)) if ns < SPAN_MIN => fail("it is too short"),
            Ok(Span(ns)) if ns > SPAN_MAX => fail("it is too long"),
            Ok(span) => Ok(Self::Time(span)),
            Err(_) => fail("it is neither a duration nor a number of ticks"),
        }
    }
}

impl std::fmt::Display for BarInterval {
    /// The interval in its one canonical form: `60s` reads `1m`.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Time(span) => span.fmt(f),
            Self::Ticks(1) => f.write_str("1 tick"),
            Self::Ticks(ticks) => write!(f, "{ticks} ticks"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interval_reads_back_in_its_canonical_form() {
        for (text, canonical) in [
            ("1m", "1m"),
            ("60s", "1m"),
            (" 5m ", "5m"),
            ("250ms", "250ms"),
            ("24h", "1d"),
            ("100 ticks", "100 ticks"),
            ("100ticks", "100 ticks"),
            ("1 tick", "1 tick"),
            ("1 ticks", "1 tick"),
        ] {
            let interval: BarInterval = text.parse().expect(text);
            assert_eq!(interval.to_string(), canonical);
            assert_eq!(canonical.parse(), Ok(interval));
        }
    }

    #[test]
    fn a_wrong_interval_is_refused_with_the_way_out() {
        for text in [
            "",
            "1",
            "m",
            "0s",
            "999us",
            "2d",
            "-1m",
            "0 ticks",
            "ticks",
            "-5 ticks",
            "1.5 ticks",
            "1000001 ticks",
        ] {
            let message = text.parse::<BarInterval>().expect_err(text).to_string();
            assert!(message.contains(&format!("`{text}`")) && message.contains("100 ticks"), "{message}");
        }
    }
}
