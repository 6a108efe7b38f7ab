//! Doing one job: its outcome, and what that means for later jobs.

use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::StreamExt;
use lfs_core::messages::{Answer, Job, Outcome};
use object_store::client::{HttpError, HttpErrorKind};
use object_store::path::Path;
use object_store::{Error, ObjectStore, ObjectStoreExt};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::{OnceCell, OwnedSemaphorePermit, Semaphore};

use lfs_store::Store;

/// The size of a piece, and of the largest file that is sent in one piece. S3 takes no smaller pieces.
pub(crate) const PIECE: u64 = 5 << 20;
/// How many pieces of one file are transferred at a time.
pub(crate) const PIECES: usize = 4;
/// How many pieces of all files are transferred at a time: with more, each would take longer, and more memory would be used.
const ALL_PIECES: usize = 12;
/// How many large texts are held at once.
const LARGE_TEXTS: usize = 2;
/// A bad answer of a store fails only its own job. After this many of them the store is given up: each may
/// have taken its time.
const STRIKES: usize = 3;

/// An answer, and what is released once it is sent.
pub type Sent = (Answer, Option<OwnedSemaphorePermit>);

/// Does jobs.
pub struct Doer {
    pub(crate) store: Store,
    answers: UnboundedSender<Sent>,
    /// Why the store was given up: if it does not answer one job, it answers no other.
    down: Mutex<Option<String>>,
    /// How many bad answers it gave.
    strikes: AtomicUsize,
    /// Set once the store has been asked whether it is there.
    reached: OnceCell<()>,
    /// Permits for pieces.
    places: Arc<Semaphore>,
    /// Permits for large texts.
    large: Arc<Semaphore>,
}

/// How long a store may take for its first answer. Later ones may take longer: they carry data.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long a file system may take for anything.
const PATIENCE_WITH_FOLDERS: Duration = Duration::from_secs(30);

/// What ends a job early.
pub(crate) struct End(pub Outcome);

/// A text, and the permit that limits how many large ones are held at once.
pub type Text = (Outcome, Option<OwnedSemaphorePermit>);

impl Doer {
    pub fn new(store: Store, answers: UnboundedSender<Sent>) -> Self {
        Self {
            store,
            answers,
            down: Mutex::default(),
            strikes: AtomicUsize::new(0),
            reached: OnceCell::new(),
            places: Arc::new(Semaphore::new(ALL_PIECES)),
            large: Arc::new(Semaphore::new(LARGE_TEXTS)),
        }
    }

    /// Does a job.
    pub async fn run(&self, job: Job) -> Text {
        self.reached.get_or_init(|| self.reach()).await;
        if let Some(why) = self.down.lock().ok().and_then(|down| down.clone()) {
            return (Outcome::Failed(why), None);
        }
        let over = match job {
            Job::Read { name } => match self.read(&self.path(&name)).await {
                Ok(text) => return text,
                Err(end) => Err(end),
            },
            Job::Write { name, text, over } => self.put(&self.path(&name), text.into_bytes(), over).await,
            Job::Fetch { name, digest, bytes, to } => {
                let over = self.fetch(&self.path(&name), &digest, bytes, &to).await;
                if !matches!(over, Ok(Outcome::Done)) {
                    // A file that is not what was asked for must not stay.
                    let _ = tokio::fs::remove_file(&to).await;
                }
                over
            }
            Job::Send { name, digest, from, over } => {
                self.send(&self.path(&name), &digest, &from, over).await
            }
        };
        (over.unwrap_or_else(|End(outcome)| outcome), None)
    }

