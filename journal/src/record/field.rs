//! Reflection: every record can name its fields and their values, for printing, comparing and exporting.

use super::units::{AgentId, ClientOrderId, FeedId, InstrumentId, Lots, Micros, Points, Sequence, Time};

/// One named value of a record, in layout order.
#[derive(Debug, Clone, PartialEq)]
pub struct Field<'a> {
    /// The field's name in the record's layout.
    pub name: &'static str,
    /// Its value.
    pub value: Value<'a>,
}

/// A field's value with its unit, so that a printer can scale it with the instrument table.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A count or an identifier.
    Unsigned(u64),
    /// A signed number without a unit of its own.
    Signed(i64),
    /// A real number.
    Real(f64),
    /// See [`Time`].
    Time(Time),
    /// See [`Points`].
    Points(Points),
    /// See [`Lots`].
    Lots(Lots),
    /// See [`Micros`].
    Micros(Micros),
    /// See [`InstrumentId`].
    Instrument(InstrumentId),
    /// See [`AgentId`].
    Agent(AgentId),
    /// A code's name, or `None` and its number when this build does not know it.
    Code(Option<&'static str>, u64),
    /// The names of the bits that are set.
    Flags(Vec<&'static str>),
    /// A run of single-precision values.
    Reals(&'a [f32]),
    /// Text.
    Text(&'a str),
}

/// How a layout's field becomes a [`Value`].
pub(super) trait FieldValue {
    /// The value with its unit.
    fn value(&self) -> Value<'_>;
}

macro_rules! field_value {
    ($($ty:ty => |$it:ident| $value:expr;)*) => {
        $(impl FieldValue for $ty { fn value(&self) -> Value<'_> { let $it = self; $value } })*
    };
}

field_value! {
    u8 => |it| Value::Unsigned(u64::from(*it));
    u16 => |it| Value::Unsigned(u64::from(*it));
    u32 => |it| Value::Unsigned(u64::from(*it));
    u64 => |it| Value::Unsigned(*it);
    i32 => |it| Value::Signed(i64::from(*it));
    i64 => |it| Value::Signed(*it);
    f32 => |it| Value::Real(f64::from(*it));
    f64 => |it| Value::Real(*it);
    Time => |it| Value::Time(*it);
    Points => |it| Value::Points(*it);
    Lots => |it| Value::Lots(*it);
    Micros => |it| Value::Micros(*it);
    Sequence => |it| Value::Unsigned(it.0);
    ClientOrderId => |it| Value::Unsigned(it.0);
    InstrumentId => |it| Value::Instrument(*it);
    FeedId => |it| Value::Unsigned(u64::from(it.0));
    AgentId => |it| Value::Agent(*it);
}

impl<const N: usize> FieldValue for [f32; N] {
    fn value(&self) -> Value<'_> {
        Value::Reals(self)
    }
}
