//! The run database: every run, its nodes, how long they took, what memory they needed, their metrics.
//!
//! It is an SQLite file in the cache (`runs.sqlite`), which any program that reads such files can read. Results do not depend
//! on it: a damaged one is set aside, and a new one is begun.
//!
//! A run has rows for the nodes that it looked up. Those that were up to date are in the run that it builds on (`base`), or
//! further back: the database grows with what changed.
//!
//! A no-op run ends before the database would be open. It appends a line to `runs.quiet`, and the next process that opens
//! the database imports these lines.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

use rusqlite::{Connection, OptionalExtension, params};
use serde::{Deserialize, Serialize};

use crate::digest::{Digest, file_number};
use crate::engine::{Ended, Event};
use crate::fault::{Fault, Result};
use crate::fingerprint::Key;
use crate::revision;
use crate::show::Subscriber;

const SCHEMA: &str = "
CREATE TABLE run (
    name TEXT PRIMARY KEY, base TEXT, manifest TEXT NOT NULL, arguments TEXT NOT NULL, version TEXT NOT NULL,
    started TEXT NOT NULL, seconds REAL, state TEXT NOT NULL,
    executed INTEGER NOT NULL, cached INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL,
    number INTEGER NOT NULL, revision TEXT, clean INTEGER
) WITHOUT ROWID;
CREATE TABLE node (
    run TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, key BLOB, seconds REAL NOT NULL, peak INTEGER,
    error TEXT, PRIMARY KEY (run, name)
) WITHOUT ROWID;
CREATE TABLE metric (
    run TEXT NOT NULL, node TEXT NOT NULL, name TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (run, node, name)
) WITHOUT ROWID;
PRAGMA user_version = 3;
";

/// Migration from version 1: runs have the order in which they were written, and need no clock for it.
const FROM_1: &str = "
ALTER TABLE run ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
UPDATE run SET number = (SELECT count(*) FROM run AS other WHERE other.name <= run.name);
";

/// Migration from version 2: runs have the git commit of their manifest.
const FROM_2: &str = "
ALTER TABLE run ADD COLUMN revision TEXT;
ALTER TABLE run ADD COLUMN clean INTEGER;
PRAGMA user_version = 3;
";

/// A run and those that it builds on, each with its distance.
const CHAIN: &str = "WITH RECURSIVE chain(name, back) AS (
    VALUES (?1, 0) UNION ALL SELECT run.base, chain.back + 1 FROM chain JOIN run ON run.name = chain.name
    WHERE run.base IS NOT NULL AND chain.back < (SELECT count(*) FROM run)
)";

/// Removes a run: its rows of nodes are moved to the runs that build on it.
const FORGET: [&str; 5] = [
    "INSERT OR IGNORE INTO node SELECT later.name, node.name, node.state, key, node.seconds, peak, error
     FROM node JOIN run AS later ON later.base = node.run WHERE node.run = ?1",
    "UPDATE run SET base = (SELECT base FROM run WHERE name = ?1) WHERE base = ?1",
    "DELETE FROM run WHERE name = ?1",
    "DELETE FROM node WHERE run = ?1",
    "DELETE FROM metric WHERE run = ?1",
];

/// How often events are written during a run.
const EVERY: Duration = Duration::from_secs(1);

/// A no-op run, until the database is opened for something else.
#[derive(Serialize, Deserialize)]
struct Quiet {
    run: String,
    base: Option<String>,
    manifest: String,
    arguments: String,
    version: String,
    started: String,
    seconds: f64,
    cached: usize,
    #[serde(default)]
    commit: Option<String>,
}

/// An opened run database.
pub struct History {
    db: Connection,
}

/// A run.
#[derive(Debug, Clone, Serialize)]
pub struct Run {
    /// Its name.
    pub run: String,
    /// The manifest.
    pub manifest: String,
    /// The command line behind `run`.
    pub arguments: String,
    /// When it began, RFC 3339.
    pub started: String,
    /// How long it took; none while it runs, or when it was killed.
    pub seconds: Option<f64>,
    /// `running`, `done`, `failed` or `stopped`.
    pub state: String,
    /// Nodes that ran.
    pub executed: u64,
    /// Cache hits.
    pub cached: u64,
    /// Nodes that failed.
    pub failed: u64,
    /// Nodes that were not tried.
    pub skipped: u64,
    /// The git commit of the manifest's repository.
    pub commit: Option<String>,
    /// Whether every tracked file was committed, where git could say so.
    pub clean: Option<bool>,
}

