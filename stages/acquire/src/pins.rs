//! Digest pins: the source must have the pinned bytes.

use std::fmt::Write as _;
use std::fs::File;
use std::path::Path;

use lfs_stage::{Failure, IoContext, Result};
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use crate::options::Options;
use crate::tree::Tree;

/// Compares the digests of the source with the pinned ones.
pub(crate) fn verify(options: &Options, source: &Path) -> Result<()> {
    if let Some(wanted) = &options.sha256 {
        compare("sha256", wanted, &digest(source, sha256_of_file, |text| hex(&Sha256::digest(text)))?)?;
    }
    if let Some(wanted) = &options.blake3 {
        compare(
            "blake3",
            wanted,
            &digest(source, blake3_of_file, |text| blake3::hash(text).to_hex().to_string())?,
        )?;
    }
    Ok(())
}

fn compare(name: &str, wanted: &str, found: &str) -> Result<()> {
    if wanted.eq_ignore_ascii_case(found) {
        return Ok(());
    }
    Err(Failure::new(format!(
        "the source is not what `{name}` pins:\n  pinned {}\n  found  {found}",
        wanted.to_lowercase()
    ))
    .help(format!("fetch the source again; if the new content is meant, set `{name}` to the digest found")))
}

fn digest(
    source: &Path,
    of_file: impl Fn(&Path) -> Result<String> + Sync,
    of_text: impl Fn(&[u8]) -> String,
) -> Result<String> {
    if !source.is_dir() {
        return of_file(source);
    }
    let files = Tree::new(source).all_files()?;
    let digests: Vec<Result<String>> = files.par_iter().map(|f| of_file(&source.join(f))).collect();
    let mut text = String::new();
    for (file, digest) in files.iter().zip(digests) {
        let _ = writeln!(text, "{}  {file}", digest?);
    }
    Ok(of_text(text.as_bytes()))
}

fn sha256_of_file(path: &Path) -> Result<String> {
    let mut hasher = Sha256::new();
    std::io::copy(&mut File::open(path).doing("read", path)?, &mut hasher).doing("read", path)?;
    Ok(hex(&hasher.finalize()))
}

fn blake3_of_file(path: &Path) -> Result<String> {
    let mut hasher = blake3::Hasher::new();
    hasher.update_mmap(path).doing("read", path)?;
    Ok(hasher.finalize().to_hex().to_string())
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, b| {
        let _ = write!(text, "{b:02x}");
        text
    })
}
