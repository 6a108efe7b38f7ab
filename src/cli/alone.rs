//! `lfs-pipe KIND`: one kind by itself, outside of any pipeline. Its inputs and parameters are options; nothing is kept but what
//! `--to` names.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, CommandFactory, value_parser};
use lfs_stage::{Binding, Job, KindInfo, Member, Reply, Request, Shape};
use serde_json::{Map, Value};

use super::args::{Cli, Common};
use super::kinds;
use super::print::print;
use crate::fault::{At, Fault, Result};
use crate::plan::describe_parameters;
use crate::worker::{Heard, Worker, Workers};

/// The options that every kind has.
const JSON: &str = "json";
const TO: &str = "to";
const COMMON: [&str; 3] = [JSON, TO, "help"];

pub(super) fn command(common: &Common, words: &[OsString]) -> Result<()> {
    let Some(name) = words.first().map(|n| n.to_string_lossy().into_owned()) else { return Ok(()) };
    let workers = kinds::workers(common)?;
    let Some(known) = workers.kinds.get(&name) else { return Err(neither(&name, &workers)) };
    let info = known.info.as_ref();
    let matches = match options(info).try_get_matches_from(words) {
        Ok(matches) => matches,
        Err(e) if e.use_stderr() => {
            return Err(Fault::usage(e.to_string().trim_start_matches("error: ").trim_end().to_owned()));
        }
        // Help is no error.
        Err(e) => return print(&format!("{}\n", e.to_string().trim_end())),
    };
    let to = matches.get_one::<PathBuf>(TO);
    if let Some(to) = to.filter(|to| std::fs::symlink_metadata(to).is_ok()) {
        return Err(Fault::usage(format!("{} is there already; name a path that is not", to.display())));
    }
    if let Some(folder) = to.and_then(|to| to.parent()).filter(|f| !f.as_os_str().is_empty() && !f.is_dir()) {
        return Err(Fault::usage(format!("there is no folder {}: create it first", folder.display())));
    }
    let left = run(&workers, &name, parameters(info, &matches), inputs(info, &matches)?)?;
    for warning in &left.warnings {
        crate::say!("warning: {warning}");
    }
    if let Some(to) = to {
        keep(info, left.room.path(), to)?;
    }
    if matches.get_flag(JSON) {
        let path = info.outputs.first().map(|o| left.room.path().join(&o.name)).unwrap_or_default();
        if path.is_dir() {
            let kept = left.room.keep();
            return Err(Fault::usage(format!(
                "the kind `{name}` gives a folder, not JSON; it is in {}",
                kept.display()
            ))
            .with_help(format!("`--{TO} PATH` keeps it elsewhere")));
        }
        return print(&std::fs::read_to_string(&path).at("read", &path)?);
    }
    print(&left.notes.iter().map(|note| format!("{note}\n")).collect::<String>())
}

/// An error about a word that is no command and no kind.
fn neither(word: &str, workers: &Workers) -> Fault {
    let cli = Cli::command();
    let commands = cli.get_subcommands().map(clap::Command::get_name);
    let names: Vec<&str> = commands.chain(workers.kinds.keys().map(String::as_str)).collect();
    let fault = Fault::usage(format!("there is no command and no kind `{word}`"));
    match crate::problem::nearest(word, names.iter().copied()) {
        Some(help) => fault.with_help(help),
        None => fault.with_help("`lfs-pipe --help` lists the commands, `lfs-pipe kinds` the kinds"),
    }
}

/// The options of an input or a parameter: the first is its name on the command line. One that is taken begins with `kind-`.
fn names(info: &KindInfo, name: &str, taken: &mut BTreeSet<String>) -> Vec<String> {
    let mut all: Vec<&str> =
        info.options.iter().filter(|[_, of]| of == name).map(|[option, _]| option.as_str()).collect();
    if all.is_empty() {
        all.push(name);
    }
    let free = |name: &str| {
        let mut name = name.to_owned();
        while !taken.insert(name.clone()) {
            name.insert_str(0, "kind-");
        }
        name
    };
    all.into_iter().map(free).collect()
}

/// What the arguments of inputs and parameters are called among clap's own.
fn input_id(name: &str) -> String {
    format!("input.{name}")
}

fn parameter_id(name: &str) -> String {
    format!("parameter.{name}")
}

