//! Decimal numbers of an export, digit by digit into whole points: no float comes between file and engine.

/// Largest price or volume a feed delivers, in points: sums and products of two of them with a volume still fit.
pub(super) const POINTS_MAX: i64 = 100_000_000_000_000;

/// Most decimals an instrument can have.
pub(super) const DIGITS_MAX: u8 = 8;

/// Powers of ten, as far as digits go.
pub(super) const POWERS: [i64; DIGITS_MAX as usize + 1] =
    [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// Why a text is no number of points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NumberError {
    /// It is not `[-]digits[.digits]`.
    Shape,
    /// It needs this many decimals, which is more than there are.
    Decimals(usize),
    /// It is beyond [`POINTS_MAX`].
    TooLarge,
}

/// A text such as `-1.145430` as a count of 10^-`digits`; zeros beyond `digits` decimals are fine.
#[inline]
pub(super) fn points(text: &[u8], digits: u8) -> Result<i64, NumberError> {
    exact(text, digits).ok_or_else(|| diagnose(text, digits))
}

#[inline]
fn exact(text: &[u8], digits: u8) -> Option<i64> {
    let (negative, mut rest) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mut value, whole) = take_digits(&mut rest, 0, usize::MAX)?;
    if whole == 0 {
        return None;
    }
    let mut missing = usize::from(digits);
    if let [b'.', decimals @ ..] = rest {
        rest = decimals;
        let (with_decimals, taken) = take_digits(&mut rest, value, missing)?;
        value = with_decimals;
        missing -= taken;
        let zeros = rest.iter().take_while(|byte| **byte == b'0').count();
        rest = &rest[zeros..];
        if taken + zeros == 0 {
            return None;
        }
    }
    if !rest.is_empty() {
        return None;
    }
    let value = value.checked_mul(POWERS[missing]).filter(|value| *value <= POINTS_MAX)?;
    Some(if negative { -value } else { value })
}

/// Takes up to `most` digits off the front and appends them to `value`; the new value and how many they were.
#[inline]
fn take_digits(text: &mut &[u8], mut value: i64, most: usize) -> Option<(i64, usize)> {
    let mut taken = 0;
    while let Some(byte) = text.get(taken) {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 || taken == most {
            break;
        }
        value = value * 10 + i64::from(digit);
        if value > POINTS_MAX {
            return None;
        }
        taken += 1;
    }
    *text = &text[taken..];
    Some((value, taken))
}

#[cold]
fn diagnose(text: &[u8], digits: u8) -> NumberError {
    let unsigned = text.strip_prefix(b"-").unwrap_or(text);
    let dot = unsigned.iter().position(|byte| *byte == b'.');
    let (whole, decimals) = dot.map_or((unsigned, None), |at| (&unsigned[..at], Some(&unsigned[at + 1..])));
    let plain = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    if !plain(whole) || !decimals.is_none_or(plain) {
        return NumberError::Shape;
    }
    let needed =
        decimals.map_or(0, |part| part.iter().rposition(|byte| *byte != b'0').map_or(0, |at| at + 1));
    if needed > usize::from(digits) { NumberError::Decimals(needed) } else { NumberError::TooLarge }
}

/// A whole number without sign, such as MT5's flags.
pub(super) fn whole(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    text.iter()
        .try_fold(0_u32, |value, byte| byte.is_ascii_digit().then(|| value * 10 + u32::from(byte - b'0')))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The same in the plainest way: split, pad with zeros, let the standard library parse, compare as big numbers.
    fn twin(text: &str, digits: u8) -> Result<i64, NumberError> {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (whole, decimals) = unsigned.split_once('.').unwrap_or((unsigned, "0"));
        let plain = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_digit());
        if !plain(whole) || !plain(decimals) {
            return Err(NumberError::Shape);
        }
        let significant = decimals.trim_end_matches('0');
        if significant.len() > digits as usize {
            return Err(NumberError::Decimals(significant.len()));
        }
        let text_points = format!("{whole}{significant:0<width$}", width = digits as usize);
        let value = text_points.trim_start_matches('0').parse::<i128>().or_else(|_| {
            if text_points.trim_start_matches('0').is_empty() { Ok(0) } else { Err(NumberError::TooLarge) }
        })?;
        if value > i128::from(POINTS_MAX) {
            return Err(NumberError::TooLarge);
        }
        Ok(if text.starts_with('-') { -(value as i64) } else { value as i64 })
    }

    #[test]
    fn prices_become_points_exactly() {
        for (text, digits, expected) in [
            ("1.14543", 5, 114_543),
            ("1.1", 5, 110_000),
            ("1", 5, 100_000),
            ("1.1454300", 5, 114_543),
            ("24849.4", 1, 248_494),
            ("-0.5", 1, -5),
            ("-37.63", 2, -3_763),
            ("0", 5, 0),
            ("0.00000", 0, 0),
            ("150.000", 0, 150),
            ("00012.5", 1, 125),
            ("1000000.00000000", 8, POINTS_MAX),
        ] {
            assert_eq!(points(text.as_bytes(), digits), Ok(expected), "{text} with {digits} digits");
        }
    }

    #[test]
    fn a_text_that_is_no_price_says_why() {
        use NumberError::{Decimals, Shape, TooLarge};
        for (text, digits, expected) in [
            ("", 5, Shape),
            ("-", 5, Shape),
            ("+1", 5, Shape),
            (".5", 5, Shape),
            ("1.", 5, Shape),
            ("1,5", 5, Shape),
            ("1.2.3", 5, Shape),
            ("1e5", 5, Shape),
            (" 1", 5, Shape),
            ("--1", 5, Shape),
            ("1.123456x", 5, Shape),
            ("1.145435", 5, Decimals(6)),
            ("1.1454350", 5, Decimals(6)),
            ("1.000000000000001", 8, Decimals(15)),
            ("1000000.00000001", 8, TooLarge),
            ("99999999999999999999999999", 0, TooLarge),
        ] {
            assert_eq!(points(text.as_bytes(), digits), Err(expected), "{text} with {digits} digits");
        }
    }

    #[test]
    fn flags_are_whole_numbers() {
        assert_eq!(whole(b"0"), Some(0));
        assert_eq!(whole(b"134"), Some(134));
        for text in ["", "-2", "2.0", "x", "1234567890"] {
            assert_eq!(whole(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_fast_parser_agrees_with_the_naive_one(text in "-?[0-9]{0,9}(\\.[0-9]{0,6}0{0,3})?", digits in 0..=8_u8) {
            prop_assert_eq!(points(text.as_bytes(), digits), twin(&text, digits));
        }

        #[test]
        fn the_parsers_agree_on_what_is_hardly_a_number(text in "[-0-9.,e ]{0,30}", digits in 0..=8_u8) {
            prop_assert_eq!(points(text.as_bytes(), digits), twin(&text, digits));
        }
    }
}
