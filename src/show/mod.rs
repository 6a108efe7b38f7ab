//! Subscribers: they show the events of the engine.

mod live;
mod plain;
mod report;
mod trace;

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Write};
use std::path::Path;

use bytesize::ByteSize;
use indicatif::{HumanCount, ProgressBar, ProgressDrawTarget, ProgressStyle};
pub use report::Report;
pub use trace::{Span, Trace};

use crate::engine::Event;
use crate::fault::{At, Result};

/// A receiver of a run's events.
pub trait Subscriber {
    /// Called for each event.
    fn on(&mut self, event: &Event);
}

/// How much to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verbosity {
    /// Failures and warnings.
    Quiet,
    /// What runs, and the result.
    Normal,
    /// Every node.
    Verbose,
}

/// The display for standard error: live on a terminal, plain lines elsewhere. `expected` gives the expected time of each node, in
/// seconds; only the live display calls it.
pub fn console(
    verbosity: Verbosity,
    expected: &dyn Fn() -> HashMap<String, f64>,
) -> Box<dyn Subscriber + Send> {
    let terminal = std::io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|t| t != "dumb");
    match terminal && verbosity != Verbosity::Quiet {
        true => Box::new(live::Live::new(verbosity, expected())),
        false => Box::new(plain::Plain::new(verbosity)),
    }
}

/// Writes each event as one line of JSON.
pub struct JsonLines {
    to: BufWriter<File>,
    failed: bool,
}

impl JsonLines {
    /// Writes to a file, replacing its content.
    ///
    /// # Errors
    /// When it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        Ok(Self { to: BufWriter::new(File::create(path).at("create", path)?), failed: false })
    }
}

impl Subscriber for JsonLines {
    fn on(&mut self, event: &Event) {
        let line = serde_json::to_string(event).unwrap_or_default();
        let mut result = writeln!(self.to, "{line}");
        // A process that follows the file sees a node as soon as it has ended.
        if !matches!(event, Event::NodeProgress { .. }) {
            result = result.and_then(|()| self.to.flush());
        }
        if let Err(e) = result
            && !std::mem::replace(&mut self.failed, true)
        {
            tracing::warn!("the events file cannot be written: {e}");
        }
    }
}

/// A span of time, short: `0.3 s`, `12 s`, `3:05`, `1:02:05`.
pub(crate) fn span(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match seconds {
        s if s < 9.95 => format!("{s:.1} s"),
        s if s < 59.5 => format!("{whole} s"),
        s if s < 3599.5 => format!("{}:{:02}", whole / 60, whole % 60),
        _ => format!("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60),
    }
}

/// `1 node`, `12 nodes`.
pub(crate) fn nodes(n: usize) -> String {
    format!("{n} node{}", if n == 1 { "" } else { "s" })
}

/// An amount of bytes: `512 B`, `3.2 MiB`.
pub(crate) fn bytes(n: u64) -> String {
    ByteSize::b(n).display().iec().to_string()
}

/// A bar for this many bytes, on standard error; with `quiet`, nowhere.
pub(crate) fn bytes_bar(total: u64, quiet: bool) -> ProgressBar {
    let target = if quiet { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(Some(total), target);
    match ProgressStyle::with_template("{bar:24} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left") {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// A count with separators between thousands.
pub(crate) fn count(n: u64) -> String {
    HumanCount(n).to_string()
}

/// A number with four significant digits.
pub(crate) fn figure(value: f64) -> String {
    let size = value.abs();
    match size {
        0.0 => "0".to_owned(),
        s if !(1e-3..1e5).contains(&s) => format!("{value:.2e}"),
        s if s >= 100.0 => format!("{value:.1}"),
        s if s >= 1.0 => format!("{value:.3}"),
        _ => format!("{value:.4}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_exact() {
        assert_eq!([span(0.31), span(59.4), span(59.6), span(3725.0)], ["0.3 s", "59 s", "1:00", "1:02:05"]);
        assert_eq!([count(7), count(1000), count(1_234_567)], ["7", "1,000", "1,234,567"]);
        assert_eq!([bytes(7), bytes(1536), bytes(5 << 40)], ["7 B", "1.5 KiB", "5.0 TiB"]);
        assert_eq!(
            [figure(0.0), figure(0.01234), figure(2.71328), figure(-73129.4)],
            ["0", "0.0123", "2.713", "-73129.4"]
        );
    }
}
