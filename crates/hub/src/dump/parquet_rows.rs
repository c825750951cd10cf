//! Records of a Parquet file, through the record API.

use std::{
    fs::File,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{Arc, atomic::Ordering},
};

use domain::Limits;
use parquet::{
    data_type::Decimal,
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::{
        Field, Row,
        reader::{ReaderIter, TreeBuilder},
    },
    schema::types::{SchemaDescPtr, SchemaDescriptor, Type},
};
use serde_json::{Map, Value};

use super::{Broken, Opened, Raw, input::Source, parquet_cost, shape::Shape, unread::Unread};
use crate::{Error, Result, card::plain};

/// Seconds of a day.
const DAY: i64 = 86_400;

/// Most characters of the decoder's reason.
const REASON: usize = 300;

/// Rows decoded at a time; of a list column each may hold the most items allowed.
const BATCH: usize = 16;

/// Each row a record, counted from 1; columns that nothing reads are left undecoded.
pub(super) fn rows(source: &Source<'_>, total: u64) -> Result<Opened> {
    let damaged = |reason: String| Error::Damaged { path: source.label.to_owned(), reason };
    let io = |error| Error::Io { path: source.label.to_owned(), source: error };
    let file = fs_err::File::open(source.path).map_err(io)?.into_file();
    let pages = file.try_clone().map_err(io)?;
    // The decoder asserts on some damaged files; a broken dump must not take the process along.
    let reader = guarded(|| SerializedFileReader::new(file)).map_err(damaged)?;
    let meta = reader.metadata().file_metadata();
    let count = u64::try_from(meta.num_rows()).unwrap_or_default();
    let columns: Vec<String> =
        meta.schema().get_fields().iter().map(|field| field.name().to_owned()).collect();
    let Some(shape) = Shape::of(columns.iter().map(String::as_str)) else {
        return Err(source.not_a_dump(format!("the columns {}", columns.join(", "))));
    };
    let known = |field: &&Arc<Type>| shape.reads(field.name());
    let fields = meta.schema().get_fields().iter().filter(known).cloned().collect();
    let projection = Type::group_type_builder(meta.schema().name()).with_fields(fields).build();
    let projection = projection.map_err(|error| damaged(error.to_string()))?;
    let schema = guarded(|| Ok(SchemaDescriptor::new(Arc::new(projection)))).map_err(damaged)?;
    let limits = *source.limits;
    let mut groups = Groups { pages, reader, schema: Arc::new(schema), shape, limits, next: 0, open: None };
    guarded(|| groups.advance()).map_err(damaged)?;

    let (read, mut position, mut failed) = (Arc::clone(source.read), 0, false);
    let unread = Unread::of(columns.iter().filter(|column| !shape.reads(column)));
    let rows = std::iter::from_fn(move || {
        if failed {
            return None;
        }
        position += 1;
        let outcome = guarded(|| groups.row()).transpose()?;
        failed = outcome.is_err();
        read.store(total.saturating_mul(position.min(count)) / count.max(1), Ordering::Relaxed);
        Some(match outcome {
            Ok(row) => Ok(Raw { position, read: Box::new(move || shape.entry(object(&row), &limits)) }),
            Err(reason) => {
                Err(Broken { position, reason: format!("the file cannot be decoded on: {reason}") })
            }
        })
    });
    Ok(Opened { rows: Box::new(rows), unread })
}

/// Row groups decoded one after the other, each counted before.
struct Groups {
    pages: File,
    reader: SerializedFileReader<File>,
    schema: SchemaDescPtr,
    shape: Shape,
    limits: Limits,
    next: usize,
    open: Option<ReaderIter>,
}

impl Groups {
    fn row(&mut self) -> parquet::errors::Result<Option<Row>> {
        loop {
            match self.open.as_mut().map(Iterator::next) {
                None => return Ok(None),
                Some(Some(row)) => return row.map(Some),
                Some(None) => self.advance()?,
            }
        }
    }

    fn advance(&mut self) -> parquet::errors::Result<()> {
        self.open = None;
        if self.next < self.reader.num_row_groups() {
            let group = self.reader.get_row_group(self.next)?;
            parquet_cost::check(&self.pages, &*group, |name| self.shape.reads(name), &self.limits)?;
            let rows =
                TreeBuilder::new().with_batch_size(BATCH).as_iter(Arc::clone(&self.schema), &*group)?;
            self.open = Some(rows);
            self.next += 1;
        }
        Ok(())
    }
}

fn guarded<T>(work: impl FnOnce() -> parquet::errors::Result<T>) -> std::result::Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        // The decoder puts a text that it cannot read into its error, however long it is.
        Ok(outcome) => outcome.map_err(|error| plain(&error.to_string()).chars().take(REASON).collect()),
        Err(_) => Err("its pages contradict its schema".to_owned()),
    }
}

fn object(row: &Row) -> Map<String, Value> {
    row.get_column_iter()
        .map(|(name, field)| (name.clone(), value(field)))
        .filter(|(_, value)| !value.is_null())
        .collect()
}

fn value(field: &Field) -> Value {
    match field {
        Field::Bool(flag) => (*flag).into(),
        Field::Byte(n) => (*n).into(),
        Field::Short(n) => (*n).into(),
        Field::Int(n) | Field::TimeMillis(n) => (*n).into(),
        // Days since 1970.
        Field::Date(days) => (i64::from(*days) * DAY).into(),
        Field::Long(n) | Field::TimeMicros(n) => (*n).into(),
        Field::UByte(n) => (*n).into(),
        Field::UShort(n) => (*n).into(),
        Field::UInt(n) => (*n).into(),
        Field::ULong(n) => (*n).into(),
        Field::Decimal(decimal) => number(decimal),
        Field::Float16(x) => f64::from(f32::from(*x)).into(),
        Field::Float(x) => f64::from(*x).into(),
        Field::Double(x) => (*x).into(),
        Field::TimestampMillis(n) => n.div_euclid(1_000).into(),
        Field::TimestampMicros(n) => n.div_euclid(1_000_000).into(),
        Field::Str(text) => text.clone().into(),
        Field::Bytes(bytes) => String::from_utf8_lossy(bytes.data()).into(),
        Field::Group(row) => Value::Object(object(row)),
        Field::ListInternal(list) => list.elements().iter().map(value).collect(),
        Field::MapInternal(map) => map
            .entries()
            .iter()
            .map(|(key, item)| (text_of(&value(key)), value(item)))
            .collect::<Map<_, _>>()
            .into(),
        _ => Value::Null,
    }
}

/// A decimal as a whole number where it is one of 64 bits, else as the nearest float.
fn number(decimal: &Decimal) -> Value {
    let bytes = decimal.data();
    let negative = bytes.first().is_some_and(|first| first & 0x80 != 0);
    if bytes.len() > 16 {
        return Value::Null;
    }
    let start = if negative { -1_i128 } else { 0 };
    let unscaled = bytes.iter().fold(start, |sum, byte| sum << 8 | i128::from(*byte));
    let scale = u32::try_from(decimal.scale()).ok().and_then(|scale| 10_i128.checked_pow(scale));
    match scale {
        Some(scale) if unscaled % scale == 0 => {
            i64::try_from(unscaled / scale).map_or(Value::Null, Value::from)
        }
        Some(scale) => (unscaled as f64 / scale as f64).into(),
        None => Value::Null,
    }
}

fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
