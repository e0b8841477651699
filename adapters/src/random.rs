//! `Random`: a small seeded generator that gives the same numbers on every machine.
//!
//! SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", OOPSLA 2014): a counter that
//! steps by the golden ratio, mixed. Whole numbers come from shifts and products only; real numbers from those and
//! from `libm`, so not even the last bit depends on the platform.

use pawl_engine::stateful;

/// The step of the counter: 2^64 divided by the golden ratio, made odd.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// One stream of random numbers. Plain data: a copy goes on where the original is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Random {
    state: u64,
}

stateful!(Random { state });

const fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

impl Random {
    /// The stream of this seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// The `stream`-th of the independent streams of this seed.
    #[must_use]
    pub const fn stream(seed: u64, stream: u64) -> Self {
        Self { state: mix(seed.wrapping_add(GOLDEN)) ^ mix(mix(stream ^ GOLDEN).wrapping_add(GOLDEN)) }
    }

    /// 64 random bits.
    #[inline]
    pub const fn bits(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN);
        mix(self.state)
    }

    /// A whole number from 0 to `bound` - 1; 0 if `bound` is 0.
    ///
    /// The high half of a product: no number is more likely than another by over `bound` / 2^64.
    #[inline]
    pub const fn below(&mut self, bound: u64) -> u64 {
        ((self.bits() as u128 * bound as u128) >> 64) as u64
    }

    /// Whether something happens that does so `ppm` times in a million. Draws one number whatever `ppm` is.
    #[inline]
    pub const fn chance(&mut self, ppm: i64) -> bool {
        (self.below(1_000_000) as i64) < ppm
    }

    /// A real number above 0 and at most 1, in steps of 2^-53: its logarithm is finite.
    #[inline]
    pub const fn unit(&mut self) -> f64 {
        ((self.bits() >> 11) + 1) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// Two independent numbers from the normal distribution of mean 0 and deviation 1.
    ///
    /// The polar method (Marsaglia and Bray, SIAM Review 6, 1964).
    #[inline]
    pub fn normals(&mut self) -> (f64, f64) {
        loop {
            let (x, y) = (2.0 * self.unit() - 1.0, 2.0 * self.unit() - 1.0);
            let square = x * x + y * y;
            if square < 1.0 && square > 0.0 {
                let scale = (-2.0 * libm::log(square) / square).sqrt();
                return (x * scale, y * scale);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_numbers_are_those_of_the_published_algorithm() {
        // First outputs of splitmix64.c (Vigna, prng.di.unimi.it) for these seeds.
        let mut random = Random::new(1_234_567);
        let published = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        assert_eq!(published.map(|_| random.bits()), published);
        assert_eq!(Random::new(0).bits(), 0xe220_a839_7b1d_cdaf);
    }

    #[test]
    fn a_draw_below_a_bound_reaches_both_ends_and_no_further() {
        let mut random = Random::new(7);
        let mut seen = [0_u32; 5];
        for _ in 0..10_000 {
            seen[random.below(5) as usize] += 1;
        }
        assert!(seen.iter().all(|count| (1_800..2_200).contains(count)), "{seen:?}");
        assert_eq!((random.below(0), random.below(1)), (0, 0));
    }

    #[test]
    fn chances_of_none_and_all_are_certain() {
        let mut random = Random::new(3);
        assert!((0..10_000).all(|_| !random.chance(0) && random.chance(1_000_000)));
        let hits = (0..100_000).filter(|_| random.chance(250_000)).count();
        assert!((24_000..26_000).contains(&hits), "{hits}");
    }

    #[test]
    fn streams_of_one_seed_differ() {
        let mut first: Vec<u64> = (0..1_000).map(|stream| Random::stream(1, stream).bits()).collect();
        first.extend((0..1_000).map(|seed| Random::stream(seed + 2, 0).bits()));
        first.sort_unstable();
        first.dedup();
        assert_eq!(first.len(), 2_000);
    }

    #[test]
    fn units_and_normals_have_the_moments_they_should() {
        let mut random = Random::new(11);
        let count = 100_000;
        let (mut mean, mut square, mut units) = (0.0, 0.0, 0.0);
        for _ in 0..count {
            let (x, y) = random.normals();
            mean += x + y;
            square += x * x + y * y;
            let unit = random.unit();
            assert!(unit > 0.0 && unit <= 1.0);
            units += unit;
        }
        let count = f64::from(count);
        assert!((mean / (2.0 * count)).abs() < 0.01, "{mean}");
        assert!((square / (2.0 * count) - 1.0).abs() < 0.02, "{square}");
        assert!((units / count - 0.5).abs() < 0.005, "{units}");
    }
}
