//! The index of Python packages in its two forms: JSON, and an HTML page of links.

use lfs_stage::{Failure, Result};
use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderValue};
use serde::Deserialize;
use url::Url;

use super::compare;
use crate::client::Ask;
use crate::digest::Pin;
use crate::downloads::Kept;
use crate::names;
use crate::run::Job;
use crate::secret::Secret;
use crate::source::Package;
use crate::web;

const FORMS: &str =
    "application/vnd.pypi.simple.v1+json, application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1";

/// A file of the index.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Listed {
    name: String,
    url: Url,
    sha256: Option<String>,
    withdrawn: bool,
}

#[derive(Deserialize)]
struct Page {
    files: Vec<Row>,
}

#[derive(Deserialize)]
struct Row {
    filename: String,
    url: String,
    #[serde(default)]
    hashes: std::collections::BTreeMap<String, String>,
    #[serde(default)]
    yanked: serde_json::Value,
}

/// The pinned file, with its name.
pub(super) async fn file(job: &Job, package: &Package) -> Result<(String, Kept)> {
    let mut url = job.settings.pypi()?;
    let secret = Secret::taken_from(&mut url);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().push(&normal(&package.name)).push("");
    }
    let mut ask = Ask::of(&url, secret.as_ref());
    ask.headers.insert(ACCEPT, HeaderValue::from_static(FORMS));
    let missing = |refused: &crate::refusal::Refused| match refused.status {
        404 => Failure::new(format!("the index has no package `{}` ({})", package.name, refused.url)).help(
            "check the name; `pip config get global.index-url` and PIP_INDEX_URL say which index is asked",
        ),
        _ => refused.failure(),
    };
    let (text, seen) = job.client.text(&ask, missing).await?;
    let (at, headers) = seen.last().ok_or_else(|| Failure::new("the index did not answer"))?;
    let kind = headers.get(CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    let listed = if kind.contains("json") {
        of_json(&text, at)
    } else {
        Ok(of_page(&String::from_utf8_lossy(&text), at))
    };
    let listed =
        listed.map_err(|e| Failure::new(format!("the index gives no list of `{}`: {e}", package.name)))?;
    let listed: Vec<Listed> = listed.into_iter().filter(|f| is_of(&f.name, package)).collect();
    let pin = job.options.pin();
    let chosen = pin.as_ref().and_then(|pin| listed.iter().find(|f| f.sha256.as_ref() == Some(pin)));
    let Some(chosen) = chosen else { return Err(none(package, pin.as_deref(), &listed)) };
    names::safe(&chosen.name)?;
    if chosen.withdrawn {
        job.warn(format!("{} was withdrawn from the index by its makers (yanked)", chosen.name));
    }
    let wanted = chosen.sha256.clone().map(Pin::Sha256);
    let kept = web::file(job, &chosen.url, secret.as_ref(), &chosen.name, wanted).await?;
    compare(job, package, &kept)?;
    Ok((chosen.name.clone(), kept))
}

fn none(package: &Package, pin: Option<&str>, listed: &[Listed]) -> Failure {
    let what = format!("{}@{}", package.name, package.version);
    if listed.is_empty() {
        return Failure::new(format!("the index has no file of `{what}`"))
            .help("check the version, or at the index");
    }
    let lines: Vec<String> = listed
        .iter()
        .take(12)
        .map(|f| match &f.sha256 {
            Some(digest) => format!("\n    sha256 = \"{digest}\"  # {}", f.name),
            None => format!("\n    # {}: the index gives no SHA-256 digest", f.name),
        })
        .collect();
    let text = match pin {
        Some(pin) => format!("the index has no file of `{what}` with the digest that is pinned, {pin}"),
        None => format!("`sha256` does not say which file of `{what}` is meant"),
    };
    Failure::new(text)
        .help(format!("the index has these; write the line of the one that is meant:{}", lines.concat()))
}

fn of_json(text: &[u8], at: &Url) -> Result<Vec<Listed>, String> {
    let page: Page = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    let listed = page.files.into_iter().filter_map(|row| {
        let url = at.join(&row.url).ok()?;
        let sha256 = row.hashes.get("sha256").map(|h| h.to_ascii_lowercase());
        let withdrawn = !matches!(row.yanked, serde_json::Value::Null | serde_json::Value::Bool(false));
        Some(Listed { name: row.filename, url, sha256, withdrawn })
    });
    Ok(listed.collect())
}

/// Parses a sequence of `<a href="URL#sha256=DIGEST" data-yanked="">NAME</a>`.
fn of_page(text: &str, at: &Url) -> Vec<Listed> {
    let anchors = text.split("<a ").skip(1).filter_map(|rest| {
        let (tag, rest) = rest.split_once('>')?;
        let name = rest.split_once('<')?.0.trim().to_owned();
        let quoted = tag.split_once("href=")?.1;
        let quote = quoted.chars().next().filter(|c| "\"'".contains(*c))?;
        let href = quoted[1..].split_once(quote)?.0.replace("&amp;", "&");
        let mut url = at.join(&href).ok()?;
        let sha256 = url.fragment().and_then(|f| f.strip_prefix("sha256=")).map(str::to_ascii_lowercase);
        url.set_fragment(None);
        Some(Listed { name, url, sha256, withdrawn: tag.contains("data-yanked") })
    });
    anchors.collect()
}

/// The normalised name (PEP 503).
fn normal(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', '.']).filter(|p| !p.is_empty()).collect();
    parts.join("-").to_ascii_lowercase()
}

/// Whether a file belongs to this version: `name-1.0-py3-none-any.whl`, `name-1.0.tar.gz`.
fn is_of(file: &str, package: &Package) -> bool {
    let is = |name: &str, version: &str| {
        normal(name) == normal(&package.name)
            && version.replace('_', "-").eq_ignore_ascii_case(&package.version.replace('_', "-"))
    };
    if let Some(stem) = file.strip_suffix(".whl") {
        let mut parts = stem.split('-');
        return parts.next().zip(parts.next()).is_some_and(|(name, version)| is(name, version));
    }
    let stem = [".tar.gz", ".tgz", ".zip"].iter().find_map(|end| file.strip_suffix(end));
    stem.and_then(|s| s.rsplit_once('-')).is_some_and(|(name, version)| is(name, version))
}
