//! The program itself on machines where something is missing: one message, what to do, an exit code, no backtrace.

#![allow(clippy::unwrap_used)] // helpers of tests

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A repository root with a PATH of stand-ins.
struct Machine(tempfile::TempDir);

impl Machine {
    fn new(programs: &[(&str, &str)]) -> Self {
        let machine = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(machine.bin()).unwrap();
        for (name, script) in programs {
            let path = machine.bin().join(name);
            // Copied by another process, so that no handle open for writing is inherited by a test beside it.
            let text = machine.root().join(format!("{name}.sh"));
            fs::write(&text, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
            assert!(Command::new("cp").args([&text, &path]).status().unwrap().success());
        }
        machine
    }

    fn root(&self) -> &Path {
        self.0.path()
    }

    fn bin(&self) -> PathBuf {
        self.root().join("bin")
    }

    fn xtask(&self, args: &[&str], exported: &[(&str, &str)]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_xtask"));
        command.args(args).env("PATH", self.bin()).env("CARGO_MANIFEST_DIR", self.root().join("xtask"));
        command.env("CARGO", self.bin().join("cargo")).env_remove("LIBTORCH").env_remove("CXX");
        command.envs(exported.iter().copied()).output().unwrap()
    }

    /// Runs it and checks the form of a refusal; gives the message.
    fn refuses(&self, args: &[&str], exported: &[(&str, &str)]) -> String {
        let out = self.xtask(args, exported);
        let text = String::from_utf8(out.stderr).unwrap();
        assert!(!out.status.success(), "{text}");
        assert_eq!(text.matches("error:").count(), 1, "{text}");
        assert_eq!(text.matches("help:").count(), 1, "{text}");
        assert!(!text.contains("panicked") && !text.contains("RUST_BACKTRACE"), "{text}");
        assert!(!self.root().join(".libtorch").exists());
        text
    }
}

const PIP: (&str, &str) = ("python3", "exit 0");
const CXX: (&str, &str) = ("c++", "exit 0");

#[test]
fn without_python_it_says_what_to_install() {
    let text = Machine::new(&[CXX]).refuses(&["run"], &[]);
    assert!(text.contains("Python 3 is missing") && text.contains("python3-pip"), "{text}");
}

#[test]
fn without_pip_it_says_what_to_install() {
    let text = Machine::new(&[CXX, ("python3", "echo 'No module named pip' >&2; exit 1")])
        .refuses(&["libtorch"], &[]);
    assert!(text.contains("pip is not") && text.contains("ensurepip"), "{text}");
}

#[test]
fn without_a_compiler_nothing_is_fetched() {
    let text = Machine::new(&[PIP]).refuses(&["test"], &[]);
    assert!(text.contains("no C++ compiler") && text.contains("build-essential"), "{text}");
}

#[test]
fn without_a_network_it_says_so() {
    let pip = "[ \"$3\" = --version ] && exit 0\n\
               echo \"WARNING: Retrying (Retry(total=0)) after connection broken by 'NewConnectionError'\" >&2\n\
               echo 'ERROR: No matching distribution found for torch==2.11.0' >&2\nexit 1";
    let text = Machine::new(&[CXX, ("python3", pip)]).refuses(&["libtorch"], &[]);
    assert!(text.contains("no connection to the package registry") && text.contains("proxy"), "{text}");
}

#[test]
fn without_space_it_says_how_much_is_needed() {
    let df = "echo head; echo '/dev/x 100 90 10 90% /'";
    let text = Machine::new(&[CXX, PIP, ("df", df)]).refuses(&["libtorch"], &[]);
    assert!(text.contains("1.5 GB are needed") && text.contains("0.0 GB are free"), "{text}");
}

#[test]
fn pip3_alone_is_enough() {
    let pip = "[ \"$1\" = --version ] && exit 0\necho 'ERROR: pip3 was called' >&2; exit 1";
    let text = Machine::new(&[CXX, ("pip3", pip)]).refuses(&["libtorch"], &[]);
    assert!(text.contains("pip3 was called"), "{text}");
}

#[test]
fn a_wrong_libtorch_is_named_and_not_replaced() {
    let machine = Machine::new(&[CXX, PIP]);
    let text = machine.refuses(&["run"], &[("LIBTORCH", "/nowhere")]);
    assert!(text.contains("LIBTORCH=/nowhere") && text.contains("libtorch_cpu.so"), "{text}");
}

#[test]
fn an_unknown_command_is_wrong_usage() {
    let machine = Machine::new(&[]);
    let text = machine.refuses(&["runn"], &[]);
    assert!(text.contains("no command `runn`"), "{text}");
    assert_eq!(machine.xtask(&["libtorch", "--cdua"], &[]).status.code(), Some(2));
    assert!(machine.xtask(&["help"], &[]).status.success());
}

/// A libtorch as the user may have one.
fn theirs(machine: &Machine) -> String {
    let folder = machine.root().join("theirs");
    fs::create_dir_all(folder.join("lib")).unwrap();
    fs::create_dir_all(folder.join("include/ATen")).unwrap();
    for name in ["libtorch_cpu.so", "libtorch.so", "libc10.so"] {
        fs::write(folder.join("lib").join(name), "").unwrap();
    }
    fs::write(folder.join("build-version"), "2.11.0").unwrap();
    folder.display().to_string()
}

#[test]
fn tests_run_with_nextest_where_it_is_and_with_cargo_test_elsewhere() {
    for (nextest, expected) in [
        ("exit 0", "nextest run --release --workspace\ntest --release --doc --workspace\n"),
        ("exit 101", "test --release --workspace\n"),
    ] {
        let cargo = format!(
            "[ \"$1 $2\" = 'nextest --version' ] && {{ {nextest}; }}\n\
             echo \"$@\" >> calls; echo \"$LIBTORCH\" > libtorch"
        );
        let machine = Machine::new(&[CXX, ("cargo", &cargo)]);
        let libtorch = theirs(&machine);
        let out = machine.xtask(&["test"], &[("LIBTORCH", &libtorch)]);
        assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
        assert_eq!(fs::read_to_string(machine.root().join("calls")).unwrap(), expected);
        assert_eq!(fs::read_to_string(machine.root().join("libtorch")).unwrap().trim(), libtorch);
    }
}

#[test]
fn a_failing_build_ends_the_command() {
    let machine = Machine::new(&[CXX, ("cargo", "exit 101")]);
    let libtorch = theirs(&machine);
    let out = machine.xtask(&["check"], &[("LIBTORCH", &libtorch)]);
    assert_eq!(out.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&out.stderr).contains("`cargo fmt --all --check` failed"));
}
