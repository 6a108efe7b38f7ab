//! The file of a kept plan.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::frame;
use super::nodes::{Entry, NodeStates};
use super::prior::Prior;
use crate::cache::Cache;
use crate::digest::Digest;
use crate::manifest::{Manifest, Settings, Sources, WorkerEntry, folder};
use crate::plan::{Node, Plan, Premises};
use crate::worker;

/// The first part of the file, which is read first.
#[derive(Serialize, Deserialize)]
pub struct Head {
    premises: Premises,
    /// The workers that the manifest names; `None` if no node needs any.
    workers: Option<Vec<WorkerEntry>>,
    /// The digest of the workers' descriptions.
    described: Digest,
    root: PathBuf,
    /// The cache folder.
    pub cache: PathBuf,
    out: PathBuf,
    /// How many nodes there are.
    pub nodes: usize,
    /// What the nodes read.
    inputs: Vec<PathBuf>,
    /// What they write below the output folder, in the order of nodes and outputs.
    outputs: Vec<PathBuf>,
    /// What is shown after a run.
    pub shown: Vec<PathBuf>,
    /// The report whose path is printed after a run.
    pub report: Option<PathBuf>,
}

impl Head {
    /// The head of a plan that was made just now.
    pub fn of(
        manifest: &Manifest,
        (plan, premises): (&Plan, &Premises),
        (cache, out): (&Path, &Path),
        (shown, report): (&[PathBuf], Option<&PathBuf>),
    ) -> Self {
        let mut inputs: Vec<PathBuf> = plan.nodes.iter().flat_map(Node::paths).cloned().collect();
        inputs.sort_unstable();
        inputs.dedup();
        let outputs = plan.nodes.iter().flat_map(|node| {
            let folder = node.folder();
            node.outputs.iter().map(move |output| folder.join(&output.path))
        });
        Self {
            premises: premises.clone(),
            workers: (!plan.is_commands_alone()).then(|| manifest.workers.clone()),
            described: plan.described,
            root: manifest.root.clone(),
            cache: cache.to_owned(),
            out: out.to_owned(),
            nodes: plan.nodes.len(),
            inputs,
            outputs: outputs.collect(),
            shown: shown.to_vec(),
            report: report.cloned(),
        }
    }
}

/// A plan without its premises.
#[derive(Serialize, Deserialize)]
struct PlanPart {
    settings: Settings,
    workers: Vec<WorkerEntry>,
    order: Vec<usize>,
    nodes: Vec<Node>,
    /// The digests of sources, each set once, and the index of each node's set.
    codes: Vec<BTreeMap<String, String>>,
    code_of: Vec<usize>,
}

impl PlanPart {
    fn of(manifest: &Manifest, plan: &Plan) -> Self {
        let mut codes = Vec::new();
        let mut known: HashMap<&BTreeMap<String, String>, usize> = HashMap::new();
        let mut code_of = Vec::with_capacity(plan.nodes.len());
        for node in &plan.nodes {
            code_of.push(*known.entry(&node.code).or_insert_with(|| {
                codes.push((*node.code).clone());
                codes.len() - 1
            }));
        }
        Self {
            settings: manifest.settings.clone(),
            workers: manifest.workers.clone(),
            order: plan.order.clone(),
            nodes: plan.nodes.clone(),
            codes,
            code_of,
        }
    }
}

/// The file of a plan whose premises hold. It stays open: what is read and appended belongs to this plan, even if another run has
/// replaced the file by that of another plan.
pub struct Kept {
    path: PathBuf,
    file: File,
    head: Head,
    plan_at: u64,
    states_at: u64,
    tail: Tail,
    /// The node states, once they have been read.
    prior: Option<Prior>,
}

/// What follows the plan in the file.
#[derive(Clone, Copy, PartialEq)]
enum Tail {
    Nothing,
    /// Node states, after which a change can be appended.
    States,
    /// Torn or long: it must be rewritten.
    Spent,
}

impl Kept {
    /// The name of the file for a manifest with these `--set` arguments.
    pub fn name(manifest: &Path, sets: &[String]) -> String {
        let mut all = vec![manifest.as_os_str().as_encoded_bytes().to_vec()];
        all.extend(sets.iter().map(|s| s.as_bytes().to_vec()));
        Digest::derive("lfs-pipe 2026 kept plan", &all.join(&0)).to_string()[..16].to_owned()
    }

