//! `lfs-pipe run --html FILE`: a page about a run, all in one file.

use std::path::{Path, PathBuf};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::drawing::Drawing;
use super::picture;
use super::project::Project;
use crate::cache::Cache;
use crate::engine::{Ended, end_of, log_name};
use crate::fault::Result;
use crate::fingerprint::Fingerprint;
use crate::paths::{absolute, plain, write_whole};
use crate::plan::{Node, Output};
use crate::show::{Span, Trace, bytes, count, figure, nodes, span};

/// Only this many bytes at the end of a log are shown, so that the page can be shared.
const LOG: u64 = 64 << 10;

pub(super) fn write(file: &Path, project: &Project, cache: &Cache, trace: &Trace) -> Result<()> {
    let trace = trace.read();
    let of = |state: Ended| trace.nodes.values().filter(|s| s.ended == Some(state)).count();
    let title =
        format!("{} · {}", project.manifest.settings.name.as_deref().unwrap_or("pipeline"), trace.run);
    let wanted: Vec<bool> = project.plan.nodes.iter().map(|n| trace.nodes.contains_key(&n.name)).collect();
    let drawing = Drawing::of(&project.plan, &wanted, false);
    let ran: Vec<(&Node, &Span)> =
        in_order(project, &trace.nodes).filter(|(_, s)| s.from.is_some()).collect();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="generator" content=(GENERATOR);
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p {
                    (nodes(trace.nodes.len())) ": " (of(Ended::Executed)) " executed, " (of(Ended::Cached)) " cached"
                    @if of(Ended::Failed) > 0 { ", " b.failed { (of(Ended::Failed)) " failed" } }
                    @if of(Ended::Skipped) > 0 { ", " (of(Ended::Skipped)) " skipped" }
                    ", in " (span(trace.seconds)) ". Manifest " code { (project.manifest.path.display()) }
                    ", program version " (env!("CARGO_PKG_VERSION")) "."
                }
                (pages(file, project, &wanted))
                h2 { "Graph" }
                div.wide { (PreEscaped(picture::svg(&drawing))) }
                h2 { "Timeline" }
                @if ran.is_empty() { p { "Nothing had to run." } } @else { div.wide { (timeline(&ran, trace.seconds)) } }
                h2 { "Nodes" }
                p { input #filter type="search" placeholder="name, state, parameter …" aria-label="filter"; " " span #shown {} }
                @for (node, span) in in_order(project, &trace.nodes) { (one(node, span, project, cache, &trace.run)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    };
    write_whole(file, page.into_string())
}

/// Links to the pages among the outputs: a table, contact sheets, pages for reviewing.
fn pages(file: &Path, project: &Project, wanted: &[bool]) -> Markup {
    let from = absolute(file).parent().map(plain).unwrap_or_default();
    let nodes = project.plan.nodes.iter().zip(wanted).filter(|(_, wanted)| **wanted).map(|(node, _)| node);
    let paths = nodes.flat_map(|node| {
        let of = move |output: &Output| project.out.join(node.folder()).join(&output.path);
        node.outputs.iter().map(of).flat_map(html_files).map(move |path| (node, path))
    });
    let all: Vec<(String, String)> = paths
        .filter_map(|(node, path)| {
            let name = path.file_name()?.to_string_lossy().into_owned();
            Some((format!("{}: {name}", node.name), link(&from, &plain(&path))))
        })
        .collect();
    html! {
        @if !all.is_empty() {
            h2 { "Pages" }
            ul { @for (name, link) in &all { li { a href=(link) { (name) } } } }
        }
    }
}

/// A page, or the pages in a folder.
fn html_files(path: PathBuf) -> Vec<PathBuf> {
    let is_page = |path: &PathBuf| path.extension().is_some_and(|e| e == "html") && path.is_file();
    match path.read_dir() {
        Err(_) => Some(path).filter(is_page).into_iter().collect(),
        Ok(entries) => {
            let mut all: Vec<PathBuf> = entries.flatten().map(|e| e.path()).filter(is_page).collect();
            all.sort();
            all
        }
    }
}

/// An address relative to a folder, so that both can be moved together. Both paths are absolute.
fn link(from: &Path, to: &Path) -> String {
    let shared = from.components().zip(to.components()).take_while(|(a, b)| a == b).count();
    let up = std::iter::repeat_n("..".to_owned(), from.components().count() - shared);
    let down = to
        .components()
        .skip(shared)
        .map(|part| utf8_percent_encode(&part.as_os_str().to_string_lossy(), NON_ALPHANUMERIC).to_string());
    up.chain(down).collect::<Vec<_>>().join("/")
}

/// The generator that a page names.
const GENERATOR: &str = "lfs-pipe";

/// Whether a file that begins with these bytes is such a page.
pub(super) fn is_page(begin: &[u8]) -> bool {
    let mark = format!("content=\"{GENERATOR}\"");
    begin.windows(mark.len()).any(|part| part == mark.as_bytes())
}

fn in_order<'a>(
    project: &'a Project,
    spans: &'a std::collections::BTreeMap<String, Span>,
) -> impl Iterator<Item = (&'a Node, &'a Span)> {
    project.plan.order.iter().filter_map(|i| {
        let node = &project.plan.nodes[*i];
        Some((node, spans.get(&node.name)?))
    })
}

fn word(ended: Option<Ended>) -> &'static str {
    match ended {
        Some(Ended::Cached) => "cached",
        Some(Ended::Executed) => "executed",
        Some(Ended::Failed) => "failed",
        Some(Ended::Skipped) => "skipped",
        None => "unfinished",
    }
}

