//! `Columns`: where an export's header says that each field is.

use super::scan;

/// Most columns a file may have.
const COLUMNS_MAX: usize = 32;

/// A column of a tick export, by its name in the header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub(super) enum Column {
    /// Server date.
    Date,
    /// Server time of day.
    Time,
    /// Best bid; blank if unchanged.
    Bid,
    /// Best ask; blank if unchanged.
    Ask,
    /// Last trade; blank if none.
    Last,
    /// Volume of the last trade; blank if none.
    Volume,
    /// What changed; MT5's `TICK_FLAG_*`.
    Flags,
}

const NAMES: [&str; 7] = ["<DATE>", "<TIME>", "<BID>", "<ASK>", "<LAST>", "<VOLUME>", "<FLAGS>"];
const REQUIRED: [Column; 4] = [Column::Date, Column::Time, Column::Bid, Column::Ask];
const ABSENT: u8 = u8::MAX;

impl Column {
    /// The name as the header writes it.
    pub(super) const fn name(self) -> &'static str {
        NAMES[self as usize]
    }
}

/// Where each column is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns {
    places: [u8; NAMES.len()],
    count: usize,
}

impl Columns {
    /// The columns that a header line names. The error says what is wrong and the way out.
    pub(super) fn from_header(line: &[u8]) -> Result<Self, String> {
        let text =
            std::str::from_utf8(line).ok().filter(|text| text.chars().all(|c| c == '\t' || !c.is_control()));
        let Some(text) = text else {
            return Err(
                "is not a text file: give a tick export of MetaTrader 5, as it is or gzipped".to_owned()
            );
        };
        let mut columns = Self { places: [ABSENT; NAMES.len()], count: text.split('\t').count() };
        if columns.count > COLUMNS_MAX {
            return Err(format!(
                "the header names {} columns: at most {COLUMNS_MAX} are read",
                columns.count
            ));
        }
        for (place, name) in text.split('\t').enumerate() {
            let known = NAMES.iter().position(|known| known.eq_ignore_ascii_case(name.trim()));
            if let Some(index) = known {
                if columns.places[index] != ABSENT {
                    return Err(format!(
                        "the header names {} twice: remove one of the two columns",
                        NAMES[index]
                    ));
                }
                columns.places[index] = place as u8;
            }
        }
        let missing: Vec<&str> =
            REQUIRED.iter().filter(|column| !columns.has(**column)).map(|column| column.name()).collect();
        if missing.is_empty() { Ok(columns) } else { Err(missing_columns(text, &missing)) }
    }

    /// Whether the file has this column.
    pub(super) const fn has(&self, column: Column) -> bool {
        self.places[column as usize] != ABSENT
    }

    /// Whether they are those that a terminal writes, in its order.
    #[inline]
    pub(super) const fn are_as_exported(&self) -> bool {
        self.count == NAMES.len() && matches!(self.places, [0, 1, 2, 3, 4, 5, 6])
    }

    /// How many columns the file has.
    pub(super) const fn count(&self) -> usize {
        self.count
    }
}

fn missing_columns(header: &str, missing: &[&str]) -> String {
    let names = missing.join(", ");
    let hint = if header.contains("<OPEN>") {
        "this is an export of bars: export ticks instead (View > Symbols > Ticks > Export Ticks)"
    } else if [",", ";"].iter().any(|comma| header.contains(&format!("<DATE>{comma}"))) {
        "the fields are to be separated by tabs, as MetaTrader 5 writes them"
    } else if header.as_bytes().first().is_some_and(u8::is_ascii_digit) {
        "the file begins with data: put the header <DATE>\\t<TIME>\\t<BID>\\t<ASK>\\t<LAST>\\t<VOLUME>\\t<FLAGS> first"
    } else {
        "give a tick export of MetaTrader 5, tab separated with its header line"
    };
    format!("the header `{}` has no column {names}: {hint}", quote(header.as_bytes()))
}

/// The fields of one row.
#[derive(Debug)]
pub(super) struct Row<'a> {
    line: &'a [u8],
    /// Where each field ends; the one after it begins behind that tab.
    ends: [u16; COLUMNS_MAX],
}

