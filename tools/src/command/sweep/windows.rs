//! `Windows`: a range of time in pieces to learn on, each with a piece behind it to be tried on.
//!
//! ```text
//! rolling   |--train--|test|                 anchored   |--train--|test|
//!                |--train--|test|                       |----train-----|test|
//!                     |--train--|test|                  |-------train-------|test|
//! ```
//!
//! Tests follow each other without a gap. The first window begins where `--from` says, or at a full day, hour, minute or second of UTC, whichever
//! both lengths are whole numbers of.

use pawl_adapters::feed::TimeRange;
use pawl_engine::quantity::Span;
use pawl_journal::record::Time;

/// How long windows are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Windows {
    train: Span,
    test: Span,
    is_anchored: bool,
}

/// A piece to choose on, and the piece behind it, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// Where every point is run.
    pub train: TimeRange,
    /// Where the best of them is run.
    pub test: Option<TimeRange>,
}

impl Windows {
    /// How long a test is.
    pub const fn test(&self) -> Span {
        self.test
    }

    /// The windows of `range` over ticks from `first` to `last`; the last test may be shorter.
    pub fn over(&self, range: TimeRange, first: Time, last: Time) -> Vec<Window> {
        let (train, test) = (self.train.0, self.test.0);
        let whole = [86_400, 3_600, 60, 1].map(|seconds| seconds * Time::SECOND);
        let unit = whole.into_iter().find(|unit| train % unit == 0 && test % unit == 0).unwrap_or(1);
        let start =
            if range.from == TimeRange::ALL.from { first.0.div_euclid(unit) * unit } else { range.from.0 };
        let end = (last.0.div_euclid(unit) + 1).saturating_mul(unit).min(range.until.0);
        let mut windows = Vec::new();
        let mut turn = start.saturating_add(train);
        while turn <= last.0 {
            let from = if self.is_anchored { start } else { turn - train };
            let until = turn.saturating_add(test).min(end);
            windows.push(Window {
                train: TimeRange { from: Time(from), until: Time(turn) },
                test: Some(TimeRange { from: Time(turn), until: Time(until) }),
            });
            turn = until;
        }
        windows
    }
}

impl std::str::FromStr for Windows {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "`{text}` is not train=5d,test=1d, with `,anchored` if every train is to begin at the start"
            )
        };
        let (mut train, mut test, mut is_anchored) = (None, None, false);
        for part in text.split(',') {
            match part.trim().split_once('=') {
                Some(("train", length)) if train.is_none() => train = Some(length.trim().parse::<Span>()?),
                Some(("test", length)) if test.is_none() => test = Some(length.trim().parse::<Span>()?),
                None if part.trim() == "anchored" => is_anchored = true,
                _ => return Err(wrong()),
            }
        }
        match (train, test) {
            (Some(train), Some(test)) if train.0 >= Time::SECOND && test.0 >= Time::SECOND => {
                Ok(Self { train, test, is_anchored })
            }
            (Some(_), Some(_)) => {
                Err(format!("`{text}`: a window has at least a second to train and a second to test"))
            }
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600 * Time::SECOND;

    /// Windows from five minutes past hour 10 to before hour 14, in hours.
    fn hours(text: &str) -> Vec<[i64; 4]> {
        let (first, last) = (Time(10 * HOUR + HOUR / 12), Time(14 * HOUR - 1));
        let windows = text.parse::<Windows>().expect(text).over(TimeRange::ALL, first, last);
        let hour = |time: Time| {
            assert_eq!(time.0 % HOUR, 0, "{text}");
            time.0 / HOUR
        };
        let test = |it: &Window| it.test.expect("a test");
        windows
            .iter()
            .map(|it| [it.train.from, it.train.until, test(it).from, test(it).until].map(hour))
            .collect()
    }

    #[test]
    fn windows_roll_or_grow_and_their_tests_follow_each_other() {
        assert_eq!(hours("train=2h,test=1h"), [[10, 12, 12, 13], [11, 13, 13, 14]]);
        assert_eq!(hours("train=2h, test=1h, anchored"), [[10, 12, 12, 13], [10, 13, 13, 14]]);
        assert_eq!(
            hours("train=1h,test=2h"),
            [[10, 11, 11, 13], [12, 13, 13, 14]],
            "the last one is cut short"
        );
        assert!(hours("train=4h,test=1h").is_empty());
        let minutes = "train=30m,test=15m".parse::<Windows>().expect("valid");
        let over = minutes.over(TimeRange::ALL, Time(84), Time(HOUR));
        assert_eq!(over.first().map(|it| it.train.from), Some(Time(0)));
        let asked = TimeRange { from: Time(7), until: Time(HOUR - 7) };
        let over = minutes.over(asked, Time(84), Time(HOUR - 8));
        assert_eq!(over.first().map(|it| it.train.from), Some(asked.from), "not before what was asked for");
        assert_eq!(over.last().and_then(|it| it.test).map(|it| it.until), Some(asked.until));
    }

    #[test]
    fn what_is_no_window_says_what_to_write() {
        for text in ["", "5d,1d", "train=5d", "train=5d,test=1d,rolling", "train=5d,test=1d,test=2d"] {
            assert!(text.parse::<Windows>().expect_err(text).contains("train=5d,test=1d"), "{text}");
        }
        assert!("train=5,test=1d".parse::<Windows>().expect_err("no unit").contains("not a duration"));
        assert!("train=0s,test=1d".parse::<Windows>().expect_err("nothing").contains("at least a second"));
    }
}
