//! Shows results next to the paper's numbers.
//!
//! Reads any number of `metrics.json` files with the labels of the nodes that produced them, and writes one
//! table as JSON (the source), Markdown, CSV, LaTeX and a self-contained HTML page. Every cell names the
//! nodes that it comes from.

mod assemble;
mod certificate;
mod claims;
mod findings;
mod inference;
mod input;
mod order;
mod params;
mod reference;
mod render;
mod stage;
pub mod table;
mod verdicts;

pub use claims::{Claim, Columns, Expect};
pub use params::Params;
pub use reference::Reference;
pub use stage::Tabulate;

#[allow(missing_docs)]
mod source {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use source::SOURCE;
