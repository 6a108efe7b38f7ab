//! Parquet and Arrow files with the columns that the Hugging Face hub expects: `image` {bytes, path}, `label`, and also `identity`,
//! `name` and `landmarks` (ten numbers). The names of the labels are in the metadata.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{
    BinaryBuilder, FixedSizeListBuilder, Float32Builder, Int64Builder, StringBuilder,
};
use arrow_array::{ArrayRef, RecordBatch, StructArray};
use arrow_ipc::writer::FileWriter;
use arrow_schema::{DataType, Field, Fields, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::{Face, Pack, Set, cannot};
use crate::DataError;

/// The maximum number of rows, and of bytes of images, in memory.
const ROWS: usize = 1000;
const BYTES: usize = 64 << 20;

/// The writer of batches.
enum Out {
    Parquet(Box<ArrowWriter<File>>),
    Arrow(Box<FileWriter<BufWriter<File>>>),
}

struct Table {
    folder: PathBuf,
    parquet: bool,
    schema: SchemaRef,
    open: Option<(PathBuf, Out)>,
    written: u64,
    shard: u64,
    shards: u64,
    held: Held,
}

#[derive(Default)]
struct Held {
    rows: usize,
    bytes: usize,
    image: BinaryBuilder,
    path: StringBuilder,
    label: Int64Builder,
    identity: StringBuilder,
    name: StringBuilder,
    landmarks: Option<FixedSizeListBuilder<Float32Builder>>,
}

pub(super) fn parquet(folder: &Path, set: &Set<'_>) -> Result<Box<dyn Pack>, DataError> {
    Ok(Box::new(Table::new(folder, set, true)))
}

pub(super) fn arrow(folder: &Path, set: &Set<'_>) -> Result<Box<dyn Pack>, DataError> {
    Ok(Box::new(Table::new(folder, set, false)))
}

fn image_fields() -> Fields {
    Fields::from(vec![Field::new("bytes", DataType::Binary, true), Field::new("path", DataType::Utf8, true)])
}

fn schema(set: &Set<'_>) -> SchemaRef {
    let text = |name: &str| Field::new(name, DataType::Utf8, false);
    let coordinate = Arc::new(Field::new("item", DataType::Float32, true));
    let fields = vec![
        Field::new("image", DataType::Struct(image_fields()), true),
        Field::new("label", DataType::Int64, false),
        text("identity"),
        text("name"),
        Field::new("landmarks", DataType::FixedSizeList(coordinate.clone(), 10), true),
    ];
    // The names of a class label must be unique; if two persons have the same name, labels remain numbers.
    let mut sorted: Vec<&String> = set.identities.iter().collect();
    sorted.sort();
    sorted.dedup();
    let label = if sorted.len() == set.identities.len() {
        serde_json::json!({ "names": set.identities, "_type": "ClassLabel" })
    } else {
        serde_json::json!({ "dtype": "int64", "_type": "Value" })
    };
    let value = |kind: &str| serde_json::json!({ "dtype": kind, "_type": "Value" });
    let features = serde_json::json!({
        "image": { "_type": "Image" }, "label": label, "identity": value("string"), "name": value("string"),
        "landmarks": { "feature": value("float32"), "length": 10, "_type": "Sequence" },
    });
    let note = serde_json::json!({ "info": { "features": features } }).to_string();
    Arc::new(Schema::new_with_metadata(fields, HashMap::from([("huggingface".to_owned(), note)])))
}

impl Table {
    fn new(folder: &Path, set: &Set<'_>, parquet: bool) -> Self {
        let schema = schema(set);
        Self {
            folder: folder.to_owned(),
            parquet,
            schema,
            open: None,
            written: 0,
            shard: set.shard,
            shards: 0,
            held: Held::default(),
        }
    }

    fn flush(&mut self) -> Result<(), DataError> {
        if self.held.rows == 0 {
            return Ok(());
        }
        let bytes = self.held.bytes;
        let batch = self
            .held
            .take(&self.schema)
            .map_err(|e| DataError::new(format!("rows cannot be put together: {e}")))?;
        if self.open.is_none() {
            let end = if self.parquet { "parquet" } else { "arrow" };
            let path = self.folder.join(format!("train-{:05}.{end}", self.shards));
            let file = File::create(&path).map_err(|e| cannot(&path, e))?;
            let writer = if self.parquet {
                // Images are already compressed, and names are small.
                let plain = WriterProperties::builder()
                    .set_compression(Compression::UNCOMPRESSED)
                    .set_dictionary_enabled(false);
                let writer = ArrowWriter::try_new(file, self.schema.clone(), Some(plain.build()));
                Out::Parquet(Box::new(writer.map_err(|e| cannot(&path, e))?))
            } else {
                let writer = FileWriter::try_new(BufWriter::with_capacity(1 << 20, file), &self.schema);
                Out::Arrow(Box::new(writer.map_err(|e| cannot(&path, e))?))
            };
            (self.shards, self.written) = (self.shards + 1, 0);
            self.open = Some((path, writer));
        }
        if let Some((path, writer)) = &mut self.open {
            match writer {
                Out::Parquet(w) => w.write(&batch).and_then(|()| w.flush()).map_err(|e| cannot(path, e))?,
                Out::Arrow(w) => w.write(&batch).map_err(|e| cannot(path, e))?,
            }
        }
        self.written += bytes as u64;
        if self.written >= self.shard { self.close() } else { Ok(()) }
    }

    fn close(&mut self) -> Result<(), DataError> {
        match self.open.take() {
            None => Ok(()),
            Some((path, Out::Parquet(w))) => w.close().map(|_| ()).map_err(|e| cannot(&path, e)),
            Some((path, Out::Arrow(mut w))) => w.finish().map_err(|e| cannot(&path, e)),
        }
    }
}

impl Held {
    fn push(&mut self, face: &Face<'_>) {
        self.rows += 1;
        self.bytes += face.image.len();
        self.image.append_value(face.image);
        self.path.append_value(face.name);
        self.label.append_value(face.class.into());
        self.identity.append_value(face.identity);
        self.name.append_value(face.name);
        let list = self.landmarks.get_or_insert_with(|| FixedSizeListBuilder::new(Float32Builder::new(), 10));
        for k in 0..10 {
            list.values().append_option(face.points.map(|p| p.as_flattened()[k]).filter(|c| c.is_finite()));
        }
        list.append(face.points.is_some());
    }

    fn take(&mut self, schema: &SchemaRef) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let parts: Vec<ArrayRef> = vec![Arc::new(self.image.finish()), Arc::new(self.path.finish())];
        let image = StructArray::try_new(image_fields(), parts, None)?;
        let mut landmarks =
            self.landmarks.take().unwrap_or_else(|| FixedSizeListBuilder::new(Float32Builder::new(), 10));
        (self.rows, self.bytes) = (0, 0);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(image),
            Arc::new(self.label.finish()),
            Arc::new(self.identity.finish()),
            Arc::new(self.name.finish()),
            Arc::new(landmarks.finish()),
        ];
        RecordBatch::try_new(schema.clone(), columns)
    }
}

impl Pack for Table {
    fn face(&mut self, face: Face<'_>) -> Result<(), DataError> {
        self.held.push(&face);
        if self.held.rows >= ROWS || self.held.bytes >= BYTES { self.flush() } else { Ok(()) }
    }

    fn finish(mut self: Box<Self>) -> Result<(), DataError> {
        self.flush()?;
        self.close()
    }
}
