//! The exposition: counters in the text format of Prometheus, version 0.0.4.
//!
//! Every family is there from the start with every value that its label can have, so that a rate misses no first step.
//! A histogram is told in two buckets to a power of two, from 64 ns to 2.1 s: a quantile worked out of them is within 42 %
//! of the exact one, and a sum is worked out of the finer buckets, within 6.25 %. Who needs more reads the file of the counters, where it is 6.25 %.

use std::fmt::{Display, Write as _};

use pawl_engine::runtime::counters::Values;
use pawl_engine::runtime::counters::buckets::range_of;
use pawl_engine::runtime::counters::catalogue::{FAMILIES, Family, FamilyKind, LabelNames};

/// The buckets whose upper ends are told: the last below 64 ns, and from there every fourth.
const FIRST_BUCKET: usize = 31;
const LAST_BUCKET: usize = 231;
const EVERY: usize = 4;

/// The text of these values.
#[must_use]
pub fn exposition(values: &Values, names: &LabelNames) -> String {
    let mut text = String::with_capacity(64 << 10);
    for family in FAMILIES {
        let kind = match family.kind {
            FamilyKind::Counter => "counter",
            FamilyKind::Gauge => "gauge",
            FamilyKind::Histogram => "histogram",
        };
        line(&mut text, format_args!("# HELP {} {}", family.name, family.help));
        line(&mut text, format_args!("# TYPE {} {kind}", family.name));
        for index in 0..family.len {
            let Some(value) = family.label.value(index, names) else { continue };
            let label =
                family.label.name().map(|name| format!("{name}=\"{}\"", escaped(&value))).unwrap_or_default();
            if family.kind == FamilyKind::Histogram {
                histogram(&mut text, family, index, &label, values);
            } else {
                sample(&mut text, family.name, &label, unit(family, values.value(family, index)));
            }
        }
    }
    text
}

fn histogram(text: &mut String, family: &Family, index: usize, label: &str, values: &Values) {
    let distribution = values.distribution(family, index);
    let name = family.name;
    let bucket = format!("{name}_bucket");
    let comma = if label.is_empty() { "" } else { "," };
    for last in (FIRST_BUCKET..=LAST_BUCKET).step_by(EVERY) {
        let le = unit(family, range_of(last).1);
        sample(text, &bucket, &format!("{label}{comma}le=\"{le}\""), distribution.up_to(last));
    }
    sample(text, &bucket, &format!("{label}{comma}le=\"+Inf\""), distribution.count());
    sample(text, &format!("{name}_sum"), label, unit(family, distribution.sum_ns()));
    sample(text, &format!("{name}_count"), label, distribution.count());
}

/// A word in the unit of the family's name. Whole numbers stay whole: a double has no place for a sequence above 2^53.
fn unit(family: &Family, word: u64) -> String {
    let divisor = family.divisor();
    if divisor > 1.0 { (word as f64 / divisor).to_string() } else { word.to_string() }
}

fn sample(text: &mut String, name: &str, label: &str, value: impl Display) {
    if label.is_empty() {
        line(text, format_args!("{name} {value}"));
    } else {
        line(text, format_args!("{name}{{{label}}} {value}"));
    }
}

fn line(text: &mut String, line: std::fmt::Arguments<'_>) {
    // Writing to a String cannot fail.
    let _ = writeln!(text, "{line}");
}

/// A label's value, escaped as the format asks.
fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use pawl_engine::runtime::counters::Counters;

    use super::*;

    #[test]
    fn an_engine_that_has_counted_nothing_shows_every_family_with_its_meaning_and_its_values() {
        let names = LabelNames { instruments: vec!["EUR\"USD\\".into()], agents: vec!["fast".into()] };
        let text = exposition(&Counters::default().values(), &names);
        for family in FAMILIES {
            assert!(text.contains(&format!("\n# TYPE {} ", family.name)), "{}", family.name);
        }
        for line in [
            "predictions_total{agent=\"fast\"} 0",
            "orders_processed_total{instrument=\"EUR\\\"USD\\\\\"} 0",
            "orders_rejected_total{reason=\"no_quote\"} 0",
            "execution_latency_milliseconds_bucket{le=\"0.000063\"} 0",
            "execution_latency_milliseconds_bucket{le=\"+Inf\"} 0",
            "model_inference_time_ms_count{agent=\"fast\"} 0",
            "pawl_stage_latency_seconds_bucket{stage=\"ring\",le=\"0.000000063\"} 0",
            "pawl_refusals_total{reason=\"halted\"} 0",
        ] {
            assert!(text.contains(&format!("\n{line}\n")), "{line}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let value = line.rsplit(' ').next().expect("a value");
            let bound = line.split_once("le=\"").and_then(|(_, bound)| bound.split('"').next());
            assert!(!value.contains('e') && !bound.is_some_and(|bound| bound.contains('e')), "{line}");
        }
    }
}
