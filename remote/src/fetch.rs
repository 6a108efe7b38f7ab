//! Jobs that read: a text, and the bytes of a blob.

use std::path::Path as File;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, stream};
use lfs_core::digest::Digest;
use lfs_core::messages::{MOST_TEXT, Outcome};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::jobs::{Doer, End, PIECE, PIECES, Text};
use crate::{folder, here};
use lfs_store::{Bounds, Odd};

/// Larger texts are rare, and few are held at a time: each may be as large as [`MOST_TEXT`].
const LARGE_TEXT: usize = 1 << 20;
/// How much is read at once from a file.
const CHUNK: usize = 1 << 20;

impl Doer {
    /// Reads a text.
    pub(crate) async fn read(&self, path: &Path) -> Result<Text, End> {
        let mut pieces = match self.local(path)? {
            Some(file) => {
                let (opened, size) = self.patient(folder::open(&file)).await?.map_err(End)?;
                // It takes no time to find out, so it does not count as one of the bad answers for which a store is given up.
                if size > MOST_TEXT {
                    return Err(End(Outcome::Broken(Odd::Large(MOST_TEXT).to_string())));
                }
                self.chunks(opened, file)
            }
            None => {
                let got = self.store.store.get_opts(path, Bounds::text().options()).await;
                let got = got.map_err(|e| self.end(e))?;
                self.stream(got.into_stream())
            }
        };
        let (mut bytes, mut large) = (Vec::new(), None);
        while let Some(piece) = pieces.try_next().await? {
            if large.is_none() && bytes.len() + piece.len() > LARGE_TEXT {
                large = self.large_text().await;
            }
            if (bytes.len() + piece.len()) as u64 > MOST_TEXT {
                return Err(self.odd(Odd::Large(MOST_TEXT).to_string()));
            }
            bytes.extend_from_slice(&piece);
        }
        // Records and lists are JSON after a line, without such characters; encoded as JSON again, each would take six bytes.
        if bytes.iter().any(|b| *b < b' ' && *b != b'\n') {
            return Ok((Outcome::Damaged, None));
        }
        Ok((String::from_utf8(bytes).map_or(Outcome::Damaged, Outcome::Text), large))
    }

    /// Fetches a blob of this size into a new file.
    pub(crate) async fn fetch(
        &self,
        path: &Path,
        digest: &Digest,
        size: u64,
        to: &File,
    ) -> Result<Outcome, End> {
        if let Some(file) = self.local(path)? {
            let (opened, now) = self.patient(folder::open(&file)).await?.map_err(End)?;
            return match now == size {
                true => self.take(self.chunks(opened, file), digest, size, to).await,
                false => Ok(Outcome::Damaged),
            };
        }
        // An empty blob has no first piece.
        if size == 0 {
            let meta = self.store.store.head(path).await.map_err(|e| self.end(e))?;
            return match meta.size {
                0 => self.take(stream::empty().boxed(), digest, 0, to).await,
                _ => Ok(Outcome::Damaged),
            };
        }
        let first = match self.piece(path, 0, size).await {
            Ok(Some(first)) => first,
            Ok(None) => return Ok(Outcome::Damaged),
            // Some servers do not support ranges.
            Err(Error::NotSupported { .. } | Error::NotImplemented { .. }) => {
                let got = self.store.store.get_opts(path, Bounds::blob(size).options()).await;
                let got = got.map_err(|e| self.end(e))?;
                return match got.meta.size == size {
                    true => self.take(self.stream(got.into_stream()), digest, size, to).await,
                    false => Ok(Outcome::Damaged),
                };
            }
            Err(e) => match self.store.store.head(path).await {
                Ok(meta) if meta.size == 0 => return Ok(Outcome::Damaged),
                _ => return Err(self.end(e)),
            },
        };
        let starts = (1..).map(|i| i * PIECE).take_while(|start| *start < size);
        let rest = stream::iter(starts)
            .map(|start| async move {
                match self.piece(path, start, size).await {
                    Ok(Some(piece)) => Ok(piece),
                    Ok(None) => Err(End(Outcome::Damaged)),
                    Err(e) => Err(self.end(e)),
                }
            })
            .buffered(PIECES);
        self.take(stream::once(async { Ok(first) }).chain(rest).boxed(), digest, size, to).await
    }

    /// One piece of a blob. `None` when what the store has there is not a blob of this size.
    async fn piece(&self, path: &Path, start: u64, size: u64) -> object_store::Result<Option<Bytes>> {
        let _place = self.place().await;
        let end = size.min(start + PIECE);
        let options = Bounds::blob(end - start).options().with_range(Some(start..end));
        let got = self.store.store.get_opts(path, options).await?;
        if got.meta.size != size {
            return Ok(None);
        }
        let bytes = got.bytes().await?;
        Ok((bytes.len() as u64 == end - start).then_some(bytes))
    }

    /// Writes the pieces to a new file, and checks their digest.
    async fn take(
        &self,
        mut pieces: BoxStream<'_, Result<Bytes, End>>,
        digest: &Digest,
        size: u64,
        to: &File,
    ) -> Result<Outcome, End> {
        let failed = |e: std::io::Error| End(here("write", to, &e));
        let mut file = tokio::fs::File::create_new(to).await.map_err(failed)?;
        let (mut hasher, mut got) = (blake3::Hasher::new(), 0);
        while let Some(piece) = pieces.try_next().await? {
            got += piece.len() as u64;
            if got > size {
                return Ok(Outcome::Damaged);
            }
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
            self.moved(piece.len() as u64);
        }
        file.flush().await.map_err(failed)?;
        let now = Digest(*hasher.finalize().as_bytes());
        Ok(if now == *digest { Outcome::Done } else { Outcome::Damaged })
    }

    /// The bytes from a store over the network, with its errors counted.
    fn stream<'a>(
        &'a self,
        pieces: BoxStream<'a, object_store::Result<Bytes>>,
    ) -> BoxStream<'a, Result<Bytes, End>> {
        pieces.map_err(|e| self.end(e)).boxed()
    }

    /// The content of an open file.
    fn chunks(&self, file: tokio::fs::File, path: std::path::PathBuf) -> BoxStream<'_, Result<Bytes, End>> {
        stream::try_unfold((file, path), async move |(mut file, path)| {
            let mut chunk = Vec::with_capacity(CHUNK);
            let read = self.patient((&mut file).take(CHUNK as u64).read_to_end(&mut chunk)).await?;
            read.map_err(|e| End(folder::broken(&path, &e)))?;
            Ok((!chunk.is_empty()).then(|| (Bytes::from(chunk), (file, path))))
        })
        .boxed()
    }
}
