//! `PaperSettings`: how good or bad the paper venue is.

use pawl_engine::quantity::{Decimal, Ppm, Span};
use serde::{Deserialize, Serialize};

/// How good or bad the paper venue is (`[venue.paper]` of the configuration).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PaperSettings {
    /// From a request to its arrival at the venue, and from a fill that a later tick causes to its report. 0 to 1 m.
    pub latency: Span,
    /// A request takes up to this much longer, evenly spread. 0 to 1 m.
    pub latency_jitter: Span,
    /// A fill at the quote is worse by up to this many points, evenly spread. 0 or above.
    pub slippage_points: i64,
    /// Cost of trading 1.0 lot once (a round trip costs it twice), in the account currency. 0 or above.
    pub commission_per_lot: Decimal,
    /// Chance that an order is filled in two parts.
    pub partial: Ppm,
    /// Chance that a new order is rejected for no reason.
    pub reject: Ppm,
    /// Chance that a request is lost on its way and never answered: what became of it stays unknown.
    pub silence: Ppm,
    /// Where the random numbers come from: same seed, ticks and requests, same reports.
    pub seed: u64,
}

impl Default for PaperSettings {
    fn default() -> Self {
        Self {
            latency: Span::milliseconds(20),
            latency_jitter: Span::milliseconds(5),
            slippage_points: 1,
            commission_per_lot: Decimal(7 * Decimal::ONE / 2),
            partial: Ppm(50_000),
            reject: Ppm(5_000),
            silence: Ppm(0),
            seed: 1,
        }
    }
}

/// Why a paper venue cannot be built.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// A value makes no sense.
    #[error("venue.paper.{key} = {value} {problem}")]
    Value {
        /// The key below `venue.paper`.
        key: &'static str,
        /// The value found.
        value: String,
        /// What would be right.
        problem: &'static str,
    },
    /// Two values contradict each other.
    #[error(
        "venue.paper.reject = {reject} and venue.paper.silence = {silence} are more than 100% together: lower one of them"
    )]
    Chances {
        /// The chance of a reject.
        reject: Ppm,
        /// The chance of no answer.
        silence: Ppm,
    },
}

impl PaperSettings {
    /// Checks that the values make sense, each and together.
    ///
    /// # Errors
    /// [`PaperError`] with the first key that is wrong.
    pub fn validate(&self) -> Result<(), PaperError> {
        const MINUTE: i64 = Span::seconds(60).0;
        const ALL: i64 = 1_000_000;
        let fail = |key, value: String, problem| Err(PaperError::Value { key, value, problem });
        for (key, span) in [("latency", self.latency), ("latency_jitter", self.latency_jitter)] {
            if !(0..=MINUTE).contains(&span.0) {
                return fail(key, span.to_string(), "must be between 0s and 1m");
            }
        }
        if !(0..=ALL).contains(&self.slippage_points) {
            return fail(
                "slippage_points",
                self.slippage_points.to_string(),
                "must be between 0 and 1000000",
            );
        }
        if !(0..=1_000_000 * Decimal::ONE).contains(&self.commission_per_lot.0) {
            let value = self.commission_per_lot.to_string();
            return fail("commission_per_lot", value, "must be between 0 and 1000000");
        }
        for (key, chance) in [("partial", self.partial), ("reject", self.reject), ("silence", self.silence)] {
            if !(0..=ALL).contains(&chance.0) {
                return fail(key, chance.to_string(), "must be between 0% and 100%");
            }
        }
        if self.reject.0 + self.silence.0 > ALL {
            return Err(PaperError::Chances { reject: self.reject, silence: self.silence });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_are_valid_and_read_back() {
        let settings = PaperSettings::default();
        settings.validate().expect("valid");
        let text = serde_json::to_string(&settings).expect("plain values");
        assert!(
            text.contains(r#""latency":"20ms""#) && text.contains(r#""commission_per_lot":3.5"#),
            "{text}"
        );
        assert_eq!(serde_json::from_str::<PaperSettings>(&text).expect("its own words"), settings);
        assert_eq!(serde_json::from_str::<PaperSettings>("{}").expect("all defaults"), settings);
    }

    #[test]
    fn an_unknown_key_or_a_value_without_unit_is_refused() {
        for text in [r#"{"latencie":"1ms"}"#, r#"{"latency":20}"#, r#"{"partial":0.1}"#, r#"{"seed":-1}"#] {
            assert!(serde_json::from_str::<PaperSettings>(text).is_err(), "{text}");
        }
    }

    #[test]
    fn values_that_make_no_sense_name_their_key() {
        let base = PaperSettings::default;
        for (settings, key) in [
            (PaperSettings { latency: Span(-1), ..base() }, "venue.paper.latency = "),
            (PaperSettings { latency: Span::seconds(61), ..base() }, "venue.paper.latency = 61s"),
            (PaperSettings { latency_jitter: Span(-1), ..base() }, "venue.paper.latency_jitter = "),
            (PaperSettings { slippage_points: -1, ..base() }, "venue.paper.slippage_points = -1"),
            (
                PaperSettings { commission_per_lot: Decimal(-1), ..base() },
                "venue.paper.commission_per_lot = -0.00000001",
            ),
            (PaperSettings { partial: Ppm(1_000_001), ..base() }, "venue.paper.partial = 100.0001%"),
            (PaperSettings { reject: Ppm(-1), ..base() }, "venue.paper.reject = "),
            (PaperSettings { silence: Ppm(2_000_000), ..base() }, "venue.paper.silence = 200%"),
            (
                PaperSettings { reject: Ppm(600_000), silence: Ppm(500_000), ..base() },
                "venue.paper.reject = 60% and venue.paper.silence = 50%",
            ),
        ] {
            let error = settings.validate().expect_err(key).to_string();
            assert!(error.starts_with(key), "{error}");
        }
    }
}
