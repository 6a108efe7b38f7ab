//! The error of reading and writing data.

use std::fmt;
use std::path::Path;

/// Why data could not be read or written, as a message to the user: what was expected, what was found, and
/// the next step if known.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DataError {
    message: String,
}

impl DataError {
    /// An error with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// The message.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// Prefixes the message with what was being read: `pairs.txt: line 3: ...`.
    #[must_use]
    pub fn within(self, what: impl fmt::Display) -> Self {
        Self { message: format!("{what}: {}", self.message) }
    }
}

/// Adds the file name to an I/O error; `verb` completes "cannot": "read", "write", "create".
pub(crate) trait IoDoing<T> {
    fn doing(self, verb: &str, path: &Path) -> Result<T, DataError>;
}

impl<T, E: fmt::Display> IoDoing<T> for Result<T, E> {
    fn doing(self, verb: &str, path: &Path) -> Result<T, DataError> {
        self.map_err(|e| DataError::new(format!("cannot {verb} {}: {e}", path.display())))
    }
}
