//! The feature stage on real ticks, held against the naive twin at many places, where the data is there.

use std::io::Read as _;
use std::path::Path;

use pawl_engine::feature::COLUMNS_DEFAULT;

use crate::driver::{Driver, Quote};
use crate::twin::{self, Interval};

const MILLISECOND: i64 = 1_000_000;
const MINUTE: i64 = 60_000 * MILLISECOND;

/// The quotes of a file of `../shared/data`, in points of so many digits; `None` where there is no such data.
fn quotes(file: &str, digits: usize) -> Option<Vec<Quote>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(file);
    assert!(path.is_file() || std::env::var_os("CI").is_none(), "the real ticks are missing: {file}");
    let mut text = String::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).ok()?).read_to_string(&mut text).expect("gzip");
    let points = |price: &str| {
        let (whole, fraction) = price.split_once('.').unwrap_or((price, ""));
        format!("{whole}{fraction:0<digits$}").parse::<i64>().expect("a price")
    };
    let parts =
        |text: &str| text.split(['.', ':']).map(|part| part.parse().expect("a number")).collect::<Vec<i64>>();
    let line = |line: &str| {
        let cells: Vec<&str> = line.split('\t').collect();
        let (date, clock) = (parts(cells[0]), parts(cells[1]));
        let seconds = days(date[0], date[1], date[2]) * 86_400 + clock[0] * 3_600 + clock[1] * 60 + clock[2];
        let time = (seconds * 1_000 + clock[3]) * MILLISECOND;
        Quote { time, bid: points(cells[2]), ask: points(cells[3]), volume: 0 }
    };
    Some(text.lines().skip(1).map(line).collect())
}

/// Days since the UNIX epoch, for years that are divisible by four exactly when they are leap years.
fn days(year: i64, month: i64, day: i64) -> i64 {
    const BEFORE: [i64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    let leap = i64::from(year % 4 == 0 && month > 2);
    (year - 1970) * 365 + (year - 1969) / 4 + BEFORE[month as usize - 1] + leap + day - 1
}

/// Runs a file through the stage, holds every `every`-th vector against the twin, and returns ticks, bars and ready vectors.
fn run(symbol: &str, digits: i32, quotes: &[Quote], every: usize) -> (usize, usize, usize) {
    let mut driver = Driver::new(&[symbol], "1m", COLUMNS_DEFAULT);
    let (mut bars, mut ready) = (0, 0);
    for (index, quote) in quotes.iter().enumerate() {
        let output = driver.tick(0, *quote);
        bars += output.bars.len();
        ready += usize::from(output.features.expect("a vector").ready);
        assert!(output.values.iter().all(|value| value.is_finite()));
        if index % every == 0 || index + 1 == quotes.len() {
            twin::check(
                COLUMNS_DEFAULT,
                &output.values,
                &quotes[..=index],
                Interval::Nanoseconds(MINUTE),
                digits,
            );
        }
    }
    (quotes.len(), bars, ready)
}

#[test]
fn a_real_day_of_eurusd_equals_the_twin() {
    let Some(quotes) = quotes("EURUSD-2019-02-04.ticks.csv.gz", 5) else { return };
    assert_eq!(
        (quotes[0].time, quotes[0].bid, quotes[0].ask),
        (1_549_238_400_994 * MILLISECOND, 114_543, 114_545)
    );
    let (ticks, bars, ready) = run("EURUSD", 5, &quotes, 1_009);
    assert_eq!(ticks, 136_741);
    let minutes = quotes.chunk_by(|a, b| a.time / MINUTE == b.time / MINUTE).count();
    assert_eq!(bars, minutes - 1, "the last bar is still open");
    let first_ready = quotes
        .chunk_by(|a, b| a.time / MINUTE == b.time / MINUTE)
        .take(34)
        .map(<[Quote]>::len)
        .sum::<usize>();
    assert_eq!(
        ready,
        ticks - first_ready,
        "ready with the tick that closes bar 34, which MACD 12/26/9 needs"
    );
}

#[test]
fn two_real_hours_of_bitcoin_equal_the_twin() {
    let Some(quotes) = quotes("BTCUSD-2023-02-20.ticks.csv.gz", 1) else { return };
    let (ticks, bars, _) = run("BTCUSD", 1, &quotes, 101);
    assert_eq!((ticks, bars), (14_716, 119));
}
