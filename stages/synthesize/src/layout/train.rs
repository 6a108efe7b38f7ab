//! The training set: `<Name>/<Name>_0001.jpg`, and `landmarks.tsv` with `path\tx1\ty1 ... x5\ty5` for every file, including
//! non-faces (false detections) and files that cannot be decoded.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use lfs_stage::{Context, IoContext, Result};

use super::landmark_lines;
use crate::item::Item;
use crate::params::Set;
use crate::training::Training;
use crate::write::Press;

/// The number of identities that are planned at a time, which bounds the memory for a large world.
const CHUNK: u64 = 64;

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let world = press.world();
    let training = Training::new(world);
    let path = root.join("landmarks.tsv");
    let mut list = BufWriter::new(File::create(&path).doing("create", &path)?);
    for start in (0..world.params.identities).step_by(CHUNK as usize) {
        let end = (start + CHUNK).min(world.params.identities);
        let items: Vec<Item> = (start..end)
            .flat_map(|k| (0..training.count(k)).map(move |j| (k, j)))
            .map(|(k, j)| training.item(k, j))
            .collect();
        let points = press.print(cx, Set::Train, root, &items)?;
        let lines = landmark_lines(items.iter().map(|i| i.path.as_str()).zip(&points));
        list.write_all(lines.as_bytes()).doing("write", &path)?;
    }
    list.flush().doing("write", &path)
}
