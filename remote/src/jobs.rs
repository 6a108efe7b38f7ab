//! Doing one job.

use std::path::Path as File;
use std::sync::Mutex;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use lfs_pipe::digest::Digest;
use lfs_pipe::remote::protocol::{Answer, Job, Outcome};
use object_store::path::Path;
use object_store::{Error, ObjectStoreExt, PutMode, PutOptions, PutPayload, WriteMultipart};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::OnceCell;
use tokio::sync::mpsc::UnboundedSender;

use crate::here;
use crate::store::Store;

/// What is asked for at once, and up to which size a file goes in one piece. S3 takes no smaller pieces.
const PIECE: u64 = 5 << 20;
/// How many pieces of one file are under way.
const PIECES: usize = 4;
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
}

/// How long a store may take for its first answer. Later ones may take longer: they carry something.
const PATIENCE: Duration = Duration::from_secs(5);

/// What ends a job early.
struct End(Outcome);

impl Doer {
    pub fn new(store: Store, answers: UnboundedSender<Answer>) -> Self {
        Self { store, answers, down: Mutex::default(), reached: OnceCell::new() }
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

    /// Asks for something, of which no answer is the only bad one.
    async fn reach(&self) {
        let nothing = self.path("records/nothing");
        let asked = tokio::time::timeout(PATIENCE, self.store.store.head(&nothing)).await;
        if let (Err(_), Ok(mut down)) = (asked, self.down.lock()) {
            *down = Some(format!("it does not answer within {} s", PATIENCE.as_secs()));
        }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.store.base.clone(), |path, part| path.join(part))
    }

    fn moved(&self, bytes: u64) {
        // Whoever asked may have gone.
        let _ = self.answers.send(Answer::Moved(bytes));
    }

    /// What an error of the store means for a job, and for those after it.
    fn end(&self, e: Error) -> End {
        let why = match e {
            Error::NotFound { .. } => return End(Outcome::Missing),
            Error::AlreadyExists { .. } | Error::Precondition { .. } => return End(Outcome::There),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                format!("access was refused: {e}")
            }
            _ => reason(&e),
        };
        if let Ok(mut down) = self.down.lock() {
            down.get_or_insert_with(|| why.clone());
        }
        End(Outcome::Failed(why))
    }

    async fn read(&self, path: &Path) -> Result<Outcome, End> {
        let got = self.store.store.get(path).await.map_err(|e| self.end(e))?;
        let bytes = got.bytes().await.map_err(|e| self.end(e))?;
        Ok(String::from_utf8(bytes.into()).map_or(Outcome::Damaged, Outcome::Text))
    }

    async fn put(&self, path: &Path, bytes: Vec<u8>, over: bool) -> Result<Outcome, End> {
        let mode = if over { PutMode::Overwrite } else { PutMode::Create };
        let options = PutOptions::from(mode);
        let put = self.store.store.put_opts(path, PutPayload::from(bytes), options).await;
        put.map(|_| Outcome::Done).map_err(|e| self.end(e))
    }

    async fn fetch(&self, path: &Path, digest: &Digest, to: &File) -> Result<Outcome, End> {
        let failed = |e: std::io::Error| End(here("write", to, &e));
        // The first piece tells how large the whole is.
        let options = object_store::GetOptions::new().with_range(Some(0..PIECE));
        let (size, first) = match self.store.store.get_opts(path, options).await {
            Ok(got) => (got.meta.size, got.bytes().await.map_err(|e| self.end(e))?),
            // Nothing has no first piece.
            Err(e) => match self.store.store.head(path).await {
                Ok(meta) if meta.size == 0 => (0, bytes::Bytes::new()),
                _ => return Err(self.end(e)),
            },
        };
        let mut file = tokio::fs::File::create_new(to).await.map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        let starts = (1..).map(|i| i * PIECE).take_while(|start| *start < size);
        let rest = stream::iter(starts)
            .map(|start| self.store.store.get_range(path, start..size.min(start + PIECE)))
            .buffered(PIECES);
        let mut pieces = stream::once(async { Ok(first) }).chain(rest).boxed();
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
            let bytes = tokio::fs::read(from).await.map_err(failed)?;
            if Digest(*blake3::hash(&bytes).as_bytes()) != *digest {
                return Ok(Outcome::Damaged);
            }
            let sent = bytes.len() as u64;
            let over = self.put(path, bytes, over).await?;
            self.moved(sent);
            return Ok(over);
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
        let upload = self.store.store.put_multipart(path).await.map_err(|e| self.end(e))?;
        let piece = PIECE.max(size.div_ceil(MOST_PIECES - 1)) as usize;
        let mut upload = WriteMultipart::new_with_chunk_size(upload, piece);
        match self.pieces(&mut upload, from, piece).await {
            Ok(now) if now == *digest => {
                upload.finish().await.map(|_| Outcome::Done).map_err(|e| self.end(e))
            }
            other => {
                // Nothing of it may stay; what cannot be removed was never a file.
                let _ = upload.abort().await;
                other.map(|_| Outcome::Damaged)
            }
        }
    }

    async fn pieces(&self, upload: &mut WriteMultipart, from: &File, piece: usize) -> Result<Digest, End> {
        let failed = |e: std::io::Error| End(here("read", from, &e));
        let mut file = tokio::fs::File::open(from).await.map_err(failed)?;
        let mut hasher = blake3::Hasher::new();
        loop {
            let mut bytes = bytes::BytesMut::with_capacity(piece);
            while bytes.len() < piece && file.read_buf(&mut bytes).await.map_err(failed)? > 0 {}
            if bytes.is_empty() {
                return Ok(Digest(*hasher.finalize().as_bytes()));
            }
            hasher.update(&bytes);
            upload.wait_for_capacity(PIECES).await.map_err(|e| self.end(e))?;
            self.moved(bytes.len() as u64);
            upload.put(bytes.freeze());
        }
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
