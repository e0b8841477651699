//! Quick: rows as a terminal nearly always writes them, read in one pass. Whatever else a row is, is left to the careful
//! way, which gives the same for these and an error for what is wrong.
//!
//! ```text
//! 2019.02.04 \t 00:00:00.994 \t 1.14543 \t 1.14545 \t \t \t 6
//! the day of the row before     a price may be blank   no trade
//! ```

use super::{moment, number};

/// Most digits that are multiplied out here: far from what a word holds.
const DIGITS_MAX: usize = 14;

/// What such a row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Quote {
    /// Nanoseconds since the start of the day.
    pub(super) since_midnight: i64,
    /// In points; `None` if blank.
    pub(super) bid: Option<i64>,
    /// In points; `None` if blank.
    pub(super) ask: Option<i64>,
    /// As they stand there.
    pub(super) flags: u32,
}

/// The row, if it is such a one of the day `date`, with at most `digits` decimals.
#[inline]
pub(super) fn quote(line: &[u8], date: &[u8; 10], digits: u8) -> Option<Quote> {
    let (day, rest) = line.split_first_chunk::<10>()?;
    let (time, rest) = rest.split_first_chunk::<14>()?;
    let [b'\t', time @ .., b'\t'] = time else { return None };
    if day != date {
        return None;
    }
    let since_midnight = moment::time_of_day(time)?;
    let (bid, rest) = price(rest, digits)?;
    let (ask, rest) = price(rest, digits)?;
    let flags = number::whole(rest.strip_prefix(b"\t\t")?)?;
    Some(Quote { since_midnight, bid, ask, flags })
}

/// The price up to the next tab, and what is behind that.
#[inline]
fn price(text: &[u8], digits: u8) -> Option<(Option<i64>, &[u8])> {
    let (value, whole) = digits_from(0, text);
    let rest = &text[whole..];
    let (value, decimals, rest) = match *rest {
        [b'\t', ref rest @ ..] if whole == 0 => return Some((None, rest)),
        [b'\t', ref rest @ ..] => (value, 0, rest),
        [b'.', ref rest @ ..] => {
            let (value, decimals) = digits_from(value, rest);
            match rest[decimals..] {
                [b'\t', ref rest @ ..] if whole > 0 && decimals > 0 => (value, decimals, rest),
                _ => return None,
            }
        }
        _ => return None,
    };
    let missing = usize::from(digits).checked_sub(decimals)?;
    if whole + usize::from(digits) > DIGITS_MAX {
        return None;
    }
    Some((Some(value * number::POWERS[missing]), rest))
}

/// Appends the digits at the front of `text` to a value, and counts them. Too many are no number any more, but counted.
#[inline]
fn digits_from(mut value: i64, text: &[u8]) -> (i64, usize) {
    for (count, byte) in text.iter().enumerate() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return (value, count);
        }
        value = value.wrapping_mul(10).wrapping_add(i64::from(digit));
    }
    (value, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &[u8; 10] = b"2019.02.04";

    fn read(line: &str) -> Option<Quote> {
        quote(line.as_bytes(), DATE, 5)
    }

    #[test]
    fn a_row_as_terminals_write_it_is_read() {
        let row = read("2019.02.04\t00:00:01.994\t1.14543\t\t\t\t134").expect("a quote");
        assert_eq!(row, Quote { since_midnight: 1_994_000_000, bid: Some(114_543), ask: None, flags: 134 });
        let row = read("2019.02.04\t00:00:00.000\t1\t1.2\t\t\t6").expect("a quote");
        assert_eq!((row.bid, row.ask), (Some(100_000), Some(120_000)));
    }

    #[test]
    fn every_other_row_is_left_to_the_careful_way() {
        for line in [
            "",
            "2019.02.05\t00:00:00.000\t1\t2\t\t\t6",
            "2019.02.04\t00:00:00\t1\t2\t\t\t6",
            "2019.02.04\t24:00:00.000\t1\t2\t\t\t6",
            "2019.02.04\t00:00:00.000\t-1\t2\t\t\t6",
            "2019.02.04\t00:00:00.000\t1.\t2\t\t\t6",
            "2019.02.04\t00:00:00.000\t.1\t2\t\t\t6",
            "2019.02.04\t00:00:00.000\t1.1.1\t2\t\t\t6",
            "2019.02.04\t00:00:00.000\t1.123456\t2\t\t\t6",
            "2019.02.04\t00:00:00.000\t9999999999\t2\t\t\t6",
            "2019.02.04\t00:00:00.000\t99999999999999999999999\t2\t\t\t6",
            "2019.02.04\t00:00:00.000\t1\t2\t1\t\t6",
            "2019.02.04\t00:00:00.000\t1\t2\t\t1\t6",
            "2019.02.04\t00:00:00.000\t1\t2\t\t\t",
            "2019.02.04\t00:00:00.000\t1\t2\t\t\t6\t",
            "2019.02.04\t00:00:00.000\t1\t2\t\t\t-6",
            "2019.02.04\t00:00:00.000\t1\t2",
            "2019.02.04\t00:00:00.000\t1",
        ] {
            assert_eq!(read(line), None, "{line:?}");
        }
    }
}
