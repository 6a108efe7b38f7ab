//! The layouts: which files are images, their identities and landmarks, and which files are the protocol.

mod agedb;
mod cfp;
mod flat;
mod folders;
mod gallery;
mod ijb;
mod megaface;
mod rfw;
mod tinyface;
mod trillion;

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};

use lfs_formats::names;
use lfs_stage::{Failure, Result};

use crate::landmarks::composed;
use crate::left_out::LeftOut;
use crate::options::Layout;
use crate::planned::Planned;
use crate::tree::Tree;

/// The result of reading a layout.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) faces: Vec<Planned>,
    /// Protocol files, relative to the root of the source.
    pub(crate) lists: Vec<String>,
    /// Messages for the user.
    pub(crate) notes: Vec<String>,
    pub(crate) left_out: LeftOut,
}

/// Reads the layout of a source. `own_landmarks`: whether the set's own landmarks are used; `nested`: whether folders between
/// identity and image are allowed.
pub(crate) fn plan(layout: Layout, tree: &Tree, own_landmarks: bool, nested: bool) -> Result<Plan> {
    let mut plan = match layout {
        Layout::Folders => folders::plan(tree, None, own_landmarks, nested),
        Layout::Lfw => folders::plan(tree, Some(folders::LFW), own_landmarks, nested),
        Layout::Sllfw => folders::plan(tree, Some(folders::SLLFW), own_landmarks, nested),
        Layout::Calfw => flat::plan(tree, &flat::CALFW, own_landmarks),
        Layout::Cplfw => flat::plan(tree, &flat::CPLFW, own_landmarks),
        Layout::Agedb => agedb::plan(tree, own_landmarks),
        Layout::Cfp => cfp::plan(tree, own_landmarks),
        Layout::Rfw => rfw::plan(tree, own_landmarks),
        Layout::Megaface => megaface::plan(tree, own_landmarks),
        Layout::TrillionPairs => trillion::plan(tree, own_landmarks),
        Layout::Xqlfw => folders::plan(tree, Some(folders::XQLFW), own_landmarks, nested),
        Layout::IjbB => ijb::plan(tree, &ijb::IJB_B, own_landmarks),
        Layout::IjbC => ijb::plan(tree, &ijb::IJB_C, own_landmarks),
        Layout::Tinyface => tinyface::plan(tree),
        Layout::Gallery => gallery::plan(tree, own_landmarks),
        // Read elsewhere, in one pass.
        Layout::Container | Layout::Pairs => Ok(Plan::default()),
    }?;
    if plan.faces.is_empty() {
        let told = plan.left_out.told().into_values().fold(String::new(), |all, t| format!("{all}; {t}"));
        return Err(Failure::new(format!("the source holds no image where this layout has them{told}"))
            .help(format!("it holds at its top: {}; is `layout` right, is `within` needed?", tree.top())));
    }
    plan.faces.sort_by(|a, b| a.name.cmp(&b.name));
    plan.lists.sort();
    Ok(plan)
}

/// A name without its extension, normalised for comparison.
fn stem(name: &str) -> Cow<'_, str> {
    composed(names::stem(name))
}

/// Values by their names without extensions.
fn by_stem<'a, T>(all: impl Iterator<Item = (&'a str, T)>) -> HashMap<String, Vec<T>> {
    let mut stems: HashMap<String, Vec<T>> = HashMap::new();
    for (name, of) in all {
        stems.entry(stem(name).into_owned()).or_default().push(of);
    }
    stems
}

/// The existing images, to check lists against.
struct Known {
    names: HashMap<String, usize>,
    /// The indices of the images by name without extension.
    stems: HashMap<String, Vec<usize>>,
    /// The names in lists of images whose files have another extension.
    called: RefCell<BTreeMap<usize, String>>,
}

impl Known {
    fn new(faces: &[Planned]) -> Self {
        let names = faces.iter().enumerate().map(|(k, f)| (f.name.clone(), k)).collect();
        let stems = by_stem(faces.iter().enumerate().map(|(k, f)| (f.name.as_str(), k)));
        Self { names, stems, called: RefCell::default() }
    }

