//! State: what a stage carries from step to step, visited field by field in one fixed order.
//!
//! ```text
//!                    +-- Hash    words --> XXH3      a checkpoint: is it the same?
//!  state, visited ---+-- Save    words --> [u64]     a snapshot: write it down
//!   in one order     +-- Load    words <-- [u64]     a restart: put it back
//!                    +-- List    path = value        people: in which field do two states differ?
//! ```
//!
//! Every type names its fields once, in [`stateful!`](crate::stateful), and says which of them are no state because
//! they follow from the settings; a new field that is neither does not compile. A field is one or more 64-bit words.
//!
//! Invariants: equal states give equal words, whatever way led there, on every machine and in every threading mode;
//! hashing allocates nothing; words from outside can be refused, and never cause a panic.

use pawl_journal::record::{
    ClientOrderId, ExecutionReport, InstrumentId, LinkState, Lots, Micros, OrderAction, OrderRequest,
    OrderState, OrderType, Points, Reasons, Reconciled, Side, Signal, Tick, TickFlags, TickMarks, Time,
    VerdictSource, body_bytes, body_of,
};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use xxhash_rust::xxh3::Xxh3;

/// Something whose state can be visited.
pub trait State {
    /// Shows `visitor` every word of the state, in an order that is always the same.
    fn visit<V: Visitor>(&mut self, visitor: &mut V);
}

/// What is done with the words of a state.
pub trait Visitor {
    /// One word: it may be read or replaced.
    fn word(&mut self, word: &mut u64);

    /// One value of so many words, which people read as `text` has it.
    #[inline]
    fn value(&mut self, words: &mut [u64], _text: impl Fn(&[u64]) -> String) {
        words.iter_mut().for_each(|word| self.word(word));
    }

    /// The words that follow belong to this field, until [`Self::leave`].
    fn enter(&mut self, _name: &'static str) {}

    /// The words that follow belong to this element of the field, until [`Self::leave`].
    fn enter_element(&mut self, _index: usize) {}

    /// The field or element ends.
    fn leave(&mut self) {}

    /// Says whether the state makes sense so far; only words from outside can fail to.
    fn check(&mut self, _makes_sense: bool) {}

    /// A field with its name.
    fn field(&mut self, name: &'static str, field: &mut impl State)
    where
        Self: Sized,
    {
        self.enter(name);
        field.visit(self);
        self.leave();
    }
}

/// Names the fields of a type that are its state; those behind `but` follow from the settings, or live for one step.
/// What `where` says must hold of every state.
#[macro_export]
macro_rules! stateful {
    (
        $name:ty { $($field:ident),* $(,)? }
        $(but { $($fixed:ident),* $(,)? })?
        $(where |$state:ident| $makes_sense:expr)?
    ) => {
        impl $crate::state::State for $name {
            fn visit<V: $crate::state::Visitor>(&mut self, visitor: &mut V) {
                let Self { $($field,)* $($($fixed: _,)*)? } = self;
                $( visitor.field(stringify!($field), $field); )*
                $(
                    let $state = &*self;
                    visitor.check($makes_sense);
                )?
            }
        }
    };
}

/// The hash of a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StateHash(pub u64);

impl std::fmt::Display for StateHash {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Words that are gathered before they are hashed.
const GATHERED: usize = 128;

struct Hash {
    hasher: Xxh3,
    gathered: [u8; GATHERED * 8],
    count: usize,
}

impl Visitor for Hash {
    #[inline]
    fn word(&mut self, word: &mut u64) {
        if self.count == GATHERED {
            self.hasher.update(&self.gathered);
            self.count = 0;
        }
        self.gathered[self.count * 8..][..8].copy_from_slice(&word.to_le_bytes());
        self.count += 1;
    }
}

/// The hash (XXH3, 64 bits) of a state. It tells states apart that differ; it is no defence against a forger.
pub fn hash(state: &mut impl State) -> StateHash {
    let mut visitor = Hash { hasher: Xxh3::new(), gathered: [0; GATHERED * 8], count: 0 };
    state.visit(&mut visitor);
    visitor.hasher.update(&visitor.gathered[..visitor.count * 8]);
    StateHash(visitor.hasher.digest())
}

struct Save(Vec<u64>);

impl Visitor for Save {
    fn word(&mut self, word: &mut u64) {
        self.0.push(*word);
    }
}

/// The words of a state.
pub fn save(state: &mut impl State) -> Vec<u64> {
    let mut visitor = Save(Vec::new());
    state.visit(&mut visitor);
    visitor.0
}

/// Words that are not a state of what they were to be put into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// There are fewer or more words than the state has.
    #[error("{words} words are no state of this shape")]
    Shape {
        /// How many words there were.
        words: usize,
    },
    /// A word is outside of what it can be.
    #[error("word {word} is out of range")]
    Range {
        /// Which word, from 0.
        word: usize,
    },
}

struct Load<'a> {
    words: &'a [u64],
    taken: usize,
    /// The first word that makes no sense.
    wrong: Option<usize>,
}

impl Visitor for Load<'_> {
    fn word(&mut self, word: &mut u64) {
        *word = self.words.get(self.taken).copied().unwrap_or(0);
        self.taken += 1;
    }

