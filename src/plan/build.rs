//! Building the plan: kinds, parameters, references, and the graph.

use std::cell::OnceCell;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use lfs_stage::{Gpus, KindInfo, Shape};
use petgraph::algo::{tarjan_scc, toposort};
use petgraph::graph::NodeIndex;
use serde_json::Value as Json;

use super::grounds::{Grounds, Is};
use super::reference::{self, Stages};
use super::{
    COMMAND, CpuDemand, Input, Kinds, KnownKind, NO_WORKER, Node, Output, Plan, Resources, Source, Work,
    command, demand, graph, parameter_count, pattern, places, schema,
};
use crate::digest::Digest;
use crate::fault::{Fault, Result};
use crate::manifest::{
    Data, Draft, Entry, Manifest, Place, Problem, Problems, Table, Value, nearest, nearest_or_all, shown,
};

/// Builds the plan of a manifest from the kinds that workers described.
///
/// # Errors
/// With every mistake that was found.
pub fn build(manifest: &Manifest, kinds: &Kinds, described: Digest, grounds: &Grounds) -> Result<Plan> {
    let mut builder = Builder {
        manifest,
        kinds,
        described,
        grounds,
        placed: OnceCell::new(),
        patterns: Vec::new(),
        wrong: Vec::new(),
    };
    let plan = builder.plan();
    match plan {
        Some(plan) if builder.wrong.is_empty() => Ok(plan),
        _ => Err(Fault::Manifest(Box::new(Problems::new(manifest.sources.clone(), dedupe(builder.wrong))))),
    }
}

/// A mistake in a matrix stage is found once per node, and reported once.
fn dedupe(list: Vec<Problem>) -> Vec<Problem> {
    let mut seen = std::collections::HashSet::new();
    list.into_iter().filter(|p| seen.insert(format!("{p:?}"))).collect()
}

struct Builder<'a> {
    manifest: &'a Manifest,
    kinds: &'a Kinds,
    described: Digest,
    grounds: &'a Grounds,
    /// Where each output appears, below the output folder.
    placed: OnceCell<HashMap<PathBuf, (usize, usize)>>,
    patterns: Vec<(String, Vec<PathBuf>)>,
    wrong: Vec<Problem>,
}

/// What is left of a draft after its common keys are taken out.
struct Rest<'a> {
    draft: &'a Draft,
    input: Option<Entry>,
}

impl<'a> Builder<'a> {
    fn plan(&mut self) -> Option<Plan> {
        let drafts = &self.manifest.drafts;
        if drafts.is_empty() {
            let place = Place { source: 0, range: 0..0 };
            let problem = Problem::new("this manifest has no stage", &place, "here");
            self.wrong.push(problem.help("add one: `[stage.NAME]` with `kind = \"command\"`"));
            return None;
        }
        let mut nodes = Vec::with_capacity(drafts.len());
        let mut rests = Vec::with_capacity(drafts.len());
        for draft in drafts {
            let (node, rest) = self.node(draft);
            nodes.push(node);
            rests.push(rest);
        }
        let mut stages: Stages<'a> = HashMap::new();
        for (i, draft) in drafts.iter().enumerate() {
            stages.entry(draft.stage.as_str()).or_default().push(i);
        }
        places::check(&nodes, self.grounds, &mut self.wrong);
        for (i, rest) in rests.iter().enumerate() {
            let inputs = self.inputs(rest, &stages, &nodes);
            nodes[i].inputs = inputs;
        }
        if !self.wrong.is_empty() {
            return None;
        }
        self.connect(nodes)
    }

