//! The chart: one self-contained page with the percentile curves of every rate, the floor beside them.
//!
//! ```text
//!  across   share of the orders, so that 90%, 99%, 99.9% .. are equally far apart      up   ns, logarithmic
//! ```
//!
//! The page colours the curves, so that they follow light, dark and print; it fetches nothing and runs nothing.

use std::fmt::Write as _;
use std::path::Path;

use askama::Template;
use pawl_engine::runtime::Latency;

use crate::measure::Conditions;
use crate::output::{beginning, thousands};

use super::{Measured, Report};

/// By which a chart is known again.
const MARK: &str = "<!-- pawl bench latency -->";

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 320.0;
const LEFT: f64 = 74.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 28.0;

/// Powers of ten between which the curves are drawn: 10 ns to 100 ms.
const LOW: f64 = 1.0;
const HIGH: f64 = 8.0;

/// Nines that the axis goes to.
const NINES: f64 = 5.0;

#[derive(Template)]
#[template(path = "latency.html")]
struct Page<'a> {
    mark: &'static str,
    ticks: &'a str,
    conditions: &'a Conditions,
    figures: Vec<Figure>,
    across: Vec<Tick>,
    up: Vec<Tick>,
    width: f64,
    height: f64,
    left: f64,
    right: f64,
    bottom: f64,
    label_bottom: f64,
    build: &'static str,
}

/// The curves of one rate.
struct Figure {
    rate: String,
    curves: Vec<Curve>,
}

struct Curve {
    name: String,
    class: usize,
    path: String,
    p50: String,
    p99: String,
    p999: String,
    max: String,
}

/// Where an axis has a line, and what it says there.
struct Tick {
    at: f64,
    label: String,
}

/// The page.
pub fn page(report: &Report, measured: &Measured) -> anyhow::Result<String> {
    let figures = measured.floors.iter().map(|(floor, histogram)| {
        let mut curves = vec![curve("floor: a cache line", 0, histogram)];
        let lanes = measured.lanes.iter().filter(|lane| lane.case.rate == floor.rate_per_second);
        for (index, lane) in lanes.enumerate() {
            let [(_, orders), ..] = lane.histograms();
            curves.push(curve(&lane.row().name(), index + 1, orders));
        }
        Figure { rate: thousands(floor.rate_per_second), curves }
    });
    let across = ["0%", "90%", "99%", "99.9%", "99.99%", "99.999%"];
    let up = ["10 ns", "100 ns", "1 us", "10 us", "100 us", "1 ms", "10 ms", "100 ms"];
    let page = Page {
        mark: MARK,
        ticks: &report.ticks,
        conditions: &report.conditions,
        figures: figures.collect(),
        across: across
            .iter()
            .zip(0..)
            .map(|(label, nines)| Tick { at: x(f64::from(nines)), label: (*label).into() })
            .collect(),
        up: up
            .iter()
            .zip(1..)
            .map(|(label, power)| Tick { at: y(f64::from(power)), label: (*label).into() })
            .collect(),
        width: WIDTH,
        height: HEIGHT,
        left: LEFT,
        right: WIDTH - RIGHT,
        bottom: HEIGHT - BOTTOM,
        label_bottom: HEIGHT - 8.0,
        build: env!("CARGO_PKG_VERSION"),
    };
    Ok(page.render()?)
}

/// Whether a file is such a page.
pub fn is_chart(path: &Path) -> std::io::Result<bool> {
    Ok(beginning(path)?.windows(MARK.len()).any(|bytes| bytes == MARK.as_bytes()))
}

/// Whether a file is a distribution of HdrHistogram.
pub fn is_distribution(path: &Path) -> std::io::Result<bool> {
    let bytes = beginning(path)?;
    let words = String::from_utf8_lossy(&bytes);
    Ok(words.split_whitespace().take(3).eq(["Value", "Percentile", "TotalCount"]))
}

fn curve(name: &str, class: usize, histogram: &Latency) -> Curve {
    let mut path = String::new();
    for (share, nanoseconds) in histogram.curve() {
        let nines = -(1.0 - share).max(1e-9).log10();
        let verb = if path.is_empty() { 'M' } else { 'L' };
        // Writing to a String cannot fail.
        let _ =
            write!(path, "{verb}{:.1} {:.1}", x(nines.min(NINES)), y((nanoseconds.max(1) as f64).log10()));
    }
    let at = histogram.percentiles();
    let [p50, p99, p999, max] = [at.p50_ns, at.p99_ns, at.p999_ns, at.max_ns].map(thousands);
    Curve { name: name.to_owned(), class: class % 8, path, p50, p99, p999, max }
}

fn x(nines: f64) -> f64 {
    LEFT + nines / NINES * (WIDTH - LEFT - RIGHT)
}

fn y(power: f64) -> f64 {
    TOP + (HIGH - power.clamp(LOW, HIGH)) / (HIGH - LOW) * (HEIGHT - TOP - BOTTOM)
}
