//! Parquet files with a column of embeddings.

use std::path::{Path, PathBuf};

use arrow_array::cast::AsArray;
use arrow_array::types::Float64Type;
use arrow_array::{Array, ArrayRef, RecordBatch, StringArray};
use arrow_cast::cast;
use arrow_schema::{DataType, SchemaRef};
use parquet::arrow::ProjectionMask;

use super::names::{self, Name};
use super::source::{Bytes, Layout, Number, Source};
use super::{Part, first_ten, form};
use crate::DataError;
use crate::container::parquet::{files, guarded, reader};

/// The number of rows in memory as Arrow arrays.
const ROWS: usize = 4096;
const VECTORS: [&str; 8] =
    ["embeddings", "embedding", "features", "feature", "vector", "vectors", "emb", "feat"];

/// The columns that are read.
struct Columns {
    vectors: String,
    images: Option<String>,
    persons: Option<String>,
    number: Number,
}

impl Columns {
    /// None if there are no mirror images.
    fn of(schema: &SchemaRef, part: Part) -> Result<Option<Self>, DataError> {
        let vectors: Vec<(&str, Number)> = schema
            .fields()
            .iter()
            .filter_map(|f| Some((f.name().as_str(), number(f.data_type())?)))
            .collect();
        let there = || {
            schema
                .fields()
                .iter()
                .map(|f| format!("`{}` {}", f.name(), f.data_type()))
                .collect::<Vec<_>>()
                .join(", ")
        };
        let plain = || vectors.iter().filter(|v| !v.0.eq_ignore_ascii_case("flipped"));
        let called = |wanted: &str| vectors.iter().find(|v| v.0.eq_ignore_ascii_case(wanted));
        let (column, number) = match part {
            Part::Plain => VECTORS
                .iter()
                .find_map(|w| called(w))
                .or_else(|| plain().next().filter(|_| plain().count() == 1))
                .ok_or_else(|| {
                    form(&format!("no column of lists of numbers is called `embeddings`: {}", there()))
                })?,
            Part::Flipped => match called(part.name()) {
                Some(found) => found,
                None => return Ok(None),
            },
        };
        let text = |wanted: &[&str]| {
            let is_text = |t: &DataType| {
                matches!(
                    t,
                    DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(..)
                )
            };
            let fields = || schema.fields().iter().filter(|f| is_text(f.data_type()));
            wanted
                .iter()
                .find_map(|w| fields().find(|f| f.name().eq_ignore_ascii_case(w)))
                .map(|f| f.name().clone())
        };
        Ok(Some(Self {
            vectors: (*column).to_owned(),
            images: text(&names::IMAGES),
            persons: text(&names::PERSONS),
            number: *number,
        }))
    }
}

/// The type of numbers of a column of lists.
fn number(list: &DataType) -> Option<Number> {
    let (DataType::List(inner) | DataType::LargeList(inner) | DataType::FixedSizeList(inner, _)) = list
    else {
        return None;
    };
    match inner.data_type() {
        DataType::Float16 => Some(Number::F16),
        DataType::Float32 => Some(Number::F32),
        DataType::Float64 => Some(Number::F64),
        _ => None,
    }
}

/// What has been read.
#[derive(Default)]
struct Rows {
    bytes: Vec<u8>,
    width: Option<usize>,
    count: usize,
    images: Vec<String>,
    persons: Vec<String>,
    faulty: Vec<String>,
}

