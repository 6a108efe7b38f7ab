//! Reading `pipeline.toml`: variables, `--set`, the matrix, and every mistake with its line.
//!
//! The result is a list of [`Draft`]s, one per node, in file order, with every `${...}` filled in. What the parameters of a kind
//! mean is not known here: see `plan`.

mod matrix;
mod overrides;
mod scope;
mod value;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use crate::problem::{Place, Problem, Problems, Sources, nearest, nearest_or_all, shown};
pub use value::{Data, Entry, Table, Value, parse};

use crate::fault::{Fault, Result};
use scope::{Scope, Vars};

/// A manifest, read and filled in.
#[derive(Debug)]
pub struct Manifest {
    /// The file.
    pub path: PathBuf,
    /// The folder that its paths are relative to.
    pub root: PathBuf,
    /// The texts behind every [`Place`].
    pub sources: Sources,
    /// `[pipeline]`.
    pub settings: Settings,
    /// `[workers]`.
    pub workers: Vec<WorkerEntry>,
    /// The variables of the environment that it uses, with their values.
    pub environment: BTreeMap<String, Option<String>>,
    /// A draft for every node, in file order.
    pub drafts: Vec<Draft>,
}

/// `[pipeline]`: where things lie and what is shown after a run.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Settings {
    /// A name for reports; the file's name without its ending by default.
    pub name: Option<String>,
    /// The output folder, relative to the manifest; `out` by default.
    pub out: Option<String>,
    /// The cache folder, relative to the manifest; `cache` by default.
    pub cache: Option<String>,
    /// The address of the store that `push` and `pull` use; a folder is relative to the manifest.
    pub remote: Option<String>,
    /// Outputs whose text is printed after a run: `table.markdown`.
    pub show: Vec<Value>,
    /// The output whose path is printed after a run: `table.html`.
    pub report: Option<Value>,
}

/// A line of `[workers]`: a program that speaks the worker protocol.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WorkerEntry {
    /// Its name.
    pub name: String,
    /// Program and first arguments.
    pub command: Vec<String>,
    /// Files whose change makes the runner ask for a new description, relative to the manifest.
    pub files: Vec<String>,
    /// Its place in the manifest.
    pub place: Place,
}

/// A node before its kind is known.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The stage's name.
    pub stage: String,
    /// The place of the stage's name.
    pub place: Place,
    /// The matrix labels, in the order of the matrix.
    pub labels: Vec<(String, String)>,
    /// The kind.
    pub kind: (String, Place),
    /// All other keys.
    pub table: Table,
}

impl Draft {
    /// `train[method=softmax,seed=0]`, or the stage's name alone.
    pub fn name(&self) -> String {
        node_name(&self.stage, &self.labels)
    }
}

/// The name of a node.
pub fn node_name(stage: &str, labels: &[(String, String)]) -> String {
    if labels.is_empty() {
        return stage.to_owned();
    }
    let labels: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
    format!("{stage}[{}]", labels.join(","))
}

impl Manifest {
    /// The cache folder that a manifest's text names, without reading the rest; only a guess.
    pub fn peek_cache(text: &str) -> Option<String> {
        let from = text.find("[pipeline]")?;
        let rest = &text[from..];
        let to = rest[1..].find("\n[").map_or(rest.len(), |at| at + 1);
        let table = parse(&rest[..to], 0).ok()?;
        table.get("pipeline").and_then(|p| match &p.data {
            Data::Table(t) => t.get("cache")?.as_text().map(str::to_owned),
            _ => None,
        })
    }

    /// Reads a manifest and applies `--set` arguments to it.
    ///
    /// # Errors
    /// When the file cannot be read, or with every mistake that was found.
    pub fn load(path: &Path, sets: &[String]) -> Result<Self> {
        Self::from_text(path, &Self::text(path)?, sets)
    }

