//! The rows of the data set, and the lookup of images of a list.

use std::collections::HashMap;
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_stage::{Failure, Result};

/// Names and identities of a data set, by row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// Paths relative to the root of the set.
    pub names: Vec<String>,
    /// Identities.
    pub identities: Vec<u32>,
    /// The names of the identities.
    pub persons: Vec<String>,
}

impl Rows {
    /// Reads the names and identities of a data set.
    ///
    /// # Errors
    /// If it cannot be read.
    pub fn open(folder: &Path) -> Result<Self> {
        let set = Dataset::open(folder).map_err(|e| Failure::new(e.to_string()))?;
        let mut rows = Self { persons: set.info().identities.clone(), ..Self::default() };
        for face in set.iter() {
            rows.names.push(face.name.to_owned());
            rows.identities.push(face.identity);
        }
        Ok(rows)
    }

    /// The row of each name; none if the data set has no such image.
    ///
    /// Lists and data sets are often rooted at different folders, so names are compared by their last c
    /// parts. The same c is used for all names: the largest at which any name is found, starting at the
    /// number of parts of the list's names and ending at two (a file and its folder). A file name alone never
    /// matches a longer name.
    ///
    /// # Errors
    /// If two images of the data set have the same last c parts and one of them is requested.
    pub fn find(&self, names: &[&str]) -> Result<Vec<Option<usize>>> {
        let depth = names.iter().map(|n| parts(n).count()).min().unwrap_or(0);
        for c in (depth.min(2)..=depth).rev() {
            let mut rows: HashMap<String, Option<usize>> = HashMap::with_capacity(self.names.len());
            for (row, name) in self.names.iter().enumerate() {
                rows.entry(tail(name, c)).and_modify(|r| *r = None).or_insert(Some(row));
            }
            let mut found = Vec::with_capacity(names.len());
            for name in names {
                found.push(match rows.get(&tail(name, c)) {
                    None => None,
                    Some(Some(row)) => Some(*row),
                    Some(None) => {
                        return Err(Failure::new(format!(
                            "the list's image `{name}` could be several images of the data set: all that end \
                             in `{}`",
                            tail(name, c)
                        ))
                        .help("acquire the test set from its own root, so that each image is there once"));
                    }
                });
            }
            if found.iter().any(Option::is_some) {
                return Ok(found);
            }
        }
        Ok(vec![None; names.len()])
    }
}

fn parts(name: &str) -> impl DoubleEndedIterator<Item = &str> {
    name.split('/').filter(|p| !p.is_empty() && *p != "." && *p != "..")
}

fn tail(name: &str, c: usize) -> String {
    let mut last: Vec<&str> = parts(name).rev().take(c).collect();
    last.reverse();
    last.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(names: &[&str]) -> Rows {
        let names: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
        Rows { identities: vec![0; names.len()], names, persons: vec!["one".to_owned()] }
    }

    #[test]
    fn roots_above_and_below_the_lists_own_are_found() {
        let set = rows(&["001/frontal/01.jpg", "001/frontal/02.jpg"]);
        assert_eq!(set.find(&["../Data/Images/001/frontal/02.jpg"]).unwrap(), [Some(1)]);
        let set = rows(&["images/A_0001.jpg", "images/B_0001.jpg"]);
        assert_eq!(set.find(&["B_0001.jpg"]).unwrap(), [Some(1)]);
    }

    #[test]
    fn a_missing_image_is_not_replaced_by_one_of_the_same_file_name() {
        let set = rows(&["Ann/01.jpg", "Bob/02.jpg"]);
        assert_eq!(set.find(&["Ann/01.jpg", "Ann/02.jpg"]).unwrap(), [Some(0), None]);
        assert_eq!(set.find(&["Cid/01.jpg"]).unwrap(), [None]);
    }

    #[test]
    fn two_candidates_are_an_error_that_names_the_image() {
        let set = rows(&["a/Ann/01.jpg", "b/Ann/01.jpg"]);
        assert!(set.find(&["Ann/01.jpg"]).unwrap_err().message.contains("`Ann/01.jpg`"));
    }
}
