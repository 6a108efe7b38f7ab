//! The libraries, from nothing: staged next to their place, checked, and moved there by a rename.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Instant;

use crate::host::Host;
use crate::recipe::{CUDA, LEAN, Recipe, VERSION};
use crate::stop::{Doing, Result, Stop};
use crate::{fetch, unpack};

/// The file that is written last: its recipe's digest, and the size of each library.
const STAMP: &str = "complete";

/// Makes sure that there is a libtorch to build with: the user's, or one of our own in `.libtorch`.
///
/// # Errors
/// One message that says what is missing and what to do.
pub fn lean(host: &Host) -> Result<()> {
    match &host.libtorch {
        Some(theirs) => check_theirs(theirs),
        None => ensure(host, &LEAN),
    }
}

/// Fetches what a run on a GPU needs, and says how to use it.
///
/// # Errors
/// As [`lean`].
pub fn cuda(host: &Host) -> Result<()> {
    lean(host)?;
    ensure(host, &CUDA)?;
    let lib = host.root.join(CUDA.folder).join("torch/lib");
    println!("To run on a GPU (its driver must know CUDA 13), start with the libraries in LD_LIBRARY_PATH:");
    println!("  export LD_LIBRARY_PATH={}", lib.display());
    println!("The programs are built as before; without the variable they run on the processor.");
    Ok(())
}

/// Checks a libtorch that the user named.
fn check_theirs(folder: &Path) -> Result<()> {
    let fix = "correct LIBTORCH, or unset it: then libtorch is fetched";
    let wrong =
        |what: String| Err(Stop::new(format!("LIBTORCH={}: {what}", folder.display())).help(fix).code(2));
    if !folder.is_absolute() {
        return wrong(
            "an absolute path is needed, because every crate is built in a folder of its own".into(),
        );
    }
    for part in ["lib/libtorch_cpu.so", "lib/libtorch.so", "lib/libc10.so", "include/ATen"] {
        if !folder.join(part).exists() {
            return wrong(format!("there is no {part} in it, so it is not a libtorch"));
        }
    }
    let Some(found) = version(folder) else {
        return wrong("there is no build-version in it, so its version is unknown".into());
    };
    if found.split('+').next() != Some(VERSION) && std::env::var_os("LIBTORCH_BYPASS_VERSION_CHECK").is_none()
    {
        return wrong(format!("this is version {found}, and {VERSION} is needed"));
    }
    Ok(())
}

/// The version of a libtorch: by its own file, or by Python's where it is Python's package.
fn version(folder: &Path) -> Option<String> {
    if let Ok(text) = fs::read_to_string(folder.join("build-version")) {
        return Some(text.trim().to_owned());
    }
    let text = fs::read_to_string(folder.join("version.py")).ok()?;
    let line = text.lines().find(|l| l.starts_with("__version__"))?;
    Some(line.split(['\'', '"']).nth(1)?.to_owned())
}

/// Makes sure that a recipe's folder is complete; milliseconds when it is.
fn ensure(host: &Host, recipe: &Recipe) -> Result<()> {
    let place = host.root.join(recipe.folder);
    if complete(&place, recipe) {
        return Ok(());
    }
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(Stop::new(format!("{} can be fetched for Linux on x86-64 only", recipe.title))
            .help(format!("get libtorch {VERSION} for this machine and export LIBTORCH=<its folder>"))
            .code(2));
    }
    let staging = host.root.join(format!("{}.part", recipe.folder));
    fs::create_dir_all(&staging).doing("create", &staging)?;
    // Two set-ups at once: the second waits and finds the work done.
    let lock_path = staging.join("lock");
    let lock = File::create(&lock_path).doing("create", &lock_path)?;
    lock.lock().doing("lock", &lock_path)?;
    if complete(&place, recipe) {
        return Ok(());
    }
    let begun = Instant::now();
    let tree = staging.join("tree");
    if !complete(&tree, recipe) {
        fill(host, recipe, &staging, &tree)?;
    }
    publish(&tree, &place, &staging.join("old"))?;
    let _ = fs::remove_dir_all(&staging);
    eprintln!("{}: ready in {} after {:.0} s", recipe.title, recipe.folder, begun.elapsed().as_secs_f64());
    Ok(())
}

