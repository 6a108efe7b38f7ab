//! One file of a web server.

use lfs_stage::{Failure, IoContext, Result};
use url::Url;

use crate::digest::Pin;
use crate::downloads::Kept;
use crate::place::{Fetched, Item};
use crate::run::Job;
use crate::secret::Secret;
use crate::source::file_name;
use crate::transfer::{Origin, Wanted, bring};

/// Fetches the file at an address, and checks the digest `sha256`.
pub(crate) async fn fetch(job: &Job, url: &Url) -> Result<Fetched> {
    let name = file_name(url).map_err(Failure::new)?;
    let pin = job.options.pin();
    let kept = file(job, url, None, &name, pin.clone().map(Pin::Sha256)).await?;
    if pin.is_none() {
        return Err(unpinned(&format!("`{url}`"), &kept.sha256));
    }
    let item = Item { name, path: kept.path, bytes: kept.bytes, sha256: kept.sha256 };
    Ok(Fetched { commit: None, package: None, items: vec![item] })
}

/// The error for an unpinned file, which is kept so that the next run need not fetch it.
pub(crate) fn unpinned(what: &str, found: &str) -> Failure {
    Failure::new(format!("{what} may be another file tomorrow, and `sha256` does not say which one is meant"))
        .help(format!(
            "if the one of today is, write: sha256 = \"{found}\"  (it is kept and not fetched again)"
        ))
}

/// Provides the file at an address, from the downloads or from the server.
pub(crate) async fn file(
    job: &Job,
    url: &Url,
    secret: Option<&Secret>,
    name: &str,
    pin: Option<Pin>,
) -> Result<Kept> {
    let held = || match &pin {
        Some(Pin::Sha256(digest)) => tokio::task::block_in_place(|| job.downloads.held(digest)),
        _ => Ok(None),
    };
    if let Some(kept) = held()? {
        return Ok(kept);
    }
    let (part, _lock) = job.downloads.part(url.as_str()).await?;
    // Another process may have fetched it meanwhile.
    if let Some(kept) = held()? {
        return Ok(kept);
    }
    // The file may have changed since an earlier run, which cannot be detected without a pin.
    if pin.is_none() && part.exists() {
        std::fs::remove_file(&part).doing("remove", &part)?;
    }
    let origin = Origin { url, secret, explain: &|refused| refused.failure(), judge: &|_| Ok(()) };
    let wanted = Wanted { name, size: None, pin };
    let found = bring(&job.client, &origin, &wanted, &part, &job.count).await?;
    job.downloads.keep(&part, &found.sha256)
}
