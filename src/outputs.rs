//! Outputs where people look for them: `out/<stage>[/<labels>]/`.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use crate::cache::{Cache, Copied, Hashed, Scratch, Stored, remove};
use crate::digest::Stat;
use crate::fault::{At, Result};

/// Files up to this size are copied where the file system cannot share their blocks; larger ones are linked, so
/// that a data set does not lie on the disk twice. A link that somebody writes through is noticed: see
/// [`Cache::verify`].
const COPY_UP_TO: u64 = 4 << 20;

/// The folder below the output folder in which copies are made.
pub const PLACING: &str = ".lfs-pipe";

/// How often an output is placed again because somebody wrote to it meanwhile.
const TRIES: u32 = 5;

/// Whether this machine's file system has refused to share blocks.
static NO_REFLINK: AtomicBool = AtomicBool::new(false);

/// Puts an object at a path, in place of whatever is there, and says what is there now. The object must have been
/// verified. `scratch` is a folder on the same file system.
///
/// # Errors
/// When the path cannot be written.
pub fn place(cache: &Cache, stored: &Stored, to: &Path, scratch: &Scratch) -> Result<Hashed> {
    for _ in 0..TRIES {
        let temporary = scratch.path();
        let made = fill(cache, stored, &temporary).and_then(|()| {
            let made = Copied::look(&temporary).at("read", &temporary)?;
            // Another run may have put the same there a moment ago: its readers must not see it change.
            let appear = || renameat_with(CWD, &temporary, CWD, to, RenameFlags::NOREPLACE);
            let appeared = match (appear(), to.parent()) {
                // (Some file systems do not know this way, and say so first.)
                (Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS), Some(parent)) => {
                    std::fs::create_dir_all(parent).at("create", parent)?;
                    appear()
                }
                (appeared, _) => appeared,
            };
            match appeared {
                Ok(()) => return Ok(Ok(made)),
                Err(_) => {
                    if let Some(there) = cache.is_at(to, stored) {
                        remove(&temporary);
                        return Ok(Err(there));
                    }
                }
            }
            put(&temporary, to).at("write", to)?;
            Ok(Ok(made))
        });
        let made = match made {
            Ok(Ok(made)) => made,
            Ok(Err(there)) => return Ok(there),
            Err(fault) => {
                remove(&temporary);
                return Err(fault);
            }
        };
        // Somebody who writes to the path at this very moment must not have it taken for the copy.
        if let Some(placed) = cache.remember_copy(to, stored, &made).at("read", to)? {
            return Ok(placed);
        }
    }
    tracing::warn!("{} is written by somebody else too: the result is in the cache", to.display());
    Ok(Hashed::in_doubt(stored))
}

/// Moves something to a path, in place of whatever is there.
fn put(from: &Path, to: &Path) -> std::io::Result<()> {
    // The two change places: at any instant one of them is there, whether file or folder. (A file that is renamed
    // over another is also written to the disk at once by some file systems, which takes its time.)
    match renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE) {
        Ok(()) => {
            remove(from);
            Ok(())
        }
        Err(Errno::NOENT) => std::fs::rename(from, to),
        Err(_) => {
            remove(to);
            std::fs::rename(from, to)
        }
    }
}

fn fill(cache: &Cache, stored: &Stored, to: &Path) -> Result<()> {
    let object = cache.object(&stored.digest);
    if !stored.folder {
        let metadata = std::fs::metadata(&object).at("read", &object)?;
        return share(&object, to, &Stat::from(&metadata));
    }
    let found = crate::digest::leaves(&object).at("read", &object)?;
    let mut folders: Vec<PathBuf> =
        found.iter().filter_map(|l| to.join(&l.name).parent().map(Path::to_owned)).collect();
    folders.push(to.to_owned());
    folders.sort();
    folders.dedup();
    for folder in folders {
        std::fs::create_dir_all(&folder).at("create", &folder)?;
    }
    found.par_iter().try_for_each(|leaf| share(&leaf.path, &to.join(&leaf.name), &leaf.stat))
}

/// Shares blocks, or copies, or links.
fn share(from: &Path, to: &Path, stat: &Stat) -> Result<()> {
    if !NO_REFLINK.load(Ordering::Relaxed) {
        match reflink_copy::reflink(from, to) {
            Ok(()) => return Ok(()),
            Err(_) => {
                NO_REFLINK.store(true, Ordering::Relaxed);
                remove(to);
            }
        }
    }
    if stat.size > COPY_UP_TO && std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let mode = if stat.executable { 0o755 } else { 0o644 };
    let mut copy = File::options().write(true).create_new(true).mode(mode).open(to).at("create", to)?;
    let mut object = File::open(from).at("read", from)?;
    std::io::copy(&mut object, &mut copy).at("write", to)?;
    Ok(())
}
