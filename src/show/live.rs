//! The live display on a terminal: a line for the run, and one for each running node.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use console::{Term, measure_text_width};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use rustix::process::getpgrp;
use rustix::stdio::stdin;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr};

use super::plain::line;
use super::{Subscriber, Verbosity, count, figure, span};
use crate::engine::{Ended, Event};

/// Draws the run's state.
pub(super) struct Live {
    verbosity: Verbosity,
    all: MultiProgress,
    total: ProgressBar,
    nodes: HashMap<String, Running>,
    left: Left,
    _silence: Option<Silence>,
}

/// While this lives, the terminal does not print `^C` over a bar, after which the bars would be drawn one line too low.
struct Silence(Termios);

impl Silence {
    fn begin() -> Option<Self> {
        // A process in the background must not change the terminal: it would be stopped.
        if tcgetpgrp(stdin()).ok()? != getpgrp() {
            return None;
        }
        let before = tcgetattr(stdin()).ok()?;
        let mut now = before.clone();
        now.local_modes.remove(LocalModes::ECHOCTL);
        tcsetattr(stdin(), OptionalActions::Now, &now).ok()?;
        Some(Self(before))
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // If it cannot be restored, one flag is lost that no program relies on.
        if tcgetpgrp(stdin()).ok() == Some(getpgrp()) {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
        }
    }
}

struct Running {
    bar: ProgressBar,
    began: Instant,
    /// When `doing` began, and how much was done then.
    since: Instant,
    doing: String,
    from: u64,
    figures: Vec<String>,
}

impl Live {
    pub fn new(verbosity: Verbosity, expected: HashMap<String, f64>) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(0));
        total.set_style(style("{bar:16} {pos}/{len} nodes  {elapsed}  {wide_msg}"));
        // A node can take hours, and the clock must keep moving.
        total.enable_steady_tick(Duration::from_millis(500));
        Self {
            verbosity,
            all,
            total,
            nodes: HashMap::new(),
            left: Left::new(expected),
            _silence: Silence::begin(),
        }
    }

    fn say(&self, text: &str) {
        let lines: Vec<String> = text.lines().map(|line| wrapped(line, columns())).collect();
        let text = lines.join("\n");
        // Without a terminal there is nothing to draw around.
        if self.all.println(&text).is_err() {
            crate::say!("{text}");
        }
    }

    /// Shows how many nodes run, and how long the rest takes.
    fn state(&self) {
        let left =
            self.left.seconds(&self.nodes).map_or_else(String::new, |s| format!(", about {} left", span(s)));
        self.total.set_message(format!("{} running{left}", self.nodes.len()));
    }

    fn progress(
        &mut self,
        node: &str,
        doing: &str,
        done: u64,
        total: Option<u64>,
        unit: &str,
        figures: Vec<String>,
    ) {
        let Some(running) = self.nodes.get_mut(node) else { return };
        if running.doing != doing || done < running.from {
            running.since = Instant::now();
            running.from = done;
            doing.clone_into(&mut running.doing);
        }
        if !figures.is_empty() {
            running.figures = figures;
        }
        let seconds = running.since.elapsed().as_secs_f64();
        let rate = if seconds > 0.3 { (done - running.from) as f64 / seconds } else { 0.0 };
        // The most important comes first: a narrow terminal has no room for the last.
        let mut parts = vec![doing.to_owned()];
        match total.filter(|t| *t > 0) {
            Some(total) => {
                parts.push(format!("{:.0} %", 100.0 * done as f64 / total as f64));
                if rate > 0.0 && total > done {
                    parts.push(format!("{} left", span((total - done) as f64 / rate)));
                }
            }
            None => parts.push(format!("{} {unit}", count(done))),
        }
        if rate > 0.0 {
            parts.push(format!("{} {unit}/s", count(rate as u64)));
        }
        parts.extend(running.figures.iter().cloned());
        let room = columns().saturating_sub(BESIDE + measure_text_width(node));
        running.bar.set_message(fitting(parts, room));
        self.state();
    }
}

/// The remaining time of a node that takes longer than expected, as a share of the time that it took so far.
const OVERDUE: f64 = 0.1;

/// The remaining time of the run, from the times that its nodes took the last time.
struct Left {
    expected: HashMap<String, f64>,
    over: HashSet<String>,
    began: Instant,
    /// Seconds of nodes, summed over those that ran in parallel.
    worked: f64,
}

impl Left {
    fn new(expected: HashMap<String, f64>) -> Self {
        Self { expected, over: HashSet::new(), began: Instant::now(), worked: 0.0 }
    }

    fn finished(&mut self, node: &str, seconds: f64) -> bool {
        self.worked += seconds;
        self.over.insert(node.to_owned())
    }

