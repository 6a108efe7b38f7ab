//! Names of the rows of embeddings.
//!
//! A list has a line for each row: the path of the image, and optionally the person after a separator (in a `.tsv` file, a tab).
//! JSON works, too: a list of paths, or MegaFace's `{"path": [..], "id": [..]}`.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use super::{NAMED, first_ten};
use crate::DataError;
use crate::{lists, names, text};

/// Names of columns and arrays with the images.
pub(super) const IMAGES: [&str; 14] = [
    "names",
    "name",
    "paths",
    "path",
    "images",
    "image",
    "files",
    "file",
    "filenames",
    "filename",
    "file_name",
    "image_path",
    "keys",
    "key",
];
/// Names of columns and arrays with the persons.
pub(super) const PERSONS: [&str; 8] =
    ["persons", "person", "identities", "identity", "labels", "label", "subject", "subject_id"];

/// The name of a row.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Name {
    /// The path of the image.
    pub image: String,
    /// The person, if it is given.
    pub person: Option<String>,
}

impl Name {
    /// An image of a person that is not given.
    pub fn new(image: impl AsRef<str>) -> Self {
        Self { image: names::tidy(image.as_ref()), person: None }
    }

    /// The images in this order, with their persons if they are given.
    pub(super) fn all(images: Vec<String>, persons: Option<Vec<String>>) -> Vec<Self> {
        let mut all: Vec<Self> = images.into_iter().map(Self::new).collect();
        for (name, person) in all.iter_mut().zip(persons.into_iter().flatten()) {
            name.person = Some(person).filter(|p| !p.is_empty());
        }
        all
    }
}

/// Reads a list of `rows` names.
///
/// # Errors
/// If it cannot be read, has another number of names, or a name twice; the first ten are listed.
pub fn read(path: &Path, rows: usize) -> Result<Vec<Name>, DataError> {
    let within = |e: DataError| e.within(path.display());
    let bytes = std::fs::read(path).map_err(|e| within(DataError::new(format!("cannot read it: {e}"))))?;
    let text = text::decode(&bytes).map_err(within)?;
    let tabs = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("tsv"));
    parse(&text, rows, if tabs { tab } else { lists::image }).map_err(within)
}

/// Writes a list that [`read`] reads as it is: a `.tsv` file.
///
/// # Errors
/// If it cannot be written, or a name has a tab or a line end in it.
pub fn write(path: &Path, names: &[Name]) -> Result<(), DataError> {
    let mut text = String::new();
    for Name { image, person } in names {
        let person = person.as_deref().unwrap_or_default();
        if [image.as_str(), person].iter().any(|t| t.contains(['\t', '\n', '\r'])) || image.trim() != image {
            return Err(DataError::new(format!(
                "the name {image:?} has a tab, a line end or a blank at its end"
            )));
        }
        text += &format!("{image}\t{person}\n");
    }
    std::fs::write(path, text).map_err(|e| DataError::new(format!("cannot write {}: {e}", path.display())))
}

/// Splits a line at its tab.
fn tab(line: &str) -> (&str, &str) {
    line.split_once('\t').unwrap_or((line, ""))
}

fn parse(text: &str, rows: usize, split: fn(&str) -> (&str, &str)) -> Result<Vec<Name>, DataError> {
    // Names may begin like JSON, too.
    let value =
        text.trim_start().starts_with(['{', '[']).then(|| serde_json::from_str::<Value>(text).ok()).flatten();
    let mut all = match &value {
        Some(value) => json(value)?,
        None => lines(text, split)?,
    };
    let is_header = |n: &Name| {
        let first = lists::fields(&n.image).first().copied().unwrap_or_default();
        IMAGES.iter().any(|w| first.eq_ignore_ascii_case(w))
    };
    if all.len() == rows + 1 && all.first().is_some_and(is_header) {
        all.remove(0);
    }
    check(&all, rows)?;
    Ok(all)
}

fn lines(text: &str, split: fn(&str) -> (&str, &str)) -> Result<Vec<Name>, DataError> {
    let text = text.trim_end();
    let mut empty = Vec::new();
    let mut all = Vec::new();
    for (i, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            empty.push((i + 1).to_string());
        }
        let (image, person) = split(line);
        let person = Some(person.trim()).filter(|p| !p.is_empty()).map(str::to_owned);
        all.push(Name { person, ..Name::new(image) });
    }
    if !empty.is_empty() {
        return Err(DataError::new(format!(
            "every line is to name an image; lines {} are empty",
            first_ten(&empty)
        )));
    }
    Ok(all)
}

