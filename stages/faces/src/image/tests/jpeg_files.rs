//! JPEG files found in practice: those that libjpeg reads with a warning, and those that few programs write.

use super::*;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// A file with the given chroma subsampling, progressive or not, with or without restarts.
fn file(p: &Pixels, sampling: SamplingFactor, progressive: bool, restart: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, 92);
    encoder.set_sampling_factor(sampling);
    encoder.set_progressive(progressive);
    encoder.set_restart_interval(restart);
    encoder.encode(&p.rgb, p.width as u16, p.height as u16, ColorType::Rgb).unwrap();
    out
}

/// The positions of the markers that start a segment, and of the end marker.
fn markers(bytes: &[u8]) -> Vec<usize> {
    let (mut out, mut at) = (Vec::new(), 2);
    while bytes[at + 1] != 0xd9 {
        out.push(at);
        let is_scan = bytes[at + 1] == 0xda;
        at += 2 + usize::from(bytes[at + 2]) * 256 + usize::from(bytes[at + 3]);
        while is_scan && (bytes[at] != 0xff || matches!(bytes[at + 1], 0 | 0xd0..=0xd7)) {
            at += 1;
        }
    }
    out.push(at);
    out
}

fn with(bytes: &[u8], at: usize, strays: &[u8]) -> Vec<u8> {
    [&bytes[..at], strays, &bytes[at..]].concat()
}

fn near(a: &Pixels, b: &Pixels, bound: f64, what: &str) {
    assert_eq!((a.width, a.height), (b.width, b.height), "{what}");
    let sum: u64 = a.rgb.iter().zip(&b.rgb).map(|(x, y)| u64::from(x.abs_diff(*y))).sum();
    let mean = sum as f64 / a.rgb.len() as f64;
    assert!(mean < bound, "{what}: {mean}");
}

fn all_kinds() -> Vec<(String, Vec<u8>)> {
    let p = smooth(61, 45);
    let mut out = Vec::new();
    for sampling in [
        SamplingFactor::R_4_4_4,
        SamplingFactor::R_4_4_0,
        SamplingFactor::R_4_2_2,
        SamplingFactor::R_4_2_0,
        SamplingFactor::R_4_1_1,
        SamplingFactor::R_4_1_0,
        SamplingFactor::R_4_4_1,
    ] {
        for progressive in [false, true] {
            for restart in [0, 2] {
                let name = format!("{sampling:?}, progressive {progressive}, restarts {restart}");
                out.push((name, file(&p, sampling, progressive, restart)));
            }
        }
    }
    out
}

/// A picture without sharp edges, so that chroma subsampling costs little.
fn smooth(width: u32, height: u32) -> Pixels {
    let rgb = (0..height)
        .flat_map(|y| (0..width).flat_map(move |x| [(x * 3) as u8, (y * 4) as u8, ((x + y) * 2) as u8]));
    Pixels { width, height, rgb: rgb.collect() }
}

#[test]
fn every_sampling_of_colour_is_read_baseline_and_progressive() {
    for (name, bytes) in all_kinds() {
        near(&decode(&bytes).unwrap(), &smooth(61, 45), 3.5, &name);
    }
}

#[test]
fn stray_bytes_before_any_segment_change_nothing() {
    let strays: [&[u8]; 6] = [b"\x11", b"\0\x11", b"abcdefgh", b"\xff\0x", b"\xff\xd0", b"\xff\xff"];
    for (name, bytes) in all_kinds() {
        let want = decode(&bytes).unwrap();
        for at in markers(&bytes) {
            for stray in strays {
                let got =
                    decode(&with(&bytes, at, stray)).map_err(|e| format!("{name}, at {at}: {e}")).unwrap();
                // After the data of a scan, another decoder may read the file; its arithmetic differs in the
                // last bit.
                near(&got, &want, 0.6, &format!("{name}, {stray:?} at {at}"));
                assert!(at > 200 || got == want, "{name}, {stray:?} at {at}");
            }
        }
    }
}

#[test]
fn a_missing_end_marker_changes_nothing_but_missing_data_is_an_error() {
    for (name, bytes) in all_kinds() {
        let want = decode(&bytes).unwrap();
        for left in [2, 1] {
            assert!(decode(&bytes[..bytes.len() - left]).unwrap() == want, "{name}");
        }
        for cut in (markers(&bytes)[0]..bytes.len() - 3).step_by(5) {
            assert!(decode(&bytes[..cut]).is_err(), "{name}: {cut} of {} bytes", bytes.len());
        }
    }
}

