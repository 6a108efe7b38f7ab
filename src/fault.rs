//! What can end a run, and the exit code that says so.

use std::fmt;
use std::path::Path;

use crate::problem::Problems;

/// A result whose error ends the program.
pub type Result<T, E = Fault> = std::result::Result<T, E>;

/// Why the program stops. Each class has its own exit code, so that scripts can tell them apart.
#[derive(Debug)]
pub enum Fault {
    /// The manifest is wrong (exit code 2).
    Manifest(Box<Problems>),
    /// The command line or a name on it is wrong (exit code 2).
    Usage {
        /// What is wrong.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// A stage failed; the events report which and why (exit code 1).
    Stages {
        /// How many.
        failed: usize,
    },
    /// A kind that was run outside of a pipeline failed (exit code 1).
    Failed {
        /// Why.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// Results differ from those that are locked (exit code 3).
    Differ {
        /// In what.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// The cache or the machine failed: disk full, permissions (exit code 4).
    Machine {
        /// What could not be done.
        message: String,
        /// What to do.
        help: Option<String>,
    },
    /// The user interrupted the run (exit code 130).
    Interrupted,
}

impl Fault {
    /// Wrong usage.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::Usage { message: message.into(), help: None }
    }

    /// Results differ.
    pub fn differ(message: impl Into<String>) -> Self {
        Self::Differ { message: message.into(), help: None }
    }

    /// A fault of the cache or the machine.
    pub fn machine(message: impl Into<String>) -> Self {
        Self::Machine { message: message.into(), help: None }
    }

    /// Adds what to do next, if the class has a field for it.
    #[must_use]
    pub fn with_help(mut self, text: impl Into<String>) -> Self {
        if let Self::Usage { help, .. } | Self::Machine { help, .. } | Self::Differ { help, .. } = &mut self {
            *help = Some(text.into());
        }
        self
    }

    /// The exit code of this class, as `docs/manifest.md` lists them.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Stages { .. } | Self::Failed { .. } => 1,
            Self::Manifest(_) | Self::Usage { .. } => 2,
            Self::Differ { .. } => 3,
            Self::Machine { .. } => 4,
            Self::Interrupted => 130,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Manifest(problems) => problems.fmt(f),
            Self::Usage { message, help }
            | Self::Failed { message, help }
            | Self::Machine { message, help }
            | Self::Differ { message, help } => {
                write!(f, "error: {message}")?;
                match help {
                    Some(help) => write!(f, "\n  help: {help}"),
                    None => Ok(()),
                }
            }
            Self::Stages { failed: 1 } => f.write_str("error: 1 node failed"),
            Self::Stages { failed } => write!(f, "error: {failed} nodes failed"),
            Self::Interrupted => f.write_str("interrupted: what had finished is kept; run again to go on"),
        }
    }
}

impl std::error::Error for Fault {}

/// Names the file in an input or output error.
pub trait At<T> {
    /// `doing` completes "cannot": "read", "create".
    fn at(self, doing: &str, path: &Path) -> Result<T>;
}

impl<T> At<T> for std::io::Result<T> {
    fn at(self, doing: &str, path: &Path) -> Result<T> {
        self.map_err(|e| {
            let fault = Fault::machine(format!("cannot {doing} {}: {e}", path.display()));
            match e.kind() {
                std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => {
                    fault.with_help("free some space and run again; finished nodes are kept")
                }
                std::io::ErrorKind::PermissionDenied | std::io::ErrorKind::ReadOnlyFilesystem => {
                    fault.with_help("the cache and the output folder must be writable; choose others with --cache and --out")
                }
                _ => fault,
            }
        })
    }
}
