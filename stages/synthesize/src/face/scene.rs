//! Everything but the head: background, clothes, glasses, and occlusions.

use tiny_skia::{Pixmap, Transform};

use super::brush::{Canvas, Rgb, mix, oval, polygon, scaled, through};
use super::camera::Camera;
use super::shape::Shape;
use super::tones::Tones;
use crate::factors::{Factors, Glasses, Occlusion};
use crate::rng::{Draw, stream};

/// Paints background and clothes.
pub fn behind(pixmap: &mut Pixmap, f: &Factors, camera: &Camera) {
    let mut rng = stream(f.background, "background", &[]);
    let (w, h) = (pixmap.width() as f32, pixmap.height() as f32);
    let tint = camera.colour();
    let lit = |c: Rgb| [c[0] * tint[0], c[1] * tint[1], c[2] * tint[2]];
    let mut any = || -> Rgb {
        let grey = rng.uniform(20.0, 225.0);
        lit([grey + rng.normal(26.0), grey + rng.normal(22.0), grey + rng.normal(28.0)])
    };
    let (a, b, c1, c2, cloth) = (any(), any(), any(), any(), any());
    let mut c = Canvas { pixmap, view: Transform::identity() };
    let all = polygon(&[[0.0, 0.0], [w, 0.0], [w, h], [0.0, h]]);
    let dx = rng.uniform(-0.5, 1.5);
    c.fill_between(all, ([dx * w, 0.0], a, 1.0), ([(1.0 - dx) * w, h], b, 1.0));
    for k in 0..rng.below(7) {
        let tone = if k % 2 == 0 { c1 } else { c2 };
        let (x, y, r) = (rng.uniform(0.0, w), rng.uniform(0.0, h), rng.uniform(0.08, 0.36) * w);
        match rng.below(3) {
            0 => c.spot([x, y], [r, r * rng.uniform(0.6, 1.4)], tone, 0.8),
            1 => {
                let s = rng.uniform(0.15, 0.6) * r;
                c.fill(
                    polygon(&[[x, y - r], [x + s, y - r], [x + s, y + 2.0 * r], [x, y + 2.0 * r]]),
                    tone,
                    0.5,
                );
            }
            _ => c.stroke(
                through(&[[x - r, y], [x, y + rng.normal(0.2) * r], [x + r, y + rng.normal(0.4) * r]], false),
                r * 0.15,
                tone,
                0.6,
            ),
        }
    }
    shoulders(&mut c, camera, f, cloth, &mut rng);
}

fn shoulders(
    c: &mut Canvas<'_>,
    camera: &Camera,
    f: &Factors,
    cloth: Rgb,
    rng: &mut rand_chacha::ChaCha8Rng,
) {
    let at = |x: f32, y: f32| {
        let q = camera.project([x, y, -0.2]);
        [q[0], q[1]]
    };
    let spread = rng.uniform(1.7, 2.3);
    let rim = [
        at(-0.72, 1.80),
        at(-spread, 2.25),
        at(-spread - 0.5, 4.5),
        at(spread + 0.5, 4.5),
        at(spread, 2.25),
        at(0.72, 1.80),
        at(0.0, 2.05),
    ];
    c.fill_between(
        through(&rim, true),
        (at(0.0, 1.9), cloth, 1.0),
        (at(0.6 * f.light[0], 3.6), scaled(cloth, 0.55), 1.0),
    );
    let collar = [at(-0.7, 1.9), at(-0.35, 2.35), at(0.0, 2.6), at(0.35, 2.35), at(0.7, 1.9)];
    c.stroke(through(&collar, false), f.scale * 0.12, scaled(cloth, 0.7), 0.9);
}

/// Draws what is in front of the face.
pub fn before(pixmap: &mut Pixmap, f: &Factors, camera: &Camera, shape: &Shape, tones: &Tones) {
    let mut c = Canvas { pixmap, view: Transform::identity() };
    glasses(&mut c, f, camera, shape);
    occlusion(&mut c, f, camera, shape, tones);
}

