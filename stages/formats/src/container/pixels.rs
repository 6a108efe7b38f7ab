//! Encodes raw pixels of a container losslessly, so that they can be handled like other images.

use lfs_faces::image::{Pixels, encode_png};

use crate::DataError;

/// The memory layout of pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layout {
    /// Row-major, with the channels of a pixel adjacent.
    Interleaved,
    /// One plane for each channel.
    Planar,
}

/// Encodes grey or three-channel pixels as PNG. `blue_first`: whether the first channel is blue, as in OpenCV.
///
/// # Errors
/// If the number of bytes does not fit the sides.
pub(super) fn png(
    bytes: &[u8],
    (width, height): (usize, usize),
    channels: usize,
    layout: Layout,
    blue_first: bool,
) -> Result<Vec<u8>, DataError> {
    let area = width.checked_mul(height).filter(|a| (1..=100_000_000).contains(a));
    let fits = area.filter(|a| matches!(channels, 1 | 3) && bytes.len() == a * channels);
    let Some(area) = fits else {
        return Err(DataError::new(format!(
            "{} bytes are not the pixels of {width}x{height} with {channels} channels",
            bytes.len()
        )));
    };
    let at = |pixel: usize, channel: usize| match (channels, layout) {
        (1, _) => bytes[pixel],
        (_, Layout::Interleaved) => bytes[pixel * 3 + channel],
        (_, Layout::Planar) => bytes[channel * area + pixel],
    };
    let order = if blue_first { [2, 1, 0] } else { [0, 1, 2] };
    let rgb = (0..area).flat_map(|pixel| order.map(|channel| at(pixel, channel))).collect();
    let side = |n: usize| u32::try_from(n).map_err(|e| DataError::new(e.to_string()));
    encode_png(&Pixels { width: side(width)?, height: side(height)?, rgb })
}
