//! The live display on a terminal: a line for the run, and one for each running node.

use std::collections::HashMap;
use std::time::{Duration, Instant};

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
    _silence: Option<Silence>,
}

/// While this lives, the terminal does not write `^C` where a bar stands: the bars would be drawn one line too low.
struct Silence(Termios);

impl Silence {
    fn begin() -> Option<Self> {
        // A run behind another program must not touch the terminal: it would be stopped for it.
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
        // What cannot be restored is one flag that no program relies on.
        if tcgetpgrp(stdin()).ok() == Some(getpgrp()) {
            let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
        }
    }
}

struct Running {
    bar: ProgressBar,
    /// When `doing` began, and how much was done then.
    since: Instant,
    doing: String,
    from: u64,
    figures: String,
}

impl Live {
    pub fn new(verbosity: Verbosity) -> Self {
        let all = MultiProgress::new();
        let total = all.add(ProgressBar::new(0));
        total.set_style(style("{bar:16} {pos}/{len} nodes  {elapsed}  {wide_msg}"));
        // A node can take hours, and the clock goes on.
        total.enable_steady_tick(Duration::from_millis(500));
        Self { verbosity, all, total, nodes: HashMap::new(), _silence: Silence::begin() }
    }

    fn say(&self, text: &str) {
        // Without a terminal there is nothing to draw around.
        if self.all.println(text).is_err() {
            crate::say!("{text}");
        }
    }

    fn progress(
        &mut self,
        node: &str,
        doing: &str,
        done: u64,
        total: Option<u64>,
        unit: &str,
        figures: String,
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
        let mut text = format!("{doing}  {}", count(done));
        if let Some(total) = total {
            text += &format!("/{}", count(total));
        }
        text += &format!(" {unit}");
        if rate > 0.0 {
            text += &format!("  {} {unit}/s", count(rate as u64));
            if let Some(total) = total.filter(|t| *t > done) {
                text += &format!("  {} left", span((total - done) as f64 / rate));
            }
        }
        running.bar.set_message(text + &running.figures);
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
                        since: Instant::now(),
                        doing: String::new(),
                        from: 0,
                        figures: String::new(),
                    }
                });
                running.bar.set_message(if waiting { "another run computes it" } else { "" });
                self.total.set_message(format!("{} running", self.nodes.len()));
                return;
            }
            Event::NodeProgress { node, doing, done, total, unit, figures } => {
                // The rate is shown already.
                let rate = format!("{unit}/s");
                let figures = figures.iter().filter(|(k, _)| **k != rate);
                let figures = figures.map(|(k, v)| format!("  {k} {}", figure(*v))).collect();
                self.progress(node, doing, *done, *total, unit, figures);
                return;
            }
            Event::NodeFinished { node, state, .. } => {
                if let Some(running) = self.nodes.remove(node) {
                    running.bar.finish_and_clear();
                    self.all.remove(&running.bar);
                }
                if *state != Ended::Skipped {
                    self.total.inc(1);
                }
                self.total.set_message(format!("{} running", self.nodes.len()));
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

fn style(template: &str) -> ProgressStyle {
    // A template that does not parse would be a mistake of this file: the default is drawn instead.
    ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("=> ")
}
