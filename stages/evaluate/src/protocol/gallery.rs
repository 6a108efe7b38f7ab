//! A gallery and probes of one's own: a list with lines `image role person`, separated by tabs, commas or blanks.
//!
//! The role is `gallery` or `probe`; `-` or -1 is the person of a distractor. Probes of persons who are not in the gallery are
//! searches without a mate. Lines starting with `#` and a line of titles are ignored.

use std::collections::HashMap;

use lfs_formats::names;
use lfs_stage::Result;

use super::{Lists, Searches};
use crate::rows::Rows;

/// Reads `labels.tsv`, or the one file that is given.
pub fn read(lists: &Lists, _: &Rows) -> Result<Searches> {
    let text = lists.read_only("labels.tsv")?;
    let mut persons: HashMap<String, i64> = HashMap::new();
    let (mut probes, mut gallery) = (Vec::new(), Vec::new());
    for line in text.lines().filter(|l| !l.text.starts_with('#')) {
        let fields = line.fields();
        let [path, role, person] = fields[..] else {
            return Err(line.fault("`image<tab>role<tab>person`"));
        };
        let next = persons.len() as i64;
        let person = match person {
            "-" | "-1" => -1,
            name => *persons.entry(name.to_owned()).or_insert(next),
        };
        let image = names::tidy(path);
        match role {
            "probe" if person >= 0 => probes.push((image, person)),
            "probe" => return Err(line.fault("the person of a probe")),
            "gallery" => gallery.push((image, person)),
            "role" => {}
            _ => return Err(line.fault("the role `probe` or `gallery`")),
        }
    }
    if probes.is_empty() || gallery.is_empty() {
        let (probes, gallery) = (probes.len(), gallery.len());
        return Err(
            text.fault(format!("{probes} probes and {gallery} gallery images; expected some of each"))
        );
    }
    Ok(Searches { probes, galleries: vec![gallery] })
}