    /// The text of a manifest.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn text(path: &Path) -> Result<String> {
        let text = std::fs::read_to_string(path).map_err(|e| {
            let fault = Fault::usage(format!("cannot read the manifest {}: {e}", path.display()));
            match e.kind() {
                std::io::ErrorKind::NotFound => {
                    fault.with_help("name another with `lfs-pipe run -f FILE`, or change to the folder that holds `pipeline.toml`")
                }
                _ => fault,
            }
        })?;
        // Line ends are normalised, so that a script of several lines has the same key whatever an editor or a checkout made of it.
        let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
        Ok(text.replace("\r\n", "\n"))
    }

    /// Reads a manifest from its text; `path` says where it would lie.
    ///
    /// # Errors
    /// With every mistake that was found.
    pub fn from_text(path: &Path, text: &str, sets: &[String]) -> Result<Self> {
        let mut sources = Sources::default();
        sources.add(shown(path), text);
        let mut wrong = Vec::new();
        let mut root = match parse(text, 0) {
            Ok(table) => table,
            Err(list) => {
                let list =
                    list.into_iter().map(|(message, place)| Problem::new(message, &place, "here")).collect();
                return Err(Fault::Manifest(Box::new(Problems::new(sources, list))));
            }
        };
        overrides::apply(&mut root, text, sets, &mut sources, &mut wrong);
        let mut read = Reader { wrong };
        let manifest = read.manifest(path, &mut root, sources.clone());
        if read.wrong.is_empty() {
            Ok(manifest)
        } else {
            Err(Fault::Manifest(Box::new(Problems::new(sources, read.wrong))))
        }
    }
}

/// The folder of a manifest, as an absolute path.
pub fn folder(path: &Path) -> PathBuf {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };
    std::path::absolute(&folder).unwrap_or(folder)
}

/// Collects what is wrong while reading.
struct Reader {
    wrong: Vec<Problem>,
}

const TOP: [&str; 4] = ["pipeline", "vars", "workers", "stage"];

impl Reader {
    fn manifest(&mut self, path: &Path, root: &mut Table, sources: Sources) -> Manifest {
        for entry in &root.entries {
            if !TOP.contains(&entry.key.as_str()) {
                let mut help = nearest_or_all(&entry.key, TOP, "a manifest has");
                if entry.value.data_is_stage() {
                    help = Some(format!("a stage is written `[stage.{}]`", entry.key));
                }
                let problem =
                    Problem::new(format!("unknown key `{}`", entry.key), &entry.place, "not known here");
                self.wrong.push(problem.maybe_help(help));
            }
        }
        let vars = self.table(root.take("vars"), "vars");
        let vars = Vars::new(&vars, &mut self.wrong);
        let settings = self.table(root.take("pipeline"), "pipeline");
        let settings = self.settings(&settings, vars.scope());
        let workers = self.table(root.take("workers"), "workers");
        let workers = workers.entries.iter().filter_map(|e| self.worker(e, vars.scope())).collect();
        let stages = self.table(root.take("stage"), "stage");
        let mut drafts = Vec::new();
        for entry in stages.entries {
            self.stage(entry, &vars, &mut drafts);
        }
        let root = folder(path);
        let environment = vars.into_environment();
        Manifest { path: path.to_owned(), root, sources, settings, workers, environment, drafts }
    }

    fn table(&mut self, entry: Option<Entry>, name: &str) -> Table {
        match entry {
            None => Table::default(),
            Some(Entry { value: Value { data: Data::Table(table), .. }, .. }) => table,
            Some(entry) => {
                let label = format!("this is {}", entry.value.type_name());
                self.wrong.push(
                    Problem::new(format!("`{name}` must be a table"), &entry.value.place, label)
                        .help(format!("write `[{name}]` on a line of its own, the entries below it")),
                );
                Table::default()
            }
        }
    }

    fn settings(&mut self, table: &Table, scope: Scope<'_>) -> Settings {
        let mut settings = Settings::default();
        for entry in &table.entries {
            let value = scope.fill(&entry.value, false, &mut self.wrong);
            match entry.key.as_str() {
                "name" => settings.name = self.text(&value, "name"),
                "out" => settings.out = self.text(&value, "out"),
                "cache" => settings.cache = self.text(&value, "cache"),
                "remote" => settings.remote = self.text(&value, "remote"),
                "report" => settings.report = self.text(&value, "report").map(|_| value),
                "show" => match value.data {
                    Data::List(list) => settings.show = list,
                    _ => settings.show = vec![value],
                },
                _ => self.unknown(
                    entry,
                    &["name", "out", "cache", "remote", "show", "report"],
                    "`[pipeline]` has",
                ),
            }
        }
        settings
    }

