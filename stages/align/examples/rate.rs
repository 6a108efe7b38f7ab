//! Measures the rate of alignment: `rate FOLDER LANDMARKS [THREADS]` decodes every listed JPEG, warps it to 112 x 112 and encodes
//! it as JPEG of quality 95, from memory, best of five. The digest of the crops shows whether two machines or two builds give the
//! same bytes.

use std::path::PathBuf;
use std::time::Instant;

use lfs_align::transform::Similarity;
use lfs_align::{Options, crop, warp};
use lfs_faces::image::decode_part;
use lfs_formats::landmarks::list;
use rayon::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut words = std::env::args().skip(1);
    let (Some(folder), Some(landmarks)) = (words.next(), words.next()) else {
        return Err("usage: rate FOLDER LANDMARKS [THREADS]".into());
    };
    let threads: usize = words.next().map_or(Ok(2), |w| w.parse())?;
    let folder = PathBuf::from(folder);
    let mut images = Vec::new();
    for (name, points) in list::read(&std::fs::read_to_string(landmarks)?)?.into_iter().take(4000) {
        images.push((std::fs::read(folder.join(name))?, points));
    }
    let options = Options::default();
    let layout = options.layout();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build()?;
    let mut best = 0.0_f64;
    for _ in 0..5 {
        let start = Instant::now();
        let crops: Vec<Vec<u8>> = pool.install(|| {
            let one = |(image, points): &(Vec<u8>, _)| {
                let fit = Similarity::fit(points, &layout.points)?;
                let area = warp::needed(&fit, layout.width, layout.height)?;
                crop(&decode_part(image, &area).ok()?, &fit, &options).ok()
            };
            images.par_iter().filter_map(one).collect()
        });
        let rate = images.len() as f64 / start.elapsed().as_secs_f64();
        let fnv = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3);
        let digest = crops.iter().flatten().fold(0xcbf2_9ce4_8422_2325, fnv);
        println!("{rate:.0} images/s, {} crops, digest {digest:016x}", crops.len());
        best = best.max(rate);
    }
    println!("best: {best:.0} images/s with {threads} threads");
    Ok(())
}
