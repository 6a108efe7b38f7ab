//! Where every node stood when the last run ended.
//!
//! A node whose inputs and outputs are as they were then needs no key, no record and no look at the cache: its
//! result is what it was. It holds for one state of the plan, since a key is made from more than inputs.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{Builder, JoinHandle};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::inputs::{Files, digest_of_inputs};
use crate::cache::{Cache, Hashed, RecordsMark, Seen, Stored};
use crate::checked::{self, Values};
use crate::digest::{Digest, Root};
use crate::fingerprint::Key;
use crate::plan::{Node, Plan};

/// Where nodes stood.
///
/// Its file grows with what changed: behind the whole of it stands what runs since then changed, each on the one before.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Of all that the plan was made from.
    identity: Digest,
    out: PathBuf,
    end: End,
    nodes: Vec<Option<Stood>>,
    files: HashMap<PathBuf, Hashed>,
    /// What is not in its file.
    #[serde(skip)]
    changed: Changed,
    /// The run at whose end it was as it is in its file, if more can be written behind that.
    #[serde(skip)]
    filed: Option<String>,
}

/// How the run ended that wrote it.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct End {
    records: RecordsMark,
    run: String,
    /// The run database that tells of this run.
    told_in: Option<u64>,
    /// Every node stood, and no file changed while it was looked at.
    all: bool,
}

#[derive(Debug, Default)]
struct Changed {
    nodes: Vec<usize>,
    files: Vec<PathBuf>,
}

/// What a run changed, as it stands in the file; where nodes stand is owned or borrowed.
#[derive(Serialize, Deserialize)]
struct Change<S> {
    /// The run that it builds on.
    before: String,
    end: End,
    nodes: Vec<(usize, S)>,
    files: Vec<(PathBuf, Hashed)>,
}

/// Where one node stood.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Stood {
    pub key: Key,
    /// Of all that it read.
    pub inputs: Digest,
    /// What lay in the output folder, in the order of the node's outputs.
    pub placed: Vec<Hashed>,
    /// How long it took when it ran.
    pub seconds: f64,
}

impl Stood {
    /// The outputs of the node by name.
    pub fn outputs<'a>(&'a self, node: &'a Node) -> impl Iterator<Item = (&'a String, &'a Stored)> {
        node.outputs.iter().zip(&self.placed).map(|(output, placed)| (&output.name, &placed.stored))
    }
}

impl Standing {
    /// Reads where nodes stood, if it was under the same plan, output folder and records, and the run database
    /// tells how they came to stand there.
    pub fn read(
        file: &Path,
        identity: Digest,
        out: &Path,
        cache: &Cache,
        told_in: Option<u64>,
    ) -> Option<Self> {
        let values = Values::of(file)?;
        let mut all = values.iter();
        let whole = all.next()?;
        let mut standing: Self = postcard::from_bytes(whole).ok()?;
        let mut added = 0;
        for bytes in all {
            added += bytes.len();
            standing.apply(postcard::from_bytes(bytes).ok()?);
        }
        // A file of many changes, or with a torn one at its end, is written anew.
        if values.are_all() && added <= whole.len() / 2 {
            standing.filed = Some(standing.end.run.clone());
        }
        let same = standing.is_of(identity, out) && standing.end.told_in == told_in;
        (same && told_in.is_some() && cache.nothing_withdrawn_since(&standing.end.records))
            .then_some(standing)
    }

    fn apply(&mut self, change: Change<Option<Stood>>) {
        // Of two runs at once only one can build on the one before; what the other found is looked up again.
        if change.before != self.end.run {
            return;
        }
        for (i, stood) in change.nodes {
            if let Some(place) = self.nodes.get_mut(i) {
                *place = stood;
            }
        }
        self.files.extend(change.files);
        self.end = change.end;
    }

    /// Whether it is of the plan with this identity, and of this output folder.
    pub fn is_of(&self, identity: Digest, out: &Path) -> bool {
        self.identity == identity && self.out == out
    }

    /// The same, for a run of which this run database tells.
    pub fn told_in(mut self, database: Option<u64>) -> Self {
        self.end.told_in = database;
        self
    }

