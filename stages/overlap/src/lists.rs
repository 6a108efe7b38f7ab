//! Lists from elsewhere: names of ids, ids that were removed, and the user's decisions.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use lfs_stage::{Failure, IoContext, Member, Result};

/// A published list of training identities to remove.
pub(crate) struct Published {
    /// The test set that it refers to, from the label `set`; empty if there is none.
    pub(crate) set: String,
    pub(crate) digest: String,
    pub(crate) ids: BTreeSet<String>,
}

/// The decision on a training and a test identity.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decision {
    pub(crate) same: bool,
    pub(crate) signed_by: String,
}

/// Decisions by training identity, test set and test identity.
#[derive(Debug, Default)]
pub(crate) struct Decisions {
    pub(crate) digest: Option<String>,
    rows: BTreeMap<[String; 3], Decision>,
}

fn text(path: &Path) -> Result<String> {
    let bytes = std::fs::read(path).doing("read", path)?;
    lfs_formats::text::decode(&bytes).map_err(|e| Failure::new(format!("{}: {e}", path.display())))
}

pub(crate) fn digest(bytes: &[u8]) -> String {
    blake3::hash(bytes).to_hex().to_string()
}

/// Names by id: the first word of each line is the id, the rest the name.
pub(crate) fn names(members: &[Member]) -> Result<BTreeMap<String, String>> {
    let mut names: BTreeMap<String, String> = BTreeMap::new();
    for member in members {
        for (n, line) in text(&member.path)?.lines().enumerate().filter(|(_, l)| !l.trim().is_empty()) {
            let fault = |what: String| {
                Failure::new(format!("{}: line {}: {what}", member.path.display(), n + 1))
                    .help("a line of the input `names` is an id, a blank, and the person's name")
            };
            let (id, name) = line
                .trim()
                .split_once(char::is_whitespace)
                .ok_or_else(|| fault("it has no name".to_owned()))?;
            if let Some(other) = names.insert(id.to_owned(), name.trim().to_owned())
                && other != name.trim()
            {
                return Err(fault(format!("`{id}` is `{other}` and `{}`", name.trim())));
            }
        }
    }
    Ok(names)
}

/// Lists of ids, one per line. Text after a blank or a tab, and lines starting with `#`, are ignored.
pub(crate) fn published(members: &[Member]) -> Result<Vec<Published>> {
    let read = |member: &Member| {
        let text = text(&member.path)?;
        let lines = text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with('#'));
        let ids = lines.filter_map(|l| l.split(['\t', ' ']).next()).map(str::to_owned).collect();
        let set = member.labels.get("set").cloned().unwrap_or_default();
        Ok(Published { set, digest: digest(text.as_bytes()), ids })
    };
    members.iter().map(read).collect()
}

/// The first columns of a file of decisions.
pub(crate) const COLUMNS: [&str; 5] =
    ["training-identity", "test-set", "test-identity", "decision", "signed-by"];

impl Decisions {
    /// Reads a file of decisions, as written by the review page: CSV with [`COLUMNS`]; further columns are
    /// ignored, and so are rows without a decision.
    pub(crate) fn read(path: Option<&Path>) -> Result<Self> {
        let Some(path) = path else { return Ok(Self::default()) };
        let text = text(path)?;
        let fault = |line: u64, what: String| {
            Failure::new(format!("{}: line {line}: {what}", path.display()))
                .help(format!("the columns are {}; `decision` is `same` or `different`", COLUMNS.join(",")))
        };
        let mut reader = csv::ReaderBuilder::new().flexible(true).from_reader(text.as_bytes());
        let head = reader.headers().map_err(|e| fault(1, e.to_string()))?;
        if head.iter().take(5).ne(COLUMNS) {
            return Err(fault(1, format!("found the columns {}", head.iter().collect::<Vec<_>>().join(","))));
        }
        let mut rows: BTreeMap<[String; 3], Decision> = BTreeMap::new();
        for record in reader.records() {
            let record = record.map_err(|e| fault(0, e.to_string()))?;
            let line = record.position().map_or(0, csv::Position::line);
            let field = |k: usize| record.get(k).unwrap_or("").to_owned();
            let same = match field(3).as_str() {
                "" => continue,
                "same" => true,
                "different" => false,
                other => return Err(fault(line, format!("there is no decision `{other}`"))),
            };
            if field(4).trim().is_empty() {
                return Err(fault(line, "the decision is not signed".to_owned()));
            }
            let key = [field(0), field(1), field(2)];
            if rows.get(&key).is_some_and(|d| d.same != same) {
                return Err(fault(
                    line,
                    format!("`{}` and `{}` are both same and different", key[0], key[2]),
                ));
            }
            rows.insert(key, Decision { same, signed_by: field(4).trim().to_owned() });
        }
        Ok(Self { digest: Some(digest(text.as_bytes())), rows })
    }

    /// The decisions with their keys: training identity, test set, test identity.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&[String; 3], &Decision)> {
        self.rows.iter()
    }
}
