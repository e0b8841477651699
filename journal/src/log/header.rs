//! The segment header: the first page of a segment, written once before the segment can be found.
//!
//! ```text
//!  0                                   152      1024                    2048        4092
//!  | fields (see `Fields`) | zero ... | names of feature bits (text) | zero ... | crc32c |
//! ```
//!
//! Invariants: the checksum covers everything before it; a header never changes once its segment has its name.

use super::error::{Damage, HeaderDamage};
use super::layout::layout;

/// Bytes of the header, and offset of the first frame.
pub(super) const HEADER_BYTES: usize = 4096;

/// Major version this build reads and writes.
pub(super) const FORMAT_MAJOR: u16 = 1;

/// Minor version this build writes.
const FORMAT_MINOR: u16 = 1;

/// First bytes of every segment.
const MAGIC: [u8; 8] = *b"PAWLJRNL";

/// Incompatible features this build understands: none are defined in 1.0.
const INCOMPATIBLE_KNOWN: u64 = 0;

/// Compatible feature: a repair has written the header anew, and what of it nothing told any more is not what was
/// there. No hash of the segment that was taken before holds.
pub(super) const COMPATIBLE_REBUILT: u64 = 1;

/// CRC-32C, reflected.
const POLYNOMIAL: u32 = 0x82F6_3B78;

/// What a disk writes whole.
const SECTOR_BYTES: usize = 512;

const NAMES_AT: usize = 1024;
const NAMES_BYTES: usize = 1024;
const CHECKSUM_AT: usize = HEADER_BYTES - 4;

layout! {
    /// The fields of a header.
    pub(super) struct Fields: size 152 {
        /// [`MAGIC`].
        0 magic: [u8; 8],
        /// A reader of another major version must refuse.
        8 format_major: u16,
        /// A reader of the same major version and any minor one may read.
        10 format_minor: u16,
        /// [`HEADER_BYTES`].
        12 header_bytes: u32,
        /// Features a reader may ignore.
        16 compatible: u64,
        /// Features a reader must understand.
        24 incompatible: u64,
        /// Random, the same in every segment of a journal.
        32 journal_id: [u8; 16],
        /// Number of the segment in its journal, from 1.
        48 index: u64,
        /// Sequence of its first step, and its file name.
        56 first_sequence: u64,
        /// Time of the last step before it, ns since the UNIX epoch; 0 if there is none.
        64 base_time: i64,
        /// Bytes of the file.
        72 segment_bytes: u64,
        /// Random; seeds every checksum of the segment, so that no frame of another file passes for one of this.
        80 salt: u64,
        /// How many times the journal had been opened for writing, this time included.
        88 epoch: u64,
        /// First sequence (file name) of the segment before; 0 if there is none.
        96 predecessor_first_sequence: u64,
        /// Bytes used in the segment before, its seal included; 0 if there is none.
        104 predecessor_used_bytes: u64,
        /// Zero: the hash of a segment stands in a digest frame behind it.
        112 predecessor_hash: [u8; 32],
        /// The last step that was known to be durable when this was written; 0 in a journal of format 1.0.
        144 durable_sequence: u64,
    }
}

const _: () = assert!(Fields::BYTES <= NAMES_AT);
const _: () = assert!(NAMES_AT + NAMES_BYTES <= CHECKSUM_AT);

/// Why a header cannot be used.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is not what was written.
    Damaged(HeaderDamage),
    /// It needs something that this build does not know, by name.
    Newer(String),
}

impl From<HeaderDamage> for Refusal {
    fn from(damage: HeaderDamage) -> Self {
        Self::Damaged(damage)
    }
}

impl From<HeaderDamage> for Damage {
    fn from(damage: HeaderDamage) -> Self {
        Self::Header(damage)
    }
}

impl Fields {
    /// Fields of a segment of this format, everything else zero.
    pub(super) fn new(journal_id: [u8; 16], salt: u64, segment_bytes: u64) -> Self {
        Self {
            magic: MAGIC,
            format_major: FORMAT_MAJOR,
            format_minor: FORMAT_MINOR,
            header_bytes: HEADER_BYTES as u32,
            compatible: 0,
            incompatible: 0,
            journal_id,
            index: 1,
            first_sequence: 1,
            base_time: 0,
            segment_bytes,
            salt,
            epoch: 1,
            predecessor_first_sequence: 0,
            predecessor_used_bytes: 0,
            predecessor_hash: [0; 32],
            durable_sequence: 0,
        }
    }

    /// The header page.
    pub(super) fn page(&self) -> [u8; HEADER_BYTES] {
        let mut page = [0; HEADER_BYTES];
        self.put(&mut page);
        seal_page(&mut page);
        page
    }

    /// The fields of a page, if it is a header of this format.
    pub(super) fn of_page(page: &[u8]) -> Result<Self, Refusal> {
        if page.len() < HEADER_BYTES || page[..8] != MAGIC {
            return Err(HeaderDamage::Missing.into());
        }
        let stored = &page[CHECKSUM_AT..HEADER_BYTES];
        if stored != crc32c::crc32c(&page[..CHECKSUM_AT]).to_le_bytes() {
            return Err(HeaderDamage::Checksum.into());
        }
        let fields = Self::get(page);
        if fields.format_major != FORMAT_MAJOR {
            let (major, minor) = (fields.format_major, fields.format_minor);
            return Err(Refusal::Newer(format!("journal format {major}.{minor}")));
        }
        let unknown = fields.incompatible & !INCOMPATIBLE_KNOWN;
        if unknown != 0 {
            return Err(Refusal::Newer(feature_name(page, unknown.trailing_zeros())));
        }
        Ok(fields)
    }
}

