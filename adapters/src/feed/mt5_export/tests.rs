//! What an export may look like, what is wrong with some, and the real days.

use std::io::{Cursor, Write as _};
use std::path::PathBuf;

use flate2::{Compression, write::GzEncoder};
use proptest::prelude::*;

use super::*;

const HEADER: &str = "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>";

fn eurusd() -> Instrument {
    Instrument::well_known("EURUSD").expect("well known")
}

fn open(bytes: Vec<u8>) -> Result<Mt5Export, FeedError> {
    let len = bytes.len() as u64;
    Mt5Export::from_reader("day.csv", Box::new(Cursor::new(bytes)), Some(len), InstrumentId(3), &eurusd())
}

/// Every tick before the end or the first error, and that error.
fn read(bytes: Vec<u8>) -> (Vec<FeedTick>, Option<String>) {
    let mut feed = match open(bytes) {
        Ok(feed) => feed,
        Err(error) => return (Vec::new(), Some(error.to_string())),
    };
    let mut ticks = Vec::new();
    loop {
        match feed.next() {
            Ok(Some(tick)) => ticks.push(tick),
            Ok(None) => return (ticks, None),
            Err(error) => {
                assert!(!matches!(feed.next(), Ok(Some(_))), "a feed that failed is over");
                return (ticks, Some(error.to_string()));
            }
        }
    }
}

fn read_rows(rows: &str) -> (Vec<FeedTick>, Option<String>) {
    read(format!("{HEADER}\n{rows}").into_bytes())
}

