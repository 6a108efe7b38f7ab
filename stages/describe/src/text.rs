//! The description for the terminal.

use std::fmt::Write as _;

use crate::description::{Description, Odd, Spread};

/// The maximum number of skipped or unreadable files that are listed.
const NAMED: usize = 10;

/// Renders the description as lines of text.
pub(crate) fn text(d: &Description) -> String {
    let mut out = String::new();
    let mut line = |what: &str, value: String| {
        let _ = writeln!(out, "{what:<20} {value}");
    };
    if !d.name.is_empty() {
        line("name", d.name.clone());
    }
    line("format", d.format.clone());
    if let Some([rows, columns]) = d.matrix {
        line("matrix", format!("{rows} x {columns}"));
    }
    // Lists and matrices have no digest and no images.
    if !d.digest.is_empty() {
        line("images", format!("{} ({} bytes)", d.images, d.bytes));
        line("identities", d.identities.map_or("not said".to_owned(), |n| n.to_string()));
        line("unreadable", d.unreadable.to_string());
    }
    if d.pairs > 0 {
        let same = d.pairs_of_one_person.map_or(String::new(), |n| format!(" ({n} of one person)"));
        line("pairs", format!("{}{same}", d.pairs));
    }
    if d.landmarks > 0 {
        line("with landmarks", d.landmarks.to_string());
    }
    for (what, spread) in
        [("images an identity", &d.images_per_identity), ("width", &d.widths), ("height", &d.heights)]
    {
        if let Some(spread) = spread {
            line(what, spread_text(spread));
        }
    }
    if let Some(gini) = d.imbalance {
        line("imbalance", format!("{gini:.3} (Gini, 0 is equal)"));
    }
    if !d.groups.is_empty() {
        line("groups", d.groups.iter().map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>().join(", "));
    }
    if !d.encodings.is_empty() {
        line("encodings", d.encodings.iter().map(|(k, n)| format!("{k} {n}")).collect::<Vec<_>>().join(", "));
    }
    if !d.colour_order.is_empty() {
        let seems = if d.colour_order == "bgr" { " (red and blue are exchanged, it seems)" } else { "" };
        line("colour order", format!("{}{seems}", d.colour_order));
    }
    if let Some(duplicates) = d.duplicates {
        line(
            "exact duplicates",
            format!(
                "{} within identities, {} across",
                duplicates.within_identities, duplicates.across_identities
            ),
        );
    }
    for (what, value) in [("licence", &d.licence), ("source", &d.source)] {
        if let Some(value) = value {
            line(what, value.clone());
        }
    }
    if !d.digest.is_empty() {
        line("digest", d.digest.clone());
    }
    for (what, value) in &d.notes {
        line(what, value.clone());
    }
    odd(&mut out, "cannot be decoded", &d.unreadable_images);
    odd(&mut out, "passed over", &d.passed_over);
    out
}

fn odd(out: &mut String, what: &str, all: &[Odd]) {
    if all.is_empty() {
        return;
    }
    let _ = writeln!(out, "\n{} {what}:", all.len());
    for one in all.iter().take(NAMED) {
        let _ = writeln!(out, "  {}: {}", one.name, one.why);
    }
    if all.len() > NAMED {
        let _ = writeln!(out, "  .. and {} more; the JSON has all of them", all.len() - NAMED);
    }
}

/// A distribution on one line.
pub(crate) fn spread_text(s: &Spread) -> String {
    if s.min == s.max {
        return s.min.to_string();
    }
    format!("{} to {}, median {}, mean {:.1}", s.min, s.max, s.median, s.mean)
}
