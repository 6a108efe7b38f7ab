//! Addresses of sources.

use std::fmt;

use lfs_stage::{Failure, Result};
use percent_encoding::percent_decode_str;
use url::Url;

use crate::names;

/// The parsed parameter `from`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// `hf://`.
    Hub(HubAddress),
    /// `https://`, `http://`.
    Web(Url),
    /// `s3://`, `gs://`, `az://`.
    Object(Url),
    /// `pypi:`, `npm:`.
    Package(Package),
}

/// The kinds of repositories of the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RepoKind {
    Model,
    Dataset,
    Space,
}

impl RepoKind {
    /// The prefix of names in addresses.
    fn before(self) -> &'static str {
        match self {
            Self::Model => "",
            Self::Dataset => "datasets/",
            Self::Space => "spaces/",
        }
    }
}

/// A location in a repository of the hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HubAddress {
    pub kind: RepoKind,
    /// `OWNER/NAME`, or only `NAME` for the oldest repositories.
    pub id: String,
    /// A commit, branch or tag.
    pub revision: Option<String>,
    /// A file or folder in the repository.
    pub path: Option<String>,
}

impl HubAddress {
    /// The commit, if the revision is one.
    pub fn commit(&self) -> Option<String> {
        let commit = self.revision.as_deref().filter(|r| is_commit(r))?;
        Some(commit.to_ascii_lowercase())
    }

    /// The same location at another revision.
    pub fn at(&self, revision: &str) -> Self {
        Self { revision: Some(revision.to_owned()), ..self.clone() }
    }

    /// The path of the repository's page on the hub: `datasets/OWNER/NAME`.
    pub fn page(&self) -> String {
        format!("{}{}", self.kind.before(), self.id)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let (kind, rest) =
            [("datasets/", RepoKind::Dataset), ("spaces/", RepoKind::Space), ("models/", RepoKind::Model)]
                .iter()
                .find_map(|(before, kind)| Some((*kind, text.strip_prefix(before)?)))
                .unwrap_or((RepoKind::Model, text));
        let mut parts = rest.splitn(3, '/');
        let first = parts.next().unwrap_or_default();
        let (name, path) = if first.contains('@') {
            // A repository without an owner.
            (first.to_owned(), rest.split_once('/').map(|(_, path)| path))
        } else {
            let second = parts.next().ok_or("there is no `OWNER/NAME` in it")?;
            (format!("{first}/{second}"), parts.next())
        };
        let (id, revision) = match name.split_once('@') {
            Some((id, revision)) => (id.to_owned(), Some(decoded(revision)?)),
            None => (name, None),
        };
        for part in id.split('/') {
            let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            let is_name = !part.is_empty() && part.len() <= 96 && part.chars().all(known);
            if !is_name || part.contains("..") || part.contains("--") || part.starts_with(['-', '.']) {
                return Err(format!("`{id}` is no `OWNER/NAME`"));
            }
        }
        if let Some(revision) = &revision
            && (revision.is_empty()
                || revision.contains("..")
                || revision.chars().any(|c| c.is_control() || c == ' '))
        {
            return Err(format!("`{revision}` is no revision"));
        }
        let path = path.map(|p| p.trim_end_matches('/')).filter(|p| !p.is_empty());
        if let Some(path) = path {
            names::safe(path).map_err(|e| e.message)?;
        }
        Ok(Self { kind, id, revision, path: path.map(str::to_owned) })
    }
}

impl fmt::Display for HubAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "hf://{}{}", self.kind.before(), self.id)?;
        if let Some(revision) = &self.revision {
            write!(f, "@{}", revision.replace('%', "%25").replace('/', "%2F"))?;
        }
        self.path.iter().try_for_each(|path| write!(f, "/{path}"))
    }
}

/// The package registries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Registry {
    Pypi,
    Npm,
}

/// A member of a package, or the whole package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    pub registry: Registry,
    pub name: String,
    pub version: String,
    pub member: Option<String>,
}