#[test]
fn damaged_metadata_does_not_cost_the_picture() {
    let bytes = encode_jpeg(&picture(33, 20), 90).unwrap();
    let want = decode(&bytes).unwrap();
    for (marker, content) in [
        (0xe1_u8, &b"Exif\0\0MM\0*\0\0\xff\xff"[..]),
        (0xe2, b"ICC_PROFILE\0\x09\x02xx"),
        (0xe1, b"http://ns.adobe.com/xmp/extension/\0short"),
        (0xed, b"Photoshop 3.0\0x"),
        (0xe2, b"MPF\0x"),
        (0xfe, b""),
    ] {
        let segment = [&[0xff, marker, 0, content.len() as u8 + 2], content].concat();
        assert!(decode(&with(&bytes, 2, &segment)).unwrap() == want, "{marker:x} {content:?}");
    }
}

#[test]
fn four_colours_of_print_become_rgb() {
    let p = smooth(40, 24);
    for (name, kind) in [("CMYK", ColorType::Cmyk), ("YCCK", ColorType::CmykAsYcck)] {
        // CMY without black. The encoder inverts it, as Adobe does.
        let ink: Vec<u8> =
            p.rgb.as_chunks::<3>().0.iter().flat_map(|c| [255 - c[0], 255 - c[1], 255 - c[2], 0]).collect();
        let mut bytes = Vec::new();
        Encoder::new(&mut bytes, 95).encode(&ink, 40, 24, kind).unwrap();
        near(&decode(&bytes).unwrap(), &p, 4.0, name);
    }
}

/// A grey file of the given width, and the offsets of its frame and its scan.
fn grey(width: u32) -> (Vec<u8>, usize, usize) {
    let p = smooth(64, 48);
    let step = 64 / width as usize;
    let light: Vec<u8> = p.rgb.as_chunks::<3>().0.iter().step_by(step).map(|c| c[1]).collect();
    let mut bytes = Vec::new();
    Encoder::new(&mut bytes, 95).encode(&light, width as u16, 48, ColorType::Luma).unwrap();
    let at = |code: u8| markers(&bytes).into_iter().find(|&i| bytes[i + 1] == code).unwrap();
    let (frame, scan) = (at(0xc0), at(0xda));
    (bytes, frame, scan)
}

#[test]
fn files_with_a_scan_for_each_colour_or_more_colour_than_light_are_read_right() {
    // Three scans, each with the data of a grey file: luma and chroma have the same value, which determines
    // the colour.
    let (full, frame, scan) = grey(64);
    let seen = decode(&full).unwrap();
    let want: Vec<u8> = seen.rgb.as_chunks::<3>().0.iter().flat_map(|c| ycc(f64::from(c[0]))).collect();
    let want = Pixels { rgb: want, ..seen };
    for (light, colour) in [(0x11, 0x11), (0x11, 0x21), (0x21, 0x11)] {
        let samples = [1, light, 0, 2, colour, 0, 3, colour, 0];
        let head = [&full[..frame], &[0xff, 0xc0, 0, 17], &full[frame + 4..frame + 9], &[3], &samples];
        let mut file = [&head.concat(), &full[frame + 13..scan]].concat();
        for (id, own, other) in [(1, light, colour), (2, colour, light), (3, colour, light)] {
            let (data, _, scan) = grey(if own < other { 32 } else { 64 });
            file.extend([0xff, 0xda, 0, 8, 1, id]);
            file.extend(&data[scan + 6..data.len() - 2]);
        }
        file.extend([0xff, 0xd9]);
        near(&decode(&file).unwrap(), &want, 3.0, &format!("light {light:x}, colour {colour:x}"));
    }
}

/// Red, green and blue of a pixel whose luma and chroma have the same value.
fn ycc(v: f64) -> [u8; 3] {
    let c = v - 128.0;
    [v + 1.402 * c, v - 0.344_136 * c - 0.714_136 * c, v + 1.772 * c]
        .map(|x| x.round().clamp(0.0, 255.0) as u8)
}

proptest! {
    #[test]
    fn any_damage_is_read_or_refused(
        kind in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..6), insert: bool,
    ) {
        let p = smooth(20, 18);
        let samplings = [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_0, SamplingFactor::R_4_1_1];
        let mut data = file(&p, samplings[kind.index(3)], kind.index(2) == 1, 1);
        let at = at.index(data.len() - 6);
        let end = if insert { at } else { at + bytes.len() };
        data.splice(at..end, bytes);
        if let Ok(q) = decode(&data) {
            prop_assert_eq!(q.rgb.len(), q.width as usize * q.height as usize * 3);
        }
    }
}
