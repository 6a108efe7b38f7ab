mod jpeg_files;
mod turned;
mod usual;

use proptest::prelude::*;

use super::*;

fn picture(width: u32, height: u32) -> Pixels {
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            rgb.extend([(x * 3) as u8, (y * 2) as u8, ((x + y) % 200) as u8]);
        }
    }
    Pixels { width, height, rgb }
}

#[test]
fn png_keeps_every_pixel() {
    let p = picture(37, 21);
    assert_eq!(decode(&encode_png(&p).unwrap()).unwrap(), p);
}

#[test]
fn jpeg_keeps_size_and_is_near_the_pixels() {
    let p = picture(64, 49);
    let q = decode(&encode_jpeg(&p, 95).unwrap()).unwrap();
    assert_eq!((q.width, q.height), (64, 49));
    let worst = p.rgb.iter().zip(&q.rgb).map(|(a, b)| a.abs_diff(*b)).max().unwrap();
    assert!(worst < 60, "{worst}");
    let mean =
        p.rgb.iter().zip(&q.rgb).map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / p.rgb.len() as f64;
    assert!(mean < 4.0, "{mean}");
}

#[test]
fn pixels_do_not_depend_on_the_processor() {
    let check = |bytes: &[u8], name: &str| {
        assert!(
            jpeg::decode_with(bytes, true).unwrap() == jpeg::decode_with(bytes, false).unwrap(),
            "{name}"
        );
    };
    for (width, height) in [(1, 1), (7, 9), (16, 16), (33, 50), (250, 250)] {
        for quality in [30, 75, 95] {
            let bytes = encode_jpeg(&picture(width, height), quality).unwrap();
            check(&bytes, &format!("{width}x{height} at {quality}"));
        }
    }
    let Some(data) = lfs_testing::data("") else { return };
    let files = walkdir::WalkDir::new(data.join("cfp/Data/Images")).into_iter();
    let files = files.chain(walkdir::WalkDir::new(data.join("lfw-subset/images"))).flatten();
    let files = files.filter(|e| e.path().extension().is_some_and(|x| x == "jpg"));
    for entry in files.step_by(if cfg!(debug_assertions) { 97 } else { 13 }) {
        check(&std::fs::read(entry.path()).unwrap(), &entry.path().display().to_string());
    }
}

#[test]
fn pnm_and_grey_become_rgb() {
    let p = decode(b"P5 2 1 255\n\x10\xf0").unwrap();
    assert_eq!(p, Pixels { width: 2, height: 1, rgb: vec![0x10, 0x10, 0x10, 0xf0, 0xf0, 0xf0] });
}

#[test]
fn a_jpeg_cut_short_is_an_error_not_half_a_picture() {
    let bytes = encode_jpeg(&picture(120, 110), 90).unwrap();
    for part in [3, 20, 50, 80, 95] {
        let n = bytes.len() * part / 100;
        assert!(decode(&bytes[..n]).is_err(), "{part} %");
    }
}

#[test]
fn what_is_no_image_is_named_by_its_first_bytes() {
    let text = decode(b"<html>not found").unwrap_err().to_string();
    assert!(text.contains("found 15 bytes that start with 3c 68 74 6d 6c"), "{text}");
    assert!(decode(b"").unwrap_err().to_string().contains("no bytes"));
}

#[test]
fn a_made_up_size_asks_for_no_memory() {
    assert!(decode(b"P6 60000 60000 255\n").is_err());
    assert!(decode(b"P6 16000 16000 255\n").is_err());
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), start in 0_usize..6) {
        let starts: [&[u8]; 6] =
            [b"", b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"P6 9 9 255\n", b"BM", b"RIFF\x40\0\0\0WEBPVP8L"];
        let _ = decode(&[starts[start], &bytes].concat());
    }

    #[test]
    fn a_damaged_image_never_panics(at in any::<prop::sample::Index>(), bytes: [u8; 3], png: bool) {
        let p = picture(33, 17);
        let mut data = if png { encode_png(&p).unwrap() } else { encode_jpeg(&p, 80).unwrap() };
        let at = at.index(data.len() - 3);
        data[at..at + 3].copy_from_slice(&bytes);
        if let Ok(q) = decode(&data) {
            prop_assert_eq!(q.rgb.len(), q.width as usize * q.height as usize * 3);
        }
    }
}
