//! Outputs where people look for them: `out/<stage>[/<labels>]/`.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rayon::prelude::*;

use crate::cache::{Cache, Stored, remove};
use crate::fault::{At, Result};

/// Files up to this size are copied where the file system cannot share their blocks; larger ones are linked, so
/// that a data set does not lie on the disk twice. A link that somebody writes through is noticed: see
/// [`Cache::verify`].
const COPY_UP_TO: u64 = 4 << 20;

/// Whether this machine's file system has refused to share blocks.
static NO_REFLINK: AtomicBool = AtomicBool::new(false);

/// Puts an object at a path, in place of whatever is there. The object must have been verified.
///
/// # Errors
/// When the path cannot be written.
pub fn place(cache: &Cache, stored: &Stored, to: &Path) -> Result<()> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let parent = to.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(parent).at("create", parent)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = parent.join(format!(".lfs-pipe-{}-{number}", std::process::id()));
    let made = fill(cache, stored, &temporary);
    let result = made.and_then(|()| {
        if stored.folder || to.is_dir() {
            remove(to);
        }
        std::fs::rename(&temporary, to).at("write", to)
    });
    if result.is_err() {
        remove(&temporary);
    }
    result?;
    cache.remember_copy(to, stored).at("read", to)
}

fn fill(cache: &Cache, stored: &Stored, to: &Path) -> Result<()> {
    let object = cache.object(&stored.digest);
    if !stored.folder {
        return share(&object, to, stored.bytes);
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
    found.par_iter().try_for_each(|leaf| share(&leaf.path, &to.join(&leaf.name), leaf.stat.size))
}

/// Shares blocks, or copies, or links.
fn share(from: &Path, to: &Path, size: u64) -> Result<()> {
    if !NO_REFLINK.load(Ordering::Relaxed) {
        match reflink_copy::reflink(from, to) {
            Ok(()) => return Ok(()),
            Err(_) => {
                NO_REFLINK.store(true, Ordering::Relaxed);
                remove(to);
            }
        }
    }
    if size > COPY_UP_TO && std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    std::fs::copy(from, to).at("write", to)?;
    let executable = std::fs::metadata(to).at("read", to)?.permissions().mode() & 0o100 != 0;
    let mode = if executable { 0o755 } else { 0o644 };
    std::fs::set_permissions(to, PermissionsExt::from_mode(mode)).at("write", to)
}
