//! Reading from a store that is a folder. Anyone may have put anything there: only regular files are waited for.

use std::fs::Metadata;
use std::io::ErrorKind;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use lfs_core::messages::Outcome;
use tokio::fs::File;

/// What exists under a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// A file of this many bytes.
    File(u64),
    /// A folder.
    Folder,
    /// A pipe, a socket or a device, there or above it.
    Other,
}

impl Held {
    fn of(meta: &Metadata) -> Self {
        match (meta.is_file(), meta.is_dir()) {
            (true, _) => Self::File(meta.len()),
            (_, true) => Self::Folder,
            _ => Self::Other,
        }
    }
}

/// What exists at a path, without opening it.
pub async fn held(path: &Path) -> Result<Held, Outcome> {
    match tokio::fs::metadata(path).await {
        Ok(meta) => Ok(Held::of(&meta)),
        Err(e) if e.kind() == ErrorKind::NotFound => Ok(Held::Nothing),
        // Something that is not a folder is in the place of one above it.
        Err(e) if e.kind() == ErrorKind::NotADirectory => Ok(Held::Other),
        Err(e) => Err(broken(path, &e)),
    }
}

/// Opens a file, and returns its size. Anything that is not a file counts as damaged.
pub async fn open(path: &Path) -> Result<(File, u64), Outcome> {
    match held(path).await? {
        Held::Nothing => return Err(Outcome::Missing),
        Held::File(_) => {}
        Held::Folder | Held::Other => return Err(Outcome::Damaged),
    }
    // It may have been replaced since. Without this flag, opening a pipe that has no writer would block for ever.
    let nonblocking = rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::NOCTTY;
    let flags = i32::try_from(nonblocking.bits()).unwrap_or_default();
    let opened = std::fs::OpenOptions::new().read(true).custom_flags(flags).clone();
    let file = match tokio::fs::OpenOptions::from(opened).open(path).await {
        Ok(file) => file,
        Err(e) if e.kind() == ErrorKind::NotFound => return Err(Outcome::Missing),
        Err(e) => return Err(broken(path, &e)),
    };
    match file.metadata().await {
        Ok(meta) => match Held::of(&meta) {
            Held::File(size) => Ok((file, size)),
            _ => Err(Outcome::Damaged),
        },
        Err(e) => Err(broken(path, &e)),
    }
}

/// The outcome when one file of a folder cannot be read: others may still be readable.
pub fn broken(path: &Path, e: &std::io::Error) -> Outcome {
    let text = format!("cannot read {}: {e}", path.display());
    match e.kind() {
        ErrorKind::PermissionDenied => Outcome::Refused(text),
        _ => Outcome::Broken(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_files_are_opened() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        std::fs::write(at("file"), "abc").unwrap();
        std::fs::create_dir(at("folder")).unwrap();
        assert!(std::process::Command::new("mkfifo").arg(at("pipe")).status().unwrap().success());
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        for (link, to) in
            [("to-file", "file"), ("to-pipe", "pipe"), ("to-device", "/dev/zero"), ("ring", "ring")]
        {
            std::os::unix::fs::symlink(to, at(link)).unwrap();
        }
        let outcome = async |name: &str| open(&at(name)).await.map(|(_, size)| size);
        assert_eq!(outcome("file").await, Ok(3));
        assert_eq!(outcome("to-file").await, Ok(3));
        assert_eq!(outcome("nothing").await, Err(Outcome::Missing));
        for other in ["folder", "file/below", "pipe/below", "pipe", "socket", "to-pipe", "to-device"] {
            assert_eq!(outcome(other).await, Err(Outcome::Damaged), "{other}");
        }
        assert!(matches!(outcome("ring").await, Err(Outcome::Broken(_))));
    }
}
