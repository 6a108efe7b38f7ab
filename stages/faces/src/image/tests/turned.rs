//! Tag 274 of EXIF, in all places where it can occur.

use super::*;

/// An EXIF block whose first directory has another tag and then tag 274, of type SHORT or LONG.
fn exif(value: u16, big: bool, long: bool) -> Vec<u8> {
    let two = |v: u16| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let four = |v: u32| if big { v.to_be_bytes() } else { v.to_le_bytes() };
    let mut out = if big { b"MM\0*".to_vec() } else { b"II*\0".to_vec() };
    out.extend(four(8));
    out.extend(two(2));
    out.extend([two(256), two(3)].concat());
    out.extend(four(1));
    out.extend([two(7), two(0)].concat());
    out.extend([two(274), two(if long { 4 } else { 3 })].concat());
    out.extend(four(1));
    out.extend(if long { four(u32::from(value)).to_vec() } else { [two(value), two(0)].concat() });
    out.extend(four(0));
    out
}

fn in_jpeg(jpeg: &[u8], block: &[u8]) -> Vec<u8> {
    let length = (block.len() + 8) as u16;
    [&jpeg[..2], &[0xff, 0xe1], &length.to_be_bytes(), b"Exif\0\0", block, &jpeg[2..]].concat()
}

fn crc(bytes: &[u8]) -> u32 {
    let bit = |c: u32, _| if c & 1 == 1 { 0xedb8_8320 ^ (c >> 1) } else { c >> 1 };
    !bytes.iter().fold(!0, |c, b| (0..8).fold(c ^ u32::from(*b), bit))
}

/// Inserts a chunk before or after the pixels; both are allowed.
fn in_png(png: &[u8], block: &[u8], behind: bool) -> Vec<u8> {
    let chunk = [b"eXIf", block].concat();
    let chunk = [&(block.len() as u32).to_be_bytes()[..], &chunk, &crc(&chunk).to_be_bytes()].concat();
    let at = if behind { png.len() - 12 } else { 33 };
    [&png[..at], &chunk, &png[at..]].concat()
}

/// The extended form of a WebP file, with the block in a chunk of odd or even length.
fn in_webp(p: &Pixels, block: &[u8]) -> Vec<u8> {
    let mut plain = Cursor::new(Vec::new());
    let image = ::image::RgbImage::from_raw(p.width, p.height, p.rgb.clone()).unwrap();
    image.write_to(&mut plain, ImageFormat::WebP).unwrap();
    let side = |n: u32| (n - 1).to_le_bytes()[..3].to_vec();
    let head = [vec![8, 0, 0, 0], side(p.width), side(p.height)].concat();
    let chunk = |name: &[u8; 4], content: &[u8]| {
        let pad = vec![0; content.len() % 2];
        [&name[..], &(content.len() as u32).to_le_bytes(), content, &pad].concat()
    };
    let body =
        [&b"WEBP"[..], &chunk(b"VP8X", &head), &plain.into_inner()[12..], &chunk(b"EXIF", block)].concat();
    [&b"RIFF"[..], &(body.len() as u32).to_le_bytes(), &body].concat()
}

/// Where the first row and the first column of the file are displayed, from the standard's table of tag 274.
const SEEN: [(&str, &str); 8] = [
    ("top", "left"),
    ("top", "right"),
    ("bottom", "right"),
    ("bottom", "left"),
    ("left", "top"),
    ("right", "top"),
    ("right", "bottom"),
    ("left", "bottom"),
];

/// Three by two pixels: the first row starts red and ends green, and the first column ends blue.
fn stored() -> Pixels {
    let mut rgb = vec![128; 18];
    rgb[..3].copy_from_slice(&[255, 0, 0]);
    rgb[6..9].copy_from_slice(&[0, 255, 0]);
    rgb[9..12].copy_from_slice(&[0, 0, 255]);
    Pixels { width: 3, height: 2, rgb }
}

fn opposite(side: &str) -> &str {
    match side {
        "top" => "bottom",
        "bottom" => "top",
        "left" => "right",
        _ => "left",
    }
}

fn corner(p: &Pixels, sides: [&str; 2]) -> [u8; 3] {
    let x = if sides.contains(&"right") { p.width - 1 } else { 0 };
    let y = if sides.contains(&"bottom") { p.height - 1 } else { 0 };
    let at = (y * p.width + x) as usize * 3;
    [p.rgb[at], p.rgb[at + 1], p.rgb[at + 2]]
}