/// The fields of a page that is damaged, where its own checksum still tells what they were: a single bit was flipped, or
/// only bytes that must be zero are not.
pub(super) fn restored(page: &[u8]) -> Option<Fields> {
    let mut page = page.get(..HEADER_BYTES)?.to_vec();
    if let Some(bit) = flipped_bit(&page) {
        page[bit / 8] ^= 1 << (bit % 8);
        return Fields::of_page(&page).ok();
    }
    page[Fields::BYTES..CHECKSUM_AT].fill(0);
    Fields::of_page(&page).ok()
}

/// The only bit of a page that makes its checksum right when it is flipped.
fn flipped_bit(page: &[u8]) -> Option<usize> {
    let checksum = CHECKSUM_AT * 8..HEADER_BYTES * 8;
    let stored = u32::from_le_bytes(page[CHECKSUM_AT..HEADER_BYTES].try_into().expect("four bytes"));
    let differs = stored ^ crc32c::crc32c(&page[..CHECKSUM_AT]);
    if differs.count_ones() == 1 {
        return Some(checksum.start + differs.trailing_zeros() as usize);
    }
    // A bit makes the same difference wherever the bits before it come from: one step of the register for each bit
    // behind it.
    let mut difference = 1_u32;
    (0..checksum.start).rev().find(|_| {
        difference = difference >> 1 ^ if difference & 1 == 1 { POLYNOMIAL } else { 0 };
        difference == differs
    })
}

/// Whether a page that is no header is one that never reached the disk, or not all of it. A header has bytes in its
/// first and in its last sector and nowhere between (but for feature names), and a disk writes whole sectors.
pub(super) fn is_torn(page: &[u8]) -> bool {
    let is_blank = |sector: &[u8]| sector.iter().all(|byte| *byte == 0);
    is_blank(&page[..SECTOR_BYTES]) || is_blank(&page[HEADER_BYTES - SECTOR_BYTES..HEADER_BYTES])
}

/// Stores the checksum of a header page in it.
fn seal_page(page: &mut [u8]) {
    let checksum = crc32c::crc32c(&page[..CHECKSUM_AT]);
    page[CHECKSUM_AT..HEADER_BYTES].copy_from_slice(&checksum.to_le_bytes());
}

/// The name of an incompatible feature, from the lines `BIT NAME` that its writer left in the header.
fn feature_name(page: &[u8], bit: u32) -> String {
    let text = String::from_utf8_lossy(&page[NAMES_AT..NAMES_AT + NAMES_BYTES]);
    let name = text.trim_end_matches('\0').lines().find_map(|line| {
        let (number, name) = line.split_once(' ')?;
        (number.parse() == Ok(bit)).then(|| name.to_owned())
    });
    match name {
        Some(name) => format!("feature {name:?} (bit {bit})"),
        None => format!("feature bit {bit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields() -> Fields {
        Fields { index: 3, first_sequence: 77, epoch: 2, ..Fields::new([7; 16], 99, 1 << 20) }
    }

    #[test]
    fn a_header_comes_back_as_it_was_written() {
        assert_eq!(Fields::of_page(&fields().page()), Ok(fields()));
    }

    #[test]
    fn every_flipped_bit_of_a_header_is_noticed() {
        let mut page = fields().page();
        for bit in 0..HEADER_BYTES * 8 {
            page[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(Fields::of_page(&page), Err(Refusal::Damaged(_))), "bit {bit}");
            assert_eq!(restored(&page), Some(fields()), "bit {bit}");
            page[bit / 8] ^= 1 << (bit % 8);
        }
    }

    #[test]
    fn a_page_whose_zeros_are_damaged_tells_its_fields_and_any_other_damaged_page_nothing() {
        let mut page = fields().page();
        page[200..3_000].fill(0xC3);
        assert_eq!(restored(&page), Some(fields()));
        page[50] ^= 3;
        assert_eq!(restored(&page), None);
        assert_eq!(restored(&[0; HEADER_BYTES]), None);
        assert_eq!(restored(&fields().page()[..4_000]), None);
    }

    #[test]
    fn an_unknown_incompatible_feature_is_refused_by_the_name_its_writer_gave() {
        let mut page = Fields { incompatible: 0b101_0000, ..fields() }.page();
        let names = b"3 elsewhere\n4 folded frames\n";
        page[NAMES_AT..NAMES_AT + names.len()].copy_from_slice(names);
        seal_page(&mut page);
        let named = Refusal::Newer("feature \"folded frames\" (bit 4)".to_owned());
        assert_eq!(Fields::of_page(&page), Err(named));
        let page = Fields { incompatible: 1 << 6, ..fields() }.page();
        assert_eq!(Fields::of_page(&page), Err(Refusal::Newer("feature bit 6".to_owned())));
    }

    #[test]
    fn another_major_version_is_refused_and_another_minor_one_is_read() {
        let page = Fields { format_major: 2, ..fields() }.page();
        assert_eq!(Fields::of_page(&page), Err(Refusal::Newer(format!("journal format 2.{FORMAT_MINOR}"))));
        let later = Fields { format_minor: 9, compatible: u64::MAX, ..fields() };
        assert_eq!(Fields::of_page(&later.page()), Ok(later));
    }
}
