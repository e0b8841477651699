//! `Sheet`: one file of an export, in Parquet. The only file that knows Arrow.
//!
//! ```text
//!  values --builders--> batch of rows --ArrowWriter--> row group, compressed --> .PID.ticks.parquet.partial --> ticks.parquet
//! ```
//!
//! Invariants: memory does not grow with the rows, since a row group ends after so many rows or bytes; a file has its own
//! name only when it is whole and on disk; the same rows give the same bytes.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{
    BooleanBuilder, Float32Builder, Float64Builder, Int64Builder, StringDictionaryBuilder,
    TimestampNanosecondBuilder, UInt64Builder,
};
use arrow_array::types::Int32Type;
use arrow_array::{ArrayRef, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use super::column::{ColumnTold, Stored};
use super::error::ExportError;

/// Rows that are gathered before they are encoded.
const BATCH_ROWS: usize = 4_096;

/// A row group ends after so many rows, or so many bytes before compression.
const GROUP_ROWS: usize = 1 << 17;
const GROUP_BYTES: usize = 32 << 20;

/// The values of one column that are not encoded yet.
enum Builder {
    Unsigned(UInt64Builder),
    Signed(Int64Builder),
    Single(Float32Builder),
    Double(Float64Builder),
    Bool(BooleanBuilder),
    Time(TimestampNanosecondBuilder),
    Word(StringDictionaryBuilder<Int32Type>),
}

/// A file that is being written. What is not finished is removed when it is dropped.
pub(super) struct Sheet {
    path: PathBuf,
    unfinished: PathBuf,
    schema: SchemaRef,
    builders: Vec<Builder>,
    writer: ArrowWriter<File>,
    /// The column that the next value is for.
    next: usize,
    gathered: usize,
    rows: u64,
}

impl Sheet {
    /// A file with these columns; `told` is what it tells of itself.
    pub(super) fn create(
        path: PathBuf,
        columns: &[ColumnTold],
        told: &[(&str, String)],
    ) -> Result<Self, ExportError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let unfinished = path.with_file_name(format!(".{}.{name}.partial", std::process::id()));
        let schema = Arc::new(Schema::new(columns.iter().map(field).collect::<Vec<_>>()));
        let told = told.iter().map(|(key, value)| KeyValue::new((*key).to_owned(), value.clone()));
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::default()))
            .set_max_row_group_row_count(Some(GROUP_ROWS))
            .set_max_row_group_bytes(Some(GROUP_BYTES))
            .set_key_value_metadata(Some(told.collect()))
            .build();
        let file =
            File::create(&unfinished).map_err(|error| ExportError::io("create", &unfinished, error))?;
        let writer = ArrowWriter::try_new(file, Arc::clone(&schema), Some(properties))
            .map_err(|error| failed(&unfinished, error))?;
        let builders = columns.iter().map(|column| Builder::new(column.stored)).collect();
        Ok(Self { path, unfinished, schema, builders, writer, next: 0, gathered: 0, rows: 0 })
    }

    fn builder(&mut self) -> &mut Builder {
        self.next += 1;
        &mut self.builders[self.next - 1]
    }

    pub(super) fn unsigned(&mut self, value: u64) {
        if let Builder::Unsigned(it) = self.builder() { it.append_value(value) } else { misplaced() }
    }

    pub(super) fn signed(&mut self, value: i64) {
        if let Builder::Signed(it) = self.builder() { it.append_value(value) } else { misplaced() }
    }

    pub(super) fn single(&mut self, value: Option<f32>) {
        if let Builder::Single(it) = self.builder() { it.append_option(value) } else { misplaced() }
    }

    pub(super) fn double(&mut self, value: Option<f64>) {
        if let Builder::Double(it) = self.builder() { it.append_option(value) } else { misplaced() }
    }

    pub(super) fn bool(&mut self, value: bool) {
        if let Builder::Bool(it) = self.builder() { it.append_value(value) } else { misplaced() }
    }

    pub(super) fn time(&mut self, value: Option<i64>) {
        if let Builder::Time(it) = self.builder() { it.append_option(value) } else { misplaced() }
    }

    pub(super) fn word(&mut self, value: Option<&str>) {
        if let Builder::Word(it) = self.builder() { it.append_option(value) } else { misplaced() }
    }

    /// Ends a row.
    pub(super) fn end_row(&mut self) -> Result<(), ExportError> {
        assert_eq!(self.next, self.builders.len(), "a row has a value for every column");
        self.next = 0;
        self.rows += 1;
        self.gathered += 1;
        if self.gathered == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ExportError> {
        self.gathered = 0;
        let arrays = self.builders.iter_mut().map(Builder::finish).collect();
        RecordBatch::try_new(Arc::clone(&self.schema), arrays)
            .map_err(ParquetError::from)
            .and_then(|batch| self.writer.write(&batch))
            .map_err(|error| failed(&self.unfinished, error))
    }

    /// Writes what is left, so that the file is whole and on disk, under its temporary name. Its rows and bytes.
    pub(super) fn finish(&mut self, told: (&str, String)) -> Result<(u64, u64), ExportError> {
        if self.gathered > 0 {
            self.flush()?;
        }
        self.writer.append_key_value_metadata(KeyValue::new(told.0.to_owned(), told.1));
        self.writer.finish().map_err(|error| failed(&self.unfinished, error))?;
        let synced = self.writer.inner().sync_all();
        synced.map_err(|error| ExportError::io("sync", &self.unfinished, error))?;
        Ok((self.rows, self.writer.bytes_written() as u64))
    }

    /// Gives a finished file its own name.
    pub(super) fn publish(self) -> Result<PathBuf, ExportError> {
        fs::rename(&self.unfinished, &self.path)
            .map_err(|error| ExportError::io("name", &self.path, error))?;
        Ok(self.path.clone())
    }
}