/// The state of a node at the end of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Node {
    /// How it ended in the run that last looked it up.
    pub state: String,
    /// Its key.
    pub key: Option<Key>,
    /// How long it took.
    pub seconds: f64,
    /// The peak memory, in bytes, where that is known.
    pub peak: Option<u64>,
}

fn wrong(e: rusqlite::Error) -> Fault {
    Fault::machine(format!("the run database cannot be used: {e}"))
}

impl History {
    /// The file in a cache folder.
    pub fn file(cache: &Path) -> PathBuf {
        cache.join("runs.sqlite")
    }

    /// Identifies the database of a cache among all that were ever there; `None` if there is none.
    pub fn mark(cache: &Path) -> Option<u64> {
        std::fs::metadata(Self::file(cache)).ok().map(|m| file_number(&m))
    }

    /// Whether a cache has a record of any run.
    pub fn is_there(cache: &Path) -> bool {
        Self::file(cache).is_file() || quiet_file(cache).is_file()
    }

    /// Opens the database of a cache, creating it if there is none. A damaged one is set aside.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn open(cache: &Path) -> Result<Self> {
        let mut history = Self::open_without_quiet(cache)?;
        // Where nothing can be written, nothing can be imported.
        if let Err(e) = history.take_in_quiet(&quiet_file(cache)) {
            tracing::debug!("runs with nothing to do are not in the run database: {e}");
        }
        Ok(history)
    }

    fn open_without_quiet(cache: &Path) -> Result<Self> {
        let file = Self::file(cache);
        match Self::at(&file) {
            Err(e) if is_damage(&e) => {
                let aside = (0..).map(|n| cache.join(format!("runs.damaged-{n}"))).find(|p| !p.exists());
                let aside = aside.unwrap_or_else(|| cache.join("runs.damaged"));
                tracing::warn!("the run database is damaged: it is set aside as {}", aside.display());
                std::fs::rename(&file, aside)
                    .map_err(|e| Fault::machine(format!("cannot set aside {}: {e}", file.display())))?;
                Self::at(&file).map_err(wrong)
            }
            other => other.map_err(wrong),
        }
    }

    fn at(file: &Path) -> rusqlite::Result<Self> {
        let db = Connection::open(file)?;
        db.busy_timeout(Duration::from_secs(10))?;
        // A power failure may lose the history of the last runs; nothing else depends on it.
        db.pragma_update(None, "synchronous", "off")?;
        // Most runs write once: creating a journal file for each would cost more than the write itself.
        db.query_row("PRAGMA journal_mode = persist", [], |_| Ok(()))?;
        let version = || db.query_row("PRAGMA user_version", [], |r| r.get::<_, i64>(0));
        let then = version()?;
        let sql = match then {
            0 => SCHEMA.to_owned(),
            1 => format!("{FROM_1}{FROM_2}"),
            2 => FROM_2.to_owned(),
            _ => String::new(),
        };
        if !sql.is_empty()
            && let Err(e) = db.execute_batch(&format!("BEGIN IMMEDIATE; {sql} COMMIT;"))
        {
            // Another process may have just created or migrated it.
            let _ = db.execute_batch("ROLLBACK;");
            if version()? == then {
                return Err(e);
            }
        }
        Ok(Self { db })
    }

    /// Opens the database of a cache, and records a run that begins.
    fn begun(cache: &Path, this: &This) -> Result<Self> {
        let history = Self::open(cache)?;
        let commit = revision::commit(this.folder());
        let clean = commit.as_ref().and_then(|_| revision::is_clean(this.folder()));
        let row = params![
            this.run,
            this.base,
            this.manifest,
            this.arguments,
            env!("CARGO_PKG_VERSION"),
            jiff::Timestamp::now().to_string(),
            commit,
            clean
        ];
        let sql = "INSERT INTO run SELECT ?1, ?2, ?3, ?4, ?5, ?6, NULL, 'running', 0, 0, 0, 0, \
                   (SELECT coalesce(max(number), 0) + 1 FROM run), ?7, ?8";
        history.db.execute(sql, row).map_err(wrong)?;
        Ok(history)
    }

    /// Imports the no-op runs.
    fn take_in_quiet(&mut self, path: &Path) -> std::io::Result<()> {
        let mut file = match File::options().read(true).write(true).open(path) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            other => other?,
        };
        file.lock()?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        // A line that was torn by a power failure is not a run.
        let runs = bytes.split(|b| *b == b'\n').filter_map(|line| serde_json::from_slice::<Quiet>(line).ok());
        let change = self.db.transaction().map_err(std::io::Error::other)?;
        for run in runs {
            // After a kill between the two, they are imported again. A run whose base is not in the database any more (it was damaged or
            // removed) is ignored.
            let sql = "INSERT OR IGNORE INTO run \
                       SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, 'done', 0, ?8, 0, 0, \
                       (SELECT coalesce(max(number), 0) + 1 FROM run), ?9, NULL \
                       WHERE ?2 IS NULL OR EXISTS (SELECT 1 FROM run WHERE name = ?2)";
            let cached = i64::try_from(run.cached).unwrap_or(i64::MAX);
            let row = params![
                run.run,
                run.base,
                run.manifest,
                run.arguments,
                run.version,
                run.started,
                run.seconds,
                cached,
                run.commit
            ];
            change.execute(sql, row).map_err(std::io::Error::other)?;
        }
        change.commit().map_err(std::io::Error::other)?;
        file.set_len(0)
    }

    /// The latest runs, latest first.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn runs(&self, most: usize) -> Result<Vec<Run>> {
        let sql = "SELECT name, manifest, arguments, started, seconds, state, executed, cached, failed, skipped, \
                   revision, clean FROM run ORDER BY number DESC, name DESC LIMIT ?1";
        let mut statement = self.db.prepare(sql).map_err(wrong)?;
        let rows = statement.query_map([most as i64], |r| {
            Ok(Run {
                run: r.get(0)?,
                manifest: r.get(1)?,
                arguments: r.get(2)?,
                started: r.get(3)?,
                seconds: r.get(4)?,
                state: r.get(5)?,
                executed: r.get::<_, i64>(6)?.unsigned_abs(),
                cached: r.get::<_, i64>(7)?.unsigned_abs(),
                failed: r.get::<_, i64>(8)?.unsigned_abs(),
                skipped: r.get::<_, i64>(9)?.unsigned_abs(),
                commit: r.get(10)?,
                clean: r.get(11)?,
            })
        });
        rows.and_then(Iterator::collect).map_err(wrong)
    }

    /// How long each node of a manifest took the last time it ran, in seconds; empty if the database cannot be read.
    pub fn expected(cache: &Path, manifest: &str) -> HashMap<String, f64> {
        let read = || -> rusqlite::Result<HashMap<String, f64>> {
            let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
            let db = Connection::open_with_flags(Self::file(cache), flags)?;
            let sql = "SELECT node.name, node.seconds FROM node JOIN run ON run.name = node.run \
                       WHERE node.state = 'executed' AND run.manifest = ?1 ORDER BY run.number";
            let mut statement = db.prepare(sql)?;
            statement.query_map([manifest], |r| Ok((r.get(0)?, r.get(1)?)))?.collect()
        };
        read().unwrap_or_default()
    }

    /// The run that a text names: its name or the beginning of it; `@1` for the last, `@2` for the one before; or the last one of a commit,
    /// which `commit` resolves.
    ///
    /// # Errors
    /// When there is no such run, or several.
    pub fn named(&self, text: &str, commit: &dyn Fn(&str) -> Option<String>) -> Result<Run> {
        let all = self.runs(usize::MAX >> 1)?;
        let back = text.strip_prefix('@').and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
        let found: Vec<&Run> = match back {
            Some(back) => all.iter().skip(back - 1).take(1).collect(),
            None => all.iter().filter(|r| r.run.starts_with(text)).collect(),
        };
        match found.as_slice() {
            [one] => Ok((*one).clone()),
            [] => match commit(text) {
                None => Err(Fault::usage(format!("there is no run and no git revision `{text}`"))
                    .with_help("`lfs-pipe history` lists the runs; `@1` is the last one")),
                Some(commit) => all.iter().find(|r| r.commit.as_ref() == Some(&commit)).cloned().ok_or_else(|| {
                    Fault::usage(format!("no run was made at `{text}`, which is the commit {commit}")).with_help(
                        "check it out in another folder and run it there with the same cache: `git worktree add DIR REVISION`",
                    )
                }),
            },
            several => Err(Fault::usage(format!("`{text}` means {} runs", several.len()))
                .with_help(format!("name one: `{}` or `{}`", several[0].run, several[1].run))),
        }
    }

    /// The state of every node at the end of a run.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn nodes(&self, run: &str) -> Result<BTreeMap<String, Node>> {
        let sql =
            format!("{CHAIN} SELECT chain.name FROM chain LEFT JOIN run USING (name) WHERE run.name IS NULL");
        let missing = self.db.query_row(&sql, [run], |r| r.get::<_, String>(0)).optional().map_err(wrong)?;
        if let Some(base) = missing {
            return Err(Fault::machine(format!("the run database has no run {base}, on which {run} builds"))
                .with_help("run the pipeline once: every node is checked, and recorded again"));
        }
        let sql = format!(
            "{CHAIN} SELECT node.name, state, key, seconds, peak FROM chain JOIN node ON node.run = chain.name \
             ORDER BY chain.back DESC"
        );
        let read = || {
            let mut statement = self.db.prepare_cached(&sql)?;
            let rows = statement.query_map([run], |r| {
                let key: Option<Vec<u8>> = r.get(2)?;
                let key = key.and_then(|k| k.try_into().ok()).map(|k| Key(Digest(k)));
                let peak = r.get::<_, Option<i64>>(4)?.map(i64::unsigned_abs);
                Ok((r.get(0)?, Node { state: r.get(1)?, key, seconds: r.get(3)?, peak }))
            })?;
            rows.collect::<rusqlite::Result<_>>()
        };
        read().map_err(wrong)
    }

    /// Removes runs. Those that build on one keep its rows of nodes.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forget(&mut self, runs: &[String]) -> Result<()> {
        let mut forget = || {
            let change = self.db.transaction()?;
            for run in runs {
                for sql in FORGET {
                    change.prepare_cached(sql)?.execute([run])?;
                }
            }
            change.commit()
        };
        forget().map_err(wrong)
    }
}