/// A bar for each node that ran, over the time of the run.
fn timeline(ran: &[(&Node, &Span)], seconds: f64) -> Markup {
    const LEFT: f64 = 300.0;
    const WIDE: f64 = 900.0;
    const ROW: f64 = 18.0;
    let mut rows: Vec<_> = ran.to_vec();
    rows.sort_by(|a, b| a.1.from.unwrap_or(0.0).total_cmp(&b.1.from.unwrap_or(0.0)));
    let scale = WIDE / seconds.max(1e-6);
    let height = ROW * rows.len() as f64 + 24.0;
    html! {
        svg.timeline width=(LEFT + WIDE + 20.0) height=(height) role="img" aria-label="timeline" {
            @for tick in 0..=4 {
                @let x = LEFT + WIDE * f64::from(tick) / 4.0;
                line x1=(x) x2=(x) y1="0" y2=(height - 20.0) stroke="#ddd" {}
                text x=(x) y=(height - 6.0) text-anchor="middle" { (span(seconds * f64::from(tick) / 4.0)) }
            }
            @for (i, (node, s)) in rows.iter().enumerate() {
                @let from = s.from.unwrap_or(0.0);
                @let y = ROW * i as f64;
                text x=(LEFT - 8.0) y=(y + 13.0) text-anchor="end" { (short(&node.name)) }
                rect class=(word(s.ended)) x=(LEFT + from * scale) y=(y + 3.0) height=(ROW - 6.0)
                    width=(((s.to - from) * scale).max(1.5)) rx="2" {
                    title { (node.name) ": " (span(s.to - from)) }
                }
            }
        }
    }
}

/// The end of a long name tells more than its beginning.
fn short(name: &str) -> String {
    let count = name.chars().count();
    match count {
        0..=42 => name.to_owned(),
        _ => format!("…{}", name.chars().skip(count - 41).collect::<String>()),
    }
}

