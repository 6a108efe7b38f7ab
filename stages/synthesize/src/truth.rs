//! The ground truth: tables against which cleaning, overlap removal and landmarks are scored.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use lfs_faces::dataset::Points;
use lfs_stage::{IoContext, Result};
use serde_json::json;

use crate::factors::{Factors, Glasses, Occlusion};
use crate::identity::NAMES;
use crate::item::Item;
use crate::params::Set;
use crate::training::Overlap;
use crate::world::World;

/// Writes the tables while the sets are written.
pub struct Truth<'w> {
    world: &'w World,
    folder: PathBuf,
    images: BufWriter<File>,
    faults: BufWriter<File>,
    people: BTreeSet<u64>,
    counts: BTreeMap<String, u64>,
    planted: BTreeMap<String, u64>,
}

/// An image and its points.
pub type Row<'a> = (&'a Item, Points);

const HEADER: &str = "set,path,identity,label,group,fault,yaw,pitch,roll,smile,mouth-open,brow-raise,light-x,light-y,\
light-z,gain,warmth,age,glasses,occlusion,blur,noise,quality,background,width,height,x1,y1,x2,y2,x3,y3,x4,y4,x5,y5";

impl<'w> Truth<'w> {
    /// Creates the tables in `folder`.
    ///
    /// # Errors
    /// If they cannot be created.
    pub fn create(world: &'w World, folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).doing("create", folder)?;
        let table = |name: &str, header: &str| -> Result<BufWriter<File>> {
            let path = folder.join(name);
            let mut out = BufWriter::new(File::create(&path).doing("create", &path)?);
            writeln!(out, "{header}").doing("write", &path)?;
            Ok(out)
        };
        Ok(Self {
            world,
            folder: folder.to_owned(),
            images: table("truth.csv", HEADER)?,
            faults: table("faults.csv", "set,path,fault,other")?,
            people: BTreeSet::new(),
            counts: BTreeMap::new(),
            planted: BTreeMap::new(),
        })
    }

    /// Adds the images of a set.
    ///
    /// # Errors
    /// If the tables cannot be written.
    pub fn add(&mut self, set: Set, rows: &[Row<'_>]) -> Result<()> {
        let name = set.name();
        *self.counts.entry(name.to_owned()).or_default() += rows.len() as u64;
        for (item, points) in rows {
            self.people.extend(item.person);
            let line = image_row(self.world, name, item, points);
            writeln!(self.images, "{line}").doing("write", &self.folder)?;
            if let Some(fault) = item.fault {
                let line = format!("{name},{},{},{}", item.path, fault.name(), item.other);
                writeln!(self.faults, "{line}").doing("write", &self.folder)?;
                *self.planted.entry(fault.name().to_owned()).or_default() += 1;
            }
        }
        Ok(())
    }

    /// Writes the other tables, and finishes all.
    ///
    /// # Errors
    /// If a table cannot be written.
    pub fn finish(mut self, overlaps: &[Overlap]) -> Result<()> {
        self.images.flush().doing("write", &self.folder)?;
        self.faults.flush().doing("write", &self.folder)?;
        let mut table = String::from("train,set,name,kind,identity\n");
        for o in overlaps {
            table += &format!("{},{},{},{},{}\n", o.folder, o.set, o.name, o.spelling.name(), o.person);
        }
        write(&self.folder.join("overlaps.csv"), table.as_bytes())?;
        let path = self.folder.join("identities.csv");
        let mut out = BufWriter::new(File::create(&path).doing("create", &path)?);
        writeln!(out, "identity,group,name,{}", NAMES.join(",").replace('_', "-")).doing("write", &path)?;
        for &number in &self.people {
            let person = self.world.person(number);
            let vector: Vec<String> = person.vector.iter().map(|v| format!("{v:.4}")).collect();
            let name = self.world.name(number).folder();
            writeln!(out, "{number},{},{name},{}", person.group.name(), vector.join(","))
                .doing("write", &path)?;
        }
        out.flush().doing("write", &path)?;
        let mut kinds: BTreeMap<&str, u64> = BTreeMap::new();
        for o in overlaps {
            *kinds.entry(o.spelling.name()).or_default() += 1;
        }
        let summary = json!({
            "images": self.counts,
            "people": self.people.len(),
            "faults": self.planted,
            "overlaps": kinds,
            "vector": NAMES.iter().map(|n| n.replace('_', "-")).collect::<Vec<_>>(),
            "seed": self.world.params.seed,
        });
        write(&self.folder.join("summary.json"), format!("{summary:#}\n").as_bytes())
    }
}

/// Writes a file, and creates its folders.
///
/// # Errors
/// If it cannot be written.
pub fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent).doing("create", parent)?;
    }
    std::fs::write(path, bytes).doing("write", path)
}

fn image_row(world: &World, set: &str, item: &Item, points: &Points) -> String {
    let f: &Factors = &item.factors;
    let (identity, group) = match item.person {
        Some(person) => (person.to_string(), world.group(person).name()),
        None => (String::new(), ""),
    };
    let glasses = match f.glasses {
        Glasses::None => "none",
        Glasses::Clear => "clear",
        Glasses::Dark => "dark",
    };
    let occlusion = match f.occlusion {
        Occlusion::None => "none",
        Occlusion::Object => "object",
        Occlusion::Mask => "mask",
        Occlusion::Hat => "hat",
    };
    let fault = item.fault.map_or("", crate::item::Fault::name);
    let mut line = format!(
        "{set},{},{identity},{},{group},{fault},{:.4},{:.4},{:.4},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{:.3},{:.1},\
         {glasses},{occlusion},{:.2},{:.2},{},{},{},{}",
        item.path,
        item.label,
        f.yaw,
        f.pitch,
        f.roll,
        f.smile,
        f.mouth_open,
        f.brow_raise,
        f.light[0],
        f.light[1],
        f.light[2],
        f.gain,
        f.warmth,
        f.age,
        f.blur,
        f.noise,
        f.quality,
        f.background,
        f.size[0],
        f.size[1],
    );
    for [x, y] in points {
        // A non-face has no points.
        match item.person {
            Some(_) => line += &format!(",{x:.2},{y:.2}"),
            None => line += ",,",
        }
    }
    line
}
