//! `Grid`: the values that each key takes, and every combination of them.
//!
//! ```text
//! --grid risk.max_position=1,2,4                    a list
//! --grid agent.fast.threshold=0.5..0.7/0.05         from .. to / step, both ends included, counted in decimals
//! --grid venue.paper.latency=20ms..100ms/40ms       with a unit, the same in all three
//! ```
//!
//! Points are numbered from 0, the last key changing fastest.

use anyhow::{Context as _, bail};
use pawl_engine::quantity::Decimal;

use crate::config::{Layers, Origin, value_of};

/// Sections of the configuration that decide nothing, or that a sweep decides itself.
const NOT_SWEPT: [&str; 5] = ["mode", "threading", "journal", "runtime", "feed"];

/// One key and its values, as they were written.
#[derive(Debug)]
struct Axis {
    key: String,
    values: Vec<String>,
}

/// Every combination of the values of some keys; one point that sets nothing if there is no key.
#[derive(Debug)]
pub struct Grid(Vec<Axis>);

impl Grid {
    /// The grid of these `KEY=VALUES`, of at most `points_max` points.
    pub fn parse(texts: &[String], points_max: usize) -> anyhow::Result<Self> {
        let mut axes: Vec<Axis> = Vec::new();
        for text in texts {
            let axis = Axis::parse(text, points_max).with_context(|| format!("--grid {text}"))?;
            if axes.iter().any(|known| known.key == axis.key) {
                bail!("--grid {text}: {} is in the grid twice; give it all its values at once", axis.key);
            }
            axes.push(axis);
        }
        let points = axes.iter().try_fold(1_usize, |points, axis| points.checked_mul(axis.values.len()));
        match points {
            Some(points) if points <= points_max => Ok(Self(axes)),
            _ => bail!(
                "the grid has {} points: a sweep has at most {points_max}; give fewer values",
                points.map_or_else(|| "too many".to_owned(), |it| it.to_string())
            ),
        }
    }

    /// How many points there are.
    pub fn len(&self) -> usize {
        self.0.iter().map(|axis| axis.values.len()).product()
    }

    /// The keys.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|axis| axis.key.as_str())
    }

    /// The keys and their values at a point.
    pub fn point(&self, point: usize) -> Vec<(&str, &str)> {
        let mut rest = point;
        let mut values: Vec<(&str, &str)> = Vec::new();
        for axis in self.0.iter().rev() {
            values.push((&axis.key, &axis.values[rest % axis.values.len()]));
            rest /= axis.values.len();
        }
        values.reverse();
        values
    }

    /// Sets the keys of a point.
    pub fn lay(&self, point: usize, layers: &mut Layers) -> anyhow::Result<()> {
        for (key, value) in self.point(point) {
            layers.set(key, value_of(value), Origin::Flag("--grid".to_owned()))?;
        }
        Ok(())
    }
}

impl Axis {
    fn parse(text: &str, values_max: usize) -> anyhow::Result<Self> {
        let Some((key, values)) = text.split_once('=') else {
            bail!("it is not KEY=VALUE,VALUE or KEY=FROM..TO/STEP")
        };
        let (key, values) = (key.trim(), values.trim());
        let section = key.split(['.', '[']).next().unwrap_or(key);
        if NOT_SWEPT.contains(&section) {
            bail!("{key} decides nothing that a sweep compares: choose a key such as risk.max_position");
        }
        // A path such as ../models is no range.
        let range = values
            .split_once("..")
            .filter(|(from, _)| from.starts_with(|it: char| it.is_ascii_digit() || it == '-'));
        let values = match range.and_then(|(from, rest)| Some((from, rest.split_once('/')?))) {
            Some((from, (to, step))) => steps(from, to, step, values_max)?,
            None => list(values),
        };
        if values.iter().any(String::is_empty) {
            bail!("there is a value missing");
        }
        if let Some(twice) = values.iter().enumerate().find(|(at, value)| values[..*at].contains(value)) {
            bail!("{} is given twice", twice.1);
        }
        Ok(Self { key: key.to_owned(), values })
    }
}

