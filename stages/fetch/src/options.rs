//! The parameters.

use lfs_stage::{Failure, Result};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::source::Source;

/// The parameters of `fetch`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Options {
    /// The address: `hf://datasets/OWNER/NAME@COMMIT[/PATH]`, `hf://OWNER/NAME@COMMIT[/PATH]` for models, `https://HOST/PATH`,
    /// `s3://BUCKET/PATH` (also `gs://`, `az://`; with a slash at the end all below it), `pypi:NAME@VERSION[/MEMBER]`,
    /// `npm:NAME@VERSION[/MEMBER]`.
    pub from: String,
    /// Patterns of which a file must fit one, all files if none is given: `*.bin`, `lists/*`. `*` matches slashes, too, as in
    /// `allow_patterns` of `huggingface_hub`.
    #[serde(default)]
    pub files: Vec<String>,
    /// The licence that you accept. It must be given where the source states one, as the source writes it, or asks for acceptance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// The SHA-256 digest of the file, or of the package's file, 64 hexadecimal digits; of several objects of a store the digest of
    /// what `sha256sum` prints for them, sorted by path in byte order. Required except for `hf://`, where the commit determines the
    /// bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
}

impl Options {
    /// Parses the source, and checks the parameters against each other.
    pub(crate) fn check(&self) -> Result<()> {
        let source = Source::parse(&self.from)?;
        if let Some(d) = &self.sha256
            && (d.len() != 64 || !d.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(Failure::new(format!("`sha256` must be 64 hexadecimal digits, found `{d}`")));
        }
        if matches!(source, Source::Hub(_)) && self.sha256.is_some() {
            return Err(Failure::new("`sha256` is not for `hf://`: the commit pins every byte")
                .help("remove the line `sha256 = ...`"));
        }
        if matches!(source, Source::Web(_)) && !self.files.is_empty() {
            return Err(Failure::new("`files` is not for `https://`: such an address is one file")
                .help("remove the line `files = ...`"));
        }
        if self.licence.as_deref().is_some_and(|l| l.trim().is_empty()) {
            return Err(Failure::new("`licence` is empty").help("name the licence, or remove the line"));
        }
        crate::names::Patterns::new(&self.files).map(|_| ())
    }

    /// The pinned digest, in lower case.
    pub(crate) fn pin(&self) -> Option<String> {
        self.sha256.as_ref().map(|d| d.to_ascii_lowercase())
    }
}
