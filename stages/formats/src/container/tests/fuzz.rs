//! Readers under mutated input: no panic, and memory in proportion to the input. Each runs for half a second by default, or for
//! `LFS_FUZZ_SECONDS` (`just fuzz`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};

use super::super::super::{landmarks, mat, matrix, vectors};
use super::*;

/// The maximum peak memory of reading small inputs, in KiB.
const MOST_MEMORY: u64 = 1 << 20;
/// Typical boundary values of lengths and offsets.
const NUMBERS: [u64; 9] = [0, 1, 0x7f, 0xff, 0x7fff_ffff, 0xffff_ffff, 1 << 31, 1 << 63, u64::MAX];

/// A reader with a small valid file, and the file's name.
type Target = (&'static str, Vec<u8>, fn(&Path));

fn targets() -> Vec<Target> {
    let container: fn(&Path) = |path| drop(read(path));
    let mut all: Vec<Target> =
        super::bad::seeds().into_iter().map(|(name, bytes)| (name, bytes, container)).collect();
    let image = picture(4);
    all.push(("data.mdb", super::lmdb::leaf(&[(b"Ann/1.png", &image), (b"Bo/2.png", &image)]), |path| {
        drop(read(path.parent().unwrap()));
    }));
    let pixels = super::npz::npy("|u1", "(2, 2, 2, 3)", &[9; 24]);
    let labels = super::npz::npy("<i8", "(2,)", &[0; 16]);
    all.push(("a.npz", super::npz::npz(&[("x", pixels), ("y", labels)]), container));
    all.push(("vectors.npy", super::npz::npy("<f4", "(2, 2)", &[0; 16]), |path| {
        drop(vectors::Vectors::open(path));
        drop(matrix::look(path));
    }));
    let floats = super::npz::npy("<f2", "(2, 2)", &[0x3c; 8]);
    let names = super::npz::npy("<U1", "(2,)", &[65, 0, 0, 0, 66, 0, 0, 0]);
    all.push(("vectors.npz", super::npz::npz(&[("embeddings", floats), ("names", names)]), |path| {
        drop(vectors::Vectors::open(path));
        drop(vectors::Vectors::open_flipped(path));
    }));
    let matrix: Vec<u8> = [2_i32, 2, 8, 5].iter().flat_map(|w| w.to_le_bytes()).chain([0x3f; 16]).collect();
    all.push(("a.jpg_net.bin", matrix, |path| {
        drop(vectors::Vectors::open(path));
        drop(path.parent().map(vectors::Vectors::open));
    }));
    all.push(("names.txt", b"a/1.jpg Ann\nb/2.jpg\tBo\n".to_vec(), |path| {
        drop(vectors::names::read(path, 2));
    }));
    let splits = vec![
        ("splits".to_owned(), mat::Value::row(vec![1.0, 2.0])),
        ("who".to_owned(), mat::Value::text("Ann")),
    ];
    all.push(("splits.mat", mat::write(&splits).unwrap(), |path| {
        drop(mat::read(&std::fs::read(path).unwrap()));
    }));
    let list =
        b"a/1.jpg 30.5 40 60 41 45 55 33 70 58 71\nb/2.jpg 1 0.99 30.5 40 60 41 45 55 33 70 58 71\n".to_vec();
    all.push(("landmarks.txt", list, |path| {
        let text = String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        drop(landmarks::list::read_all(&text));
        drop(landmarks::pts::read(&text));
        drop(landmarks::five::read(&text));
    }));
    all
}

/// A random number generator.
struct Draw(u64);

impl Draw {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n.max(1)
    }

    /// Applies one to six random edits.
    fn mutated(&mut self, seed: &[u8]) -> Vec<u8> {
        let mut bytes = seed.to_vec();
        for _ in 0..=self.below(6) {
            let at = self.below(bytes.len() + 1);
            let end = (at + 1 + self.below(24)).min(bytes.len());
            match self.below(7) {
                0 if at < bytes.len() => bytes[at] ^= 1 << self.below(8),
                1 => drop(bytes.drain(at.min(end)..end)),
                2 => {
                    let copy = bytes[at.min(end)..end].to_vec();
                    let to = self.below(bytes.len() + 1);
                    bytes.splice(to..to, copy);
                }
                3 => bytes.truncate(at),
                kind => {
                    let number = NUMBERS[self.below(NUMBERS.len())];
                    let width = [1, 2, 4, 8][self.below(4)].min(bytes.len() - at);
                    let little = number.to_le_bytes();
                    for (k, to) in bytes[at..at + width].iter_mut().enumerate() {
                        *to = if kind == 4 { little[width - 1 - k] } else { little[k] };
                    }
                }
            }
        }
        bytes
    }
}

#[test]
fn every_reader_bears_any_damage_in_bounded_memory() {
    let seconds = std::env::var("LFS_FUZZ_SECONDS").ok().and_then(|s| s.parse().ok()).unwrap_or(0.5);
    let seed = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64;
    let mut draw = Draw(seed | 1);
    println!("seed {seed}");
    let dir = tempfile::tempdir().unwrap();
    for (name, whole, target) in targets() {
        // In a separate folder, so that no other file lies beside it; the unmodified file must be readable.
        let folder = dir.path().join(name.replace('.', "-"));
        std::fs::create_dir(&folder).unwrap();
        let path = folder.join(name);
        let (until, mut count) = (Instant::now() + Duration::from_secs_f64(seconds), 0_u64);
        while Instant::now() < until {
            let input = draw.mutated(&whole);
            std::fs::write(&path, &input).unwrap();
            if catch_unwind(AssertUnwindSafe(|| target(&path))).is_err() {
                let kept = std::env::temp_dir().join(format!("lfs-fuzz-{name}"));
                std::fs::write(&kept, &input).unwrap();
                panic!("{name}: a panic on the input in {}", kept.display());
            }
            count += 1;
        }
        println!("{name}: {count} inputs in {seconds} s");
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let peak = status.lines().find_map(|l| l.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.split_whitespace().next().unwrap().parse().unwrap();
    println!("peak memory {} MiB", peak >> 10);
    assert!(peak < MOST_MEMORY, "{peak} KiB");
}
