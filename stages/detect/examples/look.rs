//! Measures detection: `look MODEL ROOT LIST [THREADS]` processes the images listed in a file, one path below ROOT for each line,
//! from memory, and prints a line of JSON for each; the rate is printed to standard error.

use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use lfs_detect::{Options, detector};
use lfs_faces::image::decode;
use lfs_network::arithmetic::Arithmetic;
use lfs_network::device::{self, Device};
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [model, root, list, rest @ ..] = words.as_slice() else {
        return Err("usage: look MODEL ROOT LIST [THREADS]".into());
    };
    let threads: usize = rest.first().map_or(Ok(1), |w| w.parse())?;
    let device = device::prepare(Device::Auto, 1, Arithmetic::default())?;
    let text = std::fs::read_to_string(list)?;
    let images: Vec<(&str, Vec<u8>)> = text
        .lines()
        .map(|name| Ok((name, std::fs::read(PathBuf::from(root).join(name))?)))
        .collect::<std::io::Result<_>>()?;
    let options = Options::default();
    let detectors = (0..threads).map(|_| detector::open(&options, model.as_ref(), device));
    let idle = Mutex::new(detectors.collect::<Result<Vec<_>, _>>()?);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let start = Instant::now();
    let one = |(name, image): &(&str, Vec<u8>)| -> Option<String> {
        let picture = decode(image).ok()?;
        let detector = idle.lock().ok()?.pop()?;
        let found = detector.find(&picture).ok();
        idle.lock().ok()?.push(detector);
        let faces: Vec<_> = found?
            .iter()
            .map(|f| serde_json::json!({"box": f.place, "score": f.score, "points": f.points}))
            .collect();
        Some(serde_json::json!({ "name": name, "faces": faces }).to_string())
    };
    let lines: Vec<Option<String>> = pool.install(|| images.par_iter().map(one).collect());
    let seconds = start.elapsed().as_secs_f64();
    for line in lines.into_iter().flatten() {
        println!("{line}");
    }
    eprintln!(
        "{} images in {seconds:.2} s: {:.1} images/s with {threads} threads",
        images.len(),
        images.len() as f64 / seconds
    );
    Ok(())
}
