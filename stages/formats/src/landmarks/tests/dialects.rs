//! Dialects of landmark lists.

use super::*;

/// A face whose position depends on `k`, in integer pixels.
fn face(k: usize) -> [f32; 10] {
    let shift = (k % 17) as f32;
    [38.0, 51.0, 73.0, 52.0, 56.0, 71.0, 41.0, 92.0, 70.0, 91.0].map(|v| v + shift)
}

fn numbers(k: usize, separator: &str) -> String {
    face(k).map(|v| v.to_string()).join(separator)
}

fn paths(text: &str) -> Vec<String> {
    list::read(text).unwrap().into_iter().map(|e| e.0).collect()
}

fn says(text: &str) -> String {
    list::read(text).unwrap_err().to_string()
}

#[test]
fn a_list_with_a_byte_order_mark_gives_its_first_image_its_points() {
    let text = format!("\u{feff}a/1.jpg {}\r\na/2.jpg {}\r\n", numbers(0, " "), numbers(1, " "));
    let bytes: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for text in [text, crate::text::decode(&bytes).unwrap()] {
        let got = list::read(&text).unwrap();
        assert_eq!((got[0].0.as_str(), got[0].1.as_flattened()), ("a/1.jpg", &face(0)[..]));
        assert_eq!(got.len(), 2);
    }
}

#[test]
fn names_with_blanks_are_the_path_whatever_separates_the_fields() {
    for separator in [" ", "\t", ",", ", ", ";", "   "] {
        for name in ["John Smith/0.jpg", "Mary Ann Lee/my photo.PNG", "Kurnova, Maria/1.jpeg", "a.jpg"] {
            let text = format!("{name}{separator}{}\n", numbers(0, separator));
            assert_eq!(paths(&text), [name], "{text}");
        }
    }
    assert_eq!(paths(&format!("\"Kurnova, Maria/1.jpg\",{}\n", numbers(0, ","))), ["Kurnova, Maria/1.jpg"]);
    assert_eq!(paths(&format!(".\\John Smith\\0.jpg {}", numbers(0, " "))), ["John Smith/0.jpg"]);
}

#[test]
fn a_path_may_end_as_no_images_does_and_have_a_whole_number_before_it() {
    for head in ["John", "John Smith/0", "000001", "a.txt", "50 Cent/1.jpg"] {
        assert_eq!(paths(&format!("{head} {}", numbers(0, " "))), [head]);
    }
    assert_eq!(paths(&format!("Ann/1\tAfrican\t{}", numbers(0, "\t"))), ["Ann/1"]);
    for separator in ["\t", ",", ", "] {
        let line = |k: usize| format!("{k}{separator}A b/{k}.jpg{separator}{}\n", numbers(k, separator));
        assert_eq!(paths(&(line(7) + &line(7))), ["A b/7.jpg", "A b/7.jpg"]);
    }
    for first in [0, 1] {
        let text: String = (first..4).map(|k| format!("{k} A b/{k}.jpg {}\n", numbers(k, " "))).collect();
        assert_eq!(paths(&text)[0], format!("A b/{first}.jpg"));
    }
    let columns = format!(",path,{}\n", (0..10).map(|k| k.to_string()).collect::<Vec<_>>().join(","));
    let text = columns + &format!("0,a/1.jpg,{}\n1,a/2.jpg,{}\n", numbers(0, ","), numbers(1, ","));
    assert_eq!(paths(&text.replace(",path,", "path,")), ["a/1.jpg", "a/2.jpg"]);
    assert!(says(&format!("John\tSmith/0.jpg {}", numbers(0, " "))).contains("line 1: expected the path"));
}

#[test]
fn a_box_a_label_and_a_score_are_recognised_by_the_shape_of_faces() {
    for (before, behind) in [
        ("10 10 120 130 ", ""),
        ("10 10 120 130 0.998 ", ""),
        ("0.998 10 10 120 130 ", ""),
        ("10.5 10.25 100 110 ", ""),
        ("", " 10 10 120 130"),
        ("10 10 120 130 ", " 0.998"),
        ("7 10 10 120 130 0.998 ", ""),
        ("7 ", " 0.998"),
    ] {
        let text: String =
            (0..5).map(|k| format!("a b/{k}.jpg {before}{}{behind}\n", numbers(k, " "))).collect();
        let got = list::read(&text).unwrap();
        assert_eq!((got[3].0.as_str(), got[3].1.as_flattened()), ("a b/3.jpg", &face(3)[..]), "{text}");
    }
    for more in ["500 500 600 600", "1 2 3 4", "0 0 0 0 0", "3 4"] {
        assert!(says(&format!("a.jpg {more} {}", numbers(0, " "))).contains("numbers"), "{more}");
    }
}