impl Drop for Sheet {
    fn drop(&mut self) {
        // Nothing is there any more under this name once the file was published.
        let _ = fs::remove_file(&self.unfinished);
    }
}

impl Builder {
    fn new(stored: Stored) -> Self {
        match stored {
            Stored::Unsigned => Self::Unsigned(UInt64Builder::new()),
            Stored::Signed => Self::Signed(Int64Builder::new()),
            Stored::Single => Self::Single(Float32Builder::new()),
            Stored::Double => Self::Double(Float64Builder::new()),
            Stored::Bool => Self::Bool(BooleanBuilder::new()),
            Stored::Time => Self::Time(TimestampNanosecondBuilder::new().with_timezone("UTC")),
            Stored::Word => Self::Word(StringDictionaryBuilder::new()),
        }
    }

    fn finish(&mut self) -> ArrayRef {
        match self {
            Self::Unsigned(it) => Arc::new(it.finish()),
            Self::Signed(it) => Arc::new(it.finish()),
            Self::Single(it) => Arc::new(it.finish()),
            Self::Double(it) => Arc::new(it.finish()),
            Self::Bool(it) => Arc::new(it.finish()),
            Self::Time(it) => Arc::new(it.finish()),
            Self::Word(it) => Arc::new(it.finish()),
        }
    }
}

fn field(column: &ColumnTold) -> Field {
    let stored = match column.stored {
        Stored::Unsigned => DataType::UInt64,
        Stored::Signed => DataType::Int64,
        Stored::Single => DataType::Float32,
        Stored::Double => DataType::Float64,
        Stored::Bool => DataType::Boolean,
        Stored::Time => DataType::Timestamp(TimeUnit::Nanosecond, Some("UTC".into())),
        Stored::Word => DataType::Dictionary(Box::new(DataType::Int32), Box::new(DataType::Utf8)),
    };
    let mut told = HashMap::from([("description".to_owned(), column.about.to_string())]);
    if !column.unit.is_empty() {
        told.insert("unit".to_owned(), column.unit.to_owned());
    }
    Field::new(&column.name, stored, column.nullable).with_metadata(told)
}

fn failed(path: &Path, error: ParquetError) -> ExportError {
    ExportError::io("write", path, std::io::Error::other(error))
}

/// Columns tell what they hold and give it in the same place.
fn misplaced() -> ! {
    panic!("a value of another column");
}
