//! The inverse DCT in integers, columns first, as in `zune-jpeg` and stb_image.
//!
//! Both passes process eight columns or rows at once, in a form that compilers vectorise.

/// The eight samples of a column or row from their coefficients; `round` is added before the shift.
#[inline(always)]
fn butterfly(c: [i32; 8], round: i32) -> [i32; 8] {
    let m = |a: i32, b: i32| a.wrapping_mul(b);
    let a = |x: i32, y: i32| x.wrapping_add(y);
    let s = |x: i32, y: i32| x.wrapping_sub(y);
    let p1 = m(a(c[2], c[6]), 2217);
    let (t2, t3) = (a(p1, m(c[6], -7567)), a(p1, m(c[2], 3135)));
    let (t0, t1) = (a(c[0], c[4]) << 12, s(c[0], c[4]) << 12);
    let (x0, x3) = (a(a(t0, t3), round), a(s(t0, t3), round));
    let (x1, x2) = (a(a(t1, t2), round), a(s(t1, t2), round));
    let p5 = m(a(a(c[7], c[3]), a(c[5], c[1])), 4816);
    let p1 = a(p5, m(a(c[7], c[1]), -3685));
    let p2 = a(p5, m(a(c[5], c[3]), -10497));
    let p3 = m(a(c[7], c[3]), -8034);
    let p4 = m(a(c[5], c[1]), -1597);
    let t3 = a(m(c[1], 6149), a(p1, p4));
    let t2 = a(m(c[3], 12586), a(p2, p3));
    let t1 = a(m(c[5], 8410), a(p2, p4));
    let t0 = a(m(c[7], 1223), a(p1, p3));
    [a(x0, t3), a(x1, t2), a(x2, t1), a(x3, t0), s(x3, t0), s(x2, t1), s(x1, t2), s(x0, t3)]
}

/// Writes the 64 samples of the block; `reach` is the number of coefficients to consider, in zig-zag order.
#[inline(always)]
pub(super) fn block(c: &[i32; 64], reach: usize, out: &mut [u8], stride: usize) {
    if reach <= 1 {
        let value = (c[0].wrapping_add(1028) >> 3).clamp(0, 255) as u8;
        for row in out.chunks_mut(stride).take(8) {
            row[..8].fill(value);
        }
        return;
    }
    // Row `x` of this holds column `x` of the picture.
    let mut middle = [[0_i32; 8]; 8];
    for x in 0..8 {
        let column = butterfly(std::array::from_fn(|y| c[8 * y + x]), 512);
        for y in 0..8 {
            middle[y][x] = column[y] >> 10;
        }
    }
    let middle = transposed(&middle);
    let mut samples = [[0_u8; 8]; 8];
    for y in 0..8 {
        let row = butterfly(std::array::from_fn(|x| middle[x][y]), 512 + 65536 + (128 << 17));
        for x in 0..8 {
            samples[x][y] = (row[x] >> 17).clamp(0, 255) as u8;
        }
    }
    for (y, row) in out.chunks_mut(stride).take(8).enumerate() {
        for x in 0..8 {
            row[x] = samples[x][y];
        }
    }
}

/// Transposes a block.
#[inline(always)]
pub(super) fn transposed(m: &[[i32; 8]; 8]) -> [[i32; 8]; 8] {
    std::array::from_fn(|x| std::array::from_fn(|y| m[y][x]))
}
