//! Writers of the data set layouts, one file for each.
//!
//! In all layouts: text is UTF-8 with `\n`; points are in pixels with two decimals, pixel centres at integers, in the order left
//! eye, right eye, tip of the nose, left and right corner of the mouth, as seen in the picture; lists have ten folds that share no
//! identity, with equal numbers of genuine and impostor pairs.

use std::path::Path;

use lfs_faces::dataset::Points;
use lfs_stage::{Context, Result};

use crate::params::Set;
use crate::world::{Block, number};
use crate::write::Press;

mod agedb;
mod calfw;
mod cfp;
mod ijb;
mod lfw;
mod megaface;
mod rfw;
mod tinyface;
mod train;
mod trillion;

/// Writes one set under `root`.
///
/// # Errors
/// If a file cannot be written.
pub fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, set: Set, root: &Path) -> Result<()> {
    std::fs::create_dir_all(root)
        .map_err(|e| lfs_stage::Failure::new(format!("cannot create {}: {e}", root.display())))?;
    match set {
        Set::Train => train::write(press, cx, root),
        Set::Lfw => lfw::lfw(press, cx, root),
        Set::Sllfw => lfw::sllfw(press, cx, root),
        Set::Calfw => calfw::write(press, cx, root, &calfw::AGE),
        Set::Cplfw => calfw::write(press, cx, root, &calfw::POSE),
        Set::Agedb => agedb::write(press, cx, root),
        Set::Cfp => cfp::write(press, cx, root),
        Set::Rfw => rfw::write(press, cx, root),
        Set::Megaface => megaface::write(press, cx, root),
        Set::TrillionPairs => trillion::write(press, cx, root),
        Set::Xqlfw => lfw::xqlfw(press, cx, root),
        Set::IjbB => ijb::write(press, cx, root, &ijb::IJB_B),
        Set::IjbC => ijb::write(press, cx, root, &ijb::IJB_C),
        Set::Tinyface => tinyface::write(press, cx, root),
    }
}

/// The approximate number of images of all sets.
pub fn estimate(world: &crate::world::World) -> u64 {
    let p = &world.params;
    let t = p.test_identities;
    let of = |set: Set| match set {
        Set::Train => (p.identities as f64 * p.images_per_identity) as u64,
        Set::Lfw | Set::Sllfw | Set::Xqlfw => t * lfw::IMAGES as u64,
        Set::Calfw | Set::Cplfw => t * calfw::IMAGES as u64,
        Set::Agedb => t * agedb::IMAGES as u64,
        Set::Cfp => t * 14,
        Set::Rfw => 4 * world.rfw_people() * rfw::IMAGES as u64,
        Set::Megaface | Set::TrillionPairs => world.gallery_people() * megaface::IMAGES + p.distractors,
        Set::IjbB | Set::IjbC => world.gallery_people() * ijb::IMAGES,
        Set::Tinyface => world.gallery_people() * tinyface::IMAGES + p.distractors,
    };
    Set::ALL.into_iter().filter(|s| p.writes(*s)).map(of).sum()
}

/// The numbers of the people of a block.
fn people(block: Block, count: u64) -> Vec<u64> {
    (0..count).map(|k| number(block, k)).collect()
}

/// `x1 y1 ... x5 y5`, separated.
fn numbers(points: &Points, separator: &str) -> String {
    let all: Vec<String> = points.iter().flatten().map(|v| format!("{v:.2}")).collect();
    all.join(separator)
}

/// Lines `path\tx1\ty1 ... x5\ty5`.
fn landmark_lines<'a>(items: impl IntoIterator<Item = (&'a str, &'a Points)>) -> String {
    items.into_iter().map(|(path, points)| format!("{path}\t{}\n", numbers(points, "\t"))).collect()
}
