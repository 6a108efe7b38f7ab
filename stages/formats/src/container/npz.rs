//! NumPy's files: `.npy`, one array; `.npz`, a zip archive of arrays.
//!
//! As a container of images: an array of uint8 `[n, height, width]` or `[n, height, width, 3]`, optionally with an array of n
//! labels.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use super::pixels::{Layout, png};
use super::{Container, Item, Look, Sink};
use crate::DataError;

/// The first bytes of a file.
const MAGIC: &[u8] = b"\x93NUMPY";
/// The maximum length of a header.
const LONGEST: usize = 1 << 16;

pub(super) fn is(look: &Look) -> bool {
    look.begins(MAGIC) || super::pack::is_zip(look) && holds_arrays(&look.path)
}

/// Whether a file is a zip archive of arrays.
pub(crate) fn holds_arrays(path: &Path) -> bool {
    let archive = File::open(path).ok().and_then(|f| zip::ZipArchive::new(BufReader::new(f)).ok());
    archive.is_some_and(|a| !a.is_empty() && a.file_names().all(|n| n.ends_with(".npy")))
}

/// The header of an array.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// Its type in NumPy's notation: `<f4`, `|u1`.
    pub dtype: String,
    /// Whether the array is in column-major order.
    pub fortran: bool,
    /// Its shape.
    pub shape: Vec<usize>,
}

impl Header {
    /// The size of an element in bytes.
    ///
    /// # Errors
    /// If the type is not numeric.
    pub fn wide(&self) -> Result<usize, DataError> {
        let wide = match self.dtype.trim_start_matches(['|', '<', '>', '=']) {
            "b1" | "u1" | "i1" => 1,
            "f2" | "u2" | "i2" => 2,
            "f4" | "u4" | "i4" => 4,
            "f8" | "u8" | "i8" => 8,
            text if text.starts_with('U') => {
                text[1..].parse::<usize>().ok().and_then(|n| n.checked_mul(4)).unwrap_or(0)
            }
            text if text.starts_with('S') => text[1..].parse().unwrap_or(0),
            _ => 0,
        };
        if wide == 0 {
            return Err(DataError::new(format!(
                "an array of type `{}` is none of numbers or texts",
                self.dtype
            )));
        }
        Ok(wide)
    }

    /// The size of the whole array in bytes.
    ///
    /// # Errors
    /// If the size overflows the address space.
    pub fn bytes(&self) -> Result<usize, DataError> {
        let all = self.shape.iter().try_fold(self.wide()?, |n, d| n.checked_mul(*d));
        all.ok_or_else(|| DataError::new(format!("an array of shape {:?} is too large", self.shape)))
    }
}

/// Reads the header of an array.
///
/// # Errors
/// If it is invalid.
pub fn header(from: &mut dyn Read) -> Result<Header, DataError> {
    let cut = |e: std::io::Error| DataError::new(format!("the array's header is cut short: {e}"));
    let mut start = [0; 8];
    from.read_exact(&mut start).map_err(cut)?;
    if !start.starts_with(MAGIC) {
        return Err(DataError::new("expected a NumPy array, found something else"));
    }
    let length = if start[6] == 1 {
        let mut b = [0; 2];
        from.read_exact(&mut b).map_err(cut)?;
        u16::from_le_bytes(b) as usize
    } else {
        let mut b = [0; 4];
        from.read_exact(&mut b).map_err(cut)?;
        u32::from_le_bytes(b) as usize
    };
    if length > LONGEST {
        return Err(DataError::new(format!("the array's header is said to have {length} bytes")));
    }
    let mut text = vec![0; length];
    from.read_exact(&mut text).map_err(cut)?;
    parse(&String::from_utf8_lossy(&text))
}

