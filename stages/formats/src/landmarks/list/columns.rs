//! Determines which ten numbers of a line are the points.

use std::collections::BTreeMap;

use super::{Line, order};
use crate::DataError;
use lfs_faces::dataset::Points;

/// The five points of a face at 112 pixels, as the reference shape.
const FACE: [[f64; 2]; 5] = [[38.3, 51.7], [73.5, 51.5], [56.0, 71.7], [41.5, 92.4], [70.7, 92.2]];
/// The maximum mean deviation from the shape of a face for points that are recognised by it.
const ALIKE: f64 = 0.25;

/// The index of the first point, by the number of numbers in a line.
pub(super) fn starts(lines: &[Line]) -> Result<BTreeMap<usize, usize>, DataError> {
    let mut starts = BTreeMap::new();
    for n in [11, 12, 14, 15, 16] {
        let of: Vec<&Line> = lines.iter().filter(|l| l.numbers.len() == n).collect();
        if of.is_empty() {
            continue;
        }
        let start = match n {
            11 => usize::from(has_field_before(&of)?),
            12 => by_shape(&of, &[1], |_, _| true)?,
            _ => by_shape(&of, &(0..=n - 10).collect::<Vec<_>>(), in_a_box)?,
        };
        starts.insert(n, start);
    }
    Ok(starts)
}

/// The start that gives the shape of faces, among the allowed ones.
fn by_shape(lines: &[&Line], allowed: &[usize], fits: fn(&Line, usize) -> bool) -> Result<usize, DataError> {
    let n = lines[0].numbers.len();
    let mean =
        |start: usize| lines.iter().map(|l| unlike(&l.points(start))).sum::<f64>() / lines.len() as f64;
    let most = |start: usize| 2 * lines.iter().filter(|l| fits(l, start)).count() > lines.len();
    let best = (0..=n - 10).map(|start| (mean(start), start)).min_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((unlike, start)) if unlike < ALIKE && allowed.contains(&start) && most(start) => Ok(start),
        _ => Err(DataError::new(format!(
            "lines have {n} numbers, and no ten of them have the shape of faces, or the others are not a label and a score, nor a box \
             around the points; leave a path and ten coordinates"
        ))),
    }
}

/// Whether four consecutive numbers before or after the points are a box that contains the mean of the points.
fn in_a_box(line: &Line, start: usize) -> bool {
    let points = line.points(start);
    let middle = [0, 1].map(|c| points.iter().map(|p| p[c]).sum::<f32>() / 5.0);
    let (before, behind) = (&line.numbers[..start], &line.numbers[start + 10..]);
    before.windows(4).chain(behind.windows(4)).any(|b| {
        let inside = |far: [f32; 2]| (0..2).all(|c| b[c] < middle[c] && middle[c] < far[c]);
        inside([b[2], b[3]]) || inside([b[0] + b[2], b[1] + b[3]])
    })
}

/// Whether the eleventh number precedes the coordinates, rather than follows them.
fn has_field_before(more: &[&Line]) -> Result<bool, DataError> {
    let mean = |skip: usize| order::least_unlike(&more.iter().map(|l| l.points(skip)).collect::<Vec<_>>());
    let (behind, before) = (mean(0), mean(1));
    if before.min(behind) < ALIKE && before.min(behind) < 0.5 * before.max(behind) {
        return Ok(before < behind);
    }
    // Neither reading has the shape of faces: decide by the notation of the numbers.
    let whole = more.iter().all(|l| l.whole);
    let score = more.iter().all(|l| (0.0..=1.0).contains(&l.numbers[10]));
    match (whole, score) {
        (true, false) => Ok(true),
        (false, true) => Ok(false),
        _ => Err(DataError::new(
            "lines have eleven numbers, and neither the first ten nor the last ten have the shape of faces; leave a path and ten \
             coordinates",
        )),
    }
}

/// The deviation of five points from the shape of a face, independent of position, size and rotation: from 0 to 1, the fraction of
/// their variance that no similarity transform of [`FACE`] explains.
pub(super) fn unlike(points: &Points) -> f64 {
    let centred = |p: [[f64; 2]; 5]| {
        let mean = [0, 1].map(|c| p.iter().map(|q| q[c]).sum::<f64>() / 5.0);
        p.map(|q| [q[0] - mean[0], q[1] - mean[1]])
    };
    let (s, d) = (centred(points.map(|p| p.map(f64::from))), centred(FACE));
    let sum = |of: &dyn Fn(usize) -> f64| (0..5).map(of).sum::<f64>();
    let dot = sum(&|k| s[k][0] * d[k][0] + s[k][1] * d[k][1]);
    let cross = sum(&|k| s[k][0] * d[k][1] - s[k][1] * d[k][0]);
    let spread = |p: [[f64; 2]; 5]| p.iter().map(|q| q[0] * q[0] + q[1] * q[1]).sum::<f64>();
    let all = spread(s) * spread(d);
    if all > 0.0 { 1.0 - (dot * dot + cross * cross) / all } else { 1.0 }
}
