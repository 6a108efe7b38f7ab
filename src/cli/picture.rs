//! The graph as an SVG picture: columns from left to right, each box right of all that it reads.

use super::drawing::Drawing;

const HEIGHT: f64 = 44.0;
const GAP: f64 = 18.0;
const BETWEEN: f64 = 70.0;
const MARGIN: f64 = 16.0;
const LETTER: f64 = 7.6;

/// Draws a graph.
pub(super) fn svg(drawing: &Drawing) -> String {
    let count = drawing.boxes.len();
    let column = columns(drawing);
    let mut rows: Vec<Vec<usize>> = vec![vec![]; column.iter().max().map_or(0, |m| m + 1)];
    for (i, c) in column.iter().enumerate() {
        rows[*c].push(i);
    }
    settle(drawing, &mut rows);
    let width = |i: usize| {
        let b = &drawing.boxes[i];
        LETTER * b.name.chars().count().max(b.caption().chars().count()) as f64 + 22.0
    };
    let tallest = rows.iter().map(Vec::len).max().unwrap_or(0) as f64;
    let full = tallest * (HEIGHT + GAP) - GAP;
    let mut place = vec![(0.0, 0.0, 0.0); count];
    let mut x = MARGIN;
    for row in &rows {
        let wide = row.iter().map(|i| width(*i)).fold(0.0, f64::max);
        let own = row.len() as f64 * (HEIGHT + GAP) - GAP;
        for (k, i) in row.iter().enumerate() {
            place[*i] = (x, MARGIN + (full - own) / 2.0 + k as f64 * (HEIGHT + GAP), wide);
        }
        x += wide + BETWEEN;
    }
    let (w, h) = ((x - BETWEEN + MARGIN).max(1.0), full.max(0.0) + 2.0 * MARGIN);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w:.0} {h:.0}\" width=\"{w:.0}\" height=\"{h:.0}\" \
         font-family=\"sans-serif\" font-size=\"13\">\n<rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"7\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" \
         orient=\"auto\"><path d=\"M0 0L8 4L0 8z\" fill=\"#667\"/></marker></defs>\n"
    );
    for (from, to) in &drawing.arrows {
        let (x1, y1) = (place[*from].0 + place[*from].2, place[*from].1 + HEIGHT / 2.0);
        let (x2, y2) = (place[*to].0 - 2.0, place[*to].1 + HEIGHT / 2.0);
        let bend = BETWEEN * 0.6;
        out += &format!(
            "<path d=\"M{x1:.1} {y1:.1}C{:.1} {y1:.1} {:.1} {y2:.1} {x2:.1} {y2:.1}\" fill=\"none\" stroke=\"#99a\" \
             marker-end=\"url(#tip)\"/>\n",
            x1 + bend,
            x2 - bend
        );
    }
    for (b, (x, y, wide)) in drawing.boxes.iter().zip(&place) {
        let middle = x + wide / 2.0;
        let caption = b.caption();
        let first = if caption.is_empty() { y + 27.0 } else { y + 19.0 };
        out += &format!(
            "<rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{wide:.1}\" height=\"{HEIGHT}\" rx=\"7\" fill=\"#eef3fb\" \
             stroke=\"#5b7db1\"/>\n<text x=\"{middle:.1}\" y=\"{first:.1}\" text-anchor=\"middle\" \
             font-weight=\"600\">{}</text>\n",
            escape(&b.name)
        );
        if !caption.is_empty() {
            out += &format!(
                "<text x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"11\" fill=\"#556\">{}</text>\n",
                y + 35.0,
                escape(&caption)
            );
        }
    }
    out + "</svg>\n"
}

/// The column of each box: one more than the last of those that it reads.
fn columns(drawing: &Drawing) -> Vec<usize> {
    let mut column = vec![0; drawing.boxes.len()];
    // Stages of one matrix may read each other; as many rounds as boxes are enough for any graph without cycles.
    for _ in 0..drawing.boxes.len() {
        let mut moved = false;
        for (from, to) in drawing.arrows.iter().filter(|(a, b)| a != b) {
            if column[*to] <= column[*from] && column[*from] + 1 < drawing.boxes.len() {
                column[*to] = column[*from] + 1;
                moved = true;
            }
        }
        if !moved {
            break;
        }
    }
    column
}

/// Orders each column by the positions of the boxes that its boxes read.
fn settle(drawing: &Drawing, rows: &mut [Vec<usize>]) {
    let mut height = vec![0.0; drawing.boxes.len()];
    for row in rows {
        let mut ranked: Vec<(f64, usize)> = row
            .iter()
            .map(|i| {
                let above: Vec<f64> =
                    drawing.arrows.iter().filter(|(_, to)| to == i).map(|(from, _)| height[*from]).collect();
                let mean =
                    if above.is_empty() { *i as f64 } else { above.iter().sum::<f64>() / above.len() as f64 };
                (mean, *i)
            })
            .collect();
        ranked.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        *row = ranked.iter().map(|(_, i)| *i).collect();
        for (k, i) in row.iter().enumerate() {
            height[*i] = k as f64;
        }
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
