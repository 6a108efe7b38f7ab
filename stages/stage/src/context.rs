//! The interface between a running stage and the host.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use serde_json::Value;

use crate::kind::Kind;
use crate::protocol::{Binding, Cell, Job, Member, Reply, Request, Step, StepAnswer};
use crate::serve::Speak;
use crate::{Failure, Result};

/// The interface between a running stage and the host. A stage has no other connection to the runner.
pub struct Context<'a> {
    job: &'a Job,
    kind: &'a dyn Kind,
    speak: &'a Speak,
    hear: &'a RefCell<Receiver<Request>>,
    /// The steps of this job, by the digests of their results.
    asked: BTreeMap<String, Asked>,
}

/// The progress of the work.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// The current activity: `epoch 3`.
    pub doing: String,
    /// The amount done.
    pub done: u64,
    /// The total amount, if known.
    pub total: Option<u64>,
    /// The unit: `images`, `pairs`.
    pub unit: String,
    /// Figures to display: `loss`, `lr`.
    pub figures: BTreeMap<String, f64>,
}

/// A step to request.
#[derive(Debug, Clone, Default)]
pub struct StepSpec<'a> {
    /// The name shown to the user: `epoch 3, a = -0.82`.
    pub name: String,
    /// Everything that the step depends on, except the kind's code, the environment, `after` and `inputs`.
    pub spec: Value,
    /// The parameters that select code and matter for this step.
    pub choices: &'a [&'a str],
    /// The inputs that it reads.
    pub inputs: &'a [&'a str],
    /// The steps from which it continues.
    pub after: Vec<StepFolder>,
    /// The note of the step is enough.
    pub note_will_do: bool,
}

/// The result of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFolder {
    /// The digest of the folder.
    pub digest: String,
    /// The folder, which must not be written to. It may be missing if `note_will_do` was set.
    pub path: PathBuf,
    /// The content of its `note.json`.
    pub note: Option<Value>,
}

/// A requested step.
#[derive(Debug, Clone)]
struct Asked {
    step: Step,
    after: Vec<StepFolder>,
}

impl<'a> Context<'a> {
    pub(crate) fn new(
        job: &'a Job,
        kind: &'a dyn Kind,
        speak: &'a Speak,
        hear: &'a RefCell<Receiver<Request>>,
    ) -> Self {
        Self { job, kind, speak, hear, asked: BTreeMap::new() }
    }

