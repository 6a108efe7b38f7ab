//! Compares the decoder and the encoder for common JPEG files with the libraries that they must reproduce.

use super::*;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};

/// A picture with edges, ramps and noise in all colours.
fn busy(width: u32, height: u32, seed: u32) -> Pixels {
    let mut state = seed.wrapping_mul(2_654_435_761) | 1;
    let mut rgb = Vec::new();
    for y in 0..height {
        for x in 0..width {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let noise = (state >> 27) as u8;
            let edge = if (x / 9 + y / 7).is_multiple_of(3) { 190 } else { 20 };
            rgb.extend([edge + noise, (x * 3) as u8 ^ noise, (y * 5 + x) as u8]);
        }
    }
    Pixels { width, height, rgb }
}

fn file(p: &Pixels, quality: u8, sampling: SamplingFactor, restart: u16) -> Vec<u8> {
    let mut out = Vec::new();
    let mut encoder = Encoder::new(&mut out, quality);
    encoder.set_sampling_factor(sampling);
    encoder.set_restart_interval(restart);
    encoder.encode(&p.rgb, p.width as u16, p.height as u16, ColorType::Rgb).unwrap();
    out
}

/// Files that are decoded without a library, in many sizes, subsamplings and qualities; the last one is grey.
fn files() -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    for (n, (w, h)) in [(1, 1), (8, 8), (17, 5), (16, 33), (70, 61), (250, 250)].into_iter().enumerate() {
        for sampling in [
            SamplingFactor::R_4_4_4,
            SamplingFactor::R_4_2_2,
            SamplingFactor::R_4_4_0,
            SamplingFactor::R_4_2_0,
        ] {
            for (quality, restart) in [(30, 0), (88, 3), (97, 1)] {
                out.push(file(&busy(w, h, n as u32), quality, sampling, restart));
            }
        }
    }
    let p = busy(75, 40, 9);
    let light: Vec<u8> = p.rgb.as_chunks::<3>().0.iter().map(|c| c[1]).collect();
    let mut grey = Vec::new();
    Encoder::new(&mut grey, 90).encode(&light, 75, 40, ColorType::Luma).unwrap();
    out.push(grey);
    out
}

/// Every 13th available photograph.
fn photographs() -> Vec<Vec<u8>> {
    let Some(data) = lfs_testing::data("") else { return Vec::new() };
    let files = walkdir::WalkDir::new(data.join("cfp/Data/Images")).sort_by_file_name().into_iter();
    let files =
        files.chain(walkdir::WalkDir::new(data.join("lfw-subset/images")).sort_by_file_name()).flatten();
    let files = files.filter(|e| e.path().extension().is_some_and(|x| x == "jpg"));
    files.step_by(13).map(|e| std::fs::read(e.path()).unwrap()).collect()
}

#[test]
fn usual_files_give_the_pixels_of_the_library_with_and_without_vectors() {
    for bytes in files().into_iter().chain(photographs()) {
        let want = jpeg::decode_with(&bytes, false).unwrap();
        for vectors in [true, false] {
            let got = jpeg::usual_file(&bytes, vectors);
            assert!(got.as_ref() == Some(&want), "{}x{}, vectors {vectors}", want.width, want.height);
        }
        assert!(decode(&bytes).unwrap() == want);
    }
}

fn check_part(bytes: &[u8], whole: &Pixels, area: Area) {
    let part = decode_part(bytes, &area).unwrap();
    assert_eq!((part.width, part.height), (whole.width, whole.height));
    let (w, asked) = (whole.width as usize, area.within(whole.width, whole.height));
    if part.area != asked {
        assert_eq!(part.area, Area::ALL.within(whole.width, whole.height));
    }
    let mut pixels = part.pixels.iter();
    for y in part.area.top as usize..part.area.bottom as usize {
        for x in part.area.left as usize..part.area.right as usize {
            assert_eq!(
                pixels.next().unwrap()[..3],
                whole.rgb[(y * w + x) * 3..][..3],
                "{area:?} at {x}, {y}"
            );
        }
    }
    assert!(pixels.next().is_none());
}

