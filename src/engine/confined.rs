//! Commands that may touch nothing but what is declared (`strict`), by Landlock.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use landlock::{
    ABI, Access, AccessFs, CompatLevel, Compatible, PathBeneath, PathFd, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetError,
};

use super::task::{End, Failed};
use super::work::end_of;

/// What belongs to the system: programs and libraries, settings, devices, what the kernel says.
const SYSTEM: [&str; 12] = [
    "/usr",
    "/bin",
    "/sbin",
    "/lib",
    "/lib32",
    "/lib64",
    "/etc",
    "/opt",
    "/nix/store",
    "/proc",
    "/sys",
    "/dev",
];
/// Devices that hold nothing.
const DEVICES: [&str; 5] = ["/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"];

/// Starts a command that can read these and the system's files, and write in its own folder.
pub(super) fn spawn(
    command: &mut Command,
    reads: &[&Path],
    room: &Path,
    gpus: bool,
) -> Result<std::io::Result<Child>, End> {
    // A confinement is of a thread and of all that it starts, and cannot be taken off: a thread for this alone.
    let spawned = std::thread::scope(|scope| {
        scope.spawn(|| confine(reads, room, gpus).map(|()| command.spawn())).join()
    });
    match spawned {
        Ok(Ok(child)) => Ok(child),
        Ok(Err(e)) => Err(End::Failed(
            Failed::new(format!("`strict` is not available here: {e}")).help(
                "it needs a Linux kernel from 6.2 on with Landlock switched on; without `strict` the command runs as any other",
            ),
        )),
        Err(_) => Err(End::Failed(Failed::new("a thread to start it could not be had"))),
    }
}

fn confine(reads: &[&Path], room: &Path, gpus: bool) -> Result<(), RulesetError> {
    let abi = ABI::V3;
    let all = AccessFs::from_all(abi);
    let read = AccessFs::from_read(abi);
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::HardRequirement)
        .handle_access(all)?
        .create()?
        // A rule for a file need not have the rights that only folders have.
        .set_compatibility(CompatLevel::BestEffort);
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A relative one would open the folder of the pipeline.
    let programs: Vec<PathBuf> = std::env::split_paths(&path).filter(|p| p.is_absolute()).collect();
    // What links inside of an input folder lead to is part of the input.
    let links = reads.iter().flat_map(|r| walkdir::WalkDir::new(r).follow_links(true)).flatten();
    let links: Vec<PathBuf> = links
        .filter(walkdir::DirEntry::path_is_symlink)
        .filter_map(|e| e.path().canonicalize().ok())
        .collect();
    let reads: Vec<&Path> = reads.iter().copied().chain(links.iter().map(PathBuf::as_path)).collect();
    let readable = SYSTEM
        .iter()
        .map(Path::new)
        .chain(programs.iter().map(PathBuf::as_path))
        .chain(reads.iter().copied());
    for path in readable {
        // What is not there cannot be reached.
        if let Ok(at) = PathFd::new(path) {
            let access = if path.is_dir() { read } else { read & AccessFs::from_file(abi) };
            rules = rules.add_rule(PathBeneath::new(at, access))?;
        }
    }
    let graphics = std::fs::read_dir("/dev").into_iter().flatten().flatten().map(|e| e.path());
    let graphics = graphics.filter(|p| p.to_string_lossy().starts_with("/dev/nvidia")).filter(|_| gpus);
    for path in DEVICES.iter().map(PathBuf::from).chain(graphics) {
        if let Ok(at) = PathFd::new(path) {
            rules = rules.add_rule(PathBeneath::new(at, AccessFs::from_file(abi)))?;
        }
    }
    if let Ok(at) = PathFd::new(room) {
        rules = rules.add_rule(PathBeneath::new(at, all))?;
    }
    rules.restrict_self()?;
    Ok(())
}

/// How many bytes at the end of a long log are read.
const LOOKED_AT: u64 = 1 << 20;

/// Names what a confined command reached for, where its log tells.
pub(super) fn explain(end: End, log: &Path) -> End {
    let End::Failed(failed) = end else { return end };
    // A timeout or a signal has another reason.
    if !failed.message.contains("exit code") {
        return End::Failed(failed);
    }
    let text = String::from_utf8_lossy(&end_of(log, LOOKED_AT)).into_owned();
    let denied = text.lines().rev().find(|l| l.to_lowercase().contains("permission denied"));
    let Some(line) = denied else { return End::Failed(failed) };
    let message = format!("it reached for something that is not declared: {}", line.trim());
    End::Failed(Failed::new(message).help(
        "make it an input (`input.NAME = { path = \"...\" }`), or name it in `strict = [\"PATH\"]` if no result depends on it; write only to `$OUT_...` and `$TMPDIR`",
    ))
}
