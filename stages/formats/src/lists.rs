//! Lines of the protocols' lists. Fields are separated by tabs; without tabs by commas; otherwise by blanks.

use crate::names;

/// The fields of a line without surrounding blanks; empty fields at the end are removed.
pub fn fields(line: &str) -> Vec<&str> {
    let line = line.trim_start_matches('\u{feff}').trim();
    if line.contains('\t') {
        parted(line, &['\t'])
    } else if line.contains([',', ';']) {
        parted(line, &[',', ';'])
    } else {
        line.split_whitespace().collect()
    }
}

fn parted<'a>(line: &'a str, at: &[char]) -> Vec<&'a str> {
    line.trim_end_matches(at).split(at).map(str::trim).collect()
}

/// Splits a line that starts with the path of an image: `Ann Lee/1.jpg 1`. The path ends with an image extension, so that names may
/// contain blanks and commas; without an extension, it ends at a tab, or before a number at the end of the line.
pub fn image(line: &str) -> (&str, &str) {
    const SEPARATORS: [char; 4] = ['\t', ',', ';', ' '];
    let line = line.trim_start_matches('\u{feff}').trim();
    let part = |at: usize| (line[..at].trim_end(), line[at..].trim_start_matches(SEPARATORS));
    let ends = line.char_indices().filter(|(_, c)| SEPARATORS.contains(c)).map(|(at, _)| at);
    let whole = |&at: &usize| names::is_any_image(line[..at].trim_end()) && !line[at..].contains(['/', '\\']);
    if let Some(at) = ends.chain([line.len()]).find(whole) {
        return part(at);
    }
    if let Some(at) = line.find('\t') {
        return part(at);
    }
    match last(line) {
        Some((path, label)) if label.parse::<i64>().is_ok() => (path, label),
        _ => (line, ""),
    }
}

/// Splits a line at the first separator: `1 ../Data/a b.jpg`.
pub fn first(line: &str) -> Option<(&str, &str)> {
    let (first, rest) = line.trim().split_once(['\t', ',', ';', ' '])?;
    Some((first, rest.trim_start_matches(['\t', ',', ';', ' '])))
}

/// Splits a line at the last separator: `a b.jpg 1`.
pub fn last(line: &str) -> Option<(&str, &str)> {
    let (rest, last) = line.trim().rsplit_once(['\t', ',', ';', ' '])?;
    Some((rest.trim_end_matches(['\t', ',', ';', ' ']), last))
}

/// A line in the format of LFW's pairs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// Both persons, each with the text of the image's number.
    pub images: [(String, String); 2],
    /// Whether the line is of the form `Name i j`.
    pub one_person: bool,
}

/// Parses a line `Name i j` or `NameA i NameB j`. Names may contain blanks.
pub fn pair(line: &str) -> Option<Pair> {
    let fields = fields(line);
    let is_number = |f: &str| !f.is_empty() && f.bytes().all(|b| b.is_ascii_digit());
    let of = |name: &[&str], number: &str| (name.join(" "), number.to_owned());
    if line.contains(['\t', ',', ';']) {
        return match fields.as_slice() {
            [name, i, j] => Some(Pair { images: [of(&[name], i), of(&[name], j)], one_person: true }),
            [a, i, b, j] => Some(Pair { images: [of(&[a], i), of(&[b], j)], one_person: false }),
            _ => None,
        };
    }
    let (j, before) = fields.split_last()?;
    let (i, name) = before.split_last()?;
    if is_number(i) && !name.is_empty() {
        return Some(Pair { images: [of(name, i), of(name, j)], one_person: true });
    }
    let at = before.iter().position(|f| is_number(f)).filter(|&at| at > 0)?;
    Some(Pair { images: [of(&before[..at], before[at]), of(&before[at + 1..], j)], one_person: false })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_pair_is_the_same_whatever_separates_its_fields() {
        let same = |a: &str, i: &str, b: &str, j: &str| {
            Some(Pair { images: [(a.into(), i.into()), (b.into(), j.into())], one_person: a == b })
        };
        for line in ["Ann_Lee\t1\t4", "Ann_Lee 1 4", "Ann_Lee,1,4", "Ann_Lee,1,4,", " Ann_Lee  1 4 "] {
            assert_eq!(pair(line), same("Ann_Lee", "1", "Ann_Lee", "4"), "{line}");
        }
        for line in ["Ann Lee\t1\tBo Ray\t2", "Ann Lee 1 Bo Ray 2", "Ann Lee, 1, Bo Ray, 2"] {
            assert_eq!(pair(line), same("Ann Lee", "1", "Bo Ray", "2"), "{line}");
        }
        for line in ["", "Ann", "1 2", "Ann 1", "Ann\t1"] {
            assert_eq!(pair(line), None, "{line}");
        }
        assert_eq!(first("1\t../a b.jpg"), Some(("1", "../a b.jpg")));
        assert_eq!(last("a b.jpg, 1"), Some(("a b.jpg", "1")));
    }

    #[test]
    fn a_path_ends_with_an_image_extension() {
        for path in ["Ann/Ann_0001.jpg", "Ann Lee/Ann Lee_0001.JPG", "Lee, Ann/a b.png", "x.jpg y/1.bmp"] {
            for rest in ["", "1", "-1", "same 0.5"] {
                for separator in ["\t", " ", ",", ", ", ";"] {
                    assert_eq!(image(&format!("{path}{separator}{rest}")), (path, rest), "{separator:?}");
                }
            }
        }
        assert_eq!(image("Ann Lee/Ann_0001 1"), ("Ann Lee/Ann_0001", "1"));
        assert_eq!(image("Ann Lee/Ann_0001\tsame"), ("Ann Lee/Ann_0001", "same"));
        assert_eq!((image("Ann Lee/1"), image("")), (("Ann Lee/1", ""), ("", "")));
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in any::<String>(), short in "[A1,\t; ]{0,12}") {
            for line in [line, short] {
                let _ = (pair(&line), first(&line), last(&line), fields(&line), image(&line));
            }
        }
    }
}
