//! Copies the fetched files to the outputs, and writes the report.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use lfs_stage::{Context, Failure, IoContext, Result};
use serde::Serialize;

use crate::digest::of_text;
use crate::names;
use crate::options::Options;
use crate::source::Source;

/// The result of a fetch.
#[derive(Debug)]
pub(crate) struct Fetched {
    /// The commit, for the hub.
    pub commit: Option<String>,
    /// The package file, for a registry.
    pub package: Option<PackageFile>,
    /// The files, sorted by name.
    pub items: Vec<Item>,
}

/// A package file of a registry.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct PackageFile {
    pub file: String,
    pub sha256: String,
}

/// A local file.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its path in the source.
    pub name: String,
    /// Its local path.
    pub path: PathBuf,
    pub bytes: u64,
    pub sha256: String,
}

/// The digest of several files: the digest of what `sha256sum` prints for them, sorted by path in byte order.
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
    /// The digest of the folder, as `acquire` pins it.
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

/// Uses a reflink if the file system supports it. A hard link would give readers of the output access to the shared cache.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if let Some(parent) = to.parent() {
        std::fs::create_dir_all(parent).doing("create", parent)?;
    }
    // For a link, its target is copied.
    let from = std::fs::canonicalize(from).doing("read", from)?;
    reflink_copy::reflink_or_copy(&from, to).doing("copy", &from)?;
    // Permissions are not part of the source, but the executable bit is part of a result.
    std::fs::set_permissions(to, std::fs::Permissions::from_mode(0o644)).doing("write", to)
}
