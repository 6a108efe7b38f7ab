//! Small sets of crops, packed in the formats of InsightFace.

use std::path::Path;

use lfs_faces::image::{Pixels, encode_jpeg};

pub const PERSONS: u32 = 14;
pub const IMAGES: u32 = 6;

/// A crop: skin with stripes specific to the person, and noise specific to the image. `swapped`: red and blue are exchanged.
fn crop(person: u32, image: u32, side: u32, swapped: bool) -> Vec<u8> {
    let angle = f64::from(person) * 0.7;
    let mut rgb = Vec::new();
    for (x, y) in (0..side).flat_map(|y| (0..side).map(move |x| (x, y))) {
        let along = f64::from(x) * angle.cos() + f64::from(y) * angle.sin();
        let wave = 25.0 * (along * 0.6 + f64::from(image) * 0.4).sin();
        let noise = 12.0 * (f64::from(x * 31 + y * 17 + image * 7 + person) * 12.9898).sin();
        let mut pixel = [190.0, 140.0, 110.0].map(|tone: f64| (tone + wave + noise) as u8);
        if swapped {
            pixel.reverse();
        }
        rgb.extend(pixel);
    }
    encode_jpeg(&Pixels { width: side, height: side, rgb }, 95).unwrap()
}

/// How a training set is packed.
#[derive(Clone, Copy)]
#[allow(dead_code)] // not every test uses every variant
pub enum Dialect {
    HeaderFirst,
    HeaderLast,
    NoHeader,
}

/// Writes records and their index.
#[derive(Default)]
struct Records {
    rec: Vec<u8>,
    idx: String,
}

impl Records {
    fn put(&mut self, key: u32, labels: &[f32], image: &[u8]) {
        let flag = if labels.len() == 1 { 0 } else { labels.len() as u32 };
        let mut record = [flag.to_le_bytes(), if flag == 0 { labels[0] } else { 0.0 }.to_le_bytes()].concat();
        record.extend(u64::from(key).to_le_bytes());
        record.extend([0; 8]);
        if flag > 0 {
            record.extend(labels.iter().flat_map(|l| l.to_le_bytes()));
        }
        record.extend(image);
        self.idx += &format!("{key}\t{}\n", self.rec.len());
        self.rec.extend(0xced7_230a_u32.to_le_bytes());
        self.rec.extend((record.len() as u32).to_le_bytes());
        self.rec.extend(&record);
        self.rec.resize(self.rec.len().next_multiple_of(4), 0);
    }
}

/// `train.rec`, `train.idx` and `property`.
pub fn training_set(folder: &Path, dialect: Dialect, persons: u32, side: u32, swapped: bool) {
    let mut out = Records::default();
    let count = persons * IMAGES;
    let header = [(count + 1) as f32, (count + 1 + persons) as f32];
    if let Dialect::HeaderFirst = dialect {
        out.put(0, &header, &[]);
    }
    let first = u32::from(!matches!(dialect, Dialect::NoHeader));
    for k in 0..count {
        let image = crop(k / IMAGES, k % IMAGES, side, swapped);
        let class = (k / IMAGES) as f32;
        if first == 0 { out.put(k, &[class], &image) } else { out.put(k + 1, &[class, 1.0], &image) }
    }
    if first == 1 {
        for person in 0..persons {
            let from = person * IMAGES + 1;
            out.put(count + 1 + person, &[from as f32, (from + IMAGES) as f32], &[]);
        }
    }
    if let Dialect::HeaderLast = dialect {
        out.put(0, &header, &[]);
    }
    std::fs::write(folder.join("train.rec"), out.rec).unwrap();
    std::fs::write(folder.join("train.idx"), out.idx).unwrap();
    std::fs::write(folder.join("property"), format!("{persons},{side},{side}\n")).unwrap();
}

/// A verification set: a pickle of images and labels in the format of Python 3.
pub fn test_set(path: &Path, pairs: u32, side: u32, swapped: bool) {
    let mut out = vec![0x80, 4, b']', 0x94, b'('];
    for pair in 0..pairs {
        let persons = if pair % 2 == 0 { [pair, pair] } else { [pair, pair + 1] };
        for (k, person) in persons.into_iter().enumerate() {
            let image = crop(PERSONS + person % 9, pair + 50 * k as u32, side, swapped);
            out.push(b'B');
            out.extend((image.len() as u32).to_le_bytes());
            out.extend(image);
        }
    }
    out.extend([b'e', b']', 0x94, b'(']);
    out.extend((0..pairs).map(|pair| if pair % 2 == 0 { 0x88 } else { 0x89 }));
    out.extend([b'e', 0x86, 0x94, b'.']);
    std::fs::write(path, out).unwrap();
}
