//! `lfs-pipe graph`

use std::collections::BTreeMap;

use super::args::{Common, GraphArgs, GraphForm};
use super::drawing::{Box, Drawing};
use super::picture;
use super::project::Project;
use super::{print, print_json};
use crate::fault::Result;

pub(super) fn graph(common: &Common, args: &GraphArgs) -> Result<()> {
    let project = Project::open(common)?;
    let plan = &project.plan;
    let needed = plan.needed(&plan.named(&args.targets)?);
    let mut boxes: Vec<Box> = Vec::new();
    let mut index: BTreeMap<&str, usize> = BTreeMap::new();
    let name = |i: usize| if args.nodes { plan.nodes[i].name.as_str() } else { plan.nodes[i].stage.as_str() };
    for i in (0..plan.nodes.len()).filter(|i| needed[*i]) {
        let at = *index.entry(name(i)).or_insert_with(|| {
            boxes.push(Box { name: name(i).to_owned(), kind: plan.nodes[i].kind.clone(), nodes: 0 });
            boxes.len() - 1
        });
        boxes[at].nodes += 1;
    }
    let mut arrows: Vec<(usize, usize)> = (0..plan.nodes.len())
        .filter(|i| needed[*i])
        .flat_map(|i| plan.reads(i).map(move |r| (r, i)))
        .map(|(from, to)| (index[name(from)], index[name(to)]))
        .collect();
    arrows.sort_unstable();
    arrows.dedup();
    let drawing = Drawing { boxes, arrows };
    if args.json {
        return print_json(&drawing);
    }
    print(&match args.form {
        GraphForm::Dot => dot(&drawing),
        GraphForm::Mermaid => mermaid(&drawing),
        GraphForm::Svg => picture::svg(&drawing),
    })
}

fn dot(drawing: &Drawing) -> String {
    let mut text = "digraph pipeline {\n  rankdir = LR;\n  node [shape = box, style = rounded];\n".to_owned();
    for (i, b) in drawing.boxes.iter().enumerate() {
        let caption = b.caption();
        let label = if caption.is_empty() { b.name.clone() } else { format!("{}\\n{caption}", b.name) };
        text += &format!("  n{i} [label = \"{}\"];\n", label.replace('"', "\\\""));
    }
    for (from, to) in &drawing.arrows {
        text += &format!("  n{from} -> n{to};\n");
    }
    text + "}\n"
}

fn mermaid(drawing: &Drawing) -> String {
    let mut text = "flowchart LR\n".to_owned();
    for (i, b) in drawing.boxes.iter().enumerate() {
        let caption = b.caption();
        let caption = if caption.is_empty() { caption } else { format!("<br>{caption}") };
        text += &format!("  n{i}[\"{}{caption}\"]\n", b.name.replace('"', "#quot;"));
    }
    for (from, to) in &drawing.arrows {
        text += &format!("  n{from} --> n{to}\n");
    }
    text
}