fn one(node: &Node, s: &Span, project: &Project, cache: &Cache, run: &str) -> Markup {
    let record = s.key.and_then(|k| cache.record(&k));
    let print = s.key.and_then(|k| cache.fingerprint::<Fingerprint>(&k));
    let made_in = record.as_ref().map_or(run, |r| r.made.run.as_str());
    let log = project.cache_folder.join("runs").join(made_in).join(log_name(&node.name));
    let log = String::from_utf8_lossy(&end_of(&log, LOG)).into_owned();
    html! {
        details.node id=(node.name) open[s.ended == Some(Ended::Failed)] {
            summary {
                span class={ "state " (word(s.ended)) } { (word(s.ended)) } " " b { (node.name) } " " i { (node.kind) }
                @if let Some(from) = s.from { " " (span(s.to - from)) }
                @if let Some(peak) = s.peak { ", " (bytes(peak)) }
            }
            @if let Some(error) = &s.error { p.failed { (error) } }
            @for warning in &s.warnings { p.warning { (warning) } }
            table {
                @if let Some(key) = s.key { tr { th { "key" } td { code { (key) } } } }
                @if let Some(record) = &record {
                    tr { th { "made" } td { (record.made.started) " in run " (record.made.run) " by " (record.made.worker) ", " (span(record.made.seconds)) } }
                    @for (name, stored) in &record.outputs {
                        tr { th { "output " (name) } td { code { (stored.digest) } " " (bytes(stored.bytes)) @if stored.folder { ", " (count(stored.files)) " files" } } }
                    }
                    @for (name, value) in &record.metrics { tr { th { "metric " (name) } td { (figure(*value)) } } }
                }
                @if let Some(print) = &print {
                    @for (name, value) in print.parameters.as_object().into_iter().flatten() {
                        tr { th { "parameter " (name) } td { code { (value.to_string()) } } }
                    }
                    @for (name, input) in &print.inputs {
                        tr { th { "input " (name) } td { code { (serde_json::to_string(input).unwrap_or_default()) } } }
                    }
                    @for (name, value) in &print.environment { tr { th { "fact " (name) } td { (value) } } }
                }
            }
            @if let Some(print) = print.as_ref().filter(|p| !p.code.is_empty()) {
                details { summary { (count(print.code.len() as u64)) " source files" }
                    table { @for (file, digest) in print.code.iter() { tr { th { (file) } td { code { (digest) } } } } }
                }
            }
            @if !log.is_empty() { details open[s.ended == Some(Ended::Failed)] { summary { "log" } pre { (log) } } }
        }
    }
}

const STYLE: &str = "
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 1300px; padding: 0 1rem; color: #1d2430; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem; margin-top: 2rem }
.wide { overflow-x: auto; border: 1px solid #dde; border-radius: 6px; padding: .5rem }
.wide > svg:not(.timeline) { max-width: 100%; height: auto }
.timeline text { font-size: 11px; fill: #445 }
rect.executed { fill: #3b7dd8 } rect.failed { fill: #c8372d } rect.cached { fill: #9aa7b8 } rect.skipped, rect.unfinished { fill: #d9a441 }
details.node { border-top: 1px solid #e4e7ee; padding: .3rem 0 }
summary { cursor: pointer } details details { margin-left: 1rem }
.state { display: inline-block; width: 5.2rem; text-align: center; border-radius: 4px; color: #fff; font-size: .8rem }
.state.executed { background: #3b7dd8 } .state.failed { background: #c8372d } .state.cached { background: #6d7a8c } .state.skipped, .state.unfinished { background: #b07d1a }
.failed { color: #c8372d } .state.failed { color: #fff } .warning { color: #8a5a00 }
table { border-collapse: collapse; margin: .4rem 0 .4rem 1rem } th { text-align: left; font-weight: 500; padding-right: 1rem; vertical-align: top; white-space: nowrap }
td { word-break: break-word } code { font-size: .85em } pre { background: #f5f6f9; padding: .6rem; overflow-x: auto; max-height: 30rem }
";

const SCRIPT: &str = "
const all = [...document.querySelectorAll('details.node')];
const box = document.getElementById('filter'), shown = document.getElementById('shown');
function filter() {
  const words = box.value.toLowerCase().split(/\\s+/).filter(w => w);
  let n = 0;
  for (const d of all) { const t = d.textContent.toLowerCase(); const hit = words.every(w => t.includes(w)); d.hidden = !hit; n += hit; }
  shown.textContent = n + ' of ' + all.length;
}
box.addEventListener('input', filter); filter();
";
