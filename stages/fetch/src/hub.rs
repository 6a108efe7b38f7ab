//! The Hugging Face Hub.

mod api;
mod cache;
mod licence;

use std::sync::Arc;

use futures::{StreamExt, TryStreamExt, stream};
use lfs_stage::{Failure, Result};
use url::Url;

use crate::client::Met;
use crate::digest::Pin;
use crate::names;
use crate::place::{Fetched, Item};
use crate::run::Job;
use crate::source::HubAddress;
use crate::transfer::{Origin, Wanted, bring};
use api::{Entry, Hub, Listing};
use cache::{Held, HubCache};

/// The number of concurrent transfers.
pub(crate) const AT_ONCE: usize = 4;

/// Fetches the files that the address and the patterns select.
pub(crate) async fn fetch(job: &Arc<Job>, address: &HubAddress) -> Result<Fetched> {
    let hub = Hub::new(job)?;
    let cache = HubCache::new(&job.settings, address)?;
    let Some(commit) = address.commit() else { return Err(unpinned(&hub, &cache, address).await) };
    let address = address.at(&commit);
    let listing = listing(job, &hub, &address, &commit).await?;
    if let Some(text) = listing.stated.agrees(job.options.licence.as_deref(), &hub.page(&address))? {
        job.warn(text);
    }
    names::all_safe(listing.files.iter().map(|e| e.path.as_str()))?;
    let names = listing.files.iter().map(|e| e.path.as_str());
    let chosen = job.patterns.choose(names, address.path.as_deref())?;
    let is_chosen = |e: &&Entry| chosen.binary_search(&e.path.as_str()).is_ok();
    let wanted: Vec<Entry> = listing.files.iter().filter(is_chosen).cloned().collect();
    wanted.iter().for_each(|e| job.count.want(e.size));
    let whole = Arc::new((hub, cache, address, commit));
    let tasks = wanted.into_iter().map(|entry| {
        let (job, whole) = (Arc::clone(job), Arc::clone(&whole));
        async move {
            let task = tokio::spawn(async move { one(&job, &whole, &entry).await });
            task.await.unwrap_or_else(|e| Err(Failure::new(format!("a transfer was ended: {e}"))))
        }
    });
    let mut items: Vec<Item> = stream::iter(tasks).buffer_unordered(AT_ONCE).try_collect().await?;
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(Fetched { commit: Some(whole.3.clone()), package: None, items })
}

/// The files of the commit, from the hub, or, offline, from an earlier response.
async fn listing(job: &Job, hub: &Hub, address: &HubAddress, commit: &str) -> Result<Listing> {
    let note = job.downloads.note(&format!("listing of {}", address.at(commit)));
    if job.settings.offline() {
        let known = std::fs::read(&note).ok().and_then(|text| serde_json::from_slice(&text).ok());
        return known.ok_or_else(|| {
            Failure::new(format!(
                "HF_HUB_OFFLINE is set, and which files `{address}` has was never asked on this machine"
            ))
            .help("run the stage once without HF_HUB_OFFLINE; files that are in the hub's cache are not fetched again")
        });
    }
    let listing = hub.listing(address, commit).await?;
    // An error here is ignored: the note is only for later offline runs.
    if let (Ok(text), Some(folder)) = (serde_json::to_vec(&listing), note.parent()) {
        let new = note.with_extension(format!("{}.new", std::process::id()));
        let kept = std::fs::create_dir_all(folder).and_then(|()| std::fs::write(&new, text));
        let _ = kept.and_then(|()| std::fs::rename(&new, &note));
    }
    Ok(listing)
}

