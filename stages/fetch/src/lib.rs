//! Downloads files into a pipeline, verified and pinned.
//!
//! The content is determined by the parameters alone: a commit of the Hugging Face Hub, whose digests the hub lists, or a SHA-256
//! digest. The environment determines where the bytes come from (a mirror, a proxy, a cache), and does not affect the result.
//!
//! ```text
//! options -> source --+-- hub      (api, licence, cache) --+
//!                     +-- web                              +-- transfer -- client
//!                     +-- registry (pypi, npm, members) ---+
//!                     +-- object   (lfs-store)
//!                            all -> downloads, place, report
//! ```
//!
//! Transferred bytes are kept in the cache of Python's `huggingface_hub`, or in a folder of downloads. An interrupted or failed run
//! therefore resumes.

mod client;
mod digest;
mod downloads;
mod hub;
mod names;
mod object;
mod options;
mod place;
mod refusal;
mod registry;
mod run;
mod secret;
mod settings;
mod source;
mod transfer;
mod web;

use lfs_stage::{Context, Input, Output, Result, Source, Stage};

pub use options::Options;

#[allow(missing_docs)]
mod sources {
    include!(concat!(env!("OUT_DIR"), "/source.rs"));
}
pub use sources::SOURCE;

/// The kind `fetch`.
pub struct Fetch;

impl Stage for Fetch {
    const KIND: &'static str = "fetch";
    const SUMMARY: &'static str =
        "Brings files from the Hugging Face Hub, the web, an object store or a package registry, by digest";
    const CODE: &'static [&'static [Source]] = &[lfs_store::SOURCE, SOURCE];
    const INPUTS: &'static [Input] = &[];
    const OUTPUTS: &'static [Output] = &[
        Output {
            name: "files",
            path: "files",
            about: "the files, in the paths that they have at their source",
        },
        Output {
            name: "report",
            path: "source.json",
            about: "the address, the commit, the licence, and each file's size and SHA-256 digest",
        },
    ];
    type Params = Options;

    fn check(options: &Options) -> Result<()> {
        options.check()
    }

    fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
        run::run(options, cx, settings::Settings::of_environment())
    }
}

#[cfg(test)]
mod tests;
