//! The bytes of embeddings with their layout.

use std::fs::File;
use std::ops::Deref;
use std::path::Path;

use half::{bf16, f16};

use super::{FILE, NAMES, Name, Part, WIDEST, arrays, features, form, names, table, tensors};
use crate::DataError;
use crate::container::{npz, parquet};

/// The bytes of a file.
pub enum Bytes {
    Mapped(memmap2::Mmap),
    Held(Vec<u8>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Mapped(map) => map,
            Self::Held(bytes) => bytes,
        }
    }
}

/// A type of numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Number {
    F16,
    Bf16,
    F32,
    F64,
}

impl Number {
    pub fn size(self) -> usize {
        match self {
            Self::F16 | Self::Bf16 => 2,
            Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

/// The location of numbers in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Layout {
    /// The offset of the first number.
    pub start: usize,
    pub rows: usize,
    pub width: usize,
    /// The distance between rows.
    pub row: usize,
    /// The distance between the numbers of a row.
    pub column: usize,
    pub number: Number,
    /// Whether numbers are big-endian.
    pub big: bool,
}

impl Layout {
    /// Rows one after the other, little-endian.
    pub fn plain(start: usize, rows: usize, width: usize, number: Number) -> Self {
        let size = number.size();
        Self { start, rows, width, row: width.saturating_mul(size), column: size, number, big: false }
    }

    /// The offset of the end of the last number, if it can be computed.
    fn end(&self) -> Option<usize> {
        if self.rows == 0 || self.width == 0 {
            return Some(self.start);
        }
        let row = (self.rows - 1).checked_mul(self.row)?;
        let column = (self.width - 1).checked_mul(self.column)?;
        self.start.checked_add(row)?.checked_add(column)?.checked_add(self.number.size())
    }
}

/// Embeddings in memory or in a mapped file.
pub struct Source {
    bytes: Bytes,
    layout: Layout,
    names: Option<Vec<Name>>,
}

impl Source {
    /// Finds the reader of a file or folder, by its content. None if it has no such part, which only mirror images may lack.
    pub fn open(path: &Path, part: Part) -> Result<Option<Self>, DataError> {
        let within = |e: DataError| e.within(path.display());
        if !path.is_dir() {
            return Self::of_file(path, part).map_err(within);
        }
        let file = path.join(FILE);
        if file.is_file() {
            let mut source = Self::of_file(&file, part).map_err(|e| e.within(file.display()))?;
            let list = path.join(NAMES);
            if let Some(source) = source.as_mut().filter(|_| list.is_file()) {
                source.names = Some(names::read(&list, source.layout.rows)?);
            }
            return Ok(source);
        }
        if !parquet::files(path).is_empty() {
            return table::open(path, part).map_err(within);
        }
        if part == Part::Flipped { Ok(None) } else { features::folder(path).map(Some).map_err(within) }
    }

    fn of_file(path: &Path, part: Part) -> Result<Option<Self>, DataError> {
        let bytes = map(path)?;
        if bytes.starts_with(b"PAR1") {
            return table::open(path, part);
        }
        if bytes.starts_with(b"PK") && npz::holds_arrays(path) {
            return arrays::npz(path, part);
        }
        // Both are one matrix.
        let one = |layout| if part == Part::Plain { Some(layout) } else { None };
        let layout = if bytes.starts_with(b"\x93NUMPY") {
            one(arrays::npy(&bytes)?)
        } else if let Some(layout) = features::file(&bytes)? {
            one(layout)
        } else {
            tensors::layout(&bytes, part)?
        };
        layout.map(|layout| Self::new(bytes, layout, None)).transpose()
    }

    pub fn new(bytes: Bytes, layout: Layout, names: Option<Vec<Name>>) -> Result<Self, DataError> {
        let fits = (1..=WIDEST).contains(&layout.width) && layout.end().is_some_and(|end| end <= bytes.len());
        if !fits {
            let found = format!("{} rows of {} numbers in {} bytes", layout.rows, layout.width, bytes.len());
            return Err(form(&found));
        }
        if let Some(names) = &names {
            names::check(names, layout.rows)?;
        }
        Ok(Self { bytes, layout, names })
    }

    pub fn rows(&self) -> usize {
        self.layout.rows
    }

    pub fn width(&self) -> usize {
        self.layout.width
    }

    pub fn names(&self) -> Option<&[Name]> {
        self.names.as_deref()
    }

    /// Writes row `i` to `out`.
    pub fn row(&self, i: usize, out: &mut [f64]) {
        let Layout { start, row, column, number, big, width, .. } = self.layout;
        let from = start + i * row;
        let size = number.size();
        let at = |k: usize| &self.bytes[from + k * column..from + k * column + size];
        match (number, big) {
            // Most files, at the speed of memory.
            (Number::F32, false) if column == size => {
                let numbers = self.bytes[from..from + width * size].as_chunks::<4>().0;
                out.iter_mut().zip(numbers).for_each(|(o, b)| *o = f64::from(f32::from_le_bytes(*b)));
            }
            _ => out.iter_mut().enumerate().take(width).for_each(|(k, o)| *o = read(at(k), number, big)),
        }
    }
}

fn read(bytes: &[u8], number: Number, big: bool) -> f64 {
    let mut little = [0; 8];
    let little = &mut little[..bytes.len()];
    little.copy_from_slice(bytes);
    if big {
        little.reverse();
    }
    match (number, &*little) {
        (Number::F16, &[a, b]) => f16::from_le_bytes([a, b]).to_f64(),
        (Number::Bf16, &[a, b]) => bf16::from_le_bytes([a, b]).to_f64(),
        (Number::F32, &[a, b, c, d]) => f64::from(f32::from_le_bytes([a, b, c, d])),
        (Number::F64, &[a, b, c, d, e, f, g, h]) => f64::from_le_bytes([a, b, c, d, e, f, g, h]),
        // A number is given as many bytes as its type has.
        _ => f64::NAN,
    }
}

fn map(path: &Path) -> Result<Bytes, DataError> {
    let fail = |e: std::io::Error| DataError::new(format!("cannot read it: {e}"));
    let file = File::open(path).map_err(fail)?;
    if !file.metadata().map_err(fail)?.is_file() {
        return Err(form("it is neither a file nor a folder"));
    }
    // SAFETY: the map is read only, and an input is not changed while a stage runs; if the file is truncated meanwhile, the
    // process ends, without wrong numbers.
    #[allow(unsafe_code)]
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(fail)?;
    Ok(Bytes::Mapped(map))
}
