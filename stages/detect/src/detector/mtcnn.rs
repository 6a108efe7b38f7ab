//! MTCNN: three networks in cascade (Zhang et al. 2016, "Joint Face Detection and Alignment Using Multitask Cascaded Convolutional
//! Networks").
//!
//! The first network scans a pyramid of scaled pictures and proposes boxes; the second scores each box at 24 x 24 pixels and moves
//! it; the third does so at 48 x 48 and gives five points. Non-maximum suppression follows each network. Rounding, bounds and all
//! orders are those of the Python package facenet-pytorch 2.6.0, and so are the detected faces, within the last bits of the
//! arithmetic.

mod nets;

use std::path::Path;

use lfs_faces::dataset::Points;
use lfs_faces::image::Pixels;
use lfs_stage::Result;

use super::{Box4, Detector, Found};
use crate::area::{Part, resized};
use crate::boxes::{Overlap, moved, square, suppressed};
use crate::options::Options;
use nets::{Net, ONET, PNET, RNET};

/// The receptive field of the first network, and its stride.
const FIELD: usize = 12;
const STRIDE: usize = 2;
/// Scaled pictures are processed in bands of at most this many pixels, which bounds the memory.
const BAND: usize = 1 << 18;
/// The overlap measure for the first two networks.
const UNION: Overlap = Overlap::Union { whole_pixels: false };
/// The number of boxes in a batch.
const BATCH: usize = 128;

/// The three networks.
pub struct Mtcnn {
    propose: Net,
    refine: Net,
    output: Net,
    device: tch::Device,
    /// The minimum score of each network.
    least: [f32; 3],
    min_face: f64,
    factor: f64,
}

/// A box that the first network proposes.
struct Proposal {
    place: Box4,
    score: f32,
    by: [f32; 4],
}

impl Mtcnn {
    /// Reads the weights.
    ///
    /// # Errors
    /// If a file is missing or does not have the tensors of its network.
    pub fn open(options: &Options, model: &Path, device: tch::Device) -> Result<Self> {
        Ok(Self {
            propose: PNET.open(model, device)?,
            refine: RNET.open(model, device)?,
            output: ONET.open(model, device)?,
            device,
            least: [options.proposal_score, options.refine_score, options.min_score].map(|s| s as f32),
            min_face: f64::from(options.min_face),
            factor: options.scale_factor,
        })
    }

    /// The scales of the pyramid.
    fn scales(&self, picture: &Pixels) -> Vec<f64> {
        let first = FIELD as f64 / self.min_face;
        let mut side = f64::from(picture.width.min(picture.height)) * first;
        let mut scale = first;
        let mut all = Vec::new();
        while side >= FIELD as f64 {
            all.push(scale);
            scale *= self.factor;
            side *= self.factor;
        }
        all
    }

    /// The boxes that the first network proposes at one scale, row by row.
    fn proposals(&self, picture: &Pixels, scale: f64) -> Result<Vec<Proposal>> {
        let side = |n: u32| (f64::from(n) * scale + 1.0) as usize;
        let (width, height) = (side(picture.width), side(picture.height));
        let mut out = Vec::new();
        // The number of output positions for `n` pixels: the pooling layer rounds up.
        let places = |n: usize| ((n - 2).div_ceil(2) + 1).saturating_sub(FIELD / 2 - 1);
        let (rows, columns) = (places(height), places(width));
        let band = (BAND / width / STRIDE).saturating_sub(FIELD / STRIDE).max(FIELD);
        let mut pixels = Vec::new();
        for start in (0..rows).step_by(band) {
            let end = (start + band).min(rows);
            let below = if end == rows { height } else { end * STRIDE + FIELD - STRIDE };
            pixels.clear();
            resized(picture, Part::whole(picture), [width, height], start * STRIDE..below, &mut pixels);
            let shape = [1, 3, (below - start * STRIDE) as i64, width as i64];
            let maps = self.propose.run(&pixels, &shape, self.device)?;
            let plane = (end - start) * columns;
            for at in 0..plane {
                let score = probability(maps[at], maps[plane + at]);
                if score >= self.least[0] {
                    let (x, y) = (at % columns, start + at / columns);
                    let corner =
                        |place: usize, more: usize| ((STRIDE * place + more) as f32 / scale as f32).floor();
                    out.push(Proposal {
                        place: [corner(x, 1), corner(y, 1), corner(x, FIELD), corner(y, FIELD)],
                        score,
                        by: [2, 3, 4, 5].map(|k| maps[k * plane + at]),
                    });
                }
            }
        }
        Ok(out)
    }