    /// Seconds; none while nothing is known of the remaining nodes.
    fn seconds(&self, running: &HashMap<String, Running>) -> Option<f64> {
        // While only cache hits are materialised, the earlier times of nodes predict nothing.
        if running.is_empty() && self.worked == 0.0 {
            return None;
        }
        let left = |(node, seconds): (&String, &f64)| {
            let spent = running.get(node).map_or(0.0, |r| r.began.elapsed().as_secs_f64());
            // A node that takes longer than the last time is expected to take a little longer still.
            (seconds - spent).max(OVERDUE * spent)
        };
        let left: f64 = self.expected.iter().filter(|(node, _)| !self.over.contains(*node)).map(left).sum();
        let at_work: f64 = running.values().map(|r| r.began.elapsed().as_secs_f64()).sum();
        // How many run in parallel, on average so far.
        let beside = (self.worked + at_work) / self.began.elapsed().as_secs_f64().max(0.1);
        (left > 0.0).then(|| left / beside.max(1.0))
    }
}

impl Subscriber for Live {
    fn on(&mut self, event: &Event) {
        match event {
            Event::RunStarted { nodes, .. } => self.total.set_length(*nodes as u64),
            Event::NodeStarted { node, .. } | Event::NodeWaiting { node } => {
                let waiting = matches!(event, Event::NodeWaiting { .. });
                let running = self.nodes.entry(node.clone()).or_insert_with(|| {
                    let bar = self.all.add(ProgressBar::new_spinner());
                    bar.set_style(style("{spinner} {prefix}  {elapsed}  {wide_msg}"));
                    bar.set_prefix(node.clone());
                    bar.enable_steady_tick(Duration::from_millis(120));
                    Running {
                        bar,
                        began: Instant::now(),
                        since: Instant::now(),
                        doing: String::new(),
                        from: 0,
                        figures: Vec::new(),
                    }
                });
                running.bar.set_message(if waiting { "another run computes it" } else { "" });
                self.state();
                return;
            }
            Event::NodeProgress { node, doing, done, total, unit, figures } => {
                // The rate is shown already.
                let rate = format!("{unit}/s");
                let figures = figures.iter().filter(|(k, _)| **k != rate);
                let figures = figures.map(|(k, v)| format!("{k} {}", figure(*v))).collect();
                self.progress(node, doing, *done, *total, unit, figures);
                return;
            }
            Event::NodeFinished { node, state, seconds, .. } => {
                // A node whose cached output was corrupt finishes twice.
                let first = self.left.finished(node, *seconds);
                if let Some(running) = self.nodes.remove(node) {
                    running.bar.finish_and_clear();
                    self.all.remove(&running.bar);
                }
                if first && *state != Ended::Skipped {
                    self.total.inc(1);
                }
                self.state();
            }
            Event::RunFinished { .. } => self.total.finish_and_clear(),
            _ => {}
        }
        if let Some((at, text)) = line(event, self.verbosity)
            && self.verbosity as u8 >= at as u8
        {
            self.say(&text);
        }
    }
}

/// The columns of a bar beside its node's name and its message: the spinner, the time, spaces.
const BESIDE: usize = 12;

/// The width of the terminal.
fn columns() -> usize {
    usize::from(Term::stderr().size().1)
}

/// The first parts of a message for which there is room; the first of all in any case.
fn fitting(parts: Vec<String>, room: usize) -> String {
    let mut text = String::new();
    for part in parts {
        if !text.is_empty() {
            if measure_text_width(&text) + 2 + measure_text_width(&part) > room {
                break;
            }
            text += "  ";
        }
        text += &part;
    }
    text
}

/// A line that is too long, wrapped between words. A line of a log stays as it is, to be copied.
fn wrapped(line: &str, columns: usize) -> String {
    if line.trim_start().starts_with('|') {
        return line.to_owned();
    }
    let options = textwrap::Options::new(columns).subsequent_indent(INDENT).break_words(false);
    textwrap::fill(line, options)
}

/// Where the text of a line begins, after the state.
const INDENT: &str = "            ";

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a bug in this file: the default is drawn instead.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_ends_with_a_whole_part() {
        let parts = || ["epoch 2 of 12", "30 %", "4 s left"].map(str::to_owned).to_vec();
        assert_eq!(fitting(parts(), 80), "epoch 2 of 12  30 %  4 s left");
        assert_eq!(fitting(parts(), 28), "epoch 2 of 12  30 %");
        assert_eq!(fitting(parts(), 3), "epoch 2 of 12");
    }

    #[test]
    fn lines_are_wrapped_between_words_and_those_of_a_log_are_not() {
        let line = "  \u{1b}[33mwarning\u{1b}[0m   node: one two three four five";
        assert_eq!(
            wrapped(line, 28),
            "  \u{1b}[33mwarning\u{1b}[0m   node: one two\n            three four five"
        );
        let log = format!("            | {}", "long ".repeat(20));
        assert_eq!(wrapped(&log, 28), log);
    }
}
