//! One embedding for a template, a set of images of one person.
//!
//! Images of one media (the frames of a video) are averaged first, so that a video weighs as much as a photograph; the media are
//! added (Whitelam et al., *IARPA Janus Benchmark-B Face Dataset*, 2017; Maze et al., *IARPA Janus Benchmark - C*, 2018). The
//! embedding of image i is `w_i e_i`, by two rules:
//!
//! - [`Pooling::Unit`]: the unit vector, `w_i = 1 / |e_i|`;
//! - [`Pooling::Insightface`]: as it is, times the detector's score, `w_i = s_i`.

use crate::protocol::Member;
use crate::score::Embeddings;

/// How an image counts in its template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pooling {
    /// With length 1.
    Unit,
    /// With its own length, times the score of the face detector.
    Insightface,
}

/// The unit vector of each template. `rows` has the row of each member, none for a missing image. The second value lists the
/// templates without an embedding: no image is there, or they cancel.
pub fn pool(
    embeddings: &Embeddings,
    members: &[Member],
    rows: &[Option<usize>],
    templates: usize,
    pooling: Pooling,
) -> (Embeddings, Vec<u32>) {
    let width = embeddings.width();
    let mut order: Vec<usize> = (0..members.len()).filter(|&i| rows[i].is_some()).collect();
    // Members of a template and of a media in the order of the list, so that sums do not depend on anything else.
    order.sort_by_key(|&i| (members[i].template, members[i].media, i));
    let mut sums = vec![0.0; templates * width];
    let mut buffer = Vec::new();
    for media in order
        .chunk_by(|&a, &b| (members[a].template, members[a].media) == (members[b].template, members[b].media))
    {
        let template = members[media[0]].template as usize;
        let into = &mut sums[template * width..(template + 1) * width];
        for &i in media {
            let Some(row) = rows[i] else { continue };
            let weight = match pooling {
                Pooling::Unit => 1.0,
                Pooling::Insightface => embeddings.norm(row) * members[i].score,
            };
            let weight = weight / media.len() as f64;
            let unit = embeddings.units(row..row + 1, &mut buffer);
            into.iter_mut().zip(unit).for_each(|(s, x)| *s += weight * f64::from(*x));
        }
    }
    let mut values = Vec::with_capacity(sums.len());
    let mut without = Vec::new();
    for (template, sum) in sums.chunks_exact(width).enumerate() {
        let norm = sum.iter().map(|x| x * x).sum::<f64>().sqrt();
        let usable = norm.is_finite() && norm > 0.0;
        if !usable {
            without.push(template as u32);
        }
        // A template without an embedding is in no pair and in no search.
        values.extend(sum.iter().map(|x| if usable { (x / norm) as f32 } else { 0.0 }));
    }
    (Embeddings::of_units(values, width), without)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(template: u32, media: i64, score: f64) -> Member {
        Member { image: String::new(), template, media, score }
    }

    #[test]
    fn a_video_weighs_as_much_as_a_photograph() {
        let e = Embeddings::new(vec![2.0, 0.0, 0.0, 1.0, 0.0, 4.0, -3.0, 0.0], 2).unwrap();
        // A photograph along x; a video with two frames along y, one of them longer.
        let members = [member(0, 7, 0.5), member(0, 8, 1.0), member(0, 8, 1.0), member(1, 7, 1.0)];
        let rows = [Some(0), Some(1), Some(2), None];
        let (unit, without) = pool(&e, &members, &rows, 2, Pooling::Unit);
        let half = 0.5_f32.sqrt();
        assert_eq!((unit.units(0..1, &mut Vec::new()), without), (&[half, half][..], vec![1]));
        // Lengths and scores: 2 * 0.5 along x, (1 + 4) / 2 along y.
        let (theirs, _) = pool(&e, &members, &rows, 2, Pooling::Insightface);
        let norm = (1.0_f64 + 2.5 * 2.5).sqrt();
        assert!((f64::from(theirs.units(0..1, &mut Vec::new())[0]) - 1.0 / norm).abs() < 1e-7);
        // Opposite images cancel.
        let (_, without) =
            pool(&e, &[member(0, 1, 1.0), member(0, 2, 1.0)], &[Some(0), Some(3)], 1, Pooling::Unit);
        assert_eq!(without, [0]);
    }
}
