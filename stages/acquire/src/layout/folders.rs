//! `identity/image.jpg`: training sets, LFW, SLLFW.

use std::collections::BTreeSet;

use lfs_formats::{lists, names};
use lfs_stage::{Failure, Result};

use super::{Known, Plan, Planned, lines, off};
use crate::landmarks::{assign, read};
use crate::tree::Tree;

/// The protocol of such folders.
pub(super) struct Protocol {
    list: &'static str,
    check: fn(&str, &Known, &str) -> Result<()>,
}

pub(super) const LFW: Protocol = Protocol { list: "pairs.txt", check: check_pairs };
pub(super) const SLLFW: Protocol = Protocol { list: "pair_SLLFW.txt", check: check_two_lines };

pub(super) const XQLFW: Protocol = Protocol { list: "xqlfw_pairs.txt", check: check_pairs };

/// The names of the image folder in the archives of LFW and XQLFW.
const FOLDERS: [&str; 6] = [
    "lfw-deepfunneled",
    "lfw_funneled",
    "lfw",
    "images",
    "lfw_original_imgs_min_qual0.85variant11",
    "xqlfw_aligned_112",
];

pub(super) fn plan(
    tree: &Tree,
    protocol: Option<Protocol>,
    own_landmarks: bool,
    nested: bool,
) -> Result<Plan> {
    let folder = if protocol.is_some() { images_folder(tree)? } else { "" };
    let mut plan = Plan::default();
    let images = tree.images(folder, Some(1), &mut plan.left_out)?;
    if !nested {
        plan.notes.extend(deeper(&images, tree)?);
    }
    for name in images {
        let Some((identity, _)) = name.split_once('/') else {
            return Err(Failure::new(format!("the image `{name}` lies at the top of the source")).help(
                "this layout has a folder for each identity: identity/image.jpg; if the source, or `within`, is the folder of \
                 one person, give the folder above it",
            ));
        };
        let file = if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") };
        plan.faces.push(Planned { identity: identity.to_owned(), file, name, ..Planned::default() });
    }
    if own_landmarks && tree.is_file("landmarks.tsv") {
        let entries = read(&tree.text("landmarks.tsv")?, "landmarks.tsv")?;
        assign(&mut plan.faces, &entries, "landmarks.tsv", tree, &mut plan.left_out)?;
    }
    if let Some(protocol) = protocol {
        let known = Known::new(&plan.faces);
        (protocol.check)(&tree.text(protocol.list)?, &known, protocol.list)?;
        known.call(&mut plan.faces);
        plan.lists.push(protocol.list.to_owned());
    }
    Ok(plan)
}

/// The image folder in a protocol's own archive, or the source itself if there is none. This applies only to protocols: an identity
/// may be called `lfw`.
fn images_folder(tree: &Tree) -> Result<&'static str> {
    let there: Vec<&'static str> = FOLDERS.into_iter().filter(|f| tree.is_dir(f)).collect();
    match there.as_slice() {
        [] => Ok(""),
        [one] => {
            // Some archives have a folder in a folder of the same name: `lfw-deepfunneled/lfw-deepfunneled/Ann`.
            let inside = FOLDERS.into_iter().find(|f| tree.is_dir(&format!("{one}/{f}")));
            match inside {
                Some(inside) if tree.entries(one)?.iter().all(|e| e == inside || !tree.is_dir(&format!("{one}/{e}"))) => {
                    Err(Failure::new(format!("the images lie in a folder of a folder, `{one}/{inside}`")).help(format!(
                        "move the folder `{inside}` out of `{one}`, so that it lies beside the list of pairs, or give a source with the \
                         list and the persons' folders in one folder"
                    )))
                }
                _ => Ok(one),
            }
        }
        several => Err(Failure::new(format!(
            "the source has several folders of images: {}",
            several.iter().map(|f| format!("`{f}`")).collect::<Vec<_>>().join(", ")
        ))
        .help(
            "which is meant cannot be told: leave one of them, or put the list of pairs into the folder that is meant and name it as \
             `within`",
        )),
    }
}

