//! Puts what was fetched where the outputs are to be, and says what it is.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lfs_stage::{Context, Failure, IoContext, Result};
use serde::Serialize;

use crate::digest::of_text;
use crate::names;
use crate::options::Options;
use crate::source::Source;

/// What was fetched.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The commit of the hub.
    pub commit: Option<String>,
    /// The file of a package.
    pub package: Option<PackageFile>,
    /// The files, sorted by name.
    pub items: Vec<Item>,
}

/// The file that a registry has of a package.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PackageFile {
    pub file: String,
    pub sha256: String,
}

/// A file that is here.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its path at the source.
    pub name: String,
    /// Where it lies.
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: String,
}

/// The digest of several files: that of what `sha256sum` prints for them, sorted by path in byte order.
pub(crate) fn folder_digest(items: &[Item]) -> String {
    let mut lines: Vec<(&str, String)> =
        items.iter().map(|i| (i.name.as_str(), format!("{}  {}\n", i.sha256, i.name))).collect();
    lines.sort();
    of_text(&lines.into_iter().map(|(_, line)| line).collect::<String>())
}

#[derive(Serialize)]
struct Report<'a> {
    url: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    package: Option<&'a PackageFile>,
    licence: Option<&'a str>,
    /// Of the folder, as `acquire` pins one.
    sha256: String,
    files: Vec<Row<'a>>,
}

#[derive(Serialize)]
struct Row<'a> {
    path: &'a str,
    bytes: u64,
    sha256: &'a str,
}

/// Writes both outputs.
pub(crate) fn put(source: &Source, options: &Options, fetched: &Fetched, cx: &Context<'_>) -> Result<()> {
    names::all_safe(fetched.items.iter().map(|i| i.name.as_str()))?;
    let folder = cx.output("files")?;
    std::fs::create_dir_all(folder).doing("create", folder)?;
    for item in &fetched.items {
        copy(&item.path, &folder.join(&item.name))?;
    }
    let report = Report {
        url: source.to_string(),
        commit: fetched.commit.as_deref(),
        package: fetched.package.as_ref(),
        licence: options.licence.as_deref().map(str::trim),
        sha256: folder_digest(&fetched.items),
        files: fetched
            .items
            .iter()
            .map(|i| Row { path: &i.name, bytes: i.bytes, sha256: &i.sha256 })
            .collect(),
    };
    let text = serde_json::to_string_pretty(&report).map_err(|e| Failure::new(format!("the report: {e}")))?;
    let path = cx.output("report")?;
    std::fs::write(path, text + "\n").doing("write", path)?;
    cx.metric("files", fetched.items.len() as f64);
    cx.metric("bytes", fetched.items.iter().map(|i| i.bytes).sum::<u64>() as f64);
    Ok(())
}

/// Blocks are shared where the file system can. A link would let the output's readers reach into somebody else's cache.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).doing("create", parent)?;
    }
    // Of a link, the file that it leads to.
    let from = std::fs::canonicalize(from).doing("read", from)?;
    reflink_copy::reflink_or_copy(&from, to).doing("copy", &from)?;
    // Rights are no part of what was fetched, but whether a file can be executed is one of a result.
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o644)).doing("write", to)
}