    fn worker(&mut self, entry: &Entry, scope: Scope<'_>) -> Option<WorkerEntry> {
        let value = scope.fill(&entry.value, false, &mut self.wrong);
        let Data::Table(table) = &value.data else {
            self.wrong.push(
                Problem::new(format!("worker `{}` must be a table", entry.key), &value.place, "not a table")
                    .help(format!("write `{} = {{ command = [\"python3\", \"trainer.py\"], files = [\"trainer.py\"] }}`", entry.key)),
            );
            return None;
        };
        let mut out = WorkerEntry {
            name: entry.key.clone(),
            command: vec![],
            files: vec![],
            place: entry.place.clone(),
        };
        for e in &table.entries {
            match e.key.as_str() {
                "command" => out.command = self.texts(&e.value, "command"),
                "files" => out.files = self.texts(&e.value, "files"),
                _ => self.unknown(e, &["command", "files"], "a worker has"),
            }
        }
        if out.command.is_empty() {
            let problem =
                Problem::new(format!("worker `{}` has no command", entry.key), &entry.place, "here");
            self.wrong.push(problem.help("add `command = [\"program\", \"argument\"]`"));
        }
        Some(out)
    }

    fn stage(&mut self, entry: Entry, vars: &Vars, drafts: &mut Vec<Draft>) {
        let Data::Table(mut table) = entry.value.data else {
            let label = format!("this is {}", entry.value.type_name());
            self.wrong.push(
                Problem::new(format!("stage `{}` must be a table", entry.key), &entry.value.place, label)
                    .help(format!("write `[stage.{}]` on a line of its own", entry.key)),
            );
            return;
        };
        if entry.key.is_empty() || !entry.key.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c)) {
            self.wrong.push(
                Problem::new(format!("`{}` cannot be a stage's name", entry.key), &entry.place, "here")
                    .help("use letters, digits, `-` and `_`"),
            );
            return;
        }
        let Some(kind) = table.take("kind") else {
            self.wrong
                .push(Problem::new(format!("stage `{}` has no kind", entry.key), &entry.place, "here").help(
                "add `kind = \"command\"` for a program of your own, or a kind that `lfs-pipe kinds` lists",
            ));
            return;
        };
        let matrix = table.take("matrix");
        let plain = matrix.is_none();
        let combos = match matrix {
            None => vec![matrix::Combo::default()],
            Some(matrix) => {
                matrix::expand(&vars.scope().fill(&matrix.value, false, &mut self.wrong), &mut self.wrong)
            }
        };
        for combo in combos {
            let scope = match plain {
                true => vars.scope(),
                false => vars.with_matrix(&combo.values),
            };
            // Mistakes in the text are the same in every node of a matrix, and are reported once.
            let before = self.wrong.len();
            let kind_value = scope.fill(&kind.value, false, &mut self.wrong);
            let mut filled = Table::default();
            for e in &table.entries {
                let value = scope.fill(&e.value, e.key == "run", &mut self.wrong);
                filled.entries.push(Entry { key: e.key.clone(), place: e.place.clone(), value });
            }
            let kind = self.text(&kind_value, "kind").unwrap_or_default();
            if self.wrong.len() > before {
                return;
            }
            drafts.push(Draft {
                stage: entry.key.clone(),
                place: entry.place.clone(),
                labels: combo.labels,
                kind: (kind, kind_value.place),
                table: filled,
            });
        }
    }

    fn text(&mut self, value: &Value, key: &str) -> Option<String> {
        let text = value.as_text().map(str::to_owned);
        if text.is_none() {
            let label = format!("this is {}", value.type_name());
            self.wrong.push(Problem::new(format!("`{key}` must be a text"), &value.place, label));
        }
        text
    }

    fn texts(&mut self, value: &Value, key: &str) -> Vec<String> {
        match &value.data {
            Data::List(list) => list.iter().filter_map(|v| self.text(v, key)).collect(),
            _ => self.text(value, key).into_iter().collect(),
        }
    }

    fn unknown(&mut self, entry: &Entry, names: &[&str], what: &str) {
        let problem = Problem::new(format!("unknown key `{}`", entry.key), &entry.place, "not known here");
        self.wrong.push(problem.maybe_help(nearest_or_all(&entry.key, names.iter().copied(), what)));
    }
}

impl Value {
    fn data_is_stage(&self) -> bool {
        matches!(&self.data, Data::Table(table) if table.get("kind").is_some())
    }
}
