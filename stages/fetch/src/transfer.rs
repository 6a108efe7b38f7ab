//! Transfers of a single file: resumed after interruptions, and verified.
//!
//! A server may ignore a range request, send another range, compress, stop early, or send an error page in place of the file. Bytes
//! are written in order, so that a partial file is always a prefix; the digest of the whole file decides in the end.

use std::fs::File;
use std::io::{Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use lfs_stage::{Failure, IoContext, Result};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, HeaderValue, RANGE};
use url::Url;

use crate::client::{Answer, Ask, Client, Met, Trouble, shown};
use crate::digest::{Found, Hashes, Pin};
use crate::refusal::Refused;
use crate::secret::Secret;

/// The numbers of transferred and expected bytes.
#[derive(Debug, Default)]
pub(crate) struct Count {
    done: AtomicU64,
    total: AtomicU64,
}

impl Count {
    /// Expects more bytes.
    pub fn want(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts transferred bytes.
    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn back(&self, bytes: u64) {
        self.done.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Transferred and expected bytes.
    pub fn now(&self) -> (u64, u64) {
        (self.done.load(Ordering::Relaxed), self.total.load(Ordering::Relaxed))
    }
}

/// The address of a file.
pub(crate) struct Origin<'a> {
    pub url: &'a Url,
    pub secret: Option<&'a Secret>,
    /// Explains a refusal.
    pub explain: &'a (dyn Fn(&Refused) -> Failure + Sync),
    /// Checks the headers of the servers on the way.
    pub judge: &'a (dyn Fn(&[Met]) -> Result<()> + Sync),
}

/// The required properties of a file.
pub(crate) struct Wanted<'a> {
    /// Its name in messages.
    pub name: &'a str,
    pub size: Option<u64>,
    pub pin: Option<Pin>,
}

/// Fetches a file into `part`, which may contain its beginning. When this returns, the bytes are synced to disk.
///
/// # Errors
/// If the transfer fails, or the file has another digest.
pub(crate) async fn bring(
    client: &Client,
    origin: &Origin<'_>,
    wanted: &Wanted<'_>,
    part: &Path,
    count: &Count,
) -> Result<Found> {
    let mut part = tokio::task::block_in_place(|| Part::open(part, wanted, count))?;
    let (mut tries, mut furthest) = (0, part.len);
    let mut way = Way { ranges: true, whole: false };
    let mut was_wrong = false;
    loop {
        if way.whole || wanted.size == Some(part.len) {
            let found = part.hashes.clone().finish();
            let Some(pin) = wanted.pin.as_ref().filter(|pin| !found.is(pin)) else {
                part.file.sync_all().doing("write", &part.path)?;
                return Ok(found);
            };
            part.clear()?;
            if was_wrong {
                let _ = std::fs::remove_file(&part.path);
                return Err(wrong(wanted, pin, &found, origin.url));
            }
            // The partial file may have been of another file, or a server on the way damaged it.
            (was_wrong, way, furthest) = (true, Way { ranges: true, whole: false }, 0);
            continue;
        }
        let over = attempt(client, origin, wanted, &mut part, &mut way).await;
        if part.len > furthest {
            (tries, furthest) = (0, part.len);
        }
        tries += 1;
        if let Err(trouble) = over {
            client.pause(trouble, tries, origin.explain).await.map_err(|f| Failure {
                message: format!("`{}` cannot be fetched: {}", wanted.name, f.message),
                help: f.help,
            })?;
        }
    }
}

fn wrong(wanted: &Wanted<'_>, pin: &Pin, found: &Found, url: &Url) -> Failure {
    Failure::new(format!(
        "`{}` from {} is not what it must be, twice:\n  expected {pin}\n  found    {}",
        wanted.name,
        shown(url),
        found.seen(pin)
    ))
    .help("nothing of it was kept; if the digest is one that you wrote, check it; if not, a server or proxy on the way is damaged")
}

/// The state of the transfer.
struct Way {
    /// Whether range requests may be used.
    ranges: bool,
    /// Whether the file is complete.
    whole: bool,
}