/// Values between commas; those inside brackets or quotes part nothing.
fn list(text: &str) -> Vec<String> {
    let (mut depth, mut quoted) = (0_usize, false);
    let parts = text.split(|letter: char| {
        match letter {
            '"' => quoted = !quoted,
            '[' | '{' => depth += 1,
            ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        letter == ',' && depth == 0 && !quoted
    });
    parts.map(|part| part.trim().to_owned()).collect()
}

/// Every value from `from` to `to`, both included.
fn steps(from: &str, to: &str, step: &str, values_max: usize) -> anyhow::Result<Vec<String>> {
    let [(from, unit), (to, unit_to), (step, unit_step)] = [from, to, step].map(|text| {
        let text = text.trim();
        text.split_at(text.find(|it: char| !matches!(it, '0'..='9' | '.' | '-')).unwrap_or(text.len()))
    });
    if unit != unit_to || unit != unit_step {
        bail!("write the same unit three times, as in 20ms..100ms/40ms");
    }
    let number = |text: &str| {
        let number = text.parse::<Decimal>().map(|it| it.0);
        number.map_err(|_| anyhow::anyhow!("`{text}` is no number: write FROM..TO/STEP, as in 0.5..0.7/0.05"))
    };
    let (from, to, step) = (number(from)?, number(to)?, number(step)?);
    if step <= 0 || from > to {
        bail!("a range goes up from the first number to the second by a step above 0");
    }
    let count = (i128::from(to) - i128::from(from)) / i128::from(step) + 1;
    if count > values_max as i128 {
        bail!("these are {count} values: a sweep has at most {values_max} points");
    }
    Ok((0..count as i64).map(|at| format!("{}{unit}", Decimal(from + at * step))).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(text: &str) -> Vec<String> {
        Axis::parse(&format!("risk.max_order={text}"), 100).expect(text).values
    }

    #[test]
    fn lists_and_ranges_are_the_values_that_were_written() {
        assert_eq!(values("1, 2,4"), ["1", "2", "4"]);
        assert_eq!(values("0.5..0.7/0.05"), ["0.5", "0.55", "0.6", "0.65", "0.7"]);
        assert_eq!(values("-1..1/1.5"), ["-1", "0.5"], "the end is not stepped over");
        assert_eq!(values("20ms..100ms/40ms"), ["20ms", "60ms", "100ms"]);
        assert_eq!(values("0.1%..0.3%/0.1%"), ["0.1%", "0.2%", "0.3%"]);
        assert_eq!(values("[\"a\", \"b\"],[\"c,d\"]"), ["[\"a\", \"b\"]", "[\"c,d\"]"]);
    }

    #[test]
    fn points_are_every_combination_the_last_key_first() {
        let texts = ["a.b=1,2".to_owned(), "c.d=x,y,z".to_owned()];
        let grid = Grid::parse(&texts, 6).expect("small");
        let points: Vec<String> =
            (0..grid.len()).map(|it| grid.point(it).iter().map(|it| it.1).collect()).collect();
        assert_eq!(points, ["1x", "1y", "1z", "2x", "2y", "2z"]);
        let error = Grid::parse(&texts, 5).expect_err("too many").to_string();
        assert!(error.contains("6 points") && error.contains("at most 5"), "{error}");
        assert_eq!(Grid::parse(&[], 5).expect("empty").len(), 1);
    }

    #[test]
    fn what_is_no_grid_says_what_to_write() {
        for (text, says) in [
            ("risk.max_order", "KEY=VALUE"),
            ("risk.max_order=1,,2", "missing"),
            ("risk.max_order=1,1", "twice"),
            ("risk.max_order=2..1/1", "goes up"),
            ("risk.max_order=1..2/0", "goes up"),
            ("risk.max_order=1ms..2s/1ms", "same unit"),
            ("risk.max_order=1..-/1", "no number"),
            ("risk.max_order=0..1/0.00001", "100001 values"),
            ("journal.dir=a,b", "decides nothing"),
            ("threading=single,fused", "decides nothing"),
        ] {
            let error = format!("{:#}", Grid::parse(&[text.to_owned()], 100).expect_err(text));
            assert!(error.contains(says) && error.contains(text), "{error}");
        }
    }
}