fn quiet_file(cache: &Path) -> PathBuf {
    cache.join("runs.quiet")
}

fn is_damage(e: &rusqlite::Error) -> bool {
    matches!(
        e.sqlite_error_code(),
        Some(rusqlite::ErrorCode::NotADatabase | rusqlite::ErrorCode::DatabaseCorrupt)
    )
}

/// Records the events of a run.
pub struct Recorder {
    cache: PathBuf,
    history: Database,
    this: This,
    /// The run is in the database, or will be.
    begun: bool,
    written: Instant,
    nodes: Vec<Row>,
    metrics: Vec<(String, String, f64)>,
    failed: bool,
}

/// The run that is recorded.
#[derive(Clone)]
struct This {
    run: String,
    base: Option<String>,
    manifest: String,
    arguments: String,
}

impl This {
    /// The manifest's folder.
    fn folder(&self) -> &Path {
        Path::new(&self.manifest).parent().unwrap_or(Path::new("/"))
    }
}

/// Opened when a run begins that is not a no-op, or when something has to be written.
enum Database {
    Closed,
    /// Opening takes as long as many nodes: it is done in parallel with the first. A failure is reported at once.
    Opening(JoinHandle<Option<History>>),
    Open(History),
}

struct Row {
    name: String,
    state: &'static str,
    key: Option<Key>,
    seconds: f64,
    peak: Option<u64>,
    error: Option<String>,
}

