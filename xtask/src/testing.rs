//! A sandbox for tests: a repository root, a PATH of stand-in programs, and small wheels.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest, Sha256};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::host::Host;
use crate::recipe::{LEAN, Recipe, Wheel, hex};

/// A root and a PATH of its own, removed afterwards.
pub struct Sandbox(tempfile::TempDir);

impl Sandbox {
    /// Without any program.
    pub fn new() -> Self {
        let s = Self(tempfile::tempdir().unwrap());
        fs::create_dir_all(s.bin()).unwrap();
        s
    }

    /// The root of the repository.
    pub fn root(&self) -> &Path {
        self.0.path()
    }

    fn bin(&self) -> PathBuf {
        self.root().join("bin")
    }

    /// Puts a shell script into PATH.
    pub fn program(&self, name: &str, script: &str) {
        let path = self.bin().join(name);
        // Copied by another process: while this one holds a script open for writing, a test beside it may start a
        // program of its own, which inherits the handle, and the script cannot be started ("text file busy").
        let text = self.bin().join(format!(".{name}"));
        fs::write(&text, format!("#!/bin/sh\nPATH=/usr/bin:/bin\n{script}\n")).unwrap();
        fs::set_permissions(&text, fs::Permissions::from_mode(0o755)).unwrap();
        let _ = fs::remove_file(&path);
        assert!(Command::new("cp").args([&text, &path]).status().unwrap().success());
    }

    /// A machine with this PATH.
    pub fn host(&self) -> Host {
        Host { root: self.root().into(), path: self.bin().into(), libtorch: None, cxx: None }
    }

    /// A wheel with these members; its name, path and digest.
    pub fn wheel(&self, name: &'static str, members: &[(&str, &str)]) -> (PathBuf, Wheel) {
        let path = self.root().join(format!("{name}-1.whl"));
        let mut zip = ZipWriter::new(File::create(&path).unwrap());
        for (member, text) in members {
            zip.start_file(*member, SimpleFileOptions::default()).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap();
        let sha256 = hex(&Sha256::digest(fs::read(&path).unwrap()));
        (path, Wheel { name, version: "1", sha256: String::leak(sha256) })
    }

    /// The lean recipe over two small wheels in `served`, and a `python3` whose pip copies them from there.
    pub fn recipe(&self) -> Recipe {
        let torch = [
            ("torch/lib/libc10.so", "c10"),
            ("torch/lib/libtorch_cpu.so", "cpu, to be stripped"),
            ("torch/lib/libtorch_cuda.so", "large"),
            ("torch/lib/libgomp.so.1", "gomp"),
            ("torch/include/ATen/ATen.h", "#pragma once"),
        ];
        let nvidia = [
            ("nvidia/cu13/include/cuda_runtime_api.h", "head"),
            ("nvidia/cu13/lib/libcudart.so.13", "rt"),
            ("nvidia/cu13/lib/libcupti.so.13", "cupti"),
        ];
        let served = self.root().join("served");
        fs::create_dir_all(&served).unwrap();
        let mut wheels = Vec::new();
        for (path, wheel) in [self.wheel("torch", &torch), self.wheel("nvidia", &nvidia)] {
            fs::rename(&path, served.join(path.file_name().unwrap())).unwrap();
            wheels.push(wheel);
        }
        self.program("python3", &format!("{PIP}\ncp {}/* \"$dest\"", served.display()));
        Recipe { wheels: wheels.leak(), ..LEAN }
    }
}

/// The beginning of a stand-in for `python3 -m pip`: counts its downloads, finds the destination.
pub const PIP: &str = "\
[ \"$3\" = --version ] && exit 0
echo call >> \"$(dirname \"$0\")/../calls\"
while [ $# -gt 0 ]; do [ \"$1\" = --dest ] && dest=$2; shift; done";
