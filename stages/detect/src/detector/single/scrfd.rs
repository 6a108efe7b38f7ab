//! SCRFD (Guo et al. 2022, "Sample and Computation Redistribution for Efficient Face Detection"), in the format of InsightFace's
//! model packs (det_10g.onnx, det_500m.onnx, scrfd_2.5g_bnkps.onnx).
//!
//! Three strides (8, 16, 32; two anchors a cell) or five (8 to 128; one anchor a cell). Each has a table with one row for each
//! anchor, in the order of the picture's rows. The outputs are first all scores, then the distances of the box's four sides, then
//! those of five points, all in strides. Models without points lack the third group.

use lfs_faces::dataset::Points;
use lfs_onnx::Model;
use lfs_stage::{Failure, Result};

use super::{Found, Layout, Map};

pub(in crate::detector) static LAYOUT: Layout =
    Layout { mean: 127.5, factor: 1.0 / 128.0, check, faces, overlap: 0.4, whole_pixels: true };

/// The number of columns of each group.
const PARTS: [usize; 3] = [1, 4, 10];

fn check(model: &Model) -> Result<()> {
    match model.outputs().len() {
        9 | 15 => Ok(()),
        6 | 10 => Err(Failure::new("this SCRFD finds faces without points, which are needed to align them")
            .help("take a model whose name has `kps`, or det_10g.onnx of InsightFace's buffalo_l")),
        other => Err(Failure::new(format!(
            "it gives {other} outputs; SCRFD with points gives 9 (three strides) or 15 (five)"
        ))),
    }
}

fn faces(maps: &[Map], [width, height]: [usize; 2], least: f32) -> Result<Vec<Found>> {
    let strides: &[usize] = if maps.len() == 9 { &[8, 16, 32] } else { &[8, 16, 32, 64, 128] };
    let anchors = if strides.len() == 3 { 2 } else { 1 };
    let mut found = Vec::new();
    for (level, stride) in strides.iter().enumerate() {
        // Coarse maps of a picture that is no multiple of their stride round up, as the convolutions do.
        let (columns, rows) = (width.div_ceil(*stride), height.div_ceil(*stride));
        let count = rows * columns * anchors;
        let mut parts = [&[] as &[f32]; 3];
        for (part, values) in parts.iter_mut().enumerate() {
            let map = maps.get(level + part * strides.len());
            let Some(map) = map.filter(|map| map.values.len() == count * PARTS[part]) else {
                let shapes: Vec<_> = maps.iter().map(|m| &m.shape).collect();
                return Err(Failure::new(format!(
                    "for a picture of {width} x {height} pixels SCRFD gives {count} rows at stride {stride}; the outputs have the \
                     shapes {shapes:?}"
                )));
            };
            *values = &map.values;
        }
        for at in (0..count).filter(|at| parts[0][*at] >= least) {
            let (cell, unit) = (at / anchors, *stride as f32);
            let centre = [(cell % columns) as f32 * unit, (cell / columns) as f32 * unit];
            let side = |k: usize| parts[1][at * 4 + k] * unit;
            let place = [centre[0] - side(0), centre[1] - side(1), centre[0] + side(2), centre[1] + side(3)];
            let mut points = Points::default();
            for (k, v) in points.as_flattened_mut().iter_mut().enumerate() {
                *v = centre[k % 2] + parts[2][at * 10 + k] * unit;
            }
            found.push(Found { score: parts[0][at], place, points });
        }
    }
    Ok(found)
}
