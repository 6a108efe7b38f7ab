//! Aligned crops: decoded once and kept in memory if they fit, else decoded on each use.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use lfs_faces::dataset::{Crop, Dataset, FACES_FILE};
use lfs_faces::image::decode;
use lfs_stage::{Failure, IoContext, Result};
use rayon::prelude::*;
use tch::{Kind, Tensor};

use crate::{memory, shim};

/// Pixels are normalised as `(x - 127.5) / 128`, to about [-1, 1].
const MIDDLE: f64 = 127.5;
const SPREAD: f64 = 128.0;

/// The crops of a dataset.
pub struct Crops {
    /// How they were cropped.
    pub crop: Crop,
    /// The identity of each image.
    pub identities: Vec<u32>,
    /// The name of each identity.
    pub names: Vec<String>,
    /// The name of each image.
    pub images: Vec<String>,
    pixels: Pixels,
}

/// The pixels, row-major, channels innermost.
enum Pixels {
    /// Decoded, one crop after another.
    Held(Vec<u8>),
    /// In the dataset's file, decoded on each use by these threads.
    Filed(Box<Dataset>, rayon::ThreadPool),
}

/// The datasets decoded last, so that a process that trains several networks decodes each only once.
static LAST: Mutex<Vec<(Stamp, Arc<Crops>)>> = Mutex::new(Vec::new());
/// The number of datasets to keep: a training set and a validation set.
const KEPT: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    length: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Crops {
    /// Decodes an aligned dataset with `threads` threads, or returns the crops of an earlier call.
    ///
    /// # Errors
    /// When the dataset is not aligned, the crops are not square, an image cannot be decoded or has another
    /// size than the dataset says, or the threads cannot be started.
    pub fn open(folder: &Path, threads: usize) -> Result<Arc<Self>> {
        let file = folder.join(FACES_FILE);
        let meta = std::fs::metadata(&file).doing("read", &file)?;
        let changed = (meta.ctime(), meta.ctime_nsec());
        let stamp = Stamp { path: file, length: meta.len(), inode: meta.ino(), changed };
        let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, crops)) = last.iter().find(|(s, _)| *s == stamp) {
            return Ok(crops.clone());
        }
        let dataset = Dataset::open(folder).map_err(|e| Failure::new(e.to_string()))?;
        while last.len() >= KEPT {
            last.remove(0);
        }
        let crops = Arc::new(Self::of(dataset, threads, memory::available())?);
        last.push((stamp, crops.clone()));
        Ok(crops)
    }

    /// The error for a dataset of whole images where aligned crops were expected.
    pub fn not_aligned() -> Failure {
        Failure::new("the dataset holds whole images, but aligned crops were expected")
            .help("put a stage of kind `align` before this one")
    }

    /// The crops of an aligned dataset, decoded with `threads` threads: now if they fit into `available`
    /// bytes of memory, else on each use.
    ///
    /// # Errors
    /// As [`Crops::open`].
    pub fn of(dataset: Dataset, threads: usize, available: Option<u64>) -> Result<Self> {
        let info = dataset.info();
        let crop = info.crop.clone().ok_or_else(Self::not_aligned)?;
        if crop.width() != crop.size {
            return Err(Failure::new(format!(
                "the crops are {} pixels wide and {} high, but networks here take squares",
                crop.width(),
                crop.size
            ))
            .help("leave `template` of the `align` stage at \"arcface-112\", with any `size`"));
        }
        let names = info.identities.clone();
        let identities = dataset.iter().map(|face| face.identity).collect();
        let images = dataset.iter().map(|face| face.name.to_owned()).collect();
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        let pool = pool.map_err(|e| Failure::new(format!("cannot start threads to decode images: {e}")))?;
        let one = crop.size as usize * crop.size as usize * 3;
        let pixels = if fits(dataset.len(), one, available) {
            let mut pixels = vec![0_u8; dataset.len() * one];
            pool.install(|| {
                pixels
                    .par_chunks_exact_mut(one)
                    .enumerate()
                    .try_for_each(|(row, place)| decode_into(&dataset, row, crop.size, place))
            })?;
            Pixels::Held(pixels)
        } else {
            Pixels::Filed(Box::new(dataset), pool)
        };
        Ok(Self { crop, identities, names, images, pixels })
    }

    /// Whether batches are slow to make, so that they should be made ahead of time.
    pub fn are_slow(&self) -> bool {
        matches!(self.pixels, Pixels::Filed(..))
    }

    /// The number of crops.
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    /// Whether there are no crops.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// The bytes of some crops, one after another, each flipped left to right where `flips` says so.
    ///
    /// # Errors
    /// When a row does not exist, or an image cannot be decoded.
    pub fn bytes(&self, rows: &[usize], flips: &[bool]) -> Result<Vec<u8>> {
        let side = self.crop.size as usize;
        let one = side * side * 3;
        if let Some(row) = rows.iter().find(|row| **row >= self.len()) {
            return Err(Failure::new(format!("there is no image {row} among {}", self.len())));
        }
        let mut bytes = vec![0_u8; rows.len() * one];
        let flip = |place: &mut [u8], flip: &bool| {
            if *flip {
                place.chunks_exact_mut(side * 3).for_each(turn);
            }
        };
        match &self.pixels {
            Pixels::Held(all) => {
                for ((place, row), turned) in bytes.chunks_exact_mut(one).zip(rows).zip(flips) {
                    place.copy_from_slice(&all[row * one..(row + 1) * one]);
                    flip(place, turned);
                }
            }
            Pixels::Filed(dataset, pool) => pool.install(|| {
                let places = bytes.par_chunks_exact_mut(one).zip(rows.par_iter()).zip(flips.par_iter());
                places.try_for_each(|((place, row), turned)| {
                    decode_into(dataset, *row, self.crop.size, place)?;
                    flip(place, turned);
                    Ok::<(), Failure>(())
                })
            })?,
        }
        Ok(bytes)
    }

    /// Some crops as bytes on the CPU, `[n, side, side, 3]`, each flipped left to right where `flips` says
    /// so.
    ///
    /// # Errors
    /// As [`Crops::bytes`], or when libtorch fails.
    pub fn images(&self, rows: &[usize], flips: &[bool]) -> Result<Tensor> {
        let side = i64::from(self.crop.size);
        let bytes = self.bytes(rows, flips)?;
        let size = [rows.len() as i64, side, side, 3];
        Tensor::f_from_data_size(&bytes, &size, Kind::Uint8).map_err(refused)
    }

    /// The crops of several batches (rows and flips), in order, made in a background thread; for a GPU, in
    /// pinned memory.
    pub fn ahead(self: &Arc<Self>, batches: Vec<(Vec<usize>, Vec<bool>)>, device: tch::Device) -> Ahead {
        let crops = Arc::clone(self);
        let (send, made) = sync_channel(AHEAD);
        let thread = std::thread::spawn(move || {
            for (rows, flips) in batches {
                let images = crops.images(&rows, &flips).and_then(|images| match device {
                    tch::Device::Cpu => Ok(images),
                    _ => shim::pinned(images),
                });
                // The receiver is gone: the epoch ended early.
                if send.send(images).is_err() {
                    break;
                }
            }
        });
        Ahead { made: Some(made), thread: Some(thread) }
    }

    /// A batch `[n, 3, side, side]` of some crops in the format of [`pixels`], each flipped left to right
    /// where `flips` says so.
    ///
    /// # Errors
    /// As [`Crops::images`].
    pub fn batch(&self, rows: &[usize], flips: &[bool], device: tch::Device) -> Result<Tensor> {
        let images = self.images(rows, flips)?.f_to_device(device).map_err(refused)?;
        Ok(pixels(&images))
    }
}

