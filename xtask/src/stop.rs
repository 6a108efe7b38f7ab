//! Why a command ends early, in words for the person in front of it.

use std::fmt;
use std::path::Path;

/// The result of a command's part.
pub type Result<T> = std::result::Result<T, Stop>;

/// One message, what to do next, and the exit code.
#[derive(Debug)]
pub struct Stop {
    message: String,
    help: Option<String>,
    /// The exit code: 1 a step failed, 2 wrong usage or something of the machine is missing.
    pub code: u8,
}

impl Stop {
    /// A stop with exit code 1.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), help: None, code: 1 }
    }

    /// Adds what to do next.
    pub fn help(mut self, help: impl Into<String>) -> Self {
        self.help = Some(help.into());
        self
    }

    /// Sets the exit code.
    pub fn code(mut self, code: u8) -> Self {
        self.code = code;
        self
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(f, "\n  help: {}", help.replace('\n', "\n        ")),
            None => Ok(()),
        }
    }
}

/// Names the file in an input or output error.
pub trait Doing<T> {
    /// `verb` completes "cannot": "read", "write", "create".
    fn doing(self, verb: &str, path: &Path) -> Result<T>;
}

impl<T, E: fmt::Display> Doing<T> for std::result::Result<T, E> {
    fn doing(self, verb: &str, path: &Path) -> Result<T> {
        self.map_err(|e| {
            let text = e.to_string();
            let stop = Stop::new(format!("cannot {verb} {}: {text}", path.display()));
            match text.contains("No space left") {
                true => stop.help("free some space on that disk and run the command again"),
                false => stop,
            }
        })
    }
}