fn json(value: &Value) -> Result<Vec<Name>, DataError> {
    let expected = || DataError::new("expected a list of paths, or {\"path\": [..], \"id\": [..]}");
    let texts = |value: &Value| -> Option<Vec<String>> {
        let one = |v: &Value| match v {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        };
        value.as_array()?.iter().map(one).collect()
    };
    if value.is_array() {
        return Ok(Name::all(texts(value).ok_or_else(expected)?, None));
    }
    let images = value.get("path").and_then(texts).ok_or_else(expected)?;
    let persons = value.get("id").map(|ids| texts(ids).ok_or_else(expected)).transpose()?;
    if let Some(persons) = persons.as_ref().filter(|p| p.len() != images.len()) {
        return Err(DataError::new(format!("{} paths and {} ids", images.len(), persons.len())));
    }
    Ok(Name::all(images, persons))
}

/// Checks that there is a name for each row, and that no name occurs twice.
///
/// # Errors
/// If not.
pub fn check(all: &[Name], rows: usize) -> Result<(), DataError> {
    if all.len() != rows {
        let of = |name: Option<&Name>| name.map_or_else(|| "none".to_owned(), |n| format!("`{}`", n.image));
        return Err(DataError::new(format!(
            "{} names for {rows} rows of embeddings (the first is {}, the last {}); give a name for each row, in their order",
            all.len(),
            of(all.first()),
            of(all.last())
        )));
    }
    let mut seen: HashMap<&str, Vec<usize>> = HashMap::with_capacity(rows);
    for (row, name) in all.iter().enumerate() {
        seen.entry(&name.image).or_default().push(row);
    }
    let mut twice: Vec<(&str, Vec<usize>)> = seen.into_iter().filter(|(_, rows)| rows.len() > 1).collect();
    if twice.is_empty() {
        return Ok(());
    }
    twice.sort_by_key(|(_, rows)| rows[0]);
    let named = twice.iter().take(NAMED + 1).map(|(name, rows)| {
        let rows: Vec<String> = rows.iter().map(usize::to_string).collect();
        format!("`{name}` (rows {})", first_ten(&rows))
    });
    let named: Vec<String> = named.collect();
    Err(DataError::new(format!("{} names are given to several rows: {}", twice.len(), first_ten(&named))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str, rows: usize) -> Result<Vec<(String, Option<String>)>, String> {
        let names = parse(text, rows, lists::image).map_err(|e| e.to_string())?;
        Ok(names.into_iter().map(|n| (n.image, n.person)).collect())
    }

    #[test]
    fn every_form_of_a_list_gives_the_same_names() {
        let named = [("a/1 x.jpg".to_owned(), None), ("b/2.jpg".to_owned(), None)];
        for text in ["a/1 x.jpg\nb/2.jpg", "./a/1 x.jpg\nb\\2.jpg\n\n", "[\"a/1 x.jpg\", \"b/2.jpg\"]"] {
            assert_eq!(of(text, 2).unwrap(), named, "{text}");
        }
        let named =
            [("a/1.jpg".to_owned(), Some("7".to_owned())), ("b/2.jpg".to_owned(), Some("9".to_owned()))];
        for text in [
            "a/1.jpg\t7\nb/2.jpg\t9",
            "path,label\na/1.jpg,7\nb/2.jpg,9\n",
            "{\"path\": [\"a/1.jpg\", \"b/2.jpg\"], \"id\": [7, \"9\"]}",
        ] {
            assert_eq!(of(text, 2).unwrap(), named, "{text}");
        }
    }

    #[test]
    fn any_name_that_was_written_is_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("names.tsv");
        let names = [Name::new("Ann 1"), Name { person: Some("B, o".to_owned()), ..Name::new("a, b/2") }];
        write(&path, &names).unwrap();
        assert_eq!(read(&path, 2).unwrap(), names);
        assert!(write(&path, &[Name::new("a\tb")]).is_err() && write(&path, &[Name::new("a ")]).is_err());
    }

    #[test]
    fn a_list_that_does_not_fit_says_where() {
        assert!(
            of("a\nb", 3)
                .unwrap_err()
                .contains("2 names for 3 rows of embeddings (the first is `a`, the last `b`)")
        );
        assert!(of("", 1).unwrap_err().contains("0 names for 1 rows"));
        assert!(of("a\n\nb\n\nc", 5).unwrap_err().contains("lines 2, 4 are empty"));
        let twice: String = (0..12).map(|i| format!("{i}.jpg\n{i}.jpg\n")).collect();
        let says = of(&twice, 24).unwrap_err();
        assert!(
            says.contains("12 names are given to several rows: `0.jpg` (rows 0, 1), `1.jpg` (rows 2, 3)"),
            "{says}"
        );
        assert!(says.contains("`9.jpg`") && says.ends_with(" .."), "{says}");
        assert!(of("{\"path\": [\"a\", \"b\"], \"id\": [1]}", 2).unwrap_err().contains("2 paths and 1 ids"));
        assert!(of("{\"path\": 3}", 1).unwrap_err().contains("expected a list of paths"));
    }
}
