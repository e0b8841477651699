//! Scanning: where a byte stands in a text, eight bytes at a time.

/// How many bytes are looked at at once.
pub(super) const LANES: usize = 8;

/// Marks where `byte` stands in the chunk: the top bit of the n-th byte of the result, counted from the lowest.
///
/// Adding 0x7f to a byte's low seven bits carries into its top bit unless they are zero, and never further.
#[inline]
const fn marks(chunk: [u8; LANES], byte: u8) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const LOWS: u64 = 0x7f7f_7f7f_7f7f_7f7f;
    let differs = u64::from_le_bytes(chunk) ^ (ONES * byte as u64);
    !(((differs & LOWS) + LOWS) | differs | LOWS)
}

/// Where `byte` first stands in the text.
#[inline]
pub(super) fn first(text: &[u8], byte: u8) -> Option<usize> {
    let (chunks, rest) = text.as_chunks::<LANES>();
    for (index, chunk) in chunks.iter().enumerate() {
        let found = marks(*chunk, byte);
        if found != 0 {
            return Some(index * LANES + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|other| *other == byte).map(|at| chunks.len() * LANES + at)
}

/// Calls `visit` with every place where `byte` stands in the text, in order, until it says `false`.
#[inline]
pub(super) fn each(text: &[u8], byte: u8, mut visit: impl FnMut(usize) -> bool) {
    let (chunks, rest) = text.as_chunks::<LANES>();
    for (index, chunk) in chunks.iter().enumerate() {
        let mut found = marks(*chunk, byte);
        while found != 0 {
            if !visit(index * LANES + found.trailing_zeros() as usize / 8) {
                return;
            }
            found &= found - 1;
        }
    }
    for (at, other) in rest.iter().enumerate() {
        if *other == byte && !visit(chunks.len() * LANES + at) {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn near_a_tab() -> impl Strategy<Value = Vec<u8>> {
        let byte = prop_oneof![Just(b'\t'), Just(b'\t' ^ 1), Just(b'\t' ^ 0x80), Just(0), any::<u8>()];
        prop::collection::vec(byte, 0..70)
    }

    proptest! {
        #[test]
        fn a_byte_is_found_where_a_plain_search_finds_it(text in near_a_tab(), most in 1..20_usize) {
            let plain: Vec<usize> = (0..text.len()).filter(|at| text[*at] == b'\t').collect();
            prop_assert_eq!(first(&text, b'\t'), plain.first().copied());
            let mut found = Vec::new();
            each(&text, b'\t', |at| {
                found.push(at);
                found.len() < most
            });
            prop_assert_eq!(&found[..], &plain[..plain.len().min(most)]);
        }
    }
}
