//! Draws a contact sheet: one row for each identity, one column for each photograph.
//!
//! `cargo run --release -p lfs-synthesize --example sheet -- OUT.png [rows] [columns] [recipe] [seed] [colours] [cell]`

use lfs_faces::image::{Pixels, encode_png};
use lfs_synthesize::face::draw;
use lfs_synthesize::factors::{Factors, Hardness, Recipe};
use lfs_synthesize::identity::{Group, Identity};
use lfs_synthesize::rng::stream;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().unwrap_or_else(|| "sheet.png".to_owned());
    let mut number = |default: u64| args.next().and_then(|a| a.parse().ok()).unwrap_or(default);
    let (rows, columns, recipe, seed) = (number(8), number(10), number(0), number(0));
    let (colours, cell) = (number(0), number(112) as u32);
    let recipe = [Recipe::Wild, Recipe::Press, Recipe::Young, Recipe::Old, Recipe::Aside, Recipe::Profile]
        [recipe as usize % 6];
    let mut sheet = Pixels { width: cell * columns as u32, height: cell * rows as u32, rgb: vec![255; 0] };
    sheet.rgb = vec![255; (sheet.width * sheet.height * 3) as usize];
    let start = std::time::Instant::now();
    for row in 0..rows {
        let group = Group::ALL[(row * 4 / rows.max(1)) as usize % 4];
        let person = Identity::draw(seed, row, group, 1.0);
        for column in 0..columns {
            let mut rng = stream(seed, "sheet", &[row, column]);
            let mut f = Factors::draw(&mut rng, recipe, &Hardness::default(), cell, 34.0);
            f.size = [cell, cell];
            let face = draw(&person, &f)?;
            for y in 0..cell {
                let from = (y * cell * 3) as usize;
                let to = (((row as u32 * cell + y) * sheet.width + column as u32 * cell) * 3) as usize;
                let n = (cell * 3) as usize;
                sheet.rgb[to..to + n].copy_from_slice(&face.rgb[from..from + n]);
            }
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("{:.0} images/s on one thread", (rows * columns) as f64 / seconds);
    if colours > 0 {
        // Fewer colours give a smaller file for a document.
        for v in &mut sheet.rgb {
            *v = *v / 12 * 12 + 6;
        }
    }
    std::fs::write(out, encode_png(&sheet)?)?;
    Ok(())
}
