//! Doing one job.

use std::path::Path as File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::stream::{BoxStream, FuturesUnordered};
use futures::{StreamExt, TryStreamExt, stream};
use lfs_pipe::digest::Digest;
use lfs_pipe::remote::protocol::{Answer, Job, Outcome};
use object_store::path::Path;
use object_store::{Error, MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use crate::here;
use crate::store::Store;

/// What is asked for at once, and up to which size a file goes in one piece. S3 takes no smaller pieces.
const PIECE: u64 = 5 << 20;
/// How many pieces of one file are under way.
const PIECES: usize = 4;
/// How many pieces of all files are under way: more of them would each take longer, and hold more memory.
const ALL_PIECES: usize = 12;
/// No store takes more pieces of a file.
const MOST_PIECES: u64 = 10_000;

/// Does jobs.
pub struct Doer {
    store: Store,
    answers: UnboundedSender<Answer>,
    /// Why the store is given up: what does not answer one job answers no other.
    down: Mutex<Option<String>>,
    /// Whether it answered at all.
    reached: OnceCell<()>,
    /// Places for pieces.
    places: Arc<Semaphore>,
}

/// How long a store may take for its first answer. Later ones may take longer: they carry something.
const PATIENCE: Duration = Duration::from_secs(5);

/// What ends a job early.
struct End(Outcome);

impl Doer {
    pub fn new(store: Store, answers: UnboundedSender<Answer>) -> Self {
        Self {
            store,
            answers,
            down: Mutex::default(),
            reached: OnceCell::new(),
            places: Arc::new(Semaphore::new(ALL_PIECES)),
        }
    }

    /// Does a job.
    pub async fn run(&self, job: Job) -> Outcome {
        self.reached.get_or_init(|| self.reach()).await;
        if let Some(why) = self.down.lock().ok().and_then(|down| down.clone()) {
            return Outcome::Failed(why);
        }
        let over = match job {
            Job::Read { name } => self.read(&self.path(&name)).await,
            Job::Write { name, text, over } => self.put(&self.path(&name), text.into_bytes(), over).await,
            Job::Fetch { name, digest, to } => {
                let over = self.fetch(&self.path(&name), &digest, &to).await;
                if !matches!(over, Ok(Outcome::Done)) {
                    // A file that is not what was asked for is worse than none.
                    let _ = tokio::fs::remove_file(&to).await;
                }
                over
            }
            Job::Send { name, digest, from, over } => {
                self.send(&self.path(&name), &digest, &from, over).await
            }
        };
        over.unwrap_or_else(|End(outcome)| outcome)
    }

    /// Asks for something, of which no answer and no bucket are the only bad ones.
    async fn reach(&self) {
        let records = self.path("records");
        let ask = async {
            match self.store.store.list(Some(&records)).next().await {
                // Nothing is listed where there is no bucket, too. What comes for a name tells the two apart.
                None => self.store.store.get(&records).await.err(),
                Some(listed) => listed.err(),
            }
        };
        let why = match tokio::time::timeout(PATIENCE, ask).await {
            Err(_) => format!("it does not answer within {} s", PATIENCE.as_secs()),
            Ok(Some(e)) if !self.store.is_folder && names_no_bucket(&e) => {
                "there is no such bucket or container".to_owned()
            }
            Ok(_) => return,
        };
        if let Ok(mut down) = self.down.lock() {
            *down = Some(why);
        }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.store.base.clone(), |path, part| path.join(part))
    }

    fn moved(&self, bytes: u64) {
        // Whoever asked may have gone.
        let _ = self.answers.send(Answer::Moved(bytes));
    }

    /// What an error of the store means for a job that reads, and for those after it.
    fn end(&self, e: Error) -> End {
        let why = match e {
            Error::NotFound { .. } => return End(Outcome::Missing),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                return End(Outcome::Refused(reason(&e)));
            }
            // One file of a folder that cannot be opened says nothing of the others.
            _ if self.store.is_folder => return End(Outcome::Refused(reason(&e))),
            _ => reason(&e),
        };
        self.give_up(why)
    }

    /// The same for a job that writes: what cannot be written now cannot be written at all.
    fn end_of_write(&self, e: Error) -> End {
        let why = match e {
            Error::NotFound { .. } => "there is no such bucket, container or folder".to_owned(),
            _ => reason(&e),
        };
        self.give_up(why)
    }

    fn give_up(&self, why: String) -> End {
        if let Ok(mut down) = self.down.lock() {
            down.get_or_insert_with(|| why.clone());
        }
        End(Outcome::Failed(why))
    }

    async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    async fn read(&self, path: &Path) -> Result<Outcome, End> {
        let got = self.store.store.get(path).await.map_err(|e| self.end(e))?;
        let bytes = got.bytes().await.map_err(|e| self.end(e))?;
        Ok(String::from_utf8(bytes.into()).map_or(Outcome::Damaged, Outcome::Text))
    }

    async fn put(&self, path: &Path, bytes: Vec<u8>, over: bool) -> Result<Outcome, End> {
        let _place = self.place().await;
        let payload = PutPayload::from(bytes);
        let put = |mode| self.store.store.put_opts(path, payload.clone(), PutOptions::from(mode));
        let done = match put(if over { PutMode::Overwrite } else { PutMode::Create }).await {
            // Some stores know no conditions.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) if !over => {
                match self.store.store.head(path).await {
                    Ok(_) => return Ok(Outcome::There),
                    Err(_) => put(PutMode::Overwrite).await,
                }
            }
            // A store that was asked by two at once may say so of something that is not there yet.
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {
                return match self.store.store.head(path).await {
                    Ok(_) => Ok(Outcome::There),
                    Err(Error::NotFound { .. }) => match put(PutMode::Overwrite).await {
                        Ok(_) => Ok(Outcome::Done),
                        Err(e) => Err(self.end_of_write(e)),
                    },
                    Err(e) => Err(self.end(e)),
                };
            }
            other => other,
        };
        done.map(|_| Outcome::Done).map_err(|e| self.end_of_write(e))
    }

    async fn fetch(&self, path: &Path, digest: &Digest, to: &File) -> Result<Outcome, End> {
        // The first piece tells how large the whole is.
        let options = object_store::GetOptions::new().with_range(Some(0..PIECE));
        let place = self.place().await;
        let (size, first) = match self.store.store.get_opts(path, options).await {
            Ok(got) => (got.meta.size, got.bytes().await.map_err(|e| self.end(e))?),
            // Some servers give no pieces.
            Err(Error::NotSupported { .. } | Error::NotImplemented { .. }) => {
                let got = self.store.store.get(path).await.map_err(|e| self.end(e))?;
                return self.take(got.into_stream(), digest, to).await;
            }
            // Nothing has no first piece.
            Err(e) => match self.store.store.head(path).await {
                Ok(meta) if meta.size == 0 => (0, bytes::Bytes::new()),
                _ => return Err(self.end(e)),
            },
        };
        drop(place);
        let starts = (1..).map(|i| i * PIECE).take_while(|start| *start < size);
        let rest = stream::iter(starts)
            .map(|start| async move {
                let _place = self.place().await;
                self.store.store.get_range(path, start..size.min(start + PIECE)).await
            })
            .buffered(PIECES);
        self.take(stream::once(async { Ok(first) }).chain(rest).boxed(), digest, to).await
    }

    /// Writes what comes to a new file, and says whether it is what it should be.
    async fn take(
        &self,
        mut pieces: BoxStream<'_, object_store::Result<bytes::Bytes>>,
        digest: &Digest,
        to: &File,
    ) -> Result<Outcome, End> {
        let failed = |e: std::io::Error| End(here("write", to, &e));
        let mut file = tokio::fs::File::create_new(to).await.map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        while let Some(piece) = pieces.try_next().await.map_err(|e| self.end(e))? {
            hasher.update(&piece);
            file.write_all(&piece).await.map_err(failed)?;
            self.moved(piece.len() as u64);
        }
        file.flush().await.map_err(failed)?;
        let now = Digest(*hasher.finalize().as_bytes());
        Ok(if now == *digest { Outcome::Done } else { Outcome::Damaged })
    }

    async fn send(&self, path: &Path, digest: &Digest, from: &File, over: bool) -> Result<Outcome, End> {
        let failed = |e: std::io::Error| End(here("read", from, &e));
        let size = tokio::fs::metadata(from).await.map_err(failed)?.len();
        if size <= PIECE {
            return self.send_whole(path, digest, from, over).await;
        }
        // Files in pieces cannot be put on condition; to write the same bytes twice does no harm.
        if !over {
            match self.store.store.head(path).await {
                Ok(meta) if meta.size == size => {
                    self.moved(size);
                    return Ok(Outcome::There);
                }
                Ok(_) | Err(Error::NotFound { .. }) => {}
                Err(e) => return Err(self.end(e)),
            }
        }
        let mut upload = match self.store.store.put_multipart(path).await {
            Ok(upload) => upload,
            // Some stores take no pieces.
            Err(Error::NotImplemented { .. } | Error::NotSupported { .. }) => {
                return self.send_whole(path, digest, from, true).await;
            }
            Err(e) => return Err(self.end_of_write(e)),
        };
        let piece = PIECE.max(size.div_ceil(MOST_PIECES - 1)) as usize;
        match self.pieces(upload.as_mut(), from, piece).await {
            Ok(now) if now == *digest => {
                upload.complete().await.map(|_| Outcome::Done).map_err(|e| self.end_of_write(e))
            }
            other => {
                // Nothing of it may stay; what cannot be removed was never a file.
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
            // A task of its own: it must go on while this one waits for a place.
            under_way.push(tokio::spawn(async move {
                let done = part.await;
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

/// The innermost reason says most; the outer ones say which request it was.
fn reason(e: &Error) -> String {
    let mut all = e.to_string();
    let mut next = std::error::Error::source(e);
    while let Some(inner) = next {
        let text = inner.to_string();
        if !all.contains(&text) {
            all = format!("{all}: {text}");
        }
        next = inner.source();
    }
    all
}

/// Whether a store says that it is not the name that is missing, but all around it: the codes of S3 and Google, and of Azure.
fn names_no_bucket(e: &Error) -> bool {
    let text = format!("{e:?}");
    ["NoSuchBucket", "ContainerNotFound"].iter().any(|code| text.contains(code))
}
