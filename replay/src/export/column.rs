//! `Column`: what a column of an export is called, what it means, and where its values come from, in one place.
//!
//! ```text
//!  Column "bid", Price   -->  bid          double   1.14543    nearest to the decimal price
//!                             bid_points   int64    114543     exact
//! ```
//!
//! A number with a scale becomes two columns: the value in the unit that people use, and the whole number that the journal
//! holds. Invariants: whole numbers are never null, 0 says that there is none where the column says so; the float beside
//! it is null there.

use std::borrow::Cow;

use pawl_engine::instrument::Instrument;
use pawl_journal::record::{Lots, Micros, Points, Sequence, Time};

use super::parquet::Sheet;

/// Millionths in one unit of the account currency.
const MICROS: f64 = 1e6;

/// What the name of a column ends in that holds the journal's own whole number.
const POINTS: &str = "_points";
const STEPS: &str = "_steps";
const MICROS_NAME: &str = "_micros";

/// How the values of a column are stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stored {
    /// Unsigned 64-bit numbers.
    Unsigned,
    /// Signed 64-bit numbers.
    Signed,
    /// Single-precision numbers.
    Single,
    /// Double-precision numbers.
    Double,
    /// True or false.
    Bool,
    /// Nanoseconds since the UNIX epoch, in UTC.
    Time,
    /// Text by dictionary.
    Word,
}

impl Stored {
    /// The type as Arrow writes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unsigned => "uint64",
            Self::Signed => "int64",
            Self::Single => "float",
            Self::Double => "double",
            Self::Bool => "bool",
            Self::Time => "timestamp[ns, UTC]",
            Self::Word => "dictionary<string>",
        }
    }
}

/// One column as a file has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnTold {
    /// Its name.
    pub name: String,
    /// How its values are stored.
    pub stored: Stored,
    /// What they are counted in; empty for names, numbers without a unit, and times.
    pub unit: &'static str,
    /// Whether a value may be missing.
    pub nullable: bool,
    /// What they mean.
    pub about: Cow<'static, str>,
}

/// What gives a row its values.
pub(super) struct Row<'a, T> {
    /// The step, and its time.
    pub(super) sequence: Sequence,
    pub(super) time: Time,
    /// What the row tells of.
    pub(super) it: &'a T,
    /// The values of a feature vector; empty for all else.
    pub(super) reals: &'a [f32],
    /// What is traded; an account has none.
    pub(super) instrument: Option<&'a Instrument>,
    /// Who says it, and which class means what; only of predictions.
    pub(super) agent: Option<&'a Agent>,
}

/// What the settings say of an agent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Agent {
    pub(super) name: String,
    /// Places of the classes `down`, `flat` and `up` among its probabilities.
    pub(super) classes: [Option<usize>; 3],
}

