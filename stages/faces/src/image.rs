//! Decoding and encoding of images.

use std::io::Cursor;

use crate::DataError;
use ::image::{DynamicImage, ImageFormat, ImageReader, Limits};

mod jpeg;
mod orientation;
mod size;

pub use size::size;

/// The maximum width and height of a decoded image, in pixels. It bounds the memory that a forged header can
/// request.
const MAX_SIDE: u32 = 16_384;
/// The maximum number of decoded pixels.
const MAX_PIXELS: u64 = 100_000_000;

/// An RGB image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pixels {
    /// Width in pixels.
    pub width: u32,
    /// Height in pixels.
    pub height: u32,
    /// `height * width * 3` bytes: rows from the top, pixels from the left, red green blue.
    pub rgb: Vec<u8>,
}

/// A part of a picture: columns `left..right`, rows `top..bottom`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Area {
    /// The first column.
    pub left: u32,
    /// The first row.
    pub top: u32,
    /// One past the last column.
    pub right: u32,
    /// One past the last row.
    pub bottom: u32,
}

impl Area {
    /// The whole of any picture.
    pub const ALL: Self = Self { left: 0, top: 0, right: u32::MAX, bottom: u32::MAX };

    /// The smallest area that contains both.
    pub fn with(&self, other: &Self) -> Self {
        Self {
            left: self.left.min(other.left),
            top: self.top.min(other.top),
            right: self.right.max(other.right),
            bottom: self.bottom.max(other.bottom),
        }
    }

    /// The part of it inside a picture of the given size.
    pub fn within(&self, width: u32, height: u32) -> Self {
        let (right, bottom) = (self.right.min(width), self.bottom.min(height));
        Self { left: self.left.min(right), top: self.top.min(bottom), right, bottom }
    }
}

/// A part of an RGB image, in a layout that is fast to compute with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The whole picture's width in pixels.
    pub width: u32,
    /// The whole picture's height in pixels.
    pub height: u32,
    /// The position of the part in the picture.
    pub area: Area,
    /// Rows from the top, pixels from the left: red, green, blue, and an unused byte.
    pub pixels: Vec<[u8; 4]>,
}

impl From<&Pixels> for Part {
    /// The whole picture.
    fn from(p: &Pixels) -> Self {
        let pixels = p.rgb.as_chunks::<3>().0.iter().map(|&[r, g, b]| [r, g, b, 0]).collect();
        let area = Area { left: 0, top: 0, right: p.width, bottom: p.height };
        Self { width: p.width, height: p.height, area, pixels }
    }
}

impl From<&Part> for Pixels {
    /// The content of the part as a picture of its own.
    fn from(p: &Part) -> Self {
        let (width, height) = (p.area.right - p.area.left, p.area.bottom - p.area.top);
        Self { width, height, rgb: p.pixels.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect() }
    }
}

/// Decodes at least the given part, which is cheaper than the whole picture ([`decode`]). The pixels are the
/// same as in the whole picture, and damage anywhere in the file is an error.
///
/// # Errors
/// As for [`decode`].
pub fn decode_part(bytes: &[u8], area: &Area) -> Result<Part, DataError> {
    if let Some(part) = jpeg::part(bytes, area) {
        return Ok(part);
    }
    decode(bytes).map(|whole| Part::from(&whole))
}

/// Decodes JPEG, PNG, PNM, BMP or WebP, detected by their first bytes. Grey and CMYK become RGB; transparency
/// is dropped.
///
/// The EXIF orientation (tag 274; JPEG, PNG, WebP) is applied, so that pixels and landmarks are as an image
/// viewer shows them. All code that needs pixels goes through this function.
///
/// JPEG files are read as by libjpeg: baseline and progressive, any chroma subsampling, stray bytes between
/// segments, damaged metadata, a missing end marker. Two things are rejected that libjpeg (not every build of
/// it) reads: arithmetic coding, and truncated data, which libjpeg pads with grey.
///
/// # Errors
/// If the bytes are in no such format, damaged or truncated (a partial picture is never returned), or the
/// image is larger than 100 megapixels.
pub fn decode(bytes: &[u8]) -> Result<Pixels, DataError> {
    match bytes {
        [] => Err(DataError::new("the image has no bytes")),
        [0xff, 0xd8, ..] => jpeg::decode(bytes).map(|(pixels, turn)| orientation::turn(pixels, turn)),
        _ => decode_other(bytes).map(|pixels| orientation::turn(pixels, orientation::of(bytes))),
    }
}

