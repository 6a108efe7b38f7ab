//! Arbitrary bytes give an error or a container, in bounded memory, without paths that lead out of it.

use proptest::prelude::*;

use super::*;

/// Seeds for damage: a small file of each format, and its name.
pub(super) fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    let image = picture(3);
    let mut tar = tar::Builder::new(Vec::new());
    for (name, bytes) in
        [("a.png", image.as_slice()), ("a.cls", b"7"), ("b/c.png", &image), ("b/c.json", b"{\"label\": 2}")]
    {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append_data(&mut header, name, bytes).unwrap();
    }
    let tar = tar.into_inner().unwrap();
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    zip.start_file("Ann/1.png", zip::write::SimpleFileOptions::default()).unwrap();
    std::io::Write::write_all(&mut zip, &image).unwrap();
    let mut rec = Vec::new();
    for k in 0..3_u8 {
        let record = [&[0_u8; 4][..], &f32::from(k).to_le_bytes(), &[0; 16], &image].concat();
        rec.extend(super::super::recordio::MARK.to_le_bytes());
        rec.extend((record.len() as u32).to_le_bytes());
        rec.extend(&record);
        rec.extend(vec![0; record.len().next_multiple_of(4) - record.len()]);
    }
    let mut pickle = vec![0x80, 4, b']', 0x94, b'(', b'C', 3, 1, 2, 3, b'C', 1, 9, b'e', b']', 0x94, b'('];
    pickle.extend([0x88, b'e', 0x86, b'.']);
    let npy =
        b"\x93NUMPY\x01\x00\x3a\x00{'descr': '|u1', 'fortran_order': False, 'shape': (1,1,2)}\nab".to_vec();
    vec![
        ("a.tar", tar),
        ("a.zip", zip.finish().unwrap().into_inner()),
        ("a.rec", rec),
        ("a.bin", pickle),
        ("a.npy", npy),
        ("a.parquet", parquet()),
    ]
}

/// A Parquet file with a column of images and one of labels.
fn parquet() -> Vec<u8> {
    use std::sync::Arc;

    use arrow_array::{BinaryArray, Int64Array, RecordBatch};
    let image = picture(5);
    let columns: Vec<(&str, arrow_array::ArrayRef)> = vec![
        ("image", Arc::new(BinaryArray::from(vec![image.as_slice(), &image]))),
        ("label", Arc::new(Int64Array::from(vec![4, 5]))),
    ];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut out = Vec::new();
    let mut writer = ::parquet::arrow::ArrowWriter::try_new(&mut out, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    out
}

#[test]
fn the_seeds_are_read() {
    for (name, bytes) in seeds() {
        let dir = folder(&[(name, &bytes)]);
        let (_, keep) = read(&dir.path().join(name)).unwrap_or_else(|e| panic!("{name}: {e}"));
        assert!(!keep.items.is_empty(), "{name}");
    }
}

#[test]
fn unknown_content_is_refused_with_its_description() {
    let says = |bytes: &[u8]| why(&folder(&[("x.rec", bytes)]).path().join("x.rec"));
    assert!(says(b"").contains("an empty file"));
    assert!(says(b"hello").contains("a file of 5 bytes that begins with 68 65 6c 6c 6f"));
    let dir = tempfile::tempdir().unwrap();
    assert!(why(&dir.path().join("none")).contains("cannot read"));
}

#[test]
fn names_that_lead_out_of_an_archive_are_refused() {
    for name in ["../x.png", "a/../../x.png", "/etc/x.png", "C:/x.png", "..\\x.png"] {
        let image = picture(1);
        let mut header = tar::Header::new_ustar();
        header.set_size(image.len() as u64);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, image.as_slice()).unwrap();
        let dir = folder(&[("x.tar", &builder.into_inner().unwrap())]);
        assert!(why(&dir.path().join("x.tar")).contains("leads out of the archive"), "{name}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn damage_is_an_error_or_other_images_and_never_a_panic(
        which in 0_usize..6,
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        whole in any::<bool>(),
    ) {
        let (name, mut bytes) = seeds().swap_remove(which);
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        if !whole {
            bytes.truncate(cut.index(bytes.len()));
        }
        let dir = folder(&[(name, &bytes)]);
        let _ = read(&dir.path().join(name));
    }

    #[test]
    fn any_bytes_behind_a_known_beginning_are_read_or_refused(
        which in 0_usize..6,
        bytes in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let (name, seed) = seeds().swap_remove(which);
        let bytes = [&seed[..8], &bytes].concat();
        let dir = folder(&[(name, &bytes)]);
        let _ = read(&dir.path().join(name));
    }
}
