//! The diagrams in `docs/design.md`, drawn from the code.

use std::collections::{BTreeMap, BTreeSet};

use petgraph::algo::{condensation, toposort, tred};
use petgraph::graph::{DiGraph, NodeIndex};
use petgraph::visit::{EdgeRef, IntoEdgeReferences};

use crate::{dependencies, files, root};

/// With this variable the test writes the diagrams in place of those that differ.
const UPDATE: &str = "UPDATE_DIAGRAMS";

type Uses = BTreeMap<String, BTreeSet<String>>;

/// The crates of the workspace.
fn crates() -> Uses {
    let mut uses = Uses::new();
    for manifest in files(&["core", "remote", "stages", "xtask"], "Cargo.toml") {
        let name = manifest.parent().unwrap().file_name().unwrap().to_str().unwrap().to_owned();
        // What only helps to build or to test is no part of the house.
        if !["source", "testing", "xtask"].contains(&name.as_str()) {
            uses.insert(name, dependencies(&manifest));
        }
    }
    uses.insert("runner".to_owned(), dependencies(&root().join("Cargo.toml")));
    uses.values_mut().for_each(|all| all.retain(|other| other != "source"));
    uses
}

/// The modules of the runner.
fn modules() -> Uses {
    let mut uses = Uses::new();
    for file in files(&["src"], ".rs") {
        let below = file.strip_prefix(root().join("src")).unwrap();
        let module = below.iter().next().unwrap().to_str().unwrap().trim_end_matches(".rs").to_owned();
        if ["lib", "main"].contains(&module.as_str()) {
            continue;
        }
        let text = std::fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let named = text
            .split("crate::")
            .skip(1)
            .map(|rest| rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>());
        uses.entry(module.clone()).or_default().extend(named.filter(|other| *other != module));
    }
    let known: BTreeSet<String> = uses.keys().cloned().collect();
    uses.values_mut().for_each(|all| all.retain(|other| known.contains(other)));
    uses
}

/// A Mermaid diagram: an arrow from each to what it uses, without those that follow from others. There is no circle.
fn diagram(uses: &Uses) -> String {
    let mut graph: DiGraph<&str, ()> = DiGraph::new();
    let places: BTreeMap<&str, NodeIndex> =
        uses.keys().map(|name| (name.as_str(), graph.add_node(name))).collect();
    for (name, all) in uses {
        for other in all {
            graph.add_edge(places[name.as_str()], places[other.as_str()], ());
        }
    }
    let groups = condensation(graph, true);
    let order = toposort(&groups, None).unwrap();
    let (sorted, back) = tred::dag_to_toposorted_adjacency_list::<_, u32>(&groups, &order);
    let (reduced, _) = tred::dag_transitive_reduction_closure(&sorted);
    let mut names = Vec::new();
    for (i, place) in order.iter().enumerate() {
        let [one] = groups[*place].as_slice() else { panic!("these use each other: {:?}", groups[*place]) };
        assert_eq!(back[place.index()] as usize, i);
        names.push(*one);
    }
    let mut lines: BTreeSet<String> = BTreeSet::new();
    for edge in (&reduced).edge_references() {
        let (from, to) = (edge.source() as usize, edge.target() as usize);
        lines.insert(format!("  {} --> {}", names[from], names[to]));
    }
    format!("```mermaid\nflowchart TD\n{}\n```", lines.into_iter().collect::<Vec<_>>().join("\n"))
}

#[test]
fn the_diagrams_of_the_design_are_those_of_the_code() {
    let page = root().join("docs/design.md");
    let mut text = std::fs::read_to_string(&page).unwrap();
    for (name, uses) in [("crates", crates()), ("modules", modules())] {
        let (begin, end) = (format!("<!-- diagram: {name} -->\n"), "\n<!-- end -->");
        let from = text.find(&begin).unwrap_or_else(|| panic!("no {begin}")) + begin.len();
        let to = from + text[from..].find(end).unwrap();
        let now = diagram(&uses);
        if text[from..to] != now {
            assert!(
                std::env::var_os(UPDATE).is_some(),
                "the diagram of {name} has changed: look at it, and write it with {UPDATE}=1 and this test\n{now}"
            );
            text.replace_range(from..to, &now);
        }
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(page, text).unwrap();
    }
}
