//! LaTeX: a `tabular` with rules from the package `booktabs`.

use super::{average_spread, is, legend, number, percent, signed, spread};
use crate::table::{Average, Cell, Table, Verdict};

/// The table as LaTeX.
pub fn render(table: &Table) -> String {
    let average = !table.averaged.is_empty();
    let mut out = String::from("% needs \\usepackage{booktabs}\n");
    for line in legend(table) {
        out += &format!("% {line}\n");
    }
    let count = table.columns.len() + usize::from(average);
    out += &format!("\\begin{{tabular}}{{l{}}}\n\\toprule\n", "r".repeat(count));
    let mut head = vec!["Method".to_owned()];
    head.extend(table.columns.iter().map(|c| escape(&c.name)));
    head.extend(average.then(|| "Average".to_owned()));
    out += &format!("{} \\\\\n\\midrule\n", head.join(" & "));
    for row in &table.rows {
        let mut fields = vec![escape(&row.name)];
        fields.extend(row.cells.iter().map(|c| c.as_ref().map(text).unwrap_or_default()));
        if average {
            fields.push(row.average.as_ref().map(mean).unwrap_or_default());
        }
        out += &format!("{} \\\\\n", fields.join(" & "));
    }
    out + "\\bottomrule\n\\end{tabular}\n"
}

fn mean(average: &Average) -> String {
    let mut out = bold(&percent(average.value), average.verdict == Some(Verdict::Best));
    if let Some(spread) = average_spread(average) {
        out += &format!("\\,{{\\scriptsize$\\pm${spread}}}");
    }
    if average.verdict == Some(Verdict::NotSignificant) {
        out += "$^{\\sim}$";
    }
    out
}

fn text(cell: &Cell) -> String {
    let mut out = bold(&number(cell), is(cell, Verdict::Best));
    if let Some(spread) = spread(cell) {
        out += &format!("\\,{{\\scriptsize$\\pm${spread}}}");
    }
    if is(cell, Verdict::NotSignificant) {
        out += "$^{\\sim}$";
    }
    if let Some(paper) = cell.reference {
        let difference = cell.difference.map(|d| format!(", ${}$", signed(d))).unwrap_or_default();
        out += &format!(" ({}{difference})", percent(paper));
    }
    out
}

fn bold(text: &str, yes: bool) -> String {
    if yes { format!("\\textbf{{{text}}}") } else { text.to_owned() }
}

fn escape(text: &str) -> String {
    let mut out = String::new();
    for c in text.chars() {
        match c {
            '\\' => out += "\\textbackslash{}",
            '&' | '%' | '$' | '#' | '_' | '{' | '}' => {
                out.push('\\');
                out.push(c);
            }
            '~' => out += "\\textasciitilde{}",
            '^' => out += "\\textasciicircum{}",
            _ => out.push(c),
        }
    }
    out
}