    fn node(&mut self, draft: &'a Draft) -> (Node, Rest<'a>) {
        let mut table = draft.table.clone();
        let input = table.take("input");
        let resources = table.take("resources");
        let timeout = table.take("timeout").and_then(|e| self.duration(&e.value));
        let retries = table.take("retries").and_then(|e| self.count(&e.value, "retries")).unwrap_or(0);
        let mut node = Node {
            name: draft.name(),
            stage: draft.stage.clone(),
            labels: draft.labels.clone(),
            kind: draft.kind.0.clone(),
            place: draft.place.clone(),
            work: Work::Worker(0),
            parameters: Json::Null,
            code: Arc::default(),
            environment: BTreeMap::new(),
            inputs: Vec::new(),
            outputs: Vec::new(),
            resources: Resources { cpu: CpuDemand::Count(1), gpu: 0, memory: 0 },
            process: None,
            timeout,
            retries,
        };
        if draft.kind.0 == COMMAND {
            let (work, outputs) = command::read(draft, &table, &self.manifest.root, &mut self.wrong);
            node.work = work;
            node.outputs = outputs;
        } else if let Some(kind) = self.kinds.get(&draft.kind.0) {
            self.worker_node(&mut node, draft, kind, &table);
        } else {
            let none = self.kinds.is_empty() && nearest(&draft.kind.0, [COMMAND]).is_none();
            let names = std::iter::once(COMMAND).chain(self.kinds.keys().map(String::as_str));
            let help = match none {
                true => Some(NO_WORKER.to_owned()),
                false => nearest_or_all(&draft.kind.0, names.collect::<Vec<_>>(), "kinds are"),
            };
            let problem =
                Problem::new(format!("there is no kind `{}`", draft.kind.0), &draft.kind.1, "named here");
            self.wrong.push(problem.maybe_help(help));
        }
        let wanted = node.resources.gpu;
        if let Some(resources) = resources {
            self.resources(&resources.value, &mut node.resources);
            if node.resources.gpu < wanted {
                let gpus = |n: u32| if n == 1 { "1 GPU".to_owned() } else { format!("{n} GPUs") };
                let said = format!(
                    "stage `{}` is given {} and wants {}",
                    draft.stage,
                    gpus(node.resources.gpu),
                    gpus(wanted)
                );
                let problem = Problem::new(said, &resources.place, "given here");
                self.wrong.push(
                    problem.help("leave `resources.gpu` out, or choose another `device` for the stage"),
                );
            }
        }
        (node, Rest { draft, input })
    }

    fn worker_node(&mut self, node: &mut Node, draft: &Draft, kind: &KnownKind, table: &Table) {
        let info: &KindInfo = &kind.info;
        let mut parameters =
            schema::resolve(&info.parameters, table, &draft.kind.1, &info.name, &mut self.wrong);
        let mut code = Arc::clone(&kind.code);
        let mut environment = info.facts.clone();
        node.process.clone_from(&info.process);
        // All are replaced first: what a choice adds may depend on the value of another parameter.
        for (name, choices) in &info.choices {
            let value = parameters.get(name).and_then(Json::as_str);
            if let Some(becomes) = value.and_then(|v| choices.get(v)).and_then(|c| c.becomes.as_deref()) {
                parameters[name] = Json::from(becomes);
            }
        }
        for (name, choices) in &info.choices {
            let Some(value) = parameters.get(name).and_then(Json::as_str) else { continue };
            let Some(choice) = choices.get(value).filter(|c| c.counts(&parameters)) else { continue };
            if let Some(why) = &choice.unavailable {
                let place = table.get(name).map_or(&draft.kind.1, |v| &v.place);
                let problem =
                    Problem::new(format!("`{name} = \"{value}\"` cannot be used here"), place, why.as_str());
                self.wrong.push(problem);
            }
            Arc::make_mut(&mut code).extend(choice.code.clone());
            environment.extend(choice.facts.clone());
            node.process = node.process.take().or_else(|| choice.process.clone());
            node.resources.gpu += match &choice.gpus {
                None => 0,
                Some(Gpus::One) => 1,
                Some(Gpus::Parameter(name)) => parameter_count(&parameters, name),
            };
        }
        node.work = Work::Worker(kind.worker);
        node.resources.cpu = demand(&info.cpu, &parameters);
        node.parameters = parameters;
        node.code = code;
        node.environment = environment;
        for output in &info.outputs {
            if let Some(why) = places::add(&mut node.outputs, &output.name, &output.path) {
                let said = format!("kind `{}` cannot be used: {}", info.name, why.0);
                self.wrong.push(
                    Problem::new(said, &draft.kind.1, "named here")
                        .help(format!("{}; this is a defect of the worker", why.1)),
                );
            }
        }
    }

