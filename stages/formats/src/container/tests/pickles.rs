use super::super::pickle;
use super::*;

/// A handmade verification set of two pairs in the format of Python 3 (protocol 4, one frame).
fn by_hand(images: &[&[u8]], same: &[bool]) -> Vec<u8> {
    let mut out = vec![0x80, 4, 0x95, 0, 0, 0, 0, 0, 0, 0, 0, b']', 0x94, b'('];
    for image in images {
        out.push(b'B');
        out.extend((image.len() as u32).to_le_bytes());
        out.extend(*image);
        out.push(0x94);
    }
    out.extend([b'e', b']', 0x94, b'(']);
    out.extend(same.iter().map(|s| if *s { 0x88 } else { 0x89 }));
    out.extend([b'e', 0x86, 0x94, b'.']);
    out
}

#[test]
fn images_two_by_two_are_the_pairs() {
    let images = [1, 2, 3, 4].map(picture);
    let all: Vec<&[u8]> = images.iter().map(Vec::as_slice).collect();
    let dir = folder(&[("lfw.bin", &by_hand(&all, &[true, false]))]);
    let (format, keep) = read(&dir.path().join("lfw.bin")).unwrap();
    assert_eq!(format, "verification-bin");
    assert_eq!(keep.listed(), ["0000_1.png=-", "0000_2.png=-", "0001_1.png=-", "0001_2.png=-"]);
    let pair = |k: usize, same| (format!("000{k}_1.png"), format!("000{k}_2.png"), same);
    assert_eq!(keep.pairs, [pair(0, true), pair(1, false)]);
    assert_eq!(keep.items.iter().map(|k| k.image.clone()).collect::<Vec<_>>(), images);
}

#[test]
fn a_set_with_an_image_too_few_is_refused() {
    let image = picture(1);
    let says = |images: &[&[u8]], same: &[bool]| {
        why(&folder(&[("x.bin", &by_hand(images, same))]).path().join("x.bin"))
    };
    assert!(says(&[&image], &[true]).contains("found 1 images and 1 truth values"));
    assert!(says(&[], &[]).contains("holds no pair"));
}

#[test]
fn nothing_is_executed_and_what_asks_for_it_is_named() {
    // `os.system("true")` as the second member of the tuple.
    let evil = b"\x80\x02]q\x00cposix\nsystem\nq\x01U\x04trueq\x02\x85q\x03Rq\x04\x86q\x05.";
    let said = pickle::read(evil).err().unwrap().to_string();
    assert!(said.contains("it names `posix.system`") && said.contains("nothing of it is executed"), "{said}");
    // An object created by a known name, with a state of the wrong type.
    let odd = b"\x80\x02c_codecs\nencode\n)b.";
    assert!(pickle::read(odd).is_err());
}

#[test]
fn a_value_that_is_used_again_and_again_costs_its_number() {
    // One image of a megabyte, 40,000 times: the file has 1.1 MB, the images 40 GB.
    let image = vec![0xff; 1 << 20];
    let mut bytes = vec![0x80, 4, b']', 0x94, b'(', b'B'];
    bytes.extend((image.len() as u32).to_le_bytes());
    bytes.extend(&image);
    bytes.push(0x94);
    bytes.extend([b'h', 1].repeat(39_999));
    bytes.extend([b'e', b']', 0x94, b'(']);
    bytes.extend(vec![0x88; 20_000]);
    bytes.extend([b'e', 0x86, b'.']);
    let dir = folder(&[("x.bin", &bytes)]);
    /// Discards everything.
    struct Forget;
    impl Sink for Forget {
        fn item(&mut self, _: Item<'_>) -> Result<(), DataError> {
            Ok(())
        }
        fn pair(&mut self, _: &str, _: &str, _: bool) -> Result<(), DataError> {
            Ok(())
        }
        fn passed_over(&mut self, _: &str, _: &str) {}
    }
    let (_, container) = open(&dir.path().join("x.bin")).unwrap();
    assert!(container.read(&mut Forget).err().unwrap().to_string().contains("again and again"));
}

#[test]
fn unsupported_protocols_are_refused() {
    let says = |bytes: &[u8]| pickle::read(bytes).err().unwrap().to_string();
    assert!(says(b"(lp0\n.").contains("protocol 0 and 1 are not read"));
    assert!(says(&[0x80, 6, b'N', b'.']).contains("expected protocol 2 to 5, found 6"));
    assert!(says(&[0x80, 4]).contains("cut short"));
    assert!(says(&[0x80, 4, b'.']).contains("needs a value"));
    assert!(says(&[0x80, 4, b'B', 255, 255, 255, 255]).contains("4294967295 bytes are needed"));
    assert!(says(&[0x80, 5, 0x97, b'.']).contains("outside of the file"));
}
