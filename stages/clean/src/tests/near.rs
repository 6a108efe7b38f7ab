//! Near-duplicates: the changes that the hash survives, and the recall of the search.

use std::time::Instant;

use lfs_faces::dataset::Points;
use lfs_faces::image::{Pixels, decode, encode_jpeg};

use super::picture;
use crate::hash::{Hasher, Look};
use crate::search::near_pairs;

#[test]
fn the_hash_survives_size_compression_and_the_mirror_and_tells_pictures_apart() {
    let hasher = Hasher::new();
    let hash = |seed, side| hasher.look(&picture(seed, side), None);
    for seed in 1..9 {
        assert!(hash(seed, 64).distance(hash(seed, 150)) <= 30, "{seed}");
        let poor = decode(&encode_jpeg(&picture(seed, 64), 40).unwrap()).unwrap();
        assert!(hash(seed, 64).distance(hasher.look(&poor, None)) <= 40, "{seed}");
        let mirrored = hasher.look(&mirror(&picture(seed, 64)), None);
        assert!(hash(seed, 64).mirrored().distance(mirrored) <= 8, "{seed}");
        assert!(hash(seed, 64).distance(hash(seed + 1, 64)) > 64, "{seed}");
    }
    let _ = hasher.look(&Pixels { width: 1, height: 1, rgb: vec![9; 3] }, None);
    let far = [[f32::MAX, -1e30]; 5];
    let nan = [[f32::NAN; 2]; 5];
    for points in [far, nan, [[3.0; 2]; 5]] {
        let _ = hasher.look(&picture(1, 64), Some(&points));
    }
}

fn mirror(p: &Pixels) -> Pixels {
    let rows = p.rgb.chunks_exact(p.width as usize * 3);
    let rgb = rows.flat_map(|r| r.as_chunks::<3>().0.iter().rev().flatten().copied()).collect();
    Pixels { rgb, ..*p }
}

/// Reproducible random numbers.
struct Draw(u64);

impl Draw {
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn normal(&mut self) -> f32 {
        ((-2.0 * (1.0 - self.unit()).ln()).sqrt() * (std::f64::consts::TAU * self.unit()).cos()) as f32
    }

    /// The points as found by a detector: off by 1.5 % of the distance between the eyes, along each axis.
    fn found(&mut self, points: Points) -> Points {
        let eyes = (points[0][0] - points[1][0]).hypot(points[0][1] - points[1][1]);
        points.map(|p| p.map(|c| c + 0.015 * eyes * self.normal()))
    }
}

/// The picture and its points, scaled by `scale` and rotated around the centre, with a margin.
fn moved(p: &Pixels, points: &Points, scale: f64, degrees: f64, margin: f64) -> (Pixels, Points) {
    let (w, h) = (f64::from(p.width), f64::from(p.height));
    let (width, height) =
        ((w * scale * (1.0 + 2.0 * margin)) as u32, (h * scale * (1.0 + 2.0 * margin)) as u32);
    let (sin, cos) = degrees.to_radians().sin_cos();
    let (cx, cy) = ((w - 1.0) / 2.0, (h - 1.0) / 2.0);
    let (ox, oy) = ((f64::from(width) - 1.0) / 2.0, (f64::from(height) - 1.0) / 2.0);
    let at = |x: i64, y: i64, c: usize| {
        let inside = x >= 0 && y >= 0 && x < i64::from(p.width) && y < i64::from(p.height);
        if inside { f64::from(p.rgb[(y as usize * p.width as usize + x as usize) * 3 + c]) } else { 0.0 }
    };
    let mut rgb = Vec::new();
    for (y, x) in (0..height).flat_map(|y| (0..width).map(move |x| (y, x))) {
        let (u, v) = ((f64::from(x) - ox) / scale, (f64::from(y) - oy) / scale);
        let (sx, sy) = (cos * u + sin * v + cx, -sin * u + cos * v + cy);
        let (x0, y0) = (sx.floor() as i64, sy.floor() as i64);
        let (fx, fy) = (sx - sx.floor(), sy - sy.floor());
        for c in 0..3 {
            let top = at(x0, y0, c) * (1.0 - fx) + at(x0 + 1, y0, c) * fx;
            let bottom = at(x0, y0 + 1, c) * (1.0 - fx) + at(x0 + 1, y0 + 1, c) * fx;
            rgb.push((top * (1.0 - fy) + bottom * fy).round() as u8);
        }
    }
    let points = points.map(|[x, y]| {
        let (u, v) = (f64::from(x) - cx, f64::from(y) - cy);
        [((cos * u - sin * v) * scale + ox) as f32, ((sin * u + cos * v) * scale + oy) as f32]
    });
    (Pixels { width, height, rgb }, points)
}

