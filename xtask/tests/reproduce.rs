//! `cargo xtask reproduce`: what is needed is reported before anything is compiled, and what is run is what was asked for.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A checkout with a cargo that only records its calls, a current folder, and an `lfs-pipe` that prints its arguments.
struct Checkout(tempfile::TempDir);

impl Checkout {
    fn new() -> Self {
        let checkout = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(checkout.at("bin")).unwrap();
        fs::create_dir_all(checkout.at("standing here")).unwrap();
        checkout.program("c++", "exit 0");
        checkout.program("cargo", "echo \"$@\" >> \"$(dirname \"$0\")/../compiled\"");
        checkout
            .program("lfs-pipe", "echo \"in $(/bin/pwd)\"; for a in \"$@\"; do echo \"<$a>\"; done; exit 3");
        assert!(
            Command::new("cp")
                .arg(env!("CARGO_BIN_EXE_xtask"))
                .arg(checkout.at("bin/xtask"))
                .status()
                .unwrap()
                .success()
        );
        for file in ["lib/libtorch_cpu.so", "lib/libtorch.so", "lib/libc10.so", "include/ATen/x"] {
            checkout.file(&format!("theirs/{file}"));
        }
        fs::write(checkout.at("theirs/build-version"), "2.11.0").unwrap();
        checkout
    }

    fn at(&self, path: &str) -> PathBuf {
        self.0.path().canonicalize().unwrap().join(path)
    }

    fn file(&self, path: &str) {
        fs::create_dir_all(self.at(path).parent().unwrap()).unwrap();
        fs::write(self.at(path), "").unwrap();
    }

