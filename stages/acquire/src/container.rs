//! Containers: streams the images of a container into the data set, in constant memory.

mod colours;
mod crops;
mod pairs;
mod taker;

use std::path::{Path, PathBuf};

use lfs_faces::DataError;
use lfs_faces::dataset::Writer;
use lfs_formats::container::recordio::RecordIo;
use lfs_formats::container::{self, Container, Format};
use lfs_stage::{Context, Failure, IoContext, Result};

use crate::options::{Index, Layout, Options};
use taker::Taker;

/// Reads a container, or every set of pairs in a folder.
pub(crate) fn run(options: &Options, source: &Path, cx: &Context<'_>) -> Result<()> {
    let root = root(options, source)?;
    let writer = Writer::create(cx.output("dataset")?).map_err(failure)?;
    let mut taker = Taker::new(options, writer, cx);
    let (layout, format, list) = if options.layout == Layout::Pairs {
        ("pairs", "pairs", Some(pairs::read(&root, &mut taker)?))
    } else {
        ("container", one(options, &root, &mut taker)?, None)
    };
    let lists = cx.output("lists")?;
    std::fs::create_dir_all(lists).doing("create", lists)?;
    let (name, text) = match list {
        Some(text) => ("pairs.tsv", text),
        None => ("README.txt", "This container has no pairs.\n".to_owned()),
    };
    let path = lists.join(name);
    std::fs::write(&path, text).doing("write", &path)?;
    taker.finish(layout, format)
}

/// The path of the container in the source.
fn root(options: &Options, source: &Path) -> Result<PathBuf> {
    let Some(within) = options.within() else { return Ok(source.to_owned()) };
    let root = source.join(within);
    if root.exists() {
        return Ok(root);
    }
    let tree = crate::tree::Tree::new(source);
    Err(Failure::new(format!("the source has no `{within}` (`within`)"))
        .help(format!("it holds at its top: {}", tree.top())))
}

/// Reads the container at the root, and returns the name of its format.
fn one(options: &Options, root: &Path, taker: &mut Taker<'_>) -> Result<&'static str> {
    let format = container::format(root).map_err(failure)?;
    if format.name == "recordio" {
        let records = RecordIo::open(root).map_err(failure)?;
        expect(options, &records, "`property`", taker)?;
        if root.is_dir() {
            beside(options, root, &records, taker)?;
        }
        take(&records, taker)?;
    } else {
        let container = format.open(root).map_err(failure)?;
        if container.is_pairs() {
            return Err(Failure::new(
                "the source is a set of pairs, which says not whose its images are, so that it cannot train",
            )
            .help("`layout = \"pairs\"` reads it as a test set"));
        }
        expect(options, container.as_ref(), "the container", taker)?;
        take(container.as_ref(), taker)?;
    }
    judge(format, taker)?;
    Ok(format.name)
}

/// Requires crops to have the size that the container states; `who` names the place in error messages.
fn expect(options: &Options, container: &dyn Container, who: &str, taker: &mut Taker<'_>) -> Result<()> {
    match container.side() {
        Some(side) if options.crops => taker.crops.expect(who, side).map_err(failure),
        _ => Ok(()),
    }
}

fn take(container: &dyn Container, taker: &mut Taker<'_>) -> Result<()> {
    taker.begin(container.count());
    container.read(taker).map_err(failure)?;
    taker.end("the images")
}

/// Refuses containers that cannot be used for training.
fn judge(format: &Format, taker: &Taker<'_>) -> Result<()> {
    if taker.images == 0 {
        return Err(Failure::new(format!("the container ({}) holds no image", format.about)));
    }
    if taker.nameless > 0 {
        return Err(Failure::new(format!(
            "{} of {} images have no identity in the container ({}), so that it cannot train",
            taker.nameless, taker.images, format.about
        ))
        .help(match format.name {
            "lmdb" => "put a list with lines `key label` beside data.mdb, as the only .txt file there",
            "webdataset" => "each sample needs a file `key.cls`, or a `label` in its `key.json`",
            "parquet" => "a column `label` or `identity` is needed",
            "npz" => "an array of labels is needed beside that of the images",
            _ => "each image needs a folder that is its identity",
        }));
    }
    if taker.identities() < 2 {
        let text = "the container has one identity; two or more are needed to tell persons apart";
        return Err(Failure::new(text).help("is it the right file, and whole?"));
    }
    Ok(())
}

/// Checks the files beside an InsightFace training set: its index, and its test sets, which must match before a training starts.
fn beside(options: &Options, root: &Path, rec: &RecordIo, taker: &mut Taker<'_>) -> Result<()> {
    if !rec.has_index() && options.index == Index::Required {
        let name = rec.index().file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        return Err(Failure::new(format!("`{name}` is missing beside the records")).help(
            "fetch it, too: it shows whether the set is complete. `index = \"scan\"` reads the records without it",
        ));
    }
    if let Some(property) = rec.property().filter(|p| p.classes < 2) {
        return Err(Failure::new(format!(
            "`property` announces {} identities; two or more are needed to tell persons apart",
            property.classes
        )));
    }
    if options.crops { pairs::look_over(root, taker) } else { Ok(()) }
}

/// Converts an error about data.
fn failure(e: DataError) -> Failure {
    Failure::new(e.to_string())
}
