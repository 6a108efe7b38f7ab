//! Workers: the programs that provide the kinds.

mod describe;
mod process;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

pub(crate) use process::kill_group;
pub use process::{Heard, Worker};

use crate::digest::Digest;
use crate::fault::{Fault, Result};
use crate::manifest::{Manifest, Problem, Problems, WorkerEntry};
use crate::plan::{Kinds, KnownKind, NO_WORKER};

/// A program that speaks the worker protocol.
#[derive(Debug, Clone)]
pub struct Program {
    /// For people: its name in `[workers]`, or `lfs-stages`.
    pub name: String,
    /// Program and first arguments.
    pub command: Vec<String>,
    /// Files whose change makes its description stale.
    pub files: Vec<PathBuf>,
    /// Where relative names in `command` start from.
    pub folder: PathBuf,
}

/// The programs of a manifest, and the kinds that they provide.
#[derive(Debug, Default)]
pub struct Workers {
    /// The programs.
    pub programs: Vec<Program>,
    /// Their kinds by name.
    pub kinds: Kinds,
    /// The digest of the state of programs and machine when they were described.
    pub described: Digest,
    /// The same for each program.
    states: Vec<describe::State>,
}

/// The worker that is distributed with this program.
const OWN: &str = "lfs-stages";

impl Workers {
    /// Asks the workers that a manifest needs for their kinds. Descriptions are kept in `cache` until the
    /// program changes.
    ///
    /// # Errors
    /// When a worker cannot be started or does not answer as it should.
    pub fn of(manifest: &Manifest, commands_alone: bool, cache: &Path) -> Result<Self> {
        // Without any worker, the plan reports each kind as unknown.
        let none = own_program().is_none() && manifest.workers.is_empty();
        if none || commands_alone {
            return Ok(Self::default());
        }
        Self::all(Some(manifest), cache)
    }

    /// Asks all workers for their kinds: the one next to this program, and those of the manifest.
    ///
    /// # Errors
    /// As [`Workers::of`].
    pub fn all(manifest: Option<&Manifest>, cache: &Path) -> Result<Self> {
        let programs =
            manifest.map_or_else(|| programs(&[], Path::new(".")), |m| programs(&m.workers, &m.root));
        if programs.is_empty() {
            return Err(
                Fault::machine(format!("the worker `{OWN}` is not beside this program")).with_help(NO_WORKER)
            );
        }
        let (descriptions, states) = describe::all(&programs, cache)?;
        let described = describe::digest(&states);
        let mut kinds: Kinds = BTreeMap::new();
        let mut wrong = Vec::new();
        for (worker, description) in descriptions.into_iter().enumerate() {
            for info in description.kinds {
                let name = info.name.clone();
                let code = Arc::new(info.code.clone());
                let known = KnownKind { info: Arc::new(info), worker, code };
                if let Some(other) = kinds.insert(name.clone(), known) {
                    let both =
                        format!("workers `{}` and `{}`", programs[other.worker].name, programs[worker].name);
                    let place =
                        manifest.iter().flat_map(|m| &m.workers).find(|w| w.name == programs[worker].name);
                    let place =
                        place.map_or(crate::manifest::Place { source: 0, range: 0..0 }, |w| w.place.clone());
                    wrong.push(Problem::new(format!("{both} both have a kind `{name}`"), &place, "here"));
                }
            }
        }
        if wrong.is_empty() {
            Ok(Self { programs, kinds, described, states })
        } else {
            let sources = manifest.map_or_else(Default::default, |m| m.sources.clone());
            Err(Fault::Manifest(Box::new(Problems::new(sources, wrong))))
        }
    }
}

impl Workers {
    /// Whether a program's files have not changed since it was described.
    pub fn is_as_described(&self, program: usize) -> bool {
        let then = self.programs.get(program).zip(self.states.get(program));
        then.is_none_or(|(program, then)| then.has_files_of_now(program))
    }
}

/// The digest of the current state of these workers' programs and of the machine: while it is unchanged, their
/// descriptions hold.
pub fn state(entries: &[WorkerEntry], folder: &Path) -> Digest {
    let states: Vec<_> = programs(entries, folder).iter().map(describe::State::of).collect();
    describe::digest(&states)
}

fn programs(entries: &[WorkerEntry], folder: &Path) -> Vec<Program> {
    let named = entries.iter().map(|entry| Program {
        name: entry.name.clone(),
        command: entry.command.clone(),
        files: entry.files.iter().map(|f| folder.join(f)).chain(own_files(&entry.command, folder)).collect(),
        folder: folder.to_owned(),
    });
    own_program().into_iter().chain(named).collect()
}

/// The files that a command line names: the program, in `PATH` or by its path, and arguments that are files.
fn own_files(command: &[String], folder: &Path) -> Vec<PathBuf> {
    let in_path = |name: &String| {
        let path = std::env::var_os("PATH").filter(|_| !name.contains('/'))?;
        std::env::split_paths(&path).map(|p| p.join(name)).find(|p| p.is_file())
    };
    let program = command.first().and_then(in_path);
    let others = command.iter().map(|text| folder.join(text)).filter(|path| path.is_file());
    program.into_iter().chain(others).collect()
}

/// The variable that names another worker instead of the one next to this program.
const WORKER: &str = "LFS_WORKER";

fn own_program() -> Option<Program> {
    let path = match std::env::var_os(WORKER) {
        Some(path) => PathBuf::from(path),
        None => std::env::current_exe().ok()?.parent()?.join(OWN),
    };
    path.is_file().then(|| Program {
        name: OWN.to_owned(),
        command: vec![path.display().to_string()],
        files: vec![path],
        folder: PathBuf::from("."),
    })
}