    /// Writes it for the next run.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, file: &Path) -> std::io::Result<()> {
        let Some(before) = self.filed.clone() else { return checked::write(file, self) };
        let node = |i: &usize| Some((*i, self.nodes.get(*i)?));
        let hashed = |path: &PathBuf| Some((path.clone(), self.files.get(path)?.clone()));
        let change = Change {
            before,
            end: self.end.clone(),
            nodes: self.changed.nodes.iter().filter_map(node).collect(),
            files: self.changed.files.iter().filter_map(hashed).collect(),
        };
        checked::append(file, &change)
    }

    /// Nothing is known of where nodes stood.
    pub(super) fn none(identity: Digest, out: &Path, nodes: usize) -> Self {
        let nodes = (0..nodes).map(|_| None).collect();
        Self { identity, out: out.to_owned(), nodes, ..Self::default() }
    }

    /// Takes out where a node stood.
    pub(super) fn take(&mut self, i: usize) -> Option<Stood> {
        self.nodes.get_mut(i)?.take()
    }

    /// Puts back where a node stood, for it stands there.
    pub(super) fn put_back(&mut self, i: usize, stood: Stood) {
        if let Some(place) = self.nodes.get_mut(i) {
            *place = Some(stood);
        }
    }

    /// Puts in where a node stands now.
    pub(super) fn put(&mut self, i: usize, stood: Option<Stood>) {
        if let Some(place) = self.nodes.get_mut(i) {
            *place = stood;
            self.changed.nodes.push(i);
        }
    }

    /// Puts in what files are that were hashed anew.
    pub(super) fn put_files(&mut self, files: &Files) {
        for (path, hashed) in files.renewed() {
            self.changed.files.push(path.clone());
            self.files.insert(path, hashed);
        }
    }

    /// The same, at the end of a run after which all nodes stand, or not, for records that go so far.
    pub(super) fn at(mut self, records: RecordsMark, run: &str, all: bool) -> Self {
        let told_in = self.end.told_in;
        self.end = End { records, run: run.to_owned(), told_in, all };
        self
    }

    /// Says that all nodes stand, and whether that was not known.
    pub(super) fn is_whole(&mut self) -> bool {
        !std::mem::replace(&mut self.end.all, true)
    }

    /// What the file system said of these files, which the nodes read, and of all that they wrote, in their order; `None` if
    /// some node did not stand, or there is doubt about a file.
    pub fn seen(&self, read: &[PathBuf]) -> Option<[Vec<Seen>; 2]> {
        if !self.end.all {
            return None;
        }
        let read: Option<Vec<Seen>> = read.iter().map(|path| self.file(path)?.seen()).collect();
        let mut wrote = Vec::with_capacity(self.nodes.len());
        for stood in &self.nodes {
            for placed in &stood.as_ref()?.placed {
                wrote.push(placed.seen()?);
            }
        }
        Some([read?, wrote])
    }

    /// How far the records went at the end of the run that wrote it, if any did.
    pub(super) fn records(&self) -> Option<RecordsMark> {
        (!self.end.run.is_empty()).then_some(self.end.records)
    }

    /// How many nodes there are.
    pub fn nodes(&self) -> usize {
        self.nodes.len()
    }

    /// The run at whose end it was so.
    pub fn run(&self) -> Option<String> {
        Some(self.end.run.clone()).filter(|r| !r.is_empty())
    }

    /// What a file or folder was.
    pub(super) fn file(&self, path: &Path) -> Option<&Hashed> {
        self.files.get(path)
    }

    /// Where a node stood.
    pub(super) fn node(&self, i: usize) -> Option<&Stood> {
        self.nodes.get(i)?.as_ref()
    }

    /// Whether what a node wrote is as it was.
    pub(super) fn is_there(&self, node: &Node, stood: &Stood) -> bool {
        Root::open(&self.out).is_ok_and(|root| self.outputs_are_there(node, stood, &root))
    }

    fn outputs_are_there(&self, node: &Node, stood: &Stood, root: &Root) -> bool {
        stood.placed.len() == node.outputs.len() && {
            let folder = self.out.join(node.folder());
            let mut outputs = node.outputs.iter().zip(&stood.placed);
            outputs.all(|(output, placed)| placed.is_still_at(root, &folder.join(&output.path)))
        }
    }

    /// For each node, whether all that it reads and wrote is as it was. What was looked at already is not looked at again.
    pub(super) fn still(
        &self,
        plan: &Plan,
        needed: &[bool],
        files: &Files,
        looks: Option<Looks>,
    ) -> Vec<bool> {
        let mut still = match looks.and_then(|looks| Self::all_there(plan, &looks.wrote.wrote())) {
            Some(there) => there,
            None => self.there(plan, needed),
        };
        for i in &plan.order {
            still[*i] = still[*i] && needed[*i] && {
                let results = |node: usize, output: usize| match still[node] {
                    true => Some(&self.node(node)?.placed.get(output)?.stored),
                    false => None,
                };
                let now = digest_of_inputs(&plan.nodes[*i], &results, files);
                now.is_some() && now == self.node(*i).map(|stood| stood.inputs)
            };
        }
        still
    }

    /// For each needed node, whether all that it wrote is as it was.
    fn there(&self, plan: &Plan, needed: &[bool]) -> Vec<bool> {
        let Ok(root) = Root::open(&self.out) else { return vec![false; plan.nodes.len()] };
        let there = |i: usize| {
            let stood = self.node(i).filter(|_| needed[i]);
            stood.is_some_and(|stood| self.outputs_are_there(&plan.nodes[i], stood, &root))
        };
        match plan.nodes.len() {
            // Threads take longer to come than so few looks.
            0..MANY => (0..plan.nodes.len()).map(there).collect(),
            _ => (0..plan.nodes.len()).into_par_iter().with_min_len(256).map(there).collect(),
        }
    }

    /// The same from one look a file, in the order of nodes and outputs.
    fn all_there(plan: &Plan, mut wrote: &[bool]) -> Option<Vec<bool>> {
        let mut there = Vec::with_capacity(plan.nodes.len());
        for node in &plan.nodes {
            let (own, rest) = wrote.split_at_checked(node.outputs.len())?;
            there.push(own.iter().all(|still| *still));
            wrote = rest;
        }
        wrote.is_empty().then_some(there)
    }
}

