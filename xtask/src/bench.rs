//! x
use crate::host::Host;
use crate::stop::Result;
use std::process::ExitCode;
pub fn bench(host: &Host) -> Result<ExitCode> {
    crate::cargo::build(host)?;
    Ok(ExitCode::SUCCESS)
}
