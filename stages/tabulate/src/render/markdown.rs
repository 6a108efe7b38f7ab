//! Markdown.

use std::fmt::Write;

use super::{average_spread, definition, explain, is, legend, number, percent, signed, spread};
use crate::table::{Average, Cell, Column, Table, Verdict};

/// The table as Markdown.
pub fn render(table: &Table) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut out, table);
    out
}

fn write(out: &mut String, table: &Table) -> std::fmt::Result {
    if !table.title.is_empty() {
        writeln!(out, "# {}\n", table.title)?;
    }
    let average = !table.averaged.is_empty();
    let mut head: Vec<&str> = vec!["Method"];
    head.extend(table.columns.iter().map(|c| c.name.as_str()));
    head.extend(average.then_some("Average"));
    writeln!(out, "| {} |", head.join(" | "))?;
    writeln!(out, "|---|{}", "---:|".repeat(head.len() - 1))?;
    for row in &table.rows {
        write!(out, "| {} |", row.name.replace('|', "\\|"))?;
        for cell in &row.cells {
            write!(out, " {} |", cell.as_ref().map(text).unwrap_or_default())?;
        }
        if let (true, Some(average)) = (average, &row.average) {
            write!(out, " {} |", mean(average))?;
        }
        writeln!(out)?;
    }
    writeln!(out, "\n{}", legend(table).join(" "))?;
    let claims: Vec<String> = table.claims.iter().map(|claim| claim.sentence()).collect();
    section(out, "Findings", &table.findings)?;
    section(out, "Claims", &claims)?;
    section(out, "Notes", &table.notes)?;
    let definitions = grouped(&table.columns, |c| format!("{}: {}", definition(c), explain(&c.definition)));
    section(out, "Definitions", &definitions)?;
    section(out, "Protocols", &grouped(&table.columns, |c| c.protocol.clone()))
}

/// One line for all columns with the same text.
fn grouped(columns: &[Column], say: impl Fn(&Column) -> String) -> Vec<String> {
    let mut lines: Vec<(String, Vec<&str>)> = Vec::new();
    for column in columns {
        let said = say(column);
        match lines.iter_mut().find(|(line, _)| *line == said) {
            Some((_, names)) => names.push(&column.name),
            None => lines.push((said, vec![&column.name])),
        }
    }
    lines.into_iter().map(|(line, names)| format!("{line} ({}).", names.join(", "))).collect()
}

fn mean(average: &Average) -> String {
    let mark = if average.verdict == Some(Verdict::Best) { "**" } else { "" };
    let spread = average_spread(average).map(|spread| format!(" ± {spread}")).unwrap_or_default();
    let near = if average.verdict == Some(Verdict::NotSignificant) { " ~" } else { "" };
    format!("{mark}{}{mark}{spread}{near}", percent(average.value))
}

fn text(cell: &Cell) -> String {
    let mark = if is(cell, Verdict::Best) { "**" } else { "" };
    let mut out = format!("{mark}{}{mark}", number(cell));
    if let Some(spread) = spread(cell) {
        out += &format!(" ± {spread}");
    }
    if is(cell, Verdict::NotSignificant) {
        out += " ~";
    }
    if let Some(paper) = cell.reference {
        let difference = cell.difference.map(|d| format!(", {}", signed(d))).unwrap_or_default();
        out += &format!(" ({}{difference})", percent(paper));
    }
    out
}

fn section(out: &mut String, title: &str, lines: &[String]) -> std::fmt::Result {
    if !lines.is_empty() {
        writeln!(out, "\n## {title}\n")?;
        for line in lines {
            writeln!(out, "- {line}")?;
        }
    }
    Ok(())
}
