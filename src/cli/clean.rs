//! `lfs-pipe clean`

use super::args::{CleanArgs, Common};
use super::print;
use super::project::{Project, cache_folder};
use crate::fault::{At, Fault, Result};
use crate::manifest::{Manifest, shown};

pub(super) fn clean(common: &Common, args: &CleanArgs) -> Result<()> {
    let project = Project::open(common)?;
    let mut text = String::new();
    // Only the folders of this pipeline's stages: the output folder may hold other things.
    let mut stages: Vec<&str> = project.plan.nodes.iter().map(|n| n.stage.as_str()).collect();
    stages.sort_unstable();
    stages.dedup();
    for stage in stages {
        let path = project.out.join(stage);
        if path.is_dir() {
            std::fs::remove_dir_all(&path).at("remove", &path)?;
            text += &format!("removed {}\n", shown(&path));
        }
    }
    crate::cache::remove(&project.out.join(crate::outputs::PLACING));
    // An empty output folder is of no use; one with other things stays.
    let _ = std::fs::remove_dir(&project.out);
    if args.cache_too {
        text += &remove_cache(common, &project.manifest)?;
    }
    print(if text.is_empty() { "nothing to remove\n" } else { &text })
}

/// Removes what a cache holds, and nothing else that may lie in its folder.
fn remove_cache(common: &Common, manifest: &Manifest) -> Result<String> {
    let root = cache_folder(common, Some(manifest));
    if root.is_dir() && !root.join("objects").is_dir() {
        return Err(Fault::usage(format!("{} is no cache: it has no `objects`", shown(&root))));
    }
    for part in [
        "records",
        "objects",
        "memo",
        "scratch",
        "runs",
        "damaged",
        "trash",
        "locks",
        "workers.json",
        "runs.sqlite",
        "runs.sqlite-journal",
        "runs.quiet",
        "remote",
    ] {
        let path = root.join(part);
        match path.symlink_metadata() {
            Ok(m) if m.is_dir() => std::fs::remove_dir_all(&path).at("remove", &path)?,
            Ok(_) => std::fs::remove_file(&path).at("remove", &path)?,
            Err(_) => {}
        }
    }
    Ok(format!("removed all results in {}\n", shown(&root)))
}