fn options(info: &KindInfo) -> clap::Command {
    let mut taken: BTreeSet<String> = COMMON.map(str::to_owned).into();
    let mut option = |id: String, name: &str, about: String| {
        let mut names = names(info, name, &mut taken).into_iter();
        Arg::new(id).long(names.next().unwrap_or_default()).visible_aliases(names).help(about)
    };
    let mut command = clap::Command::new(info.name.clone())
        .bin_name(format!("lfs-pipe {}", info.name))
        .about(info.summary.clone())
        .max_term_width(100)
        .arg(Arg::new(JSON).long(JSON).action(ArgAction::SetTrue).help("Print the output, which is JSON"))
        .arg(
            Arg::new(TO)
                .long(TO)
                .value_name("PATH")
                .value_parser(value_parser!(PathBuf))
                .help("Keep the output at this path, where nothing is yet"),
        );
    for input in &info.inputs {
        let many = matches!(input.shape, Shape::Several | Shape::Any);
        let arg = option(input_id(&input.name), &input.name, input.about.clone())
            .value_name("PATH")
            .value_parser(value_parser!(PathBuf))
            .required(matches!(input.shape, Shape::One | Shape::Several))
            .action(if many { ArgAction::Append } else { ArgAction::Set });
        command = command.arg(arg.help_heading("Inputs"));
    }
    for [name, takes, default, about] in describe_parameters(&info.parameters) {
        // Tables have their parameters one by one in a manifest; here they are written whole.
        if name.contains('.') {
            continue;
        }
        let note = match default.as_str() {
            "" | "required" | "optional" => format!("{about} ({takes})"),
            value => format!("{about} ({takes}; default {value})"),
        };
        let arg = option(parameter_id(&name), &name, note)
            .value_name("VALUE")
            .required(default == "required")
            .action(ArgAction::Append)
            .allow_hyphen_values(true);
        command = command.arg(arg.help_heading("Parameters"));
    }
    command
}

fn inputs(info: &KindInfo, matches: &ArgMatches) -> Result<BTreeMap<String, Binding>> {
    let mut all = BTreeMap::new();
    for i in &info.inputs {
        let paths: Vec<&PathBuf> = matches.get_many(&input_id(&i.name)).into_iter().flatten().collect();
        let binding = match (i.shape, paths.as_slice()) {
            (_, []) => continue,
            (Shape::One | Shape::Optional, [path, ..]) => Binding::One(input(path)?),
            (Shape::Several | Shape::Any, paths) => {
                let member = |path: &&PathBuf| {
                    let from = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
                    Ok(Member { from, labels: BTreeMap::new(), path: input(path)? })
                };
                Binding::Several(paths.iter().map(member).collect::<Result<_>>()?)
            }
        };
        all.insert(i.name.clone(), binding);
    }
    Ok(all)
}

fn parameters(info: &KindInfo, matches: &ArgMatches) -> Map<String, Value> {
    let mut all = Map::new();
    let properties = info.parameters.get("properties").and_then(Value::as_object);
    for (name, schema) in properties.into_iter().flatten() {
        let Ok(Some(texts)) = matches.try_get_many::<String>(&parameter_id(name)) else { continue };
        let texts: Vec<&str> = texts.map(String::as_str).collect();
        if let Some(value) = value(schema, &texts) {
            all.insert(name.clone(), value);
        }
    }
    all
}

/// The value of a parameter: as in a manifest, but that a text needs no quotation marks, and a list no brackets.
fn value(schema: &Value, texts: &[&str]) -> Option<Value> {
    let one = |text: &str| {
        let read = toml::from_str::<BTreeMap<String, Value>>(&format!("value = {text}"));
        let read = read.ok().filter(|t| t.len() == 1).and_then(|mut t| t.remove("value"));
        read.unwrap_or_else(|| text.into())
    };
    let is = |schema: &Value, kind: &str| match schema.get("type") {
        Some(Value::Array(kinds)) => kinds.iter().any(|k| k == kind),
        Some(only) => only == kind,
        None => false,
    };
    let of = |kind: &str| is(schema, kind);
    let texts_only = schema.get("items").is_some_and(|items| is(items, "string"));
    let item = |text: &str| if texts_only { Value::from(text) } else { one(text) };
    if of("array") {
        let all = texts.iter().flat_map(|text| match one(text) {
            Value::Array(items) => items,
            _ => text.split(',').map(|part| item(part.trim())).collect(),
        });
        return Some(Value::Array(all.collect()));
    }
    let text = texts.last()?;
    Some(if of("string") { Value::from(*text) } else { one(text) })
}

/// What a kind left and said.
pub(super) struct Left {
    /// The folder with its outputs, by name; it is removed with this value.
    pub room: tempfile::TempDir,
    /// The lines of its log.
    pub notes: Vec<String>,
    /// What the reader of the result must know.
    pub warnings: Vec<String>,
}

