//! Dates and times of an export: `YYYY.MM.DD` and `HH:MM:SS[.fraction]` to nanoseconds.

use pawl_journal::record::Time;

/// Nanoseconds from the UNIX epoch to the start of the day `YYYY.MM.DD`; `None` if the calendar has no such day or
/// it is outside 1970 to 2261, beyond which nanoseconds do not fit.
pub(super) fn midnight(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'.', m1, m2, b'.', d1, d2] = *text else {
        return None;
    };
    let year = i16::from(two(y1, y2)?) * 100 + i16::from(two(y3, y4)?);
    if !(1970..=2261).contains(&year) {
        return None;
    }
    let date = jiff::civil::Date::new(year, two(m1, m2)?, two(d1, d2)?).ok()?;
    let seconds = date.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_second();
    Some(seconds * Time::SECOND)
}

/// Nanoseconds since the start of the day of `HH:MM:SS` with up to nine decimals of a second.
#[inline]
pub(super) fn time_of_day(text: &[u8]) -> Option<i64> {
    let (clock, fraction) = text.split_first_chunk::<8>()?;
    let [h1, h2, b':', m1, m2, b':', s1, s2] = *clock else {
        return None;
    };
    let (hour, minute, second) = (two(h1, h2)?, two(m1, m2)?, two(s1, s2)?);
    if hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = i64::from(hour) * 3_600 + i64::from(minute) * 60 + i64::from(second);
    Some(seconds * Time::SECOND + fraction_of_second(fraction)?)
}

#[inline]
fn fraction_of_second(text: &[u8]) -> Option<i64> {
    match *text {
        [] => Some(0),
        [b'.', a, b, c] => Some((i64::from(two(a, b)?) * 10 + i64::from(two(b'0', c)?)) * Time::MILLISECOND),
        [b'.', ref digits @ ..] if !digits.is_empty() && digits.len() <= 9 => {
            let mut value = 0;
            for place in 0..9 {
                let digit = digits.get(place).map_or(0, |byte| byte.wrapping_sub(b'0'));
                if digit > 9 {
                    return None;
                }
                value = value * 10 + i64::from(digit);
            }
            Some(value)
        }
        _ => None,
    }
}

#[inline]
fn two(tens: u8, ones: u8) -> Option<i8> {
    let (tens, ones) = (tens.wrapping_sub(b'0'), ones.wrapping_sub(b'0'));
    (tens <= 9 && ones <= 9).then(|| (tens * 10 + ones) as i8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn days_are_counted_from_the_epoch() {
        assert_eq!(midnight(b"1970.01.01"), Some(0));
        assert_eq!(midnight(b"2019.02.04"), Some(1_549_238_400 * Time::SECOND));
        assert_eq!(midnight(b"2024.02.29"), Some(1_709_164_800 * Time::SECOND));
        assert!(
            midnight(b"2261.12.31").is_some_and(|day| day.checked_add(2 * 86_400 * Time::SECOND).is_some())
        );
    }

    #[test]
    fn days_the_calendar_does_not_have_are_refused() {
        for text in [
            "2019.02.29",
            "2019.13.01",
            "2019.00.10",
            "2019.01.00",
            "2019.01.32",
            "1969.12.31",
            "2262.01.01",
            "2019-02-04",
            "04.02.2019",
            "2019.2.4",
            "2019.02.04 ",
            "",
            "2019.02.0x",
        ] {
            assert_eq!(midnight(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn times_are_read_with_and_without_a_fraction() {
        for (text, expected) in [
            ("00:00:00", 0),
            ("00:00:00.994", 994_000_000),
            ("23:59:59.999", 86_399_999_000_000),
            ("01:02:03.4", 3_723_400_000_000),
            ("01:02:03.123456789", 3_723_123_456_789),
        ] {
            assert_eq!(time_of_day(text.as_bytes()), Some(expected), "{text}");
        }
        for text in [
            "24:00:00",
            "00:60:00",
            "00:00:60",
            "0:00:00",
            "00:00",
            "00:00:00.",
            "00:00:00.1234567890",
            "00-00-00",
            "00:00:00,123",
            "00:00:00.1x3",
            "00:00:0x",
            "",
            "00:00:00.x",
        ] {
            assert_eq!(time_of_day(text.as_bytes()), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn every_time_that_is_written_reads_back(ns in 0..86_400_000_000_000_i64, decimals in 1..=9_usize) {
            let unit = 10_i64.pow(9 - decimals as u32);
            let ns = ns / unit * unit;
            let (s, rest) = (ns / Time::SECOND, ns % Time::SECOND / unit);
            let text = format!("{:02}:{:02}:{:02}.{rest:0decimals$}", s / 3_600, s / 60 % 60, s % 60);
            prop_assert_eq!(time_of_day(text.as_bytes()), Some(ns));
        }
    }
}
