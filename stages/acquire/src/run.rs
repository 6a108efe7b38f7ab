//! The steps of the stage: verify, unpack, plan, read, write.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use lfs_faces::dataset::{FaceRef, Info, Writer};
use lfs_formats::landmarks::list::refuse_fractions;
use lfs_formats::names::is_image;
use lfs_rows::Work;
use lfs_stage::{Context, Failure, IoContext, Result};

use crate::layout::{Plan, plan};
use crate::options::{Layout, Options};
use crate::tree::Tree;
use crate::{archive, container, landmarks, pins};

/// The number of images that are read before they are written.
const AT_ONCE: usize = 256;

pub(crate) fn run(options: &Options, cx: &mut Context<'_>) -> Result<()> {
    let pool = lfs_rows::threads(cx.threads())?;
    let source = cx.input("source")?;
    if !source.exists() {
        return Err(Failure::new(format!("the source {} does not exist", source.display())));
    }
    pool.install(|| pins::verify(options, source))?;
    if matches!(options.layout, Layout::Container | Layout::Pairs) {
        if cx.input_opt("landmarks")?.is_some() {
            return Err(Failure::new(
                "a list of landmarks goes with folders and archives alone, not with a container",
            )
            .help("take `input.landmarks` out; a container has its landmarks inside"));
        }
        return container::run(options, source, cx);
    }
    let root = root(options, source, cx)?;
    let tree = Tree::new(&root).named(options.within(), source);
    let list = cx.input_opt("landmarks")?;
    let mut plan = plan(options.layout, &tree, list.is_none(), options.nested)?;
    if let Some(path) = list {
        const WHAT: &str = "the landmark list";
        let text = lfs_formats::text::decode(&std::fs::read(path).doing("read", path)?);
        let text = text.map_err(|e| Failure::new(format!("{WHAT}: {e}")))?;
        let entries = landmarks::read(&text, WHAT)?;
        landmarks::assign(&mut plan.faces, &entries, WHAT, &tree, &mut plan.left_out)?;
    }
    refuse_fractions(plan.faces.iter().filter_map(|f| f.points.as_ref()))
        .map_err(|e| Failure::new(e.to_string()))?;
    if let Some(text) = alike(&plan) {
        plan.left_out.say(text);
    }
    let without = plan.faces.iter().filter(|f| f.points.is_none()).count();
    if without > 0 {
        let text = format!("{without} of {} images have no landmarks", plan.faces.len());
        if list.is_some() || without < plan.faces.len() {
            plan.left_out.other("without-landmarks", text);
        } else {
            cx.note(text);
        }
    }
    for note in
        plan.notes.iter().chain(plan.left_out.said()).cloned().chain(plan.left_out.told().into_values())
    {
        cx.warn(note);
    }
    copy_lists(&tree, &plan, cx.output("lists")?)?;
    let taken = plan.faces.iter().map(|f| f.file.as_str()).chain(plan.lists.iter().map(String::as_str));
    plan.left_out.rest(tree.passed_over(&taken.collect()));
    plan.left_out.write(cx.output("report")?)?;
    write(options, &tree, plan, &pool, cx)
}

/// Identities whose names differ only in case or in the encoding of accents, and are perhaps the same person.
fn alike(plan: &Plan) -> Option<String> {
    let identities: BTreeSet<&str> = plan.faces.iter().map(|f| f.identity.as_str()).collect();
    let mut same: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for identity in identities {
        let plain = landmarks::composed(&landmarks::composed(identity).to_lowercase()).into_owned();
        same.entry(plain).or_default().push(identity);
    }
    let several: Vec<String> = same
        .into_values()
        .filter(|names| names.len() > 1)
        .map(|names| names.iter().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(" and "))
        .collect();
    (!several.is_empty()).then(|| {
        format!(
            "{} names belong to several identities that differ only in case, or in how letters with accents are written: {}",
            several.len(),
            crate::left_out::some(&several)
        )
    })
}

/// The folder that is the root of the set.
fn root(options: &Options, source: &Path, cx: &Context<'_>) -> Result<PathBuf> {
    let (mut root, mut within) = (source.to_owned(), options.within().map(str::to_owned));
    // An archive in the source, for example from `fetch`; the rest of the path is a folder in it.
    if source.is_dir()
        && let Some(path) = &within
        && let Some((archive, rest)) = archive_in(source, path)?
    {
        root = unpacked(options, &archive, cx)?;
        within = (!rest.is_empty()).then_some(rest);
    }
    if !source.is_dir() {
        root = cx.scratch().join("unpacked");
        std::fs::create_dir_all(&root).doing("create", &root)?;
        match archive::format(source)? {
            Some(_) => root = unpacked(options, source, cx)?,
            None => one_image(source, &root)?,
        }
    }
    if let Some(within) = &within {
        let tree = Tree::new(&root);
        if !tree.is_dir(within) {
            return Err(Failure::new(format!("the source has no folder `{within}` (`within`)"))
                .help(format!("it holds at its top: {}", tree.top())));
        }
        root = root.join(within);
    }
    Ok(root)
}

