//! Verification sets in InsightFace's format: `lfw.bin`, `cfp_fp.bin`, `agedb_30.bin` and similar files.
//!
//! A pickle of a tuple: a list of 2 n encoded images, and n truth values; images 2 i and 2 i + 1 are pair i. The folds are
//! contiguous tenths.

use std::path::{Path, PathBuf};

use super::pickle::{self, Pickle, Value};
use super::pixels::{Layout, png};
use super::{Container, Item, Look, Sink, ending};
use crate::DataError;

/// The maximum ratio of the total size of the images to the size of the file, since a pickle can reference one image many times.
const RATIO: usize = 100;

/// Whether it begins like a pickle of protocol 2 to 5.
pub(super) fn is(look: &Look) -> bool {
    matches!(look.start.as_slice(), [0x80, 2..=5, ..])
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Container>, DataError> {
    Ok(Box::new(Verification { path: path.to_owned() }))
}

struct Verification {
    path: PathBuf,
}

impl Container for Verification {
    fn is_pairs(&self) -> bool {
        true
    }

    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let within = |e: DataError| e.within(self.path.display());
        let bytes = mapped(&self.path).map_err(|e| within(DataError::new(format!("cannot be read: {e}"))))?;
        let pickle = pickle::read(&bytes).map_err(within)?;
        let set = Set::of(&pickle).map_err(within)?;
        let budget = bytes.len().saturating_mul(RATIO);
        set.give(&pickle, budget, sink).map_err(within)
    }
}

/// Maps a file, which may be larger than memory.
fn mapped(path: &Path) -> std::io::Result<memmap2::Mmap> {
    let file = std::fs::File::open(path)?;
    // SAFETY: the map is read only. The file is a stage's input, which no process changes meanwhile; if it is truncated all the
    // same, the process ends with a bus error, not with wrong data.
    #[allow(unsafe_code)]
    unsafe {
        memmap2::Mmap::map(&file)
    }
}

/// The parts of the pickle.
struct Set<'a> {
    images: &'a [pickle::Id],
    same: Vec<bool>,
}

impl<'a> Set<'a> {
    fn of(pickle: &'a Pickle<'a>) -> Result<Self, DataError> {
        let (Value::Tuple(two) | Value::List(two)) = pickle.root() else {
            return Err(not(pickle, pickle.root()));
        };
        let [images, same] = two.as_slice() else { return Err(not(pickle, pickle.root())) };
        let (Value::List(images) | Value::Tuple(images)) = pickle.get(*images) else {
            return Err(not(pickle, pickle.get(*images)));
        };
        let same = truths(pickle, pickle.get(*same))?;
        if images.len() != 2 * same.len() {
            return Err(DataError::new(format!(
                "expected two images a pair, found {} images and {} truth values",
                images.len(),
                same.len()
            )));
        }
        if same.is_empty() {
            return Err(DataError::new("it holds no pair"));
        }
        Ok(Self { images, same })
    }

    fn give(&self, pickle: &Pickle<'_>, budget: usize, sink: &mut dyn Sink) -> Result<(), DataError> {
        let width = self.same.len().saturating_sub(1).to_string().len().max(4);
        let mut left = budget;
        for (pair, (two, same)) in self.images.chunks_exact(2).zip(&self.same).enumerate() {
            let mut names = [const { String::new() }; 2];
            for (k, id) in two.iter().enumerate() {
                let value = pickle.get(*id);
                let made;
                let image = match (value, pickle.bytes(value)) {
                    (Value::Array(a), Some(bytes)) if a.shape.len() > 1 => {
                        made = decoded(&a.shape, a.fortran, bytes)
                            .map_err(|e| e.within(format!("pair {pair}")))?;
                        &made
                    }
                    (_, Some(bytes)) => bytes,
                    (other, None) => {
                        return Err(DataError::new(format!(
                            "pair {pair}: expected the bytes of an image, found {}",
                            pickle.what(other)
                        )));
                    }
                };
                left = left.checked_sub(image.len()).ok_or_else(|| {
                    DataError::new(format!(
                        "it holds the same images again and again, more than {RATIO} times its size"
                    ))
                })?;
                names[k] = format!("{pair:0width$}_{}.{}", k + 1, ending(image));
                sink.item(Item { name: &names[k], identity: None, image, points: None, group: None })?;
            }
            sink.pair(&names[0], &names[1], *same)?;
        }
        Ok(())
    }
}

/// An image that was decoded before pickling, `[height, width]` or `[height, width, 3]`.
fn decoded(shape: &[usize], fortran: bool, bytes: &[u8]) -> Result<Vec<u8>, DataError> {
    match (shape, fortran) {
        ([height, width], false) => png(bytes, (*width, *height), 1, Layout::Interleaved, false),
        ([height, width, 3], false) => png(bytes, (*width, *height), 3, Layout::Interleaved, false),
        _ => Err(DataError::new(format!(
            "expected an array [height, width, 3] of pixels, row by row, found {shape:?}"
        ))),
    }
}

fn truths(pickle: &Pickle<'_>, value: &Value) -> Result<Vec<bool>, DataError> {
    match value {
        Value::List(of) | Value::Tuple(of) => of
            .iter()
            .enumerate()
            .map(|(n, id)| {
                let value = pickle.get(*id);
                pickle.truth(value).ok_or_else(|| {
                    DataError::new(format!("pair {n}: expected True or False, found {}", pickle.what(value)))
                })
            })
            .collect(),
        Value::Array(array) => {
            let numbers = pickle.numbers(array).ok_or_else(|| not(pickle, value))?;
            numbers
                .iter()
                .enumerate()
                .map(|(n, x)| match x {
                    0 | 1 => Ok(*x == 1),
                    _ => {
                        Err(DataError::new(format!("pair {n}: expected True or False, found the number {x}")))
                    }
                })
                .collect()
        }
        other => Err(not(pickle, other)),
    }
}

fn not(pickle: &Pickle<'_>, found: &Value) -> DataError {
    DataError::new(format!(
        "expected the pickle of a verification set, (images, which pairs are of one person); found {} there",
        pickle.what(found)
    ))
}