    /// Refuses a name without an image. An image whose file has another extension gets the name in the list.
    fn need(&self, name: &str, list: &str, line: impl std::fmt::Display) -> Result<()> {
        let both = |what: &str, help: &str| {
            Err(Failure::new(format!("{list}, {line}: the image `{name}` {what}")).help(help.to_owned()))
        };
        // The exact name takes precedence over another extension; an image listed under both would lose one of its names.
        let own = self.names.get(name).map(std::slice::from_ref);
        match own.or_else(|| self.stems.get(&*stem(name)).map(Vec::as_slice)) {
            Some(&[k]) => match self.called.borrow_mut().entry(k).or_insert_with(|| name.to_owned()) {
                before if before == name => Ok(()),
                before => {
                    both(&format!("is written `{before}` elsewhere"), "write it in one way in all lists")
                }
            },
            Some(_) => both("is there with several other endings", "leave the one that is meant"),
            None => {
                both("is missing", "the list and the images must be of the same set, and the set complete")
            }
        }
    }

    /// Gives images their names in the lists.
    fn call(self, faces: &mut [Planned]) {
        for (k, name) in self.called.into_inner() {
            faces[k].name = name;
        }
    }
}

/// Files by name without extension, for lists with another extension.
#[derive(Default)]
struct Stems(Option<HashMap<String, Vec<String>>>);

impl Stems {
    /// The file to which a path in a list refers, below a folder.
    fn file(&mut self, tree: &Tree, folder: &str, path: &str) -> Result<Option<String>> {
        let name = format!("{folder}/{path}");
        if path.split('/').any(|p| p == "..") {
            return Ok(None);
        }
        if tree.is_file(&name) {
            return Ok(Some(name));
        }
        if self.0.is_none() {
            let images = tree.images(folder, None, &mut LeftOut::default())?;
            self.0 = Some(by_stem(images.iter().map(|image| (image.as_str(), image.clone()))));
        }
        let found = self.0.as_ref().and_then(|s| s.get(&*stem(path)));
        Ok(found.filter(|f| f.len() == 1).map(|f| format!("{folder}/{}", f[0])))
    }
}

/// The files named by lists, with the entry of each.
#[derive(Default)]
struct Used(HashMap<String, String>);

impl Used {
    /// Refuses a second entry for one file.
    fn take(&mut self, file: &str, name: &str, list: &str, entry: usize) -> Result<()> {
        match self.0.insert(file.to_owned(), name.to_owned()) {
            None => Ok(()),
            Some(before) => Err(Failure::new(format!(
                "{list}, entry {entry}: `{name}` is the file `{file}`, and so is the entry `{before}`"
            ))
            .help("each entry needs its own image: remove one of the two, or add the missing file")),
        }
    }

    /// Reports the number of images in some folders that no list names.
    fn tell_others(&self, tree: &Tree, folders: &[&str], left_out: &mut LeftOut) -> Result<()> {
        let mut others = 0;
        for folder in folders {
            let images = tree.images(folder, None, left_out)?;
            for other in images.iter().map(|i| format!("{folder}/{i}")).filter(|i| !self.0.contains_key(i)) {
                left_out.row(&other, "in no list");
                others += 1;
            }
        }
        if others > 0 {
            left_out.other("in-no-list", format!("{others} images are in no list and are skipped"));
        }
        Ok(())
    }
}

/// The non-empty lines of a list, with their numbers.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(n, l)| (n + 1, l.trim())).filter(|(_, l)| !l.is_empty())
}

/// An error about a line of a list.
fn off(list: &str, line: usize, expected: &str, found: &str) -> Failure {
    let found: String = found.chars().take(80).collect();
    Failure::new(format!("{list}, line {line}: expected {expected}, found `{found}`"))
}

/// Prefixes the error with the landmark file.
fn landmark_failure(file: &str) -> impl Fn(lfs_faces::DataError) -> Failure + '_ {
    move |e| Failure::new(format!("{file}: {e}"))
}
