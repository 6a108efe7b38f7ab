//! Whether any process has a file open for writing.
//!
//! A program that has mapped a file can change it without a new modification time: the kernel sets one at the first write to a
//! page, and not at later ones until the page has been written to the disk. While such a program runs, the times of the file
//! prove nothing.

use std::fs::File;
use std::os::fd::AsRawFd;

use nix::libc;
use rustix::fs::fstatfs;

/// File systems whose leases are of this machine alone, so that a refused one means a writer. (A network file system refuses
/// for reasons of its own.)
const LOCAL: [i64; 8] = [
    0xEF53,      // ext2, ext3, ext4
    0x5846_5342, // xfs
    0x9123_683E, // btrfs
    0x0102_1994, // tmpfs
    0xF2F5_2010, // f2fs
    0x2FC1_2FC1, // zfs
    0x794C_7630, // overlayfs
    0xCA45_1A4E, // bcachefs
];

/// Which signal the holder of a lease is sent (`F_SETSIG` of <fcntl.h>).
const SET_SIGNAL: i32 = 10;

/// Whether some process has a file, which is open for reading, open for writing or mapped for writing. False where that is unknown:
/// on network file systems, and for files of another user.
pub fn has_writer(file: &File) -> bool {
    match lease(file, libc::F_RDLCK) {
        Err(libc::EAGAIN) => fstatfs(file).is_ok_and(|s| LOCAL.contains(&s.f_type)),
        Ok(()) => {
            // A process that opens the file for writing meanwhile waits until the lease is given back.
            let _ = lease(file, libc::F_UNLCK);
            false
        }
        Err(_) => false,
    }
}

/// Asks for a lease of a file, or gives it back.
fn lease(file: &File, kind: i32) -> Result<(), i32> {
    // The holder of a lease is sent a signal when another process breaks it; this signal is ignored unless it is caught.
    #[allow(
        unsafe_code,
        reason = "no crate offers leases; both calls take numbers alone, and the file is open"
    )]
    // SAFETY: the descriptor is open as long as `file` is borrowed, and no memory is passed.
    let answer = unsafe {
        match kind {
            libc::F_UNLCK => 0,
            _ => libc::fcntl(file.as_raw_fd(), SET_SIGNAL, libc::SIGURG),
        };
        libc::fcntl(file.as_raw_fd(), libc::F_SETLEASE, kind)
    };
    match answer {
        -1 => Err(nix::errno::Errno::last_raw()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_is_seen_while_it_has_the_file_open_and_not_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        std::fs::write(&path, "x").unwrap();
        let reader = File::open(&path).unwrap();
        assert!(!has_writer(&reader));
        let other = File::open(&path).unwrap();
        assert!(!has_writer(&reader), "another reader does no harm");
        let writer = File::options().append(true).open(&path).unwrap();
        assert!(has_writer(&reader));
        drop((writer, other));
        assert!(!has_writer(&reader));
    }
}
