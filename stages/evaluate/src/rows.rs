//! The images behind the rows of embeddings.

use std::collections::HashMap;
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_formats::lookup;
use lfs_formats::names::{parts, stem};
use lfs_formats::vectors::Name;
use lfs_stage::{Failure, Result};

/// Names and identities of images, by row.
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

    /// The images of these names. Where the person of an image is not given, `person` reads it from the name.
    pub fn named(names: Vec<Name>, person: impl Fn(&str) -> String) -> Self {
        let mut out = Self::default();
        let mut known: HashMap<String, u32> = HashMap::new();
        for Name { image, person: given } in names {
            let who = given.unwrap_or_else(|| person(&image));
            let next = known.len() as u32;
            let identity = *known.entry(who.clone()).or_insert(next);
            if identity == next {
                out.persons.push(who);
            }
            out.identities.push(identity);
            out.names.push(image);
        }
        out
    }

    /// The row of each name; none if there is no such image ([`lookup`]).
    ///
    /// # Errors
    /// If a name could be several images.
    pub fn find(&self, names: &[&str]) -> Result<Vec<Option<usize>>> {
        let own: Vec<&str> = self.names.iter().map(String::as_str).collect();
        lookup::find(&own, names).map_err(|e| {
            Failure::new(e.to_string())
                .help("acquire the test set from its own root, so that each image is there once")
        })
    }
}

/// The person of an image, by most sets' rule: the folder, else the file name without a number at its end.
pub fn person(image: &str) -> String {
    let mut last = parts(image).rev();
    last.next();
    if let Some(folder) = last.next() {
        return folder.to_owned();
    }
    by_file(image)
}

/// The person of an image by its file name without a number at its end.
pub fn by_file(image: &str) -> String {
    let file = stem(parts(image).next_back().unwrap_or_default());
    let name = file.trim_end_matches(|c: char| c.is_ascii_digit());
    match name.strip_suffix(['_', '-']) {
        Some(name) if !name.is_empty() && name.len() + 1 < file.len() => name.to_owned(),
        _ => file.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn persons_are_read_from_names_where_they_are_not_given() {
        for (image, who) in [
            ("lfw/Ann_Lee/Ann_Lee_0001.jpg", "Ann_Lee"),
            ("Ann_Lee_0001.jpg", "Ann_Lee"),
            ("Ann-12.png", "Ann"),
            ("0001.jpg", "0001"),
            ("_1.jpg", "_1"),
            ("Ann.jpg", "Ann"),
            ("Ann_.jpg", "Ann_"),
        ] {
            assert_eq!(person(image), who, "{image}");
        }
        let given = Name { person: Some("Bo".to_owned()), ..Name::new("Ann/1.jpg") };
        let set = Rows::named(vec![Name::new("Ann/0.jpg"), given, Name::new("Bo/2.jpg")], person);
        assert_eq!((set.identities, set.persons), (vec![0, 1, 1], vec!["Ann".to_owned(), "Bo".to_owned()]));
    }
}
