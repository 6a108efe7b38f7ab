use std::io::Write as _;

use super::super::npz::{Header, header};
use super::*;

/// An array in NumPy's format.
pub(super) fn npy(dtype: &str, shape: &str, data: &[u8]) -> Vec<u8> {
    let text = format!("{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}");
    let padded = format!("{text}{}\n", " ".repeat((64 - (10 + text.len() + 1) % 64) % 64));
    [b"\x93NUMPY\x01\x00", &(padded.len() as u16).to_le_bytes()[..], padded.as_bytes(), data].concat()
}

pub(super) fn npz(arrays: &[(&str, Vec<u8>)]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, bytes) in arrays {
        zip.start_file(format!("{name}.npy"), zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

#[test]
fn pixels_become_images_and_an_array_of_their_number_the_identities() {
    let pixels: Vec<u8> = (0..24).collect();
    let images = npy("|u1", "(2, 2, 2, 3)", &pixels);
    let dir = folder(&[(
        "a.npz",
        &npz(&[
            ("x", images.clone()),
            (
                "y",
                npy("<i8", "(2,)", &[5, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            ),
        ]),
    )]);
    let (format, keep) = read(&dir.path().join("a.npz")).unwrap();
    assert_eq!(
        (format, keep.listed()),
        ("npz", vec!["5/00000.png=5".to_owned(), "-1/00001.png=-1".to_owned()])
    );
    let back = lfs_faces::image::decode(&keep.items[1].image).unwrap();
    assert_eq!((back.width, back.height, back.rgb), (2, 2, pixels[12..].to_vec()));
    let dir = folder(&[("a.npy", &images)]);
    assert_eq!(read(&dir.path().join("a.npy")).unwrap().1.listed(), ["00000.png=-", "00001.png=-"]);
}

#[test]
fn arrays_that_are_no_images_or_truncated_are_refused() {
    let says = |bytes: &[u8]| why(&folder(&[("a.npy", bytes)]).path().join("a.npy"));
    assert!(says(&npy("<f4", "(2, 512)", &[])).contains("embeddings, it seems"));
    assert!(says(&npy("|u1", "(2, 2, 2)", &[1; 7])).contains("image 1 is cut short"));
    assert!(says(&npy("|u1", "(9223372036854775807, 3000000000, 3000000000)", &[])).contains("too large"));
    assert!(says(b"\x93NUMPY\x02\x00\xff\xff\xff\xff").contains("4294967295 bytes"));
    assert!(says(&npy("|O", "(2,)", &[])).contains("found `|O`"));
    let structured = b"\x93NUMPY\x01\x00\x20\x00{'descr': [('a', '<f4')], 'shape'";
    assert!(says(structured).contains("expected an array of one type"));
}

#[test]
fn a_header_has_type_and_shape() {
    let of = |dtype: &str, shape: &str| header(&mut npy(dtype, shape, &[]).as_slice());
    let wanted = Header { dtype: "<f8".to_owned(), fortran: false, shape: vec![3, 4] };
    assert_eq!(of("<f8", "(3, 4)").unwrap(), wanted);
    assert_eq!(of("<f8", "(3, 4)").unwrap().bytes().unwrap(), 96);
    assert_eq!(of("<U5", "(3L,)").unwrap().bytes().unwrap(), 60);
    assert!(of("<f4", "(18446744073709551615, 2)").unwrap().bytes().is_err());
    assert!(header(&mut &b"\x93NUMPY"[..]).is_err());
}
