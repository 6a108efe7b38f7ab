//! CFP: `Data/Images/NNN/{frontal,profile}/NN.jpg` (10 and 4 for each identity), `Data/list_name.txt`,
//! `Data/Fiducials/NNN/{frontal,profile}/NN.txt` (30 lines `x,y` on one half of the face), `Protocol/Pair_list_{F,P}.txt` (lines
//! `index path`) and `Protocol/Split/{FF,FP}/01..10/{same,diff}.txt` (lines `a,b`, from 1; FP: first frontal, second profile).

use std::path::Path;

use lfs_stage::{Context, Result};

use super::people;
use crate::factors::Recipe;
use crate::item::Item;
use crate::pairs::{Fold, Pairing};
use crate::params::Set;
use crate::rng::stream;
use crate::truth;
use crate::world::Block;
use crate::write::Press;

const FRONTAL: usize = 10;
const PROFILE: usize = 4;

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path) -> Result<()> {
    let world = press.world();
    let people = people(Block::Cfp, world.params.test_identities);
    let (mut items, mut names) = (Vec::new(), String::new());
    for (k, &person) in people.iter().enumerate() {
        let name = world.name(person).spaced();
        names += &format!("{name}\n");
        for j in 0..FRONTAL + PROFILE {
            let (recipe, path) = if j < FRONTAL {
                (Recipe::Frontal, format!("Data/Images/{:03}/frontal/{:02}.jpg", k + 1, j + 1))
            } else {
                (Recipe::Profile, format!("Data/Images/{:03}/profile/{:02}.jpg", k + 1, j + 1 - FRONTAL))
            };
            items.push(Item::new(world, "cfp", person, j as u64, recipe, path, name.clone()));
        }
    }
    press.print(cx, Set::Cfp, root, &items)?;
    truth::write(&root.join("Data/list_name.txt"), names.as_bytes())?;
    press.files(root, &items, |item| {
        // The visible half: of a frontal face, the one on the left of the picture.
        let side = if item.path.contains("/frontal/") || item.factors.yaw > 0.0 { -1.0 } else { 1.0 };
        let lines: String =
            item.pointer(world).thirty(side).iter().map(|[x, y]| format!("{x:.3},{y:.3}\n")).collect();
        let path = item.path.replace("Images", "Fiducials").replace(".jpg", ".txt");
        (path, lines)
    })?;
    for (list, folder) in [("Pair_list_F.txt", "/frontal/"), ("Pair_list_P.txt", "/profile/")] {
        let files = items.iter().filter(|i| i.path.contains(folder));
        let lines: String = files.enumerate().map(|(k, i)| format!("{} ../{}\n", k + 1, i.path)).collect();
        truth::write(&root.join("Protocol").join(list), lines.as_bytes())?;
    }
    let wanted = world.params.pairs_per_fold;
    let seed = world.params.seed;
    let frontal: Vec<usize> = (0..FRONTAL).collect();
    let ff = Pairing {
        people: people.len(),
        first: frontal.clone(),
        second: frontal.clone(),
        wanted,
        unlike: None,
    };
    let profile = (FRONTAL..FRONTAL + PROFILE).collect();
    let fp = Pairing { people: people.len(), first: frontal, second: profile, wanted, unlike: None };
    split(root, "FF", &ff.folds(&mut stream(seed, "cfp ff", &[])))?;
    split(root, "FP", &fp.folds(&mut stream(seed, "cfp fp", &[])))
}

fn split(root: &Path, list: &str, folds: &[Fold]) -> Result<()> {
    let index = |(person, image): (usize, usize)| {
        if image < FRONTAL { person * FRONTAL + image + 1 } else { person * PROFILE + image - FRONTAL + 1 }
    };
    for (k, fold) in folds.iter().enumerate() {
        let folder = root.join("Protocol/Split").join(list).join(format!("{:02}", k + 1));
        for (name, pairs) in [("same.txt", &fold.same), ("diff.txt", &fold.different)] {
            let lines: String = pairs.iter().map(|(a, b)| format!("{},{}\n", index(*a), index(*b))).collect();
            truth::write(&folder.join(name), lines.as_bytes())?;
        }
    }
    Ok(())
}
