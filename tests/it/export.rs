//! Exporting: every value of every file is what the journal's steps hold, in every kind; and what is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray as _;
use arrow_array::types::{
    Float32Type, Float64Type, Int32Type, Int64Type, TimestampNanosecondType, UInt64Type,
};
use arrow_array::{Array as _, ArrayRef, RecordBatch};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use pawl_engine::instrument::Instrument;
use pawl_engine::settings::Settings;
use pawl_journal::log::Reader;
use pawl_journal::record::{
    ClientOrderId, ExecutionReport, Kind, OrderChanged, OrderRequest, PositionChanged, Record, StepRef,
    Value, Verdict,
};
use pawl_replay::settings_of;

use crate::support::{at_once, btcusd, pawl, run, scratch, text};

/// A value as a file has it, or as the journal says it should be.
#[derive(Debug, Clone, PartialEq)]
enum Cell {
    Null,
    Unsigned(u64),
    Signed(i64),
    Single(u32),
    Double(u64),
    Bool(bool),
    Time(i64),
    Word(String),
}

fn double(value: f64) -> Cell {
    Cell::Double(value.to_bits())
}

#[expect(clippy::needless_pass_by_value, reason = "codes are numbers, and their calls stay readable")]
fn word(text: impl ToString) -> Cell {
    Cell::Word(text.to_string())
}

/// The rows of a file by the names of their columns.
type Rows = Vec<BTreeMap<String, Cell>>;

fn read(file: &Path) -> Rows {
    let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(file).expect("the file"));
    let mut rows = Rows::new();
    for batch in reader.expect("Parquet").build().expect("a reader") {
        let batch: RecordBatch = batch.expect("whole");
        for row in 0..batch.num_rows() {
            let cell = |(field, array): (&arrow_schema::FieldRef, &ArrayRef)| {
                (field.name().clone(), cell(array, row))
            };
            rows.push(batch.schema().fields().iter().zip(batch.columns()).map(cell).collect());
        }
    }
    rows
}

fn cell(array: &ArrayRef, row: usize) -> Cell {
    if array.is_null(row) {
        return Cell::Null;
    }
    match array.data_type().to_string().as_str() {
        "UInt64" => Cell::Unsigned(array.as_primitive::<UInt64Type>().value(row)),
        "Int64" => Cell::Signed(array.as_primitive::<Int64Type>().value(row)),
        "Float32" => Cell::Single(array.as_primitive::<Float32Type>().value(row).to_bits()),
        "Float64" => double(array.as_primitive::<Float64Type>().value(row)),
        "Boolean" => Cell::Bool(array.as_boolean().value(row)),
        "Timestamp(ns, \"UTC\")" => Cell::Time(array.as_primitive::<TimestampNanosecondType>().value(row)),
        "Dictionary(Int32, Utf8)" => {
            let words = array.as_dictionary::<Int32Type>();
            word(words.values().as_string::<i32>().value(words.keys().value(row) as usize))
        }
        other => panic!("a column of type {other}"),
    }
}

/// What the export of a journal must hold, from its steps and the reflection of its records.
struct Expected {
    settings: Settings,
    kinds: BTreeMap<&'static str, Rows>,
    orders: BTreeMap<u64, BTreeMap<String, Cell>>,
}

impl Expected {
    fn of(journal: &Path) -> Self {
        let settings = settings_of(journal).expect("settings").0.engine;
        let mut expected = Self { settings, kinds: BTreeMap::new(), orders: BTreeMap::new() };
        let mut reader = Reader::open(journal).expect("a journal");
        while let Some(frame) = reader.next().expect("whole") {
            let step = frame.step();
            for record in step.records() {
                let kind = match record.kind() {
                    Some(Kind::Tick) => "ticks",
                    Some(Kind::BarClosed) => "bars",
                    Some(Kind::Features) => "features",
                    Some(Kind::Prediction) => "predictions",
                    Some(Kind::EquityChanged) => "equity",
                    _ => continue,
                };
                let row = expected.row(step, &record);
                expected.kinds.entry(kind).or_default().push(row);
            }
            expected.trade(step);
        }
        expected
    }

    fn instrument(&self, record: &Record<'_>) -> Option<&Instrument> {
        let mut found = None;
        record.visit(&mut |field| {
            if let Value::Instrument(id) = field.value {
                found = self.settings.instruments.get(usize::from(id.0));
            }
        });
        found
    }

