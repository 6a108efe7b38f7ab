//! `cargo xtask portable`: a small pipeline through nearly every kind, and every loss and network, on this processor and on emulated
//! ones of several makers, and whether every file is the same.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::cargo;
use crate::host::Host;
use crate::stop::{Doing, Result, Stop};

/// Processors with other makers, caches and abilities; none has AVX-512. Names are qemu's.
const PROCESSORS: [&str; 3] = ["Haswell", "EPYC-Rome", "Skylake-Client"];
/// One that has neither AVX2 nor FMA.
const WITHOUT: &str = "Nehalem";
const EMULATOR: &str = "qemu-x86_64";

/// Variables by which a person may have chosen kernels; none may reach a portable result.
const CHOSEN: [(&str, &str); 8] = [
    ("ATEN_CPU_CAPABILITY", "default"),
    ("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"),
    ("DNNL_MAX_CPU_ISA", "SSE41"),
    ("ONEDNN_DEFAULT_FPMATH_MODE", "BF16"),
    ("ONEDNN_CPU_ISA_HINTS", "PREFER_YMM"),
    ("MKL_CBWR", "AVX"),
    ("MKL_ENABLE_INSTRUCTIONS", "SSE4_2"),
    ("GLIBC_TUNABLES", "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX512F"),
];

/// Runs and compares.
///
/// # Errors
/// When the emulator is missing, a run fails, or a file differs.
pub fn portable(host: &Host) -> Result<ExitCode> {
    let found = Command::new(EMULATOR).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !found.is_ok_and(|s| s.success()) {
        return Err(Stop::new(format!("{EMULATOR} is not in PATH"))
            .help("install it: on Debian and Ubuntu the package `qemu-user`"));
    }
    let program = cargo::build(host)?;
    let folder = host.root.join("target/portable");
    if folder.exists() {
        std::fs::remove_dir_all(&folder).doing("empty", &folder)?;
    }
    let bare = Place::new(host, &program, &folder, "this processor");
    let chosen = Place::new(host, &program, &folder, "with variables");
    let emulated: Vec<Place> = PROCESSORS
        .iter()
        .map(|name| Place::emulated(host, &program, &folder, name))
        .collect::<Result<_>>()?;
    bare.finish(bare.start(&[])?)?;
    let wanted = bare.files()?;
    println!("{:<16} {} files", bare.name, wanted.len());
    let started: Vec<_> = emulated.iter().map(|place| place.start(&[])).collect();
    let mut differing = Vec::new();
    let mut compare = |place: &Place| -> Result<()> {
        let files = place.files()?;
        let all = wanted.keys().chain(files.keys().filter(|f| !wanted.contains_key(*f)));
        let other: Vec<&String> = all.filter(|f| wanted.get(*f) != files.get(*f)).collect();
        println!("{:<16} {} files, {} differ", place.name, files.len(), other.len());
        differing.extend(other.into_iter().map(|file| format!("{}: {file}", place.name)));
        Ok(())
    };
    chosen.finish(chosen.start(&CHOSEN)?)?;
    compare(&chosen)?;
    for (place, child) in emulated.iter().zip(started) {
        place.finish(child?)?;
        compare(place)?;
    }
    let without = Place::emulated(host, &program, &folder, WITHOUT)?;
    let said = without.start(&[])?.wait_with_output().doing("wait for", &program)?;
    let text = String::from_utf8_lossy(&said.stderr).into_owned();
    if said.status.success() || !text.contains("no AVX2") {
        return Err(Stop::new(format!(
            "{WITHOUT} should have been refused for want of AVX2; it said:\n{text}"
        )));
    }
    println!("{:<16} refused: it has no AVX2", without.name);
    if differing.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    differing.truncate(40);
    Err(Stop::new(format!("files differ:\n  {}", differing.join("\n  "))))
}

/// A run of the pipeline, natively or with an emulated worker.
struct Place {
    name: String,
    program: PathBuf,
    manifest: PathBuf,
    folder: PathBuf,
    worker: Option<PathBuf>,
}

impl Place {
    fn new(host: &Host, program: &Path, folder: &Path, name: &str) -> Self {
        Self {
            name: name.to_owned(),
            program: program.to_owned(),
            manifest: host.root.join("pipelines/portable.toml"),
            folder: folder.join(name.replace(' ', "-")),
            worker: None,
        }
    }

    /// Only the worker is emulated: it does the computation.
    fn emulated(host: &Host, program: &Path, folder: &Path, name: &str) -> Result<Self> {
        let place = Self::new(host, program, folder, name);
        std::fs::create_dir_all(&place.folder).doing("create", &place.folder)?;
        let worker = place.folder.join("worker");
        let real = program.with_file_name("lfs-stages");
        let text = format!("#!/bin/sh\nexec {EMULATOR} -cpu {name} '{}' \"$@\"\n", real.display());
        std::fs::write(&worker, text).doing("write", &worker)?;
        let executable = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(&worker, executable).doing("write", &worker)?;
        Ok(Self { worker: Some(worker), ..place })
    }

    fn start(&self, variables: &[(&str, &str)]) -> Result<std::process::Child> {
        let mut command = Command::new(&self.program);
        command.args(["run", "--quiet", "-f"]).arg(&self.manifest);
        command.arg("--cache").arg(self.folder.join("cache")).arg("--out").arg(self.folder.join("out"));
        command.envs(variables.iter().copied()).stdout(Stdio::null()).stderr(Stdio::piped());
        if let Some(worker) = &self.worker {
            command.env("LFS_WORKER", worker);
        }
        command.spawn().doing("start", &self.program)
    }

    fn finish(&self, child: std::process::Child) -> Result<()> {
        let said = child.wait_with_output().doing("wait for", &self.program)?;
        if said.status.success() {
            return Ok(());
        }
        Err(Stop::new(format!("{}: the run failed:\n{}", self.name, String::from_utf8_lossy(&said.stderr))))
    }

    /// Its outputs, by path; without the runner's own notes.
    fn files(&self) -> Result<BTreeMap<String, Vec<u8>>> {
        let root = self.folder.join("out");
        let (mut all, mut folders) = (BTreeMap::new(), vec![root.clone()]);
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(&folder).doing("read", &folder)? {
                let path = entry.doing("read", &folder)?.path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    let name = path.strip_prefix(&root).unwrap_or(&path).display().to_string();
                    all.insert(name, std::fs::read(&path).doing("read", &path)?);
                }
            }
        }
        all.retain(|name, _| !name.starts_with(".lfs-pipe"));
        Ok(all)
    }
}