    fn check(&mut self, makes_sense: bool) {
        if !makes_sense {
            self.wrong = self.wrong.or(self.taken.checked_sub(1));
        }
    }
}

/// Puts words back into a state that was built from the same settings.
///
/// # Errors
/// [`StateError`] if they are none of its states; what the state is then is not to be relied on.
pub fn load(state: &mut impl State, words: &[u64]) -> Result<(), StateError> {
    let mut visitor = Load { words, taken: 0, wrong: None };
    state.visit(&mut visitor);
    if visitor.taken != words.len() {
        return Err(StateError::Shape { words: words.len() });
    }
    visitor.wrong.map_or(Ok(()), |word| Err(StateError::Range { word }))
}

#[derive(Default)]
struct List {
    path: String,
    ends: Vec<usize>,
    fields: Vec<ListedField>,
}

/// A field of a state, for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedField {
    /// Where it is, such as `books[0].bars.closed`.
    pub path: String,
    /// Its value.
    pub value: String,
}

impl Visitor for List {
    fn word(&mut self, word: &mut u64) {
        self.value(std::slice::from_mut(word), |words| format!("{words:?}"));
    }

    fn value(&mut self, words: &mut [u64], text: impl Fn(&[u64]) -> String) {
        self.fields.push(ListedField { path: self.path.clone(), value: text(words) });
    }

    fn enter(&mut self, name: &'static str) {
        self.ends.push(self.path.len());
        if !self.path.is_empty() {
            self.path.push('.');
        }
        self.path.push_str(name);
    }

    fn enter_element(&mut self, index: usize) {
        use std::fmt::Write as _;
        self.ends.push(self.path.len());
        // A text takes whatever is written to it.
        let _ = write!(self.path, "[{index}]");
    }

    fn leave(&mut self) {
        if let Some(end) = self.ends.pop() {
            self.path.truncate(end);
        }
    }
}

/// Every field of a state, in the order in which they are visited.
pub fn list(state: &mut impl State) -> Vec<ListedField> {
    let mut visitor = List::default();
    state.visit(&mut visitor);
    visitor.fields
}

macro_rules! words {
    ($($ty:ty: |$value:ident| $to:expr, |$word:ident| $from:expr;)*) => {$(
        impl State for $ty {
            #[inline]
            fn visit<V: Visitor>(&mut self, visitor: &mut V) {
                let $value = *self;
                let mut words: [u64; 1] = [$to];
                visitor.value(&mut words, |words| {
                    let $word = words[0];
                    let value: Self = $from;
                    format!("{value:?}")
                });
                let [$word] = words;
                *self = $from;
            }
        }
    )*};
}