impl<'a> Row<'a> {
    /// Splits a line of at most 65,535 bytes at its tabs. The error is how many fields it has if not the header's
    /// number of columns.
    #[inline]
    pub(super) fn split(line: &'a [u8], columns: &Columns) -> Result<Self, usize> {
        let mut ends = [0; COLUMNS_MAX];
        let mut tabs = 0;
        scan::each(line, b'\t', |at| {
            ends[tabs] = at as u16;
            tabs += 1;
            tabs < columns.count
        });
        if tabs + 1 != columns.count {
            return Err(line.split(|byte| *byte == b'\t').count());
        }
        ends[tabs] = line.len() as u16;
        Ok(Self { line, ends })
    }

    /// The field in this column; empty if the file has no such column.
    #[inline]
    pub(super) fn field(&self, columns: &Columns, column: Column) -> &'a [u8] {
        let place = columns.places[column as usize];
        if place == ABSENT {
            return &[];
        }
        let place = usize::from(place);
        let start = if place == 0 { 0 } else { usize::from(self.ends[place - 1]) + 1 };
        &self.line[start..usize::from(self.ends[place])]
    }
}

/// At most 80 characters of what stands in a file, fit for a message.
pub(super) fn quote(text: &[u8]) -> String {
    const CHARACTERS_MAX: usize = 80;
    let head = &text[..text.len().min(4 * CHARACTERS_MAX)];
    let lossy = String::from_utf8_lossy(head);
    let mut quoted = String::new();
    for (count, character) in lossy.chars().flat_map(char::escape_debug).enumerate() {
        if count + 1 == CHARACTERS_MAX {
            quoted.push('\u{2026}');
            break;
        }
        quoted.push(character);
    }
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &[u8] = b"<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>";

    #[test]
    fn fields_are_found_by_name_in_any_order() {
        let columns = Columns::from_header(b"<ASK>\t<MORE>\t<bid>\t<TIME>\t<DATE>").expect("complete");
        let row = Row::split(b"2\tx\t1\tt\td", &columns).expect("five fields");
        let fields = [Column::Date, Column::Time, Column::Bid, Column::Ask, Column::Last];
        assert_eq!(fields.map(|column| row.field(&columns, column)), [&b"d"[..], b"t", b"1", b"2", b""]);
        assert!(!columns.has(Column::Flags) && !columns.are_as_exported());
        assert!(Columns::from_header(HEADER).expect("complete").are_as_exported());
    }

    #[test]
    fn a_row_with_another_number_of_fields_is_not_one() {
        let columns = Columns::from_header(HEADER).expect("complete");
        assert_eq!(Row::split(b"a\tb\tc", &columns).expect_err("short"), 3);
        assert_eq!(Row::split(b"a\tb\tc\td\te\tf\tg\th\ti", &columns).expect_err("long"), 9);
        assert!(Row::split(b"\t\t\t\t\t\t", &columns).is_ok());
    }

    #[test]
    fn a_wrong_header_says_what_to_do() {
        for (header, expected) in [
            (&b"<DATE>\t<TIME>\t<BID>"[..], "no column <ASK>: give a tick export"),
            (b"<DATE>\t<TIME>\t<OPEN>\t<HIGH>", "no column <BID>, <ASK>: this is an export of bars"),
            (b"<DATE>,<TIME>,<BID>,<ASK>", "separated by tabs"),
            (b"2019.02.04\t00:00:00\t1\t2", "begins with data"),
            (b"<DATE>\t<TIME>\t<BID>\t<ASK>\t<BID>", "names <BID> twice"),
            (b"\x7fELF\x02\x01\x01\0\0", "not a text file"),
            (b"<DATE>\xff", "not a text file"),
        ] {
            let error = Columns::from_header(header).expect_err("wrong");
            assert!(error.contains(expected), "{error}");
        }
        let many = ["<X>"; 33].join("\t");
        assert!(Columns::from_header(many.as_bytes()).expect_err("wide").contains("33 columns"));
    }

    #[test]
    fn a_quote_has_at_most_eighty_characters() {
        assert_eq!(quote(b"ab\x01\xff"), "ab\\u{1}\u{fffd}");
        for long in [vec![b'x'; 5_000], vec![0; 300], vec![0xff; 300], "\u{1F600}".repeat(200).into_bytes()] {
            assert!(quote(&long).chars().count() <= 80);
        }
        assert_eq!(quote(&[b'x'; 80]).chars().count(), 80);
    }
}