    /// Makes a first request; only no answer, no bucket and no folder make it fail.
    async fn reach(&self) {
        let records = self.path("records");
        let ask = async {
            if let Ok(Some(folder)) = self.local(&self.store.base) {
                let other = tokio::fs::metadata(folder).await.is_ok_and(|meta| !meta.is_dir());
                return other.then(|| "it is no folder".to_owned());
            }
            let e = match self.store.store.list(Some(&records)).next().await {
                // The list is also empty if there is no bucket. Reading a name tells the two apart.
                None => self.store.store.get(&records).await.err(),
                Some(listed) => listed.err(),
            };
            let no_bucket = e.is_some_and(|e| names_no_bucket(&e));
            no_bucket.then(|| "there is no such bucket or container".to_owned())
        };
        let why = match tokio::time::timeout(PATIENCE, ask).await {
            Err(_) => format!("it does not answer within {} s", PATIENCE.as_secs()),
            Ok(Some(why)) => why,
            Ok(None) => return,
        };
        if let Ok(mut down) = self.down.lock() {
            *down = Some(why);
        }
    }

    fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.store.base.clone(), |path, part| path.join(part))
    }

    /// The path of a name, if the store is a folder.
    pub(crate) fn local(&self, path: &Path) -> Result<Option<PathBuf>, End> {
        match &self.store.folder {
            None => Ok(None),
            Some(folder) => folder.path_to_filesystem(path).map(Some).map_err(|e| self.end(e)),
        }
    }

    /// Waits for a file system, but not for ever: one that is gone may never answer.
    pub(crate) async fn patient<T>(&self, doing: impl Future<Output = T>) -> Result<T, End> {
        tokio::time::timeout(PATIENCE_WITH_FOLDERS, doing)
            .await
            .map_err(|_| self.give_up(format!("nothing comes within {} s", PATIENCE_WITH_FOLDERS.as_secs())))
    }

    pub(crate) fn moved(&self, bytes: u64) {
        // The receiver may be gone.
        let _ = self.answers.send((Answer::Moved(bytes), None));
    }

    /// The outcome of a job that reads, from an error of the store; some errors end later jobs, too.
    pub(crate) fn end(&self, e: Error) -> End {
        match e {
            Error::NotFound { .. } => End(Outcome::Missing),
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                End(Outcome::Refused(reason(&e)))
            }
            _ if is_unreachable(&e) => self.give_up(reason(&e)),
            _ => self.odd(reason(&e)),
        }
    }

    /// The same for a job that writes: if one write fails, the store is given up.
    pub(crate) fn end_of_write(&self, e: Error) -> End {
        let why = match e {
            Error::NotFound { .. } => "there is no such bucket, container or folder".to_owned(),
            _ => reason(&e),
        };
        self.give_up(why)
    }

    /// Counts a bad answer of the store.
    pub(crate) fn odd(&self, why: String) -> End {
        match self.strikes.fetch_add(1, Ordering::Relaxed) + 1 {
            n if n < STRIKES => End(Outcome::Broken(why)),
            _ => self.give_up(why),
        }
    }

    pub(crate) fn give_up(&self, why: String) -> End {
        if let Ok(mut down) = self.down.lock() {
            down.get_or_insert_with(|| why.clone());
        }
        End(Outcome::Failed(why))
    }

    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // The semaphore is never closed.
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    pub(crate) async fn large_text(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.large).acquire_owned().await.ok()
    }
}

/// Whether no connection to the server can be made.
fn is_unreachable(e: &Error) -> bool {
    causes(e).filter_map(|e| e.downcast_ref::<HttpError>()).any(|e| e.kind() == HttpErrorKind::Connect)
}

/// The causes of an error, the innermost last.
fn causes(e: &Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(e), |e| e.source())
}

/// The innermost reason is the most specific; the outer ones say which request it was.
pub(crate) fn reason(e: &Error) -> String {
    let mut all = e.to_string();
    for inner in causes(e) {
        let text = inner.to_string();
        if !all.contains(&text) {
            all = format!("{all}: {text}");
        }
    }
    all
}

/// Whether a store says that not only the name is missing, but its bucket: the codes of S3 and Google, and of Azure.
fn names_no_bucket(e: &Error) -> bool {
    let text = format!("{e:?}");
    ["NoSuchBucket", "ContainerNotFound"].iter().any(|code| text.contains(code))
}
