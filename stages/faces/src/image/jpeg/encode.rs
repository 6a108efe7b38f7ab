//! Encodes baseline JPEG without chroma subsampling: the same bytes as `jpeg-encoder`, several times as fast.
//!
//! Headers, quantisation tables and Huffman codes are taken from a one-pixel picture encoded by that library,
//! so that they are defined in one place. A test compares whole pictures with the library's, byte for byte.

use std::sync::OnceLock;

use super::fdct;
use super::huffman::NATURAL;
#[cfg(target_arch = "x86_64")]
use super::vectors;

/// The parts that are the same in all files of a quality.
pub(super) struct Tables {
    /// The bytes before the data of the scan.
    head: Vec<u8>,
    /// The offset of the height in `head`; the width follows it.
    size: usize,
    /// Luma and chroma.
    parts: [Coding; 2],
}

struct Coding {
    divisors: fdct::Divisors,
    /// Length and code by symbol.
    means: [(u8, u16); 256],
    rest: [(u8, u16); 256],
}

impl Tables {
    /// The tables for a quality from 90 to 100; chroma is subsampled below that.
    pub(super) fn of(quality: u8) -> Option<&'static Self> {
        static ALL: [OnceLock<Option<Tables>>; 11] = [const { OnceLock::new() }; 11];
        ALL.get(usize::from(quality).checked_sub(90)?)?.get_or_init(|| Self::new(quality)).as_ref()
    }

    fn new(quality: u8) -> Option<Self> {
        let mut file = Vec::new();
        let encoder = jpeg_encoder::Encoder::new(&mut file, quality);
        encoder.encode(&[0; 3], 1, 1, jpeg_encoder::ColorType::Rgb).ok()?;
        let (mut at, mut size) = (2, 0);
        let mut quants = [[0_u8; 64]; 2];
        let mut codes = [[[(0_u8, 0_u16); 256]; 2]; 2];
        loop {
            let code = *file.get(at + 1)?;
            let length = usize::from(u16::from_be_bytes(*file.get(at + 2..)?.first_chunk()?));
            let content = file.get(at + 4..at + 2 + length)?;
            match (code, content) {
                (0xdb, [id, values @ ..]) => *quants.get_mut(usize::from(*id))? = values.try_into().ok()?,
                (0xc4, [id, rest @ ..]) => {
                    let table = codes.get_mut(usize::from(id >> 4))?.get_mut(usize::from(id & 15))?;
                    *table = by_symbol(rest)?;
                }
                (0xc0, _) => size = at + 5,
                _ => {}
            }
            at += 2 + length;
            if code == 0xda {
                break;
            }
        }
        file.truncate(at);
        let [means, rest] = codes;
        let part =
            |k: usize| Coding { divisors: fdct::Divisors::new(&quants[k]), means: means[k], rest: rest[k] };
        (size > 0).then(|| Self { size, parts: [part(0), part(1)], head: file })
    }
}

/// Length and code of each symbol, from the number of codes of each length and the symbols in order.
fn by_symbol(definition: &[u8]) -> Option<[(u8, u16); 256]> {
    let (counts, symbols) = definition.split_first_chunk::<16>()?;
    let mut table = [(0, 0); 256];
    let (mut code, mut symbols) = (0_u16, symbols.iter());
    for (length, count) in (1..).zip(counts) {
        for _ in 0..*count {
            table[usize::from(*symbols.next()?)] = (length, code);
            code = code.wrapping_add(1);
        }
        code <<= 1;
    }
    Some(table)
}

