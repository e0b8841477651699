//! Plots as SVG paths: the equity with its range, and how far it was below its peak.
//!
//! The page colours them, so that they follow light, dark and print; a plotting crate would fix the colours.

use std::fmt::Write as _;

use pawl_journal::record::{Micros, Time};
use pawl_replay::{CurvePoint, Report};

use super::words::moment;
use crate::output::thousands;

/// Width of a plot in its own units.
pub const WIDTH: f64 = 960.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 10.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 26.0;

/// Most grid lines of an axis.
const TICKS_MAX: f64 = 8.0;

/// Where an axis has a line, and what it says there.
pub struct Tick {
    pub at: String,
    pub label: String,
}

/// A plot, ready to be drawn.
pub struct Plot {
    pub height: f64,
    /// What it shows, for those who cannot see it.
    pub title: String,
    pub across: Vec<Tick>,
    pub up: Vec<Tick>,
    pub left: f64,
    pub right: f64,
    pub label_left: f64,
    pub label_bottom: f64,
    /// Closed shape behind the line.
    pub area: String,
    pub line: String,
    /// A level to compare with, if it is in sight.
    pub level: Option<String>,
    /// A point to look at.
    pub mark: Option<Mark>,
}

/// A point to look at.
pub struct Mark {
    pub x: String,
    pub y: String,
}

/// Maps time and value to the plane.
struct Frame {
    from: i64,
    span: f64,
    low: f64,
    high: f64,
    height: f64,
}

impl Frame {
    fn new(points: &[CurvePoint], from: Time, height: f64, (low, high): (f64, f64)) -> Self {
        let until = points.last().map_or(from.0, |it| it.time.0);
        let room = if high > low { (high - low) * 0.04 } else { high.abs().max(1.0) * 0.001 };
        Self {
            from: from.0,
            span: (until - from.0).max(1) as f64,
            low: low - room,
            high: high + room,
            height,
        }
    }

    fn x(&self, time: Time) -> f64 {
        LEFT + (time.0 - self.from) as f64 / self.span * (WIDTH - LEFT - RIGHT)
    }

    fn y(&self, value: f64) -> f64 {
        TOP + (self.high - value) / (self.high - self.low) * (self.height - TOP - BOTTOM)
    }

    fn plot(&self, title: String, label: impl Fn(f64, f64) -> String) -> Plot {
        let step = nice((self.high - self.low) / TICKS_MAX * 1.4);
        let mut up = Vec::new();
        let mut value = (self.low / step).ceil() * step;
        while value <= self.high {
            up.push(Tick { at: short(self.y(value)), label: label(value, step) });
            value += step;
        }
        Plot {
            height: self.height,
            title,
            across: self.across(),
            up,
            left: LEFT,
            right: WIDTH - RIGHT,
            label_left: LEFT - 8.0,
            label_bottom: self.height - 8.0,
            area: String::new(),
            line: String::new(),
            level: None,
            mark: None,
        }
    }

    fn across(&self) -> Vec<Tick> {
        const SECOND: i64 = Time::SECOND;
        const DAY: i64 = 86_400 * SECOND;
        const STEPS: [i64; 21] = [
            SECOND,
            5 * SECOND,
            15 * SECOND,
            60 * SECOND,
            300 * SECOND,
            900 * SECOND,
            1_800 * SECOND,
            3_600 * SECOND,
            2 * 3_600 * SECOND,
            3 * 3_600 * SECOND,
            6 * 3_600 * SECOND,
            12 * 3_600 * SECOND,
            DAY,
            2 * DAY,
            7 * DAY,
            14 * DAY,
            30 * DAY,
            90 * DAY,
            365 * DAY,
            5 * 365 * DAY,
            50 * 365 * DAY,
        ];
        let step = STEPS.into_iter().find(|step| self.span / *step as f64 <= TICKS_MAX).unwrap_or(STEPS[20]);
        let mut ticks = Vec::new();
        let mut at = (self.from.div_euclid(step) + 1) * step;
        while at as f64 <= self.from as f64 + self.span {
            let text = moment(Time(at), 0);
            let (date, clock) = text.split_once(' ').unwrap_or((&text, ""));
            let label = match at.rem_euclid(DAY) {
                0 => date,
                rest if rest % (60 * SECOND) == 0 => clock.get(..5).unwrap_or(clock),
                _ => clock,
            };
            ticks.push(Tick { at: short(self.x(Time(at))), label: label.to_owned() });
            at += step;
        }
        ticks
    }