    fn inputs(&mut self, rest: &Rest<'_>, stages: &Stages<'_>, nodes: &[Node]) -> Vec<Input> {
        let known = self.kinds.get(&rest.draft.kind.0).map(|k| k.info.inputs.as_slice());
        let empty = Table::default();
        let table = match rest.input.as_ref().map(|e| &e.value) {
            None => &empty,
            Some(Value { data: Data::Table(table), .. }) => table,
            Some(value) => {
                let problem = Problem::new(
                    "`input` must be a table",
                    &value.place,
                    format!("this is {}", value.type_name()),
                );
                let name = known.and_then(|k| k.first()).map_or("NAME", |i| i.name.as_str());
                self.wrong.push(problem.help(format!("write `input.{name} = ...`")));
                return vec![];
            }
        };
        let mut inputs = Vec::new();
        for entry in &table.entries {
            let shape = match known {
                None if command::variable(&entry.key) => None,
                None => {
                    let problem = Problem::new(
                        format!("`{}` cannot be an input's name", entry.key),
                        &entry.place,
                        "here",
                    );
                    self.wrong
                        .push(problem.help("use letters, digits and `_`: the command sees it as `$IN_name`"));
                    continue;
                }
                Some(all) => match all.iter().find(|i| i.name == entry.key) {
                    Some(info) => Some(info.shape),
                    None => {
                        let kind = &rest.draft.kind.0;
                        let names = all.iter().map(|i| i.name.as_str()).collect::<Vec<_>>();
                        let help = nearest_or_all(&entry.key, names, "its inputs are")
                            .unwrap_or_else(|| format!("kind `{kind}` reads nothing"));
                        let problem = Problem::new(
                            format!("kind `{kind}` has no input `{}`", entry.key),
                            &entry.place,
                            "not known here",
                        );
                        self.wrong.push(problem.help(help));
                        continue;
                    }
                },
            };
            let before = self.wrong.len();
            let (mut sources, list) = self.sources(&entry.value, &entry.key, stages, nodes);
            sources.dedup();
            let several = match shape {
                Some(Shape::Several | Shape::Any) => true,
                Some(_) => false,
                None => list || sources.len() > 1,
            };
            if !several && sources.len() > 1 && self.wrong.len() == before {
                let problem = Problem::new(
                    format!("input `{}` wants one output, and this means {}", entry.key, sources.len()),
                    &entry.value.place,
                    "which one is meant?",
                );
                self.wrong.push(problem.maybe_help(Self::pick_help(&sources, nodes)));
            }
            if known.is_none() && several {
                self.refuse_line_ends(&sources, nodes, &entry.value.place);
            }
            inputs.push(Input { name: entry.key.clone(), several, sources });
        }
        for info in known.into_iter().flatten() {
            let needed = !matches!(info.shape, Shape::Optional | Shape::Any);
            if needed && table.get(&info.name).is_none() {
                let problem = Problem::new(
                    format!("stage `{}` lacks the input `{}`", rest.draft.stage, info.name),
                    &rest.draft.place,
                    format!("kind `{}` needs it", rest.draft.kind.0),
                );
                self.wrong.push(problem.help(format!("add `input.{} = \"...\"`: {}", info.name, info.about)));
            }
        }
        inputs.sort_by(|a, b| a.name.cmp(&b.name));
        inputs
    }

