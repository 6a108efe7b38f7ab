//! Turns findings into actions, by the parameters and the user's decisions.

use lfs_faces::dataset::Dataset;

use crate::decisions::{Decisions, Fate};
use crate::judge::{Reason, Seen, Verdict};
use crate::labels::{Doubt, Judged};
use crate::options::{Blur, Few, Labels, Options, Strangers};
use crate::sharpness;

/// The action taken on an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Action {
    Keep,
    Drop,
    Relabel,
    /// Keep it and report it.
    Report,
}

impl Action {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::Relabel => "relabel",
            Self::Report => "report",
        }
    }
}

/// The findings on an image, and the action.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Finding {
    pub(crate) judged: Judged,
    pub(crate) blurred: bool,
    pub(crate) action: Action,
}

/// Identities with fewer images are reported separately.
pub(crate) const FEW: usize = 3;

/// Applies the judgements of labels to a verdict; returns one finding per row.
pub(crate) fn apply(
    options: &Options,
    dataset: &Dataset,
    seen: &[Seen],
    judged: &[Judged],
    verdict: &mut Verdict,
) -> Vec<Finding> {
    let sharp = seen.iter().filter_map(|s| match s {
        Seen::Picture { sharpness, .. } => Some(*sharpness),
        Seen::Broken { .. } => None,
    });
    let bound = sharpness::bound(sharp.collect());
    let mut out = Vec::with_capacity(judged.len());
    for (i, j) in judged.iter().enumerate() {
        let blurred = options.blur != Blur::Off
            && matches!(&seen[i], Seen::Picture { sharpness, .. } if *sharpness < bound);
        let action = match j.doubt {
            Some(_) if j.images < FEW && options.few_images == Few::Report => Action::Report,
            Some(doubt) if doubt.is_elsewhere() => match options.labels {
                Labels::Drop => Action::Drop,
                Labels::Relabel if j.other.is_some() => Action::Relabel,
                Labels::Relabel => Action::Drop,
                Labels::Report => Action::Report,
            },
            Some(_) if options.strangers == Strangers::Drop => Action::Drop,
            Some(_) => Action::Report,
            None if blurred && options.blur == Blur::Drop => Action::Drop,
            None if blurred => Action::Report,
            None => Action::Keep,
        };
        let reason = j.doubt.map_or(Reason::Blur, Reason::Label);
        if verdict.dropped[i].is_none() {
            match action {
                Action::Drop => verdict.dropped[i] = Some((reason, detail(dataset, j))),
                Action::Relabel => verdict.moved[i] = j.other,
                Action::Keep | Action::Report => {}
            }
        }
        out.push(Finding { judged: *j, blurred, action });
    }
    out
}

fn detail(dataset: &Dataset, j: &Judged) -> String {
    match (j.doubt, j.other) {
        (None, _) => "far less sharp than the other images".to_owned(),
        (Some(doubt), Some(other)) if doubt.is_elsewhere() => {
            let name = dataset.info().identities.get(other as usize).map_or("", String::as_str);
            format!("of {name}, with probability {:.4}", j.score)
        }
        (Some(Doubt::NonFace), _) => "like no identity, with a short embedding".to_owned(),
        _ => format!("like no identity; the label is wrong with probability {:.4}", j.score),
    }
}

/// Applies the user's decisions last: they override every rule, except that an image must be decodable.
pub(crate) fn decide(
    decisions: &Decisions,
    dataset: &Dataset,
    verdict: &mut Verdict,
    findings: &mut [Finding],
) {
    for i in 0..dataset.len() {
        let action = match decisions.of(dataset.face(i).name) {
            None => continue,
            Some(Fate::Keep) => {
                if !matches!(verdict.dropped[i], Some((Reason::Undecodable, _))) {
                    verdict.dropped[i] = None;
                }
                Action::Keep
            }
            Some(Fate::Drop) => {
                if verdict.dropped[i].is_none() {
                    verdict.dropped[i] = Some((Reason::Decided, "by a person".to_owned()));
                }
                Action::Drop
            }
        };
        verdict.moved[i] = None;
        if let Some(finding) = findings.get_mut(i) {
            finding.action = action;
        }
    }
}
