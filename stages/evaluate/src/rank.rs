//! Identification with distractors: MegaFace and Trillion-Pairs.
//!
//! MegaFace: each image of an identity is in turn the mate in the gallery, with the other images as probes;
//! the gallery consists of the distractors and that one mate. Trillion-Pairs: probes and gallery are given,
//! and every gallery image of another person is a distractor. All numbers are means over (probe, mate) pairs:
//!
//! - rank k (MegaFace): a hit if the mate's score >= the probe's k-th largest distractor score;
//! - verification TPR at FAR: mate pairs against all probe x distractor pairs;
//! - open-set identification TPR at FAR (Trillion-Pairs): a hit if the mate is above every distractor of the
//!   probe and above a threshold; the FAR is the share of probes with a distractor above that threshold.

use lfs_products::{Matrix, product};

use crate::scan::{Mate, Scan};
use crate::score::Embeddings;
use crate::tpr_at_far::{TprAtFar, allowed, tpr_at_far};

/// Scores of all ordered pairs of different probes of one identity, sorted by identity, probe, mate. They are
/// computed in the same way as those of distractors, so that equal images have equal scores.
pub fn mates(probes: &Embeddings, identities: &[i64]) -> Vec<Mate> {
    let mut order: Vec<usize> = (0..identities.len()).collect();
    order.sort_by_key(|&i| identities[i]);
    let mut out = Vec::new();
    for group in order.chunk_by(|&a, &b| identities[a] == identities[b]) {
        let rows = probes.rows(group);
        let mut buffer = Vec::new();
        let all = Matrix::new(rows.units(0..group.len(), &mut buffer), group.len(), rows.width());
        let mut scores = vec![0.0; group.len() * group.len()];
        product(all, all.turned(), &mut scores);
        for (i, &probe) in group.iter().enumerate() {
            for (j, &mate) in group.iter().enumerate().filter(|(j, _)| *j != i) {
                let score = scores[i * group.len() + j];
                out.push(Mate { probe: probe as u32, mate: mate as u32, score });
            }
        }
    }
    out
}

/// Whether each mate pair is a hit at rank `k`: the mate's score reaches the probe's k-th best distractor.
pub fn hits(mates: &[Mate], scan: &Scan, k: usize) -> Vec<bool> {
    mates.iter().map(|m| m.score >= scan.best(m.probe as usize, k)).collect()
}

/// TPR of the mate pairs at a FAR over all probe x distractor pairs.
pub fn verification(mates: &[Mate], scan: &Scan, far: f64) -> TprAtFar {
    let positives: Vec<f32> = mates.iter().map(|m| m.score).collect();
    let tail: Vec<f32> = scan.tail.iter().map(|pair| pair.score()).collect();
    tpr_at_far(far, &positives, &tail, scan.pairs)
}

/// Open-set TPR at a FAR over the searches of the probes `impostors`; `negatives` of the result is their number.
pub fn open_set(mates: &[Mate], scan: &Scan, impostors: &[u32], far: f64) -> TprAtFar {
    let mut best: Vec<f32> = impostors.iter().map(|p| scan.best(*p as usize, 1)).collect();
    best.sort_unstable_by(|a, b| b.total_cmp(a));
    // A mate that does not beat its probe's distractors is not a hit at any threshold.
    let positives: Vec<f32> = mates
        .iter()
        .map(|m| if m.score > scan.best(m.probe as usize, 1) { m.score } else { f32::NEG_INFINITY })
        .collect();
    tpr_at_far(far, &positives, &best, impostors.len() as u64)
}