/// Fetches, unpacks and stamps into `tree`.
fn fill(host: &Host, recipe: &Recipe, staging: &Path, tree: &Path) -> Result<()> {
    let pip = host.pip()?;
    if tree.exists() {
        fs::remove_dir_all(tree).doing("remove", tree)?;
    }
    let kept: u64 = sizes(&staging.join("wheels")).iter().map(|(_, bytes)| bytes).sum();
    let need = recipe.space.saturating_sub(kept);
    if let Some(free) = host.free_space(staging).filter(|free| *free < need) {
        let gb = |bytes: u64| bytes as f64 / 1e9;
        return Err(Stop::new(format!(
            "not enough space for {}: {:.1} GB are needed in {} and {:.1} GB are free",
            recipe.title,
            gb(need),
            host.root.display(),
            gb(free)
        ))
        .help("free some space, or move the repository to another disk")
        .code(2));
    }
    // Git must ignore both folders, even if the repository's own list of ignored files does not name them.
    let ignore = staging.join(".gitignore");
    fs::write(&ignore, "*\n").doing("write", &ignore)?;
    let wheels = fetch::wheels(host, &pip, recipe, staging)?;
    eprintln!("{}: unpacking", recipe.title);
    unpack::unpack(recipe, &wheels, tree)?;
    let torch = tree.join("torch");
    if recipe.link_torch {
        let link = torch.join("lib/libtorch.so");
        symlink("libtorch_cpu.so", &link).doing("create", &link)?;
    }
    let build_version = torch.join("build-version");
    fs::write(&build_version, VERSION).doing("write", &build_version)?;
    let ignore = tree.join(".gitignore");
    fs::write(&ignore, "*\n").doing("write", &ignore)?;
    for library in recipe.strip {
        strip(host, &tree.join(library));
    }
    // The stamp must not reach the disk before what it vouches for.
    if let Some(sync) = host.find("sync") {
        let _ = host.command(sync).arg("-f").arg(tree).stderr(Stdio::null()).status();
    }
    let stamp = tree.join(STAMP);
    fs::write(&stamp, stamp_text(tree, recipe)).doing("write", &stamp)
}

/// Cuts the symbol tables off; a library that keeps them is only larger.
fn strip(host: &Host, library: &Path) {
    let Some(program) = host.find("strip") else { return };
    let times = fs::metadata(library).and_then(|m| m.modified());
    let smaller = library.with_extension("stripped");
    let mut command = host.command(program);
    command.args(["--strip-unneeded", "-o"]).args([&smaller, library]);
    let done = command.stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|s| s.success());
    if done && fs::metadata(&smaller).is_ok_and(|m| m.len() > 0) && fs::rename(&smaller, library).is_ok() {
        if let (Ok(file), Ok(time)) = (File::options().write(true).open(library), times) {
            let _ = file.set_modified(time);
        }
    } else {
        let _ = fs::remove_file(&smaller);
    }
}

/// Puts `tree` in its place. A tree that was there is moved to `old`, and is removed with the staging folder.
fn publish(tree: &Path, place: &Path, old: &Path) -> Result<()> {
    if old.exists() {
        fs::remove_dir_all(old).doing("remove", old)?;
    }
    if place.exists() {
        fs::rename(place, old).doing("move away", place)?;
    }
    // If the process stops between the two renames, the next call finds a complete tree in the staging folder.
    fs::rename(tree, place).doing("create", place)
}

/// Whether a folder was filled by this recipe, to the end, and its libraries are still whole.
fn complete(folder: &Path, recipe: &Recipe) -> bool {
    fs::read_to_string(folder.join(STAMP)).is_ok_and(|text| text == stamp_text(folder, recipe))
}

fn stamp_text(folder: &Path, recipe: &Recipe) -> String {
    let mut text = format!("{}\n", recipe.digest());
    for below in ["torch/lib", "nvidia/cu13/lib"] {
        for (path, bytes) in sizes(&folder.join(below)) {
            let name = path.strip_prefix(folder).unwrap_or(&path);
            let _ = writeln!(text, "{bytes} {}", name.display());
        }
    }
    text
}

/// The files directly in a folder and their sizes, sorted by name.
fn sizes(folder: &Path) -> Vec<(PathBuf, u64)> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut all: Vec<_> = entries.filter_map(|p| Some((p.clone(), p.metadata().ok()?.len()))).collect();
    all.sort();
    all
}

#[cfg(test)]
#[path = "libtorch_tests.rs"]
mod tests;
