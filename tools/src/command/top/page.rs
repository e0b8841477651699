//! The page: a frame for people, in as many columns as there are.
//!
//! Invariant: where it does not fit, whole columns are left out and lines are broken between words; no number is cut.

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use pawl_engine::runtime::counters::catalogue as at;
use pawl_journal::record::Time;

use super::frame::{Frame, State, mode, since};
use crate::output::{Table, thousands, time_text};

/// An engine that has not written for so long is told with the time.
const LATE: Duration = Duration::from_secs(1);

/// The columns of latencies in the order in which they are left out, as far as they must be.
const LATENCIES: [&str; 9] = ["ns", "now p50", "p99", "run p50", "p90", "p99", "p99.9", "most", "count"];
const LATENCIES_KEPT: [&[usize]; 4] =
    [&[0, 1, 2, 3, 4, 5, 6, 7, 8], &[0, 1, 2, 3, 5, 7, 8], &[0, 1, 2, 3, 5, 7], &[0, 3, 5]];

/// The page of a frame, for this many columns.
pub(super) fn page(frame: &Frame, journal: &Path, columns: usize) -> String {
    let mut out = head(frame, journal, columns);
    let _ = write!(out, "\n{}\n{}", rates(frame, columns), latencies(frame, columns));
    if !frame.tailers.is_empty() {
        let _ = write!(out, "\n{}", tailers(frame, columns));
    }
    for (title, family) in [
        ("refused", at::REFUSALS),
        ("reports", at::REPORTS),
        ("rejected", at::REJECTS),
        ("alerts", at::ALERTS),
        ("flagged", at::FLAGGED),
    ] {
        let counted: Vec<_> = frame
            .counted(&family)
            .iter()
            .map(|(label, count)| format!("{label} {}", thousands(*count)))
            .collect();
        if !counted.is_empty() {
            out += &wrapped(&format!(" {title:<9} {}", counted.join(", ")), columns);
        }
    }
    if frame.get(at::SYNC_FAILED) > 0 {
        out += &wrapped(" a sync has failed: nothing becomes durable any more", columns);
    }
    out
}

fn head(frame: &Frame, journal: &Path, columns: usize) -> String {
    let (reading, age) = (&frame.reading, age_text(frame.age));
    let state = match frame.state {
        State::Running if frame.age < LATE => "running".to_owned(),
        State::Running => format!("running, last written {age} ago"),
        State::Silent => format!("has not written for {age}: stopped, hung or starved"),
        State::Ended => format!("ended {age} ago; no engine runs, these are its last values"),
        State::Died => format!("the engine is gone without ending its run; its last values, of {age} ago"),
        State::Uncounted => format!(
            "an engine runs, and these are not its counters: it is only beginning, or does not count \
             (runtime.counters = false); the values are {age} old"
        ),
    };
    let standing = format!(
        "{}  {} halts  event time {}  feeds {:.1}%  up {}",
        mode(frame.get(at::MODE)),
        frame.get(at::HALTS),
        &time_text(Time(frame.get(at::EVENT_TIME).cast_signed()))[..19],
        frame.get(at::FEED_PROGRESS) as f64 / 1e4,
        age_text(since(reading.started, reading.time)),
    );
    wrapped(&format!("{}  pid {}  {state}", journal.display(), reading.pid), columns)
        + &wrapped(&standing, columns)
}

/// Rates and totals, with the watermarks beside them or, where that is too wide, below.
fn rates(frame: &Frame, columns: usize) -> String {
    let families = [
        ("ticks", at::TICKS),
        ("steps", at::STEPS),
        ("predictions", at::PREDICTIONS),
        ("orders", at::ORDERS),
        ("ticks left out", at::DROPPED),
    ];
    let rows = families.map(|(name, family)| {
        [name.to_owned(), thousands(frame.rate(family).round() as u64), thousands(frame.total(family))]
    });
    let places = |is_short: bool| {
        let (times, segments) = if is_short { ("", "segments") } else { (" times", "segments begun") };
        let ring = match frame.get(at::RING_SLOTS) {
            0 => "none".to_owned(),
            slots => {
                let [now, most] = [at::RING_OCCUPANCY, at::RING_OCCUPANCY_MAX].map(|it| frame.get(it));
                format!("{now} of {slots}, most {most}, full {}{times}", thousands(frame.get(at::RING_FULL)))
            }
        };
        let supply = ["enough", "low", "out"][frame.get(at::SUPPLY).min(2) as usize];
        [
            ["published".to_owned(), thousands(frame.get(at::PUBLISHED))],
            ["committed".to_owned(), thousands(frame.get(at::COMMITTED))],
            ["durable".to_owned(), thousands(frame.get(at::DURABLE))],
            ["in the ring".to_owned(), ring],
            ["journal".to_owned(), format!("{} {segments}, {supply} ready", thousands(frame.get(at::ROLLS)))],
        ]
    };
    let beside = |is_short: bool| {
        let mut table = Table::new(&["", "a second", "in all", "", ""]);
        let indent = if is_short { "" } else { "   " };
        for ([name, rate, total], [place, value]) in rows.iter().cloned().zip(places(is_short)) {
            table.row([name, rate, total, format!("{indent}{place}"), value]);
        }
        table.numbers_from(1);
        table.to_string()
    };
    let below = || {
        let (mut above, mut below) = (Table::new(&["", "a second", "in all"]), Table::new(&[]));
        rows.iter().cloned().for_each(|row| above.row(row));
        places(true).into_iter().for_each(|row| below.row(row));
        above.numbers_from(1);
        format!("{above}{below}")
    };
    first_that_fits(columns, [&|| beside(false), &|| beside(true), &below])
}

