//! The meshes of head, ears and neck.

use tiny_skia::Pixmap;

use super::camera::{Camera, normal};
use super::raster::{Corner, Frame};
use super::shape::{Shape, Vec3};
use super::skin;

/// Azimuths of the mesh: fine in front, coarse behind.
const COLUMNS: usize = 51;
/// Heights of the mesh.
const ROWS: usize = 48;

/// Draws the skin of the head.
pub fn draw(frame: &mut Frame, shape: &Shape, camera: &Camera, skin: &Pixmap) {
    let lamp = camera.lamp_at_head();
    let mut points = Vec::with_capacity(COLUMNS * ROWS);
    let mut places = Vec::with_capacity(COLUMNS * ROWS);
    for row in 0..ROWS {
        let s = row as f32 / (ROWS - 1) as f32;
        let y = height(shape, s);
        for column in 0..COLUMNS {
            let phi = azimuth(column);
            points.push(shape.skin(phi, y));
            places.push((phi, y));
        }
    }
    let shine = 46.0 * (1.0 - 0.5 * shape.t.ruggedness);
    let corners: Vec<Corner> = points
        .iter()
        .zip(&places)
        .enumerate()
        .map(|(k, (p, (phi, y)))| {
            let n = camera.turn(normal_at(&points, k));
            let q = camera.project(*p);
            let [u, v] = skin::place(*phi, *y);
            let light = camera.lit(n, shade(shape, lamp, *p));
            let oily = if p[2] > 0.6 { 1.0 } else { 0.4 };
            Corner {
                x: q[0],
                y: q[1],
                z: q[2],
                u,
                v,
                light,
                shine: shine * oily * camera.shine(n) * camera.colour()[1],
            }
        })
        .collect();
    frame.grid(&corners, COLUMNS, skin, true);
}

/// The height of a row; rows are denser around eyes, nose and mouth.
fn height(shape: &Shape, s: f32) -> f32 {
    let (top, low) = (-shape.t.crown, shape.chin_y);
    if s < 0.2 {
        // Up to the forehead, equally spaced in angle so that the crown is round.
        let a = s / 0.2 * std::f32::consts::FRAC_PI_2;
        return top + (-0.45 - top) * (1.0 - libm::cosf(a));
    }
    let r = (s - 0.2) / 0.8;
    let end = 1.0 - (1.0 - r) * (1.0 - r) * (1.0 - 0.55 * r);
    -0.45 + (low + 0.45) * (0.75 * r + 0.25 * end)
}

fn azimuth(column: usize) -> f32 {
    let s = column as f32 / (COLUMNS - 1) as f32 * 2.0 - 1.0;
    let a = s.abs();
    let phi = if a < 0.8 { a / 0.8 * 1.35 } else { 1.35 + (a - 0.8) / 0.2 * (std::f32::consts::PI - 1.35) };
    phi.copysign(s)
}

/// The outward normal of the mesh at a corner, from its neighbours.
fn normal_at(points: &[Vec3], k: usize) -> Vec3 {
    let (row, column) = (k / COLUMNS, k % COLUMNS);
    let at = |r: usize, c: usize| points[r * COLUMNS + c];
    let (l, r) = (at(row, column.saturating_sub(1)), at(row, (column + 1).min(COLUMNS - 1)));
    let (u, d) = (at(row.saturating_sub(1), column), at((row + 1).min(ROWS - 1), column));
    let n = normal([r[0] - l[0], r[1] - l[1], r[2] - l[2]], [d[0] - u[0], d[1] - u[1], d[2] - u[2]]);
    if row == 0 { [0.0, -1.0, 0.0] } else { n }
}