fn good(bytes: Vec<u8>) -> Vec<FeedTick> {
    let (ticks, error) = read(bytes);
    assert_eq!(error, None);
    ticks
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

fn utf16(text: &str) -> Vec<u8> {
    std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect()
}

const TWO_ROWS: &str = "2019.02.04\t00:00:00.994\t1.14543\t1.14545\t\t\t6\n\
                        2019.02.04\t00:00:01.271\t1.14544\t1.14546\t\t\t2\n";

fn two_rows() -> String {
    format!("{HEADER}\n{TWO_ROWS}")
}

fn shared(file: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../shared/data").join(file)
}

/// The ticks of a real file; `None` where there is no such data, which only a build server may not say.
fn read_day(file: &str, symbol: &str) -> Option<Vec<FeedTick>> {
    if !shared(file).is_file() {
        assert!(std::env::var_os("CI").is_none(), "the real ticks are missing: {file}");
        return None;
    }
    let definition = Instrument::well_known(symbol).expect("well known");
    let mut feed = Mt5Export::open(&shared(file), InstrumentId(0), &definition).expect("the file is there");
    let mut ticks = Vec::new();
    let mut progress = 0.0;
    while let Some(tick) = feed.next().expect("the file is whole") {
        ticks.push(tick);
        let now = feed.progress().expect("a file knows its length");
        assert!(now >= progress && now <= 1.0);
        progress = now;
    }
    assert_eq!(feed.progress(), Some(1.0));
    Some(ticks)
}

#[test]
fn the_real_day_of_eurusd_is_read_whole() {
    let Some(ticks) = read_day("EURUSD-2019-02-04.ticks.csv.gz", "EURUSD") else { return };
    assert_eq!(ticks.len(), 136_741);
    let day = 1_549_238_400_i64 * Time::SECOND;
    let tick = |index: usize| {
        let tick: &FeedTick = &ticks[index];
        (tick.time.0 - day, tick.bid.0, tick.ask.0, tick.source_sequence)
    };
    assert_eq!(tick(0), (994_000_000, 114_543, 114_545, 1));
    let last = 86_397 * Time::SECOND + 992 * Time::MILLISECOND;
    assert_eq!(tick(136_740), (last, 114_349, 114_355, 136_741));
    assert!(ticks.windows(2).all(|pair| pair[0].time < pair[1].time));
    assert!(ticks.iter().all(|tick| tick.ask > tick.bid && tick.last.0 == 0 && tick.volume.0 == 0));
}

#[test]
fn the_real_hours_of_btcusd_are_read_whole() {
    let Some(ticks) = read_day("BTCUSD-2023-02-20.ticks.csv.gz", "BTCUSD") else { return };
    assert_eq!(ticks.len(), 14_716);
    assert_eq!(
        (ticks[0].bid, ticks[0].ask, ticks[0].flags),
        (Points(248_494), Points(249_215), TickFlags(6))
    );
    assert_eq!(ticks[1].flags, TickFlags::NONE);
    assert_eq!((ticks[14_715].bid, ticks[14_715].ask), (Points(248_226), Points(248_928)));
}

#[test]
fn every_way_of_writing_the_same_file_gives_the_same_ticks() {
    let expected = good(two_rows().into_bytes());
    assert_eq!(expected.len(), 2);
    assert_eq!(expected[1].source_sequence, 2);
    assert_eq!(expected[1].instrument, InstrumentId(3));
    let dos = two_rows().replace('\n', "\r\n");
    let with_bom = format!("\u{feff}{}", two_rows());
    let (first, rest) = with_bom.as_bytes().split_at(77);
    for (what, bytes) in [
        ("dos line ends", dos.clone().into_bytes()),
        ("no line end at the end", two_rows().trim_end().as_bytes().to_vec()),
        ("blank lines at the end", format!("{}\n\r\n\n", two_rows()).into_bytes()),
        ("utf-8 mark", with_bom.clone().into_bytes()),
        ("utf-16", utf16(&dos)),
        ("gzip", gzip(two_rows().as_bytes())),
        ("gzip of utf-16", gzip(&utf16(&two_rows()))),
        ("gzip in two members", [gzip(first), gzip(rest)].concat()),
        ("gzip in members of one byte", with_bom.bytes().flat_map(|byte| gzip(&[byte])).collect()),
    ] {
        assert_eq!(good(bytes), expected, "{what}");
    }
}

#[test]
fn a_blank_bid_or_ask_is_that_of_the_tick_before() {
    let (ticks, error) = read_rows(
        "2019.02.04\t00:00:00\t\t1.2\t\t\t4\n\
         2019.02.04\t00:00:01\t1.1\t\t\t\t2\n\
         2019.02.04\t00:00:02\t\t1.3\t\t\t4\n\
         2019.02.04\t00:00:03\t\t\t1.15\t0.5\t24\n",
    );
    assert_eq!(error, None);
    let quotes: Vec<_> =
        ticks.iter().map(|tick| (tick.bid.0, tick.ask.0, tick.last.0, tick.volume.0)).collect();
    assert_eq!(
        quotes,
        [
            (0, 120_000, 0, 0),
            (110_000, 120_000, 0, 0),
            (110_000, 130_000, 0, 0),
            (110_000, 130_000, 115_000, 50)
        ]
    );
    assert_eq!(ticks[3].flags, TickFlags::LAST.with(TickFlags::VOLUME));
}

#[test]
fn a_file_of_four_columns_says_itself_what_changed() {
    let ticks = good(
        b"<TIME>\t<DATE>\t<ASK>\t<BID>\n\
          00:00:00\t2019.02.04\t1.2\t1.1\n\
          00:00:01\t2019.02.04\t1.2\t1.15\n\
          00:00:02\t2019.02.04\t\t\n"
            .to_vec(),
    );
    let flags: Vec<_> = ticks.iter().map(|tick| tick.flags).collect();
    assert_eq!(flags, [TickFlags::BID.with(TickFlags::ASK), TickFlags::BID, TickFlags::NONE]);
    assert_eq!((ticks[2].bid.0, ticks[2].ask.0), (115_000, 120_000));
}

#[test]
fn bits_that_mt5_does_not_document_are_dropped() {
    let (ticks, error) = read_rows("2019.02.04\t00:00:00\t1\t2\t\t\t1158\n");
    assert_eq!((ticks[0].flags, error), (TickFlags(1158 & 0x7e), None));
}

#[test]
fn odd_prices_and_times_are_delivered_for_ingress_to_mark() {
    let (ticks, error) = read_rows(
        "2019.02.04\t00:00:05\t1.2\t1.1\t\t\t6\n\
         2019.02.04\t00:00:04\t-0.5\t0\t\t\t6\n\
         2019.02.03\t23:59:59\t1.1\t1.1\t\t\t6\n",
    );
    assert_eq!(error, None);
    assert_eq!((ticks[1].bid, ticks[1].ask), (Points(-50_000), Points(0)));
    assert!(ticks[0].time > ticks[1].time && ticks[1].time > ticks[2].time);
}

#[test]
fn a_server_ahead_of_utc_is_set_back() {
    let feed = open(two_rows().into_bytes()).expect("good");
    let mut feed = feed.with_server_offset(Span::seconds(7_200));
    let tick = feed.next().expect("good").expect("a tick");
    assert_eq!(tick.time.0, (1_549_238_400 - 7_200) * Time::SECOND + 994 * Time::MILLISECOND);
}

#[test]
fn going_on_after_a_restart_needs_the_same_place() {
    let rows: String = (0..10)
        .map(|s| format!("2019.02.04\t00:00:0{s}\t{}\t2\t\t\t6\n", if s == 3 { "1.5" } else { "" }))
        .collect();
    let bytes = format!("{HEADER}\n{rows}").into_bytes();
    let mut feed = open(bytes.clone()).expect("good");
    feed.skip_to(0).expect("nothing to skip");
    feed.skip_to(4).expect("inside");
    let tick = feed.next().expect("good").expect("a tick");
    assert_eq!((tick.source_sequence, tick.bid), (5, Points(150_000)));
    feed.skip_to(10).expect("inside");
    assert_eq!(feed.next().expect("good"), None);
    let error = open(bytes).expect("good").skip_to(11).expect_err("too far");
    assert!(error.to_string().contains("day.csv: the journal goes on after tick 11"), "{error}");
    assert!(error.to_string().contains("ends after tick 10"), "{error}");
}

#[test]
fn a_wrong_line_is_named_with_its_field_and_the_way_out() {
    for (row, expected) in [
        ("2019.02.30\t00:00:00\t1\t2\t\t\t6", "<DATE> `2019.02.30` is not a date"),
        ("\t00:00:00\t1\t2\t\t\t6", "<DATE> `` is not a date"),
        ("\0\0\0\0\0\0\0\0\0\0\t00:00:00\t1\t2\t\t\t6", "is not a date"),
        ("2019.02.04\t24:00:00\t1\t2\t\t\t6", "<TIME> `24:00:00` is not a time"),
        ("2019.02.04\t00:00:00\tabc\t2\t\t\t6", "<BID> `abc` is not a number such as"),
        ("2019.02.04\t00:00:00\t1\t1,5\t\t\t6", "<ASK> `1,5` is not a number"),
        (
            "2019.02.04\t00:00:00\t1\t1.123456\t\t\t6",
            "<ASK> `1.123456` has 6 decimals and EURUSD is configured with digits = 5: set digits = 6",
        ),
        (
            "2019.02.04\t00:00:00\t1\t1.123456789\t\t\t6",
            "has 9 decimals, and no instrument can have more than 8",
        ),
        ("2019.02.04\t00:00:00\t1\t9999999999\t\t\t6", "larger than 1e14 points"),
        ("2019.02.04\t00:00:00\t1\t2\tx\t\t6", "<LAST> `x`"),
        ("2019.02.04\t00:00:00\t1\t2\t\t-1\t6", "<VOLUME> `-1` is not a volume, 0 or above"),
        ("2019.02.04\t00:00:00\t1\t2\t\t1e3\t6", "<VOLUME> `1e3` is not a number"),
        ("2019.02.04\t00:00:00\t1\t2\t\t0.000000001\t6", "<VOLUME> `0.000000001` is not a volume"),
        ("2019.02.04\t00:00:00\t1\t2\t\t\t-6", "<FLAGS> `-6` is not a whole number"),
        ("2019.02.04\t00:00:00\t1\t2", "has 4 fields where the header names 7"),
        ("2019.02.04\t00:00:00\t1\t2\t\t\t6\t", "has 8 fields where the header names 7"),
        ("\0\u{1}binary", "`\\0\\u{1}binary` has 1 fields"),
    ] {
        let (ticks, error) = read_rows(&format!("{TWO_ROWS}{row}\n{TWO_ROWS}"));
        let error = error.expect(row);
        assert_eq!(ticks.len(), 2, "{row}");
        assert!(error.starts_with("day.csv:4: ") && error.contains(expected), "{error}");
    }
    let long = format!("2019.02.04\t00:00:00\t{}\t2\t\t\t6\n", "x".repeat(4_000));
    let (_, error) = read_rows(&long);
    assert!(error.expect("not a price").chars().count() < 200);
}

#[test]
fn an_empty_file_is_an_error_however_it_is_empty() {
    for (bytes, expected) in [
        (Vec::new(), "day.csv: is empty"),
        (gzip(b""), "day.csv: is empty"),
        (b"\xef\xbb\xbf".to_vec(), "day.csv: is empty"),
        (utf16(""), "day.csv: is empty"),
        (b"\n\n".to_vec(), "day.csv:1: the header `` has no column <DATE>, <TIME>, <BID>, <ASK>"),
        (format!("{HEADER}\r\n").into_bytes(), "day.csv: has a header and no ticks"),
        (HEADER.as_bytes().to_vec(), "day.csv: has a header and no ticks"),
    ] {
        let (ticks, error) = read(bytes);
        assert!(ticks.is_empty());
        assert!(error.as_ref().is_some_and(|error| error.starts_with(expected)), "{expected}: {error:?}");
    }
}

#[test]
fn a_file_that_is_something_else_says_what() {
    for (bytes, expected) in [
        (&b"PK\x03\x04rest"[..], "day.csv: is a zip archive: unpack it"),
        (b"\x28\xb5\x2f\xfdrest", "compressed with zstd"),
        (b"\xfd7zXZ\0", "compressed with xz"),
        (b"BZh91AY", "compressed with bzip2"),
        (b"\xfe\xff\0<\0D", "UTF-16 text with the high byte first"),
        (b"\x7fELF\x02\x01\x01\0", "day.csv:1: is not a text file"),
        (b"\0\0\0\0\0\0", "day.csv:1: is not a text file"),
        (
            b"<DATE>\t<TIME>\t<BID>\t<VOLUME>\n",
            "day.csv:1: the header `<DATE>\\t<TIME>\\t<BID>\\t<VOLUME>` has no column <ASK>",
        ),
        (b"\x1f\x8b\x08", "day.csv:1: the gzip data ends here, before its end"),
        (b"\x1f\x8bnot a gzip header at all", "day.csv:1: the gzip data is damaged here"),
    ] {
        let (_, error) = read(bytes.to_vec());
        let error = error.expect(expected);
        assert!(error.contains(expected), "{error}");
    }
    let (_, error) = read(vec![b'x'; 10_000]);
    assert!(error.expect("too long").contains("day.csv:1: the line is longer than 4096 bytes"));
}

#[test]
fn what_came_before_the_end_of_a_cut_gzip_file_is_delivered_first() {
    let rows: String = (0..5_000)
        .map(|n| {
            format!(
                "2019.02.04\t{:02}:{:02}:{:02}.{:03}\t1.1{:04}\t1.2{:04}\t\t\t6\n",
                n / 3600,
                n / 60 % 60,
                n % 60,
                n * 7919 % 1000,
                n * 31 % 9973,
                n * 17 % 9967
            )
        })
        .collect();
    let packed = gzip(format!("{HEADER}\n{rows}").as_bytes());
    let mut most = 0;
    for cut in [packed.len() - 1, packed.len() - 8, packed.len() * 9 / 10, packed.len() / 2, 2_000, 20] {
        let (ticks, error) = read(packed[..cut].to_vec());
        let error = error.expect("it is cut");
        let line = format!(
            "day.csv:{}: the gzip data ends here",
            if ticks.is_empty() { 1 } else { ticks.len() + 2 }
        );
        assert!(error.starts_with(&line), "{error} after {} ticks", ticks.len());
        most = most.max(ticks.len());
    }
    assert_eq!(most, 5_000, "a file that lacks only its checksum has all its rows");
}

#[test]
fn a_damaged_gzip_file_ends_with_an_error() {
    let mut packed = gzip(two_rows().as_bytes());
    let checksum = packed.len() - 8;
    packed[checksum] ^= 1;
    let (ticks, error) = read(packed);
    assert_eq!(ticks.len(), 2);
    assert!(error.expect("wrong checksum").starts_with("day.csv:4: the gzip data is damaged here"));
    let (ticks, error) = read([gzip(two_rows().as_bytes()), b"something else".to_vec()].concat());
    assert_eq!(ticks.len(), 2);
    assert!(error.expect("something else follows").contains("damaged"));
}

#[test]
fn half_a_character_of_utf16_at_the_end_is_an_error() {
    let mut bytes = utf16(&two_rows());
    bytes.push(b'2');
    let (ticks, error) = read(bytes);
    assert_eq!(ticks.len(), 2);
    assert!(error.expect("half a character").contains("UTF-16 text ends inside a character"));
}

#[test]
fn a_file_that_cannot_be_opened_is_the_environments_fault() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for path in [directory.path().join("missing.csv"), directory.path().to_path_buf()] {
        let error = Mt5Export::open(&path, InstrumentId(0), &eurusd()).expect_err("no file");
        assert!(error.environment && error.to_string().contains(&path.display().to_string()), "{error}");
    }
    let path = directory.path().join("day.csv");
    std::fs::write(&path, two_rows()).expect("writable");
    let mut feed = Mt5Export::open(&path, InstrumentId(0), &eurusd()).expect("good");
    assert_eq!(feed.name(), path.display().to_string());
    feed.skip_to(2).expect("two rows");
    assert_eq!((feed.rows(), feed.next().expect("good")), (2, None));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600), packed in any::<bool>()) {
        read(if packed { gzip(&bytes) } else { bytes });
    }

    #[test]
    fn arbitrary_rows_never_panic(rows in "[0-9.:\t\r\n -]{0,400}|.{0,200}") {
        read_rows(&rows);
    }

    #[test]
    fn a_damaged_byte_or_a_cut_never_panics(at in 0..400_usize, value in any::<u8>(), cut in any::<bool>(), packed in any::<bool>()) {
        let text = format!("{HEADER}\n{TWO_ROWS}{TWO_ROWS}");
        let mut bytes = if packed { gzip(text.as_bytes()) } else { text.into_bytes() };
        let at = at % bytes.len();
        if cut { bytes.truncate(at); } else { bytes[at] = value; }
        read(bytes);
    }

    #[test]
    fn the_quick_way_and_the_careful_way_give_the_same_ticks(
        rows in prop::collection::vec("2019.02.0[45]\t[01][0-9]:[0-6][0-9]:00(.[0-9]{1,4})?\t-?[0-9]{0,3}(\\.[0-9]{0,6})?\t[0-9]{0,11}(\\.[0-9]{0,6})?\t[1]?\t[1]?\t[0-9]{0,4}", 1..9),
        digits in 0..=8_u8,
    ) {
        let parser = Parser {
            definition: Instrument { digits, ..eurusd() },
            instrument: InstrumentId(3),
            offset: 7,
            date: *b"2019.02.04",
            midnight: moment::midnight(b"2019.02.04").expect("a day"),
            bid: 5,
            ask: 6,
        };
        let columns = Columns::from_header(HEADER.as_bytes()).expect("complete");
        let (mut quick, mut careful) = (parser.clone(), parser);
        for row in &rows {
            let (a, b) = (quick.tick(row.as_bytes(), &columns), careful.careful_tick(row.as_bytes(), &columns));
            prop_assert_eq!(format!("{a:?}"), format!("{b:?}"), "{}", row);
            if a.is_err() { break; }
        }
    }

    #[test]
    fn rows_that_are_written_read_back(rows in prop::collection::vec((0..86_400_000_i64, -10_000_000..10_000_000_i64, 0..10_000_000_i64), 1..50)) {
        let text = |price: i64| eurusd().price_text(Points(price));
        let lines: String = rows.iter().map(|(ms, bid, ask)| {
            let s = ms / 1_000;
            format!("2019.02.04\t{:02}:{:02}:{:02}.{:03}\t{}\t{}\t\t\t6\n", s / 3_600, s / 60 % 60, s % 60, ms % 1_000, text(*bid), text(*ask))
        }).collect();
        let (ticks, error) = read_rows(&lines);
        prop_assert_eq!(error, None);
        let day = 1_549_238_400 * Time::SECOND;
        let found: Vec<_> = ticks.iter().map(|tick| ((tick.time.0 - day) / Time::MILLISECOND, tick.bid.0, tick.ask.0)).collect();
        prop_assert_eq!(found, rows);
    }
}