    /// Opens a file, if it is of this cache and its premises hold.
    pub fn open(path: &Path, cache: &Path, hold: &dyn Fn(&Premises) -> bool) -> Option<Self> {
        // A read-only cache is useful, too.
        let file = File::options().read(true).append(true).open(path).or_else(|_| File::open(path)).ok()?;
        let plan_at = frame::end(&file, 0)?;
        let head: Head = frame::value(&file, 0, plan_at)?;
        let states_at = frame::end(&file, plan_at)?;
        let holds = head.cache == cache && hold(&head.premises);
        let path = path.to_owned();
        holds.then_some(Self { path, file, head, plan_at, states_at, tail: Tail::Nothing, prior: None })
    }

    /// Writes the file of a plan, replacing an existing one.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn create(path: &Path, head: Head, manifest: &Manifest, plan: &Plan) -> std::io::Result<Self> {
        let first = frame::framed(&head)?;
        let plan = frame::framed(&PlanPart::of(manifest, plan))?;
        let (plan_at, states_at) = (first.len() as u64, (first.len() + plan.len()) as u64);
        let file = replace(path, &[&first, &plan])?;
        let path = path.to_owned();
        Ok(Self { path, file, head, plan_at, states_at, tail: Tail::Nothing, prior: None })
    }

    /// The first part of the file.
    pub fn head(&self) -> &Head {
        &self.head
    }

    /// Whether every node is up to date. If not, the stats that were read are used by the run that follows.
    pub fn is_up_to_date(&mut self, cache: &Cache, database: Option<u64>) -> bool {
        let described = self.head.workers.as_ref().map(|named| worker::state(named, &self.head.root));
        if described.is_some_and(|now| now != self.head.described) {
            return false;
        }
        let mut prior = self.prior(cache, database);
        let Head { root, out, inputs, outputs, .. } = &self.head;
        let up_to_date = prior.check_inputs(root, inputs) && prior.check_outputs(out, outputs);
        self.prior = Some(prior);
        up_to_date
    }

    /// The run that left the states, if they have been read.
    pub fn base(&self) -> Option<String> {
        self.prior.as_ref()?.run()
    }

    /// The manifest (without drafts: they have been planned already), its plan, and the premises.
    pub fn plan(&mut self, path: &Path, text: &str, sets: &[String]) -> Option<(Manifest, Plan, Premises)> {
        let Self { file, head, plan_at, states_at, prior, .. } = self;
        let read = || frame::value::<PlanPart>(file, *plan_at, *states_at);
        let part = match prior {
            // If an input has changed, the outputs have not been checked yet.
            Some(prior) if prior.has_changed_inputs() => {
                rayon::join(read, || prior.check_outputs(&head.out, &head.outputs)).0
            }
            _ => read(),
        }?;
        let premises = &head.premises;
        let manifest = Manifest {
            path: path.to_owned(),
            root: folder(path),
            sources: Sources::of(path, text, sets),
            settings: part.settings,
            workers: part.workers,
            environment: premises.environment().clone(),
            drafts: Vec::new(),
        };
        let codes: Vec<_> = part.codes.into_iter().map(Arc::new).collect();
        let mut nodes = part.nodes;
        for (node, code) in nodes.iter_mut().zip(part.code_of) {
            node.code = codes.get(code).cloned().unwrap_or_default();
        }
        let plan = Plan::kept(nodes, part.order, premises, head.described);
        Some((manifest, plan, premises.clone()))
    }

    /// The node states at the end of the last run, if they can be used: no result was withdrawn since, and that run is in this run
    /// database.
    pub fn prior(&mut self, cache: &Cache, database: Option<u64>) -> Prior {
        if let Some(prior) = self.prior.take() {
            return prior;
        }
        let states = self.read_states().filter(|states| states.hold(cache, database));
        Prior::of(states.unwrap_or_else(|| NodeStates::none(self.head.nodes)))
    }

    fn read_states(&mut self) -> Option<NodeStates> {
        let bytes = frame::bytes(&self.file, self.states_at, self.file.metadata().ok()?.len())?;
        let mut rest = bytes.as_slice();
        let mut states: Option<NodeStates> = None;
        let (mut whole, mut added) = (0, 0);
        while let Some((body, behind)) = frame::first(rest) {
            let Ok(entry) = postcard::from_bytes(body) else { break };
            match (entry, &mut states) {
                (Entry::All(all), _) => {
                    (whole, added) = (body.len(), 0);
                    states = Some(all);
                }
                (Entry::Changed(change), Some(states)) => {
                    added += body.len();
                    states.apply(change);
                }
                (Entry::Changed(_), None) => {}
            }
            rest = behind;
        }
        let sound = rest.is_empty() && added <= whole / 2;
        self.tail = match states.is_some() && sound {
            true => Tail::States,
            false if bytes.is_empty() => Tail::Nothing,
            false => Tail::Spent,
        };
        states.map(NodeStates::read)
    }

    /// Keeps node states for the next run.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn save(&mut self, states: &NodeStates) -> std::io::Result<()> {
        if let Some(change) = states.change().filter(|_| self.tail == Tail::States) {
            return self.file.write_all(&frame::framed(&Entry::<&NodeStates, _>::Changed(change))?);
        }
        let all = frame::framed(&Entry::<_, ()>::All(states))?;
        if self.tail == Tail::Nothing {
            self.file.write_all(&all)?;
        } else {
            let before = frame::bytes(&self.file, 0, self.states_at).unwrap_or_default();
            self.file = replace(&self.path, &[&before, &all])?;
        }
        self.tail = Tail::States;
        Ok(())
    }
}