    fn pick_help(sources: &[Source], nodes: &[Node]) -> Option<String> {
        let names: Vec<String> = sources
            .iter()
            .filter_map(|s| match s {
                Source::Node { node, output } => {
                    Some(format!("`{}.{}`", nodes[*node].name, nodes[*node].outputs[*output].name))
                }
                Source::Path { .. } => None,
            })
            .take(3)
            .collect();
        (!names.is_empty()).then(|| format!("for example {}", names.join(" or ")))
    }

    /// The sources of an input, and whether it was written as a list.
    fn sources(
        &mut self,
        value: &Value,
        input: &str,
        stages: &Stages<'_>,
        nodes: &[Node],
    ) -> (Vec<Source>, bool) {
        match &value.data {
            Data::Text(text) => {
                let Some((found, asked)) =
                    reference::nodes(text, &value.place, stages, &self.manifest.drafts, &mut self.wrong)
                else {
                    return (vec![], false);
                };
                let whole_matrix = found.len() > 1;
                let mut out = Vec::new();
                for node in found {
                    let Node { stage, outputs, .. } = &nodes[node];
                    if outputs.is_empty() {
                        continue; // its own mistake has been reported
                    }
                    let output = reference::output(
                        asked.as_deref(),
                        input,
                        stage,
                        outputs,
                        &value.place,
                        &mut self.wrong,
                    );
                    match output {
                        Some(output) => out.push(Source::Node { node, output }),
                        None => break,
                    }
                }
                (out, whole_matrix)
            }
            Data::Table(table) => {
                for entry in table.entries.iter().filter(|e| e.key != "path") {
                    self.wrong.push(Problem::new(
                        format!("unknown key `{}`", entry.key),
                        &entry.place,
                        "an input table has `path`",
                    ));
                }
                match table.get("path").and_then(Value::as_text) {
                    Some(text) => {
                        let place = table.get("path").map_or(&value.place, |v| &v.place);
                        self.paths(text, input, place, nodes)
                    }
                    None => {
                        let problem =
                            Problem::new(format!("input `{input}` names no path"), &value.place, "here");
                        self.wrong
                            .push(problem.help(format!("write `input.{input} = {{ path = \"FILE\" }}`")));
                        (vec![], false)
                    }
                }
            }
            Data::List(list) => {
                let all = list.iter().flat_map(|v| self.sources(v, input, stages, nodes).0).collect();
                (all, true)
            }
            _ => {
                let problem = Problem::new(
                    format!("input `{input}` must be a reference or a path"),
                    &value.place,
                    format!("this is {}", value.type_name()),
                );
                self.wrong.push(problem.help(format!(
                    "write `input.{input} = \"stage.output\"` or `input.{input} = {{ path = \"FILE\" }}`"
                )));
                (vec![], false)
            }
        }
    }

