//! LFW, SLLFW and XQLFW: `<Name>/<Name>_0001.jpg` and `landmarks.tsv`.
//!
//! - LFW: `pairs.txt` with the header `10\tN`, then in each fold N lines `Name\ti\tj` and N lines `NameA\ti\tNameB\tj`.
//! - XQLFW: `xqlfw_pairs.txt` in the same form; every other image of a person is of low quality.
//! - SLLFW: `pair_SLLFW.txt` without a header; a pair is two lines, each `Name/Name_0001.jpg`; a fold is N genuine pairs, with both
//!   images in one folder, then N impostor pairs of people who look alike.

use std::fmt::Write as _;
use std::path::Path;

use lfs_stage::{Context, Result};

use super::{landmark_lines, people};
use crate::factors::Recipe;
use crate::identity::Identity;
use crate::item::Item;
use crate::pairs::Pairing;
use crate::params::Set;
use crate::rng::stream;
use crate::truth;
use crate::world::Block;
use crate::write::Press;

/// Images of one person.
pub(super) const IMAGES: usize = 6;

pub(super) fn lfw(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let names = images(press, cx, root, Set::Lfw)?;
    pairs(press, &names, "lfw pairs", &root.join("pairs.txt"))
}

pub(super) fn xqlfw(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let names = images(press, cx, root, Set::Xqlfw)?;
    pairs(press, &names, "xqlfw pairs", &root.join("xqlfw_pairs.txt"))
}

/// Writes a list of LFW's form.
fn pairs(press: &Press<'_, '_>, names: &[String], what: &str, path: &Path) -> Result<()> {
    let p = &press.world().params;
    let pairing = pairing(names.len(), p.pairs_per_fold, None);
    let folds = pairing.folds(&mut stream(p.seed, what, &[]));
    let mut out = format!("10\t{}\n", folds.first().map_or(0, |f| f.same.len()));
    for fold in &folds {
        for ((a, i), (_, j)) in &fold.same {
            let _ = writeln!(out, "{}\t{}\t{}", names[*a], i + 1, j + 1);
        }
        for ((a, i), (b, j)) in &fold.different {
            let _ = writeln!(out, "{}\t{}\t{}\t{}", names[*a], i + 1, names[*b], j + 1);
        }
    }
    truth::write(path, out.as_bytes())
}

pub(super) fn sllfw(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let names = images(press, cx, root, Set::Sllfw)?;
    let world = press.world();
    let who: Vec<Identity> =
        people(Block::Lfw, world.params.test_identities).into_iter().map(|n| world.person(n)).collect();
    let unlike = |a: usize, b: usize| who[a].distance(&who[b]);
    let pairing = pairing(names.len(), world.params.pairs_per_fold, Some(&unlike));
    let mut out = String::new();
    for fold in pairing.folds(&mut stream(world.params.seed, "sllfw pairs", &[])) {
        for ((a, i), (b, j)) in fold.same.iter().chain(&fold.different) {
            let _ = writeln!(out, "{}\n{}", file(&names[*a], *i), file(&names[*b], *j));
        }
    }
    truth::write(&root.join("pair_SLLFW.txt"), out.as_bytes())
}

fn pairing(people: usize, wanted: usize, unlike: Option<&dyn Fn(usize, usize) -> f32>) -> Pairing<'_> {
    Pairing { people, first: (0..IMAGES).collect(), second: (0..IMAGES).collect(), wanted, unlike }
}

fn file(name: &str, image: usize) -> String {
    format!("{name}/{name}_{:04}.jpg", image + 1)
}

/// Writes images and landmarks; returns the names.
fn images(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path, set: Set) -> Result<Vec<String>> {
    let world = press.world();
    let mut items = Vec::new();
    let mut names = Vec::new();
    for person in people(Block::Lfw, world.params.test_identities) {
        let name = world.name(person).folder();
        for j in 0..IMAGES {
            let path = file(&name, j);
            let mut item = Item::new(world, set.name(), person, j as u64, Recipe::Press, path, name.clone());
            if set == Set::Xqlfw && j % 2 == 1 {
                let factors = &mut item.factors;
                (factors.blur, factors.noise) = (2.0 + 2.0 * factors.blur, 6.0 + 2.0 * factors.noise);
                factors.quality = factors.quality.min(30);
            }
            items.push(item);
        }
        names.push(name);
    }
    let points = press.print(cx, set, root, &items)?;
    let lines = landmark_lines(items.iter().map(|i| i.path.as_str()).zip(&points));
    truth::write(&root.join("landmarks.tsv"), lines.as_bytes())?;
    Ok(names)
}