/// Replaces a file with one of these bytes; what is written to it is appended.
fn replace(path: &Path, bytes: &[&[u8]]) -> std::io::Result<File> {
    let mut temporary =
        tempfile::Builder::new().append(true).tempfile_in(path.parent().unwrap_or(Path::new(".")))?;
    temporary.write_all(&bytes.concat())?;
    temporary.persist(path).map_err(|e| e.error)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::cache::{Hashed, Stored};
    use crate::fingerprint::Key;
    use crate::plan::{Asked, Grounds, Kinds, build};
    use crate::state::NodeState;

    const TEXT: &str = "[stage.a]\nkind = \"command\"\nrun = \"true\"\noutput.o = \"o\"\n";
    const DATABASE: Option<u64> = Some(7);

    fn state(n: u8) -> Option<NodeState> {
        let digest = Digest([n; 32]);
        let stored = Stored { digest, bytes: 1, files: 1, folder: false, executable: false };
        let placed = vec![Hashed::in_doubt(&stored)];
        Some(NodeState { key: Key(digest), inputs: digest, placed, seconds: f64::from(n) })
    }

    struct Place {
        dir: tempfile::TempDir,
        cache: Cache,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let cache = Cache::open(&dir.path().join("cache"), Path::new("/pipeline.toml")).unwrap();
            Self { dir, cache }
        }

        fn file(&self) -> PathBuf {
            self.dir.path().join("kept.plan")
        }

        /// The file of a plan without any states.
        fn create(&self) -> Kept {
            let manifest = Manifest::from_text(Path::new("/p/pipeline.toml"), TEXT, &[]).unwrap();
            let (cache, out) = (self.cache.root(), Path::new("/p/out"));
            let grounds = Grounds::new(&manifest.root, &[out.to_owned()], cache, BTreeSet::new());
            let plan = build(&manifest, &Kinds::new(), Digest::default(), &grounds).unwrap();
            let premises = Premises::of(&manifest, TEXT, &[], (Asked::default(), grounds), &plan);
            let head = Head::of(&manifest, (&plan, &premises), (cache, out), (&[], None));
            Kept::create(&self.file(), head, &manifest, &plan).unwrap()
        }

        fn open(&self) -> Kept {
            Kept::open(&self.file(), self.cache.root(), &|_| true).unwrap()
        }

        /// The states with which a run would begin now.
        fn states(&self) -> NodeStates {
            self.open().prior(&self.cache, DATABASE).into_states()
        }

        fn save(&self, kept: &mut Kept, states: NodeStates, run: &str) {
            kept.save(&states.at(self.cache.records_mark(), run, true).recorded_in(DATABASE).unwrap())
                .unwrap();
        }

        /// A run that changes one node.
        fn run(&self, run: &str, node: usize, n: u8) {
            let mut kept = self.open();
            let mut states = kept.prior(&self.cache, DATABASE).into_states();
            states.put(node, state(n));
            self.save(&mut kept, states, run);
        }

        fn bytes(&self) -> usize {
            std::fs::read(self.file()).unwrap().len()
        }
    }

    fn keys(states: &NodeStates, nodes: usize) -> Vec<Option<u8>> {
        (0..nodes).map(|i| states.node(i).map(|state| state.key.0.0[0])).collect()
    }

    #[test]
    fn the_plan_is_what_was_kept_if_its_premises_hold() {
        let place = Place::new();
        place.create();
        let (manifest, plan, _) = place.open().plan(Path::new("/p/pipeline.toml"), TEXT, &[]).unwrap();
        assert_eq!(
            (plan.nodes[0].name.as_str(), manifest.root.as_path(), plan.order.as_slice()),
            ("a", Path::new("/p"), &[0][..])
        );
        assert!(Kept::open(&place.file(), place.cache.root(), &|_| false).is_none());
        assert!(Kept::open(&place.file(), Path::new("/elsewhere"), &|_| true).is_none());
        let whole = std::fs::read(place.file()).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(place.file(), &whole[..cut]).unwrap();
            assert!(Kept::open(&place.file(), place.cache.root(), &|_| true).is_none(), "cut at {cut}");
        }
    }

    #[test]
    fn the_file_grows_with_what_changed_and_is_rewritten_before_that_is_much() {
        let place = Place::new();
        let mut kept = place.create();
        let plan = place.bytes();
        let mut states = NodeStates::none(200);
        (0..200).for_each(|i| states.put(i, state(1)));
        place.save(&mut kept, states, "first");
        let whole = place.bytes() - plan;
        let mut sizes = vec![whole];
        for n in 2..200_u8 {
            place.run(&format!("run {n}"), usize::from(n), n);
            let now = place.states();
            assert_eq!(keys(&now, 200)[usize::from(n)], Some(n));
            assert_eq!(now.run().unwrap(), format!("run {n}"));
            sizes.push(place.bytes() - plan);
        }
        assert_eq!(keys(&place.states(), 200)[2..], (2..200).map(|n| Some(n as u8)).collect::<Vec<_>>());
        assert!(sizes.iter().all(|size| *size < 2 * whole), "{sizes:?}");
        assert!(sizes.windows(2).filter(|pair| pair[1] > pair[0] && pair[1] - pair[0] < 1000).count() > 150);
        assert!(place.open().plan(Path::new("/p/pipeline.toml"), TEXT, &[]).is_some(), "the plan stays");
    }

    #[test]
    fn of_two_runs_at_once_the_second_builds_on_nothing() {
        let place = Place::new();
        let mut kept = place.create();
        place.save(&mut kept, NodeStates::none(3), "first");
        let (mut one, mut two) = (place.open(), place.open());
        let states = |kept: &mut Kept, node, n| {
            let mut states = kept.prior(&place.cache, DATABASE).into_states();
            states.put(node, state(n));
            states
        };
        let (a, b) = (states(&mut one, 0, 1), states(&mut two, 1, 2));
        place.save(&mut one, a, "one");
        place.save(&mut two, b, "two");
        let now = place.states();
        assert_eq!((keys(&now, 3), now.run()), (vec![Some(1), None, None], Some("one".into())));
        // The states of a run that is in another database are not used.
        let other = place.open().prior(&place.cache, Some(8)).into_states();
        assert_eq!((keys(&other, 3), other.run()), (vec![None; 3], None));
    }

    #[test]
    fn a_run_of_another_plan_in_between_is_not_mixed_up_with_this_one() {
        let place = Place::new();
        let mut kept = place.create();
        place.save(&mut kept, NodeStates::none(3), "first");
        let mut mine = place.open();
        let mut states = mine.prior(&place.cache, DATABASE).into_states();
        states.put(0, state(1));
        // Another run replaces the file with that of its own plan.
        let mut other = place.create();
        place.save(&mut other, NodeStates::none(3), "other");
        place.save(&mut mine, states, "mine");
        let now = place.states();
        assert_eq!((keys(&now, 3), now.run()), (vec![None; 3], Some("other".into())));
    }

    #[test]
    fn a_torn_change_is_left_out_and_the_next_run_writes_all() {
        let place = Place::new();
        let mut kept = place.create();
        place.save(&mut kept, NodeStates::none(3), "first");
        place.run("second", 0, 1);
        let bytes = std::fs::read(place.file()).unwrap();
        std::fs::write(place.file(), &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!((keys(&place.states(), 3), place.states().run()), (vec![None; 3], Some("first".into())));
        place.run("third", 2, 3);
        assert_eq!(keys(&place.states(), 3), [None, None, Some(3)]);
    }

    #[test]
    fn states_without_news_or_of_another_database_are_not_kept() {
        let place = Place::new();
        let mut kept = place.create();
        place.save(&mut kept, NodeStates::none(3), "first");
        assert!(place.states().recorded_in(DATABASE).is_none(), "nothing is new");
        let mut states = place.states();
        states.put(0, state(1));
        assert!(states.recorded_in(Some(8)).is_none(), "the run that they build on is in another database");
        assert!(NodeStates::none(3).recorded_in(DATABASE).is_none(), "no run left them");
    }
}