    /// Every field of a record as the columns that it must have become.
    fn row(&self, step: StepRef<'_>, record: &Record<'_>) -> BTreeMap<String, Cell> {
        let instrument = self.instrument(record);
        let mut row = BTreeMap::from([
            ("sequence".to_owned(), Cell::Unsigned(step.sequence().0)),
            ("time".to_owned(), Cell::Time(step.time().0)),
        ]);
        record.visit(&mut |field| {
            let name = field.name.to_owned();
            let none_is_zero = matches!(name.as_str(), "bid" | "ask" | "last")
                || name == "volume" && record.kind() == Some(Kind::Tick);
            let mut two = |suffix: &str, exact: i64, value: f64| {
                let is_none = none_is_zero && exact == 0;
                row.insert(format!("{name}{suffix}"), Cell::Signed(exact));
                row.insert(name.clone(), if is_none { Cell::Null } else { double(value) });
            };
            let cell = match field.value {
                Value::Points(it) => {
                    let price = instrument.expect("an instrument").price_text(it).parse().expect("a price");
                    return two("_points", it.0, price);
                }
                Value::Lots(it) => {
                    let volume = instrument.expect("an instrument").volume(it).to_string();
                    return two("_steps", it.0, volume.parse().expect("a volume"));
                }
                Value::Micros(it) => return two("_micros", it.0, it.0 as f64 / 1e6),
                Value::Signed(ppm) if name.starts_with("drawdown_ppm") => {
                    let fraction = name.replace("_ppm", "");
                    row.insert(format!("{fraction}_ppm"), Cell::Signed(ppm));
                    row.insert(fraction, double(ppm as f64 / 1e6));
                    return;
                }
                Value::Unsigned(_) if matches!(name.as_str(), "schema_hash" | "columns" | "classes") => {
                    return;
                }
                Value::Unsigned(hash) if name == "model_hash" => {
                    row.insert("model".to_owned(), word(format!("{hash:016x}")));
                    return;
                }
                Value::Unsigned(it) if name == "ready" => Cell::Bool(it == 1),
                Value::Unsigned(it) => Cell::Unsigned(it),
                Value::Signed(it) => Cell::Signed(it),
                Value::Real(it) => Cell::Single((it as f32).to_bits()),
                Value::Time(it) => Cell::Time(it.0),
                Value::Instrument(_) => {
                    row.insert("symbol".to_owned(), word(&instrument.expect("an instrument").symbol));
                    return;
                }
                Value::Agent(id) => word(&self.settings.agents[usize::from(id.0)].name),
                Value::Code(known, _) => word(known.expect("a known code")),
                Value::Flags(names) => word(names.join("|")),
                Value::Reals(values) if record.kind() == Some(Kind::Prediction) => {
                    // The two models of the test have all three classes, in this order.
                    for (meaning, value) in ["down", "flat", "up"].iter().zip(values) {
                        row.insert(format!("probability_{meaning}"), Cell::Single(value.to_bits()));
                    }
                    return;
                }
                Value::Reals(values) => {
                    let columns = self.settings.features.columns.iter().zip(values);
                    row.extend(columns.map(|(name, value)| (name.clone(), Cell::Single(value.to_bits()))));
                    return;
                }
                Value::Text(_) => panic!("no kind of row has a text"),
            };
            row.insert(name, cell);
        });
        row
    }

