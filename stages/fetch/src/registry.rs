//! Packages of PyPI and npm: the package file of a version, checked against the digests of the registry and the manifest, and its
//! selected members.

mod members;
mod npm;
mod pypi;

use lfs_stage::{Failure, Result};

use crate::downloads::Kept;
use crate::place::{Fetched, PackageFile};
use crate::run::Job;
use crate::source::{Package, Registry};

/// Fetches the members of a package that the address and the patterns select.
pub(crate) async fn fetch(job: &Job, package: &Package) -> Result<Fetched> {
    let (file, kept) = match package.registry {
        Registry::Pypi => pypi::file(job, package).await?,
        Registry::Npm => npm::file(job, package).await?,
    };
    let items = tokio::task::block_in_place(|| {
        let opened = members::Archive::open(&kept.path, package.registry);
        let took = opened.and_then(|archive| {
            let names = archive.names();
            let chosen = job.patterns.choose(names.iter().map(String::as_str), package.member.as_deref())?;
            archive.take(&chosen, &job.scratch.join("members"))
        });
        took.map_err(|f| Failure { message: format!("{file}: {}", f.message), help: f.help })
    })?;
    Ok(Fetched { commit: None, package: Some(PackageFile { file, sha256: kept.sha256 }), items })
}

/// Compares the fetched file with the pin.
fn compare(job: &Job, package: &Package, kept: &Kept) -> Result<()> {
    match job.options.pin() {
        Some(pin) if pin == kept.sha256 => Ok(()),
        Some(pin) => Err(Failure::new(format!(
            "the registry's file of `{package}` is not what `sha256` pins:\n  pinned {pin}\n  found  {}",
            kept.sha256
        ))
        .help("if the registry's is meant, set `sha256` to the digest found")),
        None => Err(Failure::new(format!("`sha256` does not say which bytes of `{package}` are meant"))
            .help(format!("if those that the registry has are, write: sha256 = \"{}\"", kept.sha256))),
    }
}
