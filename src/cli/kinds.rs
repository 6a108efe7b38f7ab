//! `lfs-pipe kinds`

use lfs_stage::Shape;

use super::args::{Common, KindsArgs};
use super::print::{print, print_json};
use super::project::cache_folder;
use crate::fault::{Fault, Result};
use crate::manifest::{Manifest, nearest_or_all};
use crate::plan::{COMMAND, describe_parameters};
use crate::worker::Workers;

/// The workers of the project, or without a manifest the worker of this program.
pub(super) fn workers(common: &Common) -> Result<Workers> {
    let manifest =
        if common.file.is_file() { Some(Manifest::load(&common.file, &common.sets)?) } else { None };
    // Without a manifest no cache is created in the current folder.
    let room =
        tempfile::tempdir().map_err(|e| Fault::machine(format!("cannot create a temporary folder: {e}")))?;
    let cache = match (&manifest, &common.cache) {
        (None, None) => room.path().to_owned(),
        _ => cache_folder(common, manifest.as_ref()),
    };
    Workers::all(manifest.as_ref(), &cache)
}

pub(super) fn kinds(common: &Common, args: &KindsArgs) -> Result<()> {
    let workers = workers(common)?;
    let Some(name) = &args.kind else {
        if args.json {
            let all: Vec<_> = workers.kinds.values().map(|k| k.info.as_ref()).collect();
            return print_json(&all);
        }
        let width = workers.kinds.keys().map(String::len).max().unwrap_or(0).max(COMMAND.len());
        let mut text = format!("{COMMAND:width$}  Any program, under /bin/sh\n");
        for (name, kind) in &workers.kinds {
            text += &format!("{name:width$}  {}\n", kind.info.summary);
        }
        return print(&(text + "\nOne of them in full: lfs-pipe kinds KIND\n"));
    };
    let Some(kind) = workers.kinds.get(name) else {
        let names: Vec<&str> = workers.kinds.keys().map(String::as_str).collect();
        let fault = Fault::usage(format!("there is no kind `{name}`"));
        return Err(match nearest_or_all(name, names, "kinds are") {
            Some(help) => fault.with_help(help),
            None => fault,
        });
    };
    if args.json {
        return print_json(kind.info.as_ref());
    }
    let info = &kind.info;
    let mut text = format!("{}: {}\n\nInputs\n", info.name, info.summary);
    for input in &info.inputs {
        let shape = match input.shape {
            Shape::One => "",
            Shape::Optional => " (optional)",
            Shape::Several => " (several)",
            Shape::Any => " (optional, several)",
        };
        text += &format!("  {}{shape}: {}\n", input.name, input.about);
    }
    if info.inputs.is_empty() {
        text += "  none\n";
    }
    text += "\nOutputs\n";
    for output in &info.outputs {
        text += &format!("  {} ({}): {}\n", output.name, output.path, output.about);
    }
    text += "\nParameters\n";
    for [name, takes, default, about] in describe_parameters(&info.parameters) {
        let default = match default.as_str() {
            "" | "required" | "optional" => default,
            value => format!("default {value}"),
        };
        text += &format!("  {name}  ({takes}) {default}\n");
        if !about.is_empty() {
            text += &format!("      {about}\n");
        }
    }
    print(&text)
}