    /// What a path of the manifest means: an own file or folder, an output, or the files that match a pattern.
    fn paths(&mut self, text: &str, input: &str, place: &Place, nodes: &[Node]) -> (Vec<Source>, bool) {
        let root = &self.manifest.root;
        let own = |path: PathBuf| {
            let shown = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
            Source::Path { path, shown, place: place.clone() }
        };
        let is_pattern = pattern::is_pattern(root, text);
        let path = if is_pattern { root.join(pattern::fixed(text)) } else { root.join(text) };
        // A pattern may begin above the output folder; it does not search it.
        match self.grounds.judge(&path, input, nodes, &|below| self.placed_at(below, nodes)) {
            Is::Output { node, output } if !is_pattern => {
                return (vec![Source::Node { node, output }], false);
            }
            Is::Inside(what, help) => {
                self.wrong
                    .push(Problem::new(format!("`{text}` lies in {what}"), place, "named here").help(help));
                return (vec![], is_pattern);
            }
            Is::Around(what, help) if !is_pattern => {
                let said = format!("`{text}` holds {what}, which the run itself writes");
                self.wrong.push(Problem::new(said, place, "named here").help(help));
                return (vec![], is_pattern);
            }
            _ => {}
        }
        if !is_pattern {
            if text.contains(['*', '?', '[']) {
                // If this file did not exist, the same text would be a pattern.
                self.patterns.push((text.to_owned(), vec![path.clone()]));
            }
            return (vec![Source::Path { path, shown: text.to_owned(), place: place.clone() }], false);
        }
        match pattern::matching(root, text, &self.grounds.left_out()) {
            Ok(found) if !found.is_empty() => {
                self.patterns.push((text.to_owned(), found.clone()));
                return (found.into_iter().map(own).collect(), true);
            }
            Ok(_) => {
                let problem = Problem::new(format!("nothing matches `{text}`"), place, "here");
                self.wrong.push(problem.help(format!(
                    "patterns mean files, are relative to {}, and match hidden names only where they write the dot",
                    shown(root)
                )));
            }
            Err(pattern::Wrong::Syntax(why)) => {
                self.wrong.push(Problem::new(format!("`{text}` is no pattern: {why}"), place, "here"));
            }
            Err(pattern::Wrong::Found(all)) => {
                let more =
                    if all.len() > 3 { format!("\n  and {} more", all.len() - 3) } else { String::new() };
                let told = all.iter().take(3).map(String::as_str).collect::<Vec<_>>().join("\n  ");
                let problem = Problem::new(
                    format!("`{text}` cannot be expanded: {told}{more}"),
                    place,
                    "in this pattern",
                );
                self.wrong.push(
                    problem
                        .help("remove it or make it readable, or write a pattern that does not lead there"),
                );
            }
        }
        (vec![], true)
    }

    /// The output that appears at a path below the output folder.
    fn placed_at(&self, below: &Path, nodes: &[Node]) -> Option<(usize, usize)> {
        let all = || {
            let of = |(i, node): (usize, &Node)| {
                let folder = node.folder();
                let place = move |(o, output): (usize, &Output)| (folder.join(&output.path), (i, o));
                node.outputs.iter().enumerate().map(place).collect::<Vec<_>>()
            };
            nodes.iter().enumerate().flat_map(of).collect()
        };
        self.placed.get_or_init(all).get(below).copied()
    }

    /// A command reads several inputs as one path per line: a path with a line end would be read as two.
    fn refuse_line_ends(&mut self, sources: &[Source], nodes: &[Node], place: &Place) {
        let text = |source: &Source| match source {
            Source::Path { path, .. } => path.to_string_lossy().into_owned(),
            Source::Node { node, output } => nodes[*node].outputs[*output].path.clone(),
        };
        let odd = sources.iter().map(text).find(|text| text.contains(['\n', '\r']));
        if let Some(odd) = odd {
            let problem = Problem::new(
                format!("the name {odd:?} cannot be one of several inputs of a command"),
                place,
                "meant here",
            );
            self.wrong.push(
                problem.help(
                    "the command sees one path a line; rename it, or make the folder above it the input",
                ),
            );
        }
    }

    fn resources(&mut self, value: &Value, out: &mut Resources) {
        let Data::Table(table) = &value.data else {
            let problem = Problem::new(
                "`resources` must be a table",
                &value.place,
                format!("this is {}", value.type_name()),
            );
            self.wrong.push(problem.help("write `resources = { cpu = 2, memory = \"4 GiB\" }`"));
            return;
        };
        for entry in &table.entries {
            match (entry.key.as_str(), entry.value.as_text()) {
                ("cpu", Some("all")) => out.cpu = CpuDemand::All,
                ("cpu", _) => {
                    if let Some(n) = self.count(&entry.value, "cpu") {
                        out.cpu = CpuDemand::Count(n);
                    }
                }
                ("gpu", _) => {
                    if let Some(n) = self.count(&entry.value, "gpu") {
                        out.gpu = n;
                    }
                }
                ("memory", _) => out.memory = self.bytes(&entry.value).unwrap_or(0),
                (key, _) => {
                    let problem =
                        Problem::new(format!("unknown resource `{key}`"), &entry.place, "not known here");
                    self.wrong.push(problem.maybe_help(nearest_or_all(
                        key,
                        ["cpu", "gpu", "memory"],
                        "resources are",
                    )));
                }
            }
        }
    }

