//! What a person must decide: `review.csv`, and `review.html` with both persons side by side.

use std::fmt::Write as _;
use std::path::Path;

use base64::Engine as _;
use lfs_faces::dataset::Dataset;
use lfs_faces::image::{Pixels, decode, encode_jpeg};
use lfs_stage::{IoContext, Result};

use crate::evidence::Alike;
use crate::lists::COLUMNS;
use crate::options::Options;
use crate::report::table;
use crate::run::Found;

/// Images of each person on the page.
const SHOWN: usize = 4;
/// Pairs with images on the page; the others stand in `review.csv` alone.
const MOST: usize = 500;
/// The side of a thumbnail in pixels.
const SIDE: u32 = 96;

pub(crate) fn write(options: &Options, folder: &Path, found: &Found) -> Result<()> {
    let mut open: Vec<_> = found.matches.iter().filter(|(_, e)| e.is_open(options)).collect();
    // The likeliest first.
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
    let more = if left > 0 { format!("<p>{left} more stand in review.csv.</p>") } else { String::new() };
    let page = include_str!("review.html").replace("<!--pairs-->", &(body + &more));
    let path = folder.join("review.html");
    std::fs::write(&path, page).doing("write", &path)
}

type Images = std::collections::BTreeMap<usize, Vec<usize>>;

/// The first images of some identities.
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
        match thumbnail(dataset.face(i).image) {
            Some(jpeg) => {
                let data = base64::engine::general_purpose::STANDARD.encode(jpeg);
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

/// The largest centred square, averaged down.
fn thumbnail(image: &[u8]) -> Option<Vec<u8>> {
    let p = decode(image).ok()?;
    let square = p.width.min(p.height);
    let side = square.min(SIDE);
    let (left, top) = ((p.width - square) / 2, (p.height - square) / 2);
    let span = |k: u32| k * square / side..(k + 1) * square / side;
    let mut rgb = Vec::with_capacity((side * side * 3) as usize);
    for y in 0..side {
        for x in 0..side {
            let mut sums = [0_u32; 3];
            for (v, u) in span(y).flat_map(|v| span(x).map(move |u| (v, u))) {
                let at = ((top + v) as usize * p.width as usize + (left + u) as usize) * 3;
                sums.iter_mut().zip(&p.rgb[at..at + 3]).for_each(|(s, c)| *s += u32::from(*c));
            }
            let n = (span(y).len() * span(x).len()) as u32;
            rgb.extend(sums.map(|s| (s / n) as u8));
        }
    }
    encode_jpeg(&Pixels { width: side, height: side, rgb }, 85).ok()
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