/// Unpacks an archive into the scratch folder of the job.
fn unpacked(options: &Options, path: &Path, cx: &Context<'_>) -> Result<PathBuf> {
    let root = cx.scratch().join("unpacked");
    std::fs::create_dir_all(&root).doing("create", &root)?;
    if let Some(format) = archive::format(path)? {
        cx.note(format!("unpacking {format:?}"));
        if let Some(told) = archive::unpack(path, format, &root, options.unpack_ratio)? {
            cx.warn(told);
        }
    }
    Ok(root)
}

/// The first archive on a path below a folder, and the rest of the path.
fn archive_in(folder: &Path, within: &str) -> Result<Option<(PathBuf, String)>> {
    let ends = within.match_indices('/').map(|(at, _)| at).chain([within.len()]);
    for end in ends {
        let path = folder.join(&within[..end]);
        if path.is_file() && archive::format(&path)?.is_some() {
            return Ok(Some((path, within[end..].trim_start_matches('/').to_owned())));
        }
    }
    Ok(None)
}

/// A single image becomes one identity, named after the file.
fn one_image(source: &Path, root: &Path) -> Result<()> {
    let name = source.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    if !is_image(name) {
        return Err(Failure::new(format!(
            "the source {} is neither a folder nor a .zip, .tar or .tar.gz archive, nor an image",
            source.display()
        ))
        .help("other archives must be unpacked first"));
    }
    let folder = root.join(name.rsplit_once('.').map_or(name, |(s, _)| s));
    std::fs::create_dir_all(&folder).doing("create", &folder)?;
    std::fs::copy(source, folder.join(name)).doing("copy", source)?;
    Ok(())
}

fn copy_lists(tree: &Tree, plan: &Plan, folder: &Path) -> Result<()> {
    std::fs::create_dir_all(folder).doing("create", folder)?;
    for list in &plan.lists {
        let to = folder.join(list);
        if let Some(parent) = to.parent() {
            std::fs::create_dir_all(parent).doing("create", parent)?;
        }
        // The bytes are written to a new file, since permissions and times are not part of the result.
        std::fs::write(&to, tree.bytes(list)?).doing("write", &to)?;
    }
    if plan.lists.is_empty() {
        let to = folder.join("README.txt");
        std::fs::write(&to, "This layout has no protocol files.\n").doing("write", &to)?;
    }
    Ok(())
}

fn write(
    options: &Options,
    tree: &Tree,
    plan: Plan,
    pool: &rayon::ThreadPool,
    cx: &Context<'_>,
) -> Result<()> {
    let failed = |e: lfs_faces::DataError| Failure::new(e.to_string());
    let left_out = plan.left_out.told();
    let names: BTreeSet<&str> = plan.faces.iter().map(|f| f.identity.as_str()).collect();
    let identities: Vec<String> = names.iter().map(|n| (*n).to_owned()).collect();
    let numbers: BTreeMap<&str, u32> = names.iter().zip(0..).map(|(n, k)| (*n, k)).collect();
    let mut writer = Writer::create(cx.output("dataset")?).map_err(failed)?;
    let all = Work { doing: "reading", rows: plan.faces.len(), at_once: AT_ONCE };
    all.run(
        cx,
        pool,
        |i| tree.bytes(&plan.faces[i].file),
        |i, image| {
            let planned = &plan.faces[i];
            let face = FaceRef {
                image: &image?,
                identity: numbers[planned.identity.as_str()],
                name: &planned.name,
                points: planned.points,
                group: planned.group.as_deref(),
                flags: 0,
            };
            writer.push(face).map_err(failed)
        },
    )?;
    let layout = serde_json::to_value(options.layout).ok().and_then(|v| v.as_str().map(str::to_owned));
    let notes = layout.map(|l| ("layout".to_owned(), l)).into_iter();
    let notes = notes.chain(left_out.into_iter().map(|(key, text)| (key.to_owned(), text))).collect();
    writer.finish(Info { identities, notes, ..Info::default() }).map_err(failed)
}
