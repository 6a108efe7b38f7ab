use super::super::recordio::{LONGEST, MARK, RecordIo, unpack};
use super::*;

/// Hexadecimal digits to bytes.
fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|d| u8::from_str_radix(std::str::from_utf8(d).unwrap(), 16).unwrap()).collect()
}

/// The raw records of a file.
fn records(bytes: &[u8]) -> Result<Vec<Vec<u8>>, DataError> {
    let dir = folder(&[("a.rec", bytes)]);
    let mut out = Vec::new();
    RecordIo::open(&dir.path().join("a.rec"))?.records(|_, record| {
        out.push(record.to_vec());
        Ok(())
    })?;
    Ok(out)
}

// Golden bytes: the output of the original library (version 1.9.1) for `abc`, and for a text that contains its magic number three
// times.
#[test]
fn records_are_read_as_the_original_library_writes_them() {
    let mark = MARK.to_le_bytes();
    let plain = hex("0a23d7ce 03000000 61626300");
    let parted = hex(
        "0a23d7ce 04000020 41414141 0a23d7ce 04000040 42424242 0a23d7ce 00000040 0a23d7ce 01000060 7a000000",
    );
    let text = [b"AAAA", &mark[..], b"BBBB", &mark, &mark, b"z"].concat();
    assert_eq!(records(&[plain, parted].concat()).unwrap(), [b"abc".to_vec(), text]);
    assert!(records(&[]).unwrap().is_empty());
}

/// A chunk that contains a whole record.
fn chunk(record: &[u8]) -> Vec<u8> {
    let head = [MARK.to_le_bytes(), (record.len() as u32).to_le_bytes()].concat();
    let zeros = vec![0; record.len().next_multiple_of(4) - record.len()];
    [head, record.to_vec(), zeros].concat()
}

/// A record: labels (a single one is stored in the header), and an image.
fn record(labels: &[f32], image: &[u8]) -> Vec<u8> {
    let (flag, own) = if let [one] = labels { (0_u32, *one) } else { (labels.len() as u32, 0.0) };
    let head = [flag.to_le_bytes().to_vec(), own.to_le_bytes().to_vec(), vec![0; 16]].concat();
    let more: Vec<u8> =
        if flag == 0 { vec![] } else { labels.iter().flat_map(|l| l.to_le_bytes()).collect() };
    [head, more, image.to_vec()].concat()
}

/// A record file and its index, from keys and records in file order.
fn pack(all: &[(u64, Vec<u8>)]) -> (Vec<u8>, String) {
    let (mut rec, mut idx) = (Vec::new(), String::new());
    for (key, record) in all {
        idx += &format!("{key}\t{}\n", rec.len());
        rec.extend(chunk(record));
    }
    (rec, idx)
}

/// Two persons, three images.
fn images() -> Vec<(u64, Vec<u8>)> {
    let classes = [0.0_f32, 0.0, 1.0];
    (1..=3_u8).map(|k| (u64::from(k), record(&[classes[usize::from(k) - 1], 1.0], &picture(k)))).collect()
}

fn persons() -> Vec<(u64, Vec<u8>)> {
    vec![(4, record(&[1.0, 3.0], &[])), (5, record(&[3.0, 4.0], &[]))]
}

fn header() -> (u64, Vec<u8>) {
    (0, record(&[4.0, 6.0], &[]))
}

#[test]
fn all_three_dialects_give_the_same_images() {
    let first = [vec![header()], images(), persons()].concat();
    let last = [images(), persons(), vec![header()]].concat();
    let none: Vec<(u64, Vec<u8>)> = (0..3_u8)
        .map(|k| (u64::from(k), record(&[[0.0, 0.0, 1.0][usize::from(k)]], &picture(k + 1))))
        .collect();
    for (all, keys) in [(first, [1, 2, 3]), (last, [1, 2, 3]), (none, [0, 1, 2])] {
        let (rec, idx) = pack(&all);
        let dir = folder(&[("train.rec", &rec), ("train.idx", idx.as_bytes()), ("property", b"2,2,2")]);
        let (format, keep) = read(dir.path()).unwrap();
        assert_eq!(format, "recordio");
        let wanted = [(0, keys[0]), (0, keys[1]), (1, keys[2])].map(|(c, k)| format!("{c}/{k}.png={c}"));
        assert_eq!(keep.listed(), wanted);
        assert_eq!(keep.items.iter().map(|k| k.image.clone()).collect::<Vec<_>>(), [1, 2, 3].map(picture));
        // The file alone, without its index, gives the same images.
        let alone = read(&dir.path().join("train.rec")).unwrap().1;
        assert_eq!(
            alone.items.iter().map(|k| &k.image).collect::<Vec<_>>(),
            keep.items.iter().map(|k| &k.image).collect::<Vec<_>>()
        );
    }
}

