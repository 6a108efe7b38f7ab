//! `lfs-pipe clean`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::{CleanArgs, Common};
use super::print::print;
use super::project::{Project, cache_folder};
use crate::cache::{Cache, is_in_use, remove, remove_all};
use crate::fault::{At, Result};
use crate::manifest::shown;
use crate::outputs::{Folder, PLACING};

/// How many of the remaining paths are listed.
const NAMED: usize = 20;

pub(super) fn clean(common: &Common, args: &CleanArgs) -> Result<()> {
    let project = Project::open(common)?;
    let mut text = outputs(&project)?;
    if args.cache_too {
        let root = cache_folder(common, Some(&project.manifest));
        let left = remove_all(&root)?;
        text += &format!("removed all results in {}\n", shown(&root));
        for path in left.iter().take(NAMED) {
            text += &format!("left    {}: no run made it\n", shown(path));
        }
    }
    print(if text.is_empty() { "nothing to remove\n" } else { &text })
}

/// Removes what runs put below the folders of this pipeline's stages, and lists what else is there.
fn outputs(project: &Project) -> Result<String> {
    let (folder, aside) = (Folder::new(&project.out, false), project.out.join(PLACING));
    let stages: BTreeSet<&str> = project.plan.nodes.iter().map(|n| n.stage.as_str()).collect();
    if stages.iter().all(|stage| project.out.join(stage).symlink_metadata().is_err()) {
        remove_empty(&project.out, &aside);
        return Ok(String::new());
    }
    let cache = project.cache()?;
    // Also outputs of nodes that the pipeline no longer has, and outputs that are older than the journal of the folder.
    let mut paths: BTreeSet<PathBuf> = folder.placed().into_iter().collect();
    for node in &project.plan.nodes {
        paths.extend(node.outputs.iter().map(|output| node.folder().join(&output.path)));
    }
    let (mut removed, mut text) = (BTreeSet::new(), String::new());
    for path in &paths {
        let Some(stage) = path.iter().next().and_then(|s| s.to_str()).filter(|s| stages.contains(s)) else {
            continue;
        };
        let there = project.out.join(path);
        if there.symlink_metadata().map_or(true, |m| m.is_symlink()) || folder.is_behind_a_link(path) {
            continue;
        }
        let sorted = folder.sort_out(path, &there, &cache);
        for (n, ours) in sorted.ours.iter().enumerate() {
            take_away(&folder, path, ours, &aside.join(format!("{}-{n}", std::process::id())), &cache)?;
            removed.insert(stage);
        }
        // Folders that hold other things stay.
        let tops = sorted.ours.iter().flat_map(|ours| ours.ancestors().skip(1));
        let mut tops: BTreeSet<&Path> =
            tops.filter(|t| t.starts_with(&project.out) && *t != project.out).collect();
        while let Some(top) = tops.pop_last() {
            let _ = std::fs::remove_dir(top);
        }
    }
    for stage in removed {
        text += &format!("removed the outputs of {stage}\n");
    }
    let left: Vec<PathBuf> = stages.iter().flat_map(|stage| files(&project.out.join(stage))).collect();
    for path in left.iter().take(NAMED) {
        text += &format!("left    {}: no run put it there, or it was changed since\n", shown(path));
    }
    if left.len() > NAMED {
        text += &format!("left    {} more\n", left.len() - NAMED);
    }
    remove_empty(&project.out, &aside);
    Ok(text)
}

/// Removes something that a run put there, if it is still unchanged after it was moved out of reach of other processes.
fn take_away(folder: &Folder, path: &Path, ours: &Path, aside: &Path, cache: &Cache) -> Result<()> {
    std::fs::create_dir_all(aside.parent().unwrap_or(aside)).at("create", aside)?;
    let whole = folder.path().join(path) == *ours;
    if ours.is_dir() && !whole {
        // An empty folder of an output.
        let _ = std::fs::remove_dir(ours);
        return Ok(());
    }
    match std::fs::rename(ours, aside) {
        // Another file system begins there.
        Err(e) if e.kind() == std::io::ErrorKind::CrossesDevices => {
            remove(ours);
            return Ok(());
        }
        other => other.at("remove", ours)?,
    }
    if whole && !folder.sort_out(path, aside, cache).foreign.is_empty() {
        return std::fs::rename(aside, ours).at("put back", ours);
    }
    remove(aside);
    Ok(())
}

/// Removes the output folder if it contains nothing but the runner's own notes; otherwise both stay.
fn remove_empty(out: &Path, notes: &Path) {
    let others = std::fs::read_dir(out).into_iter().flatten().flatten().any(|entry| entry.path() != notes);
    if !others && !is_in_use(notes) {
        remove(notes);
        let _ = std::fs::remove_dir(out);
    }
}

/// The files at a path and below it; links are not followed.
fn files(path: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().flatten();
    all.filter(|e| !e.file_type().is_dir()).map(walkdir::DirEntry::into_path).collect()
}
