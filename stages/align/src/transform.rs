//! Similarity transforms: rotation, one scale, translation.

use lfs_faces::dataset::{Points, known};

/// Maps `(x, y)` to `(a x - b y + tx, b x + a y + ty)`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Similarity {
    /// Scale times the cosine of the angle.
    pub a: f64,
    /// Scale times the sine of the angle.
    pub b: f64,
    /// Translation in x.
    pub tx: f64,
    /// Translation in y.
    pub ty: f64,
}

impl Similarity {
    /// The image of a point.
    pub fn apply(&self, p: [f64; 2]) -> [f64; 2] {
        [self.a * p[0] - self.b * p[1] + self.tx, self.b * p[0] + self.a * p[1] + self.ty]
    }

    /// The inverse; none if the scale is zero or not finite.
    pub fn inverse(&self) -> Option<Self> {
        let n = self.a * self.a + self.b * self.b;
        let (a, b) = (self.a / n, -self.b / n);
        let back = Self { a, b, tx: -(a * self.tx - b * self.ty), ty: -(b * self.tx + a * self.ty) };
        [back.a, back.b, back.tx, back.ty].iter().all(|v| v.is_finite()).then_some(back)
    }

    /// The scale.
    pub fn scale(&self) -> f64 {
        (self.a * self.a + self.b * self.b).sqrt()
    }

    /// The sine of the rotation angle.
    pub fn sine(&self) -> f64 {
        self.b / self.scale()
    }

    /// The transform with the same scale whose rotation has this sine (of less than 90 degrees), and that maps the same source
    /// point to `point`. None if there is no inverse.
    pub fn turned_to(&self, sine: f64, point: [f64; 2]) -> Option<Self> {
        let place = self.inverse()?.apply(point);
        let (a, b) = (self.scale() * (1.0 - sine * sine).sqrt(), self.scale() * sine);
        let there = Self { a, b, tx: 0.0, ty: 0.0 }.apply(place);
        Some(Self { a, b, tx: point[0] - there[0], ty: point[1] - there[1] })
    }

    /// Whether the rotation is more than 60 degrees.
    pub fn is_turned(&self) -> bool {
        self.a < 0.5 * self.scale()
    }

    /// The least-squares transform from the known points of `from` to the corresponding points of `to` (Umeyama, PAMI 1991, in two
    /// dimensions): with both sets centred on their means, `(a, b) = (sum S.D, sum S x D) / sum |S|^2`.
    ///
    /// None if fewer than two points are known or all coincide.
    pub fn fit(from: &Points, to: &[[f64; 2]; 5]) -> Option<Self> {
        let n = known(from).count();
        if n < 2 {
            return None;
        }
        let source = |k: usize| from[k].map(f64::from);
        let mean = |get: &dyn Fn(usize) -> [f64; 2]| {
            let sum = known(from).map(get).fold([0.0, 0.0], |s, p| [s[0] + p[0], s[1] + p[1]]);
            sum.map(|v| v / n as f64)
        };
        let (ms, md) = (mean(&source), mean(&|k| to[k]));
        let (mut dot, mut cross, mut norm) = (0.0, 0.0, 0.0);
        for k in known(from) {
            let (s, d) = (source(k), to[k]);
            let (sx, sy, dx, dy) = (s[0] - ms[0], s[1] - ms[1], d[0] - md[0], d[1] - md[1]);
            dot += sx * dx + sy * dy;
            cross += sx * dy - sy * dx;
            norm += sx * sx + sy * sy;
        }
        let (a, b) = (dot / norm, cross / norm);
        let fit = Self { a, b, tx: md[0] - (a * ms[0] - b * ms[1]), ty: md[1] - (b * ms[0] + a * ms[1]) };
        fit.inverse().is_some().then_some(fit)
    }

    /// The root mean square distance of the known points from their targets, in the target's pixels.
    pub fn residual(&self, from: &Points, to: &[[f64; 2]; 5]) -> f64 {
        let (mut sum, mut n) = (0.0, 0.0);
        for k in known(from) {
            let p = self.apply(from[k].map(f64::from));
            sum += (p[0] - to[k][0]) * (p[0] - to[k][0]) + (p[1] - to[k][1]) * (p[1] - to[k][1]);
            n += 1.0;
        }
        if n > 0.0 { (sum / n).sqrt() } else { 0.0 }
    }

    /// The transform that maps the largest centred part of a `width` by `height` image with the crop's aspect ratio onto the crop.
    pub fn centre(width: u32, height: u32, crop: (u32, u32)) -> Self {
        let (w, h) = (f64::from(width), f64::from(height));
        let (cw, ch) = (f64::from(crop.0), f64::from(crop.1));
        let a = (cw / w).max(ch / h);
        // Edges are mapped to edges: pixel centres are at integers, so that an image spans -0.5 to width - 0.5.
        Self { a, b: 0.0, tx: (cw - a * w) / 2.0 + (a - 1.0) / 2.0, ty: (ch - a * h) / 2.0 + (a - 1.0) / 2.0 }
    }
}