/// Reports which commit a branch or tag currently names.
async fn unpinned(hub: &Hub, cache: &HubCache, address: &HubAddress) -> Failure {
    let revision = address.revision.as_deref().unwrap_or("main");
    let (today, by) = match hub.offline {
        true => (
            cache.reference(revision).ok_or_else(|| {
                Failure::new(format!(
                    "`{address}` names no commit, and HF_HUB_OFFLINE is set, so the hub cannot be asked"
                ))
                .help("write the commit: `@` and 40 hexadecimal digits")
            }),
            "by this machine's cache",
        ),
        false => (hub.commit(address, revision).await, "today"),
    };
    match today {
        Ok(commit) => Failure::new(format!(
            "`{address}` names no commit, and `{revision}` may move; {by} it is {commit}"
        ))
        .help(format!("write: from = \"{}\"", address.at(&commit))),
        Err(failure) => failure,
    }
}

/// Provides one file: from the cache, or from the hub by way of the cache.
async fn one(job: &Job, whole: &(Hub, HubCache, HubAddress, String), entry: &Entry) -> Result<Item> {
    let (hub, cache, address, commit) = whole;
    let item = |path, sha256| Item { name: entry.path.clone(), path, bytes: entry.size, sha256 };
    let held = || -> Result<Option<Item>> {
        let Held { file, told } = tokio::task::block_in_place(|| cache.held(commit, entry))?;
        told.into_iter().for_each(|t| job.warn(t));
        Ok(file.map(|(path, sha256)| {
            job.count.add(entry.size);
            item(path, sha256)
        }))
    };
    if let Some(item) = held()? {
        return Ok(item);
    }
    if hub.offline {
        return Err(Failure::new(format!(
            "HF_HUB_OFFLINE is set, and `{}` of `{address}` is not in the cache {}",
            entry.path,
            cache.root().display()
        ))
        .help("run the stage once without HF_HUB_OFFLINE"));
    }
    let _lock = cache.lock(&entry.pin).await?;
    // Another process may have fetched it meanwhile.
    if let Some(item) = held()? {
        return Ok(item);
    }
    let url = hub.file(address, &entry.path)?;
    let asked = hub.asked(address, Some(&entry.path));
    let origin = Origin {
        url: &url,
        secret: hub.secret.as_ref(),
        explain: &|refused| refused.at_hub(&asked),
        judge: &|seen| judge(seen, &hub.endpoint, commit, entry),
    };
    let wanted = Wanted { name: &entry.path, size: Some(entry.size), pin: Some(entry.pin.clone()) };
    let part = cache.part(&entry.pin);
    let found = bring(&job.client, &origin, &wanted, &part, &job.count).await?;
    let path = cache.keep(&part, commit, entry)?;
    Ok(item(path, found.sha256))
}

/// Checks that the hub's headers for the file match the list of the commit. Other hosts are not checked: they have their own tags
/// and lengths.
fn judge(seen: &[Met], endpoint: &Url, commit: &str, entry: &Entry) -> Result<()> {
    let own = seen.iter().filter(|(url, _)| url.origin() == endpoint.origin());
    for (_, headers) in own {
        let text = |name: &str| headers.get(name).and_then(|v| v.to_str().ok()).map(str::trim);
        let other = |what: &str, expected: &str, found: &str| {
            Err(Failure::new(format!(
                "the hub contradicts itself on `{}`: {what} was {expected} in the list of the commit and is {found} with the file",
                entry.path
            ))
            .help("run again; if it stays so, HF_ENDPOINT names a server that is not in order"))
        };
        if let Some(found) = text("x-repo-commit").filter(|c| !c.eq_ignore_ascii_case(commit)) {
            return other("the commit", commit, found);
        }
        if let Some(found) = text("x-linked-size").filter(|s| s.parse() != Ok(entry.size)) {
            return other("the size", &entry.size.to_string(), found);
        }
        // A redirect to a renamed repository has no information about the file.
        let tag =
            text("x-linked-etag").or_else(|| text("etag").filter(|_| headers.contains_key("x-repo-commit")));
        let tag = tag.map(|t| t.trim_start_matches("W/").trim_matches('"'));
        if let Some(pin) = tag.and_then(Pin::of_tag).filter(|pin| *pin != entry.pin) {
            return other("the digest", &entry.pin.to_string(), &pin.to_string());
        }
    }
    Ok(())
}
