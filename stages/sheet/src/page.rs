//! The HTML.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::gallery::Picture;
use crate::sections::{Section, Tile};

const STYLE: &str = "
:root { color-scheme: light dark; --line: #8886; --gone: #b3261e; --kept: #1b6e3c; }
@media (prefers-color-scheme: dark) { :root { --gone: #f2857c; --kept: #7fd19b; } }
body { font: 15px/1.45 system-ui, sans-serif; margin: 1rem; }
h1 { font-size: 1.3rem; } h2 { font-size: 1.05rem; margin: 1.6rem 0 .5rem; }
.tiles { display: flex; flex-wrap: wrap; gap: .7rem; }
figure { margin: 0; border: 1px solid var(--line); border-radius: 8px; padding: .5rem; max-width: 100%; box-sizing: border-box; }
.pictures { display: flex; flex-wrap: wrap; gap: .4rem; }
.picture { display: flex; flex-direction: column; align-items: center; font-size: .78rem; }
.picture img { background: #8882; border-radius: 4px; height: 6rem; max-width: 100%; object-fit: contain; }
.dropped { color: var(--gone); } .kept { color: var(--kept); }
.none { width: 6rem; height: 6rem; display: grid; place-items: center; text-align: center; border: 1px dashed var(--line); border-radius: 4px; }
figcaption { font-size: .8rem; margin-top: .35rem; max-width: 24rem; overflow-wrap: anywhere; }
";

pub(crate) fn page(sections: &[Section]) -> String {
    let body: Markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Contact sheet" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Contact sheet" }
                @if sections.iter().all(|section| section.total == 0) {
                    p { "There is nothing to show: no image was dropped, and no person is in both sets." }
                }
                @for section in sections.iter().filter(|section| section.total > 0) {
                    h2 { (section.title) " – " (count(section)) }
                    div.tiles { @for tile in &section.tiles { (figure(tile)) } }
                }
            }
        }
    };
    body.into_string() + "\n"
}

fn count(section: &Section) -> String {
    match section.shown() == section.total {
        true => section.total.to_string(),
        false => format!("{} of {}", section.shown(), section.total),
    }
}

fn figure(tile: &Tile) -> Markup {
    html! {
        figure {
            div.pictures { @for one in &tile.pictures { (picture(one, tile.pictures.len() > 1)) } }
            figcaption { @for line in &tile.caption { div { (line) } } }
        }
    }
}

fn picture(one: &Picture, several: bool) -> Markup {
    html! {
        div.picture.dropped[one.role == "dropped"].kept[one.role == "kept"] {
            @match &one.data {
                Some(data) => img alt=(one.name) title=(one.name) src={ "data:image/jpeg;base64," (data) } loading="lazy";,
                None => div.none { "cannot be decoded" }
            }
            @if several || one.role == "dropped" { (one.role) }
        }
    }
}
