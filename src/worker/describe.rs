//! Asking workers for their kinds, once for each state of their program.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use lfs_stage::{Description, PROTOCOL};
use serde::{Deserialize, Serialize};

use super::Program;
use crate::digest::{Digest, Stat};
use crate::fault::{At, Fault, Result};

/// What was kept of a worker's answer.
#[derive(Serialize, Deserialize)]
struct Kept {
    /// The state of program and machine under which it was given.
    under: State,
    description: Description,
}

#[derive(Serialize, Deserialize, PartialEq)]
struct State {
    files: BTreeMap<String, Option<Stat>>,
    /// A worker looks at the machine too: a description from before a restart may not hold.
    boot: String,
    /// Variables that change what a worker finds.
    variables: BTreeMap<String, Option<String>>,
}

/// Variables on which a worker's facts may depend.
const VARIABLES: [&str; 6] = [
    "LD_LIBRARY_PATH",
    "CUDA_VISIBLE_DEVICES",
    "ATEN_CPU_CAPABILITY",
    "ONEDNN_MAX_CPU_ISA",
    "MKL_CBWR",
    "PATH",
];

/// The descriptions, and a digest of the state under which they were given.
pub(super) fn all(programs: &[Program], cache: &Path) -> Result<(Vec<Description>, Digest)> {
    // From before they are asked: a program that changes meanwhile is asked again the next time.
    let described = state(programs);
    let file = cache.join("workers.json");
    // A file that cannot be read is made again.
    let mut kept: BTreeMap<String, Kept> =
        std::fs::read(&file).ok().and_then(|b| serde_json::from_slice(&b).ok()).unwrap_or_default();
    let mut out = Vec::new();
    let mut changed = false;
    for program in programs {
        let name = program.command.join("\0");
        let under = State::of(program);
        if kept.get(&name).is_none_or(|k| k.under != under) {
            let description = ask(program)?;
            kept.insert(name.clone(), Kept { under, description });
            changed = true;
        }
        if let Some(kept) = kept.get(&name) {
            out.push(kept.description.clone());
        }
    }
    if changed {
        std::fs::create_dir_all(cache).at("create", cache)?;
        let temporary = tempfile::NamedTempFile::new_in(cache).at("write", cache)?;
        serde_json::to_writer(&temporary, &kept).map_err(std::io::Error::from).at("write", &file)?;
        temporary.persist(&file).map_err(|e| e.error).at("write", &file)?;
    }
    Ok((out, described))
}

/// A digest of the state under which these programs would describe themselves now.
pub(super) fn state(programs: &[Program]) -> Digest {
    let states: Vec<_> =
        programs.iter().map(|p| serde_json::to_vec(&State::of(p)).unwrap_or_default()).collect();
    Digest::derive("lfs-pipe 2026 workers", &states.join(&0))
}

impl State {
    fn of(program: &Program) -> Self {
        let stat = |p: &Path| std::fs::metadata(p).ok().map(|m| Stat::from(&m));
        Self {
            files: program.files.iter().map(|p| (p.display().to_string(), stat(p))).collect(),
            boot: std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default(),
            variables: VARIABLES.iter().map(|v| ((*v).to_owned(), std::env::var(v).ok())).collect(),
        }
    }
}

fn ask(program: &Program) -> Result<Description> {
    tracing::debug!(worker = program.name, "asking for its kinds");
    let name = &program.name;
    let (first, rest) = program
        .command
        .split_first()
        .ok_or_else(|| Fault::usage(format!("worker `{name}` has no command")))?;
    let output = Command::new(first)
        .args(rest)
        .arg("describe")
        .current_dir(&program.folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| {
            Fault::usage(format!("worker `{name}` cannot be started: {first}: {e}"))
                .with_help("check its `command` under `[workers]`; a relative program is looked for from the manifest's folder")
        })?;
    let said = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() {
        return Err(Fault::usage(format!(
            "worker `{name}` failed to describe itself ({}): {}",
            output.status,
            said.trim()
        )));
    }
    let description: Description = serde_json::from_slice(&output.stdout).map_err(|e| {
        Fault::usage(format!("worker `{name}` described itself in a form that cannot be read: {e}"))
            .with_help("`docs/workers.md` shows what `describe` must print")
    })?;
    if description.protocol != PROTOCOL {
        return Err(Fault::usage(format!(
            "worker `{name}` speaks protocol {}, and this program speaks {PROTOCOL}",
            description.protocol
        ))
        .with_help("use a worker and a runner of the same release"));
    }
    Ok(description)
}
