//! Metadata from the hub: the commit, the licence, the list of files.

use std::sync::Arc;

use hf_hub::{Repo, RepoType};
use lfs_stage::{Failure, Result};
use reqwest::header::{HeaderMap, LINK};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use url::Url;

use super::licence::Stated;
use crate::client::{Ask, Client};
use crate::digest::Pin;
use crate::refusal::Asked;
use crate::run::Job;
use crate::secret::Secret;
use crate::source::{HubAddress, RepoKind};

/// The maximum number of files of a commit.
const MOST_FILES: usize = 5_000_000;

/// A file of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Row", into = "Row")]
pub(super) struct Entry {
    pub path: String,
    pub size: u64,
    pub pin: Pin,
}

/// The same in the hub's JSON.
#[derive(Clone, Serialize, Deserialize)]
struct Row {
    #[serde(rename = "type", default)]
    kind: String,
    path: String,
    #[serde(default)]
    oid: String,
    #[serde(default)]
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    lfs: Option<Large>,
}

#[derive(Clone, Serialize, Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

impl From<Row> for Entry {
    fn from(row: Row) -> Self {
        match row.lfs {
            Some(large) => {
                Self { path: row.path, size: large.size, pin: Pin::Sha256(large.oid.to_ascii_lowercase()) }
            }
            None => Self { path: row.path, size: row.size, pin: Pin::Git(row.oid.to_ascii_lowercase()) },
        }
    }
}

impl From<Entry> for Row {
    fn from(entry: Entry) -> Self {
        let kind = "file".to_owned();
        let (oid, lfs) = match entry.pin {
            Pin::Sha256(oid) => (String::new(), Some(Large { oid, size: entry.size })),
            pin => (pin.text().to_owned(), None),
        };
        Self { kind, path: entry.path, oid, size: entry.size, lfs }
    }
}

/// The content of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Listing {
    pub stated: Stated,
    pub files: Vec<Entry>,
}

/// The hub, and how to access it.
pub(super) struct Hub {
    pub endpoint: Url,
    pub secret: Option<Secret>,
    pub offline: bool,
    client: Arc<Client>,
}

/// The repository in the types of the `hf-hub` crate.
pub(super) fn repo(address: &HubAddress) -> Repo {
    let kind = match address.kind {
        RepoKind::Model => RepoType::Model,
        RepoKind::Dataset => RepoType::Dataset,
        RepoKind::Space => RepoType::Space,
    };
    Repo::with_revision(address.id.clone(), kind, address.revision.clone().unwrap_or_default())
}

impl Hub {
    pub fn new(job: &Job) -> Result<Self> {
        let mut endpoint = job.settings.endpoint()?;
        let of_endpoint = Secret::taken_from(&mut endpoint);
        let token = job.settings.token().map(|t| Secret::bearer(&t, &endpoint)).transpose()?;
        let (offline, client) = (job.settings.offline(), Arc::clone(&job.client));
        Ok(Self { secret: token.or(of_endpoint), endpoint, offline, client })
    }

    /// The address of a repository's page, for the user.
    pub fn page(&self, address: &HubAddress) -> String {
        format!("{}{}", self.endpoint, address.page())
    }

    /// The context of a request, for messages about refusals.
    pub fn asked(&self, address: &HubAddress, file: Option<&str>) -> Asked {
        Asked {
            endpoint: self.endpoint.to_string(),
            page: address.page(),
            revision: address.revision.clone().unwrap_or_default(),
            file: file.or(address.path.as_deref()).map(str::to_owned),
            token: self.secret.is_some(),
        }
    }

    /// The address of a file.
    pub fn file(&self, address: &HubAddress, path: &str) -> Result<Url> {
        let page = address.page();
        let revision = address.revision.as_deref().unwrap_or_default();
        let parts = page.split('/').chain(["resolve", revision]).chain(path.split('/'));
        extended(&self.endpoint, parts)
    }

    fn api(&self, address: &HubAddress, what: &str, revision: &str, path: Option<&str>) -> Result<Url> {
        let kind = match address.kind {
            RepoKind::Model => "models",
            RepoKind::Dataset => "datasets",
            RepoKind::Space => "spaces",
        };
        let parts = ["api", kind].into_iter().chain(address.id.split('/')).chain([what, revision]);
        extended(&self.endpoint, parts.chain(path.into_iter().flat_map(|p| p.split('/'))))
    }