/// From so many files on, threads are worth their coming.
const MANY: usize = 4000;

/// What was seen of the files of a [`Standing`] before its plan was there.
pub struct Looks {
    /// Files that nodes read, and that are not as they were.
    pub changed: HashSet<PathBuf>,
    /// Whether each file is as it was that a node wrote.
    wrote: Wrote,
}

enum Wrote {
    Seen(Vec<bool>),
    /// Helpers are looking.
    Coming(Arc<Search>, Vec<JoinHandle<()>>),
}

impl Looks {
    /// Looks at files below two folders for what was seen of them: at those that nodes read now; at those that they wrote, too, where
    /// none of the first has changed, else beside what the caller does next.
    pub fn at(
        root: &Path,
        out: &Path,
        read: &[PathBuf],
        wrote: Vec<PathBuf>,
        [read_then, wrote_then]: [Vec<Seen>; 2],
    ) -> Option<Self> {
        if read.len() != read_then.len() || wrote.len() != wrote_then.len() {
            return None;
        }
        let now = Search::begin(root, read.to_vec(), read_then, false).wrote();
        let changed: HashSet<PathBuf> =
            read.iter().zip(&now).filter(|(_, still)| !**still).map(|(path, _)| path.clone()).collect();
        let wrote = Search::begin(out, wrote, wrote_then, !changed.is_empty());
        let wrote = if changed.is_empty() { Wrote::Seen(wrote.wrote()) } else { wrote };
        Some(Self { changed, wrote })
    }

    /// Whether all is as it was; false as well while that is being looked at.
    pub fn all(&self) -> bool {
        self.changed.is_empty() && matches!(&self.wrote, Wrote::Seen(all) if all.iter().all(|still| *still))
    }
}

impl Wrote {
    /// All of it; whoever asks helps.
    fn wrote(self) -> Vec<bool> {
        let (search, helpers) = match self {
            Self::Seen(all) => return all,
            Self::Coming(search, helpers) => (search, helpers),
        };
        search.work();
        // Where a helper died, nothing is known of what it had in hand: that is not as it was.
        helpers.into_iter().for_each(|helper| drop(helper.join()));
        search.still.iter().map(|still| still.load(Ordering::Acquire)).collect()
    }
}

/// Files to be looked at by several threads, a handful at a time.
struct Search {
    /// `None`: the folder is not there.
    folder: Option<Root>,
    files: Vec<PathBuf>,
    then: Vec<Seen>,
    still: Vec<AtomicBool>,
    next: AtomicUsize,
}

/// So many files are looked at in one go.
const HANDFUL: usize = 32;

impl Search {
    /// Begins with it, if helpers are wanted or worth their coming.
    fn begin(folder: &Path, files: Vec<PathBuf>, then: Vec<Seen>, helped: bool) -> Wrote {
        let still = files.iter().map(|_| AtomicBool::new(false)).collect();
        let many = files.len() >= MANY;
        let search =
            Arc::new(Self { folder: Root::open(folder).ok(), files, then, still, next: AtomicUsize::new(0) });
        let helpers = match many {
            true => std::thread::available_parallelism().map_or(1, |n| n.get().min(8)) - 1,
            false => 0,
        };
        let help = |_| {
            let search = Arc::clone(&search);
            Builder::new().spawn(move || search.work()).ok()
        };
        let helpers = (0..helpers.max(usize::from(helped))).filter_map(help).collect();
        Wrote::Coming(search, helpers)
    }