/// Refuses a tree in which most images lie deeper than `identity/image.jpg`: the first folders are probably not persons. If at most
/// half do, a note reports it.
fn deeper(images: &[String], tree: &Tree) -> Result<Option<String>> {
    let depth = |name: &String| name.split('/').count();
    let deep: Vec<&String> = images.iter().filter(|i| depth(i) > 2).collect();
    let Some(first) = deep.first() else { return Ok(None) };
    let n = deep.len();
    if 2 * n <= images.len() {
        return Ok(Some(format!(
            "{n} of {} images lie deeper than identity/image; the first folder of their path is taken for the identity",
            images.len()
        )));
    }
    let holder =
        |i: &str| i.rsplit('/').skip(2).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("/");
    let above: BTreeSet<String> = deep.iter().map(|i| holder(i)).collect();
    let above: Vec<String> = above.iter().map(|a| format!("`{a}`")).collect();
    let outer = tree.within().map_or_else(String::new, |w| format!("{w}/"));
    let example = holder(first);
    let depths: BTreeSet<usize> = images.iter().map(depth).collect();
    let how = if depths.len() == 1 {
        format!("every image lies {} folders deep", depth(first) - 1)
    } else {
        format!("{n} of {} images lie deeper than identity/image.jpg", images.len())
    };
    Err(Failure::new(format!(
        "{how}, like `{first}`; this layout has one folder for each identity: identity/image.jpg"
    ))
    .help(format!(
        "name the folder that holds the persons, like `within = \"{outer}{example}\"` (there are: {}); if the first folders are the \
         persons, set `nested = true`",
        crate::left_out::some(&above)
    )))
}

/// Checks a header `folds N`, then in each fold N lines `Name i j` and N lines `NameA i NameB j`.
fn check_pairs(text: &str, known: &Known, list: &str) -> Result<()> {
    let mut rows = lines(text);
    let (at, header) = rows.next().unwrap_or((1, ""));
    let numbers: Option<Vec<usize>> = lists::fields(header).iter().map(|w| w.parse().ok()).collect();
    let Some([folds, pairs]) = numbers.as_deref() else {
        return Err(off(list, at, "a header `10 300` (folds, pairs of a sort in a fold)", header));
    };
    let mut found = 0_usize;
    for (at, line) in rows {
        check_pair(line, known, list, at, |name, n| format!("{name}/{name}_{n:04}.jpg"))?;
        found += 1;
    }
    let wanted = folds.saturating_mul(*pairs).saturating_mul(2);
    if found != wanted {
        return Err(Failure::new(format!(
            "{list}: the header promises {folds} folds of 2 x {pairs} pairs, {wanted} in all; found {found}"
        )));
    }
    Ok(())
}

/// Checks a line `Name i j` or `NameA i NameB j`: both images must exist.
pub(super) fn check_pair(
    line: &str,
    known: &Known,
    list: &str,
    at: usize,
    file: impl Fn(&str, u32) -> String,
) -> Result<()> {
    let both = lists::pair(line).ok_or_else(|| off(list, at, "`Name i j` or `NameA i NameB j`", line))?;
    for (name, number) in both.images {
        let n = number
            .parse::<u32>()
            .map_err(|_| off(list, at, "`Name i j` or `NameA i NameB j` with image numbers", line))?;
        known.need(&file(&name, n), list, format_args!("line {at}"))?;
    }
    Ok(())
}

/// Checks two lines for each pair, each with an image.
fn check_two_lines(text: &str, known: &Known, list: &str) -> Result<()> {
    let mut n = 0_usize;
    for (at, line) in lines(text) {
        // In some copies a label follows the path, which `evaluate` accepts, too.
        let (path, _) = lists::image(line);
        known.need(&names::tidy(path), list, format_args!("line {at}"))?;
        n += 1;
    }
    if n == 0 || !n.is_multiple_of(2) {
        return Err(Failure::new(format!("{list}: expected two lines a pair, found {n} lines")));
    }
    Ok(())
}
