//! Writing to standard output.

use std::io::Write;

use crate::fault::{Fault, Result};

/// It is no error if the reader has closed the pipe (`| head`).
pub(super) fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Fault::machine(format!("cannot write: {e}")))
        }
        _ => Ok(()),
    }
}

pub(super) fn print_json(value: &impl serde::Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(value).map_err(|e| Fault::machine(e.to_string()))?;
    print(&(text + "\n"))
}
