//! The codec: how a record's layout is declared, checked at compile time, written and borrowed back.
//!
//! This is the only file that names the `zerocopy` crate. Three macros declare layouts:
//! `record!` a record body with its kind, version, size and the offset of every field; `code!` an open
//! enumeration (unknown numbers stay readable); `flags!` a set of named bits; `unit!` a number with a unit.

pub(super) use zerocopy::{FromBytes, FromZeros, Immutable, IntoBytes, KnownLayout};

use super::field::Field;
use super::kind::Kind;

/// Bytes of the header in front of every record body.
pub const RECORD_HEADER_BYTES: usize = 8;

/// The header in front of every record body.
#[derive(Debug, Clone, Copy, PartialEq, Eq, FromBytes, IntoBytes, Immutable, KnownLayout)]
#[repr(C)]
pub struct RecordHeader {
    /// What the body is; see [`Kind`].
    pub kind: u16,
    /// Layout version of the body, from 1.
    pub version: u8,
    /// Reserved, 0.
    pub flags: u8,
    /// Bytes of the body, without the padding to 8 that follows it.
    pub len: u32,
}

const _: () = assert!(size_of::<RecordHeader>() == RECORD_HEADER_BYTES);

/// A record body of fixed layout (and perhaps a tail of values or text behind it).
///
/// Sealed by its supertraits: only layouts declared in this crate implement it.
pub trait Body: FromBytes + IntoBytes + Immutable + KnownLayout + Copy + sealed::Sealed + 'static {
    /// What the record is.
    const KIND: Kind;
    /// Layout version, from 1.
    const VERSION: u8;

    /// Calls `visit` with every field in layout order.
    fn visit<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>));
}

/// The bytes of a record's body.
#[must_use]
pub fn body_bytes<T: Body>(body: &T) -> &[u8] {
    body.as_bytes()
}

/// The body with these bytes, if there are as many as it has.
#[must_use]
pub fn body_of<T: Body>(bytes: &[u8]) -> Option<T> {
    T::read_from_bytes(bytes).ok()
}

pub(super) mod sealed {
    /// Keeps [`super::Body`] to this crate.
    pub trait Sealed {}
}

/// One record of a committed or growing step, borrowed from its bytes.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub(super) header: RecordHeader,
    /// Header and body.
    pub(super) whole: &'a [u8],
}

impl<'a> Record<'a> {
    /// What the record is; `None` if this build does not know the kind.
    #[inline]
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        Kind::from_code(self.header.kind)
    }

    /// The record's header.
    #[must_use]
    pub const fn header(&self) -> RecordHeader {
        self.header
    }

    /// The body's bytes, tail included, without padding.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        &self.whole[size_of::<RecordHeader>()..]
    }

    /// The body as `T`, or `None` if the record is of another kind, version or size.
    #[inline]
    #[must_use]
    pub fn get<T: Body>(&self) -> Option<&'a T> {
        if self.header.kind != T::KIND.code() || self.header.version != T::VERSION {
            return None;
        }
        T::ref_from_prefix(self.bytes()).ok().map(|(body, _)| body)
    }

    /// The bytes behind the fixed layout of `T`.
    #[must_use]
    pub fn tail<T: Body>(&self) -> &'a [u8] {
        self.bytes().get(size_of::<T>()..).unwrap_or(&[])
    }

    /// The tail behind `T` as single-precision values.
    #[inline]
    #[must_use]
    pub fn tail_reals<T: Body>(&self) -> &'a [f32] {
        <[f32]>::ref_from_bytes(self.tail::<T>()).unwrap_or(&[])
    }

    /// The tail behind `T` as text; invalid UTF-8 reads as empty.
    #[must_use]
    pub fn tail_text<T: Body>(&self) -> &'a str {
        std::str::from_utf8(self.tail::<T>()).unwrap_or("")
    }
}

