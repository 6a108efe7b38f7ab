//! A depth-buffered triangle rasteriser that draws into a tiny-skia pixmap.

use tiny_skia::Pixmap;

/// A vertex of a triangle in the picture.
#[derive(Debug, Clone, Copy, Default)]
pub struct Corner {
    /// Position, pixels.
    pub x: f32,
    /// Position, pixels.
    pub y: f32,
    /// Depth; larger is nearer.
    pub z: f32,
    /// Position in the texture, pixels.
    pub u: f32,
    /// Position in the texture, pixels.
    pub v: f32,
    /// Factors on the texture's red, green and blue.
    pub light: [f32; 3],
    /// Specular reflection, added to all three, in 8-bit levels.
    pub shine: f32,
}

/// The picture and its depth buffer.
pub struct Frame {
    /// The colours, opaque.
    pub pixmap: Pixmap,
    depth: Vec<f32>,
}

impl Frame {
    /// Wraps a pixmap on which the background is painted.
    pub fn new(pixmap: Pixmap) -> Self {
        let n = (pixmap.width() * pixmap.height()) as usize;
        Self { pixmap, depth: vec![f32::NEG_INFINITY; n] }
    }

    /// Draws a grid of vertices with `columns` in a row; a cell is drawn as two triangles. With columns to the right and rows
    /// downwards, the outer side is visible; with `outer` the inner side is skipped.
    pub fn grid(&mut self, corners: &[Corner], columns: usize, texture: &Pixmap, outer: bool) {
        if columns < 2 {
            return;
        }
        for pair in 0..(corners.len() / columns).saturating_sub(1) {
            let (a, b) = (&corners[pair * columns..], &corners[(pair + 1) * columns..]);
            for i in 0..columns - 1 {
                self.triangle(&a[i], &a[i + 1], &b[i], texture, outer);
                self.triangle(&a[i + 1], &b[i + 1], &b[i], texture, outer);
            }
        }
    }

    /// Draws a triangle; with `outer`, only if its vertices are in clockwise order.
    fn triangle(&mut self, a: &Corner, b: &Corner, c: &Corner, texture: &Pixmap, outer: bool) {
        let area = (b.x - a.x) * (c.y - a.y) - (c.x - a.x) * (b.y - a.y);
        if area.abs() < 1e-6 || !area.is_finite() || (outer && area < 0.0) {
            return;
        }
        let (w, h) = (self.pixmap.width() as i32, self.pixmap.height() as i32);
        // The pixels whose centres may lie inside; a cast rounds towards 0, and is much cheaper than `floor`.
        let low = |p: f32, q: f32, r: f32| (p.min(q).min(r) + 0.5).max(0.0) as i32;
        let high = |p: f32, q: f32, r: f32, n: i32| ((p.max(q).max(r) + 0.5) as i32 - 1).min(n - 1);
        let (x0, x1) = (low(a.x, b.x, c.x), high(a.x, b.x, c.x, w));
        let (y0, y1) = (low(a.y, b.y, c.y), high(a.y, b.y, c.y, h));
        if x0 > x1 || y0 > y1 {
            return;
        }
        let inv = 1.0 / area;
        // The weight of each vertex at the centre of the box's first pixel, and its increments to the right and down.
        let (bx, by) = ((c.y - a.y) * inv, -(c.x - a.x) * inv);
        let (cx, cy) = (-(b.y - a.y) * inv, (b.x - a.x) * inv);
        let steps = [-bx - cx, bx, cx];
        let inverse = steps.map(|s| if s == 0.0 { 0.0 } else { 1.0 / s });
        let (dx, dy) = (x0 as f32 + 0.5 - a.x, y0 as f32 + 0.5 - a.y);
        let (mut wb, mut wc) = (dx * bx + dy * by, dx * cx + dy * cy);
        let (tw, th) = (texture.width() as i32, texture.height() as i32);
        let (texels, pixels) = (texture.data(), self.pixmap.data_mut());
        for y in y0..=y1 {
            let (first, last) = span([1.0 - wb - wc, wb, wc], steps, inverse, x1 - x0);
            for x in first..=last {
                let (wb, wc) = (wb + bx * x as f32, wc + cx * x as f32);
                let wa = 1.0 - wb - wc;
                let at = (y * w + x0 + x) as usize;
                let z = wa * a.z + wb * b.z + wc * c.z;
                if z <= self.depth[at] {
                    continue;
                }
                self.depth[at] = z;
                let u = ((wa * a.u + wb * b.u + wc * c.u) as i32).clamp(0, tw - 1);
                let v = ((wa * a.v + wb * b.v + wc * c.v) as i32).clamp(0, th - 1);
                let from = (v * tw + u) as usize * 4;
                let shine = wa * a.shine + wb * b.shine + wc * c.shine;
                for k in 0..3 {
                    let l = wa * a.light[k] + wb * b.light[k] + wc * c.light[k];
                    // The cast saturates.
                    pixels[at * 4 + k] = (l * f32::from(texels[from + k]) + shine) as u8;
                }
                pixels[at * 4 + 3] = 255;
            }
            wb += by;
            wc += cy;
        }
    }
}

/// The pixels of a row at which no weight is negative, counted from the first of `count + 1`; empty if the first is greater than
/// the last. Weights slightly below 0 count, so that there is no gap between neighbours.
fn span(weights: [f32; 3], steps: [f32; 3], inverse: [f32; 3], count: i32) -> (i32, i32) {
    let (mut first, mut last) = (0.0_f32, count as f32);
    for k in 0..3 {
        let cross = -weights[k] * inverse[k];
        if steps[k] > 0.0 {
            first = first.max(cross - 1e-3);
        } else if steps[k] < 0.0 {
            last = last.min(cross + 1e-3);
        } else if weights[k] < 0.0 {
            return (0, -1);
        }
    }
    if last < 0.0 {
        return (0, -1);
    }
    // Rounds up: a cast rounds down.
    let whole = first as i32;
    (whole + i32::from(first > whole as f32), last as i32)
}
