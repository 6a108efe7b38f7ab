//! The licence that a repository's card states, and the one that the manifest accepts.

use lfs_stage::{Failure, Result};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The stated licence of a repository.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stated {
    /// The names; usually one or none.
    pub names: Vec<String>,
    /// The address of its text, if stated.
    pub link: Option<String>,
    /// Whether its conditions must be accepted on the hub first.
    pub gated: bool,
}

impl Stated {
    /// Extracts the licence from the hub's information on a repository.
    pub fn of(info: &Value) -> Self {
        let card = &info["cardData"];
        let texts = |value: &Value| -> Vec<String> {
            let list = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
            list.iter()
                .filter_map(Value::as_str)
                .map(|s| s.trim().to_owned())
                .filter(|s| !s.is_empty())
                .collect()
        };
        let mut names = texts(&card["license"]);
        if names.is_empty() {
            let tags = texts(&info["tags"]);
            names = tags.iter().filter_map(|t| t.strip_prefix("license:")).map(str::to_owned).collect();
        }
        // A licence that is not in the hub's list is named by the card.
        if let ([only], Some(name)) = (names.as_slice(), texts(&card["license_name"]).pop())
            && only == "other"
        {
            names = vec![name];
        }
        let gated = !matches!(&info["gated"], Value::Null | Value::Bool(false));
        Self { names, link: texts(&card["license_link"]).pop(), gated }
    }

    /// Compares the licence with the one that the manifest accepts; returns a warning for the reader of the result, if any.
    ///
    /// # Errors
    /// If a licence must be accepted and is not, or another one is accepted.
    pub fn agrees(&self, accepted: Option<&str>, page: &str) -> Result<Option<String>> {
        let sorted = |names: &mut dyn Iterator<Item = &str>| -> Vec<String> {
            let mut all: Vec<String> =
                names.map(|n| n.trim().to_lowercase()).filter(|n| !n.is_empty()).collect();
            all.sort();
            all
        };
        let stated = self.names.join(", ");
        let at = self.link.as_deref().map(|l| format!(" ({l})")).unwrap_or_default();
        let gate = if self.gated { ", and asks that its conditions be accepted there" } else { "" };
        let line = |name: &str| format!("read it at {page}; if you accept it, write: licence = \"{name}\"");
        match accepted {
            None if self.names.is_empty() && !self.gated => Ok(None),
            None if self.names.is_empty() => Err(Failure::new(format!(
                "the source asks that its conditions be accepted, and names no licence: {page}"
            ))
            .help(line("gated"))),
            None => Err(Failure::new(format!("the source is under the licence `{stated}`{at}{gate}"))
                .help(line(&stated))),
            Some(accepted) if self.names.is_empty() => Ok((!self.gated)
                .then(|| format!("the source states no licence; `{accepted}` is what the manifest says"))),
            Some(accepted)
                if sorted(&mut accepted.split(',')) == sorted(&mut self.names.iter().map(String::as_str)) =>
            {
                Ok(None)
            }
            Some(accepted) => Err(Failure::new(format!(
                "the manifest accepts the licence `{accepted}`, but the source is under `{stated}`{at}{gate}"
            ))
            .help(line(&stated))),
        }
    }
}