words! {
    u64: |value| value, |word| word;
    i64: |value| value.cast_unsigned(), |word| word.cast_signed();
    usize: |value| value as u64, |word| word as usize;
    u32: |value| u64::from(value), |word| word as u32;
    f64: |value| value.to_bits(), |word| f64::from_bits(word);
    f32: |value| u64::from(value.to_bits()), |word| f32::from_bits(word as u32);
    bool: |value| u64::from(value), |word| word != 0;
}

/// Newtypes of the journal: the number they hold, and how people read it.
macro_rules! units {
    (|$value:ident| $text:expr; $($ty:ident($repr:ty))*) => {$(
        impl State for $ty {
            #[inline]
            fn visit<V: Visitor>(&mut self, visitor: &mut V) {
                let mut words = [self.0 as u64];
                visitor.value(&mut words, |words| {
                    let $value = Self(words[0] as $repr);
                    $text
                });
                self.0 = words[0] as $repr;
            }
        }
    )*};
}

units! {
    |it| it.to_string();
    Time(i64) Points(i64) Lots(i64) Micros(i64) ClientOrderId(u64) InstrumentId(u16) Side(u16) OrderAction(u16)
    OrderType(u16) OrderState(u16) LinkState(u16) VerdictSource(u16)
}

units! {
    |it| it.names().collect::<Vec<_>>().join("|");
    Reasons(u64) TickFlags(u16) TickMarks(u16)
}

/// Records that are kept whole: their bytes, eight to a word.
macro_rules! records {
    ($($ty:ident)*) => {$(
        impl State for $ty {
            fn visit<V: Visitor>(&mut self, visitor: &mut V) {
                const WORDS: usize = size_of::<$ty>() / 8;
                let of_words = |words: &[u64]| {
                    let mut bytes = [0; WORDS * 8];
                    for (chunk, word) in bytes.chunks_exact_mut(8).zip(words) {
                        chunk.copy_from_slice(&word.to_le_bytes());
                    }
                    body_of::<Self>(&bytes).unwrap_or_default()
                };
                let mut words = [0; WORDS];
                for (chunk, word) in body_bytes(self).chunks_exact(8).zip(&mut words) {
                    *word = u64::from_le_bytes(std::array::from_fn(|byte| chunk[byte]));
                }
                visitor.value(&mut words, |words| format!("{:?}", of_words(words)));
                *self = of_words(&words);
            }
        }
    )*};
}

records! { Signal ExecutionReport OrderRequest Reconciled Tick }

/// Two words, the lower one first.
macro_rules! wide {
    ($($ty:ident)*) => {$(
        impl State for $ty {
            fn visit<V: Visitor>(&mut self, visitor: &mut V) {
                let of_words = |words: &[u64]| Self::from(words[1]) << 64 | Self::from(words[0]);
                let mut words = [*self as u64, (*self >> 64) as u64];
                visitor.value(&mut words, |words| of_words(words).to_string());
                *self = of_words(&words);
            }
        }
    )*};
}

wide! { i128 u128 }

impl<A: State, B: State> State for (A, B) {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        visitor.field("0", &mut self.0);
        visitor.field("1", &mut self.1);
    }
}

/// One word that says whether there is a value, and the value, or the words of a default one in its place.
impl<T: State + Default> State for Option<T> {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        let mut is_some = self.is_some();
        visitor.field("is_some", &mut is_some);
        let mut value = self.take().unwrap_or_default();
        value.visit(visitor);
        *self = is_some.then_some(value);
    }
}

/// As many elements as there are: their number follows from the settings.
impl<T: State> State for [T] {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        for (index, element) in self.iter_mut().enumerate() {
            visitor.enter_element(index);
            element.visit(visitor);
            visitor.leave();
        }
    }
}

impl<T: State, const N: usize> State for [T; N] {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        self.as_mut_slice().visit(visitor);
    }
}

impl<T: State> State for Box<[T]> {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        (**self).visit(visitor);
    }
}

