//! Errors of stages.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// The result of a stage's work.
pub type Result<T, E = Failure> = std::result::Result<T, E>;

/// Why a stage failed, and what the user can do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// What is wrong, in one sentence: what was expected and what was found.
    pub message: String,
    /// What to do next.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Failure {
    /// A failure with a message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None }
    }

    /// Adds advice on what to do next.
    #[must_use]
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {help}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// Adds the action and the path to an I/O error.
pub trait IoContext<T> {
    /// `verb` completes "cannot": "read", "write", "create".
    fn doing(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T, E: fmt::Display> IoContext<T> for std::result::Result<T, E> {
    fn doing(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|e| Failure::new(format!("cannot {verb} {}: {e}", path.display())))
    }
}
