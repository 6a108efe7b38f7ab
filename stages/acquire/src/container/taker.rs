//! Checks the images of a container and writes them into the data set.

use std::collections::{HashMap, HashSet};

use lfs_faces::DataError;
use lfs_faces::dataset::{FaceRef, Info, Writer};
use lfs_formats::container::{Item, Sink};
use lfs_stage::{Context, Progress, Result};

use super::colours::{Colours, exchanged};
use super::crops::Crops;
use super::failure;
use crate::left_out::{self, some};
use crate::options::{self, Options};

/// The number of images between two progress reports.
const CHUNK: u64 = 4096;

/// Writes faces in the order of arrival.
pub(super) struct Taker<'a> {
    options: &'a Options,
    writer: Writer,
    cx: &'a Context<'a>,
    identities: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Digests of the names so far, to detect duplicates.
    seen: HashSet<[u8; 16]>,
    pub(super) crops: Crops,
    colours: Colours,
    set: Option<Set>,
    total: Option<u64>,
    pub(super) images: u64,
    pub(super) nameless: u64,
    passed_over: Vec<(String, String)>,
}

/// The verification set that is being read.
struct Set {
    name: String,
    /// The identity of each of its images, in order.
    persons: Vec<u32>,
    at: usize,
}

impl<'a> Taker<'a> {
    pub(super) fn new(options: &'a Options, writer: Writer, cx: &'a Context<'a>) -> Self {
        Self {
            options,
            writer,
            cx,
            identities: Vec::new(),
            numbers: HashMap::new(),
            seen: HashSet::new(),
            crops: Crops::default(),
            colours: Colours::default(),
            set: None,
            total: None,
            images: 0,
            nameless: 0,
            passed_over: Vec::new(),
        }
    }

    /// Starts a container with this number of images.
    pub(super) fn begin(&mut self, total: Option<u64>) {
        self.total = total.map(|n| self.images + n);
        self.colours = Colours::default();
    }

    /// Starts a verification set; `persons` are the identities of its images, counted from 0 within the set.
    pub(super) fn begin_set(&mut self, name: &str, persons: &[u32]) {
        self.begin(Some(persons.len() as u64));
        let before = self.identities.len() as u32;
        let count = persons.iter().max().map_or(0, |k| k + 1);
        self.identities.extend((0..count).map(|k| format!("{name}:{k}")));
        let persons = persons.iter().map(|k| before + k).collect();
        self.set = Some(Set { name: name.to_owned(), persons, at: 0 });
    }

    /// Ends a container: its colours are checked.
    pub(super) fn end(&mut self, who: &str) -> Result<()> {
        self.set = None;
        self.progress();
        if self.options.crops && self.wants_rgb() {
            self.colours.verdict(who).map_err(failure)?;
        }
        Ok(())
    }

    /// Whether images with exchanged red and blue are refused.
    pub(super) fn wants_rgb(&self) -> bool {
        self.options.colours == options::Colours::Rgb
    }

    /// Warns the user before a training starts.
    pub(super) fn warn(&self, text: &str) {
        self.cx.warn(text);
    }

    /// The number of identities.
    pub(super) fn identities(&self) -> usize {
        self.identities.len()
    }

    /// Records skipped entries and finishes the data set.
    pub(super) fn finish(self, layout: &str, format: &str) -> Result<()> {
        let mut notes =
            vec![("layout".to_owned(), layout.to_owned()), ("format".to_owned(), format.to_owned())];
        let rows = self.passed_over.iter().map(|(name, why)| (name.as_str(), why.as_str()));
        left_out::write(self.cx.output("report")?, rows)?;
        if !self.passed_over.is_empty() {
            let named: Vec<String> =
                self.passed_over.iter().map(|(name, why)| format!("`{name}` ({why})")).collect();
            let text = format!("{} passed over: {}", self.passed_over.len(), some(&named));
            self.cx.warn(text.clone());
            notes.push(("passed-over".to_owned(), text));
        }
        if self.crops.unreadable() > 0 {
            let text = format!(
                "{} images cannot be read, by their headers; `clean` drops them",
                self.crops.unreadable()
            );
            self.cx.warn(text.clone());
            notes.push(("unreadable".to_owned(), text));
        }
        let crop = self.crops.describe().filter(|_| self.options.crops);
        let info =
            Info { identities: self.identities, crop, notes: notes.into_iter().collect(), ..Info::default() };
        self.writer.finish(info).map_err(failure)
    }

    fn progress(&self) {
        self.cx.progress(Progress {
            doing: "reading".to_owned(),
            done: self.images,
            total: self.total,
            unit: "images".to_owned(),
            ..Progress::default()
        });
    }

    /// The number of an identity; a new one if the identity is new.
    fn number(&mut self, identity: &str) -> u32 {
        if let Some(number) = self.numbers.get(identity) {
            return *number;
        }
        let number = self.identities.len() as u32;
        self.identities.push(identity.to_owned());
        self.numbers.insert(identity.to_owned(), number);
        number
    }
}

impl Sink for Taker<'_> {
    fn item(&mut self, item: Item<'_>) -> Result<(), DataError> {
        let name = match &self.set {
            Some(set) => format!("{}/{}", set.name, item.name),
            None => item.name.to_owned(),
        };
        let mut digest = [0; 16];
        digest.copy_from_slice(&blake3::hash(name.as_bytes()).as_bytes()[..16]);
        if !self.seen.insert(digest) {
            return Err(DataError::new(format!(
                "two images are called `{name}`; it is ambiguous which is meant"
            )));
        }
        let own;
        let image = if self.options.colours == options::Colours::Bgr {
            own = exchanged(item.image).map_err(|e| e.within(format!("`{name}`")))?;
            &own
        } else {
            item.image
        };
        if self.options.crops {
            self.crops.see(&name, image)?;
            self.colours.see(image);
        }
        let identity = match &mut self.set {
            Some(set) => {
                set.at += 1;
                set.persons.get(set.at - 1).copied().unwrap_or_default()
            }
            None => match item.identity {
                Some(identity) => self.number(identity),
                None => {
                    self.nameless += 1;
                    self.number("")
                }
            },
        };
        let group = self.set.as_ref().map(|s| s.name.as_str()).or(item.group);
        self.writer.push(FaceRef { image, identity, name: &name, points: item.points, group, flags: 0 })?;
        self.images += 1;
        if self.images.is_multiple_of(CHUNK) {
            self.progress();
        }
        Ok(())
    }

    fn pair(&mut self, _: &str, _: &str, _: bool) -> Result<(), DataError> {
        // Pairs are known from the first pass.
        Ok(())
    }

    fn passed_over(&mut self, name: &str, why: &str) {
        self.passed_over.push((name.to_owned(), why.to_owned()));
    }
}