    /// The output of a network for each box that intersects the picture.
    fn judged(
        &self,
        net: &Net,
        side: usize,
        picture: &Pixels,
        boxes: &[Box4],
    ) -> Result<Vec<(Box4, Vec<f32>)>> {
        let mut inside = Vec::new();
        for b in boxes {
            // Coordinates of boxes start at 1.
            let [left, top, right, bottom] = b.map(|c| c as i64);
            inside.extend(
                Part::within(picture, [left.saturating_sub(1), top.saturating_sub(1), right, bottom])
                    .map(|part| (*b, part)),
            );
        }
        let mut out = Vec::with_capacity(inside.len());
        let mut pixels = Vec::new();
        for some in inside.chunks(BATCH) {
            pixels.clear();
            for (_, part) in some {
                resized(picture, *part, [side, side], 0..side, &mut pixels);
            }
            let shape = [some.len() as i64, 3, side as i64, side as i64];
            let rows = self.output_rows(net, &pixels, &shape)?;
            out.extend(some.iter().map(|(b, _)| *b).zip(rows));
        }
        Ok(out)
    }

    fn output_rows(&self, net: &Net, pixels: &[f32], shape: &[i64]) -> Result<Vec<Vec<f32>>> {
        let all = net.run(pixels, shape, self.device)?;
        Ok(all.chunks_exact(net.outputs()).map(<[f32]>::to_vec).collect())
    }
}

impl Detector for Mtcnn {
    fn find(&self, picture: &Pixels) -> Result<Vec<Found>> {
        let mut proposed = Vec::new();
        for scale in self.scales(picture) {
            let all = self.proposals(picture, scale)?;
            let stay = stay(&all, 0.5);
            proposed.extend(picked(all, stay));
        }
        let stay = stay(&proposed, 0.7);
        let boxes: Vec<Box4> =
            picked(proposed, stay).into_iter().map(|p| square(moved(p.place, &p.by, 0.0))).collect();

        let mut judged = self.judged(&self.refine, 24, picture, &boxes)?;
        judged.retain(|(_, row)| probability(row[0], row[1]) > self.least[1]);
        let scored: Vec<(Box4, f32)> =
            judged.iter().map(|(b, row)| (*b, probability(row[0], row[1]))).collect();
        let stay = suppressed(&scored, 0.7, UNION);
        let boxes: Vec<Box4> =
            stay.iter().map(|&i| square(moved(judged[i].0, &judged[i].1[2..6], 1.0))).collect();

        let mut found = Vec::new();
        for (b, row) in self.judged(&self.output, 48, picture, &boxes)? {
            let score = probability(row[0], row[1]);
            if score > self.least[2] {
                found.push(Found { score, place: moved(b, &row[2..6], 1.0), points: points(b, &row[6..16]) });
            }
        }
        found.retain(|f| f.place.iter().chain(f.points.as_flattened()).all(|v| v.is_finite()));
        let scored: Vec<(Box4, f32)> = found.iter().map(|f| (f.place, f.score)).collect();
        Ok(suppressed(&scored, 0.7, Overlap::Smaller).into_iter().map(|i| found[i]).collect())
    }

    fn twin(&self) -> Box<dyn Detector> {
        Box::new(Self {
            propose: self.propose.twin(),
            refine: self.refine.twin(),
            output: self.output.twin(),
            ..*self
        })
    }
}

fn stay(proposals: &[Proposal], most: f64) -> Vec<usize> {
    let scored: Vec<(Box4, f32)> = proposals.iter().map(|p| (p.place, p.score)).collect();
    suppressed(&scored, most, UNION)
}

fn picked(proposals: Vec<Proposal>, places: Vec<usize>) -> Vec<Proposal> {
    let mut all: Vec<Option<Proposal>> = proposals.into_iter().map(Some).collect();
    places.into_iter().filter_map(|i| all.get_mut(i)?.take()).collect()
}

/// Softmax of two logits, with the single-precision steps of libtorch: the choice between boxes depends on which scores near 1 are
/// equal. The exponential is rounded from double precision, so that it is the same on every machine.
fn probability(no: f32, yes: f32) -> f32 {
    let most = no.max(yes);
    let [no, yes] = [no, yes].map(|logit| libm::exp(f64::from(logit - most)) as f32);
    yes / (no + yes)
}

/// Five points from fractions of a box: all x first, then all y.
fn points(b: Box4, fractions: &[f32]) -> Points {
    let (width, height) = (b[2] - b[0] + 1.0, b[3] - b[1] + 1.0);
    let (x, y) = fractions.split_at(5);
    let mut out = Points::default();
    for (point, (x, y)) in out.iter_mut().zip(x.iter().zip(y)) {
        *point = [width * x + b[0] - 1.0, height * y + b[1] - 1.0];
    }
    out
}
