//! Finds images by the names that a list gives them.

use std::collections::{BTreeSet, HashMap};

use crate::DataError;
use crate::names::{parts, stem};

/// The place of each wanted name among `names`; none if it is not there.
///
/// Lists and images are often rooted at different folders, so names are compared by their last c parts. The same c is used for all
/// names, or all parts of a name that has fewer: the largest at which any name is found, starting at the number of parts of the wanted
/// names and ending at two (a file and its folder). A file name alone matches a longer name only if all images are in one folder and the wanted file names differ. If
/// nothing is found, extensions are left out: other crops of a set may have another one, or none.
///
/// # Errors
/// If two images have the same last c parts and one of them is wanted, or two wanted names have one image.
pub fn find(names: &[&str], wanted: &[&str]) -> Result<Vec<Option<usize>>, DataError> {
    let found = find_by(names, wanted, |name| name)?;
    if found.iter().any(Option::is_some) {
        return Ok(found);
    }
    find_by(names, wanted, stem)
}

fn find_by(
    names: &[&str],
    wanted: &[&str],
    form: impl Fn(&str) -> &str,
) -> Result<Vec<Option<usize>>, DataError> {
    let deepest = wanted.iter().map(|n| parts(n).count()).max().unwrap_or(0);
    let shallow = names.iter().all(|n| parts(n).count() == 1);
    let flat = deepest > 1 && shallow && differ_at_the_end(wanted, &form);
    let least = if flat { 1 } else { deepest.min(2) };
    for c in (least..=deepest).rev() {
        // Of a name with fewer parts, all count.
        let depth = |name: &str| parts(name).count().min(c);
        let depths: BTreeSet<usize> = wanted.iter().map(|n| depth(n)).collect();
        let mut places: HashMap<(usize, String), Option<usize>> = HashMap::with_capacity(names.len());
        for (place, name) in names.iter().enumerate() {
            for &depth in &depths {
                let key = (depth, tail(form(name), depth));
                places.entry(key).and_modify(|p| *p = None).or_insert(Some(place));
            }
        }
        let mut found = Vec::with_capacity(wanted.len());
        let mut taken: HashMap<usize, &str> = HashMap::new();
        for &name in wanted {
            let key = (depth(name), tail(form(name), depth(name)));
            let place = match places.get(&key) {
                None => None,
                Some(Some(place)) => Some(*place),
                Some(None) => {
                    return Err(DataError::new(format!(
                        "`{name}` could be several of the images: all that end in `{}`",
                        key.1
                    )));
                }
            };
            let other = place.and_then(|place| taken.insert(place, name));
            if let Some(other) = other.filter(|other| whole(other, &form) != whole(name, &form)) {
                return Err(DataError::new(format!(
                    "`{other}` and `{name}` could both be the image that ends in `{}`",
                    key.1
                )));
            }
            found.push(place);
        }
        if found.iter().any(Option::is_some) {
            return Ok(found);
        }
    }
    Ok(vec![None; wanted.len()])
}

/// Whether images of different paths have different file names.
fn differ_at_the_end(names: &[&str], form: impl Fn(&str) -> &str) -> bool {
    let mut paths: HashMap<String, String> = HashMap::new();
    names.iter().all(|name| {
        let whole = whole(name, &form);
        *paths.entry(tail(form(name), 1)).or_insert_with(|| whole.clone()) == whole
    })
}

fn whole(name: &str, form: impl Fn(&str) -> &str) -> String {
    tail(form(name), usize::MAX)
}

fn tail(name: &str, c: usize) -> String {
    let mut last: Vec<&str> = parts(name).rev().take(c).collect();
    last.reverse();
    last.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roots_above_and_below_the_lists_own_are_found() {
        let set = ["001/frontal/01.jpg", "001/frontal/02.jpg"];
        assert_eq!(find(&set, &["../Data/Images/001/frontal/02.jpg"]).unwrap(), [Some(1)]);
        let set = ["images/A_0001.jpg", "images/B_0001.jpg"];
        assert_eq!(find(&set, &["B_0001.jpg"]).unwrap(), [Some(1)]);
    }

    #[test]
    fn a_missing_image_is_not_replaced_by_one_of_the_same_file_name() {
        let set = ["Ann/01.jpg", "Bob/02.jpg"];
        assert_eq!(find(&set, &["Ann/01.jpg", "Ann/02.jpg"]).unwrap(), [Some(0), None]);
        assert_eq!(find(&set, &["Cid/01.jpg"]).unwrap(), [None]);
    }

    #[test]
    fn names_without_folders_or_with_another_extension_are_found() {
        let set = ["Ann_0001.png", "Ann_0002.png", "Bob_0001.png"];
        assert_eq!(
            find(&set, &["Ann/Ann_0002.jpg", "Bob/Bob_0001.jpg", "Bob/Bob_0002.jpg"]).unwrap(),
            [Some(1), Some(2), None]
        );
        // The file names of this list do not tell its images apart.
        let set = ["01.jpg", "02.jpg"];
        assert_eq!(find(&set, &["Ann/01.jpg", "Bob/01.jpg"]).unwrap(), [None, None]);
        let set = ["x/Ann/Ann_0001", "x/Ann/Ann_0002"];
        assert_eq!(find(&set, &["Ann/Ann_0002.jpg"]).unwrap(), [Some(1)]);
    }

    #[test]
    fn two_candidates_are_an_error_that_names_the_image() {
        let set = ["a/Ann/01.jpg", "b/Ann/01.jpg"];
        assert!(find(&set, &["Ann/01.jpg"]).unwrap_err().message().contains("`Ann/01.jpg`"));
    }

    #[test]
    fn no_image_is_taken_for_another() {
        assert_eq!(find(&["root.jpg", "Bob/01.jpg"], &["root.jpg", "Ann/01.jpg"]).unwrap(), [Some(0), None]);
        let says = |names: &[&str], wanted: &[&str]| find(names, wanted).unwrap_err().message().to_owned();
        assert!(says(&["Ann/01.jpg"], &["x/Ann/01.jpg", "y/Ann/01.jpg"]).contains("could both be"));
        assert_eq!(find(&["01.webp"], &["Ann/01.jpg", "Bob/01.png"]).unwrap(), [None, None]);
        assert_eq!(find(&["Ann/01.jpg"], &["Ann/01.jpg", "./Ann/01.jpg"]).unwrap(), [Some(0), Some(0)]);
    }
}
