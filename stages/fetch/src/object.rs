//! Objects of a store: one object, or all below a prefix.

use std::fs::File;
use std::io::Write;
use std::path::Path as Local;
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use lfs_stage::{Failure, IoContext, Result};
use lfs_store::{Bounds, Store};
use object_store::path::Path;
use object_store::{Error, ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use crate::client::TRIES;
use crate::digest::Hashes;
use crate::downloads::Kept;
use crate::hub::AT_ONCE;
use crate::names;
use crate::place::{Fetched, Item, folder_digest};
use crate::run::Job;
use crate::web::unpinned;

/// The size of a range request. Each active transfer holds one in memory.
const PIECE: u64 = 8 << 20;
/// The maximum number of objects below a prefix.
const MOST: usize = 1_000_000;

/// Fetches the object at an address, or all below it, and checks the digest `sha256`.
pub(crate) async fn fetch(job: &Arc<Job>, url: &Url) -> Result<Fetched> {
    let store = lfs_store::open(url.as_str(), &job.settings.variables());
    let store =
        store.map_err(|why| Failure::new(format!("`{url}` cannot be used: {why}")).help(keys(url)))?;
    let found = found(&store, url).await?;
    let (single, metas) = match found {
        Found::One(meta) => (true, vec![(meta.location.filename().unwrap_or_default().to_owned(), meta)]),
        Found::Below(metas) => (false, metas),
    };
    names::all_safe(metas.iter().map(|(name, _)| name.as_str()))?;
    let chosen = job.patterns.choose(metas.iter().map(|(name, _)| name.as_str()), None)?;
    let chosen: Vec<_> =
        metas.iter().filter(|(name, _)| chosen.binary_search(&name.as_str()).is_ok()).cloned().collect();
    let place = Arc::new(Place { store, url: url.clone() });
    let pin = job.options.pin();
    let digest_of = |items: &[Item]| match items {
        [only] if single => only.sha256.clone(),
        several => folder_digest(several),
    };
    let (mut items, gone_on) = all(job, &place, &chosen, pin.is_some()).await?;
    // A partial file of an interrupted run may be damaged, which only a pin reveals. So partial files are used only with a pin, and
    // everything is fetched again if the digest differs.
    if gone_on && pin.as_ref().is_some_and(|pin| *pin != digest_of(&items)) {
        (items, _) = all(job, &place, &chosen, false).await?;
    }
    let digest = digest_of(&items);
    match pin {
        None => Err(unpinned(&format!("`{url}`"), &digest)),
        Some(pin) if pin != digest => Err(Failure::new(format!(
            "`{url}` is not what `sha256` pins:\n  pinned {pin}\n  found  {digest}"
        ))
        .help("if what is there now is meant, set `sha256` to the digest found; it is kept and not fetched again")),
        Some(_) => Ok(Fetched { commit: None, package: None, items }),
    }
}

/// A store and the address in it.
struct Place {
    store: Store,
    url: Url,
}

/// Fetches objects concurrently; returns whether any was resumed from a partial file of an earlier run. Without `go_on`, partial
/// files are discarded.
async fn all(
    job: &Arc<Job>,
    place: &Arc<Place>,
    chosen: &[(String, ObjectMeta)],
    go_on: bool,
) -> Result<(Vec<Item>, bool)> {
    chosen.iter().for_each(|(_, meta)| job.count.want(meta.size));
    let tasks = chosen.iter().cloned().map(|(name, meta)| {
        let (job, place) = (Arc::clone(job), Arc::clone(place));
        async move {
            let task = tokio::spawn(async move {
                let (kept, gone_on) = one(&job, &place, &meta, go_on).await?;
                Ok((Item { name, path: kept.path, bytes: kept.bytes, sha256: kept.sha256 }, gone_on))
            });
            task.await.unwrap_or_else(|e| Err(Failure::new(format!("a transfer was ended: {e}"))))
        }
    });
    let both: Vec<(Item, bool)> = stream::iter(tasks).buffer_unordered(AT_ONCE).try_collect().await?;
    let gone_on = both.iter().any(|(_, gone_on)| *gone_on);
    let mut items: Vec<Item> = both.into_iter().map(|(item, _)| item).collect();
    items.sort_by(|a, b| a.name.cmp(&b.name));
    Ok((items, gone_on))
}

enum Found {
    One(ObjectMeta),
    /// With their names relative to the prefix.
    Below(Vec<(String, ObjectMeta)>),
}

async fn found(store: &Store, url: &Url) -> Result<Found> {
    let below = url.path().ends_with('/') || store.base.as_ref().is_empty();
    if !below {
        match store.store.head(&store.base).await {
            Ok(meta) => return Ok(Found::One(meta)),
            Err(Error::NotFound { .. }) => {}
            Err(e) => return Err(failed(url, &e)),
        }
    }
    let mut listed = store.store.list(Some(&store.base));
    let mut all = Vec::new();
    while let Some(meta) = listed.try_next().await.map_err(|e| failed(url, &e))? {
        let name = meta.location.as_ref().strip_prefix(store.base.as_ref()).unwrap_or(meta.location.as_ref());
        let name = name.trim_start_matches('/').to_owned();
        // Some tools represent a folder by an empty object with its name.
        if name.is_empty() && meta.size == 0 {
            continue;
        }
        all.push((name, meta));
        if all.len() > MOST {
            return Err(Failure::new(format!("`{url}` holds more than {MOST} objects"))
                .help("name a place further below, or pack them into archives"));
        }
    }
    all.sort_by(|a, b| a.0.cmp(&b.0));
    match all.is_empty() {
        true => Err(Failure::new(format!("there is no object `{url}`, and none below it")).help(keys(url))),
        false => Ok(Found::Below(all)),
    }
}

/// Provides one object, from the downloads if it is unchanged, or from the store; returns whether it was resumed.
async fn one(job: &Job, place: &Place, meta: &ObjectMeta, go_on: bool) -> Result<(Kept, bool)> {
    let options: String = ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AZURE_STORAGE_ACCOUNT_NAME"]
        .iter()
        .map(|name| job.settings.first(&[name]).unwrap_or_default().to_owned() + " ")
        .collect();
    let host = place.url.host_str().unwrap_or_default();
    let tag = meta.e_tag.as_deref().unwrap_or_default();
    // The time of modification is included, since not every store has tags.
    let key = format!(
        "{options}{}://{host}/{} {} {tag} {}",
        place.url.scheme(),
        meta.location,
        meta.size,
        meta.last_modified.timestamp_millis()
    );
    let note = job.downloads.note(&key);
    let (part, _lock) = job.downloads.part(&key).await?;
    let known = std::fs::read_to_string(&note).ok();
    if let Some(digest) = known.filter(|d| d.len() == 64 && d.bytes().all(|b| b.is_ascii_hexdigit()))
        && let Some(kept) = tokio::task::block_in_place(|| job.downloads.held(&digest))?
    {
        job.count.add(kept.bytes);
        return Ok((kept, false));
    }
    if !go_on && part.exists() {
        std::fs::remove_file(&part).doing("remove", &part)?;
    }
    let (sha256, gone_on) = pieces(job, place, meta, &part).await?;
    let kept = job.downloads.keep(&part, &sha256)?;
    // The digest of a resumed object has not been verified yet.
    if !gone_on {
        let folder = note.parent().map(std::fs::create_dir_all).transpose();
        folder.and_then(|_| std::fs::write(&note, &sha256)).doing("write", &note)?;
    }
    Ok((kept, gone_on))
}

/// Fetches the missing pieces of an object; returns its digest, and whether there were earlier pieces.
async fn pieces(job: &Job, place: &Place, meta: &ObjectMeta, part: &Local) -> Result<(String, bool)> {
    let Place { store, url } = place;
    let opened = File::options().read(true).write(true).create(true).truncate(false).open(part);
    let mut file = opened.doing("write", part)?;
    let mut hashes = Hashes::new(None, None);
    let mut len = tokio::task::block_in_place(|| hashes.read(&mut file)).doing("read", part)?;
    if len > meta.size {
        file.set_len(0).and_then(|()| std::io::Seek::rewind(&mut file)).doing("write", part)?;
        (len, hashes) = (0, Hashes::new(None, None));
    }
    job.count.add(len);
    let gone_on = len > 0;
    let mut tries = 0;
    while len < meta.size {
        let end = meta.size.min(len + PIECE);
        let mut options = Bounds::blob(end - len).options().with_range(Some(len..end));
        options.if_match = meta.e_tag.clone();
        let got = async {
            let got = store.store.get_opts(&meta.location, options).await?;
            let size = got.meta.size;
            got.bytes().await.map(|bytes| (bytes, size))
        };
        match got.await {
            Ok((bytes, size)) if size == meta.size && bytes.len() as u64 == end - len => {
                file.write_all(&bytes).doing("write", part)?;
                hashes.update(&bytes);
                len = end;
                job.count.add(bytes.len() as u64);
                tries = 0;
            }
            Ok(_) => return Err(changed(url, &meta.location)),
            Err(Error::Precondition { .. } | Error::NotFound { .. }) => {
                return Err(changed(url, &meta.location));
            }
            Err(e @ (Error::PermissionDenied { .. } | Error::Unauthenticated { .. })) => {
                return Err(failed(url, &e));
            }
            Err(e) if tries + 1 >= TRIES => return Err(failed(url, &e)),
            Err(_) => {
                tries += 1;
                tokio::time::sleep(
                    job.settings.pause.saturating_mul(1 << tries).min(Duration::from_secs(60)),
                )
                .await;
            }
        }
    }
    file.sync_all().doing("write", part)?;
    Ok((hashes.finish().sha256, gone_on))
}

fn changed(url: &Url, object: &Path) -> Failure {
    Failure::new(format!("`{object}` of `{url}` changed while it was fetched"))
        .help("run again when no other process writes there")
}

fn failed(url: &Url, e: &Error) -> Failure {
    let mut all = e.to_string();
    let mut next = std::error::Error::source(e);
    while let Some(inner) = next {
        let text = inner.to_string();
        if !all.contains(&text) {
            all = format!("{all}: {text}");
        }
        next = inner.source();
    }
    Failure::new(format!("`{url}` cannot be read: {all}"))
        .help(format!("{}; what has arrived is kept", keys(url)))
}

/// The variables with credentials and options.
fn keys(url: &Url) -> &'static str {
    match url.scheme() {
        "s3" => {
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_REGION, AWS_ENDPOINT (AWS_SKIP_SIGNATURE=true for a public bucket)"
        }
        "gs" => "check GOOGLE_SERVICE_ACCOUNT (a file) or GOOGLE_SERVICE_ACCOUNT_KEY (its text)",
        _ => "check AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY",
    }
}
