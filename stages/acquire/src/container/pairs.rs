//! Verification sets: `lfw.bin` and similar files, Parquet files of pairs. Each file in a folder is a set of its own.
//!
//! Such sets do not name identities. Images with the same bytes, and images joined by genuine pairs, are counted as one person;
//! confidence intervals over persons are based on this.

use std::fmt::Write as _;
use std::path::Path;

use lfs_faces::DataError;
use lfs_formats::container::{self, Container, Item, Look, Sink, persons};
use lfs_formats::names;
use lfs_stage::{Failure, Result};

use super::colours::Colours;
use super::failure;
use super::taker::Taker;

/// The number of folds of a protocol. They are contiguous as in other evaluation tools; the first ones have one more pair if ten
/// does not divide the number of pairs.
const FOLDS: usize = 10;
/// The name of the set if there is only one container.
const LONE: &str = "pairs";

/// A verification set: its column name and its container.
struct Set {
    name: String,
    container: Box<dyn Container>,
}

/// The result of the first pass over a set.
#[derive(Default)]
struct Survey {
    names: Vec<String>,
    digests: Vec<[u8; 32]>,
    pairs: Vec<(String, String, bool)>,
    places: Vec<(usize, usize)>,
}

impl Sink for Survey {
    fn item(&mut self, item: Item<'_>) -> Result<(), DataError> {
        self.names.push(item.name.to_owned());
        self.digests.push(*blake3::hash(item.image).as_bytes());
        Ok(())
    }

    fn pair(&mut self, a: &str, b: &str, same: bool) -> Result<(), DataError> {
        // The container yields both images of a pair just before the pair.
        let last = self.names.len();
        if last < 2 || self.names[last - 2] != a || self.names[last - 1] != b {
            return Err(DataError::new(format!("the images `{a}` and `{b}` of a pair are not adjacent")));
        }
        if same {
            self.places.push((last - 2, last - 1));
        }
        self.pairs.push((a.to_owned(), b.to_owned(), same));
        Ok(())
    }

    fn passed_over(&mut self, _: &str, _: &str) {}
}

/// Reads all verification sets in a folder, or the one at the path; returns the text of `pairs.tsv`.
pub(super) fn read(root: &Path, taker: &mut Taker<'_>) -> Result<String> {
    let sets = sets(root)?;
    let mut list = String::from("# set\tfold\timage\timage\tsame\n");
    for set in &sets {
        let mut survey = Survey::default();
        set.container.read(&mut survey).map_err(failure)?;
        if survey.pairs.len() < FOLDS {
            return Err(Failure::new(format!(
                "`{}` has {} pairs; ten folds need ten pairs or more",
                set.name,
                survey.pairs.len()
            )));
        }
        taker.begin_set(&set.name, &persons(&survey.digests, &survey.places));
        set.container.read(taker).map_err(failure)?;
        taker.end(&set.name)?;
        let n = survey.pairs.len();
        let (short, longer) = (n / FOLDS, n % FOLDS);
        for (k, (a, b, same)) in survey.pairs.iter().enumerate() {
            // The first `longer` folds have one more pair.
            let fold = if k < longer * (short + 1) { k / (short + 1) } else { (k - longer) / short };
            let _ = writeln!(list, "{0}\t{1}\t{0}/{a}\t{0}/{b}\t{2}", set.name, fold + 1, u8::from(*same));
        }
    }
    Ok(list)
}

/// The sets in a folder, by name, or the one at the path.
fn sets(root: &Path) -> Result<Vec<Set>> {
    let look = Look::at(root).map_err(failure)?;
    let mut found = Vec::new();
    // A folder of Parquet shards is one set.
    if look.names.is_none() || container::format(root).is_ok_and(|f| f.name == "parquet") {
        let (format, container) = container::open(root).map_err(failure)?;
        if !container.is_pairs() {
            return Err(no_pairs(format!("the source is {}, which has no pairs", format.about)));
        }
        // The name of the source is not part of the result.
        return Ok(vec![Set { name: LONE.to_owned(), container }]);
    }
    for name in look.names.iter().flatten() {
        let path = root.join(name);
        if let Some(container) = pairs_at(&path)? {
            let name = if path.is_dir() {
                name.clone()
            } else {
                name.rsplit_once('.').map_or(name.as_str(), |n| n.0).to_owned()
            };
            if let Some(bad) = name.chars().find(|c| c.is_control()) {
                return Err(Failure::new(format!(
                    "the name of the set {name:?} has the character {bad:?}; rename the file"
                )));
            }
            found.push(Set { name, container });
        }
    }
    if found.is_empty() {
        return Err(no_pairs(format!(
            "the source has no set of pairs; it holds {}",
            crate::tree::Tree::new(root).top()
        )));
    }
    Ok(found)
}

fn no_pairs(what: String) -> Failure {
    Failure::new(what).help("a set of pairs is a file like lfw.bin (a pickle of images and truth values), or Parquet with the columns image1, image2 and target")
}

/// The container of pairs at a path; none if there is something else.
fn pairs_at(path: &Path) -> Result<Option<Box<dyn Container>>> {
    let ending = path.to_str().and_then(names::ending);
    let is_bin = ending.as_deref() == Some("bin");
    let maybe = path.is_dir() || is_bin || ending.as_deref() == Some("parquet");
    if !maybe {
        return Ok(None);
    }
    match container::format(path) {
        Ok(format) if matches!(format.name, "verification-bin" | "parquet") => {
            let container = format.open(path).map_err(failure)?;
            Ok(container.is_pairs().then_some(container))
        }
        // A `.bin` file that is no verification set must not silently be missing from the table.
        Ok(_) | Err(_) if is_bin => Err(Failure::new(format!("{} is no verification set", path.display()))
            .help("it should be a pickle of images and truth values, as InsightFace packs lfw.bin; take it out of the folder if it is something else")),
        _ => Ok(None),
    }
}

/// Checks the verification sets beside a training set: their sizes and colours must match before a training starts.
pub(super) fn look_over(root: &Path, taker: &mut Taker<'_>) -> Result<()> {
    let look = Look::at(root).map_err(failure)?;
    let mut sets = 0;
    for name in look.with_ending("bin") {
        sets += 1;
        let path = root.join(name);
        let Some(container) = pairs_at(&path)? else { continue };
        let mut colours = Colours::default();
        container.read(&mut Beside { file: name, taker, colours: &mut colours }).map_err(failure)?;
        // If the training set has exchanged colours, its test sets may have them, too: the stage that reads them checks them.
        if taker.wants_rgb() {
            colours.verdict(name).map_err(failure)?;
        }
    }
    if sets == 0 {
        taker.warn("no .bin lies beside the records: there is no test set in this folder");
    }
    Ok(())
}

/// Checks images without storing them.
struct Beside<'a, 'b> {
    file: &'a str,
    taker: &'a mut Taker<'b>,
    colours: &'a mut Colours,
}

impl Sink for Beside<'_, '_> {
    fn item(&mut self, item: Item<'_>) -> Result<(), DataError> {
        self.colours.see(item.image);
        self.taker.crops.see(self.file, item.image)
    }

    fn pair(&mut self, _: &str, _: &str, _: bool) -> Result<(), DataError> {
        Ok(())
    }

    fn passed_over(&mut self, _: &str, _: &str) {}
}
