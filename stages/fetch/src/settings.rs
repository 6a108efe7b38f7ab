//! The environment's settings on where bytes come from, under the names of the ordinary clients. They do not determine which bytes
//! are fetched, and are therefore not part of a key.

mod files;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lfs_stage::{Failure, Result};
use url::Url;

/// The environment variables, and the pause between attempts.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    variables: BTreeMap<String, String>,
    /// The first pause before a retry; it doubles each time.
    pub pause: Duration,
}

impl Settings {
    /// The variables of this process.
    pub fn of_environment() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self::new(std::env::vars_os().filter_map(text).collect())
    }

    /// The given variables.
    pub fn new(variables: BTreeMap<String, String>) -> Self {
        Self { variables, pause: Duration::from_millis(500) }
    }

    /// All variables, for clients that read their own.
    pub fn variables(&self) -> Vec<(String, String)> {
        self.variables.iter().map(|(k, v)| (k.clone(), v.clone())).collect()
    }

    /// The first of these variables that is not empty.
    pub fn first(&self, names: &[&str]) -> Option<&str> {
        names.iter().filter_map(|n| self.variables.get(*n)).map(|v| v.trim()).find(|v| !v.is_empty())
    }

    fn is_on(&self, name: &str) -> bool {
        let value = self.first(&[name]).unwrap_or_default().to_ascii_uppercase();
        ["1", "ON", "YES", "TRUE"].contains(&value.as_str())
    }

    /// The address of the hub.
    ///
    /// # Errors
    /// If `HF_ENDPOINT` is no address.
    pub fn endpoint(&self) -> Result<Url> {
        address("HF_ENDPOINT", self.first(&["HF_ENDPOINT"]).unwrap_or("https://huggingface.co"))
    }

    /// Whether the hub must not be accessed.
    pub fn offline(&self) -> bool {
        self.is_on("HF_HUB_OFFLINE")
    }

    /// The token for the hub: from the variable, or from the file that `hf auth login` writes.
    pub fn token(&self) -> Option<String> {
        if let Some(token) = self.first(&["HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"]) {
            return Some(token.to_owned());
        }
        if self.is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") {
            return None;
        }
        let path = match self.first(&["HF_TOKEN_PATH"]) {
            Some(path) => self.expanded(path),
            None => self.hub_home().ok()?.join("token"),
        };
        let text = std::fs::read_to_string(path).ok()?;
        Some(text.trim().to_owned()).filter(|t| !t.is_empty())
    }

    fn hub_home(&self) -> Result<PathBuf> {
        match self.first(&["HF_HOME"]) {
            Some(home) => Ok(self.expanded(home)),
            None => self.cache_home().map(|c| c.join("huggingface")),
        }
    }

    /// The folder of the cache of Python's `huggingface_hub`.
    ///
    /// # Errors
    /// If the environment names no folder at all.
    pub fn hub_cache(&self) -> Result<PathBuf> {
        match self.first(&["HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE"]) {
            Some(path) => Ok(self.expanded(path)),
            None => self.hub_home().map(|h| h.join("hub")),
        }
    }

    /// The folder of downloads from other sources.
    ///
    /// # Errors
    /// If the environment names no folder at all.
    pub fn downloads(&self) -> Result<PathBuf> {
        match self.first(&["LFS_DOWNLOADS"]) {
            Some(path) => Ok(self.expanded(path)),
            None => self.cache_home().map(|c| c.join("lfs-pipe/downloads")),
        }
    }

    fn home(&self) -> Option<&Path> {
        self.first(&["HOME"]).map(Path::new)
    }

    fn cache_home(&self) -> Result<PathBuf> {
        let named = self.first(&["XDG_CACHE_HOME"]).map(|p| self.expanded(p));
        named.or_else(|| self.home().map(|h| h.join(".cache"))).ok_or_else(|| {
            Failure::new("there is no folder for what is downloaded: neither XDG_CACHE_HOME nor HOME is set")
                .help("set HOME, or HF_HOME and LFS_DOWNLOADS")
        })
    }

    fn expanded(&self, path: &str) -> PathBuf {
        match (path.strip_prefix("~/"), self.home()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => PathBuf::from(path),
        }
    }

    /// How long a server may be silent.
    pub fn patience(&self) -> Duration {
        let said = self.first(&["HF_HUB_DOWNLOAD_TIMEOUT"]).and_then(|t| t.parse().ok());
        Duration::from_secs(said.filter(|s| *s > 0).unwrap_or(60))
    }

    /// The proxies for `http://` and `https://`, and the hosts that need none.
    pub fn proxies(&self) -> (Option<&str>, Option<&str>, &str) {
        // Web servers set `HTTP_PROXY` from the header `Proxy` of a request, so a CGI process must ignore it.
        let http = match self.variables.contains_key("REQUEST_METHOD") {
            true => self.first(&["http_proxy", "all_proxy", "ALL_PROXY"]),
            false => self.first(&["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"]),
        };
        let https = self.first(&["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"]);
        (http, https, self.first(&["no_proxy", "NO_PROXY"]).unwrap_or_default())
    }

    /// The index of Python packages: `PIP_INDEX_URL`, or the setting in pip's files.
    ///
    /// # Errors
    /// If it is no address.
    pub fn pypi(&self) -> Result<Url> {
        let said = self.first(&["PIP_INDEX_URL"]).map(str::to_owned).or_else(|| files::pip_index(self));
        address("pip's `index-url`", said.as_deref().unwrap_or("https://pypi.org/simple"))
    }

    /// The npm registry for a scope: `NPM_CONFIG_REGISTRY`, or the setting in npm's files.
    ///
    /// # Errors
    /// If it is no address.
    pub fn npm(&self, scope: Option<&str>) -> Result<Url> {
        let of_scope = scope.and_then(|scope| files::npm(self, &format!("{scope}:registry")));
        let said = of_scope
            .or_else(|| self.first(&["NPM_CONFIG_REGISTRY", "npm_config_registry"]).map(str::to_owned))
            .or_else(|| files::npm(self, "registry"));
        address("npm's `registry`", said.as_deref().unwrap_or("https://registry.npmjs.org"))
    }
}

/// Parses an address to which segments can be appended.
fn address(what: &str, text: &str) -> Result<Url> {
    let whole = format!("{}/", text.trim_end_matches('/'));
    match Url::parse(&whole) {
        Ok(url) if ["http", "https"].contains(&url.scheme()) && url.has_host() => Ok(url),
        _ => Err(Failure::new(format!("{what} is no address: expected `https://HOST/...`, found `{text}`"))),
    }
}
