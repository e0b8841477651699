//! The middle and the largest of a few repetitions, and lists without repetitions.

/// The median; of an even number what lies half-way between the two in the middle. 0 of none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let upper = sorted.len() / 2;
    match (sorted.len() % 2, sorted.get(upper)) {
        (_, None) => 0.0,
        (1, Some(middle)) => *middle,
        (_, Some(above)) => f64::midpoint(sorted[upper - 1], *above),
    }
}

/// The largest; 0 of none.
pub fn largest(values: &[f64]) -> f64 {
    values.iter().copied().fold(0.0, f64::max)
}

/// Every item of a list once, where it comes first.
pub fn each_once<T: Copy + PartialEq>(items: &[T]) -> Vec<T> {
    let is_first = |(index, item): &(usize, &T)| !items[..*index].contains(item);
    items.iter().enumerate().filter(is_first).map(|(_, item)| *item).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_values_have_a_middle_and_a_best() {
        assert_eq!((median(&[3.0, 1.0, 2.0]), largest(&[3.0, 1.0, 2.0])), (2.0, 3.0));
        assert_eq!((median(&[]), largest(&[])), (0.0, 0.0));
        assert_eq!((median(&[9.0, 1.0, 2.0, 4.0]), median(&[7.0])), (3.0, 7.0));
    }
}
