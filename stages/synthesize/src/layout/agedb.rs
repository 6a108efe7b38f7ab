//! AgeDB: flat `AgeDB/<number>_<FirstLast>_<age>_<m|f>.jpg` (the number runs over all images from 0), `landmarks/<stem>.pts`
//! (iBUG's text format, 68 points), and `splits.mat` (MATLAB 5): the variable `splits`, a 1x10 struct array with the fields `pairs`
//! (2 x 2N cell of file names; a column is a pair) and `labels` (1 x 2N, +1 genuine, -1 impostor; the N genuine pairs first). The
//! ages in a pair differ by at least 20 years at usual strength.

use std::path::Path;

use lfs_formats::mat::{self, Value};
use lfs_stage::{Context, Failure, Result};

use super::people;
use crate::factors::Recipe;
use crate::item::Item;
use crate::pairs::{Fold, Pairing};
use crate::params::Set;
use crate::rng::stream;
use crate::truth;
use crate::world::Block;
use crate::write::Press;

/// Images of one person: half young, half old.
pub(super) const IMAGES: usize = 6;

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let world = press.world();
    let mut items = Vec::new();
    for person in people(Block::Agedb, world.params.test_identities) {
        let name = world.name(person).joined();
        let sex = if world.person(person).traits.ruggedness > 0.5 { 'm' } else { 'f' };
        for j in 0..IMAGES {
            let recipe = if j < IMAGES / 2 { Recipe::Young } else { Recipe::Old };
            let mut item = Item::new(world, "agedb", person, j as u64, recipe, String::new(), name.clone());
            item.path = format!("AgeDB/{}_{name}_{}_{sex}.jpg", items.len(), item.factors.age.round() as u32);
            items.push(item);
        }
    }
    press.print(cx, Set::Agedb, root, &items)?;
    press.files(root, &items, |item| {
        let stem = item.path.trim_start_matches("AgeDB/").trim_end_matches(".jpg");
        let mut text = String::from("version: 1\nn_points: 68\n{\n");
        for [x, y] in item.pointer(world).sixty_eight() {
            text += &format!("{x:.3} {y:.3}\n");
        }
        text += "}\n";
        (format!("landmarks/{stem}.pts"), text)
    })?;
    let pairing = Pairing {
        people: world.params.test_identities as usize,
        first: (0..IMAGES / 2).collect(),
        second: (IMAGES / 2..IMAGES).collect(),
        wanted: world.params.pairs_per_fold,
        unlike: None,
    };
    let folds = pairing.folds(&mut stream(world.params.seed, "agedb pairs", &[]));
    let bytes = mat::write(&[("splits".to_owned(), splits(&folds, &items))])
        .map_err(|e| Failure::new(format!("splits.mat: {e}")))?;
    truth::write(&root.join("splits.mat"), &bytes)
}

fn splits(folds: &[Fold], items: &[Item]) -> Value {
    let name = |(person, image): (usize, usize)| {
        Value::text(items[person * IMAGES + image].path.trim_start_matches("AgeDB/"))
    };
    let one = |fold: &Fold| {
        let all = fold.same.iter().chain(&fold.different);
        let cells = all.flat_map(|(a, b)| [name(*a), name(*b)]).collect();
        let count = fold.same.len() + fold.different.len();
        let labels = (0..count).map(|k| if k < fold.same.len() { 1.0 } else { -1.0 }).collect();
        vec![Value::Cells { dims: vec![2, count], items: cells }, Value::row(labels)]
    };
    Value::Structs {
        dims: vec![1, folds.len()],
        fields: vec!["pairs".to_owned(), "labels".to_owned()],
        items: folds.iter().map(one).collect(),
    }
}