/// Where the values of a column come from, and so what they are.
pub(super) enum Holds<T> {
    /// A number or an identifier.
    Unsigned(fn(&Row<'_, T>) -> u64),
    /// A number that may be negative.
    Signed(fn(&Row<'_, T>) -> i64),
    /// A single-precision number.
    Single(fn(&Row<'_, T>) -> f32),
    /// The same, where there is one.
    MaybeSingle(fn(&Row<'_, T>) -> Option<f32>),
    /// A double-precision number, where there is one.
    MaybeDouble(fn(&Row<'_, T>) -> Option<f64>),
    /// True or false.
    Bool(fn(&Row<'_, T>) -> bool),
    /// A time.
    Time(fn(&Row<'_, T>) -> Time),
    /// A time, where there is one.
    MaybeTime(fn(&Row<'_, T>) -> Option<Time>),
    /// One of a few texts.
    Word(for<'a> fn(&Row<'a, T>) -> Cow<'a, str>),
    /// One of a few texts, where there is one.
    MaybeWord(for<'a> fn(&Row<'a, T>) -> Option<Cow<'a, str>>),
    /// A price.
    Price(fn(&Row<'_, T>) -> Points),
    /// A price, none if it is 0.
    MaybePrice(fn(&Row<'_, T>) -> Points),
    /// A volume.
    Volume(fn(&Row<'_, T>) -> Lots),
    /// A volume, none if it is 0.
    MaybeVolume(fn(&Row<'_, T>) -> Lots),
    /// Money of the account.
    Money(fn(&Row<'_, T>) -> Micros),
    /// Millionths, as a fraction.
    Millionths(fn(&Row<'_, T>) -> i64),
    /// The values of a feature vector, one column each, by name.
    Reals(Vec<String>),
}

/// A column, or a few that belong together.
pub(super) struct Column<T> {
    name: &'static str,
    holds: Holds<T>,
    unit: &'static str,
    about: &'static str,
}

impl<T> Column<T> {
    pub(super) const fn new(name: &'static str, holds: Holds<T>, about: &'static str) -> Self {
        Self::in_unit(name, "", holds, about)
    }

    pub(super) const fn in_unit(
        name: &'static str,
        unit: &'static str,
        holds: Holds<T>,
        about: &'static str,
    ) -> Self {
        Self { name, holds, unit, about }
    }

    /// The step that a row is of, and its time.
    pub(super) fn of_step() -> [Self; 2] {
        [
            Self::new(
                "sequence",
                Holds::Unsigned(|row| row.sequence.0),
                "the step; the key that joins the files",
            ),
            Self::new("time", Holds::Time(|row| row.time), "time of the step, which never goes back"),
        ]
    }

    pub(super) fn symbol() -> Self {
        Self::new(
            "symbol",
            Holds::Word(|row| row.instrument.map_or("", |it| &it.symbol).into()),
            "the instrument",
        )
    }

    /// The columns of the file.
    pub(super) fn told(&self) -> Vec<ColumnTold> {
        use Stored::{Bool, Double, Signed, Single, Unsigned, Word};
        let one = |stored, nullable| {
            let about = Cow::Borrowed(self.about);
            vec![ColumnTold { name: self.name.to_owned(), stored, unit: self.unit, nullable, about }]
        };
        let two = |suffix, nullable, unit, exact| {
            let told =
                |name, stored, nullable, unit, about| ColumnTold { name, stored, unit, nullable, about };
            let none = if nullable { "; 0 is none" } else { "" };
            let beside = format!("the same, exact{none}");
            vec![
                told(self.name.to_owned(), Double, nullable, unit, Cow::Borrowed(self.about)),
                told(format!("{}{suffix}", self.name), Signed, false, exact, Cow::Owned(beside)),
            ]
        };
        match &self.holds {
            Holds::Unsigned(_) => one(Unsigned, false),
            Holds::Signed(_) => one(Signed, false),
            Holds::Single(_) => one(Single, false),
            Holds::MaybeSingle(_) => one(Single, true),
            Holds::MaybeDouble(_) => one(Double, true),
            Holds::Bool(_) => one(Bool, false),
            Holds::Time(_) => one(Stored::Time, false),
            Holds::MaybeTime(_) => one(Stored::Time, true),
            Holds::Word(_) => one(Word, false),
            Holds::MaybeWord(_) => one(Word, true),
            Holds::Price(_) => two(POINTS, false, "price", "points of the instrument"),
            Holds::MaybePrice(_) => two(POINTS, true, "price", "points of the instrument"),
            Holds::Volume(_) => two(STEPS, false, "lots", "volume steps of the instrument"),
            Holds::MaybeVolume(_) => two(STEPS, true, "lots", "volume steps of the instrument"),
            Holds::Money(_) => {
                two(MICROS_NAME, false, "account currency", "millionths of the account currency")
            }
            Holds::Millionths(_) => two("_ppm", false, self.unit, "millionths"),
            Holds::Reals(names) => names
                .iter()
                .map(|name| ColumnTold { name: name.clone(), ..one(Single, false).remove(0) })
                .collect(),
        }
    }

    /// Gives a row's values to its file, in the order of [`Self::told`].
    pub(super) fn put(&self, row: &Row<'_, T>, sheet: &mut Sheet) {
        match &self.holds {
            Holds::Unsigned(of) => sheet.unsigned(of(row)),
            Holds::Signed(of) => sheet.signed(of(row)),
            Holds::Single(of) => sheet.single(Some(of(row))),
            Holds::MaybeSingle(of) => sheet.single(of(row)),
            Holds::MaybeDouble(of) => sheet.double(of(row)),
            Holds::Bool(of) => sheet.bool(of(row)),
            Holds::Time(of) => sheet.time(Some(of(row).0)),
            Holds::MaybeTime(of) => sheet.time(of(row).map(|time| time.0)),
            Holds::Word(of) => sheet.word(Some(&of(row))),
            Holds::MaybeWord(of) => sheet.word(of(row).as_deref()),
            Holds::Price(of) => put_scaled(sheet, of(row).0, false, |it| row.price(it)),
            Holds::MaybePrice(of) => put_scaled(sheet, of(row).0, true, |it| row.price(it)),
            Holds::Volume(of) => put_scaled(sheet, of(row).0, false, |it| row.volume(Lots(it))),
            Holds::MaybeVolume(of) => put_scaled(sheet, of(row).0, true, |it| row.volume(Lots(it))),
            Holds::Money(of) => put_scaled(sheet, of(row).0, false, |it| it as f64 / MICROS),
            Holds::Millionths(of) => put_scaled(sheet, of(row), false, |it| it as f64 / MICROS),
            Holds::Reals(_) => row.reals.iter().for_each(|value| sheet.single(Some(*value))),
        }
    }
}

fn put_scaled(sheet: &mut Sheet, exact: i64, zero_is_none: bool, scale: impl Fn(i64) -> f64) {
    sheet.double((!zero_is_none || exact != 0).then(|| scale(exact)));
    sheet.signed(exact);
}

impl<T> Row<'_, T> {
    /// Points in a price of 1: a power of ten that a double holds exactly, so that a division by it rounds once, to the
    /// double that is nearest to the decimal price.
    pub(super) fn points_in_one(&self) -> f64 {
        self.instrument.map_or(1.0, |it| 10_u64.pow(u32::from(it.digits)) as f64)
    }

    fn price(&self, points: i64) -> f64 {
        points as f64 / self.points_in_one()
    }

    /// A count of volume steps in lots: the double that is nearest to it.
    fn volume(&self, lots: Lots) -> f64 {
        self.instrument.map_or(0.0, |it| it.volume(lots).to_f64())
    }
}
