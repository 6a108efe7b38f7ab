//! The commands that build: what is needed is made first, then cargo does the work.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use crate::host::Host;
use crate::libtorch;
use crate::referees;
use crate::stop::{Doing, Result, Stop};

/// Gets libtorch, builds, and runs `lfs-pipe run`.
///
/// # Errors
/// When something is missing or the build fails; a run that fails gives its own exit code.
pub fn run(host: &Host, args: &[&str]) -> Result<ExitCode> {
    let program = build(host)?;
    let status = tidy(host, &program).arg("run").args(args).status().doing("start", &program)?;
    Ok(code(status))
}

/// Runs a manifest in the user's current folder, so that paths in `rest` are relative to it. `settings` are values of `--set`.
///
/// # Errors
/// When the program cannot be started; a run that fails gives its own exit code.
pub fn call_run(
    host: &Host,
    program: &Path,
    here: &Path,
    manifest: &Path,
    settings: &[&str],
    rest: &[&str],
) -> Result<ExitCode> {
    let mut command = tidy(host, program);
    command.current_dir(here).arg("run").arg("-f").arg(manifest);
    for setting in settings {
        command.args(["--set", setting]);
    }
    Ok(code(command.args(rest).status().doing("start", program)?))
}

fn code(status: std::process::ExitStatus) -> ExitCode {
    // A program that a signal ended has no code; shells write 130 for Ctrl-C.
    status.code().map_or(ExitCode::from(130), |code| ExitCode::from(u8::try_from(code).unwrap_or(1)))
}

/// Builds both programs and gives the path of `lfs-pipe`.
///
/// # Errors
/// When something is missing or the build fails.
pub fn build(host: &Host) -> Result<PathBuf> {
    ready(host)?;
    call(host, &["build", "--release", "--workspace", "--bins"], &[])?;
    // This program was built into the same folder, wherever the user lets cargo build.
    let own = std::env::current_exe().doing("find", Path::new("the running program"))?;
    let program = own.with_file_name("lfs-pipe");
    if program.is_file() { Ok(program) } else { Ok(host.root.join("target/release/lfs-pipe")) }
}

/// Gets libtorch, builds, and runs every test: with nextest where it is installed, which leaves out the examples
/// in the documentation.
///
/// # Errors
/// When something is missing or a test fails.
pub fn test(host: &Host, args: &[&str]) -> Result<ExitCode> {
    ready(host)?;
    let python = referees::python(host);
    let mut probe = cargo(host);
    let nextest = probe.args(["nextest", "--version"]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    if nextest.is_ok_and(|s| s.success()) {
        call_with(host, &["nextest", "run", "--release", "--workspace"], args, python.as_deref())?;
        if args.is_empty() {
            call(host, &["test", "--release", "--doc", "--workspace"], &[])?;
        }
    } else {
        call_with(host, &["test", "--release", "--workspace"], args, python.as_deref())?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Formatting and lints, as CI asks for them.
///
/// # Errors
/// When something is missing or one of them complains.
pub fn check(host: &Host) -> Result<ExitCode> {
    ready(host)?;
    call(host, &["fmt", "--all", "--check"], &[])?;
    call(host, &["clippy", "--workspace", "--all-targets", "--release", "--", "-D", "warnings"], &[])?;
    if host.find("cargo-machete").is_some() {
        call(host, &["machete"], &[])?;
    }
    Ok(ExitCode::SUCCESS)
}

/// All that a build needs besides Rust.
fn ready(host: &Host) -> Result<()> {
    host.compiler()?;
    libtorch::lean(host)
}

fn call(host: &Host, words: &[&str], more: &[&str]) -> Result<()> {
    call_with(host, words, more, None)
}

/// The same, with a Python for tests to compare with.
fn call_with(host: &Host, words: &[&str], more: &[&str], python: Option<&Path>) -> Result<()> {
    let mut command = cargo(host);
    if let Some(python) = python {
        command.env(referees::VARIABLE, python);
    }
    let status = command.args(words).args(more).status().doing("start", Path::new("cargo"))?;
    if status.success() { Ok(()) } else { Err(Stop::new(format!("`cargo {}` failed", words.join(" ")))) }
}

fn cargo(host: &Host) -> Command {
    let own = std::env::var_os("CARGO");
    tidy(host, own.unwrap_or_else(|| OsString::from("cargo")))
}

/// A command in the root, without the variables that cargo set for this program: seen by build scripts, they would make
/// them run again whenever a plain `cargo build` and this program take turns.
fn tidy(host: &Host, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = host.command(program);
    command.current_dir(&host.root);
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"].iter().any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
    match &host.libtorch {
        Some(theirs) => command.env("LIBTORCH", theirs),
        None => command.env_remove("LIBTORCH"),
    };
    command
}