    fn trace(&self, points: &[CurvePoint], value: impl Fn(&CurvePoint) -> f64) -> String {
        let mut path = String::new();
        for (index, point) in points.iter().enumerate() {
            let verb = if index == 0 { 'M' } else { 'L' };
            // Writing to a String cannot fail.
            let _ = write!(path, "{verb}{} {}", short(self.x(point.time)), short(self.y(value(point))));
        }
        path
    }
}

/// The equity, and below it how far it was under its peak; none if the journal tells no equity.
pub fn plots(report: &Report) -> Vec<Plot> {
    let points = &report.curve;
    if points.is_empty() {
        return Vec::new();
    }
    let from = report.summary.time_first;
    let value = |it: Micros| it.0 as f64 / 1e6;
    let low = points.iter().map(|it| value(it.low)).fold(f64::INFINITY, f64::min);
    let high = points.iter().map(|it| value(it.high)).fold(f64::NEG_INFINITY, f64::max);
    let frame = Frame::new(points, from, 300.0, (low, high));
    let mut equity = frame.plot(format!("Equity in {}", report.settings.account.currency), money_label);
    equity.line = frame.trace(points, |it| value(it.last));
    equity.area = frame.trace(points, |it| value(it.high));
    for point in points.iter().rev() {
        let _ = write!(equity.area, "L{} {}", short(frame.x(point.time)), short(frame.y(value(point.low))));
    }
    equity.area.push('Z');
    equity.level =
        report.opening.map(value).filter(|it| (low..=high).contains(it)).map(|it| short(frame.y(it)));

    let deepest = points.iter().map(|it| it.drawdown * 100.0).fold(0.0, f64::max);
    let frame = Frame::new(points, from, 170.0, (-deepest, 0.0));
    let mut drawdown = frame.plot("Below the peak so far".to_owned(), percent_label);
    drawdown.line = frame.trace(points, |it| -it.drawdown * 100.0);
    let (x, top) = (|time| short(frame.x(time)), short(frame.y(0.0)));
    let last = points.last().map_or(from, |it| it.time);
    drawdown.area = format!("{}L{} {top}L{} {top}Z", drawdown.line, x(last), x(points[0].time));
    drawdown.mark = report.drawdown.map(|it| Mark { x: x(it.to), y: short(frame.y(-it.fraction * 100.0)) });
    vec![equity, drawdown]
}

/// The next larger of 1, 2 and 5 times a power of ten.
fn nice(step: f64) -> f64 {
    let power = 10_f64.powf(step.max(1e-12).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|it| it * power).find(|it| *it >= step * 0.999).unwrap_or(step)
}

fn decimals(step: f64) -> usize {
    (-step.log10().floor()).clamp(0.0, 6.0) as usize
}

fn money_label(value: f64, step: f64) -> String {
    let text = format!("{:.*}", decimals(step), value.abs());
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let sign = if value < 0.0 { "-" } else { "" };
    format!("{sign}{}{rest}", whole.parse().map_or_else(|_| whole.to_owned(), thousands))
}

fn percent_label(value: f64, step: f64) -> String {
    if value.abs() < step / 2.0 { "0%".to_owned() } else { format!("{value:.*}%", decimals(step)) }
}

/// A coordinate with a tenth of a unit.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_round_and_labels_have_the_decimals_they_need() {
        assert_eq!([0.3, 1.0, 2.1, 7.0, 34.0].map(nice), [0.5, 1.0, 5.0, 10.0, 50.0]);
        assert_eq!(money_label(100_000.0, 500.0), "100,000");
        assert_eq!(money_label(-1_234.5, 0.5), "-1,234.5");
        assert_eq!((percent_label(-0.04, 0.01), percent_label(1e-9, 0.01)), ("-0.04%".into(), "0%".into()));
    }
}
