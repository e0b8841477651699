//! Quantities as people write them in a configuration, and as the engine holds them.
//!
//! A duration is a text with a unit (`"250ms"`, `"5s"`, `"1m"`, `"24h"`), a fraction is a percentage (`"1.5%"`),
//! money and volume are decimal numbers. All are held as integers: what a stage compares is exact.

use serde::de::{Error, Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A length of time in nanoseconds, written as a number with a unit: `ns`, `us`, `ms`, `s`, `m`, `h` or `d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Span(pub i64);

/// A fraction in millionths, written as a percentage: `"1.5%"` is 15,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Ppm(pub i64);

/// A decimal number in units of 1e-8, written as a number: prices, volumes, contract sizes, money.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Decimal(pub i64);

const SPAN_UNITS: &[(&str, i64)] = &[
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

impl Span {
    /// So many seconds.
    #[must_use]
    pub const fn seconds(seconds: i64) -> Self {
        Self(seconds * 1_000_000_000)
    }

    /// So many milliseconds.
    #[must_use]
    pub const fn milliseconds(milliseconds: i64) -> Self {
        Self(milliseconds * 1_000_000)
    }
}

impl std::str::FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not a duration: write a whole number and a unit (ns, us, ms, s, m, h or d), such as \
                 \"250ms\", \"5s\", \"24h\" or \"30d\""
            )
        };
        let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
        let (number, unit) = text.split_at(digits);
        let (_, scale) = SPAN_UNITS.iter().find(|(name, _)| *name == unit.trim()).ok_or_else(wrong)?;
        if number.is_empty() {
            return Err(wrong());
        }
        let length = number.parse().ok().and_then(|number: i64| number.checked_mul(*scale));
        length.map(Self).ok_or_else(|| format!("`{text}` is too long: a duration has at most 292 years"))
    }
}

impl std::fmt::Display for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.0 == 0 {
            return f.write_str("0s");
        }
        let (name, scale) =
            SPAN_UNITS.iter().find(|(_, scale)| self.0 % scale == 0).expect("one divides all");
        write!(f, "{}{name}", self.0 / scale)
    }
}

impl std::str::FromStr for Ppm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a percentage: write it as \"1.5%\"");
        let number = text.strip_suffix('%').ok_or_else(wrong)?;
        let value: Decimal = number.trim().parse().map_err(|_| wrong())?;
        if value.0 % 10_000 != 0 {
            return Err(format!("`{text}` is finer than a millionth: write at most four decimals"));
        }
        Ok(Self(value.0 / 10_000))
    }
}

impl std::fmt::Display for Ppm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}%", Decimal(self.0 * 10_000))
    }
}

impl Decimal {
    /// Units in one.
    pub const ONE: i64 = 100_000_000;

    /// The nearest decimal to a float.
    ///
    /// # Errors
    /// If it is not finite, too large, or needs more than eight decimals.
    pub fn from_f64(value: f64) -> Result<Self, String> {
        if value.is_nan() {
            return Err("NaN is not a decimal number: write one such as 0.5".to_owned());
        }
        let scaled = (value * Self::ONE as f64).round();
        if scaled.abs() > 9.0e18 {
            return Err(format!("{value:e} is too large: write a number up to 90000000000"));
        }
        if (scaled / Self::ONE as f64 - value).abs() > value.abs() * 1e-12 {
            return Err(format!("{value} has more than eight decimals"));
        }
        Ok(Self(scaled as i64))
    }

    /// As a float, for printing and for sums that are not money.
    #[must_use]
    pub fn to_f64(self) -> f64 {
        self.0 as f64 / Self::ONE as f64
    }

    /// In millionths, as money is held.
    #[must_use]
    pub const fn to_micros(self) -> pawl_journal::record::Micros {
        pawl_journal::record::Micros(self.0 / 100)
    }
}

impl std::str::FromStr for Decimal {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a decimal number with at most eight decimals");
        let (negative, digits) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let plain = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if whole.is_empty() || fraction.len() > 8 || !plain(whole) || !plain(fraction) {
            return Err(wrong());
        }
        let number: i64 = format!("{whole}{fraction:0<8}").parse().map_err(|_| wrong())?;
        Ok(Self(if negative { -number } else { number }))
    }
}

impl std::fmt::Display for Decimal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (units, rest) =
            (self.0.unsigned_abs() / Self::ONE as u64, self.0.unsigned_abs() % Self::ONE as u64);
        let text = format!("{}{units}.{rest:08}", if self.0 < 0 { "-" } else { "" });
        f.write_str(text.trim_end_matches('0').trim_end_matches('.'))
    }
}

macro_rules! serde_as_text {
    ($($name:ident: $expected:literal),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Text;
                impl Visitor<'_> for Text {
                    type Value = $name;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        f.write_str($expected)
                    }

                    fn visit_str<E: Error>(self, text: &str) -> Result<$name, E> {
                        text.parse().map_err(E::custom)
                    }
                }
                deserializer.deserialize_str(Text)
            }
        }
    )*};
}

serde_as_text!(
    Span: "a duration in quotes, with its unit, such as \"250ms\", \"5s\" or \"30d\"",
    Ppm: "a percentage in quotes, such as \"1.5%\""
);

impl Serialize for Decimal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.to_f64())
    }
}

impl<'de> Deserialize<'de> for Decimal {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Decimal;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a decimal number without quotes, such as 0.5")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Decimal, E> {
                Decimal::from_f64(number).map_err(E::custom)
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Decimal, E> {
                match text.parse() {
                    // More than any number that a file can hold: TOML has no such one and leaves the text.
                    Ok(number @ (f64::INFINITY | f64::NEG_INFINITY)) => self.visit_f64(number),
                    _ => Err(E::invalid_type(Unexpected::Str(text), &self)),
                }
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Decimal, E> {
                self.visit_f64(number as f64)
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Decimal, E> {
                self.visit_f64(number as f64)
            }
        }
        deserializer.deserialize_f64(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_read_back_as_they_are_written() {
        for text in ["1ns", "250ms", "5s", "90s", "1m", "24h", "7d", "0s"] {
            let span: Span = text.parse().expect(text);
            assert_eq!(span.to_string().parse::<Span>(), Ok(span), "{text}");
        }
        assert_eq!("1.5%".parse(), Ok(Ppm(15_000)));
        assert_eq!(Ppm(15_000).to_string(), "1.5%");
        assert_eq!("-0.00001".parse(), Ok(Decimal(-1_000)));
        assert_eq!(Decimal(-1_000).to_string(), "-0.00001");
        assert_eq!(Decimal::from_f64(0.1).map(|d| d.to_string()), Ok("0.1".to_owned()));
    }

    #[test]
    fn a_quantity_without_its_unit_is_refused() {
        for text in ["5", "s", "5 parsecs", "-5s", "", "99999999999d"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
        for text in ["1.5", "%", "1.000001%", "one%"] {
            assert!(text.parse::<Ppm>().is_err(), "{text}");
        }
        for text in ["1e5", "1.123456789", ".5", "1,5", ""] {
            assert!(text.parse::<Decimal>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_number_and_what_is_too_much_of_one_are_told_apart() {
        let said = |value| Decimal::from_f64(value).unwrap_err();
        assert!(said(f64::NAN).contains("not a decimal number"), "{}", said(f64::NAN));
        for value in [f64::INFINITY, f64::NEG_INFINITY, 1e30] {
            assert!(said(value).contains("too large"), "{}", said(value));
        }
        for text in ["99999999999d", "99999999999999999999s"] {
            let said = text.parse::<Span>().unwrap_err();
            assert!(said.contains(text) && said.contains("too long"), "{said}");
        }
        let said = "5 moons".parse::<Span>().unwrap_err();
        assert!(said.contains("h or d"), "{said}");
        let read = |json: &str| serde_json::from_str::<Decimal>(json).map_err(|error| error.to_string());
        assert_eq!(read("2"), Ok(Decimal(2 * Decimal::ONE)));
        assert_eq!(read("-2.5"), Ok(Decimal(-250_000_000)));
        assert!(read("\"2\"").unwrap_err().contains("without quotes"));
    }
}
