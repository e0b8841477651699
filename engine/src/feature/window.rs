//! `Window`: the last values of one source, shared by every column that looks back on it.
//!
//! ```text
//!   value number:   ... count-3  count-2  count-1 | count (the one coming in)
//!                        back 3   back 2   back 1 | put after all have looked back
//! ```
//!
//! The ring is a power of two long, so that a place is a mask; it is empty if no column looks back on the source.
//! Invariants: `back(n)` is asked for `1 <= n <= longest` only; before `n` values came in it reads 0, which lets
//! running sums start without a branch.

use crate::stateful;

/// The last values of one source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Window {
    values: Box<[i64]>,
    mask: usize,
    longest: usize,
}

stateful!(Window { values } but { mask, longest });

impl Window {
    /// A window for columns that look back at most so far; 0 keeps nothing.
    pub(super) fn new(longest: usize) -> Self {
        let capacity = if longest == 0 { 0 } else { longest.next_power_of_two() };
        Self { values: vec![0; capacity].into_boxed_slice(), mask: capacity.saturating_sub(1), longest }
    }

    /// The value that came in `n` values before number `count`.
    #[inline]
    pub(super) fn back(&self, count: u64, n: u32) -> i64 {
        self.values[count.wrapping_sub(u64::from(n)) as usize & self.mask]
    }

    /// Keeps value number `count`.
    #[inline]
    pub(super) fn put(&mut self, count: u64, value: i64) {
        if let Some(slot) = self.values.get_mut(count as usize & self.mask) {
            *slot = value;
        }
    }

    /// How far columns look back.
    pub(super) const fn longest(&self) -> usize {
        self.longest
    }

    /// The values a column may still look back on, oldest first, after `count` values came in.
    pub(super) fn kept(&self, count: u64) -> Vec<i64> {
        let len = count.min(self.longest as u64) as u32;
        (1..=len).rev().map(|n| self.back(count, n)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_looks_back_exactly_as_far_as_it_was_made_for() {
        for longest in [1, 2, 3, 5, 8, 4096] {
            let mut window = Window::new(longest);
            for count in 0..10_000_u64 {
                let n = longest as u32;
                let expected = if count >= longest as u64 { count as i64 - longest as i64 + 1 } else { 0 };
                assert_eq!(window.back(count, n), expected);
                window.put(count, count as i64 + 1);
            }
            assert_eq!(window.kept(10_000).last(), Some(&10_000));
            assert_eq!(window.kept(10_000).len(), longest);
        }
    }

    #[test]
    fn a_window_nobody_looks_back_on_keeps_nothing() {
        let mut window = Window::new(0);
        window.put(0, 7);
        assert_eq!(window, Window::new(0));
        assert!(window.kept(1).is_empty());
    }
}