    /// The path of an input with a single member.
    ///
    /// # Errors
    /// If the input is missing or has several members.
    pub fn input(&self, name: &str) -> Result<&'a Path> {
        self.input_opt(name)?.ok_or_else(|| {
            Failure::new(format!("input `{name}` is missing"))
                .help(format!("add `input.{name} = \"...\"` to the stage"))
        })
    }

    /// The path of an optional input.
    ///
    /// # Errors
    /// If it has several members.
    pub fn input_opt(&self, name: &str) -> Result<Option<&'a Path>> {
        match self.job.inputs.get(name) {
            None => Ok(None),
            Some(Binding::One(path)) => Ok(Some(path)),
            Some(Binding::Several(members)) => match members.as_slice() {
                [only] => Ok(Some(&only.path)),
                _ => Err(Failure::new(format!("input `{name}` wants one output and has {}", members.len()))),
            },
        }
    }

    /// All members of an input, in a fixed order; empty if the input is missing.
    pub fn inputs(&self, name: &str) -> Vec<Member> {
        match self.job.inputs.get(name) {
            None => Vec::new(),
            Some(Binding::One(path)) => {
                vec![Member { from: name.to_owned(), labels: BTreeMap::new(), path: path.clone() }]
            }
            Some(Binding::Several(members)) => members.clone(),
        }
    }

    /// The path at which an output is to be written, as a file or a folder. It does not exist yet.
    ///
    /// # Errors
    /// If the kind has no such output.
    pub fn output(&self, name: &str) -> Result<&'a Path> {
        let path = self.job.outputs.get(name);
        path.map(PathBuf::as_path).ok_or_else(|| Failure::new(format!("there is no output `{name}`")))
    }

    /// An output of an earlier result of the same kind, code and parameters, whose rows may be reused; none if there is no such
    /// result. See [`crate::Stage::BY_ROW`].
    pub fn earlier(&self, name: &str) -> Option<&'a Path> {
        self.job.earlier.get(name).map(PathBuf::as_path)
    }

    /// An empty folder for the job's own use, removed afterwards.
    pub fn scratch(&self) -> &'a Path {
        &self.job.scratch
    }

    /// The number of threads that the job may use. The result must not depend on it.
    pub fn threads(&self) -> usize {
        self.job.threads.max(1)
    }

    /// Reports the progress. It may be called often: the rate of messages is limited.
    pub fn progress(&self, p: Progress) {
        let Progress { doing, done, total, unit, figures } = p;
        self.speak.often(Reply::Progress { doing, done, total, unit, figures });
    }

    /// Writes a line to the log of the node.
    pub fn note(&self, text: impl Into<String>) {
        self.speak.say(Reply::Note { text: text.into() });
    }

    /// Reports something that the reader of the result must know.
    pub fn warn(&self, text: impl Into<String>) {
        self.speak.say(Reply::Warning { text: text.into() });
    }

    /// Records a figure of the result.
    pub fn metric(&self, name: &str, value: f64) {
        self.speak.say(Reply::Metric { name: name.to_owned(), value });
    }

    /// Records a cell of a table.
    pub fn cell(&self, name: impl Into<String>, cell: Cell) {
        self.speak.say(Reply::Cell { name: name.into(), cell });
    }

    /// Records the verdict of the result on a claim.
    pub fn finding(&self, claim: impl Into<String>, verdict: impl Into<String>) {
        self.speak.say(Reply::Finding { claim: claim.into(), verdict: verdict.into() });
    }

    /// Returns the folders of these steps, in order. Steps that are not cached are computed by [`crate::Stage::step`], here or in
    /// another worker.
    ///
    /// # Errors
    /// If a step fails, or the host is gone.
    pub fn steps(&mut self, specs: &[StepSpec<'_>]) -> Result<Vec<StepFolder>> {
        let asked = specs.iter().map(|s| Asked {
            step: Step {
                name: s.name.clone(),
                spec: s.spec.clone(),
                choices: s.choices.iter().map(|c| (*c).to_owned()).collect(),
                inputs: s.inputs.iter().map(|c| (*c).to_owned()).collect(),
                after: s.after.iter().map(|f| f.digest.clone()).collect(),
                note_will_do: s.note_will_do,
            },
            after: s.after.clone(),
        });
        self.ask(asked.collect())
    }

    /// The result of a step with its folder, even if only its note was kept.
    ///
    /// # Errors
    /// As [`Context::steps`].
    pub fn whole(&mut self, folder: &StepFolder) -> Result<StepFolder> {
        let asked = match self.asked.get(&folder.digest) {
            Some(asked) if !folder.path.exists() => asked,
            _ => return Ok(folder.clone()),
        };
        let step = Step { note_will_do: false, ..asked.step.clone() };
        let mut found = self.ask(vec![Asked { step, after: asked.after.clone() }])?;
        Ok(found.remove(0))
    }

    /// Declares that from now on only the notes of these steps are needed.
    pub fn spent(&self, folders: &[StepFolder]) {
        if !folders.is_empty() {
            self.speak.say(Reply::Spent { digests: folders.iter().map(|f| f.digest.clone()).collect() });
        }
    }

    fn ask(&mut self, mut asked: Vec<Asked>) -> Result<Vec<StepFolder>> {
        let mut answers = loop {
            self.speak.say(Reply::Steps { steps: asked.iter().map(|a| a.step.clone()).collect() });
            let answers = self.answers(asked.len())?;
            let lacking = answers.iter().flat_map(|a| match a {
                StepAnswer::Lacking { after } => after.clone(),
                _ => vec![],
            });
            let lacking: BTreeSet<String> = lacking.collect();
            if !answers.iter().any(|a| matches!(a, StepAnswer::Lacking { .. })) {
                break answers;
            }
            for digest in lacking {
                self.make_again(&digest, &mut asked)?;
            }
        };
        // Steps assigned to this worker come first; those of other workers may be complete by then.
        for (index, answer) in answers.iter_mut().enumerate() {
            if let StepAnswer::Compute { folder } = answer {
                *answer = self.compute(&asked[index], folder, index)?;
            }
        }
        let mut out = Vec::with_capacity(answers.len());
        for (index, (mut answer, asked)) in answers.into_iter().zip(asked).enumerate() {
            if answer == StepAnswer::Elsewhere {
                self.speak.say(Reply::StepWait { index });
                answer = self.answers(1)?.remove(0);
            }
            if let StepAnswer::Compute { folder } = &answer {
                answer = self.compute(&asked, folder, index)?;
            }
            let StepAnswer::Known { digest, folder, note } = answer else {
                return Err(gone("gave no folder for a step that is complete"));
            };
            self.asked.insert(digest.clone(), asked);
            out.push(StepFolder { digest, path: folder, note });
        }
        Ok(out)
    }

    /// Computes a step again of which only the note was kept, for the steps that continue from it.
    fn make_again(&mut self, digest: &str, readers: &mut [Asked]) -> Result<()> {
        let none = || gone("lacks a step that was never asked for");
        let before = self.asked.get(digest).cloned().ok_or_else(none)?;
        let step = Step { note_will_do: false, ..before.step };
        let found = self.ask(vec![Asked { step, after: before.after }])?.remove(0);
        for reader in readers {
            for (name, after) in reader.step.after.iter_mut().zip(&mut reader.after) {
                if name == digest {
                    // If the hardware is not deterministic, the new result has another digest.
                    name.clone_from(&found.digest);
                    *after = found.clone();
                }
            }
        }
        Ok(())
    }

    fn compute(&mut self, asked: &Asked, folder: &Path, index: usize) -> Result<StepAnswer> {
        let after: Vec<&Path> = asked.after.iter().map(|f| f.path.as_path()).collect();
        self.kind.step(&self.job.parameters, &asked.step, &after, folder, self)?;
        self.speak.say(Reply::StepDone { index });
        Ok(self.answers(1)?.remove(0))
    }

    fn answers(&self, count: usize) -> Result<Vec<StepAnswer>> {
        match self.hear.borrow().recv() {
            Ok(Request::Steps { answers }) if answers.len() == count => Ok(answers),
            Ok(_) => Err(gone("gave an answer that does not fit the question")),
            Err(_) => Err(gone("went away")),
        }
    }
}

fn gone(what: &str) -> Failure {
    Failure::new(format!("the host {what}")).help("run the pipeline again; finished steps are kept")
}
