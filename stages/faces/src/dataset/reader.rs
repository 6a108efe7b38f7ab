//! Reads a data set from a memory map.

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::UInt32Type;
use arrow_array::{
    Array, FixedSizeListArray, Float32Array, LargeBinaryArray, RecordBatch, StringArray, UInt32Array,
};
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_fb_to_schema;
use arrow_ipc::reader::{FileDecoder, read_footer_length};
use arrow_ipc::root_as_footer;
use bytes::Bytes;

use super::schema::schema;
use super::{DataError, FACES_FILE, FaceRef, INFO_FILE, Info, Points};
use crate::error::IoDoing;

/// A memory-mapped data set. Opening it reads names and offsets; the bytes of an image are read on access.
///
/// It can be shared between threads.
pub struct Dataset {
    info: Info,
    batches: Vec<Batch>,
    /// The first row of each batch, then the number of rows.
    starts: Vec<usize>,
}

struct Batch {
    image: LargeBinaryArray,
    identity: UInt32Array,
    name: StringArray,
    points: FixedSizeListArray,
    coordinates: Float32Array,
    group: StringArray,
    flags: UInt32Array,
}

impl Dataset {
    /// Opens the data set in `folder`.
    ///
    /// # Errors
    /// If a file is missing or damaged, has other columns, or refers to an identity that does not exist.
    pub fn open(folder: &Path) -> Result<Self, DataError> {
        let path = folder.join(INFO_FILE);
        let text = std::fs::read_to_string(&path).doing("read", &path).map_err(|e| {
            e.within(format!(
                "{} is not a data set (a folder of {FACES_FILE} and {INFO_FILE})",
                folder.display()
            ))
        })?;
        let info: Info = serde_json::from_str(&text).doing("understand", &path)?;
        let path = folder.join(FACES_FILE);
        let file = File::open(&path).doing("read", &path)?;
        // SAFETY: the map is read only. A data set is an input or a finished output, which nobody modifies
        // while it is read. If the file is truncated meanwhile, the process dies with a bus error and does
        // not read wrong data.
        #[allow(unsafe_code)]
        let map = unsafe { memmap2::Mmap::map(&file) }.doing("map", &path)?;
        let buffer = Buffer::from(Bytes::from_owner(map));
        // The decoder validates its input, but slices by lengths that a damaged file can forge.
        let batches = catch_unwind(AssertUnwindSafe(|| batches(&buffer)))
            .unwrap_or_else(|_| Err("a length in it points outside of the file".to_owned()))
            .map_err(|e| DataError::new(format!("{} is damaged: {e}", path.display())))?;
        Self::from_batches(info, &batches).map_err(|e| e.within(path.display()))
    }

    fn from_batches(info: Info, batches: &[RecordBatch]) -> Result<Self, DataError> {
        let mut starts = vec![0];
        let mut rows = 0;
        for batch in batches {
            rows += batch.num_rows();
            starts.push(rows);
        }
        let batches: Vec<Batch> = batches
            .iter()
            .map(Batch::new)
            .collect::<Option<_>>()
            .ok_or_else(|| DataError::new("a column has another type than the schema says"))?;
        if rows as u64 != info.images {
            return Err(DataError::new(format!(
                "{INFO_FILE} counts {} images, the file has {rows}",
                info.images
            )));
        }
        let largest = batches.iter().flat_map(|b| b.identity.values().iter().copied()).max();
        if let Some(k) = largest.filter(|&k| k as usize >= info.identities.len()) {
            return Err(DataError::new(format!(
                "a row has identity {k}, but {INFO_FILE} names {} identities",
                info.identities.len()
            )));
        }
        Ok(Self { info, batches, starts })
    }

    /// The number of faces.
    pub fn len(&self) -> usize {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether there are no faces.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The description of the data set.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// Face `i`. It is found by a binary search over the batches, without reading other rows.
    ///
    /// # Panics
    /// If `i` is not below [`Dataset::len`], as for a slice.
    pub fn face(&self, i: usize) -> FaceRef<'_> {
        let batch = self.starts.partition_point(|&s| s <= i) - 1;
        self.batches[batch].face(i - self.starts[batch])
    }

    /// All faces, in order.
    pub fn iter(&self) -> impl Iterator<Item = FaceRef<'_>> {
        self.batches.iter().flat_map(|b| (0..b.identity.len()).map(|r| b.face(r)))
    }
}

fn batches(buffer: &Buffer) -> Result<Vec<RecordBatch>, String> {
    let end = buffer.len().checked_sub(10).ok_or("it is too short for an Arrow file")?;
    let mut tail = [0; 10];
    tail.copy_from_slice(&buffer[end..]);
    let footer = read_footer_length(tail).map_err(|e| e.to_string())?;
    let start = end.checked_sub(footer).ok_or("its footer is longer than the file")?;
    let footer = root_as_footer(&buffer[start..end]).map_err(|e| e.to_string())?;
    let found = footer.schema().ok_or("it has no schema")?;
    let found = try_fb_to_schema(found).map_err(|e| e.to_string())?;
    if found.fields() != schema().fields() {
        return Err(format!(
            "expected the columns\n  {}\nfound\n  {}",
            columns(schema().fields()),
            columns(found.fields())
        ));
    }
    let decoder = FileDecoder::new(schema(), footer.version()).with_require_alignment(true);
    let mut out = Vec::new();
    for block in footer.recordBatches().iter().flatten() {
        let number = |n: i64| usize::try_from(n).map_err(|_| "a length in it is negative");
        let (offset, meta) = (number(block.offset())?, number(block.metaDataLength().into())?);
        let length = number(block.bodyLength())?.checked_add(meta).ok_or("a length in it is too large")?;
        if meta < 8 || offset.checked_add(length).is_none_or(|e| e > start) {
            return Err(format!("record batch {} lies outside of the file", out.len()));
        }
        let data = buffer.slice_with_length(offset, length);
        let batch = decoder.read_record_batch(block, &data).map_err(|e| e.to_string())?;
        out.push(batch.ok_or("a record batch is empty")?);
    }
    Ok(out)
}

fn columns(fields: &arrow_schema::Fields) -> String {
    fields.iter().map(|f| format!("{}: {}", f.name(), f.data_type())).collect::<Vec<_>>().join(", ")
}

impl Batch {
    fn new(batch: &RecordBatch) -> Option<Self> {
        let points = batch.column(3).as_fixed_size_list_opt()?.clone();
        Some(Self {
            image: batch.column(0).as_binary_opt()?.clone(),
            identity: batch.column(1).as_primitive_opt::<UInt32Type>()?.clone(),
            name: batch.column(2).as_string_opt()?.clone(),
            coordinates: points.values().as_primitive_opt()?.clone(),
            points,
            group: batch.column(4).as_string_opt()?.clone(),
            flags: batch.column(5).as_primitive_opt::<UInt32Type>()?.clone(),
        })
    }

    fn face(&self, row: usize) -> FaceRef<'_> {
        FaceRef {
            image: self.image.value(row),
            identity: self.identity.value(row),
            name: self.name.value(row),
            points: self.points.is_valid(row).then(|| {
                let mut points = Points::default();
                let start = self.points.value_offset_at(row);
                points.as_flattened_mut().copy_from_slice(&self.coordinates.values()[start..start + 10]);
                points
            }),
            group: self.group.is_valid(row).then(|| self.group.value(row)),
            flags: self.flags.value(row),
        }
    }
}