    /// Fills, and what the changes of orders come to.
    fn trade(&mut self, step: StepRef<'_>) {
        let (sequence, time) = (Cell::Unsigned(step.sequence().0), Cell::Time(step.time().0));
        for request in step.all::<OrderRequest>().filter(|it| it.action.name() == Some("new")) {
            let verdict =
                step.all::<Verdict>().find(|it| it.outcome.name() == Some("approved")).expect("a verdict");
            let terms = &self.settings.instruments[usize::from(request.instrument.0)];
            let order = self.orders.entry(request.client_order_id.0).or_default();
            order.extend([
                ("sequence".to_owned(), sequence.clone()),
                ("time".to_owned(), time.clone()),
                ("symbol".to_owned(), word(&terms.symbol)),
                ("order_type".to_owned(), word(request.order_type)),
                ("time_in_force".to_owned(), word(request.time_in_force)),
                ("source".to_owned(), word(verdict.source)),
                ("requested_lots_steps".to_owned(), Cell::Signed(request.lots.0)),
                ("requested_price_points".to_owned(), Cell::Signed(request.price.0)),
                ("reference_points".to_owned(), Cell::Signed(verdict.reference.0)),
                ("quote_age_ns".to_owned(), Cell::Signed(request.quote_age_ns)),
            ]);
        }
        for change in step.all::<OrderChanged>() {
            let order = self.orders.entry(change.client_order_id.0).or_default();
            order.extend([
                ("state".to_owned(), word(change.to)),
                ("side".to_owned(), word(change.side)),
                ("lots_steps".to_owned(), Cell::Signed(change.lots.0)),
                ("filled_lots_steps".to_owned(), Cell::Signed(change.filled_lots.0)),
                ("filled_cost".to_owned(), Cell::Signed(change.filled_cost)),
            ]);
            let changes = order.entry("changes".to_owned()).or_insert(Cell::Unsigned(0));
            if let Cell::Unsigned(count) = changes {
                *count += 1;
            }
            if change.to.is_final() {
                order.extend([
                    ("ended_sequence".to_owned(), sequence.clone()),
                    ("ended_time".to_owned(), time.clone()),
                ]);
            }
        }
        if let (Some(report), Some(position)) = (step.get::<ExecutionReport>(), step.get::<PositionChanged>())
        {
            let input = step.input().expect("an input");
            let mut row = self.row(step, &input);
            let terms = &self.settings.instruments[usize::from(report.instrument.0)];
            let volume = |steps: i64| double(steps as f64 * terms.volume_step.to_f64());
            let signed = report.side.sign() * report.lots.0;
            for gone in ["kind", "reason", "lots", "lots_steps"] {
                row.remove(gone);
            }
            row.extend([
                ("execution".to_owned(), word(report.kind)),
                ("signed_lots_steps".to_owned(), Cell::Signed(signed)),
                ("signed_lots".to_owned(), volume(signed)),
                ("net_lots_steps".to_owned(), Cell::Signed(position.net_lots.0)),
                ("net_lots".to_owned(), volume(position.net_lots.0)),
                ("realised_micros".to_owned(), Cell::Signed(position.realised.0)),
                ("realised".to_owned(), double(position.realised.0 as f64 / 1e6)),
            ]);
            self.kinds.entry("fills").or_default().push(row);
        }
    }
}

/// A run of the real hours with two models that trade, in files of the smallest segments.
fn journal_of(directory: &Path) -> PathBuf {
    let config = directory.join("models.toml");
    let agents = "[[agent]]\nname = \"fast\"\nmodel = \"builtin:fast\"\nthreshold = 0.05\n\
                  [[agent]]\nname = \"precise\"\nmodel = \"builtin:precise\"\non = \"bar\"\nweight = 2\nmax_age = \"120s\"\n";
    std::fs::write(&config, agents).expect("written");
    let journal = directory.join("journal");
    run(&journal, &["--config", text(&config), "--feed", &btcusd(), "--symbol", "BTCUSD"]).expect(0);
    journal
}

fn export(journal: &Path, out: &Path, more: &[&str]) -> serde_json::Value {
    pawl(&[&["export", text(journal), "--out", text(out), "--json"], more].concat()).expect(0).json()
}

#[test]
fn every_value_of_every_kind_is_what_the_steps_hold() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let out = scratch.path().join("out");
    let told = export(&journal, &out, &[]);
    let expected = Expected::of(&journal);
    for (kind, wanted) in &expected.kinds {
        let rows = read(&out.join(format!("{kind}.parquet")));
        assert!(!wanted.is_empty() && rows.len() == wanted.len(), "{kind}: {} rows", rows.len());
        for (row, wanted) in rows.iter().zip(wanted) {
            assert_eq!(row, wanted, "{kind}");
        }
    }
    assert_eq!(expected.kinds.len(), 6, "{:?}", expected.kinds.keys());
    let orders = read(&out.join("orders.parquet"));
    assert!(orders.len() > 5 && orders.len() == expected.orders.len());
    let fills = read(&out.join("fills.parquet"));
    for order in &orders {
        let Cell::Unsigned(id) = order["client_order_id"] else { panic!("{order:?}") };
        assert_eq!(order["sequence"], Cell::Unsigned(ClientOrderId(id).sequence().0));
        for (name, wanted) in &expected.orders[&id] {
            assert_eq!(&order[name], wanted, "order {id}, {name}");
        }
        // The two sides of the join agree.
        let own: Vec<_> = fills.iter().filter(|fill| fill["client_order_id"] == Cell::Unsigned(id)).collect();
        let sum = |name: &str| {
            own.iter().map(|fill| if let Cell::Signed(it) = fill[name] { it } else { 0 }).sum::<i64>()
        };
        assert_eq!(order["fills"], Cell::Unsigned(own.len() as u64));
        assert_eq!(order["commission_micros"], Cell::Signed(sum("commission_micros")));
        assert_eq!(order["filled_lots_steps"], Cell::Signed(sum("signed_lots_steps").abs()));
    }
    let rows = |kind: &str| {
        let files = told["files"].as_array().expect("files");
        files.iter().find(|file| file["kind"] == kind).expect("the kind")["rows"].clone()
    };
    assert_eq!((rows("orders"), rows("fills")), (orders.len().into(), fills.len().into()));
}

