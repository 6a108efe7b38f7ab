//! Jobs that write: a text, and the bytes of a file.

use std::path::Path as File;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use lfs_core::digest::Digest;
use lfs_core::messages::Outcome;
use object_store::path::Path;
use object_store::{
    Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutMultipartOptions, PutOptions, PutPayload,
};
use tokio::io::AsyncReadExt;

use crate::folder::{self, Held};
use crate::here;
use crate::jobs::{Doer, End, PIECE, PIECES};
use lfs_store::{Bounds, Odd};

/// The most pieces that every store takes for a file.
const MOST_PIECES: u64 = 10_000;

impl Doer {
    /// Stores bytes. Without `over` an existing file is not changed.
    pub(crate) async fn put(&self, path: &Path, bytes: Vec<u8>, over: bool) -> Result<Outcome, End> {
        let over = self.is_no_file(path).await? || over;
        let _place = self.place().await;
        let payload = PutPayload::from(bytes);
        let size = payload.content_length() as u64;
        let put = |mode| {
            let options = PutOptions::from(mode);
            in_time(size, self.store.store.put_opts(path, payload.clone(), options))
        };
        let done = match put(if over { PutMode::Overwrite } else { PutMode::Create }).await {
            // Some stores do not support conditions.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) if !over => {
                match self.size(path).await {
                    Ok(Some(_)) => return Ok(Outcome::There),
                    _ => put(PutMode::Overwrite).await,
                }
            }
            // A store that gets two requests at once may report this of a file that does not exist yet.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                return match self.size(path).await? {
                    Some(_) => Ok(Outcome::There),
                    None => match put(PutMode::Overwrite).await {
                        Ok(_) => Ok(Outcome::Done),
                        Err(e) => Err(self.end_of_write(e)),
                    },
                };
            }
            other => other,
        };
        done.map(|_| Outcome::Done).map_err(|e| self.end_of_write(e))
    }

    /// The size of the file that the store has under a name, if any.
    async fn size(&self, path: &Path) -> Result<Option<u64>, End> {
        if let Some(file) = self.local(path)? {
            return match self.patient(folder::held(&file)).await?.map_err(End)? {
                Held::File(size) => Ok(Some(size)),
                _ => Ok(None),
            };
        }
        match self.store.store.head(path).await {
            Ok(meta) => Ok(Some(meta.size)),
            Err(Error::NotFound { .. }) => Ok(None),
            Err(e) => Err(self.end(e)),
        }
    }

    /// Whether something that is not a file is in the place of a file, and can be replaced. A folder cannot be: that ends
    /// this job, but no other.
    async fn is_no_file(&self, path: &Path) -> Result<bool, End> {
        let Some(file) = self.local(path)? else { return Ok(false) };
        match self.patient(folder::held(&file)).await?.map_err(End)? {
            Held::Nothing | Held::File(_) => Ok(false),
            Held::Other => Ok(true),
            Held::Folder => Err(End(Outcome::Refused(format!(
                "{} is a folder, and must be a file: remove it",
                file.display()
            )))),
        }
    }

    /// Stores the bytes of a file.
    pub(crate) async fn send(
        &self,
        path: &Path,
        digest: &Digest,
        from: &File,
        over: bool,
    ) -> Result<Outcome, End> {
        let failed = |e: std::io::Error| End(here("read", from, &e));
        let size = tokio::fs::metadata(from).await.map_err(failed)?.len();
        if size <= PIECE {
            return self.send_whole(path, digest, from, over).await;
        }
        // Files in pieces cannot be put on condition; writing the same bytes twice does no harm.
        self.is_no_file(path).await?;
        if !over && self.size(path).await? == Some(size) {
            self.moved(size);
            return Ok(Outcome::There);
        }
        let begun = in_time(0, self.store.store.put_multipart_opts(path, PutMultipartOptions::default()));
        let mut upload = match begun.await {
            Ok(upload) => upload,
            // Some stores do not support pieces.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                return self.send_whole(path, digest, from, true).await;
            }
            Err(e) => return Err(self.end_of_write(e)),
        };
        let piece = PIECE.max(size.div_ceil(MOST_PIECES - 1)) as usize;
        match self.pieces(upload.as_mut(), from, piece).await {
            Ok(now) if now == *digest => in_time(size, upload.complete())
                .await
                .map(|_| Outcome::Done)
                .map_err(|e| self.end_of_write(e)),
            other => {
                // No part of it may stay; even if it cannot be removed, it never becomes a file.
                let _ = upload.abort().await;
                other.map(|_| Outcome::Damaged)
            }
        }
    }

    async fn send_whole(
        &self,
        path: &Path,
        digest: &Digest,
        from: &File,
        over: bool,
    ) -> Result<Outcome, End> {
        let bytes = tokio::fs::read(from).await.map_err(|e| End(here("read", from, &e)))?;
        if Digest(*blake3::hash(&bytes).as_bytes()) != *digest {
            return Ok(Outcome::Damaged);
        }
        let sent = bytes.len() as u64;
        let over = self.put(path, bytes, over).await?;
        self.moved(sent);
        Ok(over)
    }

    fn part_is_over(
        &self,
        done: Result<object_store::Result<u64>, tokio::task::JoinError>,
    ) -> Result<(), End> {
        match done {
            Ok(Ok(bytes)) => self.moved(bytes),
            Ok(Err(e)) => return Err(self.end_of_write(e)),
            Err(e) => return Err(self.give_up(e.to_string())),
        }
        Ok(())
    }

    async fn pieces(
        &self,
        upload: &mut dyn MultipartUpload,
        from: &File,
        piece: usize,
    ) -> Result<Digest, End> {
        let failed = |e: std::io::Error| End(here("read", from, &e));
        let mut file = tokio::fs::File::open(from).await.map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let mut under_way = FuturesUnordered::new();
        loop {
            let place = self.place().await;
            let mut bytes = bytes::BytesMut::with_capacity(piece);
            while bytes.len() < piece && file.read_buf(&mut bytes).await.map_err(failed)? > 0 {}
            if bytes.is_empty() {
                break;
            }
            hasher.update(&bytes);
            let size = bytes.len() as u64;
            let part = upload.put_part(PutPayload::from(bytes.freeze()));
            // A task of its own: it must continue while this one waits for a permit.
            under_way.push(tokio::spawn(async move {
                let done = in_time(size, part).await;
                drop(place);
                done.map(|()| size)
            }));
            while under_way.len() >= PIECES
                && let Some(done) = under_way.next().await
            {
                self.part_is_over(done)?;
            }
        }
        while let Some(done) = under_way.next().await {
            self.part_is_over(done)?;
        }
        Ok(Digest(*hasher.finalize().as_bytes()))
    }
}

/// A step of a write, ended if it makes no progress: a file system that is gone may never answer.
async fn in_time<T>(
    bytes: u64,
    step: impl Future<Output = object_store::Result<T>>,
) -> object_store::Result<T> {
    let time = Bounds::blob(bytes).time(bytes);
    tokio::time::timeout(time, step)
        .await
        .unwrap_or_else(|_| Err(Error::Generic { store: "store", source: Box::new(Odd::Silent(time)) }))
}