/// Runs a kind with these parameters and inputs.
pub(super) fn run(
    workers: &Workers,
    kind: &str,
    parameters: Map<String, Value>,
    inputs: BTreeMap<String, Binding>,
) -> Result<Left> {
    let room = tempfile::Builder::new().prefix(&format!("lfs-pipe-{kind}-")).tempdir();
    let room = room.map_err(|e| Fault::machine(format!("there is no room for temporary files: {e}")))?;
    let Some(known) = workers.kinds.get(kind) else {
        return Err(Fault::machine(format!("the worker has no kind `{kind}`"))
            .with_help("rebuild both programs together"));
    };
    let output = |name: &String| (name.clone(), room.path().join(name));
    let scratch = tempfile::tempdir_in(room.path()).at("create a folder in", room.path())?;
    let job = Job {
        node: kind.to_owned(),
        kind: kind.to_owned(),
        parameters: Value::Object(parameters),
        inputs,
        outputs: known.info.outputs.iter().map(|o| output(&o.name)).collect(),
        scratch: scratch.path().to_owned(),
        threads: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        earlier: BTreeMap::new(),
    };
    let mut worker = Worker::start(&workers.programs[known.worker], None)?;
    worker.say(&Request::Run(job));
    let (notes, warnings) = listen(kind, &mut worker)?;
    drop(scratch);
    Ok(Left { room, notes, warnings })
}

/// An input of the command line.
pub(super) fn input(path: &Path) -> Result<PathBuf> {
    std::fs::metadata(path).map_err(|e| Fault::usage(format!("cannot read {}: {e}", path.display())))?;
    std::path::absolute(path).at("find", path)
}

/// Keeps the output at a path, or several outputs in a folder of this path.
fn keep(info: &KindInfo, room: &Path, to: &Path) -> Result<()> {
    if let [only] = info.outputs.as_slice() {
        return copy(&room.join(&only.name), to);
    }
    std::fs::create_dir(to).at("create", to)?;
    for output in &info.outputs {
        let path = to.join(&output.path);
        std::fs::create_dir_all(path.parent().unwrap_or(to)).at("create a folder for", &path)?;
        copy(&room.join(&output.name), &path)?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    if !from.is_dir() {
        return std::fs::copy(from, to).at("write", to).map(|_| ());
    }
    std::fs::create_dir(to).at("create", to)?;
    for entry in std::fs::read_dir(from).at("list", from)? {
        let entry = entry.at("list", from)?;
        copy(&entry.path(), &to.join(entry.file_name()))?;
    }
    Ok(())
}

/// Waits for the end, with the progress on a terminal.
fn listen(kind: &str, worker: &mut Worker) -> Result<(Vec<String>, Vec<String>)> {
    let mut said = (Vec::new(), Vec::new());
    let mut line = Line { shown: false, on: std::io::stderr().is_terminal() };
    loop {
        match worker.hear(Duration::from_secs(3600)) {
            Heard::Reply(Reply::Done) => return Ok(said),
            Heard::Reply(Reply::Failed(why)) => {
                return Err(Fault::Failed { message: why.message, help: why.help });
            }
            Heard::Reply(Reply::Note { text }) => said.0.push(text),
            Heard::Reply(Reply::Warning { text }) => said.1.push(text),
            Heard::Reply(Reply::Progress { doing, done, total: Some(total), .. }) if total > 0 => {
                line.show(&format!("{doing} {:.0} %", 100.0 * done as f64 / total as f64));
            }
            Heard::Reply(Reply::Progress { doing, .. }) => line.show(&doing),
            Heard::Reply(Reply::Steps { .. } | Reply::StepDone { .. } | Reply::StepWait { .. }) => {
                return Err(Fault::usage(format!(
                    "the kind `{kind}` computes in steps, which a pipeline keeps"
                ))
                .with_help("run it as a stage of a pipeline"));
            }
            Heard::Reply(_) | Heard::Nothing => {}
            Heard::Nonsense(line) => {
                return Err(Fault::machine(format!("the worker wrote what is no message: {line}")));
            }
            Heard::Gone(status) => {
                return Err(Fault::machine(format!("the worker ended by itself ({status})")));
            }
        }
    }
}

/// A line of a terminal that is written again and again, and is gone at the end.
struct Line {
    shown: bool,
    on: bool,
}

impl Line {
    fn show(&mut self, text: &str) {
        if self.on {
            let terminal = console::Term::stderr();
            let _ = terminal.clear_line().and_then(|()| terminal.write_str(text));
            self.shown = true;
        }
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.shown {
            let _ = console::Term::stderr().clear_line();
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::value;

    #[test]
    fn a_value_is_what_the_parameter_takes() {
        let (list, text, any) = (json!({"type": "array"}), json!({"type": "string"}), json!({}));
        for (schema, given, wanted) in [
            (&list, &["1e-3", "0.01"][..], json!([1e-3, 0.01])),
            (&list, &["1e-3, 0.01"], json!([1e-3, 0.01])),
            (&list, &["[1, 5]"], json!([1, 5])),
            (&text, &["3"], json!("3")),
            (&any, &["3"], json!(3)),
            (&any, &["skip"], json!("skip")),
            (&any, &["true", "false"], json!(false)),
            (&any, &["{a = 1}"], json!({"a": 1})),
        ] {
            assert_eq!(value(schema, given), Some(wanted), "{given:?}");
        }
        assert_eq!(value(&any, &[]), None);
    }
}
