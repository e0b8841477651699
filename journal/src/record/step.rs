//! `Step`: one input and its consequences, built record by record in the bytes of the frame it will be.
//!
//! ```text
//!  0        4        8          16      24      26      28       30        32
//!  | len u32| crc u32| sequence | time  | kind  | flags | count | reserved | records ...
//! ```
//!
//! `Step` is the writer's buffer, reused for every input; `StepRef` borrows the same bytes back from a buffer or
//! from a committed frame. `len` and `crc` are the appender's business: a `Step` leaves them zero.

use super::codec::{Body, FromBytes as _, IntoBytes as _, RECORD_HEADER_BYTES, Record, RecordHeader};
use super::kind::{FIRST_OUTPUT, Kind};
use super::units::{Sequence, Time};

/// Bytes in front of the first record.
pub const STEP_HEADER_BYTES: usize = 32;

/// Most bytes a step may have, header included.
pub const STEP_BYTES_MAX: usize = 64 * 1024;

/// Frame kind of a step.
pub(crate) const FRAME_KIND_STEP: u16 = 1;

/// Frame flag: the step holds an order request, so a gateway must look inside.
pub(crate) const FLAG_ORDERS: u16 = 1 << 1;

/// A growing step. One per pipeline, or per slot of a ring, reused: nothing is allocated after [`Step::new`].
#[derive(Clone)]
pub struct Step {
    words: Box<[u64]>,
    len: usize,
    /// Where the first record of each kind of output begins; 0 where there is none.
    first: [u16; OUTPUT_KINDS],
}

/// Kinds of output that a step finds without a look through its records.
const OUTPUT_KINDS: usize = 16;

/// The place of an output among those that are found at once; beyond them for an input or an unknown kind.
#[inline]
const fn output_index(kind: u16) -> usize {
    kind.wrapping_sub(FIRST_OUTPUT) as usize
}

const _: () = {
    let last = Kind::ALL[Kind::ALL.len() - 1];
    assert!(output_index(last.code()) < OUTPUT_KINDS, "every output has a place");
    assert!(STEP_BYTES_MAX <= 1 << u16::BITS, "where a record begins fits into its place");
};

impl std::fmt::Debug for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.view().fmt(f)
    }
}

impl Default for Step {
    fn default() -> Self {
        Self::new()
    }
}

impl Step {
    /// An empty step with sequence 0.
    #[must_use]
    pub fn new() -> Self {
        Self::with_capacity(STEP_BYTES_MAX)
    }

    /// As [`Self::new`], with room for so many bytes at first: many small steps stay close to each other in memory. One
    /// that needs more room than any before it allocates.
    ///
    /// # Panics
    /// If it is less than a header or more than [`STEP_BYTES_MAX`].
    #[must_use]
    pub fn with_capacity(bytes: usize) -> Self {
        assert!((STEP_HEADER_BYTES..=STEP_BYTES_MAX).contains(&bytes), "no step has {bytes} bytes");
        let mut step =
            Self { words: vec![0; bytes.div_ceil(8)].into_boxed_slice(), len: 0, first: [0; OUTPUT_KINDS] };
        step.begin(Sequence(0), Time(0));
        step
    }

    /// A copy of the step in a frame, aligned or not; `None` if its records do not fill it. Length and checksum, which
    /// belong to the frame's place, are left behind.
    pub(crate) fn of_frame(frame: &[u8]) -> Option<Self> {
        let is_possible =
            (STEP_HEADER_BYTES..=STEP_BYTES_MAX).contains(&frame.len()) && frame.len().is_multiple_of(8);
        if !is_possible {
            return None;
        }
        let mut step = Self::new();
        step.words.as_mut_bytes()[..frame.len()].copy_from_slice(frame);
        step.words[0] = 0;
        step.len = frame.len();
        let mut records = StepRef { bytes: frame }.records();
        while let (start, Some(record)) = (records.at, records.next()) {
            step.note(record.header().kind, start);
        }
        step.view().is_well_formed().then_some(step)
    }

    /// Starts over with this sequence and time and no records.
    #[inline]
    pub fn begin(&mut self, sequence: Sequence, time: Time) {
        self.words[0] = 0;
        self.words[1] = sequence.0;
        self.words[2] = time.0.cast_unsigned();
        self.words[3] = u64::from(FRAME_KIND_STEP);
        self.len = STEP_HEADER_BYTES;
        self.first = [0; OUTPUT_KINDS];
    }

