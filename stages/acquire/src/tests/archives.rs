use std::io::Write;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::json;

use super::{acquire, put, rows};
use crate::archive::{format, unpack};

fn zip(path: &Path, files: &[(&str, &[u8])]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, content) in files {
        zip.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    }
    zip.finish().unwrap();
}

/// A tar archive with unchanged names, safe or not.
fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_ustar();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gz(bytes: &[u8]) -> Vec<u8> {
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gz.write_all(bytes).unwrap();
    gz.finish().unwrap()
}

const FILES: [(&str, &[u8]); 2] = [("set/A/1.jpg", b"1"), ("set/B/1.jpg", b"2")];

#[test]
fn a_folder_and_its_archives_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("folder/set/A/1.jpg", "1"), ("folder/set/B/1.jpg", "2")]);
    zip(&dir.path().join("a.zip"), &FILES);
    std::fs::write(dir.path().join("a.tar"), tar(&FILES)).unwrap();
    std::fs::write(dir.path().join("a.tgz"), gz(&tar(&FILES))).unwrap();
    let read = |source: &str| {
        let out = dir.path().join(format!("out-{source}"));
        acquire(&dir.path().join(source), None, &out, json!({"layout": "folders", "within": "set"})).unwrap();
        assert_eq!(rows(&out), ["A/1.jpg|A|-|-", "B/1.jpg|B|-|-"]);
        ["dataset/faces.arrow", "dataset/dataset.json", "lists/README.txt", "report/passed-over.csv"]
            .map(|f| std::fs::read(out.join(f)).unwrap())
    };
    let folder = read("folder");
    for archive in ["a.zip", "a.tar", "a.tgz"] {
        assert!(read(archive) == folder, "{archive}");
    }
}

#[test]
fn an_archive_that_lies_in_a_folder_is_read_as_if_it_were_the_source() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("fetched");
    std::fs::create_dir_all(source.join("data")).unwrap();
    std::fs::write(source.join("data/a.tgz"), gz(&tar(&FILES))).unwrap();
    let read = |within: &str| {
        let out = tempfile::tempdir().unwrap();
        acquire(&source, None, out.path(), json!({"layout": "folders", "within": within}))
            .map(|()| rows(out.path()))
            .map_err(|e| e.to_string())
    };
    let images = ["A/1.jpg|A|-|-".to_owned(), "B/1.jpg|B|-|-".to_owned()];
    assert_eq!(read("data/a.tgz/set").unwrap(), images);
    let wrong = read("data/a.tgz/sets").unwrap_err();
    assert!(wrong.contains("no folder `sets`") && wrong.contains("holds at its top: set"), "{wrong}");
    let deep = read("data/a.tgz").unwrap_err();
    assert!(deep.contains("set"), "{deep}");
    assert!(read("data/b.tgz").unwrap_err().contains("no folder `data/b.tgz`"));
}

#[test]
fn one_image_is_one_identity_and_other_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("me.jpg", "x"), ("data.bin", "y")]);
    acquire(&dir.path().join("me.jpg"), None, &dir.path().join("out"), json!({"layout": "folders"})).unwrap();
    assert_eq!(rows(&dir.path().join("out")), ["me/me.jpg|me|-|-"]);
    let text =
        acquire(&dir.path().join("data.bin"), None, &dir.path().join("o"), json!({"layout": "folders"}));
    assert!(text.unwrap_err().to_string().contains("neither a folder nor a .zip, .tar or .tar.gz"));
}

#[test]
fn pins_hold_for_files_and_folders_and_a_mismatch_shows_both_digests() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), &[("folder/A/1.jpg", "1"), ("folder/B/1.jpg", "2"), ("me.jpg", "abc")]);
    let run = |source: &str, pins: serde_json::Value| {
        let mut parameters = json!({"layout": "folders"});
        parameters.as_object_mut().unwrap().extend(pins.as_object().unwrap().clone());
        let out = tempfile::tempdir().unwrap();
        acquire(&dir.path().join(source), None, out.path(), parameters).map_err(|e| e.to_string())
    };
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    run("me.jpg", json!({"sha256": abc})).unwrap();
    run("me.jpg", json!({"sha256": abc.to_uppercase()})).unwrap();
    // printf '%s' '..' | sha256sum of the output of sha256sum for A/1.jpg and B/1.jpg
    let sums = "6b86b273ff34fce19d6b804eff5a3f5747ada4eaa22f1d49c01e52ddb7875b4b  A/1.jpg\n\
                d4735e3a265e16eee03f59718b9b5d03019c07d8b6c51f90da3a666eec13ab35  B/1.jpg\n";
    use sha2::Digest;
    let folder: String = sha2::Sha256::digest(sums).iter().map(|b| format!("{b:02x}")).collect();
    run("folder", json!({"sha256": folder})).unwrap();
    let zero = "0".repeat(64);
    let text = run("me.jpg", json!({"sha256": zero})).unwrap_err();
    assert!(text.contains(&zero) && text.contains(abc), "{text}");
    let text = run("folder", json!({"blake3": zero})).unwrap_err();
    assert!(text.contains("blake3") && text.contains(&zero), "{text}");
    assert!(run("me.jpg", json!({"sha256": "12"})).unwrap_err().contains("64 hexadecimal digits"));
}

