//! Materialising: putting an object into the output folder.

use std::fs::File;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use rayon::prelude::*;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::{Folder, Foreign, Of, PLACING};
use crate::cache::{Cache, Copied, Hashed, Look, Scratch, Stored, remove};
use crate::digest::Stat;
use crate::fault::{At, Fault};

/// Files up to this size are copied where the file system cannot share their blocks; larger ones are linked, so
/// that a data set does not use the disk space twice. A process that writes through a link is noticed: see
/// [`Cache::verify`].
const COPY_UP_TO: u64 = 4 << 20;

/// How often an output is materialised again because another process wrote to it meanwhile.
const TRIES: u32 = 5;

/// Whether this machine's file system has refused to share blocks.
static NO_REFLINK: AtomicBool = AtomicBool::new(false);

/// Why an output is not materialised.
#[derive(Debug)]
pub enum Trouble {
    /// No run put there what lies there.
    Foreign(Foreign),
    /// The output folder cannot be written.
    Out(Fault),
    /// The object is missing or corrupt.
    Damaged,
    /// The cache cannot be read or written.
    Cache(Fault),
    /// The run is being stopped at once.
    Stopped,
}

/// Says whether the run is being stopped at once.
pub type Stopped<'a> = dyn Fn() -> bool + Sync + 'a;

