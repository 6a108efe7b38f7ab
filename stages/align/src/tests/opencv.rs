//! Comparison with OpenCV's `warpAffine`, if `LFS_PYTHON` names a Python that has it.

use std::fmt::Write as _;
use std::process::Command;

use lfs_faces::dataset::Points;
use lfs_faces::image::{Part, Pixels, decode, encode_png};
use lfs_formats::landmarks::list;

use crate::template::{Layout, Template};
use crate::transform::Similarity;
use crate::warp::warp;

/// Warps each picture of `cases.txt` (file, six numbers of the matrix, width, height) and writes the crop's bytes beside it.
const SCRIPT: &str = "
import sys, cv2, numpy as np
for line in open(sys.argv[1] + '/cases.txt'):
    name, *numbers = line.split()
    image = cv2.imread(f'{sys.argv[1]}/{name}.png')
    matrix = np.array([float(n) for n in numbers[:6]]).reshape(2, 3)
    size = (int(numbers[6]), int(numbers[7]))
    crop = cv2.warpAffine(image, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=0)
    open(f'{sys.argv[1]}/{name}.raw', 'wb').write(cv2.cvtColor(crop, cv2.COLOR_BGR2RGB).tobytes())
";

/// A picture with sharp edges and noise, in which wrong weights are most visible.
fn made(width: u32, height: u32, mut state: u32) -> Pixels {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let edge = if (x / 6 + y / 5).is_multiple_of(2) { 200 } else { 10 };
            rgb.extend([edge + (state >> 27) as u8, (3 * x) as u8, (state >> 24) as u8]);
        }
    }
    Pixels { width, height, rgb }
}

fn photographs() -> Vec<(Pixels, Points)> {
    let Some(data) = lfs_testing::data("lfw-subset") else { return Vec::new() };
    let text = std::fs::read_to_string(data.join("landmarks.tsv")).unwrap();
    let all = list::read(&text).unwrap().into_iter().step_by(60);
    all.map(|(name, p)| (decode(&std::fs::read(data.join("images").join(name)).unwrap()).unwrap(), p))
        .collect()
}

#[test]
fn crops_are_those_of_opencv_within_one_grey_level() {
    let Some(python) = lfs_testing::python() else { return };
    let mut cases: Vec<(Pixels, Similarity, Layout)> = Vec::new();
    let layouts = [Template::Arcface112, Template::Arcface96x112, Template::Arcface144];
    for (n, (scale, angle, tx, ty)) in [
        (1.0_f64, 0.0_f64, 0.0, 0.0),
        (1.0, 0.0, -20.5, 13.25),
        (0.61, 0.2, 9.7, -30.1),
        (1.9, -0.7, 40.0, 11.9),
        (0.33, 3.0, 100.0, 90.0),
        (2.7, 0.05, -150.3, -171.7),
    ]
    .into_iter()
    .enumerate()
    {
        let transform = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx, ty };
        cases.push((made(170 + 11 * n as u32, 140, n as u32), transform, Layout::of(layouts[n % 3], 112)));
    }
    for (n, (pixels, points)) in photographs().into_iter().enumerate() {
        let layout = Layout::of(layouts[n % 3], 112);
        let transform = Similarity::fit(&points, &layout.points).unwrap();
        cases.push((pixels, transform, layout));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut text = String::new();
    for (n, (pixels, t, layout)) in cases.iter().enumerate() {
        std::fs::write(dir.path().join(format!("{n}.png")), encode_png(pixels).unwrap()).unwrap();
        let matrix = [t.a, -t.b, t.tx, t.b, t.a, t.ty].map(|v| v.to_string()).join(" ");
        let _ = writeln!(text, "{n} {matrix} {} {}", layout.width, layout.height);
    }
    std::fs::write(dir.path().join("cases.txt"), text).unwrap();
    let done = Command::new(python).args(["-c", SCRIPT]).arg(dir.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let (mut all, mut off) = (0_usize, 0_usize);
    for (n, (pixels, t, layout)) in cases.iter().enumerate() {
        let ours = Pixels::from(&warp(&Part::from(pixels), t, layout.width, layout.height).unwrap());
        let theirs = std::fs::read(dir.path().join(format!("{n}.raw"))).unwrap();
        assert_eq!(ours.rgb.len(), theirs.len());
        let here = ours.rgb.iter().zip(&theirs).filter(|(a, b)| a.abs_diff(**b) > 1).count();
        assert!(here * 1000 <= theirs.len(), "case {n}: {here} of {} values", theirs.len());
        (all, off) = (all + theirs.len(), off + here);
    }
    println!("{} crops, {all} values, {off} more than one level off", cases.len());
}
