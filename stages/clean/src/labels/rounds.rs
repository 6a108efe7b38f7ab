//! Estimates the probability that each label is right, in rounds.

use rayon::prelude::*;

use super::model::{Spread, Trusted};
use super::search;
use super::space::{Folders, Space};
use super::state::{NONE, OTHERS, State, Sums};
use super::untangle::{First, untangle};

/// The number of rounds. In the first three and the last, candidates are searched among all identities.
const ROUNDS: usize = 6;
/// The initial probability of a label that is not the most likely identity; otherwise it is 1 minus this.
const DOUBTED: f64 = 0.05;
/// The weight of the overall rate of wrong labels in each folder, in images.
const PRIOR_IMAGES: f64 = 2.0;
/// The weight of a uniform prior on where the wrong images of a folder come from, in images.
const PRIOR_OTHERS: f64 = 2.0;

/// The final estimate.
pub(crate) struct Belief {
    pub(crate) state: State,
    pub(crate) sums: Sums,
    /// The most likely other identity of each image, by the evidence.
    pub(crate) other: Vec<u32>,
}

/// Starts by trusting all labels. Each round measures how well each image fits its own and other identities,
/// without the image itself. It weights that with the rate of wrong labels in its folder and with where those
/// images belong, and then re-estimates the identities.
pub(crate) fn believe(
    space: &Space<'_>,
    labels: &[u32],
    classes: usize,
    progress: &(dyn Fn(usize, usize) + Sync),
) -> Belief {
    let n = space.len();
    let folders = Folders::new(labels, classes);
    let mut state = State::new(n);
    let mut sums = Sums::new(space, labels, &state, classes);
    let mut trusted = Trusted::new(space, &folders, &|i| state.own(i));
    let mut spread = trusted.spread(space, &|i| state.own(i));
    let mut other = vec![NONE; n];
    for round in 0..ROUNDS {
        let passes = [0, 1, 2, ROUNDS - 1];
        if let Some(pass) = passes.iter().position(|p| *p == round) {
            let done = |k: usize| progress(pass * n + k, passes.len() * n);
            state.look_at(search::others(space, labels, &sums, &spread, &done));
        }
        let doubted: Option<Vec<f64>> = (round == 0).then(|| {
            let ask = |i: usize| {
                if likeliest(&evidence(space, labels, &state, &sums, &spread, i)) == 0 {
                    1.0 - DOUBTED
                } else {
                    DOUBTED
                }
            };
            (0..n).into_par_iter().map(ask).collect()
        });
        let own = |i: usize| doubted.as_ref().map_or_else(|| state.own(i), |d| d[i]);
        if round == 0 {
            trusted = Trusted::new(space, &folders, &own);
        }
        let wrong = ((0..n).map(|i| 1.0 - own(i)).sum::<f64>() / n.max(1) as f64).clamp(1e-3, 0.9);
        let weight = trusted.directions(space, labels, &own);
        let step = Step {
            space,
            labels,
            state: &state,
            sums: &sums,
            spread,
            weight,
            wrong,
            own: &own,
            first: round == 0,
            classes,
        };
        let answers: Vec<Vec<Answer>> =
            (0..classes).into_par_iter().map(|c| step.folder(folders.rows(c))).collect();
        let mut first = First { to: vec![NONE; n], elsewhere: vec![false; n] };
        for (c, answers) in answers.into_iter().enumerate() {
            for (&i, answer) in folders.rows(c).iter().zip(answers) {
                let i = i as usize;
                state.share_mut(i).copy_from_slice(&answer.share);
                let at = likeliest(&answer.share.map(f64::from));
                first.to[i] = if at == 0 { labels[i] } else { state.others(i)[at - 1] };
                first.elsewhere[i] = answer.explained;
                other[i] = answer.other;
            }
        }
        if round == 0 && classes > 1 {
            for (i, class) in untangle(space, labels, &folders, &first, spread, weight) {
                let at = if class == labels[i] {
                    Some(0)
                } else {
                    state.others(i).iter().position(|c| *c == class).map(|k| k + 1)
                };
                let share = state.share_mut(i);
                share.fill(0.0);
                if let Some(at) = at {
                    share[at] = 1.0;
                }
            }
        }
        sums = Sums::new(space, labels, &state, classes);
        trusted = Trusted::new(space, &folders, &|i| state.own(i));
        spread = trusted.spread(space, &|i| state.own(i));
    }
    Belief { state, sums, other }
}

/// The evidence for an image's own label and for the others, without the image itself; -inf where there is no
/// other.
fn evidence(
    space: &Space<'_>,
    labels: &[u32],
    state: &State,
    sums: &Sums,
    spread: &Spread,
    i: usize,
) -> [f64; 1 + OTHERS] {
    let mut row = vec![0.0; space.width()];
    space.row(i, &mut row);
    let mut out = [f64::NEG_INFINITY; 1 + OTHERS];
    let classes = std::iter::once(labels[i]).chain(state.others(i).iter().copied());
    for ((out, class), &share) in out.iter_mut().zip(classes).zip(state.share(i)) {
        if class != NONE {
            *out = sums.evidence(spread, &row, space.z2[i], class, share);
        }
    }
    out
}

