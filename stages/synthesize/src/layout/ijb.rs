//! IJB-B and IJB-C in the form in which InsightFace hands them out: `loose_crop/<n>.jpg`, and in `meta/`, with `ijbb` or `ijbc`
//! before each name, `_face_tid_mid.txt` (`image template media`), `_name_5pts_score.txt` (`image x1 y1 .. x5 y5 score`),
//! `_template_pair_label.txt` (`template template label`) and for searches `_1N_gallery_G1.csv`, `_G2.csv` (IJB-B: `S1`, `S2`) and
//! `_1N_probe_mixed.csv` (`TEMPLATE_ID,SUBJECT_ID,FILENAME`). A media is a photograph or three frames of a video. Each person has a
//! template in one of the two galleries, and is a probe in the others.

use std::fmt::Write as _;
use std::path::Path;

use lfs_stage::{Context, Result};

use super::{numbers, people};
use crate::factors::Recipe;
use crate::item::Item;
use crate::params::Set;
use crate::rng::{Draw, stream};
use crate::truth;
use crate::world::Block;
use crate::write::Press;

/// Templates of one person: the first in a gallery.
const TEMPLATES: usize = 3;
/// Photographs and frames of a template.
const MEDIA: [usize; 2] = [1, 3];
/// Images of one person.
pub(super) const IMAGES: u64 = (TEMPLATES * (MEDIA[0] + MEDIA[1])) as u64;

/// One of the two sets.
pub(super) struct Ijb {
    set: Set,
    name: &'static str,
    galleries: [&'static str; 2],
}

pub(super) const IJB_B: Ijb = Ijb { set: Set::IjbB, name: "ijbb", galleries: ["S1", "S2"] };
pub(super) const IJB_C: Ijb = Ijb { set: Set::IjbC, name: "ijbc", galleries: ["G1", "G2"] };

/// A template: its number, its person by place, whether it is in a gallery, and its first image.
struct Template {
    number: usize,
    person: usize,
    enrolled: bool,
    image: String,
}

pub(super) fn write(press: &mut Press<'_, '_>, cx: &Context<'_>, root: &Path, ijb: &Ijb) -> Result<()> {
    let world = press.world();
    let set = ijb.set.name();
    let (mut items, mut templates): (Vec<Item>, Vec<Template>) = (Vec::new(), Vec::new());
    let mut members = String::new();
    let mut media = 0;
    for (k, person) in people(Block::Ijb, world.gallery_people()).into_iter().enumerate() {
        for t in 0..TEMPLATES {
            // Numbers that are neither dense nor in order, as in the real lists.
            let number = 10 * (templates.len() ^ 3) + 7;
            for frames in MEDIA {
                media += 1;
                let index = (items.len() as u64) % IMAGES;
                let first = Item::new(world, set, person, index, Recipe::Press, String::new(), k.to_string());
                for f in 0..frames {
                    let image = format!("{}.jpg", items.len() + 1);
                    let mut item = first.clone();
                    // The next frame of a video: another pose, in the same light.
                    item.factors.yaw += 0.06 * f as f32;
                    item.factors.roll += 0.03 * f as f32;
                    item.path = format!("loose_crop/{image}");
                    let _ = writeln!(members, "{image} {number} {media}");
                    items.push(item);
                }
            }
            let image = format!("{}.jpg", items.len());
            templates.push(Template { number, person: k, enrolled: t == 0, image });
        }
    }
    let points = press.print(cx, ijb.set, root, &items)?;
    let mut scores = String::new();
    for (k, points) in points.iter().enumerate() {
        let score = stream(world.params.seed, "ijb score", &[k as u64]).uniform(0.5, 1.0);
        let _ = writeln!(scores, "{}.jpg {} {score:.3}", k + 1, numbers(points, " "));
    }
    let meta = |what: String, text: &str| {
        truth::write(&root.join("meta").join(format!("{}_{what}", ijb.name)), text.as_bytes())
    };
    meta("face_tid_mid.txt".to_owned(), &members)?;
    meta("name_5pts_score.txt".to_owned(), &scores)?;
    meta("template_pair_label.txt".to_owned(), &pairs(&templates))?;
    for (g, name) in ijb.galleries.iter().enumerate() {
        meta(format!("1N_gallery_{name}.csv"), &csv(&templates, |t| t.enrolled && t.person % 2 == g))?;
    }
    meta("1N_probe_mixed.csv".to_owned(), &csv(&templates, |t| !t.enrolled))
}

/// All pairs of an enrolled template and a probe.
fn pairs(templates: &[Template]) -> String {
    let mut out = String::new();
    for a in templates.iter().filter(|t| t.enrolled) {
        for b in templates.iter().filter(|t| !t.enrolled) {
            let _ = writeln!(out, "{} {} {}", a.number, b.number, u8::from(a.person == b.person));
        }
    }
    out
}

fn csv(templates: &[Template], of: impl Fn(&Template) -> bool) -> String {
    let head = "TEMPLATE_ID,SUBJECT_ID,FILENAME\n".to_owned();
    templates.iter().filter(|t| of(t)).fold(head, |mut out, t| {
        let _ = writeln!(out, "{},{},img/{}", t.number, t.person + 1, t.image);
        out
    })
}
