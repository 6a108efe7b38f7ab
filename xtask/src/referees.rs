//! Python packages against which tests compare: the original libraries of file formats and protocols.
//!
//! They are in a virtual environment of their own below `target`, which is created again when one of the lists changes. If it cannot be
//! created (no package registry, no `venv`), the tests that need them report that they are skipped.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::host::Host;

/// The lists of packages, one `name==version` per line, with further arguments of `pip install`. Those of the second list are installed
/// without the old versions of others that they require: tests use only their own files.
const LISTS: [(&str, &[&str]); 2] =
    [("tests/referees.txt", &[]), ("tests/referees-alone.txt", &["--no-deps"])];
/// The variable that tests read.
pub const VARIABLE: &str = "LFS_PYTHON";

/// A Python with the packages; the exported one, if there is one. None if it cannot be created, which is reported.
pub fn python(host: &Host) -> Option<PathBuf> {
    if let Some(own) = std::env::var_os(VARIABLE).filter(|v| !v.is_empty()) {
        return Some(PathBuf::from(own));
    }
    match ready(host) {
        Ok(python) => Some(python),
        Err(why) => {
            eprintln!("tests that compare with other libraries will be skipped: {why}");
            None
        }
    }
}

fn ready(host: &Host) -> Result<PathBuf, String> {
    let mut wanted = String::new();
    for (list, _) in LISTS {
        let path = host.root.join(list);
        wanted +=
            &std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    }
    let folder = host.root.join("target/referees");
    let (python, stamp) = (folder.join("bin/python"), folder.join("installed.txt"));
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) && python.is_file() {
        return Ok(python);
    }
    eprintln!("fetching the libraries that tests compare with (tests/referees*.txt)");
    let base = host.find("python3").ok_or("there is no python3 in PATH")?;
    let folder_text = folder.display().to_string();
    call(host.command(base).args(["-m", "venv", "--clear", &folder_text]))?;
    for (list, how) in LISTS {
        let list = host.root.join(list).display().to_string();
        let install = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", &list];
        call(host.command(&python).args(install).args(how))?;
    }
    write(&stamp, &wanted)?;
    Ok(python)
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    std::fs::write(path, text).map_err(|e| format!("cannot write {}: {e}", path.display()))
}

fn call(command: &mut Command) -> Result<(), String> {
    let out = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let out = out.map_err(|e| e.to_string())?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr);
    Err(said
        .lines()
        .rev()
        .find(|l| !l.trim().is_empty())
        .unwrap_or("a command failed without a word")
        .to_owned())
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_package_is_pinned_to_a_version() {
        for (list, _) in super::LISTS {
            let list = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(list);
            let text = std::fs::read_to_string(list).unwrap();
            let lines: Vec<&str> = text.lines().filter(|l| !l.starts_with('#')).collect();
            assert!(!lines.is_empty());
            for line in &lines {
                let (name, version) = line.split_once("==").unwrap_or_default();
                assert!(!name.is_empty() && version.starts_with(|c: char| c.is_ascii_digit()), "{line}");
            }
            let mut sorted = lines.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!(lines, sorted);
        }
    }
}
