//! Trillion-Pairs: `testdata/elfw/<7-digit id>/<n>.jpg` (celebrities), `testdata/delfw/<3 digits>/<7 digits>.jpg` (distractors),
//! `testdata_lmk.txt` (`path x1 y1 ... x5 y5`, separated by spaces, paths relative to `testdata/`, in the order of the feature
//! matrix), and `labels.tsv`, a file of this project, since the labels were never published: `path\trole\tidentity` in the same
//! order; the role is `probe` or `gallery`, the identity a number for celebrities and `-1` for distractors.

use std::path::Path;

use lfs_stage::{Context, Result};

use super::{numbers, people};
use crate::factors::Recipe;
use crate::item::Item;
use crate::params::Set;
use crate::truth;
use crate::world::Block;
use crate::write::Press;

/// Images of one celebrity.
const IMAGES: u64 = super::megaface::IMAGES;
/// The number of them in the gallery.
const MATES: u64 = 2;

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let world = press.world();
    let mut items = Vec::new();
    let mut labels = String::new();
    let mut lines = String::new();
    let mut add = |item: Item, role: &str, identity: i64| {
        labels += &format!("{}\t{role}\t{identity}\n", item.path.trim_start_matches("testdata/"));
        items.push(item);
    };
    for (k, person) in people(Block::Trillion, world.gallery_people()).into_iter().enumerate() {
        let id = format!("{:07}", person & 0xffff_ffff);
        for j in 0..IMAGES {
            let path = format!("testdata/elfw/{id}/{}.jpg", j + 1);
            let role = if j < MATES { "gallery" } else { "probe" };
            add(
                Item::new(world, "trillion-pairs", person, j, Recipe::Press, path, id.clone()),
                role,
                k as i64,
            );
        }
    }
    for k in 0..world.params.distractors {
        let path = format!("testdata/delfw/{:03}/{k:07}.jpg", k % 1000);
        let person = world.once(3, k);
        add(
            Item::new(world, "trillion-pairs", person, 0, Recipe::Wild, path, "-1".to_owned()),
            "gallery",
            -1,
        );
    }
    let points = press.print(cx, Set::TrillionPairs, root, &items)?;
    for (item, points) in items.iter().zip(&points) {
        lines += &format!("{} {}\n", item.path.trim_start_matches("testdata/"), numbers(points, " "));
    }
    truth::write(&root.join("testdata_lmk.txt"), lines.as_bytes())?;
    truth::write(&root.join("labels.tsv"), labels.as_bytes())
}