fn try_unpack(bytes: &[u8], ratio: u32) -> (tempfile::TempDir, Result<(), String>) {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("archive");
    std::fs::write(&path, bytes).unwrap();
    let target = dir.path().join("deep/target");
    std::fs::create_dir_all(&target).unwrap();
    let result = match format(&path) {
        Ok(Some(f)) => unpack(&path, f, &target, ratio).map(|_| ()).map_err(|e| e.to_string()),
        other => Err(format!("{other:?}")),
    };
    (dir, result)
}

#[test]
fn entries_that_lead_out_are_refused() {
    for name in ["/tmp/evil.jpg", "\\evil.jpg"] {
        let (_dir, result) = try_unpack(&tar(&[(name, b"x")]), 100);
        assert!(result.unwrap_err().contains("starts with a slash"), "{name}");
    }
    for name in ["../../evil.jpg", "/tmp/evil.jpg", "a/../../evil.jpg", "a\\..\\..\\evil.jpg", "C:/evil.jpg"]
    {
        let (dir, result) = try_unpack(&tar(&[(name, b"x")]), 100);
        assert!(result.unwrap_err().contains("leads out of the archive"), "{name}");
        assert!(!dir.path().join("evil.jpg").exists());
        let path = dir.path().join("z.zip");
        zip(&path, &[(name, b"x")]);
        let (_dir, result) = try_unpack(&std::fs::read(path).unwrap(), 100);
        assert!(result.unwrap_err().contains("leads out of the archive"), "{name}");
    }
}

#[test]
fn colons_in_names_and_duplicate_folders_are_accepted() {
    let dir = tempfile::tempdir().unwrap();
    let name = "set/Ann/2012-01-01 12:30:01.jpg";
    let path = dir.path().join("a.zip");
    let mut zip = zip::ZipWriter::new(std::fs::File::create(&path).unwrap());
    let options = zip::write::SimpleFileOptions::default();
    for folder in ["set/", "set/Ann/", "sex/", "set/Bnn/"] {
        zip.add_directory(folder, options).unwrap();
    }
    zip.start_file(name, options).unwrap();
    zip.write_all(b"x").unwrap();
    zip.finish().unwrap();
    // As other programs write it, with duplicate folder entries.
    let bytes = std::fs::read(&path).unwrap();
    let mut twice = bytes.clone();
    for (from, to) in [(b"sex/", b"set/"), (b"Bnn/", b"Ann/")] {
        for at in 0..twice.len() - 4 {
            if &twice[at..at + 4] == from {
                twice[at..at + 4].copy_from_slice(to);
            }
        }
    }
    assert_ne!(bytes, twice);
    for bytes in [twice, tar(&[(name, b"x")])] {
        let (dir, result) = try_unpack(&bytes, 100);
        result.unwrap();
        assert_eq!(std::fs::read(dir.path().join("deep/target").join(name)).unwrap(), b"x");
    }
}

#[test]
fn links_duplicate_entries_and_damaged_archives_are_refused() {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    builder.append_link(&mut header, "a", "/etc").unwrap();
    assert!(try_unpack(&builder.into_inner().unwrap(), 1).1.unwrap_err().contains("is a link"));
    assert!(try_unpack(&tar(&[("a", b"1"), ("./a", b"2")]), 1).1.unwrap_err().contains("twice"));
    let whole = gz(&tar(&[("a", &[7; 5000])]));
    assert!(try_unpack(&whole[..whole.len() - 9], 1).1.is_err());
}

