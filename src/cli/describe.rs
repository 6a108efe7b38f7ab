//! `lfs-pipe describe PATH`: the kind `describe`, outside of any pipeline.

use std::collections::BTreeMap;

use lfs_stage::Binding;
use serde_json::Map;

use super::alone;
use super::args::DescribeArgs;
use super::print::print;
use crate::fault::{At, Fault, Result};
use crate::worker::Workers;

/// The kind, its input and its output.
const KIND: &str = "describe";
const INPUT: &str = "source";
const OUTPUT: &str = "description";

pub(super) fn describe(args: &DescribeArgs) -> Result<()> {
    // No cache is created in the current folder.
    let room =
        tempfile::tempdir().map_err(|e| Fault::machine(format!("cannot create a temporary folder: {e}")))?;
    let workers = Workers::all(None, room.path())?;
    let inputs = BTreeMap::from([(INPUT.to_owned(), Binding::One(alone::input(&args.path)?))]);
    let left = alone::run(&workers, KIND, Map::new(), inputs)?;
    let output = left.room.path().join(OUTPUT);
    if let Some(folder) = &args.to {
        return save(&output, folder);
    }
    let file = output.join(if args.json { "description.json" } else { "description.txt" });
    print(&std::fs::read_to_string(&file).at("read", &file)?)
}

/// Keeps the files of the description in a folder that does not exist yet.
fn save(from: &std::path::Path, folder: &std::path::Path) -> Result<()> {
    std::fs::create_dir(folder).map_err(|e| match e.kind() {
        std::io::ErrorKind::AlreadyExists => {
            Fault::usage(format!("{} is there already; name a folder that is not", folder.display()))
        }
        _ => Fault::machine(format!("cannot create {}: {e}", folder.display())),
    })?;
    for entry in std::fs::read_dir(from).at("list", from)? {
        let entry = entry.at("list", from)?;
        let to = folder.join(entry.file_name());
        std::fs::copy(entry.path(), &to).at("write", &to)?;
    }
    Ok(())
}
