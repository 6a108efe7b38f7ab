//! Measures the reading rate of a container: `scan PATH` reads every image five times without using it, and prints bytes a second.
//! The first pass may read from the disk, the others from memory.

use std::time::Instant;

use lfs_faces::DataError;
use lfs_formats::container::{self, Item, Sink};

#[derive(Default)]
struct Count {
    images: u64,
    bytes: u64,
}

impl Sink for Count {
    fn item(&mut self, item: Item<'_>) -> Result<(), DataError> {
        self.images += 1;
        self.bytes += item.image.len() as u64;
        Ok(())
    }

    fn pair(&mut self, _: &str, _: &str, _: bool) -> Result<(), DataError> {
        Ok(())
    }

    fn passed_over(&mut self, _: &str, _: &str) {}
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("usage: scan PATH")?;
    for _ in 0..5 {
        let start = Instant::now();
        let (format, container) = container::open(path.as_ref())?;
        let mut count = Count::default();
        container.read(&mut count)?;
        let rate = count.bytes as f64 / 1e9 / start.elapsed().as_secs_f64();
        println!("{}: {} images, {rate:.2} GB/s", format.name, count.images);
    }
    Ok(())
}
