//! How many images a second are decoded on one core: `decode FOLDER` reads up to 2,000 JPEG files of a folder's folders and prints the
//! rate of one pass over them in memory.

use std::path::PathBuf;
use std::time::Instant;

use lfs_faces::image::decode;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = std::env::args().nth(1).ok_or("usage: decode FOLDER")?;
    let mut files: Vec<PathBuf> = Vec::new();
    for folder in std::fs::read_dir(root)? {
        for file in std::fs::read_dir(folder?.path())? {
            files.push(file?.path());
        }
    }
    files.sort();
    files.retain(|f| f.extension().is_some_and(|e| e == "jpg"));
    let files = files.iter().take(2000).map(std::fs::read).collect::<Result<Vec<_>, _>>()?;
    let start = Instant::now();
    for file in &files {
        std::hint::black_box(decode(file)?);
    }
    println!("{}", files.len() as f64 / start.elapsed().as_secs_f64());
    Ok(())
}
