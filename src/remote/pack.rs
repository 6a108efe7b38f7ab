//! Folders in transfer: small files are concatenated into packs, large ones are sent by themselves.

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use super::layout::{FULL, Listed, Listing, Pack, SMALL};
use crate::cache::{Cache, Scratch, Stored};
use crate::digest::{Digest, FileHash, hash_file};
use crate::fault::{At, Fault, Result};

/// A folder, ready to be sent.
pub(super) struct Packed {
    pub list: Listing,
    /// Packs, and their paths.
    pub packs: HashMap<Digest, PathBuf>,
    /// Large files, and their paths.
    pub large: HashMap<Digest, PathBuf>,
}

/// Packs a folder of the cache. `None` when it is corrupt.
pub(super) fn pack(cache: &Cache, stored: &Stored, scratch: &Scratch) -> Result<Option<Packed>> {
    let folder = cache.object(&stored.digest);
    let Ok(leaves) = crate::digest::leaves(&folder) else { return Ok(None) };
    let (mut list, mut packs, mut large) =
        (Listing { files: vec![], folders: vec![], packs: vec![] }, HashMap::new(), HashMap::new());
    let mut open: Option<Packing> = None;
    for leaf in leaves {
        if !leaf.is_file() {
            list.folders.push(leaf.name);
            continue;
        }
        let bytes = leaf.stat.size;
        let digest = if bytes < SMALL {
            let mut content = Vec::with_capacity(bytes as usize);
            if File::open(&leaf.path).and_then(|mut f| f.read_to_end(&mut content)).is_err() {
                return Ok(None);
            }
            if open.as_ref().is_none_or(|p| p.bytes >= FULL) {
                close(open.take(), &mut list, &mut packs)?;
            }
            let packing = match &mut open {
                Some(packing) => packing,
                none => none.insert(Packing::new(scratch.path())?),
            };
            packing.add(&content)?;
            Digest(*blake3::hash(&content).as_bytes())
        } else {
            let Ok(FileHash { digest, .. }) = hash_file(&leaf.path, bytes) else { return Ok(None) };
            large.insert(digest, leaf.path.clone());
            digest
        };
        list.files.push(Listed { name: leaf.name, digest, bytes, executable: leaf.stat.executable });
    }
    close(open, &mut list, &mut packs)?;
    let text = list.text().map_err(|e| Fault::machine(e.to_string()))?;
    Ok(Listing::read(stored, &text).map(|list| Packed { list, packs, large }))
}

/// A pack that is being written.
struct Packing {
    path: PathBuf,
    file: std::io::BufWriter<File>,
    hasher: blake3::Hasher,
    bytes: u64,
    files: usize,
}

impl Packing {
    fn new(path: PathBuf) -> Result<Self> {
        let file = File::create_new(&path).at("create", &path)?;
        let file = std::io::BufWriter::with_capacity(1 << 20, file);
        Ok(Self { path, file, hasher: blake3::Hasher::new(), bytes: 0, files: 0 })
    }

    fn add(&mut self, content: &[u8]) -> Result<()> {
        self.hasher.update(content);
        self.file.write_all(content).at("write", &self.path)?;
        self.bytes += content.len() as u64;
        self.files += 1;
        Ok(())
    }
}

fn close(packing: Option<Packing>, list: &mut Listing, packs: &mut HashMap<Digest, PathBuf>) -> Result<()> {
    let Some(mut packing) = packing else { return Ok(()) };
    packing.file.flush().at("write", &packing.path)?;
    let digest = Digest(*packing.hasher.finalize().as_bytes());
    list.packs.push(Pack { digest, files: packing.files });
    packs.insert(digest, packing.path);
    Ok(())
}

/// The path of each blob that was fetched, by its digest and size.
pub(super) type Places = HashMap<(Digest, u64), PathBuf>;

/// Makes a folder of the blobs that were fetched.
pub(super) fn unpack(list: &Listing, folder: &Path, places: &Places) -> std::io::Result<()> {
    let mut packs = list.packs();
    let mut open: Option<(usize, File)> = None;
    for name in &list.folders {
        std::fs::create_dir_all(folder.join(name))?;
    }
    for file in &list.files {
        let to = folder.join(&file.name);
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent)?;
        }
        if file.bytes < SMALL {
            while open.as_ref().is_none_or(|(left, _)| *left == 0) {
                let Some((pack, bytes)) = packs.next() else { return Ok(()) };
                let Some(place) = places.get(&(pack.digest, bytes)) else { return Ok(()) };
                open = Some((pack.files, File::open(place)?));
            }
            let Some((left, from)) = &mut open else { return Ok(()) };
            *left -= 1;
            // With too few bytes the folder gets another digest, which is noticed.
            let mut content = Vec::with_capacity(file.bytes as usize);
            from.take(file.bytes).read_to_end(&mut content)?;
            std::fs::write(&to, content)?;
        } else if let Some(place) = places.get(&(file.digest, file.bytes)) {
            // Copied, since another folder may contain it too.
            reflink_copy::reflink_or_copy(place, &to)?;
        }
        if file.executable {
            std::fs::set_permissions(&to, PermissionsExt::from_mode(0o755))?;
        }
    }
    Ok(())
}