fn refused(e: tch::TchError) -> Failure {
    Failure::new(format!("libtorch cannot take a batch of images: {e}"))
}

/// Copies images of [`Ahead`] to their device. The copy from pinned memory to a GPU is asynchronous.
///
/// # Errors
/// When libtorch fails.
pub fn moved(images: &Tensor, device: tch::Device) -> Result<Tensor> {
    images.f_to_device_(device, Kind::Uint8, true, false).map_err(refused)
}

/// Converts bytes `[n, side, side, 3]` to float32 `[n, 3, side, side]`, channels innermost in memory, with
/// values `(x - 127.5) / 128`.
pub fn pixels(images: &Tensor) -> Tensor {
    ((images.to_kind(Kind::Float) - MIDDLE) / SPREAD).permute([0, 3, 1, 2])
}

/// Flips the images `[n, side, side, 3]` left to right where `flips`, `[n]`, is true.
pub fn turned(images: &Tensor, flips: &Tensor) -> Tensor {
    images.flip([2]).where_self(&flips.view([-1, 1, 1, 1]), images)
}

/// The number of batches made ahead.
const AHEAD: usize = 4;

/// Batches made in a background thread.
pub struct Ahead {
    made: Option<Receiver<Result<Tensor>>>,
    thread: Option<JoinHandle<()>>,
}