fn decode_other(bytes: &[u8]) -> Result<Pixels, DataError> {
    let fail = |e: &dyn std::fmt::Display| DataError::new(format!("the image cannot be decoded: {e}"));
    let reader = ImageReader::new(Cursor::new(bytes)).with_guessed_format().map_err(|e| fail(&e))?;
    let known = [ImageFormat::Png, ImageFormat::Pnm, ImageFormat::Bmp, ImageFormat::WebP];
    if !reader.format().is_some_and(|f| known.contains(&f)) {
        let start: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
        return Err(DataError::new(format!(
            "expected a JPEG, PNG, PNM, BMP or WebP image, found {} bytes that start with {}",
            bytes.len(),
            start.join(" ")
        )));
    }
    let mut reader = reader;
    let mut limits = Limits::default();
    limits.max_image_width = Some(MAX_SIDE);
    limits.max_image_height = Some(MAX_SIDE);
    limits.max_alloc = Some(MAX_PIXELS * 8);
    reader.limits(limits);
    let image = reader.decode().map_err(|e| fail(&e))?;
    check_size(image.width(), image.height())?;
    let image = match image {
        DynamicImage::ImageRgb8(rgb) => rgb,
        other => other.to_rgb8(),
    };
    sized(image.width(), image.height(), image.into_raw())
}

fn check_size(width: u32, height: u32) -> Result<(), DataError> {
    if width == 0 || height == 0 || u64::from(width) * u64::from(height) > MAX_PIXELS {
        return Err(DataError::new(format!(
            "the image is {width}x{height} pixels; 1 to {MAX_PIXELS} are accepted"
        )));
    }
    Ok(())
}

fn sized(width: u32, height: u32, rgb: Vec<u8>) -> Result<Pixels, DataError> {
    let wanted = width as usize * height as usize * 3;
    if rgb.len() != wanted {
        return Err(DataError::new(format!(
            "a {width}x{height} image has {wanted} bytes of pixels, found {}",
            rgb.len()
        )));
    }
    Ok(Pixels { width, height, rgb })
}

/// Encodes as baseline JPEG with the standard tables at `quality` (1 to 100). Chroma is subsampled by two in
/// both directions below quality 90, and not subsampled from 90. The bytes depend on nothing but pixels and
/// quality.
///
/// # Errors
/// If the dimensions do not match the pixels, or a side exceeds 65,535.
pub fn encode_jpeg(p: &Pixels, quality: u8) -> Result<Vec<u8>, DataError> {
    let size = sides(p.width, p.height)?;
    if let Some(bytes) = jpeg::encode(size, p.rgb.as_chunks::<3>().0, quality.clamp(1, 100), true) {
        return Ok(bytes);
    }
    let fail = |e| DataError::new(format!("the image cannot be written as JPEG: {e}"));
    let mut out = Vec::with_capacity(p.rgb.len() / 4 + 1024);
    let encoder = jpeg_encoder::Encoder::new(&mut out, quality.clamp(1, 100));
    encoder.encode(&p.rgb, size.0, size.1, jpeg_encoder::ColorType::Rgb).map_err(fail)?;
    Ok(out)
}

/// Encodes a part, as [`encode_jpeg`] does.
///
/// # Errors
/// As for [`encode_jpeg`].
pub fn encode_jpeg_part(p: &Part, quality: u8) -> Result<Vec<u8>, DataError> {
    let size = sides(p.area.right - p.area.left, p.area.bottom - p.area.top)?;
    match jpeg::encode(size, &p.pixels, quality.clamp(1, 100), true) {
        Some(bytes) => Ok(bytes),
        None => encode_jpeg(&Pixels::from(p), quality),
    }
}

/// Width and height as JPEG stores them.
fn sides(width: u32, height: u32) -> Result<(u16, u16), DataError> {
    match (u16::try_from(width), u16::try_from(height)) {
        (Ok(width), Ok(height)) => Ok((width, height)),
        _ => Err(DataError::new(format!(
            "the image cannot be written as JPEG: it is {width}x{height} pixels, and a side has 65,535 at most"
        ))),
    }
}

/// Encodes as PNG, which is lossless.
///
/// # Errors
/// If the dimensions do not match the pixels.
pub fn encode_png(p: &Pixels) -> Result<Vec<u8>, DataError> {
    let fail = |e: &dyn std::fmt::Display| DataError::new(format!("the image cannot be written as PNG: {e}"));
    let image = ::image::RgbImage::from_raw(p.width, p.height, p.rgb.clone())
        .ok_or_else(|| fail(&format!("{} bytes are not {}x{} pixels", p.rgb.len(), p.width, p.height)))?;
    let mut out = Cursor::new(Vec::new());
    image.write_to(&mut out, ImageFormat::Png).map_err(|e| fail(&e))?;
    Ok(out.into_inner())
}

#[cfg(test)]
mod tests;
