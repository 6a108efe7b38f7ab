#![allow(clippy::panic)] // test helpers

mod bad;
mod fuzz;
mod lmdb;
mod npz;
mod pickles;
mod recordio;
mod referees;

use std::path::Path;

use lfs_faces::dataset::Points;

use super::*;

/// An item that a test has received.
#[derive(Debug, Clone, PartialEq)]
struct Kept {
    name: String,
    identity: Option<String>,
    image: Vec<u8>,
    points: Option<Points>,
}

/// Stores everything.
#[derive(Default)]
struct Keep {
    items: Vec<Kept>,
    pairs: Vec<(String, String, bool)>,
    passed: Vec<(String, String)>,
}

impl Sink for Keep {
    fn item(&mut self, item: Item<'_>) -> Result<(), DataError> {
        self.items.push(Kept {
            name: item.name.to_owned(),
            identity: item.identity.map(str::to_owned),
            image: item.image.to_vec(),
            points: item.points,
        });
        Ok(())
    }

    fn pair(&mut self, a: &str, b: &str, same: bool) -> Result<(), DataError> {
        self.pairs.push((a.to_owned(), b.to_owned(), same));
        Ok(())
    }

    fn passed_over(&mut self, name: &str, why: &str) {
        self.passed.push((name.to_owned(), why.to_owned()));
    }
}

impl Keep {
    /// `name=identity` of each item.
    fn listed(&self) -> Vec<String> {
        let text = |k: &Kept| format!("{}={}", k.name, k.identity.as_deref().unwrap_or("-"));
        self.items.iter().map(text).collect()
    }
}

/// The format and the content of a path.
fn read(path: &Path) -> Result<(&'static str, Keep), DataError> {
    let (format, container) = open(path)?;
    let mut keep = Keep::default();
    container.read(&mut keep)?;
    Ok((format.name, keep))
}

/// The error of reading a path.
fn why(path: &Path) -> String {
    match read(path) {
        Ok((format, keep)) => panic!("read as {format}: {:?}", keep.listed()),
        Err(e) => e.to_string(),
    }
}

/// Writes files into a new folder.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, bytes) in files {
        let path = dir.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }
    dir
}

/// A small picture that depends on the number.
fn picture(n: u8) -> Vec<u8> {
    pixels::png(&[n, 7, n, n, 1, 2, 3, 4, 5, 6, n, 9], (2, 2), 3, pixels::Layout::Interleaved, false).unwrap()
}

#[test]
fn every_kind_has_a_name_of_its_own_and_is_found_by_it() {
    for format in FORMATS {
        assert!(std::ptr::eq(by_name(format.name).unwrap(), format));
    }
    assert!(by_name("floppy").is_none());
}

#[test]
fn folders_are_identities_and_skipped_files_are_reported() {
    let (a, b) = (picture(1), picture(2));
    let dir = folder(&[
        ("Ann/1.png", &a),
        ("Bo Ray/x/2.PNG", &b),
        ("Ann/notes.txt", b"no image"),
        ("Ann/.hidden.png", b"nobody's"),
        ("top.png", &a),
    ]);
    let (format, keep) = read(dir.path()).unwrap();
    assert_eq!(format, "folders");
    assert_eq!(keep.listed(), ["Ann/1.png=Ann", "Bo Ray/x/2.PNG=Bo Ray/x", "top.png=-"]);
    assert_eq!(keep.passed, [("Ann/notes.txt".to_owned(), "no image by its ending".to_owned())]);
}

#[test]
fn persons_are_joined_by_pairs_and_by_equal_bytes() {
    let of = |n: u8| [n; 32];
    let images = [of(1), of(2), of(3), of(4), of(1), of(5)];
    // 0 and 1 are joined by a pair, 0 and 4 have the same bytes, 2 and 5 are another person.
    assert_eq!(persons(&images, &[(0, 1), (5, 2), (9, 0)]), [0, 0, 1, 2, 0, 1]);
    assert_eq!(persons(&[], &[]), Vec::<u32>::new());
}
