//! The training: a chain of epochs, each cached as a step.

use lfs_network::arithmetic::Arithmetic;
use lfs_network::crops::Crops;
use lfs_network::device::{self, Precision};
use lfs_network::model::{Model, ModelInfo, Plan};
use lfs_stage::{Context, Failure, IoContext, Result, Step, StepFolder, StepSpec};
use serde_json::json;

use crate::checkpoint::{self, State};
use crate::epoch::{self, EpochIn, EpochSpec};
use crate::log::{self, Candidate, Epoch};
use crate::method::{Draw, Now, Past};
use crate::schedule;
use crate::spec::{Keep, Params};
use crate::table::Form;

/// The parameters that select code.
const CHOOSING: &[&str] = &["method", "backbone", "device", "precision", "arithmetic"];

/// Trains all epochs and writes the outputs.
///
/// # Errors
/// As [`epoch::run`], or when there are no pairs of images for a reward that is needed.
pub fn run(p: &Params, cx: &mut Context<'_>) -> Result<()> {
    let validation = cx.input_opt("validation")?.is_some();
    let chooses = p.method.wants_reward(p) || p.keep == Keep::BestEpoch;
    if chooses && !validation && p.holdout <= 0.0 {
        let who = if p.method.wants_reward(p) { "method " } else { "keep = \"best-epoch\" of method " };
        return Err(Failure::new(format!("{who}{} chooses by reward, but holdout = 0", p.method.name()))
            .help(
                "set holdout to 0.1 or so, for all methods to be compared, or give the input `validation`",
            ));
    }
    let selected_on = if chooses { on_a_test_set(cx.input_opt("validation")?)? } else { None };
    if let Some(set) = &selected_on {
        cx.warn(format!(
            "the result is chosen by accuracy on {set}, a test set: numbers on it are no fair ones; give `validation` other persons"
        ));
    }
    let start = cx.input_opt("start")?;
    let selected_on =
        selected_on.or(start.map(ModelInfo::read).transpose()?.and_then(|info| info.selected_on));
    let mut race = Race::of(p, validation, start.is_some());
    for epoch in 0..p.epochs {
        race.epoch(epoch, cx)?;
    }
    let kept = race.kept().ok_or_else(|| Failure::new("there was no epoch"))?;
    let folder = cx.whole(&kept.folder)?;
    write_model(p, &kept.spec, &folder, selected_on, cx)?;
    log::write(&race.epochs, kept.spec.epoch, cx.output("log")?)
}

/// A candidate after an epoch.
#[derive(Clone)]
struct Member {
    spec: EpochSpec,
    folder: StepFolder,
    state: State,
}

impl Member {
    fn is_whole(&self) -> bool {
        self.state.diverged.is_none()
    }
}

/// The candidates of a training, epoch by epoch.
struct Race<'p> {
    p: &'p Params,
    validation: bool,
    /// Whether the first epoch starts from a given network.
    start: bool,
    history: Vec<Past>,
    epochs: Vec<Epoch>,
    members: Vec<Member>,
    /// The index of the winner of the last epoch.
    winner: usize,
    /// The winner with the highest reward of all epochs; of equal ones, the latest.
    best: Option<(f64, Member)>,
}

impl<'p> Race<'p> {
    fn of(p: &'p Params, validation: bool, start: bool) -> Self {
        Self {
            p,
            validation,
            start,
            history: Vec::new(),
            epochs: Vec::new(),
            members: Vec::new(),
            winner: 0,
            best: None,
        }
    }