#[test]
fn a_set_that_is_not_whole_is_refused_wherever_it_was_cut() {
    let all = [vec![header()], images(), persons()].concat();
    let (rec, idx) = pack(&all);
    // Also after whole records: the header states the number of images, and the index the number of records.
    for cut in 1..rec.len() {
        let dir = folder(&[("train.rec", &rec[..cut]), ("train.idx", idx.as_bytes())]);
        let said = why(dir.path());
        assert!(
            said.contains("cut short") || said.contains("damaged") || said.contains("not whole"),
            "{cut}: {said}"
        );
    }
    let (rec, _) = pack(&all[..3]);
    assert!(why(folder(&[("a.rec", &rec)]).path()).contains("its header announces 3 images, 2 are there"));
    let last = [images(), persons(), vec![header()]].concat();
    let (rec, _) = pack(&[&last[..1], &last[2..]].concat());
    assert!(why(folder(&[("a.rec", &rec)]).path()).contains("its header announces 3 images, 2 are there"));
}

#[test]
fn an_index_of_another_file_is_refused() {
    let (rec, _) = pack(&images());
    let with = |idx: &str| why(folder(&[("train.rec", &rec), ("train.idx", idx.as_bytes())]).path());
    assert!(with("1\t4\n2\t100\n3\t200\n").contains("is not in"));
    assert!(with("1 zero\n").contains("line 1: expected `key<tab>place`"));
    assert!(with("1\t0\n2\t0\n").contains("line 2: two keys for the place 0"));
    let (_, idx) = pack(&images());
    assert!(with(&format!("{idx}9\t99999\n")).contains("has 4 records, the file 3"));
}

#[test]
fn invalid_records_are_refused_with_their_offset() {
    let (rec, _) = pack(&images());
    let says = |bytes: &[u8]| why(folder(&[("train.rec", bytes)]).path());
    let swapped = [MARK.to_be_bytes(), 3_u32.to_be_bytes()].concat();
    assert!(says(&[rec.clone(), swapped].concat()).contains("numbers are big-endian"));
    assert!(says(&[rec.clone(), b"12345678".to_vec()].concat()).contains("no record begins there"));
    let long = [MARK.to_le_bytes(), LONGEST.to_le_bytes()].concat();
    assert!(
        says(&[rec.clone(), long].concat()).contains("a part of 536870911 bytes is announced, 0 are left")
    );
    for labels in [vec![0.5], vec![-1.0], vec![f32::NAN], vec![1e9]] {
        assert!(says(&chunk(&record(&labels, &picture(1)))).contains("expected a class as its first label"));
    }
    assert!(says(&chunk(&[7; 30])).contains("announces"));
    assert!(says(&chunk(&[0; 9])).contains("its header alone has 24"));
    assert!(unpack(&[0xff; 24]).is_err());
}

#[test]
fn a_property_states_the_size_and_number_of_images() {
    let (rec, _) = pack(&images());
    let open = |property: &str| {
        let dir = folder(&[("train.rec", &rec), ("property", property.as_bytes())]);
        RecordIo::open(dir.path()).map(|r| r.property().unwrap())
    };
    let found = open("85742,112,96\r\n5822653\n").unwrap();
    assert_eq!((found.classes, found.side, found.images), (85742, (96, 112), Some(5_822_653)));
    assert!(open("112").err().unwrap().to_string().contains("expected `classes,height,width`"));
    let dir = folder(&[("train.rec", &rec), ("property", b"2,2,2\n7\n")]);
    assert!(why(dir.path()).contains("`property` announces 7 images, 3 are there"));
}

#[test]
fn of_several_files_the_training_set_is_taken_or_the_person_asked() {
    let (rec, _) = pack(&images());
    assert_eq!(read(folder(&[("train.rec", &rec), ("val.rec", b"")]).path()).unwrap().1.items.len(), 3);
    assert!(why(folder(&[("a.rec", &rec), ("b.rec", &rec)]).path()).contains("give the path of the one"));
}
