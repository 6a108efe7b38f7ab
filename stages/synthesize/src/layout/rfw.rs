//! RFW: `data/<Race>/<id>/<id>_0001.jpg`, `txts/<Race>/<Race>_pairs.txt` (in LFW's format, without a header) and
//! `txts/<Race>/<Race>_lmk.txt`: the path relative to `data/`, one field (0), ten numbers, separated by tabs.

use std::path::Path;

use lfs_stage::{Context, Result};

use super::numbers;
use crate::factors::Recipe;
use crate::identity::Group;
use crate::item::Item;
use crate::pairs::Pairing;
use crate::params::Set;
use crate::rng::stream;
use crate::truth;
use crate::world::{Block, number};
use crate::write::Press;

/// Images of one person.
pub(super) const IMAGES: usize = 6;

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let world = press.world();
    let count = world.rfw_people();
    for group in Group::ALL {
        let race = group.name();
        let (mut items, mut ids) = (Vec::new(), Vec::new());
        for k in 0..count {
            let person = number(Block::Rfw, group as u64 * count + k);
            let id = world.rfw_id(person);
            for j in 0..IMAGES {
                let path = format!("data/{race}/{id}/{id}_{:04}.jpg", j + 1);
                items.push(Item::new(world, "rfw", person, j as u64, Recipe::Press, path, id.clone()));
            }
            ids.push(id);
        }
        let points = press.print(cx, Set::Rfw, root, &items)?;
        let lines: String = items
            .iter()
            .zip(&points)
            .map(|(i, p)| format!("{}\t0\t{}\n", i.path.trim_start_matches("data/"), numbers(p, "\t")))
            .collect();
        let folder = root.join("txts").join(race);
        truth::write(&folder.join(format!("{race}_lmk.txt")), lines.as_bytes())?;
        let all: Vec<usize> = (0..IMAGES).collect();
        let wanted = world.params.pairs_per_fold;
        let pairing = Pairing { people: ids.len(), first: all.clone(), second: all, wanted, unlike: None };
        let mut out = String::new();
        for fold in pairing.folds(&mut stream(world.params.seed, "rfw pairs", &[group as u64])) {
            for ((a, i), (_, j)) in &fold.same {
                out += &format!("{}\t{}\t{}\n", ids[*a], i + 1, j + 1);
            }
            for ((a, i), (b, j)) in &fold.different {
                out += &format!("{}\t{}\t{}\t{}\n", ids[*a], i + 1, ids[*b], j + 1);
            }
        }
        truth::write(&folder.join(format!("{race}_pairs.txt")), out.as_bytes())?;
    }
    Ok(())
}
