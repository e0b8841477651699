//! The middle and the largest of a few repetitions.

/// The median; of an even number the upper of the two in the middle. 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(0.0)
}

/// The largest; 0 of none.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_values_have_a_middle_and_a_best() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), largest(&[3.0, 1.0, 2.0])), (2.0, 3.0));
        assert_eq!((median(&[]), largest(&[])), (0.0, 0.0));
    }
}