#[test]
fn a_part_is_the_rows_of_its_steps_and_the_same_export_is_the_same_bytes() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let whole = scratch.path().join("whole");
    let again = scratch.path().join("again");
    export(&journal, &whole, &[]);
    export(&journal, &again, &[]);
    for entry in std::fs::read_dir(&whole).expect("listed").flatten() {
        let bytes = |directory: &Path| std::fs::read(directory.join(entry.file_name())).expect("a file");
        assert!(bytes(&whole) == bytes(&again), "{:?}", entry.file_name());
    }
    let ticks = read(&whole.join("ticks.parquet"));
    let part = scratch.path().join("part");
    export(&journal, &part, &["--kind", "ticks", "--from", "5000", "--until", "6000"]);
    let within = |row: &&BTreeMap<String, Cell>| matches!(row["sequence"], Cell::Unsigned(5000..=6000));
    let wanted: Rows = ticks.iter().filter(within).cloned().collect();
    assert!(!wanted.is_empty() && read(&part.join("ticks.parquet")) == wanted);
    assert_eq!(std::fs::read_dir(&part).expect("listed").count(), 1);
    let range = ["--from", "2023-02-20T12:30:00Z", "--until", "2023-02-20T12:45:00Z", "--replace"];
    export(&journal, &part, &range);
    let (from, until) = (1_676_896_200_000_000_000, 1_676_897_100_000_000_000);
    let within =
        |row: &&BTreeMap<String, Cell>| matches!(row["time"], Cell::Time(at) if (from..=until).contains(&at));
    let wanted: Rows = ticks.iter().filter(within).cloned().collect();
    assert!(!wanted.is_empty() && read(&part.join("ticks.parquet")) == wanted);
    assert_eq!(std::fs::read_dir(&part).expect("listed").count(), 7);
    // An order that was decided before the part is told as far as the part knows it.
    let fill = read(&whole.join("fills.parquet"))[0].clone();
    let Cell::Unsigned(at) = fill["sequence"] else { panic!("{fill:?}") };
    let late = at.to_string();
    export(&journal, &part, &["--from", &late, "--until", &late, "--replace"]);
    let order = &read(&part.join("orders.parquet"))[0];
    assert_eq!(order["client_order_id"], fill["client_order_id"]);
    assert_eq!(
        (&order["time"], &order["order_type"], &order["state"]),
        (&Cell::Null, &Cell::Null, &word("filled"))
    );
}

#[test]
fn a_kind_without_rows_has_its_columns_and_every_column_says_what_it_is() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let out = scratch.path().join("out");
    // The start of the run, the venue's statement, and one tick.
    export(&journal, &out, &["--until", "3"]);
    let listed = pawl(&["export", text(&journal), "--columns", "--json"]).expect(0).json();
    for (kind, columns) in listed.as_object().expect("kinds") {
        let file = std::fs::File::open(out.join(format!("{kind}.parquet"))).expect("the file");
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).expect("Parquet");
        let fields = reader.schema().fields();
        let columns = columns.as_array().expect("columns");
        assert_eq!(fields.len(), columns.len(), "{kind}");
        for (field, column) in fields.iter().zip(columns) {
            assert_eq!(field.name(), column["name"].as_str().expect("a name"));
            assert_eq!(field.is_nullable(), column["nullable"] == true, "{kind} {field}");
            assert_eq!(field.metadata()["description"], column["meaning"].as_str().expect("a meaning"));
            assert_eq!(
                field.metadata().get("unit").map_or("", |it| it),
                column["unit"].as_str().expect("a unit")
            );
        }
        let told = reader.metadata().file_metadata().key_value_metadata().expect("metadata");
        for key in [
            "pawl.journal_id",
            "pawl.settings_hash",
            "pawl.build_hash",
            "pawl.kind",
            "pawl.first_step",
            "pawl.last_step",
            "pawl.instruments",
        ] {
            assert!(told.iter().any(|it| it.key == key && it.value.is_some()), "{kind} has no {key}");
        }
        let rows = reader.metadata().file_metadata().num_rows();
        assert_eq!(rows, i64::from(matches!(kind.as_str(), "ticks" | "features")), "{kind}");
    }
    let text = pawl(&["export", "--columns"]).expect(0).stdout;
    assert!(text.contains("client_order_id") && text.contains("volume steps of the instrument"), "{text}");
}

