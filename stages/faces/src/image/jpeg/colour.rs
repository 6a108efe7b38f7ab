//! Conversion of luma and chroma to RGB.

/// The samples of one component, row by row.
pub(super) struct Plane {
    pub(super) width: usize,
    pub(super) samples: Vec<u8>,
}

impl Plane {
    pub(super) fn new(width: usize, height: usize) -> Self {
        Self { width, samples: vec![0; width * height] }
    }

    pub(super) fn row(&self, y: usize) -> &[u8] {
        &self.samples[y * self.width..(y + 1) * self.width]
    }

    pub(super) fn height(&self) -> usize {
        self.samples.len() / self.width.max(1)
    }
}

/// Three quarters of `near` and one quarter of `far`.
#[inline(always)]
fn mix(near: u8, far: u8) -> u16 {
    (3 * u16::from(near) + u16::from(far) + 2) >> 2
}

/// Upsamples chroma linearly to one row of the picture, `y`. Each sample covers `(across, down)` pixels.
#[inline(always)]
pub(super) fn spread(
    plane: &Plane,
    (across, down): (usize, usize),
    y: usize,
    low: &mut [u8],
    row: &mut [u8],
) {
    let near = plane.row(y / down);
    let between = if down == 2 {
        let far =
            if y.is_multiple_of(2) { (y / 2).saturating_sub(1) } else { (y / 2 + 1).min(plane.height() - 1) };
        for ((to, a), b) in low.iter_mut().zip(near).zip(plane.row(far)) {
            *to = mix(*a, *b) as u8;
        }
        &low[..near.len()]
    } else {
        near
    };
    if across == 1 {
        row[..between.len()].copy_from_slice(between);
        return;
    }
    let n = between.len();
    // Two pixels packed into one number.
    let both = |left: u16, right: u16| (left | right << 8).to_le_bytes();
    let pairs = &mut row.as_chunks_mut::<2>().0[..n];
    let (before, own, behind) = (&between[..n - 2], &between[1..n - 1], &between[2..]);
    for (((pair, a), b), c) in pairs[1..n - 1].iter_mut().zip(before).zip(own).zip(behind) {
        *pair = both(mix(*b, *a), mix(*b, *c));
    }
    // The first and the last pixel have a neighbour on one side only.
    pairs[0] = both(u16::from(between[0]), mix(between[0], between[1]));
    pairs[n - 1] = both(mix(between[n - 1], between[n - 2]), u16::from(between[n - 1]));
}

/// Converts a row of luma and chroma to red, green and blue, in the first three bytes of `N`.
#[inline(always)]
pub(super) fn rows<const N: usize>(light: &[u8], blue: &[u8], red: &[u8], out: &mut [[u8; N]]) {
    for (((out, y), cb), cr) in out.iter_mut().zip(light).zip(blue).zip(red) {
        out[..3].copy_from_slice(&rgb(*y, *cb, *cr));
    }
}

/// The coefficients of JFIF in fixed point with 14 fractional bits.
#[inline(always)]
fn rgb(light: u8, blue: u8, red: u8) -> [u8; 3] {
    let (cb, cr) = (i32::from(blue) - 128, i32::from(red) - 128);
    let y = i32::from(light) * 16384 + 8191;
    let clamp = |v: i32| (v >> 14).clamp(0, 255) as u8;
    [clamp(y + cr * 22970), clamp(y - cr * 11700 - cb * 5638), clamp(y + cb * 29032)]
}
