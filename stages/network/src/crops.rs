//! Aligned crops, decoded once and held in memory.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use lfs_faces::dataset::{Crop, Dataset, FACES_FILE};
use lfs_faces::image::decode;
use lfs_stage::{Failure, IoContext, Result};
use rayon::prelude::*;
use tch::{Kind, Tensor};

use crate::memory;

/// Grey level that becomes 0, and the one step of [-1, 1]: `(x - 127.5) / 128`.
const MIDDLE: f64 = 127.5;
const SPREAD: f64 = 128.0;

/// The crops of a dataset, decoded: row after row, channels innermost.
#[derive(Debug)]
pub struct Crops {
    /// How they were cut.
    pub crop: Crop,
    /// The identity of each image.
    pub identities: Vec<u32>,
    /// The name of each identity.
    pub names: Vec<String>,
    /// The name of each image.
    pub images: Vec<String>,
    pixels: Vec<u8>,
}

/// Datasets that were decoded last: a process that trains several networks decodes once.
static LAST: Mutex<Vec<(Stamp, Arc<Crops>)>> = Mutex::new(Vec::new());
/// How many to keep: a training set and a validation set.
const KEPT: usize = 2;

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    path: PathBuf,
    length: u64,
    inode: u64,
    changed: (i64, i64),
}

impl Crops {
    /// Decodes an aligned dataset with `threads` threads, or gives what was decoded before.
    ///
    /// # Errors
    /// When the dataset is not aligned, an image cannot be decoded or has another size than the dataset says, or
    /// memory does not suffice.
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
        let crops = Arc::new(Self::decode(&dataset, threads)?);
        last.push((stamp, crops.clone()));
        Ok(crops)
    }

    /// What to say of a dataset of whole images where crops were expected.
    pub fn not_aligned() -> Failure {
        Failure::new("the dataset holds whole images, but aligned crops were expected")
            .help("put a stage of kind `align` before this one")
    }

    /// Decodes an aligned dataset with `threads` threads.
    ///
    /// # Errors
    /// As [`Crops::open`].
    pub fn decode(dataset: &Dataset, threads: usize) -> Result<Self> {
        let info = dataset.info();
        let crop = info.crop.clone().ok_or_else(Self::not_aligned)?;
        let side = crop.size as usize;
        let one = side * side * 3;
        check_memory(dataset.len(), one, memory::available())?;
        let mut pixels = vec![0_u8; dataset.len() * one];
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads.max(1)).build();
        let pool = pool.map_err(|e| Failure::new(format!("cannot start threads to decode images: {e}")))?;
        pool.install(|| {
            pixels.par_chunks_exact_mut(one).enumerate().try_for_each(|(row, place)| {
                let face = dataset.face(row);
                let image = decode(face.image).map_err(|e| {
                    Failure::new(format!("image {row} (`{}`) cannot be decoded: {e}", face.name))
                })?;
                if (image.width, image.height) != (crop.size, crop.size) {
                    return Err(Failure::new(format!(
                        "image {row} (`{}`) has {} x {} pixels, but the dataset says {side} x {side}",
                        face.name, image.width, image.height
                    )));
                }
                place.copy_from_slice(&image.rgb);
                Ok(())
            })
        })?;
        let identities = dataset.iter().map(|face| face.identity).collect();
        let images = dataset.iter().map(|face| face.name.to_owned()).collect();
        Ok(Self { crop, identities, names: info.identities.clone(), images, pixels })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.identities.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.identities.is_empty()
    }

    /// A batch `[rows.len(), 3, side, side]`, float32, channels innermost in memory, each crop flipped left to
    /// right where `flips` says so, values `(x - 127.5) / 128`.
    ///
    /// # Errors
    /// When a row does not exist, or libtorch fails.
    pub fn batch(&self, rows: &[usize], flips: &[bool], device: tch::Device) -> Result<Tensor> {
        let side = self.crop.size as usize;
        let one = side * side * 3;
        let mut bytes = Vec::with_capacity(rows.len() * one);
        for (&row, &flip) in rows.iter().zip(flips) {
            let Some(image) = self.pixels.get(row * one..(row + 1) * one) else {
                return Err(Failure::new(format!("there is no image {row} among {}", self.len())));
            };
            if flip {
                for line in image.chunks_exact(side * 3) {
                    line.chunks_exact(3).rev().for_each(|pixel| bytes.extend_from_slice(pixel));
                }
            } else {
                bytes.extend_from_slice(image);
            }
        }
        let shape = [rows.len() as i64, side as i64, side as i64, 3];
        let batch = Tensor::f_from_data_size(&bytes, &shape, Kind::Uint8)
            .map_err(|e| Failure::new(format!("libtorch cannot take a batch of images: {e}")))?;
        Ok(((batch.to_device(device).to_kind(Kind::Float) - MIDDLE) / SPREAD).permute([0, 3, 1, 2]))
    }
}

fn check_memory(images: usize, one: usize, available: Option<u64>) -> Result<()> {
    let needed = images as u64 * one as u64;
    match available {
        Some(available) if needed > available / 10 * 9 => Err(Failure::new(format!(
            "{images} decoded crops need {} MiB of memory, but {} MiB are free",
            needed >> 20,
            available >> 20
        ))
        .help("use smaller crops or fewer images")),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use lfs_faces::dataset::{Face, Info, Writer};
    use lfs_faces::image::{Pixels, encode_png};

    use super::*;

    fn face(side: u32, shade: u8) -> Face {
        let rgb = (0..side * side * 3).map(|i| (i as u8).wrapping_mul(7).wrapping_add(shade)).collect();
        let image = encode_png(&Pixels { width: side, height: side, rgb }).unwrap();
        Face { image, identity: 0, name: format!("a/{shade}.png"), points: None, group: None, flags: 0 }
    }

    fn dataset(dir: &Path, faces: &[Face], crop: Option<u32>) -> Dataset {
        let mut writer = Writer::create(dir).unwrap();
        faces.iter().for_each(|face| writer.push(face).unwrap());
        let crop = crop.map(|size| Crop { size, template: "arcface-112".into(), encoding: "png".into() });
        writer.finish(Info { identities: vec!["a".into()], crop, ..Info::default() }).unwrap();
        Dataset::open(dir).unwrap()
    }

    #[test]
    fn a_batch_holds_the_normalised_pixels_and_a_flip_turns_them_left_to_right() {
        let dir = tempfile::tempdir().unwrap();
        let crops = Crops::decode(&dataset(dir.path(), &[face(4, 0), face(4, 90)], Some(4)), 2).unwrap();
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
            Crops::decode(&dataset(&dir.path().join(name), faces, crop), 1).unwrap_err().to_string()
        };
        assert!(refused("whole", &[face(4, 0)], None).contains("`align`"));
        assert!(refused("size", &[face(4, 0), face(5, 1)], Some(4)).contains("`a/1.png`) has 5 x 5 pixels"));
        let broken = Face { image: b"nothing".to_vec(), ..face(4, 2) };
        assert!(refused("broken", &[broken], Some(4)).contains("`a/2.png`) cannot be decoded"));
    }

    #[test]
    fn more_crops_than_memory_are_refused_before_they_are_decoded() {
        let failure = check_memory(1_000_000, 3 * 112 * 112, Some(8 << 30)).unwrap_err();
        assert!(failure.message.contains("1000000 decoded crops need 35888 MiB"), "{failure}");
        assert!(check_memory(1000, 3 * 112 * 112, Some(8 << 30)).is_ok());
    }
}
