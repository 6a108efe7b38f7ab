//! JPEG, read as by libjpeg, which most programs of the field use.
//!
//! A file that conforms to the standard is passed to the decoder unchanged. Otherwise, what libjpeg accepts
//! with a warning is repaired first: stray bytes between marker segments, incomplete metadata, a missing end
//! marker. Truncated data remains an error, where libjpeg fills the rest with grey: a partial picture is
//! worthless.
//!
//! There are three decoders. Nearly all files are baseline with one scan, no stray bytes, and upright;
//! [`part`] reads these, with the same result as `zune-jpeg`. `zune-jpeg` reads the others, except for some
//! rare files that it decodes wrongly or not at all. Those are left to the third decoder: files whose first
//! component does not have the highest sampling factors or with a component sampled three times, and
//! sequential files with a scan for each component.

use std::borrow::Cow;
use std::ops::Range;

use jpeg_decoder::PixelFormat;
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{MAX_SIDE, Pixels, check_size, orientation, sized};
use crate::DataError;
use crate::image::{Area, Part};

mod colour;
mod encode;
mod fdct;
mod frame;
mod huffman;
mod idct;
mod part;
#[cfg(target_arch = "x86_64")]
mod vectors;

/// A part of a common file that needs no rotation; none for all other files, which [`decode`] reads or
/// rejects.
pub(super) fn part(bytes: &[u8], area: &Area) -> Option<Part> {
    let walk = bytes.starts_with(&[0xff, 0xd8]).then(|| Walk::through(bytes))?;
    if walk.orientation.is_some_and(|o| o != 1) {
        return None;
    }
    let frame = walk.usual(bytes)?;
    let (width, height) = (frame.width as u32, frame.height as u32);
    let area = area.within(width, height);
    Some(Part { width, height, area, pixels: part::decode(&frame, &area, true)? })
}

/// A common file as a whole; none for other files.
#[cfg(test)]
pub(super) fn usual_file(bytes: &[u8], vectors: bool) -> Option<Pixels> {
    Walk::through(bytes).usual(bytes).and_then(|frame| all(&frame, vectors))
}

/// A common file as a whole.
fn all(frame: &frame::Frame<'_>, vectors: bool) -> Option<Pixels> {
    let (width, height) = (frame.width as u32, frame.height as u32);
    let rgb = part::decode::<3>(frame, &Area::ALL.within(width, height), vectors)?;
    Some(Pixels { width, height, rgb: rgb.into_flattened() })
}

/// Encodes pixels whose first three bytes of `N` are red, green and blue; none for a quality below 90.
pub(super) fn encode<const N: usize>(
    size: (u16, u16),
    pixels: &[[u8; N]],
    quality: u8,
    vectors: bool,
) -> Option<Vec<u8>> {
    let fits = size.0 > 0 && size.1 > 0 && pixels.len() == usize::from(size.0) * usize::from(size.1);
    let tables = encode::Tables::of(quality).filter(|_| fits)?;
    Some(encode::encode(tables, size.0, size.1, pixels, vectors))
}

/// Decodes, and returns the EXIF orientation, which is not applied yet.
pub(super) fn decode(bytes: &[u8]) -> Result<(Pixels, u8), DataError> {
    let walk = Walk::through(bytes);
    let orientation = walk.orientation.unwrap_or(1);
    if let Some(pixels) = walk.usual(bytes).and_then(|frame| all(&frame, true)) {
        return Ok((pixels, orientation));
    }
    let read = if walk.scans.rare() { rare } else { usual };
    let pixels =
        if walk.ended { whole(bytes, &walk, read) } else { without_end(&walk.tidy(bytes), &walk, read) };
    Ok((pixels?, orientation))
}

/// Decodes a file that has an end marker: unchanged, or else without what libjpeg skips.
fn whole(bytes: &[u8], walk: &Walk, read: Reader) -> Result<Pixels, DataError> {
    if !walk.strays
        && let Ok(pixels) = read(bytes)
    {
        return Ok(pixels);
    }
    let tidy = walk.tidy(bytes);
    read(&tidy).or_else(|e| match walk.scans.progressive {
        // Only this decoder skips stray bytes after the data of a scan.
        true => rare(&tidy).map_err(|_| e),
        false => Err(e),
    })
}

/// A decoder.
type Reader = fn(&[u8]) -> Result<Pixels, DataError>;

fn usual(bytes: &[u8]) -> Result<Pixels, DataError> {
    decode_with(bytes, true)
}

