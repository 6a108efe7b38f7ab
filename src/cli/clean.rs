//! `lfs-pipe clean`

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use super::args::{CleanArgs, Common};
use super::print;
use super::project::{Project, cache_folder};
use crate::cache::{remove, remove_all};
use crate::fault::{At, Result};
use crate::manifest::shown;
use crate::outputs::{Folder, Of, PLACING};

/// So many paths that stay are named.
const NAMED: usize = 20;

pub(super) fn clean(common: &Common, args: &CleanArgs) -> Result<()> {
    let project = Project::open(common)?;
    let mut text = outputs(&project)?;
    if args.cache_too {
        let root = cache_folder(common, Some(&project.manifest));
        remove_all(&root)?;
        text += &format!("removed all results in {}\n", shown(&root));
    }
    print(if text.is_empty() { "nothing to remove\n" } else { &text })
}

/// Removes what runs put below the folders of this pipeline's stages, and names what else lies there.
fn outputs(project: &Project) -> Result<String> {
    let folder = Folder::new(&project.out, false);
    let stages: BTreeSet<&str> = project.plan.nodes.iter().map(|n| n.stage.as_str()).collect();
    if stages.iter().all(|stage| project.out.join(stage).symlink_metadata().is_err()) {
        remove_empty(&project.out, &project.out.join(PLACING));
        return Ok(String::new());
    }
    let cache = project.cache()?;
    // Also what nodes gave that the pipeline does not have any more, and what is older than the journal of the folder.
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
        let of = Of { node: stage, output: "", path };
        if there.symlink_metadata().is_err() || folder.foreign(of, &cache).is_some() {
            continue;
        }
        match there.is_dir() {
            true => std::fs::remove_dir_all(&there).at("remove", &there)?,
            false => std::fs::remove_file(&there).at("remove", &there)?,
        }
        removed.insert(stage);
        there.ancestors().skip(1).take_while(|above| *above != project.out).for_each(|above| {
            // Those that hold other things stay.
            let _ = std::fs::remove_dir(above);
        });
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
    remove_empty(&project.out, &project.out.join(PLACING));
    Ok(text)
}

/// The output folder goes if it holds nothing but what runs wrote down of it; with other things it stays, and so does that.
fn remove_empty(out: &Path, notes: &Path) {
    let others = std::fs::read_dir(out).into_iter().flatten().flatten().any(|entry| entry.path() != notes);
    if !others {
        remove(notes);
        let _ = std::fs::remove_dir(out);
    }
}

/// What lies at a path and below it; links are not followed.
fn files(path: &Path) -> Vec<PathBuf> {
    let all = walkdir::WalkDir::new(path).sort_by_file_name().into_iter().flatten();
    all.filter(|e| !e.file_type().is_dir()).map(walkdir::DirEntry::into_path).collect()
}
