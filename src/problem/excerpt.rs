//! Cuts lines that are too long for a screen to the part with the mistake.

use std::borrow::Cow;
use std::ops::Range;

/// Lines of up to this many bytes are shown whole.
const WHOLE: usize = 400;
/// Of longer ones, this many bytes before the mistake and this many from its beginning are shown.
const BEFORE: usize = 60;
const FROM: usize = 120;

/// A label and where it points.
type Label<'a> = (Range<usize>, Cow<'a, str>);

/// A text whose long lines are cut to where the labels point, and the labels for it. A label in a cut line says its column.
pub(super) fn of<'a>(text: String, labels: Vec<(Range<usize>, &'a str)>) -> (String, Vec<Label<'a>>) {
    if text.lines().all(|line| line.len() <= WHOLE) {
        return (text, labels.into_iter().map(|(range, label)| (range, label.into())).collect());
    }
    let (mut out, mut moved): (String, Vec<Option<Label<'a>>>) = (String::new(), vec![None; labels.len()]);
    let mut begins = 0;
    for line in text.split_inclusive('\n') {
        let ends = begins + line.len();
        let is_last = ends == text.len();
        let here = |range: &Range<usize>| range.start >= begins && (range.start < ends || is_last);
        let mut inside = labels.iter().enumerate().filter(|(_, (range, _))| here(range)).peekable();
        // What is shown of it: around the first label.
        let shown = match (line.len() > WHOLE, inside.peek()) {
            (false, _) => 0..line.len(),
            (true, first) => {
                let at = first.map_or(0, |(_, (range, _))| range.start - begins);
                let from = boundary(line, at.saturating_sub(BEFORE));
                from..boundary(line, (at + FROM).min(line.len()))
            }
        };
        let cut = (shown.start > 0, shown.end < line.len());
        out.push_str(if cut.0 { "…" } else { "" });
        let base = out.len();
        let at =
            |place: usize| base + place.saturating_sub(begins).clamp(shown.start, shown.end) - shown.start;
        for (i, (range, label)) in inside {
            let column = line.get(..range.start - begins).map_or(1, |before| before.chars().count() + 1);
            let label = match cut {
                (false, false) => Cow::from(*label),
                _ => Cow::from(format!("{label} (column {column})")),
            };
            moved[i] = Some((at(range.start)..at(range.end), label));
        }
        out.push_str(&line[shown]);
        if cut.1 {
            out.push('…');
            out.push_str(if line.ends_with('\n') { "\n" } else { "" });
        }
        begins = ends;
    }
    (out, moved.into_iter().flatten().collect())
}

/// The nearest character boundary at or before a position.
fn boundary(text: &str, mut at: usize) -> usize {
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_to_its_mistake_and_others_stay() {
        let long = format!("x = [{}]", "1, ".repeat(30_000));
        let text = format!("[a]\n{long}\nlast = 1\n");
        let place = text.find("1, 1]").unwrap_or(60_000);
        let last = text.find("last").unwrap();
        let (cut, labels) = of(text.clone(), vec![(place..place + 1, "here"), (last..last + 4, "and here")]);
        assert_eq!(cut.lines().count(), 3);
        assert!(cut.lines().all(|line| line.len() < WHOLE), "{cut}");
        assert_eq!(&cut[labels[0].0.clone()], &text[place..=place]);
        assert!(labels[0].1.starts_with("here (column "), "{}", labels[0].1);
        assert_eq!((&cut[labels[1].0.clone()], &*labels[1].1), ("last", "and here"));
        // A place at the very end, and one that goes over the whole line.
        let end = text.len();
        let (cut, labels) = of(text, vec![(4..end, "all of it"), (end..end, "end")]);
        assert!(labels.iter().all(|(range, _)| range.end <= cut.len()) && labels.len() == 2);
    }

    #[test]
    fn short_texts_are_unchanged() {
        let (text, labels) = of("a = 1\r\nü = 2".to_owned(), vec![(7..8, "x")]);
        assert_eq!((text.as_str(), labels[0].0.clone(), &*labels[0].1), ("a = 1\r\nü = 2", 7..8, "x"));
        let (cut, labels) = of("ü".repeat(500), vec![(300..302, "x")]);
        assert!(cut.len() < 300 && &cut[labels[0].0.clone()] == "ü");
    }
}