impl Folder {
    /// Materialises an object as an output, and returns what is there now. The object must have been verified. `scratch` is a
    /// folder on the same file system.
    ///
    /// # Errors
    /// When no run put there what lies there, or it cannot be written.
    pub fn place(
        &self,
        cache: &Cache,
        of: Of<'_>,
        stored: &Stored,
        (scratch, stop): (&Scratch, &Stopped<'_>),
    ) -> Result<Hashed, Trouble> {
        let to = self.path().join(of.path);
        if let Some(foreign) = self.on_the_way(of, cache) {
            return Err(Trouble::Foreign(foreign));
        }
        // An output whose path was above this one's.
        if let Some((at, metadata)) = self.first_that_is_no_folder(of.path)
            && metadata.is_file()
        {
            // Another thread may have created a folder there by now.
            let _ = std::fs::remove_file(&at);
        }
        for _ in 0..TRIES {
            let temporary = scratch.path();
            let made = match self.move_in(cache, of, stored, (&temporary, stop)) {
                Ok(Ok(made)) => made,
                Ok(Err(there)) => return Ok(there),
                Err(trouble) => {
                    remove(&temporary);
                    return Err(trouble);
                }
            };
            // If another process writes to the path at this very moment, that must not be taken for the copy.
            if let Some(placed) =
                cache.remember_copy(&to, stored, &made).at("read", &to).map_err(Trouble::Out)?
            {
                return Ok(placed);
            }
        }
        tracing::warn!("another process writes to {}, too: the result is in the cache", to.display());
        Ok(Hashed::in_doubt(stored))
    }

    /// Makes a copy and moves it into place. Returns the copy, or what was there already and is the same.
    fn move_in(
        &self,
        cache: &Cache,
        of: Of<'_>,
        stored: &Stored,
        (temporary, stop): (&Path, &Stopped<'_>),
    ) -> Result<Result<Copied, Hashed>, Trouble> {
        let to = self.path().join(of.path);
        fill(cache, stored, temporary, stop)?;
        // A process may have written to the object while it was copied.
        if !cache.verify(stored, Look::AtStat).map_err(Trouble::Cache)? {
            return Err(Trouble::Damaged);
        }
        let made = Copied::look(temporary).at("read", temporary).map_err(Trouble::Out)?;
        self.placed.note(of.path, &made, &stored.digest).at("write to", self.path()).map_err(Trouble::Out)?;
        // Another run may have just put the same there: its readers must not see it change.
        let appear = || renameat_with(CWD, temporary, CWD, &to, RenameFlags::NOREPLACE);
        let appeared = match (appear(), to.parent()) {
            // (Some file systems do not support the flag, and report that first.)
            (Err(Errno::NOENT | Errno::INVAL | Errno::NOSYS), Some(parent)) => {
                std::fs::create_dir_all(parent).at("create", parent).map_err(Trouble::Out)?;
                appear()
            }
            (appeared, _) => appeared,
        };
        if appeared == Err(Errno::XDEV)
            && let Some(parent) = to.parent()
            && !temporary.starts_with(parent)
        {
            // Another file system begins there: the copy is made next to its place.
            remove(temporary);
            let name = temporary.file_name().unwrap_or_default().to_string_lossy();
            let beside = parent.join(format!("{PLACING}-{}-{name}", std::process::id()));
            return self.move_in(cache, of, stored, (&beside, stop)).inspect_err(|_| remove(&beside));
        }
        if appeared.is_ok() {
            return Ok(Ok(made));
        }
        if let Some(there) = cache.is_at(&to, stored) {
            remove(temporary);
            return Ok(Err(there));
        }
        if let Some(foreign) = self.foreign(of, cache) {
            return Err(Trouble::Foreign(foreign));
        }
        self.put(cache, of, temporary, &to)?;
        Ok(Ok(made))
    }

    /// Moves something to a path, replacing what a run put there.
    fn put(&self, cache: &Cache, of: Of<'_>, from: &Path, to: &Path) -> Result<(), Trouble> {
        // The two are exchanged: at any instant one of them is there, whether file or folder. (When a file is renamed over another,
        // some file systems also write it to the disk at once, which takes time.)
        let exchange = || renameat_with(CWD, from, CWD, to, RenameFlags::EXCHANGE);
        match exchange() {
            Ok(()) => {
                // `from` is now what was there at that instant.
                if let Some(foreign) = self.is_not_ours(of, from, cache).filter(|_| !self.overwrite) {
                    exchange().map_err(std::io::Error::from).at("put back", to).map_err(Trouble::Out)?;
                    return Err(Trouble::Foreign(foreign));
                }
                remove(from);
                Ok(())
            }
            Err(Errno::NOENT) => std::fs::rename(from, to).at("write", to).map_err(Trouble::Out),
            // The file system does not support the exchange.
            Err(Errno::INVAL | Errno::NOSYS) => {
                remove(to);
                std::fs::rename(from, to).at("write", to).map_err(Trouble::Out)
            }
            Err(e) => Err(std::io::Error::from(e)).at("write", to).map_err(Trouble::Out),
        }
    }
}

fn fill(cache: &Cache, stored: &Stored, to: &Path, stop: &Stopped<'_>) -> Result<(), Trouble> {
    let object = cache.object(&stored.digest);
    if !stored.folder {
        let metadata = of_object(std::fs::metadata(&object), &object)?;
        return share(&object, to, &Stat::from(&metadata), stored.executable);
    }
    let found = of_object(crate::digest::leaves(&object), &object)?;
    let folder_of = |leaf: &crate::digest::Leaf| match leaf.is_file() {
        true => to.join(&leaf.name).parent().map(Path::to_owned),
        false => Some(to.join(leaf.name.trim_end_matches('/'))),
    };
    let mut folders: Vec<PathBuf> = found.iter().filter_map(folder_of).collect();
    folders.push(to.to_owned());
    folders.sort();
    folders.dedup();
    for folder in folders {
        std::fs::create_dir_all(&folder).at("create", &folder).map_err(Trouble::Out)?;
    }
    let files: Vec<_> = found.iter().filter(|leaf| leaf.is_file()).collect();
    files.par_iter().try_for_each(|leaf| match stop() {
        true => Err(Trouble::Stopped),
        false => share(&leaf.path, &to.join(&leaf.name), &leaf.stat, leaf.stat.executable),
    })
}

/// What was read of an object. A missing object is computed again; one that cannot be read is a fault of the machine.
fn of_object<T>(read: std::io::Result<T>, object: &Path) -> Result<T, Trouble> {
    match read {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Err(Trouble::Damaged),
        read => read.at("read", object).map_err(Trouble::Cache),
    }
}

/// Shares blocks, or copies, or links.
fn share(from: &Path, to: &Path, stat: &Stat, executable: bool) -> Result<(), Trouble> {
    let mode = if executable { 0o755 } else { 0o644 };
    if !NO_REFLINK.load(Ordering::Relaxed) {
        match reflink_copy::reflink(from, to) {
            Ok(()) => {
                let set = std::fs::set_permissions(to, PermissionsExt::from_mode(mode));
                return set.at("write", to).map_err(Trouble::Out);
            }
            Err(_) => {
                NO_REFLINK.store(true, Ordering::Relaxed);
                remove(to);
            }
        }
    }
    // Rights belong to a file, not to one of its names.
    if stat.size > COPY_UP_TO && stat.executable == executable && std::fs::hard_link(from, to).is_ok() {
        return Ok(());
    }
    let copy = File::options().write(true).create_new(true).mode(mode).open(to);
    let mut copy = copy.at("create", to).map_err(Trouble::Out)?;
    let mut object = of_object(File::open(from), from)?;
    std::io::copy(&mut object, &mut copy).at("write", to).map_err(Trouble::Out)?;
    Ok(())
}