    fn program(&self, name: &str, script: &str) {
        // Copied by another process, so that no handle open for writing is inherited by a test beside it.
        let text = self.at(&format!("{name}.sh"));
        fs::write(&text, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
        assert!(Command::new("cp").args([&text, &self.at("bin").join(name)]).status().unwrap().success());
    }

    /// Puts stand-ins in the place of data sets: a folder where a name ends in `/`.
    fn stand_ins(&self, folder: &str, names: &[&str]) {
        for name in names {
            match name.strip_suffix('/') {
                Some(name) => fs::create_dir_all(self.at(folder).join(name)).unwrap(),
                None => self.file(&format!("{folder}/{name}")),
            }
        }
    }

    fn call_from(&self, here: &Path, args: &[&str]) -> (i32, String, String) {
        let mut command = Command::new(self.at("bin/xtask"));
        command.arg("reproduce").args(args).current_dir(here).env_remove("CXX");
        command.env("PATH", self.at("bin")).env("CARGO_MANIFEST_DIR", self.at("xtask"));
        command.env("CARGO", self.at("bin/cargo")).env("LIBTORCH", self.at("theirs"));
        let Output { status, stdout, stderr } = command.output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        (status.code().unwrap(), text(stdout), text(stderr))
    }

    fn call(&self, args: &[&str]) -> (i32, String, String) {
        self.call_from(&self.at("standing here"), args)
    }

    fn compiled(&self) -> bool {
        self.at("compiled").exists()
    }

    /// Calls it, and gives the message of a refusal that came before anything was compiled.
    fn refuses(&self, args: &[&str]) -> (String, String) {
        let (code, out, err) = self.call(args);
        assert_eq!(code, 2, "{out}{err}");
        assert!(!self.compiled(), "{out}{err}");
        assert_eq!((err.matches("error:").count(), err.matches("help:").count()), (1, 1), "{err}");
        (out, err)
    }
}

const TABLE_2: [&str; 3] = ["casia-webface/", "casia-webface.landmarks.tsv", "rfw/"];

#[test]
fn a_folder_without_data_is_refused_with_all_that_is_missing() {
    let checkout = Checkout::new();
    checkout.stand_ins("standing here", &["data/"]);
    let (out, err) = checkout.refuses(&["table2", "data"]);
    for name in TABLE_2 {
        assert!(err.contains(name), "{err}");
        let place = checkout.at("standing here/data").join(name);
        assert!(out.contains(&format!("missing {}", place.display())), "{out}");
    }
    assert!(err.contains("3 of 3") && err.contains("nothing was compiled or run"), "{err}");
    for word in [
        "Institute of Automation",
        "494,414 images",
        "size unknown",
        "70.8 days",
        "30 images a second",
        "txts/",
    ] {
        assert!(out.contains(word), "{word}: {out}");
    }
}

#[test]
fn what_is_there_is_found_and_the_rest_alone_is_missing() {
    let checkout = Checkout::new();
    checkout.stand_ins("sets", &["casia-webface/", "casia-webface.landmarks.tsv"]);
    let (out, err) = checkout.refuses(&["table2", "../sets"]);
    assert_eq!((out.matches("  found ").count(), out.matches("  missing ").count()), (2, 1), "{out}");
    assert!(err.contains("1 of 3") && err.contains("rfw/") && !err.contains("casia"), "{err}");
}

#[test]
fn what_is_of_the_wrong_kind_is_missing_and_the_reason_is_reported() {
    let checkout = Checkout::new();
    checkout.stand_ins("sets", &["casia-webface", "casia-webface.landmarks.tsv/"]);
    std::os::unix::fs::symlink("nowhere", checkout.at("sets/rfw")).unwrap();
    let (_, err) = checkout.refuses(&["table2", "../sets"]);
    for reason in ["a folder is expected", "a file is expected", "leads nowhere"] {
        assert!(err.contains(reason), "{err}");
    }
}

#[test]
fn with_all_of_it_there_the_manifest_of_the_table_is_run_in_the_current_folder() {
    let checkout = Checkout::new();
    checkout.stand_ins("standing here/my data", &TABLE_2);
    let (code, out, err) = checkout.call(&["table2", "my data", "--set", "seeds=[0, 1]", "-q"]);
    assert!(checkout.compiled(), "{err}");
    // The run's own exit code is returned.
    assert_eq!(code, 3, "{out}{err}");
    assert_eq!(out.matches("  found ").count(), 3, "{out}");
    let expected = [
        format!("in {}", checkout.at("standing here").display()),
        "<run>".to_owned(),
        "<-f>".to_owned(),
        format!("<{}>", checkout.at("pipelines/table2.toml").display()),
        "<--set>".to_owned(),
        format!("<data={}>", checkout.at("standing here/my data").display()),
        "<--set>".to_owned(),
        "<seeds=[0, 1]>".to_owned(),
        "<-q>".to_owned(),
    ];
    assert!(out.contains(&expected.join("\n")), "{out}");
    assert!(!out.contains("REHEARSAL"), "{out}");
}

#[test]
fn a_folder_is_relative_to_the_place_that_is_named() {
    let checkout = Checkout::new();
    checkout.stand_ins("standing here/data", &TABLE_2);
    let from = checkout.at("standing here");
    let (code, out, err) =
        checkout.call_from(Path::new("/"), &["--from", from.to_str().unwrap(), "table2", "data"]);
    assert_eq!(code, 3, "{out}{err}");
    assert!(out.contains(&format!("in {}", from.display())), "{out}");
}

#[test]
fn without_a_folder_it_is_a_rehearsal_and_says_so_first() {
    let checkout = Checkout::new();
    checkout.stand_ins("data", &["rfw/"]);
    for (table, sets) in [
        ("table1", r#"<sets=["lfw", "sllfw", "calfw", "cplfw", "agedb", "cfp"]>"#),
        ("table2", "<table=table2>"),
        ("table3", "<world.identities=260>"),
        ("table4", r#"<sets=["megaface", "trillion-pairs"]>"#),
        ("table5", r#"<sets=["megaface", "trillion-pairs"]>"#),
    ] {
        let (code, out, err) = checkout.call(&[table, "--", "--keep-going"]);
        assert_eq!(code, 3, "{out}{err}");
        assert!(out.starts_with(&format!("REHEARSAL of {table}")), "{out}");
        assert!(
            out.contains("not those of the paper") && out.contains(&format!("just reproduce-{table} DIR")),
            "{out}"
        );
        assert!(out.contains("pipelines/rehearse.toml>") && out.contains(sets), "{out}");
        assert!(out.contains(&format!("<table={table}>")) && out.contains("<--keep-going>"), "{out}");
        assert!(out.contains("  missing ") && out.contains("forecast"), "{out}");
        assert_eq!(out.contains("  found "), table == "table2" || table == "table3", "{out}");
    }
}

#[test]
fn an_ablation_has_no_rehearsal_and_says_what_it_needs() {
    let (out, err) = Checkout::new().refuses(&["ablation-a"]);
    assert!(out.contains("ms-celeb-1m-v1c/") && err.contains("reproduce ablation-a DIR"), "{out}{err}");
}

#[test]
fn a_folder_that_is_none_is_refused_by_name() {
    let checkout = Checkout::new();
    checkout.file("standing here/file");
    for (name, word) in
        [("nothing", "no such folder"), ("file", "no folder"), ("", "empty"), ("file/x", "cannot be read")]
    {
        let (_, err) = checkout.refuses(&["table2", name]);
        assert!(err.contains(word) && err.contains(&format!("`{name}`")), "{err}");
    }
}

#[test]
fn a_name_that_is_no_table_is_refused_with_those_that_are() {
    let checkout = Checkout::new();
    for args in [&["table9"][..], &["table9", "data"], &["Table2"], &[], &["data"]] {
        let (_, err) = checkout.refuses(args);
        assert!(err.contains("table1, table2, table3, table4, table5, ablation-a, ablation-b"), "{err}");
    }
}
