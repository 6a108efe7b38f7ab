//! A machine-readable description for data catalogues: Croissant 1.1 (MLCommons), with its fields on responsible AI.
//!
//! It lists the files of the data set with their SHA-256 digests, and the images as the rows of `faces.csv`, which lies beside it.

use std::fs::File;
use std::path::Path;

use lfs_stage::{Failure, IoContext, Result};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Params;
use crate::description::Description;

/// The file with one row for each image.
pub(crate) const ROWS: &str = "faces.csv";
/// Its columns: name, type, and meaning.
pub(crate) const COLUMNS: [(&str, &str, &str); 8] = [
    ("name", "sc:Text", "path relative to the root of the set"),
    ("identity", "sc:Text", "whose face it is, as the set calls the person"),
    ("group", "sc:Text", "the group that the set assigns"),
    ("width", "sc:Text", "width in pixels; empty where the image cannot be decoded"),
    ("height", "sc:Text", "height in pixels"),
    ("bytes", "sc:Integer", "bytes of the encoded image"),
    ("blake3", "sc:Text", "BLAKE3 digest of the encoded image"),
    ("unreadable", "sc:Text", "why the image cannot be decoded; empty where it can"),
];

/// Makes `croissant.json`. `rows` is the path of `faces.csv`.
pub(crate) fn croissant(params: &Params, d: &Description, rows: &Path, source: &Path) -> Result<String> {
    let name =
        if params.name.is_empty() { format!("face-images-{}", &d.digest[..12]) } else { params.name.clone() };
    let fields: Vec<Value> = COLUMNS
        .iter()
        .map(|(column, kind, about)| {
            json!({
                "@type": "cr:Field", "@id": format!("faces/{column}"), "name": format!("faces/{column}"), "description": about,
                "dataType": kind,
                "source": { "fileObject": { "@id": ROWS }, "extract": { "column": column } },
            })
        })
        .collect();
    let mut files = vec![file(ROWS, "text/csv", rows)?];
    for (name, kind) in
        [("faces.arrow", "application/vnd.apache.arrow.file"), ("dataset.json", "application/json")]
    {
        let path = source.join(name);
        if path.is_file() {
            files.push(file(name, kind, &path)?);
        }
    }
    let persons = d.identities.map_or(String::new(), |n| format!(" of {n} persons"));
    let mut all = json!({
        "@context": context(),
        "@type": "sc:Dataset",
        "conformsTo": ["http://mlcommons.org/croissant/1.1", "http://mlcommons.org/croissant/RAI/1.0"],
        "name": name,
        "description": format!("{} face images{persons}, as `{}`; {} cannot be decoded.", d.images, d.format, d.unreadable),
        "version": "1.0.0",
        "citeAs": "",
        "url": if params.origin.is_empty() { "about:blank" } else { &params.origin },
        "license": if params.licence.is_empty() { "not stated" } else { &params.licence },
        "distribution": files,
        "recordSet": [{ "@type": "cr:RecordSet", "@id": "faces", "name": "faces", "description": "one row an image", "field": fields }],
        "rai:dataCollection": said(&params.collection, "Not stated by who described this set."),
        "rai:dataLimitations": said(&params.limits, "Not stated by who described this set."),
        "rai:personalSensitiveInformation": said(&params.sensitive, "Photographs of faces with the identities of persons: biometric data."),
    });
    if let Some(map) = all.as_object_mut() {
        map.retain(|_, v| *v != json!(""));
    }
    let mut text = serde_json::to_string_pretty(&all).map_err(|e| Failure::new(e.to_string()))?;
    text.push('\n');
    Ok(text)
}

fn said<'a>(text: &'a str, else_: &'a str) -> &'a str {
    if text.is_empty() { else_ } else { text }
}

fn file(name: &str, kind: &str, path: &Path) -> Result<Value> {
    let mut hash = Sha256::new();
    let length = File::open(path).and_then(|mut f| std::io::copy(&mut f, &mut hash)).doing("read", path)?;
    Ok(json!({
        "@type": "cr:FileObject", "@id": name, "name": name, "contentUrl": name, "encodingFormat": kind,
        "sha256": format!("{:x}", hash.finalize()), "contentSize": format!("{length} B"),
    }))
}

/// The JSON-LD context, as the specification defines it.
fn context() -> Value {
    let mut context = json!({
        "@language": "en", "@vocab": "https://schema.org/", "sc": "https://schema.org/", "cr": "http://mlcommons.org/croissant/",
        "rai": "http://mlcommons.org/croissant/RAI/", "dct": "http://purl.org/dc/terms/", "conformsTo": "dct:conformsTo",
        "citeAs": "cr:citeAs", "examples": { "@id": "cr:examples", "@type": "@json" }, "data": { "@id": "cr:data", "@type": "@json" },
        "dataType": { "@id": "cr:dataType", "@type": "@vocab" },
    });
    let own = [
        "column",
        "extract",
        "field",
        "fileProperty",
        "fileObject",
        "fileSet",
        "format",
        "includes",
        "isLiveDataset",
        "jsonPath",
        "key",
        "md5",
        "parentField",
        "path",
        "recordSet",
        "references",
        "regex",
        "repeated",
        "replace",
        "separator",
        "source",
        "subField",
        "transform",
        "samplingRate",
        "equivalentProperty",
        "containedIn",
        "excludes",
        "isArray",
        "arrayShape",
        "value",
    ];
    if let Some(map) = context.as_object_mut() {
        for term in own {
            map.insert(term.to_owned(), json!(format!("cr:{term}")));
        }
    }
    context
}
