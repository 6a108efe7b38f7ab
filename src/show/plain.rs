//! Plain lines, for files and for other programs.

use std::time::{Duration, Instant};

use console::style;

use super::{Subscriber, Verbosity, count, figure, span};
use crate::engine::{Ended, Event};

/// How often a running node reports its progress.
const EVERY: Duration = Duration::from_secs(10);

/// Writes lines to standard error.
pub(super) struct Plain {
    verbosity: Verbosity,
    last: std::collections::HashMap<String, Instant>,
}

impl Plain {
    pub fn new(verbosity: Verbosity) -> Self {
        Self { verbosity, last: std::collections::HashMap::new() }
    }

    fn say(&self, at: Verbosity, text: &str) {
        if self.verbosity as u8 >= at as u8 {
            crate::say!("{text}");
        }
    }
}

impl Subscriber for Plain {
    fn on(&mut self, event: &Event) {
        if let Event::NodeProgress { node, doing, done, total, unit, figures } = event {
            let now = Instant::now();
            let first = self.last.entry(node.clone()).or_insert(now);
            if now.duration_since(*first) < EVERY {
                return;
            }
            *first = now;
            let of = total.map_or_else(String::new, |t| format!("/{}", count(t)));
            let figures: String = figures.iter().map(|(k, v)| format!("  {k} {}", figure(*v))).collect();
            self.say(
                Verbosity::Normal,
                &format!("  ...       {node}: {doing} {}{of} {unit}{figures}", count(*done)),
            );
            return;
        }
        if let Some((at, text)) = line(event, self.verbosity) {
            self.say(at, &text);
        }
    }
}

/// The line for an event; `None` for events that only the live display shows, and for cache hits unless they were asked for:
/// there can be thousands.
pub(super) fn line(event: &Event, verbosity: Verbosity) -> Option<(Verbosity, String)> {
    use Verbosity::{Normal, Quiet, Verbose};
    if verbosity != Verbose && matches!(event, Event::NodeFinished { state: Ended::Cached, .. }) {
        return None;
    }
    Some(match event {
        Event::RunStarted { run, nodes, jobs, .. } => {
            let slots = jobs.map_or_else(String::new, |jobs| format!(", {jobs} slots"));
            (Verbose, format!("run {run}: {}{slots}", super::nodes(*nodes)))
        }
        Event::NodeStarted { node, kind } => {
            (Normal, format!("  {}   {node} ({kind})", style("running").cyan().for_stderr()))
        }
        Event::NodeWaiting { node } => (Normal, format!("  waiting   {node}: another run computes it")),
        Event::NodeStep { node, step, known } => {
            (Verbose, format!("  step      {node}: {step}{}", if *known { " (cached)" } else { "" }))
        }
        Event::NodeWarning { node, text } => {
            (Quiet, format!("  {}   {node}: {text}", style("warning").yellow().for_stderr()))
        }
        Event::NodeFinished { node, state, seconds, error, help, log, .. } => match state {
            Ended::Cached => (Verbose, format!("  {}    {node}", style("cached").dim().for_stderr())),
            Ended::Executed => {
                (Normal, format!("  {}      {node}  {}", style("done").green().for_stderr(), span(*seconds)))
            }
            Ended::Skipped => (Verbose, format!("  skipped   {node}")),
            Ended::Failed => {
                let error = error.as_deref().unwrap_or("no reason was given");
                let mut text = format!("  {}    {node}: {error}", style("FAILED").red().bold().for_stderr());
                for line in log {
                    text += &format!("\n            | {line}");
                }
                if let Some(help) = help {
                    text += &format!("\n            help: {help}");
                }
                if !log.is_empty() {
                    text += &format!("\n            whole log: lfs-pipe log '{node}'");
                }
                (Quiet, text)
            }
        },
        Event::RunFinished { executed, cached, failed, skipped, seconds, .. } => {
            let all = super::nodes(executed + cached + failed + skipped);
            let mut text = format!("{all}: {executed} executed, {cached} cached");
            if *failed > 0 {
                text += &format!(", {failed} failed");
            }
            if *skipped > 0 {
                text += &format!(", {skipped} skipped");
            }
            (Normal, format!("{text}, in {}", span(*seconds)))
        }
        Event::RunStopping { now: true, .. } => (Quiet, "  stopping  what runs is ended".to_owned()),
        Event::RunStopping { running, now: false } => (
            Quiet,
            format!(
                "  stopping  nothing new starts; {} to finish. Once more ends it at once: what is finished is kept",
                super::nodes(*running)
            ),
        ),
        Event::NodeProgress { .. } | Event::NodeMetric { .. } => return None,
    })
}