impl Recorder {
    /// Records a run of a manifest in the database of a cache.
    pub fn new(cache: &Path, manifest: &Path, arguments: String) -> Self {
        Self {
            cache: cache.to_owned(),
            history: Database::Closed,
            this: This {
                run: String::new(),
                base: None,
                manifest: manifest.display().to_string(),
                arguments,
            },
            begun: false,
            written: Instant::now(),
            nodes: Vec::new(),
            metrics: Vec::new(),
            failed: false,
        }
    }

    /// Writes the events since the last time. A failure is reported once.
    fn write(&mut self, end: Option<(f64, [usize; 4], &'static str)>) {
        if self.failed {
            return;
        }
        let result = self.try_write(end);
        self.written = Instant::now();
        if let Err(fault) = result {
            self.failed = true;
            tracing::warn!("{fault}");
        }
    }

    fn try_write(&mut self, end: Option<(f64, [usize; 4], &'static str)>) -> Result<()> {
        let mut history = match std::mem::replace(&mut self.history, Database::Closed) {
            Database::Open(history) => history,
            Database::Opening(thread) => match thread.join() {
                Ok(Some(history)) => history,
                Ok(None) => {
                    self.failed = true;
                    return Ok(());
                }
                Err(panic) => std::panic::resume_unwind(panic),
            },
            Database::Closed => History::begun(&self.cache, &self.this)?,
        };
        self.begun = true;
        let result = self.put(&mut history, end).map_err(wrong);
        self.history = Database::Open(history);
        result
    }

    /// Records a no-op run.
    fn write_quietly(&self, seconds: f64, cached: usize) -> std::io::Result<()> {
        let quiet = Quiet {
            run: self.this.run.clone(),
            base: self.this.base.clone(),
            manifest: self.this.manifest.clone(),
            arguments: self.this.arguments.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: jiff::Timestamp::now().to_string(),
            seconds,
            cached,
            commit: revision::commit(self.this.folder()),
        };
        // Ends a line that another process could not finish.
        let mut line = vec![b'\n'];
        serde_json::to_writer(&mut line, &quiet)?;
        line.push(b'\n');
        let mut file = File::options().append(true).create(true).open(quiet_file(&self.cache))?;
        file.lock()?;
        file.write_all(&line)
    }

    fn put(
        &mut self,
        history: &mut History,
        end: Option<(f64, [usize; 4], &'static str)>,
    ) -> rusqlite::Result<()> {
        let run = &self.this.run;
        let change = history.db.transaction()?;
        for row in self.nodes.drain(..) {
            change
                .prepare_cached("INSERT OR REPLACE INTO node VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")?
                .execute(params![
                    run,
                    row.name,
                    row.state,
                    row.key.map(|k| k.0.0.to_vec()),
                    row.seconds,
                    row.peak.map(u64::cast_signed),
                    row.error
                ])?;
        }
        for (node, name, value) in self.metrics.drain(..) {
            change
                .prepare_cached("INSERT OR REPLACE INTO metric VALUES (?1, ?2, ?3, ?4)")?
                .execute(params![run, node, name, value])?;
        }
        if let Some((seconds, [executed, cached, failed, skipped], state)) = end {
            let count = |n: usize| n as i64;
            change.execute(
                "UPDATE run SET seconds = ?2, state = ?3, executed = ?4, cached = ?5, failed = ?6, skipped = ?7 \
                 WHERE name = ?1",
                params![run, seconds, state, count(executed), count(cached), count(failed), count(skipped)],
            )?;
        }
        change.commit()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // A run that ended before anything was written is recorded, too.
        if let Database::Opening(thread) = std::mem::replace(&mut self.history, Database::Closed) {
            let _ = thread.join();
        }
    }
}

impl Subscriber for Recorder {
    fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted { run, base, jobs, .. } => {
                self.this.run.clone_from(run);
                self.this.base.clone_from(base);
                // A run that is not a no-op is recorded from nearly its beginning.
                if jobs.is_some() {
                    let (cache, this) = (self.cache.clone(), self.this.clone());
                    let open =
                        move || History::begun(&cache, &this).map_err(|fault| tracing::warn!("{fault}")).ok();
                    let opening = Builder::new().spawn(open);
                    self.begun = opening.is_ok();
                    self.history = opening.map_or(Database::Closed, Database::Opening);
                }
            }
            Event::NodeFinished { unchanged: true, .. } => {}
            Event::NodeFinished { node, state, key, seconds, error, peak, .. } => {
                let state = match state {
                    Ended::Cached => "cached",
                    Ended::Executed => "executed",
                    Ended::Failed => "failed",
                    Ended::Skipped => "skipped",
                };
                let (name, error) = (node.clone(), error.clone());
                self.nodes.push(Row { name, state, key: *key, seconds: *seconds, peak: *peak, error });
                if self.written.elapsed() > EVERY {
                    self.write(None);
                }
            }
            Event::NodeMetric { node, name, value } => {
                self.metrics.push((node.clone(), name.clone(), *value));
            }
            Event::RunFinished { cached, seconds, fault: None, .. }
                if !self.begun && self.nodes.is_empty() =>
            {
                if let Err(e) = self.write_quietly(*seconds, *cached) {
                    tracing::debug!("the run cannot be noted: {e}");
                }
            }
            Event::RunFinished { executed, cached, failed, skipped, seconds, fault } => {
                let state = match (failed, skipped) {
                    _ if fault.is_some() => "failed",
                    (1.., _) => "failed",
                    (0, 1..) => "stopped",
                    (0, 0) => "done",
                };
                self.write(Some((*seconds, [*executed, *cached, *failed, *skipped], state)));
            }
            _ => {}
        }
    }
}