/// Parses the header, a Python dict: `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
fn parse(text: &str) -> Result<Header, DataError> {
    let of = |key: &str| text.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    let read = || {
        let dtype = of("descr")?.strip_prefix('\'')?.split_once('\'')?.0.to_owned();
        let fortran = of("fortran_order")?.starts_with("True");
        let shape = of("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let sides = shape.split(',').map(str::trim).filter(|s| !s.is_empty());
        let shape = sides.map(|s| s.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>()?;
        Some(Header { dtype, fortran, shape })
    };
    read().ok_or_else(|| {
        DataError::new(format!(
            "expected an array of one type, found the header `{}`",
            crate::landmarks::shorten(text)
        ))
    })
}

/// An opened file.
struct Npz {
    path: PathBuf,
    images: Source,
    header: Header,
    labels: Option<Vec<String>>,
}

/// The location of an array.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    File,
    Entry(String),
}

/// The arrays of an archive, in the order of their names without `.npy`.
pub(crate) fn arrays(path: &Path) -> Result<Vec<(String, Header)>, DataError> {
    let file = File::open(path).map_err(|e| DataError::new(format!("cannot be read: {e}")))?;
    let archive = zip::ZipArchive::new(BufReader::new(file))
        .map_err(|e| DataError::new(format!("the archive is damaged: {e}")))?;
    let mut names: Vec<String> = archive.file_names().map(str::to_owned).collect();
    names.sort();
    let mut out = Vec::with_capacity(names.len());
    for name in names {
        let found =
            with(path, &Source::Entry(name.clone()), |from| header(from)).map_err(|e| e.within(&name))?;
        out.push((name.strip_suffix(".npy").unwrap_or(&name).to_owned(), found));
    }
    Ok(out)
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Container>, DataError> {
    let within = |e: DataError| e.within(path.display());
    let look = Look::at(path)?;
    if look.begins(MAGIC) {
        let header = with(path, &Source::File, |from| header(from)).map_err(within)?;
        return npz(path, Source::File, header, None).map_err(within);
    }
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for (name, found) in arrays(path).map_err(within)? {
        if is_images(&found) {
            images.push((name, found));
        } else if found.shape.len() == 1 {
            labels.push((name, found));
        }
    }
    let [(name, found)] = images.as_slice() else {
        return Err(within(DataError::new(format!(
            "expected one array of uint8 [n, height, width] or [n, height, width, 3], found {}",
            images.len()
        ))));
    };
    labels.retain(|(_, l)| l.shape[0] == found.shape[0]);
    let called =
        |name: &str| ["y", "label", "labels", "target", "targets", "identity", "ids", "id"].contains(&name);
    let chosen =
        labels.iter().find(|(n, _)| called(n)).or(if labels.len() == 1 { labels.first() } else { None });
    let labels = match chosen {
        Some((name, _)) => Some(with(path, &entry(name), texts).map_err(|e| within(e.within(name)))?),
        None => None,
    };
    npz(path, entry(name), found.clone(), labels).map_err(within)
}

/// The entry of an array of [`arrays`].
pub(crate) fn entry(name: &str) -> Source {
    Source::Entry(format!("{name}.npy"))
}

fn is_images(h: &Header) -> bool {
    h.dtype.ends_with("u1") && (h.shape.len() == 3 || h.shape.len() == 4 && h.shape[3] == 3)
}

fn npz(
    path: &Path,
    images: Source,
    header: Header,
    labels: Option<Vec<String>>,
) -> Result<Box<dyn Container>, DataError> {
    if !is_images(&header) || header.fortran {
        let what = if header.dtype.contains('f') && header.shape.len() == 2 {
            " (embeddings, it seems)"
        } else {
            ""
        };
        return Err(DataError::new(format!(
            "expected an array of uint8 [n, height, width] or [n, height, width, 3], row by row; found `{}` {:?}{what}",
            header.dtype, header.shape
        )));
    }
    Ok(Box::new(Npz { path: path.to_owned(), images, header, labels }))
}

/// Opens an array and passes it to `take`.
pub(crate) fn with<T>(
    path: &Path,
    source: &Source,
    take: impl FnOnce(&mut dyn Read) -> Result<T, DataError>,
) -> Result<T, DataError> {
    let fail = |e: &dyn std::fmt::Display| DataError::new(format!("cannot be read: {e}"));
    let mut file = BufReader::with_capacity(1 << 20, File::open(path).map_err(|e| fail(&e))?);
    match source {
        Source::File => take(&mut file),
        Source::Entry(name) => {
            let mut archive = zip::ZipArchive::new(file).map_err(|e| fail(&e))?;
            let mut entry = archive.by_name(name).map_err(|e| fail(&e))?;
            take(&mut entry)
        }
    }
}

/// The elements of a one-dimensional array of numbers or texts, as texts.
pub(crate) fn texts(from: &mut dyn Read) -> Result<Vec<String>, DataError> {
    let header = header(from)?;
    let (wide, all) = (header.wide()?, header.bytes()?);
    let mut bytes = Vec::new();
    from.take(all as u64).read_to_end(&mut bytes).map_err(|e| DataError::new(e.to_string()))?;
    if bytes.len() != all {
        return Err(DataError::new(format!("an array of {all} bytes is cut short after {}", bytes.len())));
    }
    let kind = header.dtype.trim_start_matches(['|', '<', '>', '=']).chars().next().unwrap_or_default();
    let big = header.dtype.starts_with('>');
    bytes
        .chunks_exact(wide)
        .map(|c| {
            let little: Vec<u8> = if big { c.iter().rev().copied().collect() } else { c.to_vec() };
            match kind {
                'u' | 'b' => Ok(unsigned(&little).to_string()),
                'i' => {
                    let shift = 64 - 8 * wide as u32;
                    Ok(((unsigned(&little) << shift).cast_signed() >> shift).to_string())
                }
                'S' => Ok(String::from_utf8_lossy(c).trim_end_matches('\0').to_owned()),
                'U' => {
                    let letters = c.chunks_exact(4).map(|l| {
                        let n = if big {
                            u32::from_be_bytes([l[0], l[1], l[2], l[3]])
                        } else {
                            u32::from_le_bytes([l[0], l[1], l[2], l[3]])
                        };
                        char::from_u32(n).unwrap_or(char::REPLACEMENT_CHARACTER)
                    });
                    Ok(letters.collect::<String>().trim_end_matches('\0').to_owned())
                }
                _ => Err(DataError::new(format!(
                    "labels of type `{}` are neither whole numbers nor texts",
                    header.dtype
                ))),
            }
        })
        .collect()
}

fn unsigned(little: &[u8]) -> u64 {
    little.iter().rev().fold(0, |n, b| n << 8 | u64::from(*b))
}

impl Container for Npz {
    fn count(&self) -> Option<u64> {
        Some(self.header.shape[0] as u64)
    }

    fn side(&self) -> Option<(u32, u32)> {
        Some((u32::try_from(self.header.shape[2]).ok()?, u32::try_from(self.header.shape[1]).ok()?))
    }

    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let shape = &self.header.shape;
        let channels = if shape.len() == 4 { 3 } else { 1 };
        let one = shape[1]
            .checked_mul(shape[2])
            .and_then(|a| a.checked_mul(channels))
            .filter(|n| *n <= super::pack::LONGEST as usize);
        let one = one.ok_or_else(|| DataError::new(format!("images of shape {shape:?} are too large")))?;
        let width = shape[0].saturating_sub(1).to_string().len().max(5);
        with(&self.path, &self.images, |from| {
            header(from)?;
            let mut pixels = Vec::new();
            for k in 0..shape[0] {
                pixels.clear();
                from.take(one as u64).read_to_end(&mut pixels).map_err(|e| DataError::new(e.to_string()))?;
                if pixels.len() != one {
                    return Err(DataError::new(format!(
                        "{} images are announced, image {k} is cut short",
                        shape[0]
                    )));
                }
                let image = png(&pixels, (shape[2], shape[1]), channels, Layout::Interleaved, false)?;
                let identity = self.labels.as_ref().and_then(|l| l.get(k)).map(String::as_str);
                let name = match identity {
                    Some(identity) => format!("{identity}/{k:0width$}.png"),
                    None => format!("{k:0width$}.png"),
                };
                sink.item(Item { name: &name, identity, image: &image, points: None, group: None })?;
            }
            Ok(())
        })
        .map_err(|e| e.within(self.path.display()))
    }
}
