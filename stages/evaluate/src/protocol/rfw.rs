//! RFW: `txts/<Race>/<Race>_pairs.txt`, for African, Asian, Caucasian and Indian.
//!
//! As LFW's list, but without a header: ten folds, each with n lines `id<tab>i<tab>j` and n lines
//! `idA<tab>i<tab>idB<tab>j`; the image is `<Race>/id/id_%04d.jpg` below `data/`. Officially n = 300.

use lfs_stage::Result;

use super::{Group, Lists, balanced, named};

const FOLDS: usize = 10;
/// The groups, in the paper's order.
const GROUPS: [&str; 4] = ["Caucasian", "Indian", "Asian", "African"];

/// Reads the four lists.
pub fn read(lists: &Lists) -> Result<Vec<Group>> {
    GROUPS.iter().map(|name| group(lists, name)).collect()
}

fn group(lists: &Lists, name: &str) -> Result<Group> {
    let text = lists.read(&format!("{name}_pairs.txt"))?;
    let lines: Vec<_> = text.lines().collect();
    if lines.is_empty() || !lines.len().is_multiple_of(2 * FOLDS) {
        return Err(
            text.fault(format!("{} pairs; expected ten folds of as many same as different", lines.len()))
        );
    }
    let fold = lines.len() / FOLDS;
    let prefix = format!("{name}/");
    let pairs = lines.iter().enumerate().map(|(k, line)| named::pair(line, &prefix, (k / fold) as u32));
    Ok(Group { name: name.to_owned(), pairs: balanced(&text.file, pairs.collect::<Result<_>>()?)? })
}
