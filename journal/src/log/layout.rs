//! Layouts: how a fixed little-endian structure of the log is declared, checked at compile time, put and read back.

/// A number or a run of bytes with one representation on disk.
pub(super) trait Scalar: Sized {
    /// Writes the value over `to`, which has exactly its size.
    fn put(&self, to: &mut [u8]);
    /// Reads the value from `from`, which has exactly its size.
    fn get(from: &[u8]) -> Self;
}

macro_rules! scalar {
    ($($ty:ty),*) => {$(
        impl Scalar for $ty {
            fn put(&self, to: &mut [u8]) {
                to.copy_from_slice(&self.to_le_bytes());
            }

            fn get(from: &[u8]) -> Self {
                Self::from_le_bytes(from.try_into().expect("a field has its type's size"))
            }
        }
    )*};
}

scalar!(u16, u32, u64, i64);

impl<const N: usize> Scalar for [u8; N] {
    fn put(&self, to: &mut [u8]) {
        to.copy_from_slice(self);
    }

    fn get(from: &[u8]) -> Self {
        from.try_into().expect("a field has its type's size")
    }
}

/// Declares a structure whose fields follow one another without a gap; offsets and size are asserted at compile time.
macro_rules! layout {
    ($(#[$meta:meta])* pub(super) struct $name:ident: size $size:literal {
        $( $(#[$fmeta:meta])* $offset:literal $field:ident: $ty:ty, )*
    }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(super) struct $name { $( $(#[$fmeta])* pub(super) $field: $ty, )* }

        const _: () = {
            let mut at = 0;
            $( assert!(at == $offset); at += size_of::<$ty>(); )*
            assert!(at == $size);
        };

        impl $name {
            /// Bytes of the layout.
            pub(super) const BYTES: usize = $size;

            /// Writes every field to the start of `to`.
            pub(super) fn put(&self, to: &mut [u8]) {
                $( $crate::log::layout::Scalar::put(&self.$field, &mut to[$offset..$offset + size_of::<$ty>()]); )*
            }

            /// Reads every field from the start of `from`, which has at least [`Self::BYTES`].
            #[inline]
            pub(super) fn get(from: &[u8]) -> Self {
                let from: &[u8; $size] = from.first_chunk().expect("all of the layout is there");
                Self { $( $field: $crate::log::layout::Scalar::get(&from[$offset..$offset + size_of::<$ty>()]), )* }
            }
        }
    };
}

pub(super) use layout;
