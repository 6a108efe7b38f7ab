//! Trillion-Pairs: `labels.tsv`, lines `path<tab>role<tab>identity`.
//!
//! The role is `probe` or `gallery`; the identity is a number, -1 for a distractor (always in the gallery,
//! each another person). The challenge never published its labels, so we define this file and the user must
//! supply it.

use lfs_formats::names;
use lfs_stage::Result;

use super::{Lists, Search};

/// Reads `labels.tsv`.
pub fn read(lists: &Lists) -> Result<Search> {
    let text = lists.read_only("labels.tsv")?;
    let mut out = Search::default();
    for line in text.lines().filter(|l| !l.text.starts_with('#')) {
        let fields = line.fields();
        let [path, role, identity] = fields[..] else {
            return Err(line.fault("`path<tab>role<tab>identity`"));
        };
        if identity == "identity" {
            continue;
        }
        let identity: i64 = line.number(identity, "an identity")?;
        match role {
            "probe" if identity >= 0 => out.probes.push((names::tidy(path), identity)),
            "probe" => return Err(line.fault("a probe with an identity of 0 or more")),
            "gallery" => out.gallery.push((names::tidy(path), identity)),
            _ => return Err(line.fault("the role `probe` or `gallery`")),
        }
    }
    if out.probes.is_empty() || out.gallery.is_empty() {
        let (probes, gallery) = (out.probes.len(), out.gallery.len());
        return Err(
            text.fault(format!("{probes} probes and {gallery} gallery images; expected some of each"))
        );
    }
    Ok(out)
}