/// A file of `width` by `height` pixels, both from 1 to 65,535. The first three bytes of `N` are red, green
/// and blue.
pub(super) fn encode<const N: usize>(
    tables: &Tables,
    width: u16,
    height: u16,
    pixels: &[[u8; N]],
    fast: bool,
) -> Vec<u8> {
    #[cfg(target_arch = "x86_64")]
    if fast && vectors::are_there() {
        // SAFETY: the CPU features were checked. The arithmetic is in integers, so the result is the same.
        #[allow(unsafe_code)]
        return unsafe { encode_avx2(tables, width, height, pixels) };
    }
    let _ = fast;
    encode_with(tables, width, height, pixels, fdct::block)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt")]
fn encode_avx2<const N: usize>(tables: &Tables, width: u16, height: u16, pixels: &[[u8; N]]) -> Vec<u8> {
    let transform = |samples: &[i16], stride: usize, divisors: &fdct::Divisors, out: &mut [i16; 64]| {
        super::vectors::fdct(samples, stride, divisors, out)
    };
    encode_with(tables, width, height, pixels, transform)
}

#[inline(always)]
fn encode_with<const N: usize>(
    tables: &Tables,
    width: u16,
    height: u16,
    pixels: &[[u8; N]],
    transform: impl Fn(&[i16], usize, &fdct::Divisors, &mut [i16; 64]) -> u64,
) -> Vec<u8> {
    let (w, h) = (usize::from(width), usize::from(height));
    let mut out = Writer::new(tables.head.len() + pixels.len());
    out.bytes.extend_from_slice(&tables.head);
    out.bytes[tables.size..tables.size + 2].copy_from_slice(&height.to_be_bytes());
    out.bytes[tables.size + 2..tables.size + 4].copy_from_slice(&width.to_be_bytes());
    let wide = w.next_multiple_of(8);
    // Luma and both chroma channels of eight rows.
    let mut strips = [(); 3].map(|()| vec![0_i16; wide * 8]);
    let mut means = [0_i16; 3];
    let mut coefficients = [0_i16; 64];
    for top in (0..h).step_by(8) {
        for y in 0..8 {
            let row = &pixels[(top + y).min(h - 1) * w..][..w];
            let [light, blue, red] = strips.each_mut().map(|s| &mut s[y * wide..(y + 1) * wide]);
            for (((p, y), cb), cr) in row.iter().zip(&mut *light).zip(&mut *blue).zip(&mut *red) {
                (*y, *cb, *cr) = ycc(p[0], p[1], p[2]);
            }
            for line in [light, blue, red] {
                let last = line[w - 1];
                line[w..].fill(last);
            }
        }
        for x in (0..wide).step_by(8) {
            for (k, (strip, mean)) in strips.iter().zip(&mut means).enumerate() {
                let coding = &tables.parts[k.min(1)];
                let nonzero = transform(&strip[x..], wide, &coding.divisors, &mut coefficients);
                out.block(coding, &coefficients, nonzero, mean);
            }
        }
    }
    out.finish()
}

/// Luma and chroma, minus 128.
#[inline(always)]
fn ycc(r: u8, g: u8, b: u8) -> (i16, i16, i16) {
    let (r, g, b) = (i32::from(r), i32::from(g), i32::from(b));
    let part = |v: i32| ((v + 0x7fff) >> 16) as i16;
    (
        part(19595 * r + 38470 * g + 7471 * b - (128 << 16)),
        part(-11059 * r - 21709 * g + 32768 * b),
        part(32768 * r - 27439 * g - 5329 * b),
    )
}

/// The zig-zag index of each coefficient, in row-major order.
const PLACES: [u8; 64] = {
    let (mut places, mut k) = ([0; 64], 0);
    while k < 64 {
        places[NATURAL[k] as usize] = k as u8;
        k += 1;
    }
    places
};

/// A bit writer that stuffs a zero after each `ff`.
struct Writer {
    bytes: Vec<u8>,
    held: u64,
    bits: u32,
}

impl Writer {
    fn new(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), held: 0, bits: 0 }
    }

    /// Writes up to 32 bits.
    #[inline(always)]
    fn put(&mut self, value: u32, bits: u32) {
        self.held = self.held << bits | u64::from(value);
        self.bits += bits;
        if self.bits >= 32 {
            self.bits -= 32;
            let four = (self.held >> self.bits) as u32;
            // A byte is `ff` if its highest bit is set and is cleared by adding one.
            if four & 0x8080_8080 & !four.wrapping_add(0x0101_0101) == 0 {
                self.bytes.extend_from_slice(&four.to_be_bytes());
            } else {
                self.stuffed(four);
            }
        }
    }

    #[inline(never)]
    fn stuffed(&mut self, four: u32) {
        for byte in four.to_be_bytes() {
            self.bytes.push(byte);
            if byte == 0xff {
                self.bytes.push(0);
            }
        }
    }

    /// Writes the symbol for `run` zeros and the size of the value, then the bits of the value.
    #[inline(always)]
    fn value(&mut self, codes: &[(u8, u16); 256], run: u32, value: i16) {
        let size = 16 - value.unsigned_abs().leading_zeros();
        let rest = (i32::from(value) - i32::from(value < 0)) as u32 & ((1 << size) - 1);
        let (length, code) = codes[(run << 4 | size) as usize & 255];
        self.put(u32::from(code) << size | rest, u32::from(length) + size);
    }

    /// Writes a block of coefficients in row-major order; `nonzero` has a bit for each non-zero coefficient.
    #[inline(always)]
    fn block(&mut self, coding: &Coding, block: &[i16; 64], mut nonzero: u64, mean: &mut i16) {
        self.value(&coding.means, 0, block[0].wrapping_sub(*mean));
        *mean = block[0];
        // Convert the mask to zig-zag order.
        let mut left = 0;
        nonzero &= !1;
        while nonzero != 0 {
            left |= 1_u64 << (PLACES[nonzero.trailing_zeros() as usize & 63] & 63);
            nonzero &= nonzero - 1;
        }
        let mut behind = 1;
        while left != 0 {
            let at = left.trailing_zeros();
            let mut run = at - behind;
            while run > 15 {
                let (length, code) = coding.rest[0xf0];
                self.put(u32::from(code), u32::from(length));
                run -= 16;
            }
            self.value(&coding.rest, run, block[usize::from(NATURAL[at as usize & 63] & 63)]);
            behind = at + 1;
            left &= left - 1;
        }
        if behind < 64 {
            let (length, code) = coding.rest[0];
            self.put(u32::from(code), u32::from(length));
        }
    }

    /// Pads the last byte with ones and ends the file.
    fn finish(mut self) -> Vec<u8> {
        let bits = self.bits.next_multiple_of(8);
        let last = (self.held << (bits - self.bits)) as u32 | ((1 << (bits - self.bits)) - 1);
        let four = last.to_be_bytes();
        for byte in &four[4 - bits as usize / 8..] {
            self.bytes.push(*byte);
            if *byte == 0xff {
                self.bytes.push(0);
            }
        }
        self.bytes.extend_from_slice(&[0xff, 0xd9]);
        self.bytes
    }
}
