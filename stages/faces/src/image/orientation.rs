//! The EXIF orientation (tag 274).

use super::Pixels;

/// The value of tag 274 for an upright picture.
const UPRIGHT: u8 = 1;

/// The orientation of a PNG or WebP picture; upright if it has no such tag.
pub(super) fn of(bytes: &[u8]) -> u8 {
    let found = match bytes {
        [0x89, b'P', b'N', b'G', ..] => png(bytes),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => webp(bytes),
        _ => None,
    };
    found.unwrap_or(UPRIGHT)
}

/// The chunk `eXIf` of a PNG file, before or after the pixels.
fn png(bytes: &[u8]) -> Option<u8> {
    let mut rest = bytes.get(8..)?;
    loop {
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let kind = rest.get(4..8)?;
        let content = rest.get(8..8_usize.checked_add(length)?)?;
        if kind == b"eXIf" {
            return in_exif(content);
        }
        rest = rest.get(length.checked_add(12)?..)?;
    }
}

/// The chunk `EXIF` of a WebP file. Chunks have an even length.
fn webp(bytes: &[u8]) -> Option<u8> {
    let mut rest = bytes.get(12..)?;
    loop {
        let kind = rest.get(..4)?;
        let length = u32::from_le_bytes(*rest.get(4..)?.first_chunk()?) as usize;
        let content = rest.get(8..8_usize.checked_add(length)?)?;
        if kind == b"EXIF" {
            return in_exif(content);
        }
        rest = rest.get(8_usize.checked_add(length)?.checked_next_multiple_of(2)?..)?;
    }
}

/// The value of tag 274 (1 to 8) in an EXIF block, with or without the six-byte prefix of a JPEG segment;
/// none if the tag is missing or its value is invalid.
pub(super) fn in_exif(block: &[u8]) -> Option<u8> {
    let tiff = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let big = match tiff.first_chunk()? {
        b"MM\0*" => true,
        b"II*\0" => false,
        _ => return None,
    };
    let two = |at: usize| {
        let b = *tiff.get(at..)?.first_chunk()?;
        Some(if big { u16::from_be_bytes(b) } else { u16::from_le_bytes(b) })
    };
    let four = |at: usize| {
        let b = *tiff.get(at..)?.first_chunk()?;
        Some(if big { u32::from_be_bytes(b) } else { u32::from_le_bytes(b) })
    };
    // The first directory describes the picture, later ones the thumbnail.
    let start = four(4)? as usize;
    for entry in 0..usize::from(two(start)?) {
        let at = start.checked_add(2 + 12 * entry)?;
        if two(at)? != 274 {
            continue;
        }
        let value = match two(at + 2)? {
            1 => u32::from(*tiff.get(at + 8)?),
            3 => u32::from(two(at + 8)?),
            4 => four(at + 8)?,
            _ => return None,
        };
        return u8::try_from(value).ok().filter(|v| (1..=8).contains(v));
    }
    None
}

/// Rotates and flips the picture as a viewer shows it.
pub(super) fn turn(stored: Pixels, orientation: u8) -> Pixels {
    let (w, h) = (stored.width as usize, stored.height as usize);
    // Maps a position in the upright picture to the position in the file.
    let from: fn(usize, usize, usize, usize) -> (usize, usize) = match orientation {
        2 => |x, y, w, _| (w - 1 - x, y),
        3 => |x, y, w, h| (w - 1 - x, h - 1 - y),
        4 => |x, y, _, h| (x, h - 1 - y),
        5 => |x, y, _, _| (y, x),
        6 => |x, y, _, h| (y, h - 1 - x),
        7 => |x, y, w, h| (w - 1 - y, h - 1 - x),
        8 => |x, y, w, _| (w - 1 - y, x),
        _ => return stored,
    };
    let (width, height) = if orientation < 5 { (w, h) } else { (h, w) };
    let mut rgb = Vec::with_capacity(stored.rgb.len());
    for y in 0..height {
        for x in 0..width {
            let (sx, sy) = from(x, y, w, h);
            rgb.extend_from_slice(&stored.rgb[(sy * w + sx) * 3..][..3]);
        }
    }
    Pixels { width: width as u32, height: height as u32, rgb }
}