fn glasses(c: &mut Canvas<'_>, f: &Factors, camera: &Camera, shape: &Shape) {
    if f.glasses == Glasses::None {
        return;
    }
    let mut rng = stream(f.background, "glasses", &[]);
    let tint = camera.colour();
    let frame: Rgb = match rng.below(4) {
        0 => [26.0, 22.0, 22.0],
        1 => [92.0, 58.0, 34.0],
        2 => [150.0, 150.0, 154.0],
        _ => [70.0, 28.0, 32.0],
    };
    let frame = [frame[0] * tint[0], frame[1] * tint[1], frame[2] * tint[2]];
    let (half, tall) = (rng.uniform(0.25, 0.31), rng.uniform(0.17, 0.25));
    let square = rng.uniform(2.0, 4.5);
    let thick = f.scale * rng.uniform(0.05, 0.12);
    let ex = shape.eye_x();
    let bridge = shape.skin(0.0, -0.02)[2].max(1.22);
    let at = |x: f32, y: f32| {
        let q = camera.project([x, y, bridge + 0.05 - 0.32 * x * x]);
        [q[0], q[1]]
    };
    let turned = camera.turn([0.0, 0.0, 1.0])[0];
    for side in [-1.0_f32, 1.0] {
        // In profile, the far lens is hidden behind the nose.
        if side * turned > 0.80 {
            continue;
        }
        let rim: Vec<[f32; 2]> = (0..16)
            .map(|k| {
                let a = k as f32 * std::f32::consts::TAU / 16.0;
                let (s, co) = libm::sincosf(a);
                let r = 1.0
                    / libm::powf(libm::powf(co.abs(), square) + libm::powf(s.abs(), square), 1.0 / square);
                at(side * ex + half * r * co, 0.02 + tall * r * s)
            })
            .collect();
        if f.glasses == Glasses::Dark {
            c.fill(through(&rim, true), [14.0, 14.0, 18.0], 0.93);
            let glare =
                [at(side * ex - 0.12, -0.10), at(side * ex + 0.02, -0.12), at(side * ex - 0.06, 0.04)];
            c.fill(polygon(&glare), [235.0, 240.0, 250.0], 0.22);
        } else {
            c.fill(through(&rim, true), [225.0, 235.0, 245.0], 0.08);
            let glare =
                [at(side * ex - 0.16, -0.08), at(side * ex - 0.04, -0.12), at(side * ex - 0.14, 0.08)];
            c.fill(polygon(&glare), [250.0, 252.0, 255.0], 0.30 * f.light[2]);
        }
        c.stroke(through(&rim, true), thick, frame, 1.0);
        let ear = shape.base(side * 1.45, 0.0, 0.05);
        if side * turned < 0.35 {
            let q = camera.project(ear);
            c.stroke(through(&[at(side * (ex + half), -0.04), [q[0], q[1]]], false), thick, frame, 1.0);
        }
    }
    if turned.abs() < 0.9 {
        c.stroke(
            through(&[at(-ex + half, -0.03), at(0.0, -0.07), at(ex - half, -0.03)], false),
            thick,
            frame,
            1.0,
        );
    }
}

