//! What a running stage can see and say.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::mpsc::Receiver;

use serde_json::Value;

use crate::kind::Kind;
use crate::protocol::{Binding, Cell, Job, Member, Reply, Request, Step, StepAnswer};
use crate::serve::Speak;
use crate::{Failure, Result};

/// What a running stage can see and say. It is all that a stage knows of the world.
pub struct Context<'a> {
    job: &'a Job,
    kind: &'a dyn Kind,
    speak: &'a Speak,
    hear: &'a RefCell<Receiver<Request>>,
    /// By the digests of their results.
    asked: BTreeMap<String, Asked>,
}

/// Where the work stands.
#[derive(Debug, Clone, Default)]
pub struct Progress {
    /// What is being done: `epoch 3`.
    pub doing: String,
    /// How much is done.
    pub done: u64,
    /// How much there is, where it is known.
    pub total: Option<u64>,
    /// `images`, `pairs`.
    pub unit: String,
    /// Figures to show beside it: `loss`, `lr`.
    pub figures: BTreeMap<String, f64>,
}

/// A step to ask for.
#[derive(Debug, Clone, Default)]
pub struct StepSpec<'a> {
    /// A name for people: `epoch 3, a = -0.82`.
    pub name: String,
    /// All that the step depends on beside the kind's code, the environment, `after` and `inputs`.
    pub spec: Value,
    /// The parameters that choose code and matter for this step.
    pub choices: &'a [&'a str],
    /// The inputs that it reads.
    pub inputs: &'a [&'a str],
    /// The steps that it continues from.
    pub after: Vec<StepFolder>,
    /// Its note will do.
    pub note_will_do: bool,
}

/// A step's result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepFolder {
    /// The digest of the folder.
    pub digest: String,
    /// The folder: not to be written to. Where a note will do, it may not be there.
    pub path: PathBuf,
    /// What its `note.json` says.
    pub note: Option<Value>,
}

/// A step that was asked for.
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

    /// The path of a one-valued input.
    ///
    /// # Errors
    /// When the input is missing or has several members.
    pub fn input(&self, name: &str) -> Result<&'a Path> {
        self.input_opt(name)?.ok_or_else(|| {
            Failure::new(format!("input `{name}` is missing"))
                .help(format!("add `input.{name} = \"...\"` to the stage"))
        })
    }

    /// The path of an optional input.
    ///
    /// # Errors
    /// When it has several members.
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

    /// All members of an input, in a fixed order; none when the input is missing.
    pub fn inputs(&self, name: &str) -> Vec<Member> {
        match self.job.inputs.get(name) {
            None => Vec::new(),
            Some(Binding::One(path)) => {
                vec![Member { from: name.to_owned(), labels: BTreeMap::new(), path: path.clone() }]
            }
            Some(Binding::Several(members)) => members.clone(),
        }
    }

    /// Where an output is to be written, as a file or as a folder. Nothing is there yet.
    ///
    /// # Errors
    /// When the kind has no such output.
    pub fn output(&self, name: &str) -> Result<&'a Path> {
        let path = self.job.outputs.get(name);
        path.map(PathBuf::as_path).ok_or_else(|| Failure::new(format!("there is no output `{name}`")))
    }

    /// An output of an earlier result of the same kind, code and parameters, of which rows may be taken over; none when there is no such
    /// result. See [`crate::Stage::BY_ROW`].
    pub fn earlier(&self, name: &str) -> Option<&'a Path> {
        self.job.earlier.get(name).map(PathBuf::as_path)
    }

    /// An empty folder for the job's own use; removed afterwards.
    pub fn scratch(&self) -> &'a Path {
        &self.job.scratch
    }

    /// How many threads the job may use. A result must not depend on it.
    pub fn threads(&self) -> usize {
        self.job.threads.max(1)
    }

    /// Says where the work stands. Call it as often as convenient: it is thinned out on the way.
    pub fn progress(&self, p: Progress) {
        let Progress { doing, done, total, unit, figures } = p;
        self.speak.often(Reply::Progress { doing, done, total, unit, figures });
    }

    /// Writes a line to the node's log.
    pub fn note(&self, text: impl Into<String>) {
        self.speak.say(Reply::Note { text: text.into() });
    }

    /// Says something that a reader of the result must know.
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

    /// Records what the result says of a claim.
    pub fn finding(&self, claim: impl Into<String>, verdict: impl Into<String>) {
        self.speak.say(Reply::Finding { claim: claim.into(), verdict: verdict.into() });
    }

    /// Gives the folders of these steps, in order: those that are known at once, the others after
    /// [`crate::Stage::step`] has computed them, here or elsewhere.
    ///
    /// # Errors
    /// When a step fails, or the host went away.
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

    /// A step's result with its folder, also where only its note was left.
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

    /// Says that of these steps only the notes are needed from now on.
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
        // Own work first; what others compute may be ready by then.
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

    /// Computes a step again of which only the note is left, for those that continue from it.
    fn make_again(&mut self, digest: &str, readers: &mut [Asked]) -> Result<()> {
        let none = || gone("lacks a step that was never asked for");
        let before = self.asked.get(digest).cloned().ok_or_else(none)?;
        let step = Step { note_will_do: false, ..before.step };
        let found = self.ask(vec![Asked { step, after: before.after }])?.remove(0);
        for reader in readers {
            for (name, after) in reader.step.after.iter_mut().zip(&mut reader.after) {
                if name == digest {
                    // Where hardware forbids the same bytes, it has another digest now.
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
