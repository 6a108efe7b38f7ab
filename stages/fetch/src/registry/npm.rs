//! The npm registry.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use lfs_stage::{Failure, Result};
use serde::Deserialize;
use url::Url;

use super::compare;
use crate::client::Ask;
use crate::digest::{Pin, hex};
use crate::downloads::Kept;
use crate::run::Job;
use crate::secret::Secret;
use crate::source::{Package, file_name};
use crate::web;

#[derive(Deserialize)]
struct Version {
    dist: Dist,
    #[serde(default)]
    deprecated: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Dist {
    tarball: String,
    #[serde(default)]
    integrity: Option<String>,
    #[serde(default)]
    shasum: Option<String>,
}

/// The package file of a version, with its name.
pub(super) async fn file(job: &Job, package: &Package) -> Result<(String, Kept)> {
    let scope = package.name.split_once('/').map(|(scope, _)| scope);
    let mut url = job.settings.npm(scope)?;
    let secret = Secret::taken_from(&mut url);
    if let Ok(mut path) = url.path_segments_mut() {
        // The slash of a scoped name is escaped in the address.
        path.pop_if_empty().push(&package.name).push(&package.version);
    }
    let missing = |refused: &crate::refusal::Refused| match refused.status {
        404 => Failure::new(format!(
            "the registry has no `{}@{}` ({})",
            package.name, package.version, refused.url
        ))
        .help("check the name and the version; `npm config get registry` says which registry is asked"),
        _ => refused.failure(),
    };
    let (version, _) = job.client.json::<Version>(&Ask::of(&url, secret.as_ref()), missing).await?;
    if let Some(text) = version.deprecated.as_ref().and_then(|d| d.as_str()).filter(|d| !d.is_empty()) {
        job.warn(format!("{package} is deprecated: {text}"));
    }
    let pin = digest(&version.dist).ok_or_else(|| {
        Failure::new(format!("the registry gives no supported digest of `{package}` (sha512, sha1)"))
            .help("use another registry: npm config set registry, or NPM_CONFIG_REGISTRY")
    })?;
    let tarball = Url::parse(&version.dist.tarball).ok().filter(|u| ["http", "https"].contains(&u.scheme()));
    let tarball = tarball.ok_or_else(|| {
        Failure::new(format!("the registry gives no address of `{package}`: `{}`", version.dist.tarball))
    })?;
    let name =
        file_name(&tarball).map_err(|e| Failure::new(format!("the registry's file of `{package}`: {e}")))?;
    let kept = web::file(job, &tarball, secret.as_ref(), &name, Some(pin)).await?;
    compare(job, package, &kept)?;
    Ok((name, kept))
}

/// The strongest digest: `integrity` may list several.
fn digest(dist: &Dist) -> Option<Pin> {
    let words: Vec<&str> = dist.integrity.as_deref().unwrap_or_default().split_whitespace().collect();
    let of = |name: &str, bytes: usize| {
        let word = words.iter().find_map(|w| w.strip_prefix(name)?.split('?').next())?;
        STANDARD.decode(word).ok().filter(|b| b.len() == bytes).map(|b| hex(&b))
    };
    let plain = dist.shasum.as_ref().map(|s| s.to_ascii_lowercase()).filter(|s| s.len() == 40);
    of("sha512-", 64)
        .map(Pin::Sha512)
        .or_else(|| of("sha256-", 32).map(Pin::Sha256))
        .or_else(|| of("sha1-", 20).or(plain).map(Pin::Sha1))
}