/// Their number and the elements; at most as many as there was room for when the list was built.
impl<T: State + Clone + Default> State for Vec<T> {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        let mut len = self.len();
        len.visit(visitor);
        visitor.check(len <= self.capacity());
        if len != self.len() && len <= self.capacity() {
            self.resize(len, T::default());
        }
        self.as_mut_slice().visit(visitor);
    }
}

/// As a [`Vec`].
impl<T: State + Clone + Default> State for VecDeque<T> {
    fn visit<V: Visitor>(&mut self, visitor: &mut V) {
        let mut len = self.len();
        len.visit(visitor);
        visitor.check(len <= self.capacity());
        if len != self.len() && len <= self.capacity() {
            self.resize(len, T::default());
        }
        for (index, element) in self.iter_mut().enumerate() {
            visitor.enter_element(index);
            element.visit(visitor);
            visitor.leave();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, PartialEq, Default)]
    struct Inner {
        wide: i128,
        real: f64,
        period: u32,
    }

    stateful!(Inner { wide, real } but { period });

    #[derive(Debug, Clone, PartialEq)]
    struct Outer {
        time: Time,
        fixed: Box<[i64]>,
        list: Vec<u64>,
        before: Option<i64>,
        inner: [Inner; 2],
    }

    stateful!(Outer { time, fixed, list, before, inner });

    fn outer(list: &[u64], number: i64) -> Outer {
        let mut own = Vec::with_capacity(8);
        own.extend_from_slice(list);
        let inner = |wide| Inner { wide, real: -0.5, period: 3 };
        Outer {
            time: Time(number),
            fixed: vec![number, -1].into_boxed_slice(),
            list: own,
            before: (number > 0).then_some(number),
            inner: [inner(i128::from(number) << 64), inner(i128::MIN)],
        }
    }

    #[test]
    fn a_path_names_every_field_and_its_value_is_for_people() {
        let listed: Vec<String> =
            list(&mut outer(&[7], -5)).into_iter().map(|it| format!("{}={}", it.path, it.value)).collect();
        let wide = i128::from(-5) << 64;
        let expected = [
            "time=-5".to_owned(),
            "fixed[0]=-5".to_owned(),
            "fixed[1]=-1".to_owned(),
            "list=1".to_owned(),
            "list[0]=7".to_owned(),
            "before.is_some=false".to_owned(),
            "before=0".to_owned(),
            format!("inner[0].wide={wide}"),
            "inner[0].real=-0.5".to_owned(),
            format!("inner[1].wide={}", i128::MIN),
            "inner[1].real=-0.5".to_owned(),
        ];
        assert_eq!(listed, expected);
    }

    #[test]
    fn words_that_are_no_such_state_are_refused() {
        let words = save(&mut outer(&[7, 8], -3));
        let mut other = outer(&[], 0);
        assert_eq!(
            load(&mut other, &words[..words.len() - 1]),
            Err(StateError::Shape { words: words.len() - 1 })
        );
        let mut longer = words.clone();
        longer.push(0);
        assert_eq!(load(&mut other, &longer), Err(StateError::Shape { words: words.len() + 1 }));
        let mut too_many = words;
        too_many[3] = u64::MAX;
        assert!(load(&mut other, &too_many).is_err());
    }

    proptest! {
        #[test]
        fn what_is_saved_comes_back_and_hashes_the_same(
            list in prop::collection::vec(any::<u64>(), 0..8), number in any::<i64>(), other in any::<i64>(),
        ) {
            let mut state = outer(&list, number);
            let words = save(&mut state);
            prop_assert_eq!(&state, &outer(&list, number), "a visit that reads changes nothing");
            let mut fresh = outer(&[], other);
            load(&mut fresh, &words).expect("its own words");
            prop_assert_eq!(&fresh, &state);
            prop_assert_eq!(hash(&mut fresh), hash(&mut state));
            prop_assert_eq!(hash(&mut outer(&list, other)) == hash(&mut state), number == other);
        }
    }
}
