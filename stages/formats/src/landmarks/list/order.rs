//! Determines the order of the ten numbers in a line.

use super::columns::unlike;
use lfs_faces::dataset::Points;

/// Lists with fewer faces are not reordered: a single face may have any shape.
const ENOUGH: usize = 3;
/// The minimum mean deviation from the shape of faces for points in the wrong order. Points in the right order have 0.02 (LFW),
/// those in the orders below 0.53 and more.
const WRONG: f64 = 0.4;
/// The maximum deviation in the order that is used instead.
const RIGHT: f64 = 0.15;

/// For each number of the standard order, its index in a line.
type Order = [usize; 10];

/// An order of points, with x before y.
const fn points(of: [usize; 5]) -> Order {
    let mut order = [0; 10];
    let mut k = 0;
    while k < 10 {
        order[k] = 2 * of[k / 2] + k % 2;
        k += 1;
    }
    order
}

/// The recognised orders.
const OTHERS: [Order; 11] = [
    // All x, then all y.
    [0, 5, 1, 6, 2, 7, 3, 8, 4, 9],
    // y before x; all y, then all x.
    [1, 0, 3, 2, 5, 4, 7, 6, 9, 8],
    [5, 0, 6, 1, 7, 2, 8, 3, 9, 4],
    // Left and right from the person's view; of the eyes alone, of the mouth alone.
    points([1, 0, 2, 4, 3]),
    points([1, 0, 2, 3, 4]),
    points([0, 1, 2, 4, 3]),
    // Eyes, mouth, nose; the same with left and right from the person's view.
    points([0, 1, 4, 2, 3]),
    points([1, 0, 4, 3, 2]),
    // Nose, eyes, mouth; mouth, eyes, nose; mouth, nose, eyes.
    points([1, 2, 0, 3, 4]),
    points([2, 3, 4, 0, 1]),
    points([3, 4, 2, 0, 1]),
];

fn arranged(points: &Points, order: &Order) -> Points {
    let mut out = Points::default();
    for (to, from) in out.as_flattened_mut().iter_mut().zip(order) {
        *to = points.as_flattened()[*from];
    }
    out
}

/// The mean deviation from the shape of faces, in the best order for all.
pub(super) fn least_unlike(all: &[Points]) -> f64 {
    let mean = |order: Option<&Order>| {
        all.iter().map(|p| order.map_or_else(|| unlike(p), |o| unlike(&arranged(p, o)))).sum::<f64>()
            / all.len() as f64
    };
    let others = if all.len() < ENOUGH { &[][..] } else { &OTHERS[..] };
    others.iter().map(|o| mean(Some(o))).fold(mean(None), f64::min)
}

/// Converts points that are all in the same other order to the standard order: left eye, right eye, nose, left and right mouth
/// corner, x before y. The order is determined by the shape of faces; if no order gives that shape, nothing is changed.
pub(super) fn put_right<'a>(all: impl Iterator<Item = &'a mut Points>) {
    let mut all: Vec<&mut Points> = all.collect();
    let mean = |order: Option<&Order>| {
        let one = |p: &&mut Points| order.map_or_else(|| unlike(p), |o| unlike(&arranged(p, o)));
        all.iter().map(one).sum::<f64>() / all.len() as f64
    };
    if all.len() < ENOUGH || mean(None) <= WRONG {
        return;
    }
    let best = OTHERS.iter().map(|o| (mean(Some(o)), o)).min_by(|a, b| a.0.total_cmp(&b.0));
    if let Some((unlike, order)) = best
        && unlike < RIGHT
    {
        for points in &mut all {
            **points = arranged(points, order);
        }
    }
}