/// The number of largest scores of `pairs` that must be kept for these FARs, in the sample and in its replicates.
pub fn tail_for(fars: &[f64], pairs: u64) -> u64 {
    let kept = fars.iter().map(|&far| crate::draws::search::tail_for(allowed(far, pairs)));
    kept.max().unwrap_or(0).min(pairs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::{Identities, Keep, scan};

    /// Unit vectors in the plane at these angles, in degrees.
    fn at(degrees: &[f64]) -> Embeddings {
        let values = degrees.iter().flat_map(|d| [d.to_radians().cos() as f32, d.to_radians().sin() as f32]);
        Embeddings::new(values.collect(), 2).unwrap()
    }

    fn look(probes: &Embeddings, distractors: &Embeddings, per_probe: usize) -> Scan {
        let pairs = probes.len() * distractors.len();
        scan(probes, distractors, Identities::default(), Keep { per_probe, tail: pairs }, &|_| {})
    }

    #[test]
    fn rank_one_counts_ordered_mate_pairs() {
        // Identity 0 at 0, 10, 40 degrees, identity 1 at 180 and 190; distractors at 20 and 300.
        let probes = at(&[0.0, 10.0, 40.0, 180.0, 190.0]);
        let found = mates(&probes, &[0, 0, 0, 1, 1]);
        assert_eq!(found.len(), 8);
        let scan = look(&probes, &at(&[20.0, 300.0]), 2);
        // The nearest distractor is 20, 10, 20, 110, 110 degrees away. Mates: (0,10) 10 < 20 hit, (0,40)
        // miss, (10,0) 10 = 10 a tie in angle, (10,40) miss, (40,0) and (40,10) miss; (180,190) both hit.
        let got = hits(&found, &scan, 1);
        assert_eq!((got[0], got[1], got[3], got[4], got[5]), (true, false, false, false, false));
        assert_eq!(&got[6..], [true, true]);
        // At rank 2, one distractor may be before the mate: all hit.
        assert!(hits(&found, &scan, 2).iter().all(|h| *h));
    }

    #[test]
    fn a_distractor_that_equals_the_mate_is_a_tie_and_a_hit() {
        let base: Vec<f32> = (0..96 * 3).map(|i| ((i * 37 + 11) % 101) as f32 - 50.0).collect();
        let probes = Embeddings::new(base, 96).unwrap();
        let found = mates(&probes, &[0, 0, 0]);
        let scan = look(&probes.rows(&[0]), &probes.rows(&[1]), 1);
        assert!(hits(&found[..1], &scan, 1)[0]);
    }

    #[test]
    fn removed_distractors_are_not_zero_vectors() {
        // The mate is 100 degrees away (cosine -0.17), the only clean distractor 170 (-0.98). A removed
        // distractor that was kept as a zero vector would score 0 and win.
        let probes = at(&[0.0, 100.0]);
        let found = mates(&probes, &[0, 0]);
        let all = at(&[170.0, 5.0]);
        let scan = look(&probes.rows(&[0]), &all.rows(&[0]), 1);
        assert!(hits(&found[..1], &scan, 1)[0]);
        assert_eq!(scan.pairs, 1);
    }

    #[test]
    fn verification_takes_all_probe_distractor_pairs_as_negatives() {
        let probes = at(&[0.0, 10.0, 90.0, 130.0]);
        let found = mates(&probes, &[0, 0, 1, 1]);
        let scan = look(&probes, &at(&[50.0, 200.0, 270.0]), 1);
        // 12 negatives; the largest cosines are cos 40 = 0.766 (10 and 90 against 50), cos 50, cos 70, cos
        // 80. FAR 1/12 would split the tie at 40, so no negative passes. The mates at 10 degrees are above;
        // those at 40 are about tied.
        let got = verification(&found, &scan, 1.0 / 12.0);
        assert_eq!(got.negatives, 12);
        assert!(got.far <= 1.0 / 12.0 && got.tpr.unwrap() >= 0.5);
        assert_eq!(verification(&found, &scan, 0.01).tpr, None);
    }

    #[test]
    fn open_set_needs_the_first_rank_and_the_threshold() {
        let probes = at(&[0.0, 10.0, 90.0, 150.0]);
        let found = mates(&probes, &[0, 0, 1, 1]);
        let scan = look(&probes, &at(&[20.0, 250.0]), 1);
        // Best distractors, in degrees: 20, 10, 70, 100. One of four probes may give a false alarm (FAR 1/4),
        // so the threshold is cos 20. (0,10) beats 20 and is above; (10,0) only ties at 10; (90,150) beats 70
        // but is below cos 20.
        let got = open_set(&found, &scan, &[0, 1, 2, 3], 0.25);
        assert_eq!(got.negatives, 4);
        let above = found.iter().filter(|m| m.score > scan.best(m.probe as usize, 1)).count();
        assert!(above >= 3);
        assert!(got.tpr.unwrap() <= 0.5 && got.tpr.unwrap() >= 0.25);
    }

    #[test]
    fn the_tail_holds_one_score_more_than_may_pass() {
        assert_eq!(tail_for(&[1e-2, 1e-1], 100_000), 21_000);
        assert_eq!(tail_for(&[1.0], 10), 10);
        assert_eq!(tail_for(&[], 10), 0);
    }
}