#[test]
fn a_zip_with_two_entries_of_one_name_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("z.zip");
    zip(&path, &[("A/1.jpg", b"first"), ("A/2.jpg", b"second")]);
    let bytes = std::fs::read(&path).unwrap();
    let needle = b"A/2.jpg";
    let mut twice = bytes.clone();
    for at in (0..bytes.len() - needle.len()).filter(|&i| bytes[i..].starts_with(needle)) {
        twice[at + 2] = b'1';
    }
    let text = try_unpack(&twice, 100).1.unwrap_err();
    assert!(text.contains("`A/1.jpg` appears twice"), "{text}");
    // The same after other data, as in a self-extracting archive.
    assert!(try_unpack(&bytes, 100).1.is_ok());
}

/// A zip archive whose only entry has these bytes in place of `NAME`.
fn named(bytes: [u8; 4], utf8: bool) -> Vec<u8> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("z.zip");
    zip(&path, &[("NAME/1.jpg", b"x")]);
    let mut out = std::fs::read(path).unwrap();
    for at in 0..out.len() - 4 {
        if out[at..].starts_with(b"NAME") {
            out[at..at + 4].copy_from_slice(&bytes);
        }
        let flags = if out[at..].starts_with(b"PK\x03\x04") { 7 } else { 9 };
        if utf8 && (out[at..].starts_with(b"PK\x03\x04") || out[at..].starts_with(b"PK\x01\x02")) {
            out[at + flags] |= 8;
        }
    }
    out
}

#[test]
fn names_in_archives_are_read_by_their_encoding_or_refused_but_never_mangled() {
    let unpacked = |bytes: &[u8]| {
        let (dir, result) = try_unpack(bytes, 100);
        result.map(|()| {
            let names = std::fs::read_dir(dir.path().join("deep/target")).unwrap();
            names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect::<Vec<_>>()
        })
    };
    assert_eq!(unpacked(&named(*b"Jo\xc3\xa9", true)).unwrap(), ["Jo\u{e9}"]);
    assert_eq!(
        unpacked(&named(*b"Jo\xc3\xa9", false)).unwrap(),
        ["Jo\u{e9}"],
        "without the flag, as some programs write it"
    );
    assert_eq!(unpacked(&named(*b"Jos\x82", false)).unwrap(), ["Jos\u{e9}"], "code page 437");
    let text = unpacked(&named(*b"Jos\xe9", true)).unwrap_err();
    assert!(text.contains(r"`Jos\xe9/1.jpg` is not UTF-8"), "{text}");
    let text = unpacked(&tar(&[("NAME/1.jpg", b"x")]));
    assert_eq!(text.unwrap(), ["NAME"]);
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.as_old_mut().name[..10].copy_from_slice(b"Jos\xe9/1.jpg");
    header.set_size(1);
    header.set_cksum();
    builder.append(&header, &b"x"[..]).unwrap();
    let text = unpacked(&builder.into_inner().unwrap()).unwrap_err();
    assert!(text.contains(r"`Jos\xe9/1.jpg` is not UTF-8"), "{text}");
}

#[test]
fn names_decoded_with_code_page_437_are_reported() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("z.zip"), named(*b"Jos\x82", false)).unwrap();
    let said = super::acquire_saying(
        &dir.path().join("z.zip"),
        None,
        &dir.path().join("out"),
        json!({"layout": "folders"}),
    );
    let warnings = super::warned(&said.unwrap());
    assert!(
        warnings[0].contains("read by code page 437") && warnings[0].contains("`Jos\u{e9}/1.jpg`"),
        "{warnings:?}"
    );
}

#[test]
fn an_archive_that_unfolds_without_end_is_stopped() {
    // A tar archive whose only entry has 8 MiB of zeros, compressed a thousand to one.
    let mut header = tar::Header::new_ustar();
    header.set_path("zeros.jpg").unwrap();
    header.set_size(8 << 20);
    header.set_cksum();
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(header.as_bytes()).unwrap();
    let zeros = vec![0_u8; 1 << 20];
    for _ in 0..8 {
        gz.write_all(&zeros).unwrap();
    }
    let text = try_unpack(&gz.finish().unwrap(), 1).1.unwrap_err();
    assert!(text.contains("far larger than the archive") && text.contains("unpack-ratio"), "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn a_damaged_archive_never_panics(at in any::<prop::sample::Index>(), bytes: [u8; 4], kind in 0..3) {
        let dir = tempfile::tempdir().unwrap();
        let mut archive = match kind {
            0 => tar(&FILES),
            1 => gz(&tar(&FILES)),
            _ => {
                zip(&dir.path().join("z"), &FILES);
                std::fs::read(dir.path().join("z")).unwrap()
            }
        };
        let at = at.index(archive.len() - 4);
        archive[at..at + 4].copy_from_slice(&bytes);
        let _ = try_unpack(&archive, 1);
    }
}
