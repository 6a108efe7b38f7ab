//! The kind `tabulate`.

use lfs_stage::{Context, Failure, Input, IoContext, Output, Result, Source, Stage, any, several};

use crate::params::Params;
use crate::{assemble, certificate, input, render, verdicts};

/// The kind `tabulate`: turns results of evaluate stages into one table.
pub struct Tabulate;

impl Stage for Tabulate {
    const KIND: &'static str = "tabulate";
    const SUMMARY: &'static str = "Sets results side by side with the paper's";
    const CODE: &'static [&'static [Source]] = &[lfs_faces::SOURCE, lfs_metrics::SOURCE, crate::SOURCE];
    const INPUTS: &'static [Input] = &[
        several(
            "results",
            "metrics of evaluate stages; their labels `method`, `seed` and `world` make the rows",
        ),
        any("certificates", "matches of overlap stages: a finding says which persons were in both sets"),
    ];
    const OUTPUTS: &'static [Output] = &[
        Output { name: "table", path: "table.json", about: "the table with the provenance of each cell" },
        Output { name: "markdown", path: "table.md", about: "the table as Markdown" },
        Output { name: "csv", path: "table.csv", about: "one line a cell" },
        Output { name: "latex", path: "table.tex", about: "the table as LaTeX (booktabs)" },
        Output {
            name: "html",
            path: "report.html",
            about: "one self-contained page with details of every cell",
        },
    ];
    type Params = Params;

    fn run(params: &Params, cx: &mut Context<'_>) -> Result<()> {
        let mut table = assemble::assemble(params, &input::read(cx.inputs("results"))?)?;
        table.findings.extend(certificate::notes(cx.inputs("certificates"))?);
        for note in &table.notes {
            cx.warn(note.clone());
        }
        for finding in &table.findings {
            cx.note(finding.clone());
        }
        for claim in &table.claims {
            cx.note(claim.sentence());
        }
        verdicts::record(&table, cx);
        let mut json = serde_json::to_string_pretty(&table)
            .map_err(|e| Failure::new(format!("the table cannot be written as JSON: {e}")))?;
        json.push('\n');
        let forms = [
            ("table", json),
            ("markdown", render::markdown::render(&table)),
            ("csv", render::csv::render(&table)?),
            ("latex", render::latex::render(&table)),
            ("html", render::html::render(&table)),
        ];
        for (name, text) in forms {
            let path = cx.output(name)?;
            std::fs::write(path, text).doing("write", path)?;
        }
        Ok(())
    }
}
