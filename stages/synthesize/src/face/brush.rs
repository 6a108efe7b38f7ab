//! Drawing helpers for tiny-skia.

use tiny_skia::{
    Color, FillRule, GradientStop, LineCap, LineJoin, LinearGradient, Paint, Path, PathBuilder, Pixmap,
    Point, Shader, SpreadMode, Stroke, Transform,
};

/// A colour with components from 0 to 255.
pub type Rgb = [f32; 3];

/// Interpolates between two colours.
pub fn mix(a: Rgb, b: Rgb, s: f32) -> Rgb {
    [a[0] + (b[0] - a[0]) * s, a[1] + (b[1] - a[1]) * s, a[2] + (b[2] - a[2]) * s]
}

/// Scales the brightness of a colour.
pub fn scaled(a: Rgb, s: f32) -> Rgb {
    [a[0] * s, a[1] * s, a[2] * s]
}

/// A colour with an opacity, for tiny-skia.
pub fn colour(c: Rgb, alpha: f32) -> Color {
    let part = |v: f32| (v / 255.0).clamp(0.0, 1.0);
    Color::from_rgba(part(c[0]), part(c[1]), part(c[2]), alpha.clamp(0.0, 1.0)).unwrap_or(Color::TRANSPARENT)
}

/// A pixmap with the transform from drawing units.
pub struct Canvas<'a> {
    /// The target of the drawing.
    pub pixmap: &'a mut Pixmap,
    /// Units to pixels.
    pub view: Transform,
}

impl Canvas<'_> {
    fn paint<'p>(shader: Shader<'p>) -> Paint<'p> {
        Paint { shader, anti_alias: true, ..Paint::default() }
    }

    /// Fills a path with one colour.
    pub fn fill(&mut self, path: Option<Path>, c: Rgb, alpha: f32) {
        if let Some(path) = path {
            let paint = Self::paint(Shader::SolidColor(colour(c, alpha)));
            self.pixmap.fill_path(&path, &paint, FillRule::Winding, self.view, None);
        }
    }

    /// Fills a path with a gradient from `from` to `to`.
    pub fn fill_between(&mut self, path: Option<Path>, from: ([f32; 2], Rgb, f32), to: ([f32; 2], Rgb, f32)) {
        let stops =
            vec![GradientStop::new(0.0, colour(from.1, from.2)), GradientStop::new(1.0, colour(to.1, to.2))];
        let point = |p: [f32; 2]| Point::from_xy(p[0], p[1]);
        let shader =
            LinearGradient::new(point(from.0), point(to.0), stops, SpreadMode::Pad, Transform::identity());
        if let (Some(path), Some(shader)) = (path, shader) {
            self.pixmap.fill_path(&path, &Self::paint(shader), FillRule::Winding, self.view, None);
        }
    }

    /// Draws a soft spot: opaque in the centre, transparent at the rim. Implemented by hand, since faces have dozens of spots and a
    /// gradient costs ten times as much. The view must not rotate.
    pub fn spot(&mut self, centre: [f32; 2], radii: [f32; 2], c: Rgb, alpha: f32) {
        if alpha < 0.004 {
            return;
        }
        let v = self.view;
        let (x, y) = (centre[0] * v.sx + v.tx, centre[1] * v.sy + v.ty);
        let (rx, ry) = ((radii[0] * v.sx).max(0.5), (radii[1] * v.sy).max(0.5));
        let (w, h) = (self.pixmap.width() as usize, self.pixmap.height() as usize);
        let range = |at: f32, r: f32, n: usize| {
            let (from, to) = ((at - r).max(0.0) as usize, (at + r + 1.0).max(0.0) as usize);
            (from.min(n), to.min(n))
        };
        let ((x0, x1), (y0, y1)) = (range(x, rx, w), range(y, ry, h));
        let c = c.map(|part| part.clamp(0.0, 255.0));
        let data = self.pixmap.data_mut();
        for py in y0..y1 {
            let dy = (py as f32 + 0.5 - y) / ry;
            let row = &mut data[(py * w + x0) * 4..(py * w + x1) * 4];
            for (px, pixel) in row.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                let dx = ((x0 + px) as f32 + 0.5 - x) / rx;
                let rest = (1.0 - dx * dx - dy * dy).max(0.0);
                let s = alpha.min(1.0) * rest * rest;
                for k in 0..3 {
                    let old = f32::from(pixel[k]);
                    pixel[k] = (old + (c[k] - old) * s) as u8;
                }
            }
        }
    }

    /// Draws along a path.
    pub fn stroke(&mut self, path: Option<Path>, width: f32, c: Rgb, alpha: f32) {
        if let Some(path) = path {
            let paint = Self::paint(Shader::SolidColor(colour(c, alpha)));
            let stroke =
                Stroke { width, line_cap: LineCap::Round, line_join: LineJoin::Round, ..Stroke::default() };
            self.pixmap.stroke_path(&path, &paint, &stroke, self.view, None);
        }
    }
}

/// An oval.
pub fn oval(centre: [f32; 2], radii: [f32; 2]) -> Option<Path> {
    let [rx, ry] = radii;
    let rect = tiny_skia::Rect::from_ltrb(centre[0] - rx, centre[1] - ry, centre[0] + rx, centre[1] + ry)?;
    PathBuilder::from_oval(rect)
}

/// A smooth closed or open path through these points.
pub fn through(points: &[[f32; 2]], closed: bool) -> Option<Path> {
    let n = points.len();
    if n < 2 {
        return None;
    }
    let at = |i: isize| {
        let n = n as isize;
        let k = if closed { i.rem_euclid(n) } else { i.clamp(0, n - 1) };
        points[k as usize]
    };
    let mut path = PathBuilder::new();
    path.move_to(points[0][0], points[0][1]);
    let spans = if closed { n } else { n - 1 };
    for i in 0..spans as isize {
        let (p0, p1, p2, p3) = (at(i - 1), at(i), at(i + 1), at(i + 2));
        path.cubic_to(
            p1[0] + (p2[0] - p0[0]) / 6.0,
            p1[1] + (p2[1] - p0[1]) / 6.0,
            p2[0] - (p3[0] - p1[0]) / 6.0,
            p2[1] - (p3[1] - p1[1]) / 6.0,
            p2[0],
            p2[1],
        );
    }
    if closed {
        path.close();
    }
    path.finish()
}

/// A closed path with straight sides.
pub fn polygon(points: &[[f32; 2]]) -> Option<Path> {
    let mut path = PathBuilder::new();
    let (first, rest) = points.split_first()?;
    path.move_to(first[0], first[1]);
    for p in rest {
        path.line_to(p[0], p[1]);
    }
    path.close();
    path.finish()
}