#[test]
fn what_cannot_be_exported_is_refused_and_leaves_nothing() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let out = scratch.path().join("out");
    let refused = |arguments: &[&str], words: &[&str]| {
        pawl(&[&["export", text(&journal), "--out", text(&out)], arguments].concat()).expect(2).says(words);
        assert!(!out.exists(), "{arguments:?}");
    };
    refused(&["--kind", "bids"], &["`bids`", "ticks, bars, features"]);
    refused(&["--from", "7", "--until", "3"], &["--from", "behind"]);
    refused(&["--from", "0"], &["step 0", "holds steps 1 to"]);
    refused(&["--until", "999999999"], &["step 999999999"]);
    refused(&["--from", "now"], &["neither a step"]);
    refused(&["--until", "1999-01-01T00:00:00Z"], &["no step lies between"]);
    refused(&["--from", "2023-02-20T12:59:00Z", "--until", "100"], &["no step lies between"]);
    let nowhere = scratch.path().join("nowhere");
    pawl(&["export", text(&nowhere), "--out", text(&out)]).expect(2).says(&["no journal"]);
    assert!(!out.exists());
    pawl(&["export", text(&journal), "--out", text(&journal), "--replace"])
        .expect(2)
        .says(&["lies in the journal"]);
    std::fs::create_dir(&out).expect("made");
    std::fs::write(out.join("notes.txt"), "mine").expect("written");
    std::fs::write(out.join("fills.parquet"), "old").expect("written");
    pawl(&["export", text(&journal), "--out", text(&out)]).expect(2).says(&["not empty", "--replace"]);
    assert_eq!(std::fs::read_to_string(out.join("fills.parquet")).expect("kept"), "old");
    export(&journal, &out, &["--replace", "--kind", "orders"]);
    let mut names: Vec<_> =
        std::fs::read_dir(&out).expect("listed").flatten().map(|it| it.file_name()).collect();
    names.sort();
    assert_eq!(names, ["notes.txt", "orders.parquet"]);
    let file = scratch.path().join("file");
    std::fs::write(&file, "").expect("written");
    pawl(&["export", text(&journal), "--out", text(&file)]).expect(2).says(&["no directory"]);
}

#[test]
fn of_two_exports_to_one_place_one_is_whole_and_the_other_is_refused() {
    let scratch = scratch();
    let journal = journal_of(scratch.path());
    let [whole, part, out] = ["whole", "part", "out"].map(|name| scratch.path().join(name));
    export(&journal, &whole, &[]);
    export(&journal, &part, &["--until", "9000"]);
    let to_out = ["export", text(&journal), "--out", text(&out)];
    let tried = at_once([&to_out, &[&to_out[..], &["--until", "9000"]].concat()]);
    let [first, second] = tried.each_ref().map(|it| it.code);
    let (done, refused) = if first == 0 { (&whole, second) } else { (&part, first) };
    assert_eq!((first.min(second), refused), (0, 2), "{tried:?}");
    for entry in std::fs::read_dir(done).expect("listed").flatten() {
        let there = std::fs::read(out.join(entry.file_name())).expect("a file");
        assert!(there == std::fs::read(entry.path()).expect("a file"), "{entry:?}");
    }
    assert_eq!(std::fs::read_dir(&out).expect("listed").count(), 7, "and nothing else");

    let lock = std::fs::File::open(&out).expect("opened");
    lock.lock().expect("locked");
    let replace = ["export", text(&journal), "--out", text(&out), "--replace"];
    pawl(&replace).expect(2).says(&["another export is writing to", "out", "another directory"]);
    drop(lock);
    std::fs::write(out.join(".7.ticks.parquet.partial"), "of one that was killed").expect("written");
    pawl(&replace).expect(0);
    assert_eq!(std::fs::read_dir(&out).expect("listed").count(), 7);
}
