use lfs_faces::dataset::Points;
use lfs_faces::image::{Part, Pixels};
use proptest::prelude::*;

use crate::template::Layout;
use crate::transform::Similarity;
use crate::warp;

fn warp(source: &Pixels, transform: &Similarity, size: u32) -> Option<Pixels> {
    warp::warp(&Part::from(source), transform, size, size).map(|p| Pixels::from(&p))
}

fn gradient(width: u32, height: u32) -> Pixels {
    let rgb =
        (0..height).flat_map(|y| (0..width).flat_map(move |x| [(2 * x) as u8, (3 * y) as u8, 77])).collect();
    Pixels { width, height, rgb }
}

const STILL: Similarity = Similarity { a: 1.0, b: 0.0, tx: 0.0, ty: 0.0 };

#[test]
fn the_identity_copies_and_a_whole_shift_moves() {
    let source = gradient(40, 40);
    assert_eq!(warp(&source, &STILL, 40).unwrap(), source);
    let moved = warp(&source, &Similarity { tx: 3.0, ty: -2.0, ..STILL }, 40).unwrap();
    let at = |p: &Pixels, x: usize, y: usize| p.rgb[(y * 40 + x) * 3..][..3].to_vec();
    assert_eq!(at(&moved, 10, 10), at(&source, 7, 12));
    assert_eq!(at(&moved, 2, 10), [0, 0, 0], "black outside");
    assert_eq!(at(&moved, 10, 39), [0, 0, 0], "black outside");
}

#[test]
fn half_a_pixel_is_the_mean_of_neighbours_and_the_border_fades_to_black() {
    let source = gradient(40, 40);
    let moved = warp(&source, &Similarity { tx: 0.5, ..STILL }, 40).unwrap();
    assert_eq!(&moved.rgb[(5 * 40 + 10) * 3..][..3], [19, 15, 77]);
    assert_eq!(&moved.rgb[(5 * 40) * 3..][..3], [0, 8, 39]);
}

#[test]
fn a_picture_of_one_pixel_and_a_wild_transform_are_harmless() {
    let source = Pixels { width: 1, height: 1, rgb: vec![255; 3] };
    for t in [STILL, Similarity { a: 1e-12, ..STILL }, Similarity { a: 1e12, tx: 1e300, ..STILL }] {
        if let Some(out) = warp(&source, &t, 24) {
            assert_eq!(out.rgb.len(), 24 * 24 * 3);
        }
    }
    assert!(warp(&source, &Similarity { a: 0.0, ..STILL }, 24).is_none());
}

#[test]
fn the_centre_square_of_a_wide_picture_is_taken_edge_to_edge() {
    let t = Similarity::centre(200, 100, (50, 50));
    for (from, to) in [([49.5, -0.5], [-0.5, -0.5]), ([149.5, 99.5], [49.5, 49.5])] {
        let got = t.apply(from);
        assert!((got[0] - to[0]).abs() < 1e-9 && (got[1] - to[1]).abs() < 1e-9, "{got:?}");
    }
}

#[test]
fn points_in_one_place_give_no_transform() {
    let target = Layout::square(112).points;
    assert!(Similarity::fit(&[[5.0, 5.0]; 5], &target).is_none());
    assert!(Similarity::fit(&[[f32::NAN; 2]; 5], &target).is_none());
    let mut one = [[f32::NAN; 2]; 5];
    one[2] = [3.0, 4.0];
    assert!(Similarity::fit(&one, &target).is_none());
}

proptest! {
    #[test]
    fn a_known_similarity_is_recovered_from_five_three_or_two_points(
        scale in 0.05_f64..20.0, angle in -3.1_f64..3.1, tx in -500.0_f64..500.0, ty in -500.0_f64..500.0,
        size in 24_u32..=224, points in prop::sample::select(vec![vec![], vec![1, 4], vec![0, 3], vec![0, 1, 2]]),
    ) {
        let target = Layout::square(size).points;
        let want = Similarity { a: scale * angle.cos(), b: scale * angle.sin(), tx, ty };
        let back = want.inverse().unwrap();
        let mut from: Points = target.map(|p| back.apply(p).map(|v| v as f32));
        for k in points {
            from[k] = [f32::NAN; 2];
        }
        let got = Similarity::fit(&from, &target).unwrap();
        prop_assert!(got.residual(&from, &target) < 1e-2);
        prop_assert!((got.scale() / scale - 1.0).abs() < 2e-3);
        prop_assert!((got.a - want.a).abs() < 2e-3 * scale && (got.b - want.b).abs() < 2e-3 * scale);
    }

    #[test]
    fn no_other_similarity_is_nearer(
        from in prop::array::uniform5(prop::array::uniform2(-100.0_f32..100.0)),
        da in -0.1_f64..0.1, db in -0.1_f64..0.1, dx in -5.0_f64..5.0, dy in -5.0_f64..5.0,
    ) {
        let target = Layout::square(112).points;
        if let Some(best) = Similarity::fit(&from, &target) {
            let other = Similarity { a: best.a + da, b: best.b + db, tx: best.tx + dx, ty: best.ty + dy };
            prop_assert!(best.residual(&from, &target) <= other.residual(&from, &target) + 1e-9);
        }
    }
}
