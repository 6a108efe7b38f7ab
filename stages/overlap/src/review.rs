//! Cases for the user to decide: `review.csv`, and `review.html` with both persons side by side.

use std::fmt::Write as _;
use std::path::Path;

use lfs_faces::dataset::Dataset;
use lfs_formats::thumbnail::Thumbnail;
use lfs_stage::{IoContext, Result};

use crate::evidence::Alike;
use crate::lists::COLUMNS;
use crate::options::Options;
use crate::report::table;
use crate::run::Found;

/// Images of each person on the page.
const SHOWN: usize = 4;
/// Pairs with images on the page; further pairs are listed in `review.csv` only.
const MOST: usize = 500;
/// The format of the thumbnails.
const THUMBNAIL: Thumbnail = Thumbnail { side: 96, quality: 85, square: true };

pub(crate) fn write(options: &Options, folder: &Path, found: &Found) -> Result<()> {
    let mut open: Vec<_> = found.matches.iter().filter(|(_, e)| e.is_open(options)).collect();
    // The most likely first.
    open.sort_by_key(|(pair, e)| (std::cmp::Reverse(e.embedding.map(|(score, _)| score)), *pair));
    let rows: Vec<Vec<String>> = open
        .iter()
        .map(|(pair, e)| {
            let mut row: Vec<String> = found.called(**pair).map(str::to_owned).into();
            row.extend([String::new(), String::new(), e.words(&|k| found.list(k))]);
            row
        })
        .collect();
    let head = [&COLUMNS[..], &["evidence"]].concat();
    table(&folder.join("review.csv"), &head, &rows)?;
    let mut body = String::new();
    let trains = first_images(&found.train, open.iter().map(|(pair, _)| pair.0));
    let tests: Vec<_> = (0..found.tests.len())
        .map(|s| {
            let wanted = open.iter().filter_map(|(pair, _)| pair.1.filter(|t| t.0 == s).map(|t| t.1));
            first_images(&found.tests[s], wanted)
        })
        .collect();
    for ((pair, e), row) in open.iter().zip(&rows).take(MOST) {
        let stays = if e.status(options) == crate::evidence::Status::Shared { "removed" } else { "stays" };
        let against = e.embedding.is_some_and(|(_, a)| a == Alike::No);
        let _ = write!(
            body,
            "<section tabindex=0 data-train=\"{}\" data-set=\"{}\" data-test=\"{}\"><h2>{} &middot; {} in {}</h2><p>{}{} Undecided, it {stays}.</p><div>",
            escape(&row[0]),
            escape(&row[1]),
            escape(&row[2]),
            escape(&row[0]),
            escape(&row[2]),
            escape(&row[1]),
            escape(&row[5]),
            if against { ". The faces speak against it." } else { "." },
        );
        images(&mut body, &found.train, trains.get(&pair.0));
        body.push_str("</div><div>");
        if let Some((set, test)) = pair.1 {
            images(&mut body, &found.tests[set], tests[set].get(&test));
        }
        body.push_str("</div><p class=state></p></section>\n");
    }
    let left = open.len().saturating_sub(MOST);
    let more = if left > 0 { format!("<p>{left} more are in review.csv.</p>") } else { String::new() };
    let page = include_str!("review.html").replace("<!--pairs-->", &(body + &more));
    let path = folder.join("review.html");
    std::fs::write(&path, page).doing("write", &path)
}

type Images = std::collections::BTreeMap<usize, Vec<usize>>;

/// The first images of the given identities.
fn first_images(dataset: &Dataset, wanted: impl Iterator<Item = usize>) -> Images {
    let mut images: Images = wanted.map(|k| (k, Vec::new())).collect();
    if images.is_empty() {
        return images;
    }
    for i in 0..dataset.len() {
        if let Some(list) = images.get_mut(&(dataset.face(i).identity as usize)).filter(|l| l.len() < SHOWN) {
            list.push(i);
        }
    }
    images
}

fn images(out: &mut String, dataset: &Dataset, rows: Option<&Vec<usize>>) {
    for &i in rows.into_iter().flatten() {
        let name = escape(dataset.face(i).name);
        match THUMBNAIL.base64(dataset.face(i).image) {
            Some(data) => {
                let _ = write!(
                    out,
                    "<img alt=\"{name}\" title=\"{name}\" src=\"data:image/jpeg;base64,{data}\">"
                );
            }
            None => {
                let _ = write!(out, "<span>{name} cannot be shown</span>");
            }
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