/// The fraction of the lamp's light that reaches a point of the face: less beside and under the nose, and under the brows, lips and
/// chin.
fn shade(shape: &Shape, lamp: Vec3, p: Vec3) -> f32 {
    if p[2] < 0.5 {
        return 0.92;
    }
    let soft = |dx: f32, dy: f32| libm::expf(-(dx * dx + dy * dy));
    let side = (lamp[0] / lamp[2].max(0.25)).clamp(-1.6, 1.6);
    let above = (-lamp[1] / lamp[2].max(0.25)).clamp(-0.5, 1.6);
    let t = &shape.t;
    // The shadow of the nose falls away from the lamp.
    let reach = t.nose_height * 0.75;
    let along = ((p[1] + 0.05) / (t.nose_length + 0.05)).clamp(0.0, 1.1);
    let edge = -side.signum() * (t.nose_width * 0.9 * along + reach * side.abs() * 0.45 * along);
    let cast = side.abs().min(1.0)
        * soft((p[0] - edge) / (0.07 + 0.10 * along), (p[1] - t.nose_length * 0.72) / 0.32);
    let under = above.clamp(0.0, 1.0)
        * soft((p[0] + side * 0.16) / (t.nose_width * 1.1), (p[1] - t.nose_length - 0.16) / 0.10);
    let ex = shape.eye_x();
    let sockets =
        above.clamp(0.0, 1.0) * soft((p[0].abs() - ex) / 0.24, (p[1] + 0.06) / 0.10) * (0.3 + 2.5 * t.socket);
    let lip = above.clamp(0.0, 1.0)
        * soft(p[0] / 0.26, (p[1] - shape.mouth_y - shape.gap - t.lower_lip - 0.06) / 0.06);
    (1.0 - 0.62 * cast - 0.55 * under - 0.5 * sockets - 0.35 * lip).max(0.12)
}

/// Draws the ears.
pub fn ears(frame: &mut Frame, shape: &Shape, camera: &Camera, skin: &Pixmap) {
    let (columns, rows) = (9, 11);
    let t = &shape.t;
    for side in [-1.0_f32, 1.0] {
        let mut corners = Vec::with_capacity(columns * rows);
        for row in 0..rows {
            let v = row as f32 / (rows - 1) as f32 * 2.0 - 1.0;
            // The lobe follows the head inwards.
            let root = shape.base(side * 1.52, 0.10 + v * t.ear_size, 0.0);
            for column in 0..columns {
                let u = column as f32 / (columns - 1) as f32 * 2.0 - 1.0;
                // A bowl: broad above, narrow at the lobe, its back rim away from the head.
                let half = 0.62 * (1.0 - v * v).max(0.0).sqrt() * (1.0 - 0.22 * v);
                let (b, h) = (u * half * t.ear_size, v);
                let out =
                    t.ear_angle * (1.0 - u) * 0.5 * (1.0 - 0.7 * v * v) + 0.05 * (u * u + v * v).min(1.0);
                let p = [root[0] + side * (out + 0.02), root[1], root[2] + 0.02 + b - 0.12 * h];
                let n = camera.turn([side * (0.8 - 0.4 * u * u), -0.25 * v, 0.45 + 0.5 * u]);
                let inner = 1.0 - 0.42 * libm::expf(-(u * u * 5.0 + v * v * 3.0));
                let q = camera.project(p);
                let lit = camera.lit(n, 0.85);
                let [tu, tv] = skin::place(side * 1.3, 0.5);
                let light = [lit[0] * inner * 1.04, lit[1] * inner * 0.94, lit[2] * inner * 0.92];
                corners.push(Corner { x: q[0], y: q[1], z: q[2], u: tu, v: tv, light, shine: 0.0 });
            }
        }
        frame.grid(&corners, columns, skin, false);
    }
}

/// Draws the neck.
pub fn neck(frame: &mut Frame, shape: &Shape, camera: &Camera, skin: &Pixmap) {
    let (columns, rows) = (17, 8);
    let wide = 0.46 + 0.28 * shape.t.jaw + 0.16 * shape.t.ruggedness;
    let mut corners = Vec::with_capacity(columns * rows);
    for row in 0..rows {
        let v = row as f32 / (rows - 1) as f32;
        let y = 0.75 + v * 2.1;
        let flare = 1.0 + 0.7 * ((v - 0.45).max(0.0) / 0.4).powi(2);
        for column in 0..columns {
            let a = (column as f32 / (columns - 1) as f32 * 2.0 - 1.0) * 2.6;
            let (s, c) = libm::sincosf(a);
            let p = [wide * flare * s, y, 0.60 * flare * c - 0.04 - 0.2 * v];
            let n = camera.turn([s, 0.1, c]);
            let q = camera.project(p);
            // The head shades the upper part.
            let under = 0.42 + 0.5 * ((y - shape.chin_y + 0.1) / 0.9).clamp(0.0, 1.0);
            let [tu, tv] = skin::place(a * 0.2, -0.62);
            let lit = camera.lit(n, under);
            let light = [
                lit[0] * (0.55 + 0.45 * under),
                lit[1] * (0.52 + 0.45 * under),
                lit[2] * (0.5 + 0.45 * under),
            ];
            corners.push(Corner { x: q[0], y: q[1], z: q[2] - 0.02, u: tu, v: tv, light, shine: 0.0 });
        }
    }
    frame.grid(&corners, columns, skin, false);
}
