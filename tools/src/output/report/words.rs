//! Numbers as people write them: money, fractions, ratios, lengths of time.

use pawl_engine::instrument::Instrument;
use pawl_journal::record::{Lots, Micros, Points, Time};

use crate::output::{thousands, time_text};

/// Money with two decimals and grouped thousands, rounded half away from zero.
pub fn money(amount: Micros) -> String {
    wide_money(i128::from(amount.0))
}

/// As [`money`], for sums that an `i64` may not hold, in micros.
pub fn wide_money(micros: i128) -> String {
    let cents = (micros.unsigned_abs() + 5_000) / 10_000;
    let sign = if micros < 0 && cents > 0 { "-" } else { "" };
    let whole = u64::try_from(cents / 100).unwrap_or(u64::MAX);
    format!("{sign}{}.{:02}", thousands(whole), cents % 100)
}

/// A fraction as a percentage; small ones with more decimals.
pub fn percent(fraction: f64) -> String {
    match (fraction * 100.0).abs() {
        0.0 => "0%".to_owned(),
        it if it >= 1e6 => format!("{:.2e}%", fraction * 100.0),
        it if it >= 1.0 => format!("{:.2}%", fraction * 100.0),
        _ => format!("{:.4}%", fraction * 100.0),
    }
}

/// A ratio with two decimals.
pub fn ratio(value: f64) -> String {
    if value.abs() >= 1e6 { format!("{value:.2e}") } else { format!("{value:.2}") }
}

/// A length of time in its two largest units.
pub fn span(nanoseconds: i64) -> String {
    let seconds = nanoseconds / Time::SECOND;
    match seconds {
        0 => format!("{:.1} ms", nanoseconds as f64 / 1e6),
        1..60 => format!("{:.1} s", nanoseconds as f64 / 1e9),
        60..3_600 => format!("{} m {:02} s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{} h {:02} m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{} d {:02} h", seconds / 86_400, seconds / 3_600 % 24),
    }
}

/// A time to the second or, for `decimals` 3, to the millisecond: `2024-01-02 03:04:05`.
pub fn moment(time: Time, decimals: usize) -> String {
    let text = time_text(time);
    let len = if decimals == 0 { 19 } else { 20 + decimals };
    text.get(..len).map_or_else(|| text.clone(), |it| it.replace('T', " "))
}

/// Volume in lots as the instrument counts it.
pub fn volume(instrument: &Instrument, lots: Lots) -> String {
    instrument.volume(lots).to_string()
}

/// An average price: `cost` points times lots over `lots`, one decimal finer than a price unless it is whole.
pub fn average_price(instrument: &Instrument, cost: i128, lots: Lots) -> String {
    let count = i128::from(lots.0);
    if count == 0 {
        return String::new();
    }
    if cost % count == 0 {
        return instrument.price_text(Points((cost / count) as i64));
    }
    let price = cost as f64 / count as f64 / 10_f64.powi(i32::from(instrument.digits));
    format!("{price:.*}", usize::from(instrument.digits) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_people_write_them() {
        let all = [0, -4_999, 5_000, -1_234_567_895_000, 99_999_995_000].map(|it| money(Micros(it)));
        assert_eq!(all, ["0.00", "0.00", "0.01", "-1,234,567.90", "100,000.00"]);
        let all = [0.0, -0.000_405, 0.5, 123.456, 1e9].map(percent);
        assert_eq!(all, ["0%", "-0.0405%", "50.00%", "12345.60%", "1.00e11%"]);
        let all =
            [1_500_000, 59_900_000_000, 61_000_000_000, 7_260_000_000_000, 180_000_000_000_000].map(span);
        assert_eq!(all, ["1.5 ms", "59.9 s", "1 m 01 s", "2 h 01 m", "2 d 02 h"]);
        assert_eq!(moment(Time(1_549_238_400_994_000_000), 3), "2019-02-04 00:00:00.994");
        let eurusd = Instrument::well_known("EURUSD").expect("known");
        assert_eq!(average_price(&eurusd, 229_086, Lots(2)), "1.14543");
        assert_eq!(average_price(&eurusd, 229_087, Lots(2)), "1.145435");
    }
}