/// The index of the first maximum.
fn likeliest(values: &[f64; 1 + OTHERS]) -> usize {
    (0..values.len()).fold(0, |best, k| if values[k] > values[best] { k } else { best })
}

/// The result of a round for an image.
struct Answer {
    share: [f32; 1 + OTHERS],
    /// The most likely other identity, by the evidence alone.
    other: u32,
    /// Whether some identity explains it better than all others together would.
    explained: bool,
}

/// The inputs of a round.
struct Step<'a> {
    space: &'a Space<'a>,
    labels: &'a [u32],
    state: &'a State,
    sums: &'a Sums,
    spread: Spread,
    /// The weight of the evidence; see [`Trusted::directions`].
    weight: f64,
    wrong: f64,
    own: &'a (dyn Fn(usize) -> f64 + Sync),
    first: bool,
    classes: usize,
}

impl Step<'_> {
    fn folder(&self, rows: &[u32]) -> Vec<Answer> {
        let evidence: Vec<[f64; 1 + OTHERS]> = rows
            .iter()
            .map(|&i| evidence(self.space, self.labels, self.state, self.sums, &self.spread, i as usize))
            .collect();
        // The current estimate of where else each image belongs.
        let before: Vec<[f64; OTHERS]> = rows
            .iter()
            .zip(&evidence)
            .map(|(&i, evidence)| {
                let i = i as usize;
                let mut out = [0.0; OTHERS];
                if self.first {
                    out[likeliest_other(evidence)] = 1.0 - (self.own)(i);
                } else {
                    out.iter_mut().zip(&self.state.share(i)[1..]).for_each(|(o, s)| *o = f64::from(*s));
                }
                out
            })
            .collect();
        let mut went: Vec<(u32, f64)> = Vec::new();
        for (&i, before) in rows.iter().zip(&before) {
            let others = self.state.others(i as usize);
            went.extend(others.iter().copied().zip(*before).filter(|(c, s)| *c != NONE && *s > 0.0));
        }
        went.sort_by_key(|(c, _)| *c);
        let mut to: Vec<(u32, f64)> = Vec::new();
        for (c, s) in went {
            match to.last_mut() {
                Some((last, sum)) if *last == c => *sum += s,
                _ => to.push((c, s)),
            }
        }
        let off: f64 = rows.iter().map(|&i| 1.0 - (self.own)(i as usize)).sum();
        let answer = |((&i, evidence), before): ((&u32, &[f64; 1 + OTHERS]), &[f64; OTHERS])| {
            self.answer(i as usize, rows.len(), evidence, before, &to, off)
        };
        rows.iter().zip(&evidence).zip(&before).map(answer).collect()
    }

    fn answer(
        &self,
        i: usize,
        images: usize,
        evidence: &[f64; 1 + OTHERS],
        before: &[f64; OTHERS],
        to: &[(u32, f64)],
        off: f64,
    ) -> Answer {
        // The rest of the folder, without this image.
        let off = (off - (1.0 - (self.own)(i))).max(0.0);
        let wrong = (self.wrong * PRIOR_IMAGES + off) / (PRIOR_IMAGES + images as f64 - 1.0);
        let wrong = wrong.clamp(1e-4, 0.9);
        let others = self.state.others(i);
        let mut score = [f64::NEG_INFINITY; 1 + OTHERS];
        score[0] = libm::log(1.0 - wrong) + self.weight * evidence[0];
        let each = PRIOR_OTHERS / (self.classes as f64 - 1.0).max(1.0);
        for (k, (other, before)) in others.iter().zip(before).enumerate().filter(|(_, (c, _))| **c != NONE) {
            let came = to.binary_search_by_key(other, |(c, _)| *c).map_or(0.0, |at| to[at].1);
            let share = (each + (came - before).max(0.0)) / (PRIOR_OTHERS + off);
            score[1 + k] = libm::log(share * wrong) + self.weight * evidence[1 + k];
        }
        let most = score[likeliest(&score)];
        let mut share = score.map(|s| libm::exp(s - most));
        let sum: f64 = share.iter().sum();
        share.iter_mut().for_each(|s| *s /= sum);
        let best = evidence[likeliest(evidence)];
        Answer {
            share: share.map(|s| s as f32),
            other: others[likeliest_other(evidence)],
            explained: self.weight * best > libm::log(self.classes as f64),
        }
    }
}

/// The index of the first maximum among the others.
fn likeliest_other(evidence: &[f64; 1 + OTHERS]) -> usize {
    (1..OTHERS).fold(0, |best, k| if evidence[1 + k] > evidence[1 + best] { k } else { best })
}
