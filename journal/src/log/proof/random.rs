//! Random numbers from a seed: SplitMix64 (Steele, Lea and Flood, OOPSLA 2014).
//!
//! Invariants: the same seed gives the same numbers, on every machine and in every version.

/// A sequence of random numbers.
#[derive(Debug, Clone)]
pub(in crate::log) struct Random(u64);

impl Random {
    pub(in crate::log) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub(in crate::log) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `bound`.
    pub(in crate::log) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True so many times of a thousand.
    pub(in crate::log) fn chance(&mut self, per_mille: usize) -> bool {
        self.below(1000) < per_mille
    }

    /// One of these.
    pub(in crate::log) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    /// Random numbers that do not depend on how many are drawn from this one.
    pub(in crate::log) fn fork(&mut self) -> Self {
        Self(self.next())
    }
}