/// The slower decoder for rare files.
fn rare(bytes: &[u8]) -> Result<Pixels, DataError> {
    let fail = |e: jpeg_decoder::Error| DataError::new(format!("the JPEG cannot be decoded: {e}"));
    let mut decoder = jpeg_decoder::Decoder::new(bytes);
    decoder.read_info().map_err(fail)?;
    let info = decoder.info().ok_or_else(|| DataError::new("the JPEG cannot be decoded: no header"))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    let pixels = decoder.decode().map_err(fail)?;
    let rgb = match info.pixel_format {
        PixelFormat::RGB24 => pixels,
        PixelFormat::L8 => pixels.into_iter().flat_map(|v| [v; 3]).collect(),
        PixelFormat::CMYK32 => {
            let mix = |c: u8, k: u8| ((u32::from(c) * u32::from(k) + 127) / 255) as u8;
            pixels
                .as_chunks::<4>()
                .0
                .iter()
                .flat_map(|&[c, m, y, k]| [mix(c, k), mix(m, k), mix(y, k)])
                .collect()
        }
        PixelFormat::L16 => return Err(DataError::new("the JPEG has 16 bits a sample; 8 are read")),
    };
    sized(width, height, rgb)
}

/// Decodes with or without vector instructions. The pixels are the same (tested).
pub(super) fn decode_with(bytes: &[u8], vectors: bool) -> Result<Pixels, DataError> {
    let fail = |e: &dyn std::fmt::Debug| DataError::new(format!("the JPEG cannot be decoded: {e:?}"));
    let options = DecoderOptions::new_fast()
        .jpeg_set_out_colorspace(ColorSpace::RGB)
        .set_max_width(MAX_SIDE as usize)
        .set_max_height(MAX_SIDE as usize)
        .set_strict_mode(true)
        .set_use_unsafe(vectors);
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(|e| fail(&e))?;
    let info = decoder.info().ok_or_else(|| fail(&"no header"))?;
    let (width, height) = (u32::from(info.width), u32::from(info.height));
    check_size(width, height)?;
    let rgb = decoder.decode().map_err(|e| fail(&e))?;
    sized(width, height, rgb)
}

/// Decodes a file whose end marker is missing. Its data is complete if whatever follows makes no difference:
/// the picture must be the same when padded with ones (which are no code in any table) and with zeros.
fn without_end(bytes: &[u8], walk: &Walk, read: Reader) -> Result<Pixels, DataError> {
    let cut = || DataError::new("the JPEG is cut short: its data ends before the picture does");
    // The decoder's own message is more precise, if it reports an error.
    let cut = || read(bytes).err().unwrap_or_else(cut);
    if !walk.scans.complete() {
        return Err(cut());
    }
    // Half a marker may remain.
    let data = bytes.iter().rposition(|b| *b != 0xff).map_or(bytes, |last| &bytes[..=last]);
    let with = |filler: &[u8]| read(&[data, &filler.repeat(32), &[0xff, 0xd9]].concat());
    let (ones, zeros) = (with(&[0xff, 0]), with(&[0, 0]));
    match (ones, zeros) {
        (Ok(a), Ok(b)) if a == b => Ok(a),
        _ => Err(cut()),
    }
}

/// The layout of a file.
#[derive(Debug, Default)]
struct Walk {
    /// Tag 274 of the first EXIF segment that contains it.
    orientation: Option<u8>,
    /// Whether there are stray bytes between segments.
    strays: bool,
    /// Whether the end marker was found, or the walk stopped at something for the decoder to judge.
    ended: bool,
    scans: Scans,
    /// The ranges that the decoder needs: everything except stray bytes and metadata.
    kept: Vec<Range<usize>>,
}

impl Walk {
    /// Walks from marker to marker like libjpeg, and skips whatever is no marker.
    fn through(bytes: &[u8]) -> Self {
        let mut walk = Self::default();
        walk.kept.push(0..2);
        let mut at = 2;
        loop {
            let Some((marker, code)) = next_marker(bytes, at) else {
                // The file ends between segments or in the data of a scan.
                return walk;
            };
            walk.strays |= bytes[at..marker].iter().any(|b| *b != 0xff);
            let body = marker + 2;
            if matches!(code, 0x01 | 0xd0..=0xd7) {
                // A marker without a segment, in the wrong place.
                walk.strays = true;
                at = body;
                continue;
            }
            let length =
                bytes.get(body..).and_then(<[u8]>::first_chunk).map(|b| usize::from(u16::from_be_bytes(*b)));
            let end = length.filter(|l| *l >= 2).map(|l| body + l).filter(|e| *e <= bytes.len());
            let (0xc0..=0xd7 | 0xda..=0xfe, Some(end)) = (code, end) else {
                // The end; or a second start, an undefined code, or a truncated segment, which are left to
                // the decoder.
                walk.kept.push(marker..bytes.len());
                walk.ended = code == 0xd9 || length.is_some();
                return walk;
            };
            let segment = &bytes[body + 2..end];
            match code {
                0xe1 if walk.orientation.is_none() && segment.starts_with(b"Exif\0\0") => {
                    walk.orientation = orientation::in_exif(segment);
                }
                0xc0..=0xc2 => walk.scans.frame(segment, code == 0xc2),
                0xda => walk.scans.scan(segment),
                _ => {}
            }
            at = end;
            if code == 0xda {
                at = data_end(bytes, at);
            }
            // Of the metadata, only APP0 and APP14 affect the interpretation of pixels.
            if !matches!(code, 0xe1..=0xed | 0xef | 0xfe) {
                walk.kept.push(marker..at);
            }
        }
    }