    /// The step's sequence.
    #[inline]
    #[must_use]
    pub fn sequence(&self) -> Sequence {
        Sequence(self.words[1])
    }

    /// The step's time.
    #[inline]
    #[must_use]
    pub fn time(&self) -> Time {
        Time(self.words[2].cast_signed())
    }

    /// Appends a record.
    ///
    /// # Panics
    /// If the step would exceed [`STEP_BYTES_MAX`]; the engine's limits on instruments and orders exclude it.
    #[inline]
    pub fn push<T: Body>(&mut self, body: &T) {
        let at = self.open_record(T::KIND, T::VERSION, size_of::<T>());
        self.words.as_mut_bytes()[at..at + size_of::<T>()].copy_from_slice(body.as_bytes());
    }

    /// Appends a record with a tail of bytes behind its fixed layout.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn push_with_tail<T: Body>(&mut self, body: &T, tail: &[u8]) {
        let size = size_of::<T>();
        let at = self.open_record(T::KIND, T::VERSION, size + tail.len());
        let bytes = self.words.as_mut_bytes();
        bytes[at..at + size].copy_from_slice(body.as_bytes());
        bytes[at + size..at + size + tail.len()].copy_from_slice(tail);
    }

    /// Appends a record with a tail of `count` single-precision values and returns the tail, zeroed, to be filled in.
    ///
    /// # Panics
    /// As [`Self::push`].
    #[inline]
    pub fn push_with_reals<T: Body>(&mut self, body: &T, count: usize) -> &mut [f32] {
        let size = size_of::<T>();
        let at = self.open_record(T::KIND, T::VERSION, size + count * 4);
        let bytes = self.words.as_mut_bytes();
        bytes[at..at + size].copy_from_slice(body.as_bytes());
        let tail = &mut bytes[at + size..at + size + count * 4];
        tail.fill(0);
        <[f32]>::mut_from_bytes(tail).expect("records are 8-byte aligned")
    }

    /// Appends a record that was read elsewhere, byte for byte.
    ///
    /// # Panics
    /// As [`Self::push`].
    pub fn push_record(&mut self, record: &Record<'_>) {
        let body = record.bytes();
        let at = self.open_raw(record.header, body.len());
        self.words.as_mut_bytes()[at..at + body.len()].copy_from_slice(body);
    }

    /// Says that the step holds an order request.
    #[inline]
    pub fn mark_orders(&mut self) {
        self.words[3] |= u64::from(FLAG_ORDERS) << 16;
    }

    /// The whole frame: header (length and checksum zero), records, padded to 8 bytes.
    #[inline]
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.words.as_bytes()[..self.len]
    }

    /// The step as a reader sees it.
    #[inline]
    #[must_use]
    pub fn view(&self) -> StepRef<'_> {
        StepRef { bytes: self.bytes() }
    }

    /// The first record of type `T`: what came in, or an output, which is found without a look at those in front of it.
    #[inline]
    #[must_use]
    pub fn get<T: Body>(&self) -> Option<&T> {
        if T::KIND.is_input() {
            self.input_as()
        } else {
            self.at(self.first_of(T::KIND)).map(|(body, _)| body)
        }
    }

    /// What came in, if it is a `T`.
    #[inline]
    #[must_use]
    pub fn input_as<T: Body>(&self) -> Option<&T> {
        self.at(STEP_HEADER_BYTES as u16).map(|(body, _)| body)
    }

    /// As [`Self::get`], with the values in the tail behind it.
    #[inline]
    #[must_use]
    pub fn get_with_reals<T: Body>(&self) -> Option<(&T, &[f32])> {
        let (body, tail) = self.at::<T>(self.first_of(T::KIND))?;
        Some((body, <[f32]>::ref_from_bytes(tail).ok()?))
    }

    /// The record that begins here, if it is a `T`, and what is behind its fixed layout.
    #[inline]
    fn at<T: Body>(&self, start: u16) -> Option<(&T, &[u8])> {
        let record = self.bytes().get(usize::from(start)..).filter(|_| start != 0)?;
        let (header, behind) = RecordHeader::ref_from_prefix(record).ok()?;
        if header.kind != T::KIND.code() || header.version != T::VERSION {
            return None;
        }
        T::ref_from_prefix(behind.get(..header.len as usize)?).ok()
    }

    /// Whether the step holds an output of this kind so far, without a look at its records.
    #[inline]
    #[must_use]
    pub const fn holds(&self, output: Kind) -> bool {
        self.first_of(output) != 0
    }

    /// The records from the first output of this kind on, without a look at those in front of it; none if there is none.
    #[inline]
    #[must_use]
    pub fn outputs_from(&self, output: Kind) -> Records<'_> {
        let bytes = self.bytes();
        let first = self.first_of(output);
        Records { bytes, at: if first == 0 { bytes.len() } else { usize::from(first) } }
    }

    #[inline]
    const fn first_of(&self, output: Kind) -> u16 {
        assert!(!output.is_input(), "an input is the first record");
        self.first[output_index(output.code())]
    }

    /// Notes that a record of this kind begins here.
    #[inline]
    fn note(&mut self, kind: u16, start: usize) {
        if let Some(first @ 0) = self.first.get_mut(output_index(kind)) {
            *first = start as u16;
        }
    }

    /// How many records the step has so far.
    #[inline]
    #[must_use]
    pub fn record_count(&self) -> u16 {
        (self.words[3] >> 32) as u16
    }

    #[inline]
    fn open_record(&mut self, kind: Kind, version: u8, len: usize) -> usize {
        self.open_raw(RecordHeader { kind: kind.code(), version, flags: 0, len: len as u32 }, len)
    }

    #[inline]
    fn open_raw(&mut self, header: RecordHeader, len: usize) -> usize {
        let start = self.len;
        let body = start + RECORD_HEADER_BYTES;
        let padded = len.next_multiple_of(8);
        let end = body + padded;
        if end > self.words.len() * 8 {
            self.grow(end);
        }
        if padded != len {
            self.words[end / 8 - 1] = 0;
        }
        self.words.as_mut_bytes()[start..body].copy_from_slice(header.as_bytes());
        self.words[3] += 1 << 32;
        self.note(header.kind, start);
        self.len = end;
        body
    }

    #[cold]
    fn grow(&mut self, bytes: usize) {
        assert!(bytes <= STEP_BYTES_MAX, "a step holds at most {STEP_BYTES_MAX} bytes");
        let mut words = vec![0; bytes.next_power_of_two() / 8].into_boxed_slice();
        words[..self.words.len()].copy_from_slice(&self.words);
        self.words = words;
    }
}

