//! Random pipelines and random edits, against a model that runs everything each time.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;

use crate::support::Project;

/// A pipeline: node `i` writes its word and then what it reads, of files and of nodes before it.
#[derive(Debug, Clone)]
struct Model {
    nodes: Vec<Node>,
    files: Vec<String>,
}

#[derive(Debug, Clone)]
struct Node {
    word: u8,
    files: BTreeSet<usize>,
    nodes: BTreeSet<usize>,
    /// Lines with `#` are left out: an edit may change nothing.
    filters: bool,
}

#[derive(Debug, Clone)]
enum Edit {
    Word(usize, u8),
    File(usize, u8),
    Remark(usize),
    Read(usize, usize),
    Output(usize, u8),
    Target(usize),
    Nothing,
}

impl Model {
    fn manifest(&self) -> String {
        let mut text = String::new();
        for (i, node) in self.nodes.iter().enumerate() {
            let files = node.files.iter().map(|f| format!("{{ path = \"in/{f}\" }}"));
            let nodes = node.nodes.iter().map(|n| format!("\"n{n}\""));
            let all: Vec<String> = files.chain(nodes).collect();
            let cat = if node.filters { "cat $IN_all | { grep -v '#' || true; }" } else { "cat $IN_all" };
            let run = match all.is_empty() {
                true => format!("echo w{} > $OUT_o", node.word),
                false => format!("{{ echo w{}; {cat}; }} > $OUT_o", node.word),
            };
            text += &format!("[stage.n{i}]\nkind = \"command\"\nrun = \"{run}\"\noutput.o = \"o\"\n");
            if !all.is_empty() {
                text += &format!("input.all = [{}]\n", all.join(", "));
            }
        }
        text
    }

    /// What a node depends on, and what it writes.
    fn result(&self, i: usize) -> (String, String) {
        let node = &self.nodes[i];
        let mut read = String::new();
        let reads = !node.files.is_empty() || !node.nodes.is_empty();
        let mut key = format!("{} {}", node.word, node.filters && reads);
        for f in &node.files {
            read += &self.files[*f];
            key += &format!("|file {f}: {}", self.files[*f]);
        }
        for n in &node.nodes {
            let (_, text) = self.result(*n);
            key += &format!("|node {n}: {text}");
            read += &text;
        }
        if node.filters {
            read = read.lines().filter(|l| !l.contains('#')).map(|l| format!("{l}\n")).collect();
        }
        (key, format!("w{}\n{read}", node.word))
    }

    fn needed(&self, target: Option<usize>) -> BTreeSet<usize> {
        let mut open: Vec<usize> = target.map_or_else(|| (0..self.nodes.len()).collect(), |t| vec![t]);
        let mut out = BTreeSet::new();
        while let Some(i) = open.pop() {
            if out.insert(i) {
                open.extend(&self.nodes[i].nodes);
            }
        }
        out
    }
}

fn model() -> impl Strategy<Value = Model> {
    let node = (
        0_u8..3,
        prop::collection::btree_set(0_usize..3, 0..3),
        prop::collection::vec(0_usize..8, 0..3),
        any::<bool>(),
    );
    (prop::collection::vec(node, 2..8), prop::collection::vec(0_u8..3, 3)).prop_map(|(nodes, files)| Model {
        nodes: nodes
            .into_iter()
            .enumerate()
            .map(|(i, (word, files, before, filters))| Node {
                word,
                files,
                nodes: before.into_iter().filter(|b| *b < i).collect(),
                filters,
            })
            .collect(),
        files: files.into_iter().map(|f| format!("line {f}\n")).collect(),
    })
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        (0_usize..8, 0_u8..3).prop_map(|(i, w)| Edit::Word(i, w)),
        (0_usize..3, 0_u8..3).prop_map(|(f, w)| Edit::File(f, w)),
        (0_usize..3).prop_map(Edit::Remark),
        (0_usize..8, 0_usize..8).prop_map(|(i, n)| Edit::Read(i, n)),
        (0_usize..8, 0_u8..3).prop_map(|(i, how)| Edit::Output(i, how)),
        (0_usize..8).prop_map(Edit::Target),
        Just(Edit::Nothing),
    ]
}

