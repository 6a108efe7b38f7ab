//! The whole training: a chain of epochs, each a memoised step.

use lfs_network::crops::Crops;
use lfs_network::device;
use lfs_network::model::{Model, ModelInfo, Plan};
use lfs_stage::{Context, Failure, IoContext, Result, Step, StepFolder, StepSpec};
use serde_json::json;

use crate::checkpoint::{self, State};
use crate::epoch::{self, EpochIn, EpochSpec};
use crate::log::{self, Candidate, Epoch};
use crate::method::{Now, Past};
use crate::schedule;
use crate::spec::{Keep, Params};
use crate::table::Form;

/// The parameters that choose code.
const CHOOSING: &[&str] = &["method", "backbone", "device", "precision", "arithmetic"];

/// Trains all epochs and writes the outputs.
///
/// # Errors
/// As [`epoch::run`], or when a search has nothing to take its reward from.
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
    let inputs: &[&str] = if validation { &["dataset", "validation"] } else { &["dataset"] };
    let (mut history, mut epochs): (Vec<Past>, Vec<Epoch>) = (Vec::new(), Vec::new());
    let (mut before, mut winner): (Vec<StepFolder>, usize) = (Vec::new(), 0);
    let mut states: Vec<State> = Vec::new();
    let mut best: Option<(f64, StepFolder, EpochSpec)> = None;
    let mut last: Option<(StepFolder, EpochSpec)> = None;
    for epoch in 0..p.epochs {
        let now = Now { seed: p.seed, epoch, scale: p.scale, history: &history };
        let draws = p.method.candidates(p, &now);
        let specs: Vec<EpochSpec> =
            draws.iter().map(|draw| spec(p, epoch, draw.form.clone(), validation)).collect();
        // Candidates that came out alike (every a above 0 is 0) are trained once.
        let (mut steps, mut places): (Vec<StepSpec<'_>>, Vec<Option<usize>>) = (Vec::new(), Vec::new());
        let parents = history.last().and_then(|past| p.method.parents(p, past));
        let is_whole = |i: usize| states.get(i).is_some_and(|state| state.diverged.is_none());
        for (index, (draw, spec)) in draws.iter().zip(&specs).enumerate() {
            let parent = parents.as_ref().and_then(|all| all.get(index)).copied().unwrap_or(winner);
            // One that goes on by itself and diverged has nothing to go on with: it stays out.
            if !before.is_empty() && !is_whole(parent) {
                places.push(None);
                continue;
            }
            let mut after: Vec<StepFolder> = before.get(parent).cloned().into_iter().collect();
            if !p.method.copies_momentum(p) && index != parent && is_whole(index) {
                after.extend(before.get(index).cloned());
            }
            let name = if draw.name.is_empty() { String::new() } else { format!(", {}", draw.name) };
            let spec = serde_json::to_value(spec).map_err(|e| Failure::new(format!("a step's spec: {e}")))?;
            let alike = steps.iter().position(|s| s.spec == spec && s.after == after);
            places.push(Some(alike.unwrap_or(steps.len())));
            if alike.is_none() {
                let name = format!("epoch {} of {}{name}", epoch + 1, p.epochs);
                steps.push(StepSpec { name, spec, choices: CHOOSING, inputs, after, note_will_do: true });
            }
        }
        let done = cx.steps(&steps)?;
        let (mut folders, mut now_states) = (Vec::new(), Vec::new());
        for (index, place) in places.iter().enumerate() {
            let (folder, state) = match place.and_then(|place| done.get(place)) {
                Some(folder) => (folder.clone(), checkpoint::state_of(folder)?),
                None => (before[index].clone(), states[index].clone()),
            };
            folders.push(folder);
            now_states.push(state);
        }
        states = now_states;
        let won = before.get(winner).cloned();
        winner = highest(&states)
            .ok_or_else(|| all_diverged(&states, won.as_ref().map(|folder| folder.path.as_path())))?;
        // What lost, and what nobody continues from any more, need not stay.
        let lost = |f: &&StepFolder| won.as_ref().is_some_and(|won| won.digest != f.digest);
        cx.spent(&before.iter().filter(lost).cloned().collect::<Vec<_>>());
        for (draw, lost) in draws.iter().zip(&states).filter_map(|(d, s)| Some((d, s.diverged.as_ref()?))) {
            cx.note(format!("{} diverged, and is out of the race: {}", draw.name, lost.message));
        }
        let state = &states[winner];
        tell(cx, epoch, p.epochs, &specs[winner].form, state);
        if let (0, Some(figures)) = (epoch, &state.figures) {
            cx.note(format!("{} identities, {} images a pass", state.classes, figures.images));
        }
        let chosen = (folders[winner].clone(), specs[winner].clone());
        if let Some(reward) = state.reward
            && best.as_ref().is_none_or(|(highest, ..)| reward >= *highest)
        {
            best = Some((reward, chosen.0.clone(), chosen.1.clone()));
        }
        last = Some(chosen);
        history.push(Past {
            samples: draws.iter().map(|d| d.sample.clone()).collect(),
            rewards: states.iter().map(|s| s.reward).collect(),
        });
        let search = p
            .method
            .state(p, &Now { seed: p.seed, epoch, scale: p.scale, history: &history[..epoch as usize] });
        let candidates =
            draws.into_iter().zip(&states).map(|(draw, state)| Candidate::new(draw, state.clone())).collect();
        epochs.push(Epoch { epoch, winner, search, candidates });
        before = folders;
    }
    let kept = match (p.keep, best) {
        (Keep::BestEpoch, Some((_, folder, spec))) => Some((folder, spec)),
        _ => last,
    };
    let (folder, spec) = kept.ok_or_else(|| Failure::new("there was no epoch"))?;
    let folder = cx.whole(&folder)?;
    write_model(p, &spec, &folder, selected_on, cx)?;
    log::write(&epochs, spec.epoch, cx.output("log")?)
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
        after,
        folder,
        threads: cx.threads(),
    };
    let state = epoch::run(&input, &mut |mut progress| {
        progress.doing.clone_from(&step.name);
        cx.progress(progress);
    })?;
    // Where no other can go on, it is no result to be kept: the next try trains it again.
    match state.diverged {
        Some(_) if !p.method.wants_reward(p) => Err(all_diverged(&[state], after.first().copied())),
        _ => Ok(()),
    }
}

