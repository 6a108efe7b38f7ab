//! Writes a data set.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_array::builder::{LargeBinaryBuilder, StringBuilder, UInt32Builder};
use arrow_array::{ArrayRef, FixedSizeListArray, Float32Array, RecordBatch};
use arrow_buffer::NullBuffer;
use arrow_ipc::writer::FileWriter;

use super::schema::{coordinate, schema};
use super::{DataError, FACES_FILE, FaceRef, INFO_FILE, Info};
use crate::error::IoDoing;

/// A record batch ends after this many rows,
const BATCH_ROWS: usize = 1024;
/// or after this many bytes of images and names. This bounds the memory of a writer.
const BATCH_BYTES: usize = 32 << 20;

/// Writes a data set, face by face, in constant memory.
pub struct Writer {
    folder: PathBuf,
    file: FileWriter<BufWriter<File>>,
    batch: Batch,
    images: u64,
    /// The largest identity, and the name of its first face.
    largest: Option<(u32, String)>,
}

#[derive(Default)]
struct Batch {
    rows: usize,
    bytes: usize,
    image: LargeBinaryBuilder,
    identity: UInt32Builder,
    name: StringBuilder,
    points: Vec<f32>,
    has_points: Vec<bool>,
    group: StringBuilder,
    flags: UInt32Builder,
}

impl Batch {
    fn push(&mut self, face: &FaceRef<'_>) {
        self.rows += 1;
        self.bytes += face.image.len() + face.name.len() + face.group.map_or(0, str::len);
        self.image.append_value(face.image);
        self.identity.append_value(face.identity);
        self.name.append_value(face.name);
        // One bit pattern for unknown points, so that equal faces give equal bytes.
        let points =
            face.points.map(|p| p.map(|c| if c.iter().all(|v| v.is_finite()) { c } else { [f32::NAN; 2] }));
        self.points.extend(points.unwrap_or_default().as_flattened());
        self.has_points.push(points.is_some());
        self.group.append_option(face.group);
        self.flags.append_value(face.flags);
    }

    fn take(&mut self) -> Result<RecordBatch, arrow_schema::ArrowError> {
        let coordinates = Arc::new(Float32Array::from(std::mem::take(&mut self.points)));
        let nulls = NullBuffer::from(std::mem::take(&mut self.has_points));
        let nulls = (nulls.null_count() > 0).then_some(nulls);
        let columns: Vec<ArrayRef> = vec![
            Arc::new(self.image.finish()),
            Arc::new(self.identity.finish()),
            Arc::new(self.name.finish()),
            Arc::new(FixedSizeListArray::try_new(coordinate(), 10, coordinates, nulls)?),
            Arc::new(self.group.finish()),
            Arc::new(self.flags.finish()),
        ];
        (self.rows, self.bytes) = (0, 0);
        RecordBatch::try_new(schema(), columns)
    }
}

impl Writer {
    /// Starts a data set in `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// If the folder or the file cannot be created.
    pub fn create(folder: &Path) -> Result<Self, DataError> {
        std::fs::create_dir_all(folder).doing("create", folder)?;
        let path = folder.join(FACES_FILE);
        let file = BufWriter::with_capacity(1 << 20, File::create(&path).doing("create", &path)?);
        let file = FileWriter::try_new(file, &schema()).doing("write", &path)?;
        Ok(Self { folder: folder.to_owned(), file, batch: Batch::default(), images: 0, largest: None })
    }

    /// Appends a face (`&Face` or `&FaceRef`).
    ///
    /// # Errors
    /// If the file cannot be written.
    pub fn push<'a>(&mut self, face: impl Into<FaceRef<'a>>) -> Result<(), DataError> {
        let face = face.into();
        self.images += 1;
        if self.largest.as_ref().is_none_or(|(k, _)| face.identity > *k) {
            self.largest = Some((face.identity, face.name.to_owned()));
        }
        // Flush before adding the face, so that a batch exceeds the bound by one face at most.
        if self.batch.rows > 0 && self.batch.bytes + face.image.len() > BATCH_BYTES {
            self.flush()?;
        }
        self.batch.push(&face);
        if self.batch.rows == BATCH_ROWS { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), DataError> {
        let path = self.folder.join(FACES_FILE);
        let batch = self.batch.take().doing("write", &path)?;
        self.file.write(&batch).doing("write", &path)
    }

    /// Finishes the data set: sets `info.images` and writes the description.
    ///
    /// # Errors
    /// If a face has an identity without a name in `info.identities`, or a file cannot be written.
    pub fn finish(mut self, mut info: Info) -> Result<(), DataError> {
        if let Some((identity, name)) = &self.largest
            && *identity as usize >= info.identities.len()
        {
            return Err(DataError::new(format!(
                "the face `{name}` has identity {identity}, but the data set names {} identities (0 to {})",
                info.identities.len(),
                info.identities.len().saturating_sub(1)
            )));
        }
        if self.batch.rows > 0 {
            self.flush()?;
        }
        let path = self.folder.join(FACES_FILE);
        self.file.finish().doing("write", &path)?;
        info.images = self.images;
        let path = self.folder.join(INFO_FILE);
        let mut text = serde_json::to_string_pretty(&info).doing("write", &path)?;
        text.push('\n');
        File::create(&path).and_then(|mut f| f.write_all(text.as_bytes())).doing("write", &path)
    }
}