    /// The steps of an epoch, and the step of each candidate. A candidate whose parent diverged has none.
    fn steps(
        &self,
        draws: &[Draw<Form>],
        specs: &[EpochSpec],
    ) -> Result<(Vec<StepSpec<'p>>, Vec<Option<usize>>)> {
        let p = self.p;
        let inputs: &[&str] = match (self.validation, self.start && self.members.is_empty()) {
            (false, false) => &["dataset"],
            (true, false) => &["dataset", "validation"],
            (false, true) => &["dataset", "start"],
            (true, true) => &["dataset", "validation", "start"],
        };
        let parents = self.history.last().and_then(|past| p.method.parents(p, past));
        let whole = |i: usize| self.members.get(i).filter(|member| member.is_whole());
        let (mut steps, mut places): (Vec<StepSpec<'p>>, _) = (Vec::new(), Vec::new());
        for (index, (draw, spec)) in draws.iter().zip(specs).enumerate() {
            let parent = parents.as_ref().and_then(|all| all.get(index)).copied().unwrap_or(self.winner);
            // A candidate whose parent diverged has no checkpoint to continue from.
            if !self.members.is_empty() && whole(parent).is_none() {
                places.push(None);
                continue;
            }
            let mut after: Vec<StepFolder> =
                self.members.get(parent).map(|m| m.folder.clone()).into_iter().collect();
            if !p.method.copies_momentum(p) && index != parent {
                after.extend(whole(index).map(|member| member.folder.clone()));
            }
            let name = if draw.name.is_empty() { String::new() } else { format!(", {}", draw.name) };
            let spec = serde_json::to_value(spec).map_err(|e| Failure::new(format!("a step's spec: {e}")))?;
            // Equal candidates (every a above 0 is clamped to 0) are trained once.
            let alike = steps.iter().position(|s| s.spec == spec && s.after == after);
            places.push(Some(alike.unwrap_or(steps.len())));
            if alike.is_none() {
                let name = format!("epoch {} of {}{name}", specs[index].epoch + 1, p.epochs);
                steps.push(StepSpec { name, spec, choices: CHOOSING, inputs, after, note_will_do: true });
            }
        }
        Ok((steps, places))
    }

    /// Trains the candidates of an epoch and chooses the winner.
    fn epoch(&mut self, epoch: u32, cx: &mut Context<'_>) -> Result<()> {
        let p = self.p;
        let now = |history| Now { seed: p.seed, epoch, scale: p.scale, history };
        let draws = p.method.candidates(p, &now(&self.history));
        let specs: Vec<EpochSpec> =
            draws.iter().map(|draw| spec(p, epoch, draw.form.clone(), self.validation)).collect();
        let (steps, places) = self.steps(&draws, &specs)?;
        let done = cx.steps(&steps)?;
        let mut members = Vec::with_capacity(draws.len());
        for (index, (place, spec)) in places.into_iter().zip(specs).enumerate() {
            match (place.and_then(|place| done.get(place)), self.members.get(index)) {
                (Some(folder), _) => {
                    let state = checkpoint::state_of(folder)?;
                    members.push(Member { spec, folder: folder.clone(), state });
                }
                (None, Some(before)) => members.push(before.clone()),
                (None, None) => {}
            }
        }
        let before = std::mem::replace(&mut self.members, members);
        let won = before.get(self.winner).map(|member| member.folder.clone());
        self.winner = highest(&self.members).ok_or_else(|| {
            all_diverged(self.members.first().map(|m| &m.state), won.as_ref().map(|f| f.path.as_path()))
        })?;
        // The checkpoints of the previous epoch's losers are not needed any more.
        let lost = |f: &StepFolder| won.as_ref().is_some_and(|won| won.digest != f.digest);
        cx.spent(&before.into_iter().map(|member| member.folder).filter(lost).collect::<Vec<_>>());
        for (draw, member) in draws.iter().zip(&self.members) {
            if let Some(diverged) = &member.state.diverged {
                cx.note(format!("{} diverged, and is out of the race: {}", draw.name, diverged.message));
            }
        }
        let winner = &self.members[self.winner];
        tell(cx, epoch, p.epochs, &winner.spec.form, &winner.state);
        if let (0, Some(figures)) = (epoch, &winner.state.figures) {
            cx.note(format!("{} identities, {} images a pass", winner.state.classes, figures.images));
        }
        if let Some(reward) = winner.state.reward
            && self.best.as_ref().is_none_or(|(highest, _)| reward >= *highest)
        {
            self.best = Some((reward, winner.clone()));
        }
        let search = p.method.state(p, &now(&self.history));
        self.history.push(Past {
            samples: draws.iter().map(|d| d.sample.clone()).collect(),
            rewards: self.members.iter().map(|m| m.state.reward).collect(),
        });
        let candidates = draws.into_iter().zip(&self.members);
        let candidates =
            candidates.map(|(draw, member)| Candidate::new(draw, member.state.clone())).collect();
        self.epochs.push(Epoch { epoch, winner: self.winner, search, candidates });
        Ok(())
    }

    /// The candidate whose model is the result.
    fn kept(&self) -> Option<&Member> {
        match (self.p.keep, &self.best) {
            (Keep::BestEpoch, Some((_, best))) => Some(best),
            _ => self.members.get(self.winner),
        }
    }
}

/// Computes one step of the chain.
///
/// # Errors
/// As [`epoch::run`].
pub fn step(
    p: &Params,
    step: &Step,
    after: &[&std::path::Path],
    folder: &std::path::Path,
    cx: &mut Context<'_>,
) -> Result<()> {
    let spec: EpochSpec = serde_json::from_value(step.spec.clone())
        .map_err(|e| Failure::new(format!("the step `{}` does not fit: {e}", step.name)))?;
    let input = EpochIn {
        spec: &spec,
        dataset: cx.input("dataset")?,
        validation: cx.input_opt("validation")?,
        start: cx.input_opt("start")?,
        after,
        folder,
        threads: cx.threads(),
    };
    let state = epoch::run(&input, &mut |mut progress| {
        progress.doing.clone_from(&step.name);
        cx.progress(progress);
    })?;
    // Without other candidates, a diverged epoch is an error, so that it is not cached and the next run
    // trains it again.
    match state.diverged {
        Some(_) if !p.method.wants_reward(p) => Err(all_diverged(Some(&state), after.first().copied())),
        _ => Ok(()),
    }
}

/// The CPU arithmetic; bfloat16 needs the kernels of the libraries.
fn arithmetic(p: &Params) -> Arithmetic {
    match p.precision {
        Precision::Float32 => p.arithmetic,
        Precision::Bfloat16 => Arithmetic::Fastest,
    }
}

/// Everything that an epoch depends on. The number of epochs is not part of it, so that a longer training
/// continues from the checkpoints of a shorter one.
fn spec(p: &Params, epoch: u32, form: Form, validation: bool) -> EpochSpec {
    EpochSpec {
        epoch,
        seed: p.seed,
        form,
        scale: p.scale,
        backbone: p.architecture(),
        embedding: p.embedding,
        batch: p.batch,
        lr: schedule::ramp(p, epoch),
        precision: p.precision,
        gradient: p.gradient,
        sub_centres: p.sub_centres,
        class_sample: p.class_sample,
        momentum: p.momentum,
        weight_decay: p.weight_decay,
        flip: p.flip,
        holdout: (!validation).then_some(p.holdout),
        pairs: p.pairs,
        threads: p.threads,
        device: p.device,
        arithmetic: arithmetic(p),
        replicas: p.replicas,
        // It has no effect on the CPU.
        deterministic: p.deterministic || p.device == device::Device::Cpu,
    }
}

/// The candidate with the highest reward, the first of equal ones; none if all diverged.
fn highest(members: &[Member]) -> Option<usize> {
    let reward = |i: usize| members[i].state.reward.unwrap_or(0.0);
    let whole = (0..members.len()).filter(|i| members[*i].is_whole());
    whole.reduce(|best, i| if reward(i) > reward(best) { i } else { best })
}

/// The error when all candidates of an epoch diverged.
fn all_diverged(first: Option<&State>, last_good: Option<&std::path::Path>) -> Failure {
    let kept = match last_good {
        Some(folder) => format!("the last good checkpoint is {}", folder.display()),
        None => "there was no epoch before".to_owned(),
    };
    match first.and_then(|state| state.diverged.as_ref()) {
        Some(first) => Failure::new(format!("{}; {kept}", first.message)).help(&first.help),
        None => Failure::new(format!("an epoch without candidates; {kept}")),
    }
}

fn tell(cx: &Context<'_>, epoch: u32, epochs: u32, form: &Form, state: &State) {
    let Some(f) = &state.figures else { return };
    let reward = state.reward.map_or(String::new(), |r| format!(", reward {r:.4}"));
    cx.note(format!(
        "epoch {} of {epochs}: loss {:.4}, softmax loss {:.4}, margin {:.3}{reward}",
        epoch + 1,
        f.loss,
        f.softmax_loss,
        f.margin
    ));
    if epoch + 1 == epochs {
        cx.metric("train/loss", f.loss);
        cx.metric("train/softmax-loss", f.softmax_loss);
        if let Some(reward) = state.reward {
            cx.metric("train/reward", reward);
        }
        // If the loss does not train the class weights, their softmax loss means nothing.
        let trained = form.loss().trains_classes();
        if trained && let Some(warning) = collapsed(f.softmax_loss, state.classes, f.clamped) {
            cx.warn(warning);
        }
    }
}

/// A warning if the training ended worse than random guessing.
fn collapsed(loss: f64, classes: usize, clamped: Option<f64>) -> Option<String> {
    let guess = libm::log(classes as f64);
    if loss <= guess {
        return None;
    }
    let cut = clamped.filter(|share| *share > 0.0);
    let cut = cut.map_or(String::new(), |share| {
        format!("; {:.0} % of the transformed probabilities were cut off, and taught nothing", 100.0 * share)
    });
    Some(format!(
        "the training collapsed: its softmax loss is {loss:.2}, and {guess:.2} for a guess among {classes} identities{cut}"
    ))
}

/// Writes the network of a checkpoint as a model, without what only training needs.
fn write_model(
    p: &Params,
    spec: &EpochSpec,
    from: &StepFolder,
    selected_on: Option<String>,
    cx: &Context<'_>,
) -> Result<()> {
    let crop = crop(cx.input("dataset")?)?;
    let settings = p.method.settings(p).doing("serialise", &from.path)?;
    let parameters = json!({ "settings": settings, "epochs": p.epochs, "last-epoch": spec });
    let network = Plan { backbone: spec.backbone.clone(), size: crop.size, embedding: spec.embedding };
    let info = ModelInfo { network, crop, method: p.method.name().to_owned(), parameters, selected_on };
    device::prepare(device::Device::Cpu, p.threads, arithmetic(p))?;
    let tensors = checkpoint::read(&from.path, tch::Device::Cpu)?;
    Model::save(&tensors.network, &info, cx.output("model")?)
}

/// The test set that a dataset was made from, if any.
fn on_a_test_set(dataset: Option<&std::path::Path>) -> Result<Option<String>> {
    let Some(dataset) = dataset else { return Ok(None) };
    let dataset = lfs_faces::dataset::Dataset::open(dataset).map_err(|e| Failure::new(e.to_string()))?;
    let layout = dataset.info().notes.get("layout");
    Ok(layout.filter(|l| lfs_faces::TestSet::called(l).is_some()).cloned())
}

fn crop(dataset: &std::path::Path) -> Result<lfs_faces::dataset::Crop> {
    let dataset = lfs_faces::dataset::Dataset::open(dataset).map_err(|e| Failure::new(e.to_string()))?;
    dataset.info().crop.clone().ok_or_else(Crops::not_aligned)
}

#[cfg(test)]
mod tests {
    use super::collapsed;

    #[test]
    fn a_training_that_ends_above_a_guess_is_said_to_have_collapsed() {
        assert_eq!(collapsed(4.6, 100, None), None);
        let said = collapsed(17.36, 174, Some(0.427)).unwrap();
        assert!(said.contains("17.36, and 5.16 for a guess among 174 identities; 43 % of"), "{said}");
    }
}