fn occlusion(c: &mut Canvas<'_>, f: &Factors, camera: &Camera, shape: &Shape, tones: &Tones) {
    let mut rng = stream(f.background, "occlusion", &[]);
    let tint = camera.colour();
    let lit = |k: Rgb| [k[0] * tint[0], k[1] * tint[1], k[2] * tint[2]];
    let on = |phi: f32, y: f32, lift: f32| {
        let mut p = shape.base(phi, y, lift);
        p[1] = y;
        let q = camera.project(p);
        [q[0], q[1]]
    };
    let cloth = lit([rng.uniform(20.0, 235.0), rng.uniform(20.0, 235.0), rng.uniform(20.0, 235.0)]);
    match f.occlusion {
        Occlusion::None => {}
        Occlusion::Mask => {
            let (m, n) = (shape.mouth_y, shape.t.nose_length);
            let rim = [
                on(-1.05, n - 0.05, 0.05),
                on(-0.5, n - 0.10, 0.16),
                on(0.0, n - 0.22, 0.36),
                on(0.5, n - 0.10, 0.16),
                on(1.05, n - 0.05, 0.05),
                on(0.95, m + 0.1, 0.06),
                on(0.55, shape.chin_y - 0.02, 0.08),
                on(0.0, shape.chin_y + 0.04, 0.12),
                on(-0.55, shape.chin_y - 0.02, 0.08),
                on(-0.95, m + 0.1, 0.06),
            ];
            c.fill_between(through(&rim, true), (rim[2], cloth, 1.0), (rim[7], scaled(cloth, 0.62), 1.0));
            c.stroke(
                through(&[on(-0.8, m - 0.1, 0.1), on(0.0, m - 0.05, 0.3), on(0.8, m - 0.1, 0.1)], false),
                f.scale * 0.06,
                scaled(cloth, 0.7),
                0.7,
            );
        }
        Occlusion::Hat => {
            let low = -0.62 - 0.2 * rng.uniform(0.0, 1.0);
            // Around the visible side of the head: azimuths count from the camera.
            let seen = |a: f32, y: f32, lift: f32| on(a - f.yaw, y, lift);
            let mut rim: Vec<[f32; 2]> =
                (0..9).map(|k| seen((k as f32 / 4.0 - 1.0) * 1.57, low, 0.14)).collect();
            let top = -shape.t.crown - 0.22;
            let arch = [(1.57, -1.0, 0.17), (1.57, -1.3, 0.20), (1.2, -1.55, 0.26), (0.0, top, 0.2)];
            rim.extend(arch.map(|(a, y, lift)| seen(a, y, lift)));
            rim.extend([2, 1, 0].map(|k| seen(-arch[k].0, arch[k].1, arch[k].2)));
            let side = rim[0];
            c.fill_between(
                through(&rim, true),
                (side, scaled(cloth, 0.7 - 0.3 * f.light[0]), 1.0),
                (rim[8], scaled(cloth, 0.7 + 0.3 * f.light[0]), 1.0),
            );
            let brim: Vec<[f32; 2]> =
                (0..9).map(|k| on((k as f32 / 4.0 - 1.0) * 1.1, low + 0.06, 0.34)).collect();
            c.stroke(through(&brim, false), f.scale * 0.16, scaled(cloth, 0.5), 1.0);
        }
        Occlusion::Object => {
            let side = if rng.chance(0.5) { 1.0 } else { -1.0 };
            let (x, y) = (side * rng.uniform(0.35, 0.9), rng.uniform(0.3, 1.3));
            let (r1, r2) = (f.scale * rng.uniform(0.35, 0.6), f.scale * rng.uniform(0.5, 0.9));
            let q = on(x, y, 0.15);
            if rng.chance(0.5) {
                // A hand: a palm and four fingers in the skin tone.
                let skin = lit(scaled(tones.skin, 0.92));
                c.fill(oval([q[0] + side * r1, q[1] + r2 * 0.9], [r1 * 0.9, r2 * 0.9]), skin, 1.0);
                for k in 0..4 {
                    let from = [q[0] + side * r1 * (0.2 + 0.5 * k as f32), q[1] + r2 * 0.6];
                    let to = [
                        q[0] + side * r1 * (-0.2 + 0.45 * k as f32),
                        q[1] - r2 * (0.35 + 0.1 * (k % 3) as f32),
                    ];
                    c.stroke(
                        through(&[from, to], false),
                        r1 * 0.46,
                        scaled(skin, 0.96 - 0.04 * k as f32),
                        1.0,
                    );
                    c.stroke(
                        through(&[[from[0] + r1 * 0.23, from[1]], [to[0] + r1 * 0.23, to[1]]], false),
                        r1 * 0.05,
                        scaled(skin, 0.6),
                        0.8,
                    );
                }
            } else {
                let rim = [
                    [q[0] - r1, q[1] - r2 * 0.6],
                    [q[0] + r1, q[1] - r2 * 0.8],
                    [q[0] + r1 * 1.1, q[1] + r2 * 2.0],
                    [q[0] - r1 * 0.9, q[1] + r2 * 2.0],
                ];
                c.fill_between(
                    polygon(&rim),
                    (rim[0], cloth, 1.0),
                    (rim[2], mix(cloth, [0.0, 0.0, 0.0], 0.5), 1.0),
                );
            }
        }
    }
}
