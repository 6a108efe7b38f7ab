//! WebDataset: tar files in which the files of a sample are adjacent, `key.jpg`, `key.cls`.
//!
//! The key of a file is its path up to the first dot of its name. `.cls` has a class as text; `.json` may have `label`, `identity`,
//! `class` or `id`. A set is one file, or a folder of shards in the order of their names.

use std::path::{Path, PathBuf};

use super::pack::{content, inside, is_tar, walk_tar};
use super::{Container, Item, Look, Sink};
use crate::DataError;
use crate::names::{ending, is_any_image};

/// The names of a class in the JSON of a sample.
const CALLED: [&str; 6] = ["identity", "label", "class", "cls", "id", "person"];
/// The number of files of an archive that are examined to detect the format.
const FEW: usize = 16;

pub(super) fn is(look: &Look) -> bool {
    if look.names.is_some() {
        let tars = look.with_ending("tar").count();
        return tars > 0 && look.names.as_ref().is_some_and(|n| n.iter().all(|n| is_beside(n)));
    }
    is_tar(look) && has_samples(&look.path)
}

/// Whether a file in a folder of shards is a shard, or may lie beside shards.
fn is_beside(name: &str) -> bool {
    matches!(ending(name).as_deref(), Some("tar" | "json" | "md" | "txt" | "idx"))
}

/// Whether the first files of an archive form samples.
fn has_samples(path: &Path) -> bool {
    let mut files: Vec<(String, String)> = Vec::new();
    // The visit is ended with an error as soon as enough is known.
    let _ = walk_tar(path, |name, _| {
        files.push(parts(&name));
        if files.len() < FEW { Ok(()) } else { Err(DataError::new("enough")) }
    });
    files.iter().any(|(key, end)| {
        is_label(end) && files.iter().any(|(other, e)| other == key && is_any_image(&format!("x.{e}")))
    })
}

fn is_label(end: &str) -> bool {
    matches!(end, "cls" | "json" | "txt" | "id")
}

/// The key and the extension of a file.
fn parts(name: &str) -> (String, String) {
    let at = name.rfind('/').map_or(0, |k| k + 1);
    match name[at..].find('.') {
        Some(dot) => (name[..at + dot].to_owned(), name[at + dot + 1..].to_lowercase()),
        None => (name.to_owned(), String::new()),
    }
}

pub(super) fn open(path: &Path) -> Result<Box<dyn Container>, DataError> {
    let look = Look::at(path)?;
    let shards = match &look.names {
        Some(_) => look.with_ending("tar").map(|n| path.join(n)).collect(),
        None => vec![path.to_owned()],
    };
    Ok(Box::new(WebDataset { shards }))
}

struct WebDataset {
    shards: Vec<PathBuf>,
}

/// The sample that is being collected.
#[derive(Default)]
struct Sample {
    key: String,
    image: Option<(String, Vec<u8>)>,
    identity: Option<String>,
    begun: bool,
}

impl Sample {
    /// Passes on the sample, if it has an image, and starts another one.
    fn give(&mut self, sink: &mut dyn Sink) -> Result<(), DataError> {
        let done = std::mem::take(self);
        match &done.image {
            Some((name, image)) => {
                sink.item(Item { name, identity: done.identity.as_deref(), image, points: None, group: None })
            }
            None if done.begun => {
                sink.passed_over(&done.key, "the sample has no image");
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn file(&mut self, name: &str, end: &str, bytes: Vec<u8>, sink: &mut dyn Sink) -> Result<(), DataError> {
        if is_any_image(&format!("x.{end}")) {
            if let Some((other, _)) = &self.image {
                return Err(DataError::new(format!(
                    "the sample `{}` has two images, `{other}` and `{name}`",
                    self.key
                )));
            }
            self.image = Some((name.to_owned(), bytes));
            return Ok(());
        }
        let text = || String::from_utf8_lossy(&bytes).trim().to_owned();
        match end {
            "cls" | "id" => self.identity = Some(text()),
            "json" => {
                let value: serde_json::Value = serde_json::from_slice(&bytes)
                    .map_err(|e| DataError::new(format!("`{name}` is no JSON: {e}")))?;
                let found = CALLED.iter().find_map(|c| value.get(c));
                self.identity = self.identity.take().or_else(|| found.and_then(class));
            }
            _ => sink.passed_over(name, "no image, and no class"),
        }
        Ok(())
    }
}

/// A class in JSON: a text or a number.
fn class(value: &serde_json::Value) -> Option<String> {
    match value {
        serde_json::Value::String(s) => Some(s.clone()),
        serde_json::Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

impl Container for WebDataset {
    fn read(&self, sink: &mut dyn Sink) -> Result<(), DataError> {
        for shard in &self.shards {
            let mut sample = Sample::default();
            walk_tar(shard, |name, from| {
                let name = inside(&name)?;
                let (key, end) = parts(&name);
                if key != sample.key {
                    sample.give(sink)?;
                    sample = Sample { key, begun: true, ..Sample::default() };
                }
                let mut bytes = Vec::new();
                content(&name, from, &mut bytes)?;
                sample.file(&name, &end, bytes, sink)
            })?;
            sample.give(sink).map_err(|e| e.within(shard.display()))?;
        }
        Ok(())
    }
}