async fn attempt(
    client: &Client,
    origin: &Origin<'_>,
    wanted: &Wanted<'_>,
    part: &mut Part<'_>,
    way: &mut Way,
) -> std::result::Result<(), Trouble> {
    let mut ask = Ask::of(origin.url, origin.secret);
    if part.len > 0 && !way.ranges {
        part.clear().map_err(Trouble::Fatal)?;
    }
    let from = part.len;
    if from > 0 {
        let value =
            HeaderValue::from_str(&format!("bytes={from}-")).map_err(|e| Trouble::Line(e.to_string()))?;
        ask.headers.insert(RANGE, value);
    }
    let mut answer = match client.ask(&ask).await {
        Err(Trouble::Refused(refused)) if refused.status == 416 && from > 0 => {
            let total = refused.range.as_deref().and_then(|r| r.strip_prefix("bytes */")?.parse().ok());
            way.whole = wanted.size.is_none() && total == Some(from);
            return if way.whole { Ok(()) } else { part.clear().map_err(Trouble::Fatal) };
        }
        other => other?,
    };
    (origin.judge)(&answer.seen).map_err(Trouble::Fatal)?;
    let host = shown(answer.response.url());
    let Some(end) = promised(&answer, from, wanted, &host)? else {
        // Another range was sent; the next request is for the whole file.
        way.ranges = false;
        return Ok(());
    };
    if answer.response.status() == StatusCode::OK {
        part.clear().map_err(Trouble::Fatal)?;
    }
    loop {
        let chunk = answer.response.chunk().await.map_err(|e| {
            Trouble::Line(format!("{host}: it ended at byte {}: {}", part.len, crate::client::reason(&e)))
        })?;
        let Some(chunk) = chunk else { break };
        if wanted.size.is_some_and(|size| part.len + chunk.len() as u64 > size) {
            part.clear().map_err(Trouble::Fatal)?;
            return Err(Trouble::Line(format!("{host}: it gives more bytes than the file has")));
        }
        part.take(&chunk).map_err(Trouble::Fatal)?;
    }
    match wanted.size.or(end) {
        Some(size) if part.len < size => {
            Err(Trouble::Line(format!("{host}: it ended at byte {} of {size}", part.len)))
        }
        _ => {
            way.whole = true;
            Ok(())
        }
    }
}

/// The size of the file by this response, or `Some(None)` if it does not state one; `None` if it is another range.
fn promised(
    answer: &Answer,
    from: u64,
    wanted: &Wanted<'_>,
    host: &str,
) -> std::result::Result<Option<Option<u64>>, Trouble> {
    let headers = answer.response.headers();
    let text = |name| headers.get(name).and_then(|v: &HeaderValue| v.to_str().ok()).map(str::trim);
    if let Some(coding) = text(CONTENT_ENCODING).filter(|c| !c.eq_ignore_ascii_case("identity")) {
        return Err(Trouble::Line(format!("{host}: it compresses ({coding}) what was asked for as it is")));
    }
    if answer.response.status() == StatusCode::OK {
        let length = text(CONTENT_LENGTH).and_then(|l| l.parse().ok());
        if let (Some(length), Some(size)) = (length, wanted.size)
            && length != size
        {
            return Err(Trouble::Line(format!("{host}: it gives {length} bytes for a file of {size}")));
        }
        return Ok(Some(length));
    }
    if from == 0 {
        return Err(Trouble::Line(format!("{host}: it gives a part where the whole was asked for")));
    }
    let Some((first, last, total)) = text(CONTENT_RANGE).and_then(range) else { return Ok(None) };
    let fits = first == from
        && last >= first
        && total.is_none_or(|t| last < t && wanted.size.is_none_or(|s| s == t));
    Ok(fits.then_some(total))
}

/// Parses `bytes 5-9/10`.
fn range(text: &str) -> Option<(u64, u64, Option<u64>)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = span.split_once('-')?;
    let total = if total == "*" { None } else { Some(total.parse().ok()?) };
    Some((first.parse().ok()?, last.parse().ok()?, total))
}

/// A partial file.
struct Part<'a> {
    file: File,
    path: PathBuf,
    len: u64,
    hashes: Hashes,
    fresh: Hashes,
    count: &'a Count,
}

impl<'a> Part<'a> {
    fn open(path: &Path, wanted: &Wanted<'_>, count: &'a Count) -> Result<Self> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).doing("create", folder)?;
        }
        let opened = File::options().read(true).write(true).create(true).truncate(false).open(path);
        let mut file = opened.doing("write", path)?;
        let fresh = Hashes::new(wanted.pin.as_ref(), wanted.size);
        let mut hashes = fresh.clone();
        let len = hashes.read(&mut file).doing("read", path)?;
        count.add(len);
        let mut part = Self { file, path: path.to_owned(), len, hashes, fresh, count };
        if wanted.size.is_some_and(|size| len > size) {
            part.clear()?;
        }
        Ok(part)
    }

    fn clear(&mut self) -> Result<()> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).doing("write", &self.path)?;
        self.count.back(self.len);
        self.len = 0;
        self.hashes = self.fresh.clone();
        Ok(())
    }

    fn take(&mut self, chunk: &[u8]) -> Result<()> {
        // Blocking is acceptable here: each transfer has a thread of its own.
        self.file.write_all(chunk).doing("write", &self.path)?;
        self.hashes.update(chunk);
        self.len += chunk.len() as u64;
        self.count.add(chunk.len() as u64);
        Ok(())
    }
}
