//! The description as a self-contained HTML page.

use std::collections::BTreeMap;

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::description::{Description, Odd, Spread};
use crate::text::{spread_text, text};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
pre{white-space:pre-wrap;overflow-wrap:anywhere;background:#f4f4f4;padding:1rem}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.2rem .6rem;border-bottom:1px solid #ddd;overflow-wrap:anywhere}svg{width:100%;height:12rem}";

/// Renders the page.
pub(crate) fn page(d: &Description) -> String {
    let title = if d.name.is_empty() { "What the data set holds" } else { &d.name };
    let mut plain = d.clone();
    // These have tables of their own.
    plain.unreadable_images.clear();
    plain.passed_over.clear();
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                pre { (text(&plain)) }
                @for (what, spread) in [("Images an identity", &d.images_per_identity), ("Width in pixels", &d.widths), ("Height in pixels", &d.heights)] {
                    @if let Some(spread) = spread.as_ref().filter(|s| s.min < s.max) {
                        h2 { (what) }
                        (bars(what, spread))
                    }
                }
                @if d.groups.len() > 1 {
                    h2 { "Images of each group" }
                    (groups(&d.groups))
                }
                (odd("Cannot be decoded", &d.unreadable_images))
                (odd("Passed over", &d.passed_over))
            }
        }
    }
    .into_string()
}

/// Draws a histogram.
fn bars(what: &str, spread: &Spread) -> Markup {
    let highest = spread.histogram.iter().map(|b| b[2]).max().unwrap_or(1).max(1) as f64;
    let wide = 1000.0 / spread.histogram.len() as f64;
    html! {
        svg viewBox="0 0 1000 220" preserveAspectRatio="none" role="img" aria-label=(format!("{what}: {}", spread_text(spread))) {
            @for (k, [from, to, n]) in spread.histogram.iter().enumerate() {
                @let tall = *n as f64 / highest * 200.0;
                rect x=(format!("{:.1}", k as f64 * wide)) y=(format!("{:.1}", 210.0 - tall)) width=(format!("{:.1}", (wide - 2.0).max(1.0)))
                    height=(format!("{tall:.1}")) fill="#2b6cb0" {
                    title { @if from == to { (from) } @else { (from) " to " (to) } ": " (n) }
                }
            }
        }
        p { (spread.min) " to " (spread.max) }
    }
}

/// Draws a bar for each group, the largest first.
fn groups(groups: &BTreeMap<String, u64>) -> Markup {
    let highest = groups.values().copied().max().unwrap_or(1).max(1) as f64;
    let mut sorted: Vec<(&String, &u64)> = groups.iter().collect();
    sorted.sort_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
    html! {
        table {
            @for (name, n) in sorted {
                tr {
                    td { (name) }
                    td { (n) }
                    td style="width:60%" {
                        div style=(format!("height:1em;background:#2b6cb0;width:{:.1}%", *n as f64 / highest * 100.0)) {}
                    }
                }
            }
        }
    }
}

fn odd(what: &str, all: &[Odd]) -> Markup {
    html! {
        @if !all.is_empty() {
            h2 { (what) " (" (all.len()) ")" }
            table {
                tr { th { "name" } th { "why" } }
                @for one in all { tr { td { (one.name) } td { (one.why) } } }
            }
        }
    }
}
