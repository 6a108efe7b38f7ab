//! TinyFace: `Testing_Set/Probe/<person>_<n>.jpg`, `Gallery_Match/`, `Gallery_Distractor/<n>.jpg`, small pictures without landmarks,
//! and two MATLAB files: `probe_img_ID_pairs.mat` with `probe_ids` and `probe_set` (cells of file names), and
//! `gallery_match_img_ID_pairs.mat` with `gallery_ids` and `gallery_set`.

use std::path::Path;

use lfs_formats::mat::{self, Value};
use lfs_stage::{Context, Failure, Result};

use super::people;
use crate::factors::Recipe;
use crate::item::Item;
use crate::params::Set;
use crate::truth;
use crate::world::{Block, World};
use crate::write::Press;

/// Images of one person.
pub(super) const IMAGES: u64 = 5;
/// The number of them in the gallery.
const MATES: u64 = 2;
/// How many times smaller its pictures are.
const SMALLER: u32 = 3;

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let world = press.world();
    let mut items = Vec::new();
    let (mut probes, mut gallery) = (Vec::new(), Vec::new());
    for (k, person) in people(Block::Tinyface, world.gallery_people()).into_iter().enumerate() {
        for j in 0..IMAGES {
            let (folder, list) =
                if j < MATES { ("Gallery_Match", &mut gallery) } else { ("Probe", &mut probes) };
            let file = format!("{}_{}.jpg", k + 1, j + 1);
            list.push((k as f64 + 1.0, file.clone()));
            let path = format!("Testing_Set/{folder}/{file}");
            items.push(small(world, person, j, path, (k + 1).to_string()));
        }
    }
    for k in 0..world.params.distractors {
        let path = format!("Testing_Set/Gallery_Distractor/{}.jpg", k + 1);
        items.push(small(world, world.once(3, (1 << 29) + k), 0, path, "-1".to_owned()));
    }
    press.print(cx, Set::Tinyface, root, &items)?;
    let folder = root.join("Testing_Set");
    for (file, what, list) in
        [("probe_img_ID_pairs.mat", "probe", probes), ("gallery_match_img_ID_pairs.mat", "gallery", gallery)]
    {
        let items = list.iter().map(|(_, name)| Value::text(name)).collect();
        let set = Value::Cells { dims: vec![list.len(), 1], items };
        let ids = Value::row(list.iter().map(|(id, _)| *id).collect());
        let bytes = mat::write(&[(format!("{what}_ids"), ids), (format!("{what}_set"), set)])
            .map_err(|e| Failure::new(format!("{file}: {e}")))?;
        truth::write(&folder.join(file), &bytes)?;
    }
    Ok(())
}

fn small(world: &World, person: u64, index: u64, path: String, label: String) -> Item {
    let mut item = Item::new(world, "tinyface", person, index, Recipe::Press, path, label);
    let factors = &mut item.factors;
    factors.size = factors.size.map(|side| (side / SMALLER).max(16));
    factors.scale /= SMALLER as f32;
    factors.blur /= SMALLER as f32;
    item
}
