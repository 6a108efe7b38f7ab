//! Locks that vanish with their process.
//!
//! One file holds all locks of a cache: the lock of a key is a lock on one byte of it, at an offset made from
//! the key. The file stays empty, and no lock ever has to be removed by hand.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;

use crate::key::Key;

/// A lock; dropping it releases it.
pub(super) struct Held {
    _file: File,
}

/// Tries to take the lock of a key. `None`: another thread or process holds it.
pub(super) fn try_key(locks: &Path, key: &Key) -> io::Result<Option<Held>> {
    // A new open file description each time, since locks belong to descriptions.
    let file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o666).open(locks)?;
    let [a, b, c, d, e, f, g, h, ..] = key.0.0;
    let offset = i64::from_le_bytes([a, b, c, d, e, f, g, h]) & (i64::MAX >> 1);
    match set(&file, libc::F_WRLCK, offset, 1, false) {
        Ok(()) => Ok(Some(Held { _file: file })),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Tries to lock a whole file. `None`: another process holds the lock.
pub(super) fn try_file(file: File) -> io::Result<Option<Held>> {
    match set(&file, libc::F_WRLCK, 0, 0, false) {
        Ok(()) => Ok(Some(Held { _file: file })),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Whether a process holds the lock of a whole file. Nothing is locked, not even for a moment.
pub(super) fn is_held(file: &File) -> bool {
    let mut lock = described(libc::F_WRLCK, 0, 0);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut lock)).is_ok() && lock.l_type != libc::F_UNLCK as i16
}

/// Waits for the lock of a whole file, which is held until it is dropped.
pub(super) fn own_file(file: File) -> io::Result<Held> {
    std::mem::forget(wait(&file, libc::F_WRLCK)?);
    Ok(Held { _file: file })
}

/// Waits for the lock of a whole file, for the time of one write.
pub(super) fn whole_file(file: &File) -> io::Result<Unlock<'_>> {
    wait(file, libc::F_WRLCK)
}

/// Waits for a shared lock of a whole file, which is held until it is dropped.
pub(super) fn shared_file(file: File) -> io::Result<Held> {
    std::mem::forget(wait(&file, libc::F_RDLCK)?);
    Ok(Held { _file: file })
}

fn wait(file: &File, kind: i32) -> io::Result<Unlock<'_>> {
    loop {
        match set(file, kind, 0, 0, true) {
            Ok(()) => return Ok(Unlock(file)),
            Err(Errno::EINTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
}

/// Releases the lock of a file when dropped.
pub(super) struct Unlock<'a>(&'a File);

impl Drop for Unlock<'_> {
    fn drop(&mut self) {
        // Closing the file would release it too; nothing can be done about an error.
        let _ = set(self.0, libc::F_UNLCK, 0, 0, false);
    }
}

fn described(kind: i32, start: i64, length: i64) -> libc::flock {
    libc::flock {
        l_type: kind as i16,
        l_whence: libc::SEEK_SET as i16,
        l_start: start,
        l_len: length,
        l_pid: 0,
    }
}

fn set(file: &File, kind: i32, start: i64, length: i64, wait: bool) -> nix::Result<()> {
    let lock = described(kind, start, length);
    let arg = if wait { FcntlArg::F_OFD_SETLKW(&lock) } else { FcntlArg::F_OFD_SETLK(&lock) };
    fcntl(file, arg).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::digest::Digest;

    #[test]
    fn a_key_is_held_once_and_let_go_when_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks");
        let [a, b] = [b"a", b"b"].map(|t| Key(Digest::derive("t", t)));
        let held = try_key(&path, &a).unwrap().unwrap();
        assert!(try_key(&path, &a).unwrap().is_none());
        assert!(try_key(&path, &b).unwrap().is_some());
        drop(held);
        assert!(try_key(&path, &a).unwrap().is_some());
    }
}