    /// Looks at what nobody else has taken.
    fn work(&self) {
        let Some(folder) = &self.folder else { return };
        loop {
            let from = self.next.fetch_add(HANDFUL, Ordering::Relaxed);
            let to = (from + HANDFUL).min(self.files.len());
            if from >= to {
                return;
            }
            for i in from..to {
                self.still[i].store(self.then[i].is_still_at(folder, &self.files[i]), Ordering::Release);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stood(n: u8) -> Option<Stood> {
        let stored = Stored { digest: Digest([n; 32]), bytes: 1, files: 1, folder: false, executable: false };
        let placed = vec![Hashed::in_doubt(&stored)];
        Some(Stood { key: Key(Digest([n; 32])), inputs: Digest([n; 32]), placed, seconds: f64::from(n) })
    }

    struct Place {
        _dir: tempfile::TempDir,
        cache: Cache,
        file: PathBuf,
        out: PathBuf,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let cache = Cache::open(&dir.path().join("cache"), Path::new("/pipeline.toml")).unwrap();
            let (file, out) = (dir.path().join("standing"), dir.path().join("out"));
            Self { _dir: dir, cache, file, out }
        }

        fn read(&self) -> Option<Standing> {
            Standing::read(&self.file, Digest::default(), &self.out, &self.cache, Some(7))
        }

        fn write(&self, standing: Standing, run: &str, all: bool) {
            standing.at(self.cache.records_mark(), run, all).told_in(Some(7)).write(&self.file).unwrap();
        }
    }

    fn keys(standing: &Standing) -> Vec<Option<u8>> {
        (0..standing.nodes()).map(|i| standing.node(i).map(|stood| stood.key.0.0[0])).collect()
    }

    #[test]
    fn the_file_grows_with_what_changed_and_is_written_anew_before_that_is_much() {
        let place = Place::new();
        let mut standing = Standing::none(Digest::default(), &place.out, 200);
        (0..200).for_each(|i| standing.put(i, stood(1)));
        place.write(standing, "first", true);
        let whole = std::fs::metadata(&place.file).unwrap().len();
        let mut sizes = vec![whole];
        for n in 2..200_u8 {
            let mut standing = place.read().unwrap();
            standing.put(usize::from(n), stood(n));
            place.write(standing, &format!("run {n}"), true);
            let now = place.read().unwrap();
            assert_eq!(keys(&now)[usize::from(n)], Some(n));
            assert_eq!(now.run().unwrap(), format!("run {n}"));
            sizes.push(std::fs::metadata(&place.file).unwrap().len());
        }
        assert_eq!(keys(&place.read().unwrap())[2..], (2..200).map(|n| Some(n as u8)).collect::<Vec<_>>());
        assert!(sizes.iter().all(|size| *size < 2 * whole), "{sizes:?}");
        assert!(sizes.windows(2).filter(|pair| pair[1] > pair[0] && pair[1] - pair[0] < 1000).count() > 150);
    }

    #[test]
    fn of_two_runs_at_once_the_second_builds_on_nothing() {
        let place = Place::new();
        place.write(Standing::none(Digest::default(), &place.out, 3), "first", true);
        let (mut one, mut two) = (place.read().unwrap(), place.read().unwrap());
        one.put(0, stood(1));
        two.put(1, stood(2));
        place.write(one, "one", true);
        place.write(two, "two", false);
        let now = place.read().unwrap();
        assert_eq!((keys(&now), now.run()), (vec![Some(1), None, None], Some("one".into())));
        // What stood under another plan, or was told in another database, is not known.
        assert!(Standing::read(&place.file, Digest([1; 32]), &place.out, &place.cache, Some(7)).is_none());
        assert!(Standing::read(&place.file, Digest::default(), &place.out, &place.cache, Some(8)).is_none());
    }

    #[test]
    fn a_torn_change_is_left_out_and_the_next_run_writes_all() {
        let place = Place::new();
        place.write(Standing::none(Digest::default(), &place.out, 3), "first", true);
        let mut standing = place.read().unwrap();
        standing.put(0, stood(1));
        place.write(standing, "second", true);
        let bytes = std::fs::read(&place.file).unwrap();
        std::fs::write(&place.file, &bytes[..bytes.len() - 1]).unwrap();
        let mut standing = place.read().unwrap();
        assert_eq!((keys(&standing), standing.run()), (vec![None; 3], Some("first".into())));
        standing.put(2, stood(3));
        place.write(standing, "third", true);
        assert_eq!(keys(&place.read().unwrap()), [None, None, Some(3)]);
    }
}