/// What one epoch depends on: not the number of epochs, so that a longer training begins with a shorter one.
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
        centres: p.centres,
        class_sample: p.class_sample,
        momentum: p.momentum,
        weight_decay: p.weight_decay,
        flip: p.flip,
        holdout: (!validation).then_some(p.holdout),
        pairs: p.pairs,
        threads: p.threads,
        device: p.device,
        arithmetic: p.arithmetic(),
        replicas: p.replicas,
        // It does not concern a processor.
        deterministic: p.deterministic || p.device == device::Device::Cpu,
    }
}

/// The candidate with the highest reward, the first of equals; none where all diverged.
fn highest(states: &[State]) -> Option<usize> {
    let reward = |i: usize| states[i].reward.unwrap_or(0.0);
    let whole = (0..states.len()).filter(|i| states[*i].diverged.is_none());
    whole.reduce(|best, i| if reward(i) > reward(best) { i } else { best })
}

/// What is to be said where no candidate of an epoch came to a network.
fn all_diverged(states: &[State], last_good: Option<&std::path::Path>) -> Failure {
    let kept = match last_good {
        Some(folder) => format!("the last good checkpoint is {}", folder.display()),
        None => "there was no epoch before".to_owned(),
    };
    match states.first().and_then(|s| s.diverged.as_ref()) {
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
        // Where nothing trains the class weights, softmax on them says nothing.
        let trained = form.loss().trains_classes();
        if trained && let Some(warning) = collapsed(f.softmax_loss, state.classes, f.clamped) {
            cx.warn(warning);
        }
    }
}

/// What is to be said of a training that ended worse than it began.
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

/// The network of a checkpoint, without what only training needs.
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
    device::prepare(device::Device::Cpu, p.threads, p.arithmetic())?;
    let tensors = checkpoint::read(&from.path, tch::Device::Cpu)?;
    Model::save(&tensors.network, &info, cx.output("model")?)
}

/// The test set that a data set came from, if it came from one.
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
