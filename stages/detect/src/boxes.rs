//! Boxes, and non-maximum suppression.

use crate::detector::Box4;

/// How the overlap of two boxes is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    /// Intersection over union.
    Union {
        /// Widths and heights are inclusive: a box of one pixel has the side 1, not 0.
        whole_pixels: bool,
    },
    /// Intersection over the area of the smaller box, with inclusive widths and heights.
    Smaller,
}

/// The maximum number of boxes to compare, a bound on the cost of noise in an enormous picture.
const MOST: usize = 16_384;

/// Non-maximum suppression: the indices of the remaining boxes, best score first. A box is removed when it overlaps a better one by
/// more than `most`. Of equal scores the first one counts as the better, or the last one for [`Overlap::Smaller`]. (Many boxes of
/// near faces have the score 1, and this rule decides in facenet-pytorch.)
pub(crate) fn suppressed(boxes: &[(Box4, f32)], most: f64, overlap: Overlap) -> Vec<usize> {
    let mut order: Vec<usize> = (0..boxes.len()).collect();
    if overlap == Overlap::Smaller {
        order.reverse();
    }
    order.sort_by(|a, b| boxes[*b].1.total_cmp(&boxes[*a].1));
    order.truncate(MOST);
    let mut kept: Vec<usize> = Vec::new();
    let extra = if overlap == (Overlap::Union { whole_pixels: false }) { 0.0 } else { 1.0 };
    let area = |b: &Box4| (b[2] - b[0] + extra) * (b[3] - b[1] + extra);
    for i in order {
        let (this, own) = (&boxes[i].0, area(&boxes[i].0));
        let hidden = kept.iter().any(|&k| {
            let other = &boxes[k].0;
            let width = (this[2].min(other[2]) - this[0].max(other[0]) + extra).max(0.0);
            let height = (this[3].min(other[3]) - this[1].max(other[1]) + extra).max(0.0);
            let (both, others) = (width * height, area(other));
            let whole = match overlap {
                Overlap::Union { .. } => own + others - both,
                Overlap::Smaller => own.min(others),
            };
            f64::from(both / whole) > most
        });
        if !hidden {
            kept.push(i);
        }
    }
    kept
}

/// The square with the same centre and the longer side of a box.
pub(crate) fn square([left, top, right, bottom]: Box4) -> Box4 {
    let (width, height) = (right - left, bottom - top);
    let side = width.max(height);
    let (left, top) = (left + width * 0.5 - side * 0.5, top + height * 0.5 - side * 0.5);
    [left, top, left + side, top + side]
}

/// Moves the sides of a box by these fractions of its size; `extra` is added to the differences of the coordinates to get the size.
pub(crate) fn moved(b: Box4, by: &[f32], extra: f32) -> Box4 {
    let (width, height) = (b[2] - b[0] + extra, b[3] - b[1] + extra);
    let by = |k: usize| by.get(k).copied().unwrap_or(0.0);
    [b[0] + by(0) * width, b[1] + by(1) * height, b[2] + by(2) * width, b[3] + by(3) * height]
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNION: Overlap = Overlap::Union { whole_pixels: false };

    #[test]
    fn a_box_is_removed_if_it_overlaps_a_better_one() {
        // The first two share 50 of 150; the third lies inside the second, and is 25 of its 100.
        let boxes =
            [([0.0, 0.0, 10.0, 10.0], 0.8), ([5.0, 0.0, 15.0, 10.0], 0.9), ([10.0, 0.0, 15.0, 5.0], 0.7)];
        assert_eq!(suppressed(&boxes, 0.3, UNION), [1, 2]);
        assert_eq!(suppressed(&boxes, 0.34, UNION), [1, 0, 2]);
        assert_eq!(suppressed(&boxes, 0.7, Overlap::Smaller), [1, 0]);
    }
}
