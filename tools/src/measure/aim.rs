//! Aims: what a benchmark is held against, and whether this run met it.

use serde::Serialize;

/// An upper or lower bound and what was measured.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aim {
    /// What is bounded.
    pub what: String,
    /// The bound, in `unit`.
    pub bound: f64,
    /// Whether the value should be at least the bound rather than at most.
    pub at_least: bool,
    /// What was measured, in `unit`.
    pub value: f64,
    /// Unit of both.
    pub unit: &'static str,
    /// Whether the value is within the bound.
    pub met: bool,
}

impl Aim {
    /// The value should not exceed the bound.
    pub fn at_most(what: impl Into<String>, value: f64, bound: f64, unit: &'static str) -> Self {
        Self { what: what.into(), bound, at_least: false, value, unit, met: value <= bound }
    }

    /// The value should reach the bound.
    pub fn at_least(what: impl Into<String>, value: f64, bound: f64, unit: &'static str) -> Self {
        Self { what: what.into(), bound, at_least: true, value, unit, met: value >= bound }
    }

    /// The bound, as people write it.
    pub fn bound_text(&self) -> String {
        let sign = if self.at_least { ">=" } else { "<=" };
        format!("{sign} {} {}", self.bound, self.unit).trim_end().to_owned()
    }

    /// What was measured.
    pub fn value_text(&self) -> String {
        format!("{} {}", round(self.value), self.unit).trim_end().to_owned()
    }
}

impl std::fmt::Display for Aim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let met = if self.met { "met" } else { "not met" };
        write!(f, "aim: {} {}: {}, {met}", self.what, self.bound_text(), self.value_text())
    }
}

/// Three significant digits, or all of a whole number.
fn round(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value.fract() == 0.0 => format!("{value:.0}"),
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
        let aim = Aim::at_least("verify", 2.3456, 2.0, "GB/s");
        assert_eq!(aim.to_string(), "aim: verify >= 2 GB/s: 2.35 GB/s, met");
        assert!(!Aim::at_most("a ratio of nothing", f64::NAN, 3.0, "x").met, "what is not known is not met");
    }
}