impl Package {
    fn parse(registry: Registry, text: &str) -> Result<Self, String> {
        // A scoped name begins with `@`, which also precedes the version.
        let at = text.char_indices().skip(1).find(|(_, c)| *c == '@').map(|(i, _)| i);
        let (name, rest) =
            at.map(|i| (&text[..i], &text[i + 1..])).ok_or("there is no `NAME@VERSION` in it")?;
        let (version, member) = rest.split_once('/').map_or((rest, None), |(v, m)| (v, Some(m)));
        let plain = match (registry, name.strip_prefix('@')) {
            (Registry::Npm, Some(scoped)) => {
                scoped.split_once('/').is_some_and(|(s, n)| is_word(s) && is_word(n))
            }
            _ => is_word(name),
        };
        if !plain {
            return Err(format!("`{name}` is no name of a package"));
        }
        if !version.chars().all(|c| c.is_ascii_alphanumeric() || ".+-_!".contains(c)) || version.is_empty() {
            return Err(format!("`{version}` is no version"));
        }
        let member = member.map(|m| m.trim_end_matches('/')).filter(|m| !m.is_empty());
        if let Some(member) = member {
            names::safe(member).map_err(|e| e.message)?;
        }
        Ok(Self {
            registry,
            name: name.to_owned(),
            version: version.to_owned(),
            member: member.map(str::to_owned),
        })
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let registry = match self.registry {
            Registry::Pypi => "pypi",
            Registry::Npm => "npm",
        };
        write!(f, "{registry}:{}@{}", self.name, self.version)?;
        self.member.iter().try_for_each(|member| write!(f, "/{member}"))
    }
}

const FORMS: &str = "write `hf://datasets/OWNER/NAME@COMMIT[/PATH]`, `hf://OWNER/NAME@COMMIT[/PATH]`, `https://HOST/PATH`, \
                     `s3://BUCKET/PATH`, `gs://BUCKET/PATH`, `az://CONTAINER/PATH`, `pypi:NAME@VERSION[/MEMBER]` or \
                     `npm:NAME@VERSION[/MEMBER]`; files of your own are inputs: `{ path = \"...\" }`";

impl Source {
    /// Parses an address.
    ///
    /// # Errors
    /// If it has none of the supported forms.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text)
            .map_err(|why| Failure::new(format!("`from = \"{text}\"` is no source: {why}")).help(FORMS))
    }

    fn read(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once(':').ok_or("it has no scheme")?;
        match scheme {
            "hf" => HubAddress::parse(rest.strip_prefix("//").ok_or("`//` is missing")?).map(Self::Hub),
            "pypi" => Package::parse(Registry::Pypi, rest).map(Self::Package),
            "npm" => Package::parse(Registry::Npm, rest).map(Self::Package),
            "http" | "https" => {
                let url = plain_url(text)?;
                file_name(&url)?;
                Ok(Self::Web(url))
            }
            "s3" | "gs" | "az" => plain_url(text).map(Self::Object),
            _ => Err(format!("`{scheme}:` is not supported")),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hub(address) => address.fmt(f),
            Self::Web(url) | Self::Object(url) => url.fmt(f),
            Self::Package(package) => package.fmt(f),
        }
    }
}

/// The file name in the last segment of an address.
pub(crate) fn file_name(url: &Url) -> Result<String, String> {
    let last = url.path_segments().and_then(|mut s| s.next_back()).unwrap_or_default();
    let name = decoded(last)?;
    if name.is_empty() || name.contains('/') {
        return Err("its path does not end in the name of a file".to_owned());
    }
    names::safe(&name).map_err(|e| e.message)?;
    Ok(name)
}

fn plain_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| e.to_string())?;
    if url.host_str().is_none_or(str::is_empty) {
        return Err("it names no host or bucket".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("it holds a name or password: a manifest is no place for secrets".to_owned());
    }
    if url.fragment().is_some() {
        return Err("what follows `#` is never sent".to_owned());
    }
    Ok(url)
}

fn decoded(text: &str) -> Result<String, String> {
    let text = percent_decode_str(text).decode_utf8();
    text.map(std::borrow::Cow::into_owned).map_err(|_| "it is not UTF-8".to_owned())
}

fn is_commit(text: &str) -> bool {
    text.len() == 40 && text.bytes().all(|b| b.is_ascii_hexdigit())
}

fn is_word(text: &str) -> bool {
    let known = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    !text.is_empty() && text.len() <= 214 && text.chars().all(known) && !text.starts_with('.')
}
