//! Which reports were applied: a window over the venue's report numbers, so that each is applied once.
//!
//! ```text
//!  numbers  ... | highest - 4095 ........ highest |
//!  applied  all |  one bit each                   |  none
//! ```
//!
//! Reports may come out of order inside the window. A number from before the window counts as applied.

use crate::stateful;

/// How many numbers back a report may come late.
const WINDOW: u64 = 4_096;

/// The numbers that were seen.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    highest: u64,
    bits: Box<[u64]>,
}

stateful!(Seen { highest, bits });

impl Seen {
    /// Nothing seen.
    pub(crate) fn new() -> Self {
        Self { highest: 0, bits: vec![0; (WINDOW / 64) as usize].into_boxed_slice() }
    }

    /// Takes a number; false if it was seen before. Number 0 is none and always new.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if number == 0 {
            return true;
        }
        if number > self.highest {
            if number - self.highest >= WINDOW {
                self.bits.fill(0);
            } else {
                (self.highest + 1..number).for_each(|skipped| self.set(skipped, false));
            }
            self.highest = number;
            self.set(number, true);
            return true;
        }
        if self.highest - number >= WINDOW || self.get(number) {
            return false;
        }
        self.set(number, true);
        true
    }

    /// Takes every number up to this one as seen.
    pub(crate) fn insert_to(&mut self, number: u64) {
        if number > self.highest {
            self.insert(number);
        }
        let first = self.highest.saturating_sub(WINDOW - 1).max(1);
        (first..=number).for_each(|number| self.set(number, true));
    }

    fn get(&self, number: u64) -> bool {
        let bit = number % WINDOW;
        self.bits[(bit / 64) as usize] >> (bit % 64) & 1 == 1
    }

    fn set(&mut self, number: u64, value: bool) {
        let bit = number % WINDOW;
        let word = &mut self.bits[(bit / 64) as usize];
        *word = *word & !(1 << (bit % 64)) | u64::from(value) << (bit % 64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_number_is_new_once_in_any_order() {
        let mut seen = Seen::new();
        for number in [5, 1, 4, 4_096, 9_000, 8_999] {
            assert!(seen.insert(number), "{number}");
            assert!(!seen.insert(number), "{number} again");
        }
        assert!(!seen.insert(2), "before the window");
        assert!(seen.insert(0) && seen.insert(0), "no number");
    }

    proptest! {
        #[test]
        fn agrees_with_a_set(numbers in prop::collection::vec(1_u64..10_000, 1..300)) {
            let mut seen = Seen::new();
            let mut twin = std::collections::BTreeSet::new();
            for number in numbers {
                let highest = twin.last().copied().unwrap_or(0).max(number);
                let expected = highest - number < WINDOW && !twin.contains(&number);
                prop_assert_eq!(seen.insert(number), expected);
                twin.insert(number);
            }
        }

        #[test]
        fn a_number_up_to_which_all_is_seen_is_as_if_each_had_come(
            numbers in prop::collection::vec(1_u64..10_000, 1..100),
            to in 1_u64..12_000,
            then in prop::collection::vec(1_u64..14_000, 1..100),
        ) {
            let (mut at_once, mut one_by_one) = (Seen::new(), Seen::new());
            for number in numbers {
                at_once.insert(number);
                one_by_one.insert(number);
            }
            at_once.insert_to(to);
            (1..=to).for_each(|number| { one_by_one.insert(number); });
            for number in then {
                prop_assert_eq!(at_once.insert(number), one_by_one.insert(number), "{}", number);
            }
        }
    }
}
