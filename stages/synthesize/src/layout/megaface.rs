//! MegaFace: `facescrub/<Name>/<Name>_1.jpg`, `distractors/<a>/<b>@N00/<c>_0.jpg`, `landmarks.tsv` for both, and lists:
//!
//! - `facescrub_features_list.json`: `{"path": [..], "id": [..]}`, paths relative to `facescrub/`;
//! - `megaface_features_list.json_<size>_1` for 10, 100, .. and for all distractors, each a prefix of the next, paths relative to
//!   `distractors/`;
//! - `facescrub_noises.txt` (`#` comments, then file names) and `megaface_noises.txt` (`#` comments, then a text, a tab, and the
//!   path): noisy images are listed above, but must not be evaluated.

use std::path::Path;

use lfs_stage::{Context, Result};
use serde_json::json;

use super::{landmark_lines, people};
use crate::factors::Recipe;
use crate::item::{Fault, Item};
use crate::params::Set;
use crate::rng::{Draw, stream};
use crate::truth;
use crate::world::{Block, World, number};
use crate::write::Press;

/// Images of one probe identity.
pub(super) const IMAGES: u64 = 8;

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let world = press.world();
    let probes = probes(world);
    let distractors = distractors(world);
    let mut lines = String::new();
    for items in [&probes, &distractors] {
        let points = press.print(cx, Set::Megaface, root, items)?;
        lines += &landmark_lines(items.iter().map(|i| i.path.as_str()).zip(&points));
    }
    truth::write(&root.join("landmarks.tsv"), lines.as_bytes())?;
    list(&root.join("facescrub_features_list.json"), &probes, "facescrub/")?;
    let mut size = 10;
    loop {
        let size_now = size.min(distractors.len());
        let name = format!("megaface_features_list.json_{size_now}_1");
        list(&root.join(name), &distractors[..size_now], "distractors/")?;
        if size_now == distractors.len() {
            break;
        }
        size *= 10;
    }
    let noisy = |items: &[Item], line: &dyn Fn(&Item) -> String| -> String {
        let found: String = items.iter().filter(|i| i.fault.is_some()).map(line).collect();
        format!("# Images that are not what the lists say.\n{found}")
    };
    let file = |i: &Item| format!("{}\n", i.path.rsplit('/').next().unwrap_or_default());
    truth::write(&root.join("facescrub_noises.txt"), noisy(&probes, &file).as_bytes())?;
    let path = |i: &Item| format!("{}\t{}\n", i.other, i.path.trim_start_matches("distractors/"));
    truth::write(&root.join("megaface_noises.txt"), noisy(&distractors, &path).as_bytes())
}

fn list(path: &Path, items: &[Item], root: &str) -> Result<()> {
    let paths: Vec<&str> = items.iter().map(|i| i.path.trim_start_matches(root)).collect();
    let ids: Vec<&str> = items.iter().map(|i| i.label.as_str()).collect();
    truth::write(path, format!("{}\n", json!({ "path": paths, "id": ids })).as_bytes())
}

fn probes(world: &World) -> Vec<Item> {
    let p = &world.params;
    let mut items = Vec::new();
    for person in people(Block::Megaface, world.gallery_people()) {
        let name = world.name(person).folder();
        for j in 0..IMAGES {
            let path = format!("facescrub/{name}/{name}_{}.jpg", j + 1);
            let mut item = Item::new(world, "megaface", person, j, Recipe::Press, path, name.clone());
            let mut rng = stream(p.seed, "noisy probe", &[person, j]);
            // At least two clean images, for a mate and a probe.
            if j >= 2 && rng.chance(p.noisy) {
                item.person = Some(world.once(1, items.len() as u64));
                item.fault = Some(Fault::NoisyProbe);
            }
            items.push(item);
        }
    }
    items
}

fn distractors(world: &World) -> Vec<Item> {
    let p = &world.params;
    (0..p.distractors)
        .map(|k| {
            let mut rng = stream(p.seed, "distractor", &[k]);
            let path = format!("distractors/{:03}/{:08}@N00/{k}_0.jpg", k % 997, rng.below(100_000_000));
            let person = world.once(2, k);
            let mut item = Item::new(world, "megaface", person, 0, Recipe::Wild, path, format!("d{k:07}"));
            if rng.chance(p.noisy) {
                let known = number(Block::Megaface, rng.below(world.gallery_people()));
                item.factors = world.factors("megaface noise", known, k, Recipe::Wild);
                item.person = Some(known);
                item.fault = Some(Fault::NoisyDistractor);
                item.other = world.name(known).folder();
            }
            item
        })
        .collect()
}