/// A step borrowed from its bytes: a buffer, or a committed frame of a journal.
#[derive(Clone, Copy)]
pub struct StepRef<'a> {
    bytes: &'a [u8],
}

impl std::fmt::Debug for StepRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds: Vec<_> =
            self.records().map(|record| record.kind().map_or("unknown", Kind::name)).collect();
        write!(f, "Step {} at {} {kinds:?}", self.sequence(), self.time())
    }
}

impl<'a> StepRef<'a> {
    /// A step over the bytes of one frame, header included, 8-byte aligned. `None` if they are too short to be one.
    ///
    /// The bytes need not be trustworthy: a malformed record ends the iteration over [`Self::records`], and nothing
    /// here reads outside them. [`Self::is_well_formed`] says whether they are whole.
    #[must_use]
    pub fn from_frame(bytes: &'a [u8]) -> Option<Self> {
        (bytes.len() >= STEP_HEADER_BYTES).then_some(Self { bytes })
    }

    #[inline]
    fn word(self, index: usize) -> u64 {
        u64::read_from_bytes(&self.bytes[index * 8..index * 8 + 8]).expect("eight bytes")
    }

    /// The step's sequence.
    #[inline]
    #[must_use]
    pub fn sequence(self) -> Sequence {
        Sequence(self.word(1))
    }

    /// The step's time.
    #[inline]
    #[must_use]
    pub fn time(self) -> Time {
        Time(self.word(2).cast_signed())
    }

    /// Whether the step holds an order request.
    #[inline]
    #[must_use]
    pub fn has_orders(self) -> bool {
        (self.word(3) >> 16) as u16 & FLAG_ORDERS != 0
    }

