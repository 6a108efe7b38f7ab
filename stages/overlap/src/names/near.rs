//! Near misses: names that differ by one letter, for the user to review.
//!
//! Titles (`Dr.`, `Sir`), text in parentheses (`(actor)`), `Jr.` and the like, and digits after a name are
//! ignored.
//!
//! Two texts that differ by one letter (inserted, deleted, replaced, or swapped with its neighbour) share a
//! text after removing at most one letter from each. Every name is therefore stored under itself and under
//! itself without each of its letters, and looked up in the same way.

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::{Name, is_suffix};

/// The minimum length of a name, in letters, to search for near misses.
const SHORTEST: usize = 6;

/// An index of names to find near misses.
pub struct Near {
    texts: Vec<Vec<char>>,
    /// The hash of a text and the index of its name, sorted.
    kept: Vec<(u64, u32)>,
}

/// Words that are not part of a name.
const TITLES: [&str; 14] = [
    "dr",
    "mr",
    "mrs",
    "ms",
    "miss",
    "mister",
    "prof",
    "professor",
    "sir",
    "dame",
    "lord",
    "lady",
    "rev",
    "hon",
];

/// A name without text in parentheses.
fn without_remarks(text: &str) -> String {
    let mut depth = 0_usize;
    let mut kept = String::new();
    for c in text.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth == 0 => kept.push(c),
            _ => {}
        }
    }
    kept
}

/// The texts to compare: the words without titles, `Jr.` and the like, in order and with the last one first.
/// Empty for a single word, a name shorter than [`SHORTEST`], or digits anywhere but at the end: ids that
/// differ by one letter are unrelated.
fn forms(name: &Name) -> Vec<Vec<char>> {
    let Some(plain) = name.spellings.first() else { return Vec::new() };
    let plain = without_remarks(plain);
    let plain = plain.trim_end_matches(|c: char| c.is_ascii_digit() || c.is_whitespace());
    let words = plain.split_whitespace().filter(|w| !is_suffix(w));
    let words: Vec<&str> = words.filter(|w| !TITLES.contains(w)).collect();
    let letters = words.iter().flat_map(|w| w.chars());
    if words.len() < 2 || letters.clone().count() < SHORTEST || letters.clone().any(|c| c.is_ascii_digit()) {
        return Vec::new();
    }
    let (last, others) = (words[words.len() - 1], &words[..words.len() - 1]);
    let turned = [&[last], others].concat();
    [words, turned].map(|w| w.join(" ").chars().collect()).into()
}

fn hash(text: impl Iterator<Item = char>) -> u64 {
    let mut hasher = DefaultHasher::new();
    text.for_each(|c| c.hash(&mut hasher));
    hasher.finish()
}

/// The hashes of a text and of the text without each of its letters.
fn hashes(text: &[char]) -> impl Iterator<Item = u64> + '_ {
    let without =
        move |k: usize| hash(text.iter().enumerate().filter(move |(i, _)| *i != k).map(|(_, c)| *c));
    (0..=text.len()).map(without)
}

/// Whether two texts differ by at most one letter.
fn one_apart(a: &[char], b: &[char]) -> bool {
    let (a, b) = if a.len() <= b.len() { (a, b) } else { (b, a) };
    let start = a.iter().zip(b).take_while(|(x, y)| x == y).count();
    let (a, b) = (&a[start..], &b[start..]);
    match b.len() - a.len() {
        0 => {
            a.is_empty()
                || a[1..] == b[1..]
                || a.len() > 1 && a[0] == b[1] && a[1] == b[0] && a[2..] == b[2..]
        }
        1 => *a == b[1..],
        _ => false,
    }
}

impl Near {
    /// Builds the index.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let texts: Vec<Vec<char>> =
            names.into_iter().map(|n| forms(&Name::new(n)).into_iter().next().unwrap_or_default()).collect();
        let mut kept: Vec<(u64, u32)> = Vec::new();
        for (i, text) in (0..).zip(&texts).filter(|(_, t)| !t.is_empty()) {
            kept.extend(hashes(text).map(|h| (h, i)));
        }
        kept.sort_unstable();
        kept.dedup();
        Self { texts, kept }
    }

    /// The positions of all names that differ by at most one letter from `name`, in either order of its
    /// words, ascending.
    pub fn of(&self, name: &str) -> Vec<usize> {
        let mut found = BTreeSet::new();
        for form in forms(&Name::new(name)) {
            for h in hashes(&form) {
                let start = self.kept.partition_point(|k| k.0 < h);
                let same = self.kept[start..].iter().take_while(|k| k.0 == h).map(|k| k.1 as usize);
                found.extend(same.filter(|&i| one_apart(&self.texts[i], &form)));
            }
        }
        found.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The number of insertions, deletions, transpositions and replacements (each position once), by dynamic
    /// programming.
    fn distance(a: &[char], b: &[char]) -> usize {
        let mut d = vec![vec![0; b.len() + 1]; a.len() + 1];
        for i in 0..=a.len() {
            for j in 0..=b.len() {
                d[i][j] = if i == 0 || j == 0 {
                    i + j
                } else {
                    let change = d[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut least = change.min(d[i - 1][j] + 1).min(d[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least = least.min(d[i - 2][j - 2] + 1);
                    }
                    least
                };
            }
        }
        d[a.len()][b.len()]
    }

    #[test]
    fn one_letter_the_order_and_a_junior_are_near() {
        let near = Near::new([
            "Maria Kurnova",
            "Robert Downey",
            "Gerald Schroter",
            "n000002",
            "Jo Li",
            "Anna 12 Belo",
        ]);
        for (name, want) in [
            ("Maria Kurnowa", vec![0]),
            ("Kurnova Mariya", vec![0]),
            ("Kurnva, Maria", vec![0]),
            ("Robert Downey, Jr.", vec![1]),
            ("Robert_Donwey", vec![1]),
            ("Gerald Schroeter", vec![2]),
            ("Mario Kurnowa", vec![]),
            ("Maria Kurnova (actor)", vec![0]),
            ("Dr. Maria Kurnova", vec![0]),
            ("Prof._Dr._Kurnova,_Maria", vec![0]),
            ("Sir Robert Downey", vec![1]),
            ("Mr Robert Downey", vec![1]),
            ("Gerald_Schroter_0001", vec![2]),
            ("Gerald Schroter2", vec![2]),
            ("(actor)", vec![]),
            ("Dr. 2", vec![]),
            ("n000003", vec![]),
            ("Ju Li", vec![]),
            ("Anna 13 Belo", vec![]),
        ] {
            assert_eq!(near.of(name), want, "{name}");
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]
        #[test]
        fn the_index_finds_what_comparing_each_finds(
            names in prop::collection::vec("[ab]{2,4} [abc]{4,5}", 0..20), wanted in "[ab]{2,4} [abc]{4,5}",
        ) {
            let asked = forms(&Name::new(&wanted));
            let is_near = |n: &String| forms(&Name::new(n)).first().is_some_and(|f| asked.iter().any(|a| distance(f, a) <= 1));
            let slow: Vec<usize> = (0..names.len()).filter(|&i| is_near(&names[i])).collect();
            prop_assert_eq!(Near::new(names.iter().map(String::as_str)).of(&wanted), slow);
        }
    }
}