    async fn info(&self, address: &HubAddress, revision: &str) -> Result<(String, Stated)> {
        let url = self.api(address, "revision", revision, None)?;
        let asked = self.asked(&address.at(revision), None);
        let explain = |refused: &crate::refusal::Refused| refused.at_hub(&asked);
        let (info, _) = self.client.json::<Value>(&Ask::of(&url, self.secret.as_ref()), explain).await?;
        let sha = info["sha"].as_str().map(str::to_ascii_lowercase);
        let sha = sha.filter(|s| matches!(Pin::of_tag(s), Some(Pin::Git(_))));
        let sha =
            sha.ok_or_else(|| Failure::new(format!("the hub does not say which commit `{address}` is")))?;
        Ok((sha, Stated::of(&info)))
    }

    /// The commit that a branch or tag names.
    pub async fn commit(&self, address: &HubAddress, revision: &str) -> Result<String> {
        self.info(address, revision).await.map(|(commit, _)| commit)
    }

    /// The content of the commit, at the address's path.
    pub async fn listing(&self, address: &HubAddress, commit: &str) -> Result<Listing> {
        let (sha, stated) = self.info(address, commit).await?;
        if sha != commit {
            return Err(Failure::new(format!(
                "the hub answers with the commit {sha} where {commit} was asked for"
            ))
            .help("HF_ENDPOINT names a server that does not know commits: use another"));
        }
        let Some(path) = address.path.as_deref() else {
            return Ok(Listing { stated, files: self.tree(address, commit, None).await? });
        };
        let url = self.api(address, "paths-info", commit, None)?;
        let body = Some(json!({ "paths": [path], "expand": false }).to_string());
        let ask = Ask { body, ..Ask::of(&url, self.secret.as_ref()) };
        let asked = self.asked(address, None);
        let (rows, _) = self.client.json::<Vec<Row>>(&ask, |refused| refused.at_hub(&asked)).await?;
        let row = rows.into_iter().find(|r| r.path == path).ok_or_else(|| {
            Failure::new(format!("`{}` has no file or folder `{path}` at {commit}", address.page()))
                .help(format!("its files: {}/tree/{commit}", self.page(address)))
        })?;
        let files = match row.kind.as_str() {
            "directory" => self.tree(address, commit, Some(path)).await?,
            _ => vec![checked(row)?],
        };
        Ok(Listing { stated, files })
    }

    /// All files below a folder.
    async fn tree(&self, address: &HubAddress, commit: &str, path: Option<&str>) -> Result<Vec<Entry>> {
        let mut url = self.api(address, "tree", commit, path)?;
        url.set_query(Some("recursive=true&expand=false"));
        let asked = self.asked(address, path);
        let mut files = Vec::new();
        loop {
            let ask = Ask::of(&url, self.secret.as_ref());
            let (rows, seen) = self.client.json::<Vec<Row>>(&ask, |refused| refused.at_hub(&asked)).await?;
            let nothing = rows.is_empty();
            for row in rows.into_iter().filter(|r| r.kind != "directory") {
                files.push(checked(row)?);
            }
            if files.len() > MOST_FILES {
                return Err(Failure::new(format!("the commit has more than {MOST_FILES} files")));
            }
            let next = seen.last().and_then(|(at, headers)| next(at, headers));
            match next {
                // A page without files that links to another could continue forever.
                Some(next) if !nothing && next != url => url = next,
                _ => return Ok(files),
            }
        }
    }
}

/// Checks that the digest of a row is valid.
fn checked(row: Row) -> Result<Entry> {
    let entry = Entry::from(row);
    match Pin::of_tag(entry.pin.text()) {
        Some(pin) if pin == entry.pin => Ok(entry),
        _ => Err(Failure::new(format!(
            "the hub gives no digest for `{}`, so that it cannot be checked",
            entry.path
        ))
        .help("HF_ENDPOINT names a server that does not speak the hub's language: use another")),
    }
}

/// Appends segments to the path of an address.
fn extended<'a>(base: &Url, parts: impl Iterator<Item = &'a str>) -> Result<Url> {
    let mut url = base.clone();
    match url.path_segments_mut() {
        Ok(mut path) => {
            path.pop_if_empty().extend(parts);
        }
        Err(()) => {
            return Err(Failure::new(format!("{base} is no address to whose end something can be added")));
        }
    }
    Ok(url)
}

/// Parses `Link: <URL>; rel="next"`.
fn next(at: &Url, headers: &HeaderMap) -> Option<Url> {
    let links = headers.get(LINK)?.to_str().ok()?;
    links.split(',').find_map(|link| {
        let (url, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
        rest.replace([' ', '"'], "").split(';').any(|p| p == "rel=next").then(|| at.join(url).ok())?
    })
}
