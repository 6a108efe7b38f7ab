//! Sets results side by side with the paper's.
//!
//! Reads any number of `metrics.json` files with the labels of the nodes that made them, and writes one table as
//! JSON (the source), Markdown, CSV, LaTeX and a self-contained HTML page. Every cell knows the nodes behind it.

mod assemble;
mod certificate;
mod findings;
mod input;
mod order;
mod params;
mod reference;
mod render;
mod significance;
mod stage;
pub mod table;
mod verdicts;

pub use params::Params;
pub use reference::Reference;
pub use stage::Tabulate;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