#[test]
fn a_line_without_a_detection_is_an_image_without_points() {
    for nothing in [
        "a/1.jpg",
        "a/1",
        "a/1.jpg,,,,,,,,,,",
        "a/1.jpg nan nan nan nan nan nan nan nan nan nan",
        "a/1.jpg NaN NaN NaN NaN NaN NaN NaN NaN NaN NaN 0.1",
        "a/1.jpg 0 0 0 0 0 0 0 0 0 0",
        "a/1.jpg -1 -1 -1 -1 -1 -1 -1 -1 -1 -1",
    ] {
        let got = list::read_all(&format!("{nothing}\na/2.jpg {}\n", numbers(0, " "))).unwrap();
        assert!(
            got[0].0.starts_with("a/1") && got[0].1.is_none() && got[1].1.is_some(),
            "{nothing}: {got:?}"
        );
    }
    assert!(says("a/1.jpg 1 2 3 4 5 nan 7 8 9 10").contains("`nan`"));
    assert!(says("nothing at all").contains("line 1"));
}

#[test]
fn a_number_sign_starts_a_comment_only_where_no_points_follow() {
    let text =
        format!("# made by hand, 2 images\n#1 Fan/1.jpg {}\n#\nb.jpg {}\n", numbers(0, " "), numbers(1, " "));
    assert_eq!(paths(&text), ["#1 Fan/1.jpg", "b.jpg"]);
}

#[test]
fn the_shape_of_faces_decides_whether_an_eleventh_number_is_a_field_or_a_score() {
    for score in ["0.998", "1", "0", "12.5", "998"] {
        let text: String = (0..5).map(|k| format!("a/{k}.jpg {} {score}\n", numbers(k, " "))).collect();
        assert_eq!(list::read(&text).unwrap()[3].1.as_flattened(), face(3), "a score {score}");
        let text: String = (0..5).map(|k| format!("a/{k}.jpg\t{score}\t{}\n", numbers(k, "\t"))).collect();
        assert_eq!(list::read(&text).unwrap()[3].1.as_flattened(), face(3), "a field {score}");
    }
    let text = format!("a/1.jpg\tAfrican\t{}\na b.jpg African {}\n", numbers(0, "\t"), numbers(1, " "));
    assert_eq!(paths(&text), ["a/1.jpg", "a b.jpg"]);
    // Numbers without the shape of a face, in a notation that favours neither reading.
    assert!(says("a.jpg 1.5 9 9 1 1 9 2 8 3 7 400").contains("eleven numbers"));
    assert!(says(&format!("a.jpg 5 7 {} 1", numbers(0, " "))).contains("found 13 numbers"));
}

