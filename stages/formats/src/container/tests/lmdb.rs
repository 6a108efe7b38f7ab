use super::super::lmdb::Lmdb;
use super::*;

/// A handmade LMDB file with one leaf page: 4096-byte pages, only short values.
pub(super) fn leaf(entries: &[(&[u8], &[u8])]) -> Vec<u8> {
    const PAGE: usize = 4096;
    let mut file = vec![0; 3 * PAGE];
    for (number, transaction) in [(0_usize, 0_u64), (1, 1)] {
        let at = number * PAGE;
        let mut put =
            |from: usize, bytes: &[u8]| file[at + from..at + from + bytes.len()].copy_from_slice(bytes);
        put(0, &(number as u64).to_le_bytes());
        put(10, &8_u16.to_le_bytes());
        put(16, &0xbeef_c0de_u32.to_le_bytes());
        put(20, &1_u32.to_le_bytes());
        put(40, &(PAGE as u32).to_le_bytes());
        put(120, &(entries.len() as u64).to_le_bytes());
        put(128, &(if number == 1 { 2_u64 } else { u64::MAX }).to_le_bytes());
        put(144, &transaction.to_le_bytes());
    }
    let page = &mut file[2 * PAGE..];
    page[..8].copy_from_slice(&2_u64.to_le_bytes());
    page[10..12].copy_from_slice(&2_u16.to_le_bytes());
    page[12..14].copy_from_slice(&(16 + 2 * entries.len() as u16).to_le_bytes());
    let mut at = PAGE;
    for (k, (key, value)) in entries.iter().enumerate() {
        at -= (8 + key.len() + value.len()).next_multiple_of(2);
        page[16 + 2 * k..18 + 2 * k].copy_from_slice(&(at as u16).to_le_bytes());
        page[at..at + 2].copy_from_slice(&(value.len() as u16).to_le_bytes());
        page[at + 6..at + 8].copy_from_slice(&(key.len() as u16).to_le_bytes());
        page[at + 8..at + 8 + key.len()].copy_from_slice(key);
        page[at + 8 + key.len()..at + 8 + key.len() + value.len()].copy_from_slice(value);
    }
    file
}

/// A Datum with an encoded image and a label.
fn datum(image: &[u8], label: u8) -> Vec<u8> {
    assert!(image.len() < 128);
    [&[0x22, image.len() as u8][..], image, &[0x28, label, 0x38, 1]].concat()
}

#[test]
fn labels_are_read_from_the_records_a_list_or_the_key() {
    let (a, b) = (picture(1), picture(2));
    let file =
        leaf(&[(b"000", &datum(&a, 3)), (b"001", &datum(&b, 4)), (b"Ann/2.png", &b), (b"__len__", b"3")]);
    let dir = folder(&[("data.mdb", &file), ("lock.mdb", b"")]);
    let (format, keep) = read(dir.path()).unwrap();
    assert_eq!(
        (format, keep.listed()),
        ("lmdb", ["000.png=3", "001.png=4", "Ann/2.png=Ann"].map(str::to_owned).to_vec())
    );
    assert_eq!(keep.items[1].image, b);
    let dir = folder(&[("data.mdb", &file), ("labels.txt", b"000 Bo\n001\tCy\n")]);
    assert_eq!(read(dir.path()).unwrap().1.listed(), ["000.png=Bo", "001.png=Cy", "Ann/2.png=Ann"]);
    assert_eq!(Lmdb::open(dir.path()).unwrap().count(), Some(4));
}

#[test]
fn pixels_of_a_datum_are_planes_blue_first() {
    // channels 3, height 1, width 2, data, label 1
    let raw = [&[0x08, 3, 0x10, 1, 0x18, 2, 0x22, 6, 10, 20, 30, 40, 50, 60, 0x28, 1][..]].concat();
    let dir = folder(&[("data.mdb", &leaf(&[(b"a", &raw)]))]);
    let image = &read(dir.path()).unwrap().1.items[0].image;
    assert_eq!(lfs_faces::image::decode(image).unwrap().rgb, [50, 30, 10, 60, 40, 20]);
}

#[test]
fn a_record_that_is_no_image_is_passed_over_with_its_key() {
    let dir = folder(&[("data.mdb", &leaf(&[(b"a", &datum(&picture(1), 1)), (b"b", b"\xff\xff\xff")]))]);
    let keep = read(dir.path()).unwrap().1;
    assert_eq!((keep.items.len(), keep.passed[0].0.as_str()), (1, "b"));
}

#[test]
fn pages_in_a_circle_end() {
    let mut file = leaf(&[(b"a", b"x")]);
    // The leaf becomes a branch whose only child is itself.
    file[2 * 4096 + 10] = 1;
    let node = u16::from_le_bytes([file[2 * 4096 + 16], file[2 * 4096 + 17]]) as usize + 2 * 4096;
    file[node..node + 6].copy_from_slice(&[2, 0, 0, 0, 0, 0]);
    assert!(why(folder(&[("data.mdb", &file)]).path()).contains("in a circle"));
}