impl Ahead {
    /// The next batch.
    ///
    /// # Errors
    /// As [`Crops::images`]; or when there is no further batch.
    pub fn take(&mut self) -> Result<Tensor> {
        match self.made.as_ref().map(Receiver::recv) {
            Some(Ok(images)) => images,
            _ => match self.thread.take().map(JoinHandle::join) {
                Some(Err(panic)) => std::panic::resume_unwind(panic),
                _ => Err(Failure::new("there is no other batch")),
            },
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // Without a receiver the thread ends and drops its reference to the crops.
        self.made = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Reverses a row of pixels.
fn turn(line: &mut [u8]) {
    line.reverse();
    line.chunks_exact_mut(3).for_each(<[u8]>::reverse);
}

fn decode_into(dataset: &Dataset, row: usize, side: u32, place: &mut [u8]) -> Result<()> {
    let face = dataset.face(row);
    let image = decode(face.image)
        .map_err(|e| Failure::new(format!("image {row} (`{}`) cannot be decoded: {e}", face.name)))?;
    if (image.width, image.height) != (side, side) {
        return Err(Failure::new(format!(
            "image {row} (`{}`) has {} x {} pixels, but the dataset says {side} x {side}",
            face.name, image.width, image.height
        )));
    }
    place.copy_from_slice(&image.rgb);
    Ok(())
}

/// Whether the decoded crops leave enough memory for a network: they may take 60 % of what is available.
fn fits(images: usize, one: usize, available: Option<u64>) -> bool {
    available.is_none_or(|available| images as u64 * one as u64 <= available / 10 * 6)
}

#[cfg(test)]
mod tests {
    use lfs_faces::dataset::{Face, Info, Writer};
    use lfs_faces::image::{self, encode_png};

    use super::*;

    fn face(side: u32, shade: u8) -> Face {
        let rgb = (0..side * side * 3).map(|i| (i as u8).wrapping_mul(7).wrapping_add(shade)).collect();
        let image = encode_png(&image::Pixels { width: side, height: side, rgb }).unwrap();
        Face { image, identity: 0, name: format!("a/{shade}.png"), points: None, group: None, flags: 0 }
    }

    fn dataset(dir: &Path, faces: &[Face], crop: Option<u32>) -> Dataset {
        let mut writer = Writer::create(dir).unwrap();
        faces.iter().for_each(|face| writer.push(face).unwrap());
        let crop = crop.map(|size| Crop {
            size,
            width: None,
            template: "arcface-112".into(),
            encoding: "png".into(),
        });
        writer.finish(Info { identities: vec!["a".into()], crop, ..Info::default() }).unwrap();
        Dataset::open(dir).unwrap()
    }

    #[test]
    fn a_batch_holds_the_normalised_pixels_and_a_flip_turns_them_left_to_right() {
        let dir = tempfile::tempdir().unwrap();
        let crops = Crops::of(dataset(dir.path(), &[face(4, 0), face(4, 90)], Some(4)), 2, None).unwrap();
        let x = crops.batch(&[1, 1], &[false, true], tch::Device::Cpu).unwrap();
        assert_eq!(x.size(), [2, 3, 4, 4]);
        let expected = |channel: u32, row: u32, column: u32| {
            let byte = ((row * 4 + column) * 3 + channel) as u8;
            (f64::from(byte.wrapping_mul(7).wrapping_add(90)) - 127.5) / 128.0
        };
        for (channel, row, column) in [(0, 0, 0), (2, 3, 1), (1, 2, 3)] {
            let at = |n: i64, column: u32| {
                x.double_value(&[n, i64::from(channel), i64::from(row), i64::from(column)])
            };
            assert!((at(0, column) - expected(channel, row, column)).abs() < 1e-6);
            assert!((at(1, 3 - column) - expected(channel, row, column)).abs() < 1e-6);
        }
    }

    #[test]
    fn a_device_turns_images_as_the_loader_does() {
        let dir = tempfile::tempdir().unwrap();
        let faces: Vec<Face> = (0..5).map(|i| face(6, i * 40)).collect();
        let crops = Crops::of(dataset(dir.path(), &faces, Some(6)), 2, None).unwrap();
        let (rows, flips) = ([0, 1, 2, 3, 4], [true, false, true, true, false]);
        let as_it_is = crops.images(&rows, &[false; 5]).unwrap();
        let there = turned(&as_it_is, &Tensor::from_slice(&flips));
        assert!(there.equal(&crops.images(&rows, &flips).unwrap()) && !there.equal(&as_it_is));
    }

    #[test]
    fn the_same_folder_is_decoded_once_and_a_changed_one_again() {
        let dir = tempfile::tempdir().unwrap();
        let (one, two) = (dir.path().join("one"), dir.path().join("two"));
        dataset(&one, &[face(4, 0)], Some(4));
        let first = Crops::open(&one, 1).unwrap();
        assert!(Arc::ptr_eq(&first, &Crops::open(&one, 1).unwrap()));
        dataset(&two, &[face(4, 0), face(4, 1)], Some(4));
        std::fs::rename(two.join(FACES_FILE), one.join(FACES_FILE)).unwrap();
        std::fs::copy(two.join("dataset.json"), one.join("dataset.json")).unwrap();
        assert_eq!(Crops::open(&one, 1).unwrap().len(), 2);
    }

    #[test]
    fn whole_images_wrong_sizes_and_broken_images_are_refused_by_name() {
        let dir = tempfile::tempdir().unwrap();
        let refused = |name: &str, faces: &[Face], crop| {
            let made = Crops::of(dataset(&dir.path().join(name), faces, crop), 1, None);
            made.err().unwrap().to_string()
        };
        assert!(refused("whole", &[face(4, 0)], None).contains("`align`"));
        assert!(refused("size", &[face(4, 0), face(5, 1)], Some(4)).contains("`a/1.png`) has 5 x 5 pixels"));
        let mut writer = Writer::create(&dir.path().join("narrow")).unwrap();
        writer.push(&face(4, 0)).unwrap();
        let crop =
            Crop { size: 4, width: Some(3), template: "arcface-96x112".into(), encoding: "png".into() };
        writer.finish(Info { identities: vec!["a".into()], crop: Some(crop), ..Info::default() }).unwrap();
        let narrow = Crops::of(Dataset::open(&dir.path().join("narrow")).unwrap(), 1, None);
        assert!(narrow.err().unwrap().to_string().contains("3 pixels wide and 4 high"));
        let broken = Face { image: b"nothing".to_vec(), ..face(4, 2) };
        assert!(refused("broken", &[broken], Some(4)).contains("`a/2.png`) cannot be decoded"));
    }

    #[test]
    fn crops_that_memory_cannot_hold_are_decoded_when_they_are_needed_to_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let faces: Vec<Face> = (0..40).map(|i| face(6, i * 5)).collect();
        let open = |name: &str, available| {
            Arc::new(Crops::of(dataset(&dir.path().join(name), &faces, Some(6)), 2, available).unwrap())
        };
        let (held, filed) = (open("held", None), open("filed", Some(40 * 108)));
        assert!(!held.are_slow() && filed.are_slow());
        let rows: Vec<usize> = (0..40).map(|i| i * 7 % 40).collect();
        let flips: Vec<bool> = (0..40).map(|i| i % 3 == 0).collect();
        assert_eq!(held.bytes(&rows, &flips).unwrap(), filed.bytes(&rows, &flips).unwrap());
        // Batches made ahead come in order, with the errors.
        let batch = |i: usize| (rows[i..i + 4].to_vec(), flips[i..i + 4].to_vec());
        let mut batches: Vec<_> = (0..9).map(|i| batch(4 * i)).collect();
        batches.push((vec![40], vec![false]));
        let mut ahead = filed.ahead(batches.clone(), tch::Device::Cpu);
        for (rows, flips) in &batches[..9] {
            assert!(ahead.take().unwrap().equal(&held.images(rows, flips).unwrap()));
        }
        assert!(ahead.take().unwrap_err().message.contains("there is no image 40 among 40"));
        assert!(ahead.take().unwrap_err().message.contains("no other"));
        // Dropping it early ends its thread.
        drop(filed.ahead(batches, tch::Device::Cpu));
    }

    #[test]
    fn what_is_more_than_half_of_the_memory_is_not_held() {
        assert!(fits(100_000, 3 * 112 * 112, Some(8 << 30)) && fits(1 << 40, 1 << 20, None));
        assert!(!fits(1_000_000, 3 * 112 * 112, Some(8 << 30)));
    }
}