    /// How many records the header promises.
    #[inline]
    #[must_use]
    pub fn record_count(self) -> u16 {
        (self.word(3) >> 32) as u16
    }

    /// The frame's bytes, header included.
    #[must_use]
    pub const fn bytes(self) -> &'a [u8] {
        self.bytes
    }

    /// The records in order.
    #[inline]
    #[must_use]
    pub const fn records(self) -> Records<'a> {
        Records { bytes: self.bytes, at: STEP_HEADER_BYTES }
    }

    /// The bytes of the records in front of the first `Checkpoint` or `Stamps`, which a writer puts last.
    #[inline]
    pub(crate) fn decided(self) -> &'a [u8] {
        let mut records = self.records();
        let mut end = records.at;
        while let Some(record) = records.next() {
            if matches!(record.kind(), Some(Kind::Checkpoint | Kind::Stamps)) {
                break;
            }
            end = records.at;
        }
        &self.bytes[STEP_HEADER_BYTES..end]
    }

    /// The first record: what came in.
    #[inline]
    #[must_use]
    pub fn input(self) -> Option<Record<'a>> {
        self.records().next()
    }

    /// What came in, if it is a `T`. Looks at no other record, as [`Self::get`] does where there is none.
    #[inline]
    #[must_use]
    pub fn input_as<T: Body>(self) -> Option<&'a T> {
        self.input()?.get()
    }

    /// The first record of type `T`.
    #[inline]
    #[must_use]
    pub fn get<T: Body>(self) -> Option<&'a T> {
        self.all::<T>().next()
    }

    /// Every record of type `T`.
    #[inline]
    pub fn all<T: Body>(self) -> impl Iterator<Item = &'a T> {
        self.records().filter_map(|record| record.get::<T>())
    }

    /// The first record of this kind.
    #[inline]
    #[must_use]
    pub fn record(self, kind: Kind) -> Option<Record<'a>> {
        self.records().find(|record| record.header().kind == kind.code())
    }

    /// Whether the records fill the frame exactly, as many as the header promises, the first one an input.
    #[must_use]
    pub fn is_well_formed(self) -> bool {
        self.look(|_| {})
    }

    /// Shows the kind of every record, and says whether they are well-formed, as [`Self::is_well_formed`] does.
    #[inline]
    pub(crate) fn look(self, mut see: impl FnMut(Option<Kind>)) -> bool {
        let mut records = self.records();
        let mut count = 0;
        let mut in_order = true;
        for record in records.by_ref() {
            let kind = record.kind();
            see(kind);
            in_order &= kind.is_none_or(|kind| kind.is_input() == (count == 0));
            count += 1;
        }
        in_order && count == usize::from(self.record_count()) && count > 0 && records.at == self.bytes.len()
    }
}

