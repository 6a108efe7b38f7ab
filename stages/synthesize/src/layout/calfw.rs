//! CALFW (pairs with an age gap) and CPLFW (pairs with a pose gap), with LFW's people.
//!
//! Flat `images/` (`Name_0001.jpg`; CPLFW: `Name_1.jpg`), `CA_landmarks/` or `CP_landmarks/` with one file `<stem>_5loc_attri.txt`
//! for each image (five lines `x y`), and `pairs_CALFW.txt` or `pairs_CPLFW.txt`. A pair is two lines `file label`; first all
//! genuine pairs by fold, whose label is the number of the fold (1 to 10), then all impostor pairs by fold, whose label is 0.

use std::fmt::Write as _;
use std::path::Path;

use lfs_stage::{Context, Result};

use super::people;
use crate::factors::Recipe;
use crate::item::Item;
use crate::pairs::{Image, Pairing};
use crate::params::Set;
use crate::rng::stream;
use crate::truth;
use crate::world::Block;
use crate::write::Press;

/// Images of one person: half on each side of the gap.
pub(super) const IMAGES: usize = 6;

/// The differences of the two sets.
pub(super) struct Kind {
    set: Set,
    first: Recipe,
    second: Recipe,
    landmarks: &'static str,
    list: &'static str,
    file: fn(&str, usize) -> String,
}

pub(super) const AGE: Kind = Kind {
    set: Set::Calfw,
    first: Recipe::Young,
    second: Recipe::Old,
    landmarks: "CA_landmarks",
    list: "pairs_CALFW.txt",
    file: |name, k| format!("{name}_{:04}.jpg", k + 1),
};

pub(super) const POSE: Kind = Kind {
    set: Set::Cplfw,
    first: Recipe::Ahead,
    second: Recipe::Aside,
    landmarks: "CP_landmarks",
    list: "pairs_CPLFW.txt",
    file: |name, k| format!("{name}_{}.jpg", k + 1),
};

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path, kind: &Kind) -> Result<()> {
    let world = press.world();
    let (mut items, mut names) = (Vec::new(), Vec::new());
    for person in people(Block::Lfw, world.params.test_identities) {
        let name = world.name(person).folder();
        for j in 0..IMAGES {
            let recipe = if j < IMAGES / 2 { kind.first } else { kind.second };
            let path = format!("images/{}", (kind.file)(&name, j));
            items.push(Item::new(world, kind.set.name(), person, j as u64, recipe, path, name.clone()));
        }
        names.push(name);
    }
    press.print(cx, kind.set, root, &items)?;
    press.files(root, &items, |item| {
        let stem = item.path.trim_start_matches("images/").trim_end_matches(".jpg");
        let lines: String = item.five(world).iter().map(|[x, y]| format!("{x:.2} {y:.2}\n")).collect();
        (format!("{}/{stem}_5loc_attri.txt", kind.landmarks), lines)
    })?;
    let pairing = Pairing {
        people: names.len(),
        first: (0..IMAGES / 2).collect(),
        second: (IMAGES / 2..IMAGES).collect(),
        wanted: world.params.pairs_per_fold,
        unlike: None,
    };
    let folds = pairing.folds(&mut stream(world.params.seed, kind.list, &[]));
    let mut out = String::new();
    let mut pair = |(a, b): &(Image, Image), label: usize| {
        for (person, image) in [a, b] {
            let _ = writeln!(out, "{} {label}", (kind.file)(&names[*person], *image));
        }
    };
    for (k, fold) in folds.iter().enumerate() {
        fold.same.iter().for_each(|p| pair(p, k + 1));
    }
    for fold in &folds {
        fold.different.iter().for_each(|p| pair(p, 0));
    }
    truth::write(&root.join(kind.list), out.as_bytes())
}
