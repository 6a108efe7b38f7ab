//! What is wrong with a manifest, shown with the line and a caret.

mod excerpt;

use std::fmt;
use std::ops::Range;
use std::path::Path;

use miette::{GraphicalReportHandler, GraphicalTheme, LabeledSpan, MietteDiagnostic, NamedSource, Report};
use serde::{Deserialize, Serialize};

/// A place in one of the texts that a manifest is made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Index into [`Sources`]: 0 is the manifest, others are `--set` arguments.
    pub source: usize,
    /// Bytes.
    pub range: Range<usize>,
}

/// The texts that a manifest is made from: the file, then each `--set` argument.
#[derive(Debug, Clone, Default)]
pub struct Sources(Vec<(String, String)>);

impl Sources {
    /// The texts of a manifest and its `--set` arguments, in the order in which reading takes them.
    pub fn of(path: &Path, text: &str, sets: &[String]) -> Self {
        let mut sources = Self::default();
        sources.add(shown(path), text);
        for set in sets {
            sources.add("command line", format!("--set {set}"));
        }
        sources
    }

    /// Adds a text and returns its index.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> usize {
        self.0.push((name.into(), text.into()));
        self.0.len() - 1
    }

    /// The line on which a place begins, from 1.
    pub fn line(&self, place: &Place) -> usize {
        let text = self.0.get(place.source).map_or("", |(_, text)| text.as_str());
        text.get(..place.range.start).map_or(1, |before| before.matches('\n').count() + 1)
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone)]
pub struct Problem {
    message: String,
    labels: Vec<(Place, String)>,
    help: Option<String>,
}

impl Problem {
    /// A problem at a place; `label` is shown beside the caret.
    pub fn new(message: impl Into<String>, place: &Place, label: impl Into<String>) -> Self {
        Self { message: message.into(), labels: vec![(place.clone(), label.into())], help: None }
    }

    /// Points at a second place.
    #[must_use]
    pub fn also(mut self, place: &Place, label: impl Into<String>) -> Self {
        self.labels.push((place.clone(), label.into()));
        self
    }

    /// What to do next.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = Some(text.into());
        self
    }

    /// What to do next, if there is something to say.
    #[must_use]
    pub fn maybe_help(self, text: Option<String>) -> Self {
        match text {
            Some(text) => self.help(text),
            None => self,
        }
    }

    /// The message alone.
    pub fn message(&self) -> &str {
        &self.message
    }
}

/// Everything that is wrong with a manifest.
#[derive(Debug, Clone)]
pub struct Problems {
    sources: Sources,
    list: Vec<Problem>,
}

impl Problems {
    /// Problems of these texts.
    pub fn new(sources: Sources, list: Vec<Problem>) -> Self {
        Self { sources, list }
    }

    /// The problems in the order in which they were found.
    pub fn list(&self) -> &[Problem] {
        &self.list
    }

    fn render(&self, problem: &Problem, theme: GraphicalTheme) -> Result<String, fmt::Error> {
        let first = problem.labels.first().map_or(0, |(place, _)| place.source);
        let (name, text) = match self.sources.0.get(first) {
            Some((name, text)) => (name.as_str(), text.clone()),
            None => ("manifest", String::new()),
        };
        let labels: Vec<(Range<usize>, &str)> = problem
            .labels
            .iter()
            .filter(|(place, _)| place.source == first)
            .map(|(place, label)| {
                let start = place.range.start.min(text.len());
                (start..place.range.end.clamp(start, text.len()), label.as_str())
            })
            .collect();
        let (text, labels) = excerpt::of(text, labels);
        let labels = labels.into_iter().map(|(range, label)| LabeledSpan::at(range, label));
        let mut diagnostic = MietteDiagnostic::new(problem.message.as_str()).with_labels(labels);
        diagnostic.help = problem.help.clone();
        let report = Report::new(diagnostic).with_source_code(NamedSource::new(name, text));
        let mut out = String::new();
        GraphicalReportHandler::new_themed(theme)
            .with_context_lines(1)
            .with_width(110)
            .render_report(&mut out, report.as_ref())?;
        Ok(out)
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.list.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            let colour = console::colors_enabled_stderr();
            let theme = if colour { GraphicalTheme::unicode() } else { GraphicalTheme::unicode_nocolor() };
            f.write_str(self.render(problem, theme)?.trim_end())?;
            f.write_str("\n")?;
        }
        Ok(())
    }
}

/// `did you mean ...?`, when one of the names is near.
pub fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let limit = (wrong.chars().count() / 3).max(2);
    let best = names
        .into_iter()
        .map(|name| {
            let distance = strsim::damerau_levenshtein(&wrong.to_lowercase(), &name.to_lowercase());
            let contained =
                name.len() > 2 && wrong.len() > 2 && (name.contains(wrong) || wrong.contains(name));
            (if contained { distance.min(limit) } else { distance }, name)
        })
        .filter(|(distance, _)| *distance <= limit)
        .min();
    best.map(|(_, name)| format!("did you mean `{name}`?"))
}

/// The nearest name, or else the list of all.
pub fn nearest_or_all<'a>(
    wrong: &str,
    names: impl IntoIterator<Item = &'a str> + Clone,
    what: &str,
) -> Option<String> {
    nearest(wrong, names.clone()).or_else(|| {
        let all: Vec<String> = names.into_iter().map(|n| format!("`{n}`")).collect();
        match all.len() {
            0 => None,
            1..=12 => Some(format!("{what}: {}", all.join(", "))),
            more => Some(format!("{what}: {} and {} more", all[..12].join(", "), more - 12)),
        }
    })
}

/// The path as a person would type it: relative to the current folder, when it lies below it.
pub fn shown(path: &Path) -> String {
    let here = std::env::current_dir().unwrap_or_default();
    match path.strip_prefix(&here) {
        Ok(below) if below.as_os_str().is_empty() => ".".to_owned(),
        Ok(below) => below.display().to_string(),
        Err(_) => path.display().to_string(),
    }
}