fn gamma(p: &Pixels, g: f64) -> Pixels {
    let table: Vec<u8> = (0..256).map(|v| (255.0 * (f64::from(v) / 255.0).powf(g)).round() as u8).collect();
    Pixels { rgb: p.rgb.iter().map(|v| table[usize::from(*v)]).collect(), ..*p }
}

/// All changes applied to a photograph.
fn changed(p: &Pixels, points: &Points) -> Vec<(&'static str, Pixels, Points)> {
    let of = |name, scale, degrees, margin| {
        let (pixels, points) = moved(p, points, scale, degrees, margin);
        (name, pixels, points)
    };
    let width = p.width as f32;
    let turned = [1, 0, 2, 4, 3].map(|k: usize| [width - 1.0 - points[k][0], points[k][1]]);
    vec![
        of("half", 0.5, 0.0, 0.0),
        of("larger", 1.5, 0.0, 0.0),
        of("left", 1.0, 5.0, 0.0),
        of("right", 1.0, -5.0, 0.0),
        of("crop", 1.0, 0.0, -0.1),
        of("pad", 1.0, 0.0, 0.1),
        ("jpeg", decode(&encode_jpeg(p, 50).unwrap()).unwrap(), *points),
        ("dark", gamma(p, 1.4), *points),
        ("bright", gamma(p, 0.7), *points),
        ("mirror", mirror(p), turned),
    ]
}

#[test]
fn near_duplicates_of_photographs_are_found_and_nothing_else() {
    let Some(data) = lfs_testing::data("lfw-subset") else { return };
    let text = std::fs::read_to_string(data.join("landmarks.tsv")).unwrap();
    // Every fourth of 5,985 photographs; of every tenth of these, all changes.
    let photographs = text.lines().step_by(4).map(|line| {
        let fields: Vec<&str> = line.split('\t').collect();
        let c: Vec<f32> = fields[1..11].iter().map(|f| f.parse().unwrap()).collect();
        let bytes = std::fs::read(data.join("images").join(fields[0])).unwrap();
        (decode(&bytes).unwrap(), std::array::from_fn(|k| [c[2 * k], c[2 * k + 1]]))
    });
    let (hasher, mut draw) = (Hasher::new(), Draw(1));
    let (mut looks, mut planted): (Vec<Look>, Vec<(usize, &str, Look)>) = (Vec::new(), Vec::new());
    for (n, (pixels, points)) in photographs.enumerate() {
        looks.push(hasher.look(&pixels, Some(&draw.found(points))));
        if n % 10 == 0 {
            for (name, pixels, points) in changed(&pixels, &points) {
                planted.push((n, name, hasher.look(&pixels, Some(&draw.found(points)))));
            }
        }
    }
    let originals = looks.len();
    looks.extend(planted.iter().map(|p| p.2));
    let source = |k: usize| if k < originals { k } else { planted[k - originals].0 };
    let (pairs, _) = near_pairs(&looks, 48, usize::MAX, &|_, _| true);
    let right = pairs.iter().filter(|(i, j)| source(*i) == source(*j)).count();
    let found: std::collections::BTreeSet<usize> = pairs
        .iter()
        .filter(|(i, j)| *i < originals && *j >= originals && source(*j) == *i)
        .map(|p| p.1)
        .collect();
    for change in changed(&picture(1, 64), &[[9.0; 2]; 5]).iter().map(|c| c.0) {
        let of: Vec<usize> = (0..planted.len()).filter(|&k| planted[k].1 == change).collect();
        let met = of.iter().filter(|&&k| found.contains(&(originals + k))).count();
        println!("{change}: {met} of {}", of.len());
    }
    println!("{} of {} found, {right} of {} pairs right", found.len(), planted.len(), pairs.len());
    assert!(found.len() * 100 >= planted.len() * 98, "{} of {} found", found.len(), planted.len());
    assert!(right * 1000 >= pairs.len() * 999, "{right} of {} pairs are right", pairs.len());
}

#[test]
#[ignore = "a measurement: a million hashes"]
fn a_million_hashes() {
    let mut draw = Draw(7);
    let looks: Vec<Look> = (0..1_000_000)
        .map(|_| {
            Look(std::array::from_fn(|_| {
                (draw.unit() * 2_f64.powi(53)) as u64 ^ ((draw.unit() * 4096.0) as u64) << 52
            }))
        })
        .collect();
    let start = Instant::now();
    let (pairs, _) = near_pairs(&looks, 48, 100_000, &|_, _| true);
    println!("{} pairs in {:?}", pairs.len(), start.elapsed());
}
