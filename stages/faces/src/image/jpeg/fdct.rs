//! From samples to quantised coefficients: libjpeg's integer forward DCT ("islow"; Loeffler, Ligtenberg and
//! Moschytz, ICASSP 1989), rows first, then a division by multiplication, both as in `jpeg-encoder`.
//!
//! This software is based in part on the work of the Independent JPEG Group.

use super::huffman::NATURAL;
use super::idct::transposed;

/// The divisors of the coefficients in natural order, as reciprocals and the corrections added before
/// multiplying.
pub(super) struct Divisors {
    reciprocals: [[i16; 8]; 8],
    corrections: [[i16; 8]; 8],
}

impl Divisors {
    /// From the quantisers in zig-zag order. Coefficients are scaled by eight compared with a DCT.
    pub(super) fn new(quants: &[u8; 64]) -> Self {
        let mut made = Self { reciprocals: [[1; 8]; 8], corrections: [[0; 8]; 8] };
        for (k, quant) in quants.iter().enumerate() {
            let divisor = 8 * u32::from(*quant).max(1);
            let (mut reciprocal, rest) = ((1 << 15) / divisor, (1 << 15) % divisor);
            let mut correction = divisor / 2;
            if rest != 0 {
                if rest <= correction {
                    correction += 1;
                } else {
                    reciprocal += 1;
                }
            }
            let at = usize::from(NATURAL[k & 63] & 63);
            made.reciprocals[at / 8][at % 8] = reciprocal as i16;
            made.corrections[at / 8][at % 8] = correction as i16;
        }
        made
    }

    /// Reciprocals and corrections, row by row.
    pub(super) fn rows(&self) -> (&[[i16; 8]; 8], &[[i16; 8]; 8]) {
        (&self.reciprocals, &self.corrections)
    }

    #[inline(always)]
    fn divided(&self, value: i32, (v, u): (usize, usize)) -> i16 {
        let (reciprocal, correction) = (i32::from(self.reciprocals[v][u]), i32::from(self.corrections[v][u]));
        let whole = ((value.abs() + correction) * reciprocal) >> 15;
        (if value < 0 { -whole } else { whole }) as i16
    }
}

/// The eight coefficients of a row or column. `whole` is applied to those without fractional bits (0 and 4);
/// the others are shifted right by `shift`.
#[inline(always)]
fn butterfly(d: [i32; 8], shift: u32, whole: impl Fn(i32) -> i32) -> [i32; 8] {
    let down = |x: i32| (x + (1 << (shift - 1))) >> shift;
    let (t0, t7) = (d[0] + d[7], d[0] - d[7]);
    let (t1, t6) = (d[1] + d[6], d[1] - d[6]);
    let (t2, t5) = (d[2] + d[5], d[2] - d[5]);
    let (t3, t4) = (d[3] + d[4], d[3] - d[4]);
    let (t10, t13) = (t0 + t3, t0 - t3);
    let (t11, t12) = (t1 + t2, t1 - t2);
    let z1 = (t12 + t13) * 4433;
    let even = [whole(t10 + t11), down(z1 + t13 * 6270), whole(t10 - t11), down(z1 - t12 * 15137)];
    let (z1, z2, z3, z4) = (t4 + t7, t5 + t6, t4 + t6, t5 + t7);
    let z5 = (z3 + z4) * 9633;
    let (t4, t5, t6, t7) = (t4 * 2446, t5 * 16819, t6 * 25172, t7 * 12299);
    let (z1, z2) = (z1 * -7373, z2 * -20995);
    let (z3, z4) = (z3 * -16069 + z5, z4 * -3196 + z5);
    let odd = [down(t7 + z1 + z4), down(t6 + z2 + z3), down(t5 + z2 + z4), down(t4 + z1 + z3)];
    [even[0], odd[0], even[1], odd[1], even[2], odd[2], even[3], odd[3]]
}

/// The quantised coefficients, in row-major order, of a block of samples (minus 128) whose rows are `stride`
/// apart. Returns a bit for each non-zero coefficient.
#[inline(always)]
pub(super) fn block(samples: &[i16], stride: usize, divisors: &Divisors, out: &mut [i16; 64]) -> u64 {
    let mut rows = [[0_i32; 8]; 8];
    for (row, from) in rows.iter_mut().zip(samples.chunks(stride)) {
        for x in 0..8 {
            row[x] = i32::from(from[x]);
        }
    }
    let columns = transposed(&rows);
    let mut middle = [[0_i32; 8]; 8];
    for y in 0..8 {
        let row = butterfly(std::array::from_fn(|x| columns[x][y]), 11, |v| v << 2);
        for u in 0..8 {
            middle[u][y] = row[u];
        }
    }
    let middle = transposed(&middle);
    let mut nonzero = 0;
    for u in 0..8 {
        let column = butterfly(std::array::from_fn(|y| middle[y][u]), 15, |v| (v + 2) >> 2);
        for v in 0..8 {
            // Truncated to 16 bits, as in the library.
            let divided = divisors.divided(i32::from(column[v] as i16), (v, u));
            out[8 * v + u] = divided;
            nonzero |= u64::from(divided != 0) << (8 * v + u);
        }
    }
    nonzero
}
