//! The size of an encoded image, from its header alone.

use std::io::Cursor;

use ::image::ImageReader;

use crate::DataError;

/// Width and height in pixels as stored in the file: EXIF orientation is ignored, and nothing is decoded.
///
/// # Errors
/// If [`super::decode`] does not read the format, or the bytes end before the size.
pub fn size(bytes: &[u8]) -> Result<(u32, u32), DataError> {
    match bytes {
        [0xff, 0xd8, rest @ ..] => jpeg(rest),
        _ => ImageReader::new(Cursor::new(bytes))
            .with_guessed_format()
            .map_err(|e| e.to_string())
            .and_then(|r| r.into_dimensions().map_err(|e| e.to_string()))
            .map_err(|e| DataError::new(format!("the image's size cannot be read: {e}"))),
    }
}

/// The frame header among the segments.
fn jpeg(mut rest: &[u8]) -> Result<(u32, u32), DataError> {
    let none = || DataError::new("the image's size cannot be read: the JPEG has no frame header");
    loop {
        // Skip fill bytes and stray bytes before a marker.
        let at = rest.windows(2).position(|w| w[0] == 0xff && !matches!(w[1], 0 | 0xff)).ok_or_else(none)?;
        let marker = rest[at + 1];
        rest = &rest[at + 2..];
        match marker {
            0x01 | 0xd0..=0xd8 => continue,
            0xd9 | 0xda => return Err(none()),
            _ => {}
        }
        let (length, body) = rest.split_first_chunk::<2>().ok_or_else(none)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
            let &[_, h1, h0, w1, w0, ..] = body else { return Err(none()) };
            return Ok((u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into()));
        }
        rest = rest.get(length.max(2)..).ok_or_else(none)?;
    }
}
