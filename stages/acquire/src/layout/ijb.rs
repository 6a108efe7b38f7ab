//! IJB-B and IJB-C in the form in which InsightFace hands them out: `loose_crop/1.jpg`, landmarks and lists in `meta/`.

use std::collections::HashMap;

use lfs_faces::dataset::Points;
use lfs_stage::{Failure, Result};

use super::{Known, Plan, Planned, lines, off};
use crate::tree::Tree;

const IMAGES: &str = "loose_crop";

/// One of the two sets.
pub(super) struct Ijb {
    /// The first part of the names of its lists.
    name: &'static str,
    galleries: [&'static str; 2],
}

pub(super) const IJB_B: Ijb = Ijb { name: "ijbb", galleries: ["S1", "S2"] };
pub(super) const IJB_C: Ijb = Ijb { name: "ijbc", galleries: ["G1", "G2"] };

pub(super) fn plan(tree: &Tree, set: &Ijb, own_landmarks: bool) -> Result<Plan> {
    let name = set.name;
    let list = |what: &str| format!("meta/{name}_{what}");
    let mut plan = Plan::default();
    let [members, pairs, scores] =
        ["face_tid_mid.txt", "template_pair_label.txt", "name_5pts_score.txt"].map(list);
    let templates = templates(&tree.text(&members)?, &members)?;
    let mut searches = vec![list("1N_probe_mixed.csv")];
    searches.extend(set.galleries.iter().map(|g| list(&format!("1N_gallery_{g}.csv"))));
    let mut subjects: HashMap<String, String> = HashMap::new();
    for list in searches.iter().filter(|l| tree.is_file(l)) {
        subjects.extend(self::subjects(&tree.text(list)?, list)?);
    }
    let points = match tree.is_file(&scores) {
        true => self::points(&tree.text(&scores)?, &scores)?,
        false => HashMap::new(),
    };
    for image in tree.images(IMAGES, None, &mut plan.left_out)? {
        let Some(template) = templates.get(&image) else {
            plan.left_out.row(&format!("{IMAGES}/{image}"), "in no list");
            continue;
        };
        // The lists name persons for searches alone; other templates are persons of their own.
        let identity = match subjects.get(template) {
            Some(subject) => subject.clone(),
            None => format!("template-{template}"),
        };
        let points = points.get(&image).copied().filter(|_| own_landmarks);
        plan.faces.push(Planned {
            identity,
            file: format!("{IMAGES}/{image}"),
            name: image,
            points,
            group: None,
        });
    }
    let known = Known::new(&plan.faces);
    let mut all: Vec<&String> = templates.keys().collect();
    all.sort();
    for (k, image) in all.into_iter().enumerate() {
        known.need(image, &members, format_args!("image {}", k + 1))?;
    }
    known.call(&mut plan.faces);
    plan.lists.extend([members, pairs]);
    plan.lists.extend([scores].into_iter().chain(searches).filter(|l| tree.is_file(l)));
    match plan.lists.iter().find(|l| !tree.is_file(l)) {
        None => Ok(plan),
        Some(list) => Err(Failure::new(format!("the source has no `{list}`"))
            .help("the lists of the 1:1 protocol are needed, in the folder `meta` beside `loose_crop`")),
    }
}

/// The template of each image.
fn templates(text: &str, list: &str) -> Result<HashMap<String, String>> {
    let mut all = HashMap::new();
    for (at, line) in lines(text) {
        let &[image, template, _] = line.split_whitespace().collect::<Vec<_>>().as_slice() else {
            return Err(off(list, at, "`image template media`", line));
        };
        all.insert(image.to_owned(), template.to_owned());
    }
    Ok(all)
}

/// The subject of each template.
fn subjects(text: &str, list: &str) -> Result<Vec<(String, String)>> {
    let row = |(at, line): (usize, &str)| match line.split(',').collect::<Vec<_>>().as_slice() {
        [template, subject, ..] => Ok(((*template).to_owned(), (*subject).to_owned())),
        _ => Err(off(list, at, "`template,subject,..`", line)),
    };
    // A line of titles has no numbers.
    let rows = lines(text).filter(|(at, line)| *at > 1 || line.starts_with(|c: char| c.is_ascii_digit()));
    rows.map(row).collect()
}

/// The landmarks of each image: ten coordinates, and the detector's score.
fn points(text: &str, list: &str) -> Result<HashMap<String, Points>> {
    let mut all = HashMap::new();
    for (at, line) in lines(text) {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let numbers: Option<Vec<f32>> = fields.iter().skip(1).map(|f| f.parse().ok()).collect();
        let Some(&[a, b, c, d, e, f, g, h, i, j, _]) = numbers.as_deref() else {
            return Err(off(list, at, "`image x1 y1 .. x5 y5 score`", line));
        };
        all.insert(fields[0].to_owned(), [[a, b], [c, d], [e, f], [g, h], [i, j]]);
    }
    Ok(all)
}
