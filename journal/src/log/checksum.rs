//! The checksum: CRC-32C of a frame, three lanes of it at once. One of the two files of this crate with `unsafe`.
//!
//! ```text
//!  | rest |  lane 0  |  lane 1  |  lane 2  |     each word: one `crc32` instruction, three cycles behind the one before
//!       `-> crc ---> a       0 -> b     0 -> c     a, b and c do not wait for each other
//!
//!  crc of it all = a x^(128 n) + b x^(64 n) + c    with n words in a lane: two carry-less products, reduced at once
//! ```
//!
//! A frame is too short for what libraries do: they divide what is longer than 768 bytes, and most steps have 300. The
//! products are those of Gopal et al., "Fast CRC Computation for iSCSI Polynomial Using CRC32 Instruction", Intel 2011.

#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "one call, behind the question whether it can be made")
)]

/// Continues a CRC-32C over more bytes, as `crc32c::crc32c_append` does.
#[inline]
pub(super) fn crc32c_append(crc: u32, bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() <= lanes::BYTES_MAX
        && is_x86_feature_detected!("sse4.2")
        && is_x86_feature_detected!("pclmulqdq")
    {
        // SAFETY: the processor has both features that the function is compiled for.
        return unsafe { lanes::append(crc, bytes) };
    }
    crc32c::crc32c_append(crc, bytes)
}

#[cfg(target_arch = "x86_64")]
mod lanes {
    use std::arch::x86_64::{
        _mm_clmulepi64_si128, _mm_crc32_u8, _mm_crc32_u64, _mm_cvtsi64_si128, _mm_cvtsi128_si64,
        _mm_xor_si128,
    };

    /// Most words of a lane.
    const LANE_MAX: usize = 128;

    /// Most bytes at once.
    pub(super) const BYTES_MAX: usize = LANE_MAX * 3 * 8;

    /// Fewer words than this are done before the lanes would be put together.
    const WORDS_MIN: usize = 9;

    /// The polynomial of CRC-32C, lowest power in the highest bit.
    const POLYNOMIAL: u32 = 0x82F6_3B78;

    /// By `n`: x^(64 n - 33) modulo the polynomial, lowest power in the highest bit. A product with it, reduced by the
    /// `crc32` instruction (which multiplies by x^32, and the bit order by x), is one with x^(64 n).
    static SHIFTS: [u32; LANE_MAX * 2 + 1] = shifts();

    const fn shifts() -> [u32; LANE_MAX * 2 + 1] {
        let mut shifts = [0; LANE_MAX * 2 + 1];
        let (mut words, mut power) = (1, 1_u32);
        while words < shifts.len() {
            shifts[words] = power;
            let mut bit = 0;
            while bit < 64 {
                power = (power >> 1) ^ (POLYNOMIAL * (power & 1));
                bit += 1;
            }
            words += 1;
        }
        shifts
    }

    /// See [`super::crc32c_append`]. At most [`BYTES_MAX`] bytes.
    #[target_feature(enable = "sse4.2,pclmulqdq")]
    pub(super) fn append(crc: u32, bytes: &[u8]) -> u32 {
        let (words, odd) = bytes.as_chunks::<8>();
        let lane = if words.len() < WORDS_MIN { 0 } else { words.len() / 3 };
        let (rest, lanes) = words.split_at(words.len() - lane * 3);
        let mut a =
            rest.iter().fold(u64::from(!crc), |crc, word| _mm_crc32_u64(crc, u64::from_le_bytes(*word)));
        if lane > 0 {
            let (first, others) = lanes.split_at(lane);
            let (second, third) = others.split_at(lane);
            let (mut b, mut c) = (0, 0);
            for ((first, second), third) in first.iter().zip(second).zip(third) {
                a = _mm_crc32_u64(a, u64::from_le_bytes(*first));
                b = _mm_crc32_u64(b, u64::from_le_bytes(*second));
                c = _mm_crc32_u64(c, u64::from_le_bytes(*third));
            }
            let product = |crc: u64, words: usize| {
                let shift = _mm_cvtsi64_si128(i64::from(SHIFTS[words]));
                _mm_clmulepi64_si128::<0>(_mm_cvtsi64_si128(crc.cast_signed()), shift)
            };
            let sum = _mm_xor_si128(product(a, lane * 2), product(b, lane));
            a = _mm_crc32_u64(0, _mm_cvtsi128_si64(sum).cast_unsigned()) ^ c;
        }
        !odd.iter().fold(a as u32, |crc, byte| _mm_crc32_u8(crc, *byte))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_length_gives_what_the_library_gives() {
        let bytes: Vec<u8> = (0..4_000_usize).map(|at| (at * at * 31 % 251) as u8).collect();
        for len in (0..400).chain((400..4_000).step_by(7)) {
            for crc in [0, 1, 0xDEAD_BEEF, u32::MAX] {
                let (bytes, len) = (&bytes[..len], len);
                assert_eq!(
                    crc32c_append(crc, bytes),
                    crc32c::crc32c_append(crc, bytes),
                    "{len} bytes from {crc}"
                );
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_give_what_the_library_gives(crc: u32, bytes in prop::collection::vec(any::<u8>(), 0..3_200)) {
            prop_assert_eq!(crc32c_append(crc, &bytes), crc32c::crc32c_append(crc, &bytes));
        }
    }
}