/// Declares record bodies: kind, version, size, and for every field its byte offset, all asserted at compile time.
macro_rules! record {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident: kind $kind:ident, version $version:literal, size $size:literal {
            $( $(#[$fmeta:meta])* $offset:literal $field:ident: $ty:ty, )*
        }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq,
            $crate::record::codec::FromBytes, $crate::record::codec::IntoBytes,
            $crate::record::codec::Immutable, $crate::record::codec::KnownLayout)]
        #[repr(C)]
        pub struct $name { $( $(#[$fmeta])* pub $field: $ty, )* }

        const _: () = {
            assert!(size_of::<$name>() == $size);
            assert!($size % 8 == 0);
            assert!(align_of::<$name>() <= 8);
            $( assert!(std::mem::offset_of!($name, $field) == $offset); )*
        };

        impl $crate::record::codec::sealed::Sealed for $name {}

        impl $crate::record::codec::Body for $name {
            const KIND: $crate::record::kind::Kind = $crate::record::kind::Kind::$kind;
            const VERSION: u8 = $version;

            fn visit<'a>(&'a self, visit: &mut dyn FnMut($crate::record::field::Field<'a>)) {
                $( if !stringify!($field).starts_with("reserved") {
                    visit($crate::record::field::Field {
                        name: stringify!($field),
                        value: $crate::record::field::FieldValue::value(&self.$field),
                    });
                } )*
            }
        }

        impl Default for $name {
            /// All zero.
            fn default() -> Self {
                <Self as $crate::record::codec::FromZeros>::new_zeroed()
            }
        }
    )*};
}

/// Declares an open enumeration: named numbers in a fixed width; numbers this build does not know stay readable.
macro_rules! code {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident: $repr:ty { $( $(#[$vmeta:meta])* $variant:ident = $value:literal $text:literal, )* }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default,
            $crate::record::codec::FromBytes, $crate::record::codec::IntoBytes,
            $crate::record::codec::Immutable, $crate::record::codec::KnownLayout)]
        #[repr(transparent)]
        pub struct $name(pub $repr);

        impl $name {
            $( $(#[$vmeta])* pub const $variant: Self = Self($value); )*

            /// Every code this build knows.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The code's name, or `None` for a number that this build does not know.
            #[must_use]
            pub const fn name(self) -> Option<&'static str> {
                match self.0 { $( $value => Some($text), )* _ => None }
            }

            /// The code with this name.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|code| code.name() == Some(name))
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self.name() { Some(name) => f.pad(name), None => write!(f, "unknown({})", self.0) }
            }
        }

        impl $crate::record::field::FieldValue for $name {
            fn value(&self) -> $crate::record::field::Value<'_> {
                $crate::record::field::Value::Code(self.name(), u64::from(self.0))
            }
        }
    )*};
}

/// Declares a set of named bits in a fixed width.
macro_rules! flags {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident: $repr:ty { $( $(#[$vmeta:meta])* $variant:ident = $bit:literal $text:literal, )* }
    )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default,
            $crate::record::codec::FromBytes, $crate::record::codec::IntoBytes,
            $crate::record::codec::Immutable, $crate::record::codec::KnownLayout)]
        #[repr(transparent)]
        pub struct $name(pub $repr);

        impl $name {
            $( $(#[$vmeta])* pub const $variant: Self = Self(1 << $bit); )*

            /// Every named bit.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// No bit set.
            pub const NONE: Self = Self(0);

            /// Whether every bit of `other` is set here.
            #[must_use]
            pub const fn has(self, other: Self) -> bool {
                self.0 & other.0 == other.0
            }

            /// Whether any bit of `other` is set here.
            #[must_use]
            pub const fn any(self, other: Self) -> bool {
                self.0 & other.0 != 0
            }

            /// Whether no bit is set.
            #[must_use]
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// Both sets together.
            #[must_use]
            pub const fn with(self, other: Self) -> Self {
                Self(self.0 | other.0)
            }

            /// Sets the bits of `other` if `condition` holds.
            pub const fn set_if(&mut self, other: Self, condition: bool) {
                if condition { self.0 |= other.0; }
            }

            /// The names of the bits that are set, lowest first.
            pub fn names(self) -> impl Iterator<Item = &'static str> {
                [$((Self::$variant, $text)),*].into_iter().filter(move |(bit, _)| self.has(*bit)).map(|(_, name)| name)
            }
        }

        impl $crate::record::field::FieldValue for $name {
            fn value(&self) -> $crate::record::field::Value<'_> {
                $crate::record::field::Value::Flags(self.names().collect())
            }
        }
    )*};
}

/// Declares a number with a unit.
macro_rules! unit {
    ($( $(#[$meta:meta])* pub struct $name:ident($repr:ty); )*) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default,
            serde::Serialize, serde::Deserialize,
            $crate::record::codec::FromBytes, $crate::record::codec::IntoBytes,
            $crate::record::codec::Immutable, $crate::record::codec::KnownLayout)]
        #[repr(transparent)]
        #[serde(transparent)]
        pub struct $name(pub $repr);

        impl std::ops::Add for $name {
            type Output = Self;
            fn add(self, other: Self) -> Self { Self(self.0 + other.0) }
        }

        impl std::ops::Sub for $name {
            type Output = Self;
            fn sub(self, other: Self) -> Self { Self(self.0 - other.0) }
        }

        impl std::ops::AddAssign for $name {
            fn add_assign(&mut self, other: Self) { self.0 += other.0; }
        }

        impl std::ops::SubAssign for $name {
            fn sub_assign(&mut self, other: Self) { self.0 -= other.0; }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { self.0.fmt(f) }
        }
    )*};
}

pub(super) use {code, flags, record, unit};