/// Iterates over the records of a step.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Iterator for Records<'a> {
    type Item = Record<'a>;

    #[inline]
    fn next(&mut self) -> Option<Record<'a>> {
        let rest = self.bytes.get(self.at..)?;
        let (header, _) = RecordHeader::read_from_prefix(rest).ok()?;
        let len = header.len as usize;
        let whole = rest.get(..RECORD_HEADER_BYTES + len)?;
        let end = self.at + RECORD_HEADER_BYTES + len.next_multiple_of(8);
        if end > self.bytes.len() {
            return None;
        }
        self.at = end;
        Some(Record { header, whole })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{Features, InstrumentId, Points, RunEnded, Stamps, Tick};

    fn tick() -> Tick {
        Tick { bid: Points(114_543), ask: Points(114_545), source_sequence: 7, ..Tick::default() }
    }

    #[test]
    fn records_come_back_as_they_were_pushed() {
        let mut step = Step::new();
        step.begin(Sequence(9), Time(1_000));
        step.push(&tick());
        let features = Features { columns: 3, instrument: InstrumentId(2), ..Features::default() };
        step.push_with_reals(&features, 3).copy_from_slice(&[1.0, 2.5, -3.0]);
        step.push(&Stamps::default());
        let view = StepRef::from_frame(step.bytes()).expect("long enough");
        assert_eq!((view.sequence(), view.time(), view.record_count()), (Sequence(9), Time(1_000), 3));
        assert_eq!(view.get::<Tick>(), Some(&tick()));
        let record = view.record(Kind::Features).expect("features");
        assert_eq!(record.get::<Features>(), Some(&features));
        assert_eq!(record.tail_reals::<Features>(), &[1.0, 2.5, -3.0]);
        assert!(view.is_well_formed() && !view.has_orders());
    }

    #[test]
    fn a_reused_step_holds_nothing_of_the_step_before() {
        let mut step = Step::new();
        step.begin(Sequence(1), Time(1));
        step.push_with_tail(&RunEnded::default(), b"a long message that fills words");
        step.begin(Sequence(2), Time(2));
        step.push_with_tail(&RunEnded::default(), b"odd");
        let mut fresh = Step::new();
        fresh.begin(Sequence(2), Time(2));
        fresh.push_with_tail(&RunEnded::default(), b"odd");
        assert_eq!(step.bytes(), fresh.bytes());
        assert_eq!(step.view().input().expect("input").tail_text::<RunEnded>(), "odd");
    }

    #[test]
    fn a_small_step_grows_to_what_it_must_hold_and_no_further() {
        let (mut small, mut large) = (Step::with_capacity(STEP_HEADER_BYTES), Step::new());
        for step in [&mut small, &mut large] {
            step.begin(Sequence(3), Time(4));
            step.push(&tick());
            step.push_with_tail(&RunEnded::default(), &[b'x'; 5_000]);
            step.push(&tick());
        }
        assert_eq!(small.bytes(), large.bytes());
        let too_large = std::panic::catch_unwind(move || {
            small.push_with_tail(&RunEnded::default(), &vec![0; STEP_BYTES_MAX]);
        });
        assert!(too_large.is_err());
    }

    #[test]
    fn outputs_are_found_where_the_first_of_their_kind_is() {
        let mut step = Step::new();
        step.begin(Sequence(9), Time(1_000));
        assert!(step.input_as::<Tick>().is_none() && step.get::<Stamps>().is_none());
        step.push(&tick());
        let features = |columns| Features { columns, ..Features::default() };
        for columns in [2_u16, 1] {
            let values: Vec<f32> = (0..columns).map(f32::from).collect();
            step.push_with_reals(&features(columns), values.len()).copy_from_slice(&values);
        }
        step.push(&Stamps::default());
        assert_eq!((step.get::<Tick>(), step.input_as::<RunEnded>()), (Some(&tick()), None));
        assert_eq!(step.get_with_reals::<Features>(), Some((&features(2), &[0.0, 1.0][..])));
        let kinds = |kind| step.outputs_from(kind).map(|it| it.kind().expect("known")).collect::<Vec<_>>();
        assert_eq!(kinds(Kind::Features), [Kind::Features, Kind::Features, Kind::Stamps]);
        assert_eq!((kinds(Kind::Stamps), kinds(Kind::Signal)), (vec![Kind::Stamps], vec![]));
        assert!(step.holds(Kind::Stamps) && !step.holds(Kind::Signal));
        let copy = Step::of_frame(step.bytes()).expect("whole");
        assert_eq!(copy.get_with_reals::<Features>(), step.get_with_reals());
        step.begin(Sequence(10), Time(1_000));
        assert!(!step.holds(Kind::Features) && step.get::<Features>().is_none());
        // What another build wrote of a shorter layout is not read beyond its end.
        let short = RecordHeader { kind: Kind::Stamps.code(), version: Stamps::VERSION, flags: 0, len: 8 };
        step.push(&tick());
        step.open_raw(short, 8);
        step.push(&Stamps::default());
        assert!(step.holds(Kind::Stamps) && step.get::<Stamps>().is_none());
    }

    #[test]
    fn malformed_bytes_end_the_iteration_and_are_not_well_formed() {
        let mut step = Step::new();
        step.begin(Sequence(1), Time(1));
        step.push(&tick());
        let whole = step.bytes().to_vec();
        for cut in STEP_HEADER_BYTES..whole.len() {
            let view = StepRef::from_frame(&whole[..cut]).expect("long enough");
            assert_eq!(view.records().count(), 0);
            assert!(!view.is_well_formed());
            assert!(Step::of_frame(&whole[..cut]).is_none());
        }
        assert_eq!(Step::of_frame(&whole).expect("whole").bytes(), whole);
        assert!(StepRef::from_frame(&whole[..STEP_HEADER_BYTES - 1]).is_none());
    }
}
