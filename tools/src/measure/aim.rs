//! Aims: what a benchmark is held against, and whether this run met it.

use serde::Serialize;

use crate::output::thousands;

/// Said where there is nothing to hold against the bound.
const NOT_MEASURED: &str = "not measured";

/// An upper or lower bound and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aim {
    /// What is bounded.
    pub what: String,
    /// The bound, in `unit`.
    pub bound: f64,
    /// What the bound is made of, where it is not the same in every run.
    pub formula: Option<&'static str>,
    /// Whether the value should be at least the bound rather than at most.
    pub at_least: bool,
    /// What was measured, in `unit`; none if there was too little to measure.
    pub value: Option<f64>,
    /// Unit of both.
    pub unit: &'static str,
    /// Whether the value is within the bound; none if that cannot be said.
    pub met: Option<bool>,
    /// Why it cannot be said.
    pub note: Option<&'static str>,
}

impl Aim {
    /// The value should not exceed the bound.
    pub fn at_most(
        what: impl Into<String>,
        value: impl Into<Option<f64>>,
        bound: f64,
        unit: &'static str,
    ) -> Self {
        Self::new(what.into(), value.into(), bound, unit, false)
    }

    /// The value should reach the bound.
    pub fn at_least(
        what: impl Into<String>,
        value: impl Into<Option<f64>>,
        bound: f64,
        unit: &'static str,
    ) -> Self {
        Self::new(what.into(), value.into(), bound, unit, true)
    }

    fn new(what: String, value: Option<f64>, bound: f64, unit: &'static str, at_least: bool) -> Self {
        // A ratio of nothing to nothing is nothing that was measured.
        let value = value.filter(|value| !value.is_nan() && !bound.is_nan());
        let met = value.map(|value| if at_least { value >= bound } else { value <= bound });
        let note = met.is_none().then_some(NOT_MEASURED);
        Self { what, bound, formula: None, at_least, value, unit, met, note }
    }

    /// Says what the bound is made of.
    #[must_use]
    pub fn made_of(self, formula: &'static str) -> Self {
        Self { formula: Some(formula), ..self }
    }

    /// Where `doubt` is told, meeting a bound that a disturbance has raised counts for nothing.
    #[must_use]
    pub fn doubted(mut self, doubt: Option<&'static str>) -> Self {
        if self.met == Some(true) && doubt.is_some() {
            (self.met, self.note) = (None, doubt);
        }
        self
    }

    /// The bound, as people write it.
    pub fn bound_text(&self) -> String {
        let formula = self.formula.map(|formula| format!(" ({formula})")).unwrap_or_default();
        let bound = if self.bound.abs() < 100.0 { self.bound.to_string() } else { number(self.bound) };
        let sign = match (self.at_least, self.bound == 0.0) {
            (true, _) => ">= ",
            (false, false) => "<= ",
            (false, true) => "= ",
        };
        format!("{}{formula}", format!("{sign}{bound} {}", self.unit).trim_end())
    }

    /// What was measured.
    pub fn value_text(&self) -> String {
        let text = |value| format!("{} {}", number(value), self.unit).trim_end().to_owned();
        self.value.map_or_else(|| "-".to_owned(), text)
    }

    /// Whether it was met.
    pub fn met_text(&self) -> &'static str {
        match self.met {
            Some(true) => "met",
            Some(false) => "not met",
            None => self.note.unwrap_or(NOT_MEASURED),
        }
    }
}

impl std::fmt::Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "aim: {} {}: {}, {}", self.what, self.bound_text(), self.value_text(), self.met_text())
    }
}

/// Three significant digits, or all of a whole number.
fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => {
            let sign = if value < 0.0 { "-" } else { "" };
            format!("{sign}{}", thousands(size.round() as u64))
        }
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_aim_says_its_bound_and_whether_it_was_met() {
        let aim = Aim::at_most("p50 over the baseline", 31.0, 30.0, "ns");
        assert_eq!(aim.to_string(), "aim: p50 over the baseline <= 30 ns: 31 ns, not met");
        let aim = Aim::at_least("verify", 2.3456, 2.5, "GB/s");
        assert_eq!(aim.to_string(), "aim: verify >= 2.5 GB/s: 2.35 GB/s, not met");
        let aim = Aim::at_most("p50", 1532.0, 4856.0, "ns").made_of("2 x floor");
        assert_eq!(aim.to_string(), "aim: p50 <= 4,856 ns (2 x floor): 1,532 ns, met");
        let aim = Aim::at_most("allocations", 0.0, 0.0, "");
        assert_eq!(aim.to_string(), "aim: allocations = 0: 0, met");
    }

    #[test]
    fn what_was_not_measured_is_neither_met_nor_not_met() {
        for value in [None, Some(f64::NAN)] {
            let aim = Aim::at_most("p99", value, 3.0, "x");
            assert_eq!((aim.met, aim.value), (None, None));
            assert_eq!(aim.to_string(), "aim: p99 <= 3 x: -, not measured");
        }
    }

    #[test]
    fn a_bound_that_a_disturbance_raised_is_not_met_and_may_be_missed() {
        let aim = |value| Aim::at_most("p99", value, 100.0, "ns").doubted(Some("floor disturbed"));
        assert_eq!((aim(90.0).met, aim(90.0).met_text()), (None, "floor disturbed"));
        assert_eq!((aim(110.0).met, aim(110.0).note), (Some(false), None));
        assert_eq!(Aim::at_most("p99", 90.0, 100.0, "ns").doubted(None).met, Some(true));
    }
}
