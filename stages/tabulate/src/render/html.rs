//! HTML: one self-contained page without scripts, for light and dark screens and for paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{average_spread, definition, explain, is, legend, number, percent, signed, spread};
use crate::table::{Cell, Column, Judged, Row, Source, Table, Verdict};

const STYLE: &str = include_str!("style.css");

/// The mark of what is not significantly below the best.
const NEAR: PreEscaped<&str> =
    PreEscaped("<span class=\"near\" title=\"not significantly below the best\">~</span>");

/// The table as a page. Every cell links to its details.
pub fn render(table: &Table) -> String {
    let title = if table.title.is_empty() { "Results" } else { &table.title };
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    h1 { (title) }
                    @if !table.findings.is_empty() {
                        section.findings { ul { @for f in &table.findings { li { (f) } } } }
                    }
                    div.scroll { (overview(table)) }
                    p.legend { @for line in legend(table) { (line) " " } "A cell leads to its details." }
                    @if !table.claims.is_empty() {
                        section { h2 { "Claims" } div.scroll { (claims(&table.claims)) } }
                    }
                    @if !table.notes.is_empty() {
                        section.notes { h2 { "Notes" } ul { @for n in &table.notes { li { (n) } } } }
                    }
                    @for (k, column) in table.columns.iter().enumerate() { (details(table, k, column)) }
                }
            }
        }
    };
    page.into_string() + "\n"
}

fn overview(table: &Table) -> Markup {
    let average = !table.averaged.is_empty();
    html! {
        table.overview {
            thead { tr {
                th scope="col" { "Method" }
                @for (k, c) in table.columns.iter().enumerate() {
                    th scope="col" { a href={ "#c" (k) } { (c.name) } small { (definition(c)) } }
                }
                @if average { th scope="col" { "Average" small { (table.averaged.len()) " columns" } } }
            } }
            tbody { @for (i, row) in table.rows.iter().enumerate() { tr {
                th scope="row" { (row.name) }
                @for (k, cell) in row.cells.iter().enumerate() { td { @if let Some(c) = cell { (short(c, i, k)) } } }
                @if average { td { @if let Some(a) = &row.average {
                    span.best[a.verdict == Some(Verdict::Best)] { (percent(a.value)) }
                    @if a.verdict == Some(Verdict::NotSignificant) { (NEAR) }
                    @if let Some(s) = average_spread(a) { span.spread { "± " (s) } }
                } } }
            } } }
        }
    }
}

fn claims(all: &[Judged]) -> Markup {
    let points = |interval: Option<[f64; 2]>| interval.map(|[low, high]| [signed(low), signed(high)]);
    html! {
        table {
            thead { tr {
                th.words scope="col" { "Claim" }
                th scope="col" { "Ruling" }
                th.words scope="col" { "Columns" }
                th scope="col" { "Difference, points" }
                th scope="col" { "95 % interval" }
                th scope="col" { "p after Holm" }
                th.words scope="col" { "To resolve one point" }
            } }
            tbody { @for judged in all { @for (i, part) in judged.parts.iter().enumerate() { tr {
                @if i == 0 {
                    th.words scope="row" rowspan=(judged.parts.len()) { (judged.claim) }
                    td rowspan=(judged.parts.len()) {
                        b { (judged.ruling.words()) } @if !judged.why.is_empty() { ": " (judged.why) }
                    }
                }
                td.words { (part.columns) }
                td.whole { (signed(part.difference)) }
                td.whole { @if let Some([low, high]) = points(part.interval) { (low) " to " (high) } }
                td.whole { @if let Some(p) = part.p { (format!("{p:.2e}")) } }
                td.words { (part.wanted.as_deref().unwrap_or_default()) }
            } } } }
        }
    }
}

fn short(cell: &Cell, i: usize, k: usize) -> Markup {
    html! {
        a.best[is(cell, Verdict::Best)] href={ "#r" (i) "c" (k) } { (number(cell)) }
        @if is(cell, Verdict::NotSignificant) { (NEAR) }
        @if let Some(s) = spread(cell) { span.spread { "± " (s) } }
        @if let Some(paper) = cell.reference {
            span.paper { "paper " (percent(paper)) @if let Some(d) = cell.difference { " (" (signed(d)) ")" } }
        }
    }
}

fn details(table: &Table, k: usize, column: &Column) -> Markup {
    html! {
        section id={ "c" (k) } {
            h2 { (column.name) }
            p { (column.protocol) ". Definition " b { (definition(column)) } ": " (explain(&column.definition)) "." }
            div.scroll { table {
                thead { tr {
                    th scope="col" { "Method" }
                    th scope="col" { "Value" }
                    th scope="col" { "95 % interval" }
                    th.words scope="col" { "Compared with the best" }
                    th scope="col" { "Paper" }
                    th.words scope="col" { "Results behind it" }
                } }
                tbody { @for (i, row) in table.rows.iter().enumerate() {
                    @if let Some(cell) = &row.cells[k] { (detail(row, cell, i, k)) }
                } }
            } }
        }
    }
}

fn detail(row: &Row, cell: &Cell, i: usize, k: usize) -> Markup {
    let verdict = match cell.verdict {
        Some(Verdict::Best) => "best",
        Some(Verdict::NotSignificant) => "not significantly below",
        Some(Verdict::Below) => "below",
        None if cell.value.is_none() => "not resolved: fewer than 1 / FAR negatives",
        None => "no interval",
    };
    html! {
        tr id={ "r" (i) "c" (k) } {
            th scope="row" { (row.name) }
            td.whole { (number(cell)) @if let Some(s) = spread(cell) { " ± " (s) } }
            td.whole { @if let Some([low, high]) = cell.interval.filter(|_| cell.value.is_some()) {
                (percent(low)) " to " (percent(high))
            } }
            td.words { (verdict) @if let Some(p) = cell.p { (format!(" (p = {p:.2e})")) } }
            td.whole { @if let Some(paper) = cell.reference {
                (percent(paper)) @if let Some(d) = cell.difference { " (" (signed(d)) ")" }
                @if let Some(why) = &cell.incomparable { " (not comparable: " (why) ")" }
            } }
            td.words { ul { @for s in &cell.sources { li { (origin(s)) } } } }
        }
    }
}

fn origin(s: &Source) -> Markup {
    html! {
        code { (s.from) }
        " "
        @if let Some(v) = s.value { (percent(v)) " %" } @else { "not resolved" }
        ", " (s.pairs) @if s.pairs != s.listed { " of " (s.listed) } " pairs, " (s.negatives) " negatives"
        @if let Some(t) = s.threshold { ", threshold " (format!("{t:.4}")) }
        @if let Some(u) = &s.unit { " (" (u) ")" }
        @if !s.official { ", not the official lists" }
    }
}
