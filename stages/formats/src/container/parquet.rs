//! Parquet files with images, in the layouts of data sets on the Hugging Face hub.
//!
//! A column of images is a struct `{bytes, path}` or plain bytes. There may be a label (a number or a text; names of classes are in
//! the file's metadata) and ten coordinates of landmarks. A verification set has two such columns and a truth value. The container
//! is one file, or all files below a folder in the order of their paths.

mod columns;

use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use ::parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use walkdir::WalkDir;

use super::{Container, Item, Look, Sink, ending};
use crate::DataError;
use columns::{Batch, Columns};

/// The number of rows in memory.
const ROWS: usize = 64;

pub(super) fn is(look: &Look) -> bool {
    look.begins(b"PAR1") || look.names.is_some() && holds(&look.path)
}

/// Whether a folder is a data set in shards: Parquet files, and otherwise only files that describe it.
fn holds(folder: &Path) -> bool {
    let files = files(folder);
    !files.is_empty()
        && WalkDir::new(folder).max_depth(3).into_iter().flatten().all(|e| {
            !e.file_type().is_file() || !crate::names::is_any_image(&e.file_name().to_string_lossy())
        })
}

pub(crate) fn files(folder: &Path) -> Vec<PathBuf> {
    let walk = WalkDir::new(folder).follow_links(true).max_depth(4).sort_by_file_name();
    let walk = walk
        .into_iter()
        .filter_entry(|e| e.depth() == 0 || !crate::names::is_litter(&e.file_name().to_string_lossy()));
    let found = walk.flatten().filter(|e| e.file_type().is_file());
    found
        .map(walkdir::DirEntry::into_path)
        .filter(|p| p.extension().is_some_and(|e| e.eq_ignore_ascii_case("parquet")))
        .collect()
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Container>, DataError> {
    let shards = if path.is_dir() { files(path) } else { vec![path.to_owned()] };
    let mut rows = 0;
    let mut first: Option<Columns> = None;
    for shard in &shards {
        let (columns, n) = guarded(shard, || {
            let reader = reader(shard)?;
            let rows = reader.metadata().file_metadata().num_rows();
            Ok((Columns::of(reader.schema())?, u64::try_from(rows).unwrap_or_default()))
        })?;
        rows += n;
        match &first {
            None => first = Some(columns),
            Some(f) if *f == columns => {}
            Some(_) => {
                return Err(DataError::new(format!(
                    "{} has other columns than {}",
                    shard.display(),
                    shards[0].display()
                )));
            }
        }
    }
    let columns =
        first.ok_or_else(|| DataError::new(format!("{} holds no .parquet file", path.display())))?;
    Ok(Box::new(Parquet { shards, rows, columns }))
}

struct Parquet {
    shards: Vec<PathBuf>,
    rows: u64,
    columns: Columns,
}

pub(crate) fn reader(path: &Path) -> Result<ParquetRecordBatchReaderBuilder<File>, DataError> {
    let file = File::open(path).map_err(|e| DataError::new(e.to_string()))?;
    ParquetRecordBatchReaderBuilder::try_new(file).map_err(|e| DataError::new(format!("it is damaged: {e}")))
}

/// Catches panics: the library checks its input, but slices by lengths from a damaged file.
pub(crate) fn guarded<T>(path: &Path, read: impl FnOnce() -> Result<T, DataError>) -> Result<T, DataError> {
    catch_unwind(AssertUnwindSafe(read))
        .unwrap_or_else(|_| Err(DataError::new("it is damaged: a length in it points outside of it")))
        .map_err(|e| e.within(path.display()))
}

impl Container for Parquet {
    fn count(&self) -> Option<u64> {
        Some(self.rows * self.columns.images() as u64)
    }

    fn is_pairs(&self) -> bool {
        self.columns.images() == 2
    }

    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let mut row = 0_u64;
        let width = self.rows.saturating_sub(1).to_string().len().max(5);
        for shard in &self.shards {
            let mut batches = guarded(shard, || {
                let reader = reader(shard)?;
                let mask = self.columns.mask(reader.parquet_schema());
                reader
                    .with_batch_size(ROWS)
                    .with_projection(mask)
                    .build()
                    .map_err(|e| DataError::new(e.to_string()))
            })?;
            loop {
                let batch = guarded(shard, || {
                    let next = batches
                        .next()
                        .transpose()
                        .map_err(|e| DataError::new(format!("it is damaged: {e}")))?;
                    next.map(|b| Batch::of(&self.columns, &b)).transpose()
                })?;
                let Some(batch) = batch else { break };
                for k in 0..batch.len() {
                    give(&batch, k, row, width, sink).map_err(|e| e.within(shard.display()))?;
                    row += 1;
                }
            }
        }
        Ok(())
    }
}

fn give(batch: &Batch, k: usize, row: u64, width: usize, sink: &mut dyn Sink) -> Result<(), DataError> {
    let identity = batch.label(k);
    let points = batch.points(k).map_err(|e| e.within(format!("row {row}")))?;
    let mut names = Vec::with_capacity(2);
    for (side, image) in batch.images(k).enumerate() {
        let Some(image) = image else {
            sink.passed_over(&format!("row {row}"), "it has no bytes of an image");
            return Ok(());
        };
        let end = ending(image);
        let name = match (batch.is_pairs(), &identity) {
            (true, _) => format!("{row:0width$}_{}.{end}", side + 1),
            (false, Some(identity)) => format!("{}/{row:0width$}.{end}", identity.replace(['/', '\\'], "-")),
            (false, None) => format!("{row:0width$}.{end}"),
        };
        let identity = identity.as_deref().filter(|_| !batch.is_pairs());
        sink.item(Item { name: &name, identity, image, points, group: None })?;
        names.push(name);
    }
    if let [a, b] = names.as_slice() {
        let same = batch.same(k).ok_or_else(|| {
            DataError::new(format!("row {row}: expected 0 or 1 for whether the two images show one person"))
        })?;
        sink.pair(a, b, same)?;
    }
    Ok(())
}
