mod dialects;

use std::fmt::Write as _;

use proptest::prelude::*;

use super::cfp::View;
use super::*;
use lfs_faces::dataset::{Points, known};

#[test]
fn lists_of_eleven_and_twelve_fields_are_read() {
    let want: Points = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.5], [7.0, 8.0], [9.0, -10.0]];
    let numbers = "1 2 3 4 5 6.5 7 8 9 -10";
    let lists = [
        format!("# made\n\na b/c.jpg\t{}\n", numbers.replace(' ', "\t")),
        format!("a b/c.jpg\t0\t{}\r\n", numbers.replace(' ', "\t")),
    ];
    for list in lists {
        assert_eq!(list::read(&list).unwrap(), [("a b/c.jpg".to_owned(), want)]);
    }
    assert_eq!(list::read(&format!("a\\c.jpg 7 {numbers}")).unwrap(), [("a/c.jpg".to_owned(), want)]);
}

#[test]
fn a_bad_line_of_a_list_is_named() {
    let text = list::read("a.jpg 1 2 3 4 5 6 7 8 9 10\nb.jpg 1 2 3 4 5 6 7 8 9 x\n").unwrap_err().to_string();
    assert!(text.contains("line 2") && text.contains("`x`"), "{text}");
    let text = list::read("a.jpg 1 2 3").unwrap_err().to_string();
    assert!(text.contains("line 1: expected a path and ten coordinates, found 4 fields"), "{text}");
    assert!(list::read("a.jpg 1 2 3 4 5 6 7 8 9 NaN").is_err());
}

#[test]
fn five_lines_are_read_and_attributes_passed_over() {
    let want: Points = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0], [7.0, 8.0], [9.0, 10.0]];
    assert_eq!(five::read("1 2\n3 4\n5 6\n7 8\n9 10\n0 1 1\n").unwrap(), want);
    assert!(five::read("1 2\n3 4").unwrap_err().to_string().contains("found 2"));
}

#[test]
fn a_pts_file_gives_eye_centres_nose_tip_and_mouth_corners() {
    let mut text = "version: 1\nn_points: 68\n{\n".to_owned();
    for k in 0..68 {
        let _ = writeln!(text, "{k} {}", 2 * k);
    }
    text += "}\n";
    assert_eq!(
        pts::read(&text).unwrap(),
        [[38.5, 77.0], [44.5, 89.0], [30.0, 60.0], [48.0, 96.0], [54.0, 108.0]]
    );
    assert!(pts::read("1 2").is_err());
}

/// Half a face whose midline contains (50, 0) and leans by `lean` pixels of x for each of y.
fn half(sign: f32, lean: f32) -> String {
    let unit = (1.0 + lean * lean).sqrt();
    // From (distance to the midline, position along it) to pixels.
    let at = |side: f32, down: f32| {
        let (x, y) = (sign * side / unit + down * lean / unit, -sign * side * lean / unit + down / unit);
        format!("{},{}\n", 50.0 + x, y)
    };
    let mut text = String::new();
    for k in 0..30 {
        text += &match k {
            8 => at(0.0, 90.0),
            12..=17 => at(-20.0 + [-3.0, -1.0, 1.0, 3.0, 1.0, -1.0][k - 12], 30.0),
            18..=21 => at(0.0, 32.0 + 6.0 * (k - 18) as f32),
            25 => at(-12.0, 70.0),
            26..=29 => at(0.0, 66.0 + 3.0 * (k - 26) as f32),
            _ => at(-30.0, k as f32),
        };
    }
    text
}

#[test]
fn frontal_halves_are_reflected_over_the_leaning_midline() {
    for lean in [0.0, 0.2, -0.3] {
        let unit = (1.0_f32 + lean * lean).sqrt();
        for sign in [1.0, -1.0] {
            let got = cfp::read(&half(sign, lean), View::Frontal).unwrap();
            let at = |side: f32, down: f32| [50.0 + (side + down * lean) / unit, (down - side * lean) / unit];
            let want = [at(-20.0, 30.0), at(20.0, 30.0), at(0.0, 50.0), at(-12.0, 70.0), at(12.0, 70.0)];
            for (g, w) in got.as_flattened().iter().zip(want.as_flattened()) {
                assert!((g - w).abs() < 1e-3, "lean {lean}, sign {sign}: {got:?}, expected {want:?}");
            }
        }
    }
}

#[test]
fn profiles_know_three_points_on_the_side_that_is_seen() {
    // The nose is right of the eye: the face looks to the right, and the eye is the picture's left one.
    let right = cfp::read(&half(1.0, 0.0), View::Profile).unwrap();
    assert_eq!(known(&right).collect::<Vec<_>>(), [0, 2, 3]);
    let left = cfp::read(&half(-1.0, 0.0), View::Profile).unwrap();
    assert_eq!(known(&left).collect::<Vec<_>>(), [1, 2, 4]);
    assert!(left[1][0] > left[2][0]);
}

#[test]
fn cfp_messages_state_what_was_found() {
    assert!(
        cfp::read("1,2\n", View::Frontal).unwrap_err().to_string().contains("expected 30 points, found 1")
    );
    assert!(cfp::read("1,2,3\n", View::Frontal).unwrap_err().to_string().contains("line 1"));
    assert!(cfp::read(&"5,5\n".repeat(30), View::Frontal).unwrap_err().to_string().contains("not a line"));
}

proptest! {
    #[test]
    fn any_text_is_read_or_refused(text in "[0-9 .,\t\n{}a-]{0,300}", any in any::<String>()) {
        for text in [text, any] {
            let _ = (list::read(&text), five::read(&text), pts::read(&text));
            let _ = (cfp::read(&text, View::Frontal), cfp::read(&text, View::Profile));
        }
    }

    #[test]
    fn any_thirty_points_are_read_or_refused(p in prop::collection::vec((-1e6_f32..1e6, -1e6_f32..1e6), 30)) {
        let text: String = p.iter().map(|(x, y)| format!("{x},{y}\n")).collect();
        for view in [View::Frontal, View::Profile] {
            if let Ok(points) = cfp::read(&text, view) {
                prop_assert!(known(&points).count() >= 3);
            }
        }
    }
}