/// Reads a file or all shards of a folder, in the order of their paths; none if there are no mirror images.
pub fn open(path: &Path, part: Part) -> Result<Option<Source>, DataError> {
    let shards: Vec<PathBuf> = if path.is_dir() { files(path) } else { vec![path.to_owned()] };
    let mut rows = Rows::default();
    let mut kind: Option<Number> = None;
    let mut named = true;
    for shard in &shards {
        let there = guarded(shard, || {
            let reader = reader(shard)?;
            let Some(columns) = Columns::of(reader.schema(), part)? else { return Ok(false) };
            let first = *kind.get_or_insert(columns.number);
            if first != columns.number {
                return Err(DataError::new("its numbers are of another type than those of the first file"));
            }
            named &= columns.images.is_some();
            let wanted = [Some(&columns.vectors), columns.images.as_ref(), columns.persons.as_ref()];
            let mask = ProjectionMask::columns(
                reader.parquet_schema(),
                wanted.into_iter().flatten().map(String::as_str),
            );
            let batches = reader.with_batch_size(ROWS).with_projection(mask).build();
            for batch in batches.map_err(|e| DataError::new(e.to_string()))? {
                let batch = batch.map_err(|e| DataError::new(format!("it is damaged: {e}")))?;
                take(&batch, &columns, &mut rows)?;
            }
            Ok(true)
        })?;
        if !there {
            return Ok(None);
        }
    }
    if !rows.faulty.is_empty() {
        return Err(DataError::new(format!(
            "{} of {} rows have not as many numbers as the first, {}: rows {}",
            rows.faulty.len(),
            rows.count,
            rows.width.unwrap_or_default(),
            first_ten(&rows.faulty)
        )));
    }
    let wide = if kind == Some(Number::F64) { Number::F64 } else { Number::F32 };
    let layout = Layout::plain(0, rows.count, rows.width.unwrap_or_default(), wide);
    let persons = Some(rows.persons).filter(|p| p.len() == rows.count);
    let names = named.then(|| Name::all(rows.images, persons));
    Source::new(Bytes::Held(rows.bytes), layout, names).map(Some)
}

fn take(batch: &RecordBatch, columns: &Columns, rows: &mut Rows) -> Result<(), DataError> {
    let column = |name: &str| {
        batch.column_by_name(name).ok_or_else(|| DataError::new(format!("there is no column `{name}`")))
    };
    let lists = column(&columns.vectors)?;
    let fail = |e: arrow_schema::ArrowError| DataError::new(e.to_string());
    for i in 0..batch.num_rows() {
        let numbers =
            row(lists, i).filter(|v| v.null_count() == 0).map(|v| cast(&v, &DataType::Float64)).transpose();
        let numbers = numbers.map_err(fail)?;
        let width = numbers.as_ref().map_or(0, |n| n.len());
        let first = match (rows.width, &numbers) {
            (None, Some(_)) => *rows.width.insert(width),
            (known, _) => known.unwrap_or_default(),
        };
        match &numbers {
            Some(numbers) if width == first => {
                for x in numbers.as_primitive::<Float64Type>().values() {
                    match columns.number {
                        Number::F64 => rows.bytes.extend(x.to_le_bytes()),
                        // Exact: they were float32 or shorter.
                        _ => rows.bytes.extend((*x as f32).to_le_bytes()),
                    }
                }
            }
            _ => rows.faulty.push(rows.count.to_string()),
        }
        rows.count += 1;
    }
    for (name, into) in [(&columns.images, &mut rows.images), (&columns.persons, &mut rows.persons)] {
        let Some(name) = name else { continue };
        let texts = cast(column(name)?, &DataType::Utf8).map_err(fail)?;
        let texts: &StringArray = texts.as_string();
        into.extend(texts.iter().map(|t| t.unwrap_or_default().to_owned()));
    }
    Ok(())
}

/// The list of row `i`; none if it is missing.
fn row(lists: &ArrayRef, i: usize) -> Option<ArrayRef> {
    if lists.is_null(i) {
        return None;
    }
    match lists.data_type() {
        DataType::List(_) => Some(lists.as_list::<i32>().value(i)),
        DataType::LargeList(_) => Some(lists.as_list::<i64>().value(i)),
        DataType::FixedSizeList(..) => Some(lists.as_fixed_size_list().value(i)),
        _ => None,
    }
}
