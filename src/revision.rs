//! The git commit of a folder, and whether its files are committed.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The commit that is checked out in the repository of a folder; read from its files, without starting a process. None outside of a
/// repository, or if references are kept in another form.
pub fn commit(folder: &Path) -> Option<String> {
    let dot = folder.ancestors().map(|f| f.join(".git")).find(|f| f.exists())?;
    let git = match dot.is_dir() {
        true => dot,
        // A worktree or a submodule.
        false => joined(&dot, std::fs::read_to_string(&dot).ok()?.trim().strip_prefix("gitdir: ")?),
    };
    let head = std::fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else { return is_commit(head.trim()) };
    let common = match std::fs::read_to_string(git.join("commondir")) {
        Ok(text) => git.join(text.trim()),
        Err(_) => git.clone(),
    };
    let loose = [&git, &common].into_iter().find_map(|g| std::fs::read_to_string(g.join(name)).ok());
    if let Some(text) = loose {
        return is_commit(text.trim());
    }
    let packed = std::fs::read_to_string(common.join("packed-refs")).ok()?;
    let line = packed.lines().find(|line| line.split_once(' ').is_some_and(|(_, of)| of == name))?;
    is_commit(line.split(' ').next()?)
}

fn joined(file: &Path, path: &str) -> PathBuf {
    file.parent().unwrap_or(Path::new("/")).join(path)
}

fn is_commit(text: &str) -> Option<String> {
    (text.len() >= 40 && text.bytes().all(|b| b.is_ascii_hexdigit())).then(|| text.to_owned())
}

/// Whether no tracked file of the repository of a folder has uncommitted changes; none if git does not answer.
pub fn is_clean(folder: &Path) -> Option<bool> {
    git(folder, &["status", "--porcelain", "--untracked-files=no"]).map(|changed| changed.is_empty())
}

/// The commit that a text names in the repository of a folder: `HEAD~3`, a branch, a tag.
pub fn resolve(folder: &Path, text: &str) -> Option<String> {
    if text.starts_with('-') {
        return None;
    }
    let commit = git(folder, &["rev-parse", "--verify", "--quiet", &format!("{text}^{{commit}}")])?;
    is_commit(commit.trim())
}

fn git(folder: &Path, arguments: &[&str]) -> Option<String> {
    let mut command = Command::new("git");
    command
        .arg("-C")
        .arg(folder)
        .args(arguments)
        .env("GIT_OPTIONAL_LOCKS", "0")
        .stdin(Stdio::null())
        .stderr(Stdio::null());
    let output = command.output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}
