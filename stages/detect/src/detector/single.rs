//! Single-stage detectors in the ONNX format.
//!
//! The picture is scaled so that its longer side has the number of pixels in the parameters, and is padded with black at the right
//! and below to whole cells of the coarsest feature map. Each detector has a file that interprets the outputs.

mod centerface;
mod scrfd;

use std::path::Path;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{CpuExtensions, FilterType, PixelType, ResizeAlg, ResizeOptions, Resizer};
use lfs_faces::image::Pixels;
use lfs_onnx::Model;
use lfs_stage::{Failure, Result};
use tch::{Device, Kind, Tensor};

pub(super) use centerface::LAYOUT as CENTERFACE;
pub(super) use scrfd::LAYOUT as SCRFD;

use super::{Detector, Found, torch, weights};
use crate::boxes::suppressed;
use crate::options::Options;

/// The sides of the network's input are multiples of this.
const CELL: usize = 32;

/// Extracts the faces with at least the score `least` from all outputs, in pixels of the network's input of the given size.
type Faces = fn(&[Map], size: [usize; 2], least: f32) -> Result<Vec<Found>>;

/// The input and output format of a network.
pub(super) struct Layout {
    /// A pixel `v` becomes `(v - mean) * factor`.
    mean: f32,
    factor: f32,
    /// Checks the outputs that the file declares.
    check: fn(&Model) -> Result<()>,
    faces: Faces,
    /// The threshold of non-maximum suppression (intersection over union).
    overlap: f64,
    /// Whether widths and heights are inclusive in that.
    whole_pixels: bool,
}

/// An output in the memory of the processor.
struct Map {
    shape: Vec<usize>,
    values: Vec<f32>,
}

/// A network with its format.
pub struct Single {
    model: Model,
    layout: &'static Layout,
    device: Device,
    longest: f64,
    min_face: f32,
    min_score: f32,
}

impl Single {
    /// Reads the network.
    ///
    /// # Errors
    /// If there is none, it cannot be read, or its outputs are another detector's.
    pub(super) fn open(
        options: &Options,
        layout: &'static Layout,
        model: &Path,
        device: Device,
    ) -> Result<Self> {
        let path = weights::ending(model, "onnx")?;
        let of_file = |e: Failure| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            Failure { message: format!("{name}: {}", e.message), ..e }
        };
        let model = Model::open(&path, device).map_err(of_file)?;
        if model.inputs().len() != 1 {
            return Err(of_file(Failure::new(format!(
                "it takes {} inputs, a detector takes one",
                model.inputs().len()
            ))));
        }
        (layout.check)(&model).map_err(of_file)?;
        Ok(Self {
            model,
            layout,
            device,
            longest: f64::from(options.longest_side),
            min_face: options.min_face as f32,
            min_score: options.min_score as f32,
        })
    }

    /// Planes of red, green and blue of the scaled and padded picture, and their size.
    fn seen(&self, picture: &Pixels, scale: f64) -> Result<(Vec<f32>, [usize; 2])> {
        let side = |n: u32| ((f64::from(n) * scale).round() as u32).max(1);
        let (width, height) = (side(picture.width), side(picture.height));
        let failed = |e: &dyn std::fmt::Display| Failure::new(format!("a picture cannot be scaled: {e}"));
        let from = ImageRef::new(picture.width, picture.height, &picture.rgb, PixelType::U8x3);
        let from = from.map_err(|e| failed(&e))?;
        let mut to = Image::new(width, height, PixelType::U8x3);
        let mut resizer = plain_resizer();
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        resizer.resize(&from, &mut to, &options).map_err(|e| failed(&e))?;
        let whole = |n: u32| (n as usize).div_ceil(CELL) * CELL;
        let size = [whole(width), whole(height)];
        let plane = size[0] * size[1];
        let value = |v: u8| (f32::from(v) - self.layout.mean) * self.layout.factor;
        let mut planes = vec![value(0); 3 * plane];
        for (y, row) in to.buffer().chunks_exact(width as usize * 3).enumerate() {
            for (x, pixel) in row.chunks_exact(3).enumerate() {
                for (channel, v) in pixel.iter().enumerate() {
                    planes[channel * plane + y * size[0] + x] = value(*v);
                }
            }
        }
        Ok((planes, size))
    }
}

impl Detector for Single {
    fn find(&self, picture: &Pixels) -> Result<Vec<Found>> {
        if picture.width == 0 || picture.height == 0 {
            return Ok(Vec::new());
        }
        let scale = self.longest / f64::from(picture.width.max(picture.height));
        let (planes, size) = self.seen(picture, scale)?;
        let shape = [1, 3, size[1] as i64, size[0] as i64];
        let input = Tensor::f_from_slice(&planes).and_then(|x| x.f_view(shape)?.f_to_device(self.device));
        let outputs = self.model.run(&[torch(input)?])?;
        let maps: Result<Vec<Map>> = outputs.iter().map(|x| torch(map(x))).collect();
        let mut found = (self.layout.faces)(&maps?, size, self.min_score)?;
        for face in &mut found {
            let back = |v: &mut f32| *v = (f64::from(*v) / scale) as f32;
            face.place.iter_mut().for_each(back);
            face.points.as_flattened_mut().iter_mut().for_each(back);
        }
        found.retain(|f| {
            let finite = f.place.iter().chain(f.points.as_flattened()).all(|v| v.is_finite());
            finite && f.place[2] - f.place[0] >= self.min_face && f.place[3] - f.place[1] >= self.min_face
        });
        let scored: Vec<_> = found.iter().map(|f| (f.place, f.score)).collect();
        let overlap = crate::boxes::Overlap::Union { whole_pixels: self.layout.whole_pixels };
        Ok(suppressed(&scored, self.layout.overlap, overlap).into_iter().map(|i| found[i]).collect())
    }

    fn twin(&self) -> Box<dyn Detector> {
        Box::new(Self { model: self.model.twin(), ..*self })
    }
}

/// A resizer that gives the same bytes on every processor.
#[allow(unsafe_code)]
fn plain_resizer() -> Resizer {
    let mut resizer = Resizer::new();
    // SAFETY: no instruction set extension is enabled.
    unsafe { resizer.set_cpu_extensions(CpuExtensions::None) };
    resizer
}

fn map(x: &Tensor) -> Result<Map, tch::TchError> {
    let shape = x.size().iter().map(|n| *n as usize).collect();
    let flat = x.f_to_device(Device::Cpu)?.f_to_kind(Kind::Float)?.f_contiguous()?.f_flatten(0, -1)?;
    Ok(Map { shape, values: Vec::<f32>::try_from(&flat)? })
}