    /// The headers, if this is a common file whose dimensions are accepted.
    fn usual<'a>(&self, bytes: &'a [u8]) -> Option<frame::Frame<'a>> {
        if self.strays || !self.ended || self.scans.progressive {
            return None;
        }
        let frame = frame::Frame::read(bytes, &self.kept)?;
        let (width, height) = (frame.width as u32, frame.height as u32);
        (width.max(height) <= MAX_SIDE && check_size(width, height).is_ok()).then_some(frame)
    }

    /// The file without stray bytes and metadata.
    fn tidy<'a>(&self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        if let [whole] = self.kept.as_slice() {
            return Cow::Borrowed(&bytes[whole.clone()]);
        }
        Cow::Owned(self.kept.iter().flat_map(|r| &bytes[r.clone()]).copied().collect())
    }
}

/// The position of the last `ff` of the next marker at or after `from`, and its code.
fn next_marker(bytes: &[u8], from: usize) -> Option<(usize, u8)> {
    marker_after(bytes, from, |code| !matches!(code, 0 | 0xff))
}

/// The end of the data of a scan: the next marker that is not a restart.
fn data_end(bytes: &[u8], from: usize) -> usize {
    marker_after(bytes, from, |code| !matches!(code, 0 | 0xff | 0xd0..=0xd7))
        .map_or(bytes.len(), |found| found.0)
}

/// The first `ff` at or after `from` that is followed by an accepted code, and the code.
fn marker_after(bytes: &[u8], from: usize, will_do: fn(u8) -> bool) -> Option<(usize, u8)> {
    let rest = bytes.get(from..)?;
    memchr::memchr_iter(0xff, rest)
        .filter_map(|i| Some((from + i, *rest.get(i + 1)?)))
        .find(|(_, code)| will_do(*code))
}

/// Which bits of the coefficients the scans contain, according to their headers.
#[derive(Debug, Default)]
struct Scans {
    progressive: bool,
    /// Horizontal and vertical sampling factors of each component.
    samples: Vec<(u8, u8)>,
    /// The number of components in the first scan.
    first: u8,
    /// For each component, its id, and for each coefficient the lowest bit seen so far; 255 for none.
    components: Vec<(u8, [u8; 64])>,
}

impl Scans {
    fn frame(&mut self, segment: &[u8], progressive: bool) {
        self.progressive = progressive;
        let components = segment.get(6..).unwrap_or_default().chunks_exact(3);
        self.samples = components.clone().map(|c| (c[1] >> 4, c[1] & 15)).collect();
        self.components = components.map(|c| (c[0], [255; 64])).collect();
    }

    fn scan(&mut self, segment: &[u8]) {
        let Some((&n, rest)) = segment.split_first() else { return };
        let (Some(own), Some(&[first, last, bits])) =
            (rest.get(..2 * usize::from(n)), rest.get(2 * usize::from(n)..).and_then(<[u8]>::first_chunk))
        else {
            return;
        };
        if self.first == 0 {
            self.first = n;
        }
        let (range, low) = if self.progressive {
            (usize::from(first)..usize::from(last) + 1, bits & 15)
        } else {
            (0..64, 0)
        };
        for id in own.chunks_exact(2).map(|c| c[0]) {
            for (_, known) in self.components.iter_mut().filter(|c| c.0 == id) {
                known.get_mut(range.clone()).unwrap_or_default().fill(low);
            }
        }
    }

    /// Whether `zune-jpeg` reads such a file wrongly or not at all.
    fn rare(&self) -> bool {
        let Some(&(across, down)) = self.samples.first() else { return false };
        self.samples.iter().any(|s| s.0 > across || s.1 > down || s.0 == 3 || s.1 == 3)
            || !self.progressive && usize::from(self.first) < self.components.len()
    }

    /// Whether all bits of every coefficient of every component are present.
    fn complete(&self) -> bool {
        !self.components.is_empty() && self.components.iter().all(|c| c.1.iter().all(|b| *b == 0))
    }
}