fn latencies(frame: &Frame, columns: usize) -> String {
    let rows: Vec<[String; 9]> = frame
        .latencies()
        .into_iter()
        .map(|(name, run, now)| {
            let recent =
                |share| if now.count() > 0 { thousands(now.quantile(share)) } else { "-".to_owned() };
            let whole = |share| thousands(run.quantile(share));
            [
                name,
                recent(0.5),
                recent(0.99),
                whole(0.5),
                whole(0.9),
                whole(0.99),
                whole(0.999),
                thousands(run.highest()),
                thousands(run.count()),
            ]
        })
        .collect();
    let with = |kept: &[usize]| {
        let mut table = Table::new(&kept.iter().map(|&column| LATENCIES[column]).collect::<Vec<_>>());
        rows.iter().for_each(|row| table.row(kept.iter().map(|&column| &row[column])));
        table.numbers_from(1);
        table.to_string()
    };
    let [all, many, some, few] = LATENCIES_KEPT;
    first_that_fits(columns, [&|| with(all), &|| with(many), &|| with(some), &|| with(few)])
}

fn tailers(frame: &Frame, columns: usize) -> String {
    let rows: Vec<[String; 4]> = frame
        .tailers
        .iter()
        .map(|it| {
            let kind = match (it.kind, it.pid) {
                (kind, Some(pid)) => format!("{kind} {pid}"),
                ("cursor", None) if it.is_in_use => "cursor in use".to_owned(),
                (kind, None) => kind.to_owned(),
            };
            [it.name.clone(), kind, thousands(it.next), thousands(frame.behind(it.next))]
        })
        .collect();
    let all = || {
        let mut table = Table::new(&["tailer", "", "next step", "steps behind"]);
        rows.iter().cloned().for_each(|row| table.row(row));
        table.numbers_from(2);
        table.to_string()
    };
    let few = || {
        let mut table = Table::new(&["tailer", "behind"]);
        rows.iter().cloned().for_each(|[name, _, _, behind]| table.row([name, behind]));
        table.numbers_from(1);
        table.to_string()
    };
    first_that_fits(columns, [&all as &dyn Fn() -> String, &few])
}

/// The first of these texts that is no wider than this, or the last one.
fn first_that_fits<const N: usize>(columns: usize, texts: [&dyn Fn() -> String; N]) -> String {
    let mut last = String::new();
    for text in texts {
        last = text();
        if last.lines().all(|line| line.chars().count() <= columns) {
            break;
        }
    }
    last
}

/// A line in lines no wider than this, broken between words, those behind the first one set in.
fn wrapped(line: &str, columns: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for word in line.split_inclusive(' ') {
        let len = word.trim_end().chars().count();
        if used > 0 && used + len > columns && len > 0 {
            out.truncate(out.trim_end().len());
            out += "\n   ";
            used = 3;
        }
        out += word;
        used += word.chars().count();
    }
    out + "\n"
}

/// A length of time in the largest unit of which it has at least two; below two minutes in seconds.
fn age_text(age: Duration) -> String {
    let seconds = age.as_secs();
    match [(86_400, "d"), (3_600, "h"), (60, "min")].iter().find(|(unit, _)| seconds >= 2 * unit) {
        Some((unit, name)) => format!("{} {name}", seconds / unit),
        None => format!("{:.1} s", age.as_secs_f64()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_broken_between_words_and_none_is_lost() {
        let line = " refused   no_quote 193,852, max_order_rate 1,024, halted 7";
        assert_eq!(wrapped(line, 100), format!("{line}\n"));
        for columns in 20..60 {
            let text = wrapped(line, columns);
            assert!(text.lines().all(|line| line.chars().count() <= columns), "{columns}: {text}");
            assert!(text.split_whitespace().eq(line.split_whitespace()), "{columns}: {text}");
        }
    }

    #[test]
    fn what_is_shown_is_the_first_that_fits() {
        let texts: [&dyn Fn() -> String; 3] =
            [&|| "12345678\n1".into(), &|| "1234\n12".into(), &|| "123".into()];
        assert_eq!([8, 7, 4, 3, 2].map(|columns| first_that_fits(columns, texts).len()), [10, 7, 7, 3, 3]);
    }
}