#[test]
fn points_in_another_order_are_reordered_and_others_are_unchanged() {
    // The index at which each of the ten numbers is written, by name.
    let orders: [(&str, [usize; 10]); 12] = [
        ("as used", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("all x, all y", [0, 2, 4, 6, 8, 1, 3, 5, 7, 9]),
        ("all y, all x", [1, 3, 5, 7, 9, 0, 2, 4, 6, 8]),
        ("y x", [1, 0, 3, 2, 5, 4, 7, 6, 9, 8]),
        ("the person's left and right", [2, 3, 0, 1, 4, 5, 8, 9, 6, 7]),
        ("eyes the other way", [2, 3, 0, 1, 4, 5, 6, 7, 8, 9]),
        ("mouth the other way", [0, 1, 2, 3, 4, 5, 8, 9, 6, 7]),
        ("mouth before nose", [0, 1, 2, 3, 6, 7, 8, 9, 4, 5]),
        ("the same, the person's", [2, 3, 0, 1, 8, 9, 6, 7, 4, 5]),
        ("nose first", [4, 5, 0, 1, 2, 3, 6, 7, 8, 9]),
        ("mouth, eyes, nose", [6, 7, 8, 9, 0, 1, 2, 3, 4, 5]),
        ("mouth, nose, eyes", [6, 7, 8, 9, 4, 5, 0, 1, 2, 3]),
    ];
    let line = |k: usize, order: &[usize; 10], behind: &str| {
        let written = order.map(|i| face(k)[i].to_string()).join(" ");
        format!("a/{k}.jpg {written}{behind}\n")
    };
    for (name, order) in &orders {
        for behind in ["", " 0.998"] {
            let text: String = (0..6).map(|k| line(k, order, behind)).collect();
            let got = list::read(&text).unwrap();
            assert!((0..6).all(|k| got[k].1.as_flattened() == face(k)), "{name}{behind}: {got:?}");
        }
        // Two faces are too few to decide.
        let text: String = (0..2).map(|k| line(k, order, "")).collect();
        assert_eq!(list::read(&text).unwrap()[1].1.as_flattened(), order.map(|i| face(1)[i]), "{name}");
    }
    // No order gives the shape of a face.
    let text: String = (0..5).map(|k| format!("a/{k}.jpg 1{k} 9 9 1 1 9 2 8{k} 3 7\n")).collect();
    assert_eq!(
        list::read(&text).unwrap()[4].1.as_flattened(),
        [14.0, 9.0, 9.0, 1.0, 1.0, 9.0, 2.0, 84.0, 3.0, 7.0]
    );
}

#[test]
fn celebas_list_has_a_count_and_a_header() {
    let header = "lefteye_x lefteye_y righteye_x righteye_y nose_x nose_y leftmouth_x leftmouth_y rightmouth_x rightmouth_y";
    let rows = format!("000001.jpg    {}\n000002.jpg    {}\n", numbers(0, "  "), numbers(1, "  "));
    for text in [
        format!("2\n{header} \n{rows}"),
        format!("{header}\n{rows}"),
        format!("name,{}\n{rows}", header.replace(' ', ",")),
    ] {
        assert_eq!(paths(&text), ["000001.jpg", "000002.jpg"]);
    }
    assert!(says(&format!("202599\n{header}\n{rows}")).contains("promises 202599 lines, 2 follow"));
    assert!(says(&format!("{rows}{header}\n")).contains("line 3"));
}

#[test]
fn fractions_of_width_and_height_are_refused_with_a_question() {
    let parts = "0.342 0.4616 0.6565 0.4598 0.5002 0.6405 0.371 0.8247 0.6315 0.8232";
    let text = says(&format!("a.jpg {parts}\nb.jpg {parts}\n"));
    assert!(text.contains("are these fractions of width and height?"), "{text}");
    // Zeros mean that no face was found, and a single odd line is left to the check of `align`.
    let zeros = format!(
        "a.jpg {}\nb.jpg 0 0 0 0 0 0 0 0 0 0\nc.jpg {parts}\nd.jpg {}",
        numbers(0, " "),
        numbers(1, " ")
    );
    assert_eq!(list::read_all(&zeros).unwrap().len(), 4);
}

proptest! {
    #[test]
    fn what_is_written_in_any_dialect_is_read_again(
        folders in prop::collection::vec("[A-Za-z0-9é.,_-]{1,6}( [A-Za-z0-9]{1,4})?", 1..3),
        ending in prop::sample::select(vec!["jpg", "JPG", "png", "jpeg"]),
        coordinates in prop::array::uniform10(-50.0_f32..900.0),
        separator in prop::sample::select(vec!["\t", " ", ",", " , "]),
        before in prop::sample::select(vec!["", "\u{feff}", "# made by hand\n", "\n"]),
        end in prop::sample::select(vec!["\n", "\r\n", ""]),
    ) {
        // An integer before the path would be taken for a flag.
        prop_assume!(!folders[0].split_once(',').is_some_and(|(n, _)| n.bytes().all(|b| b.is_ascii_digit())));
        prop_assume!(folders.iter().all(|f| !f.starts_with(['.', ','])));
        let name = format!("{}/x.{ending}", folders.join("/"));
        let text = format!("{before}{name}{separator}{}{end}", coordinates.map(|v| v.to_string()).join(separator));
        let got = list::read(&text).unwrap();
        prop_assert_eq!(got[0].0.as_str(), name.as_str());
        prop_assert_eq!(got[0].1.as_flattened(), &coordinates[..]);
    }
}