#[test]
fn a_picture_is_turned_as_its_tag_says_in_png_and_webp_and_both_byte_orders() {
    let png = encode_png(&stored()).unwrap();
    for (value, (row, column)) in (1..).zip(SEEN) {
        for (big, long) in [(true, false), (false, false), (true, true), (false, true)] {
            let block = exif(value, big, long);
            let prefixed = [b"Exif\0\0", &block[..]].concat();
            let files = [
                in_png(&png, &block, false),
                in_png(&png, &block, true),
                in_webp(&stored(), &block),
                in_webp(&stored(), &prefixed),
            ];
            for (k, file) in files.iter().enumerate() {
                let seen = decode(file).unwrap();
                let at = |sides| corner(&seen, sides);
                assert_eq!(at([row, column]), [255, 0, 0], "value {value}, file {k}");
                assert_eq!(at([row, opposite(column)]), [0, 255, 0], "value {value}, file {k}");
                assert_eq!(at([opposite(row), column]), [0, 0, 255], "value {value}, file {k}");
            }
        }
    }
}

#[test]
fn a_jpeg_is_turned_wherever_its_exif_segment_stands() {
    let p = picture(40, 24);
    let jpeg = encode_jpeg(&p, 95).unwrap();
    let plain = decode(&jpeg).unwrap();
    for value in 1..=8_u16 {
        for big in [true, false] {
            let block = exif(value, big, false);
            let want = orientation::turn(plain.clone(), value as u8);
            assert_eq!(decode(&in_jpeg(&jpeg, &block)).unwrap(), want, "value {value}");
            // After other metadata with the same marker, and before another EXIF segment without the tag.
            let xmp = b"\xff\xe1\0\x1fhttp://ns.adobe.com/xap/1.0/\0";
            let first = in_jpeg(&jpeg, &block);
            let file = [&first[..2], xmp, &first[2..]].concat();
            assert_eq!(decode(&file).unwrap(), want, "value {value}, behind other metadata");
        }
    }
    let turned = decode(&in_jpeg(&jpeg, &exif(6, true, false))).unwrap();
    assert_eq!((turned.width, turned.height), (24, 40));
}

#[test]
fn a_tag_that_means_nothing_turns_nothing() {
    let jpeg = encode_jpeg(&picture(16, 8), 90).unwrap();
    let plain = decode(&jpeg).unwrap();
    for value in [0, 9, 256, 65_535] {
        assert_eq!(decode(&in_jpeg(&jpeg, &exif(value, true, false))).unwrap(), plain, "{value}");
    }
    let whole = exif(6, false, false);
    for n in 0..20 {
        assert_eq!(decode(&in_jpeg(&jpeg, &whole[..n])).unwrap(), plain, "{n} bytes of a block");
    }
}

#[test]
fn what_is_encoded_again_carries_no_tag() {
    let jpeg = in_jpeg(&encode_jpeg(&picture(16, 8), 90).unwrap(), &exif(8, true, false));
    let seen = decode(&jpeg).unwrap();
    assert_eq!(decode(&encode_png(&seen).unwrap()).unwrap(), seen);
    let again = decode(&encode_jpeg(&seen, 95).unwrap()).unwrap();
    assert_eq!((again.width, again.height), (8, 16));
}

proptest! {
    #[test]
    fn turning_and_turning_back_gives_the_same(w in 1_u32..9, h in 1_u32..9, value in 1_u8..=8) {
        let p = picture(w, h);
        let back = [1, 2, 3, 4, 5, 8, 7, 6][usize::from(value) - 1];
        prop_assert_eq!(orientation::turn(orientation::turn(p.clone(), value), back), p);
    }

    #[test]
    fn any_exif_block_is_read_or_passed_over(block in prop::collection::vec(any::<u8>(), 0..80), start in 0..3) {
        let start: &[u8] = [&b""[..], b"MM\0*\0\0\0\x08", b"II*\0\x08\0\0\0"][start as usize];
        let block = [start, &block].concat();
        let _ = orientation::in_exif(&block);
        let p = picture(5, 3);
        let _ = (decode(&in_png(&encode_png(&p).unwrap(), &block, false)), decode(&in_webp(&p, &block)));
        prop_assert!(decode(&in_jpeg(&encode_jpeg(&p, 90).unwrap(), &block)).is_ok());
    }
}
