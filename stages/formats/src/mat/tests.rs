use std::io::Write;

use proptest::prelude::*;

use super::*;

/// AgeDB's structure: ten structs, 2 x n cells of text and n labels.
fn splits(n: usize) -> Vec<(String, Value)> {
    let fold = |f: usize| {
        let pairs = (0..2 * n).map(|k| Value::text(format!("{f}_{k}_Jürgen_30_m"))).collect();
        let labels = (0..n).map(|k| if k % 2 == 0 { 1.0 } else { -1.0 }).collect();
        vec![Value::Cells { dims: vec![2, n], items: pairs }, Value::row(labels)]
    };
    let fields = vec!["pairs".to_owned(), "labels".to_owned()];
    let splits = Value::Structs { dims: vec![1, 10], fields, items: (0..10).map(fold).collect() };
    vec![("splits".to_owned(), splits), ("note".to_owned(), Value::Text(vec!["one".into(), "four".into()]))]
}

fn compressed(bytes: &[u8]) -> Vec<u8> {
    let mut packed = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packed.write_all(&bytes[128..]).unwrap();
    let packed = packed.finish().unwrap();
    let mut out = bytes[..128].to_vec();
    out.extend(mi::COMPRESSED.to_le_bytes());
    out.extend((packed.len() as u32).to_le_bytes());
    out.extend(packed);
    out
}

#[test]
fn what_is_written_is_read() {
    let variables = splits(3);
    let bytes = write(&variables).unwrap();
    assert_eq!(read(&bytes).unwrap(), variables);
    assert_eq!(bytes, write(&variables).unwrap());
    let back = read(&bytes).unwrap();
    let splits = variable(&back, "splits").unwrap();
    assert_eq!(splits.structs().unwrap(), 10);
    assert_eq!(splits.field(9, "labels").unwrap().numbers().unwrap(), [1.0, -1.0, 1.0]);
    let (dims, items) = splits.field(2, "pairs").unwrap().cells().unwrap();
    assert_eq!((dims, items[1].line().unwrap()), (&[2, 3][..], "2_1_Jürgen_30_m"));
}

#[test]
fn compressed_variables_are_read() {
    let variables = &splits(4)[..1];
    assert_eq!(read(&compressed(&write(variables).unwrap())).unwrap(), variables);
}

#[test]
fn small_elements_and_other_number_classes_are_read() {
    // A handmade 1x2 int16 array named `x`, with its name and its numbers stored in their tags.
    let mut body = Vec::new();
    body.extend([6, 0, 0, 0, 8, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0, 0]);
    body.extend([5, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0, 0]);
    body.extend([1, 0, 1, 0, b'x', 0, 0, 0]);
    body.extend([3, 0, 4, 0, 0xfe, 0xff, 7, 0]);
    let mut bytes = write(&[]).unwrap();
    bytes.extend([14, 0, 0, 0, body.len() as u8, 0, 0, 0]);
    bytes.extend(body);
    assert_eq!(read(&bytes).unwrap(), [("x".to_owned(), Value::row(vec![-2.0, 7.0]))]);
}

#[test]
fn messages_state_what_was_found() {
    let text = |r: Result<Vec<(String, Value)>, DataError>| r.unwrap_err().to_string();
    assert!(text(read(b"not a MAT-file")).contains("lacks the mark `IM`"));
    assert!(text(read(b"MATLAB 7.3 MAT-file ..")).contains("-v7"));
    let back = splits(2);
    assert!(variable(&back, "split").unwrap_err().to_string().contains("it has: splits, note"));
    assert!(back[0].1.field(0, "label").unwrap_err().to_string().contains("with the fields pairs, labels"));
    assert!(write(&[("x".into(), Value::Numbers { dims: vec![2, 2], values: vec![1.0] })]).is_err());
}

#[test]
fn a_tiny_file_that_unfolds_or_nests_without_end_is_refused() {
    let mut body = vec![];
    for _ in 0..100 {
        let mut outer = vec![6, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        outer.extend([5, 0, 0, 0, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
        outer.extend([14, 0, 0, 0]);
        outer.extend((body.len() as u32).to_le_bytes());
        outer.extend(&body);
        body = outer;
    }
    let mut bytes = write(&[]).unwrap();
    bytes.extend([14, 0, 0, 0]);
    bytes.extend((body.len() as u32).to_le_bytes());
    bytes.extend(body);
    assert!(read(&bytes).unwrap_err().to_string().contains("deep"));
}

proptest! {
    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = read(&bytes);
        let _ = read(&[write(&[]).unwrap(), bytes].concat());
    }

    #[test]
    fn a_damaged_file_never_panics(at in any::<prop::sample::Index>(), byte: u8, packed: bool) {
        let mut bytes = write(&splits(2)).unwrap();
        if packed {
            bytes = compressed(&bytes);
        }
        let at = at.index(bytes.len());
        bytes[at] = byte;
        let _ = read(&bytes);
        let _ = read(&bytes[..at]);
    }
}
