//! Links, length and words of the documentation and of `--help`.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::root;

/// Every page: those at the root, and those below `docs`.
fn pages() -> Vec<PathBuf> {
    let mut pages = super::files(&["docs"], ".md");
    pages.extend(
        ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"].map(|name| root().join(name)),
    );
    pages
}

/// The lines of a page outside of its code blocks.
fn prose(text: &str) -> Vec<&str> {
    let mut code = false;
    let mut out = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            out.push(line);
        }
    }
    out
}

/// The anchor of a heading, as repository hosts make it.
fn anchor(heading: &str) -> String {
    let plain = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = plain.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn anchors(page: &Path) -> BTreeSet<String> {
    let text = std::fs::read_to_string(page).unwrap_or_else(|e| panic!("{}: {e}", page.display()));
    prose(&text).into_iter().filter(|l| l.starts_with('#')).map(anchor).collect()
}

#[test]
fn every_link_of_the_documentation_leads_somewhere() {
    let mut links = 0;
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in prose(&text) {
            for (at, _) in line.match_indices("](") {
                let target = line[at + 2..].split(')').next().unwrap_or_default();
                if target.contains("://") || target.starts_with("mailto:") {
                    continue;
                }
                let (file, to) = target.split_once('#').map_or((target, None), |(f, a)| (f, Some(a)));
                let file = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
                assert!(file.exists(), "{}: `{target}` is missing", page.display());
                if let Some(to) = to {
                    assert!(anchors(&file).contains(to), "{}: no heading for `{target}`", page.display());
                }
                links += 1;
            }
        }
    }
    assert!(links > 40, "{links}");
}

#[test]
fn the_readme_fits_on_a_page() {
    let text = std::fs::read_to_string(root().join("README.md")).unwrap();
    assert!(text.lines().count() <= 150, "README.md has {} lines", text.lines().count());
}

/// Words of this project alone, for which the field has others.
const RETIRED: &[(&str, &str)] = &[
    ("stands", "is, is listed"),
    ("stood", "was"),
    ("whoever", "the process that"),
    ("somebody", "another process, a person"),
    ("anew", "again"),
    ("mends", "repairs"),
    ("told", "reported"),
    ("as it was", "unchanged"),
    ("as they were", "unchanged"),
    ("looked at", "checked"),
    ("comes out", "results"),
    ("came out", "resulted"),
    ("the short way", "the no-op check"),
    ("twice there", "duplicate"),
    ("hangs on", "depends on"),
];

/// The retired words of a text, as whole words.
fn retired(text: &str) -> Vec<String> {
    let words: Vec<String> = text
        .split(|c: char| !c.is_alphanumeric() && c != '-')
        .filter(|w| !w.is_empty())
        .map(str::to_lowercase)
        .collect();
    let text = format!(" {} ", words.join(" "));
    let found = RETIRED.iter().filter(|(word, _)| text.contains(&format!(" {word} ")));
    found.map(|(word, better)| format!("`{word}` ({better})")).collect()
}

#[test]
fn the_documentation_uses_the_words_of_the_field() {
    for page in pages() {
        let text = std::fs::read_to_string(&page).unwrap();
        for line in prose(&text) {
            // Names of tests and files are in backquotes, and are not checked.
            let plain: String = line.split('`').step_by(2).collect::<Vec<_>>().join(" ");
            assert_eq!(retired(&plain), Vec::<String>::new(), "{}: {line}", page.display());
        }
    }
}

/// The help of a command, and of the commands below it.
fn help(path: &[&str], out: &mut Vec<String>) {
    let own = std::env::current_exe().unwrap();
    let program = own.parent().unwrap().parent().unwrap().join("lfs-pipe");
    let run = Command::new(program).args(path).arg("--help").output().unwrap();
    assert!(run.status.success(), "{path:?}");
    let text = String::from_utf8(run.stdout).unwrap();
    let commands =
        text.split("\nCommands:\n").nth(1).and_then(|t| t.split("\n\n").next()).unwrap_or_default();
    let names: Vec<String> = commands
        .lines()
        .filter(|l| l.starts_with("  ") && !l.starts_with("   "))
        .filter_map(|l| l.split_whitespace().next().map(str::to_owned))
        .filter(|name| name != "help")
        .collect();
    out.push(text);
    for name in names {
        help(&[path, &[name.as_str()]].concat(), out);
    }
}

#[test]
fn help_uses_the_words_of_the_field() {
    let mut all = Vec::new();
    help(&[], &mut all);
    assert!(all.len() > 25, "{}", all.len());
    for text in all {
        assert_eq!(retired(&text), Vec::<String>::new(), "{text}");
    }
}