    fn count(&mut self, value: &Value, name: &str) -> Option<u32> {
        let found = match value.data {
            Data::Int(i) => u32::try_from(i).ok(),
            _ => None,
        };
        if found.is_none() {
            let said = value.plain().unwrap_or_else(|| value.type_name().to_owned());
            self.wrong.push(Problem::new(
                format!("`{name}` must be a whole number from 0"),
                &value.place,
                format!("this is {said}"),
            ));
        }
        found
    }

    fn bytes(&mut self, value: &Value) -> Option<u64> {
        let found = match &value.data {
            Data::Int(i) => u64::try_from(*i).ok(),
            Data::Text(text) => text.parse::<bytesize::ByteSize>().ok().map(|size| size.as_u64()),
            _ => None,
        };
        if found.is_none() {
            let problem = Problem::new("`memory` must be an amount of memory", &value.place, "here");
            self.wrong
                .push(problem.help("write a number of bytes, or a text such as \"4 GiB\" or \"500 MiB\""));
        }
        found
    }

    fn duration(&mut self, value: &Value) -> Option<Duration> {
        let units = [("ms", 0.001), ("s", 1.0), ("min", 60.0), ("h", 3600.0), ("d", 86400.0)];
        let found = match &value.data {
            Data::Int(i) => u64::try_from(*i).ok().map(Duration::from_secs),
            Data::Text(text) => units
                .iter()
                .find_map(|(unit, size)| Some((text.strip_suffix(unit)?.trim().parse::<f64>().ok()?, *size)))
                .and_then(|(number, size)| Duration::try_from_secs_f64(number * size).ok()),
            _ => None,
        };
        if found.is_none() {
            let problem = Problem::new("`timeout` must be a span of time", &value.place, "here");
            self.wrong.push(
                problem.help("write a number of seconds, or a text such as \"90 s\", \"10 min\" or \"12 h\""),
            );
        }
        found
    }

    fn connect(&mut self, nodes: Vec<Node>) -> Option<Plan> {
        let graph = graph(&nodes);
        let Ok(order) = toposort(&graph, None) else {
            for ring in tarjan_scc(&graph) {
                let itself = ring.len() == 1 && graph.contains_edge(ring[0], ring[0]);
                if ring.len() > 1 || itself {
                    self.ring(&ring, &nodes);
                }
            }
            return None;
        };
        let order = order.into_iter().map(|i| graph[i]).collect();
        let patterns = std::mem::take(&mut self.patterns);
        Some(Plan {
            nodes,
            graph,
            order,
            patterns,
            own_folders: self.grounds.left_out(),
            described: self.described,
            by_name: OnceLock::new(),
        })
    }

    fn ring(&mut self, ring: &[NodeIndex], nodes: &[Node]) {
        let mut names: Vec<&str> = ring.iter().map(|i| nodes[i.index()].name.as_str()).collect();
        names.sort_unstable();
        let mut places: Vec<&Node> = ring.iter().map(|i| &nodes[i.index()]).collect();
        places.sort_by_key(|n| n.place.range.start);
        places.dedup_by_key(|n| n.place.range.start);
        let message = match names.as_slice() {
            [one] => format!("`{one}` reads itself"),
            all => format!("these nodes read each other in a ring: `{}`", all.join("`, `")),
        };
        let mut problem = Problem::new(message, &places[0].place, "in the ring");
        for node in places.iter().skip(1).take(5) {
            problem = problem.also(&node.place, "in the ring");
        }
        self.wrong.push(problem.help("take one of their inputs away"));
    }
}