#[test]
fn a_part_shows_what_the_whole_picture_shows_there() {
    for bytes in files() {
        let whole = decode(&bytes).unwrap();
        for (left, top, right, bottom) in
            [(0, 0, 1, 1), (3, 5, 16, 9), (15, 1, 33, 32), (40, 40, 9_999, 9_999), (60, 62, 190, 191)]
        {
            check_part(&bytes, &whole, Area { left, top, right, bottom });
        }
        for nothing in [Area { left: 900, ..Area::ALL }, Area { bottom: 0, ..Area::ALL }] {
            assert!(decode_part(&bytes, &nothing).unwrap().pixels.is_empty());
        }
    }
    for bytes in photographs().into_iter().step_by(7) {
        let whole = decode(&bytes).unwrap();
        check_part(&bytes, &whole, Area { left: 51, top: 47, right: 205, bottom: 170 });
    }
    // Other formats are decoded whole.
    let png = encode_png(&busy(20, 12, 3)).unwrap();
    check_part(&png, &busy(20, 12, 3), Area { left: 2, top: 2, right: 5, bottom: 5 });
}

#[test]
fn crops_have_the_bytes_of_the_library_with_and_without_vectors() {
    let mut pictures: Vec<Pixels> =
        [(1, 1), (7, 3), (8, 8), (112, 112), (96, 112), (250, 131)].map(|(w, h)| busy(w, h, w)).to_vec();
    pictures.push(Pixels { width: 64, height: 64, rgb: vec![255; 64 * 64 * 3] });
    // The largest possible coefficients.
    let checks =
        (0..64 * 64_usize).flat_map(|k| [if (k + k / 64).is_multiple_of(2) { 255 } else { 0 }; 3]).collect();
    pictures.push(Pixels { width: 64, height: 64, rgb: checks });
    pictures.extend(photographs().iter().step_by(5).map(|b| decode(b).unwrap()));
    for p in &pictures {
        for quality in [90, 95, 100] {
            let mut want = Vec::new();
            let size = (p.width as u16, p.height as u16);
            Encoder::new(&mut want, quality).encode(&p.rgb, size.0, size.1, ColorType::Rgb).unwrap();
            for vectors in [true, false] {
                let got = jpeg::encode(size, p.rgb.as_chunks::<3>().0, quality, vectors).unwrap();
                assert!(got == want, "{}x{} at {quality}, vectors {vectors}", p.width, p.height);
            }
            assert!(encode_jpeg_part(&Part::from(p), quality).unwrap() == want);
        }
    }
    let p = busy(33, 20, 1);
    assert!(encode_jpeg_part(&Part::from(&p), 80).unwrap() == encode_jpeg(&p, 80).unwrap());
    assert!(encode_jpeg(&Pixels { width: 40, ..p.clone() }, 95).is_err());
    assert!(encode_jpeg(&Pixels { width: 70_000, ..p }, 95).unwrap_err().to_string().contains("65,535"));
}

proptest! {
    #[test]
    fn damage_is_an_error_of_a_part_where_it_is_one_of_the_whole(
        kind in any::<prop::sample::Index>(), at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 1..5),
        left in 0_u32..40, top in 0_u32..40,
    ) {
        let samplings = [SamplingFactor::R_4_4_4, SamplingFactor::R_4_2_2, SamplingFactor::R_4_2_0];
        let mut data = file(&busy(41, 37, 5), 85, samplings[kind.index(3)], kind.index(2) as u16 * 2);
        let at = at.index(data.len() - 4);
        let end = (at + bytes.len()).min(data.len());
        data.splice(at..end, bytes);
        let part = decode_part(&data, &Area { left, top, right: left + 9, bottom: top + 9 });
        match decode(&data) {
            Ok(whole) => check_part(&data, &whole, Area { left, top, right: left + 9, bottom: top + 9 }),
            Err(_) => prop_assert!(part.is_err()),
        }
    }
}