fn check(mut model: Model, edits: &[(Edit, bool)]) -> Result<(), TestCaseError> {
    let p = Project::new(&model.manifest());
    let mut seen: BTreeSet<String> = BTreeSet::new();
    for (edit, told) in std::iter::once(&(Edit::Nothing, true)).chain(edits) {
        let mut target = None;
        let count = model.nodes.len();
        match *edit {
            Edit::Word(i, word) => model.nodes[i % count].word = word,
            Edit::File(f, word) => model.files[f] = format!("line {word}\n"),
            Edit::Remark(f) => model.files[f] += "# a remark\n",
            Edit::Read(i, n) => {
                let (i, n) = (i % count, n % count);
                if n < i && !model.nodes[i].nodes.remove(&n) {
                    model.nodes[i].nodes.insert(n);
                }
            }
            Edit::Output(i, how) => {
                let path = p.path(&format!("out/n{}/o", i % count));
                match how {
                    0 => drop(std::fs::remove_file(path)),
                    1 if path.exists() => std::fs::write(path, "tampered\n").unwrap(),
                    _ => drop(std::fs::remove_dir_all(p.path("out"))),
                }
            }
            Edit::Target(i) => target = Some(i % count),
            Edit::Nothing => {}
        }
        p.write("pipeline.toml", &model.manifest());
        for (i, text) in model.files.iter().enumerate() {
            // An unchanged file keeps its times.
            if std::fs::read_to_string(p.path(&format!("in/{i}"))).ok().as_ref() != Some(text) {
                p.write(&format!("in/{i}"), text);
            }
        }
        let name = target.map(|t| format!("n{t}"));
        // No one wants to keep the edited outputs.
        let args: Vec<&str> = ["-j2", "--overwrite"].into_iter().chain(name.as_deref()).collect();
        // A plain run, which writes no events, may end with the no-op check.
        let ran = if *told { p.run_ok(&args) } else { p.call(&[&["run"], args.as_slice()].concat()) };
        prop_assert_eq!(ran.code, 0, "{}", ran.err);
        let needed = model.needed(target);
        let mut new: HashMap<String, Vec<String>> = HashMap::new();
        for i in &needed {
            let (key, text) = model.result(*i);
            let found = p.read(&format!("out/n{i}/o"));
            prop_assert_eq!(&found, &text, "n{} after {:?}: {}", i, edit, ran.err);
            if !seen.contains(&key) {
                new.entry(key).or_default().push(format!("n{i}"));
            }
        }
        if !told {
            // Files must be older than a moment for the next run to trust their times.
            std::thread::sleep(std::time::Duration::from_millis(40));
            seen.extend(new.into_keys());
            continue;
        }
        // Exactly one node for each thing that was never computed, and no other.
        let executed = ran.executed();
        let mut left: BTreeMap<&str, ()> = executed.iter().map(|n| (n.as_str(), ())).collect();
        for (key, nodes) in &new {
            let done = nodes.iter().filter(|n| left.remove(n.as_str()).is_some()).count();
            prop_assert_eq!(done, 1, "{} ({:?}) after {:?}: executed {:?}", key, nodes, edit, executed);
        }
        prop_assert!(left.is_empty(), "computed again after {:?}: {:?}", edit, left);
        seen.extend(new.into_keys());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("LFS_TORTURE").ok().and_then(|n| n.parse().ok()).unwrap_or(24),
        failure_persistence: None,
        max_shrink_iters: 200,
        ..ProptestConfig::default()
    })]

    #[test]
    fn p1_p2_random_edits_give_what_running_everything_gives(
        model in model(),
        edits in prop::collection::vec((edit(), any::<bool>()), 1..8),
    ) {
        check(model, &edits)?;
    }
}
