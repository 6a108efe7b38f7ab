//! `lfs-pipe graph`

use super::args::{Common, GraphArgs, GraphForm};
use super::drawing::Drawing;
use super::picture;
use super::print::{print, print_json};
use super::project::Project;
use crate::fault::Result;

pub(super) fn graph(common: &Common, args: &GraphArgs) -> Result<()> {
    let project = Project::open(common)?;
    let needed = project.plan.needed(&project.plan.named(&args.targets)?);
    let drawing = Drawing::of(&project.plan, &needed, args.nodes);
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
