//! `cargo xtask`: from a fresh checkout to a result, without anything to export or install by hand.

mod bench;
mod cargo;
mod dist;
mod portable;
mod referees;
mod reproduce;
mod sets;

use std::process::ExitCode;

use host::Host;
use stop::{Result, Stop};
use xtask::{host, libtorch, recipe, stop};

const USAGE: &str = "\
cargo xtask COMMAND

  run [ARGS]        get libtorch, build, and run `lfs-pipe run ARGS` (without ARGS: pipeline.toml)
  reproduce TABLE [DIR] [-- ARGS]
                    say what a table of the paper needs and what of it is below DIR; with all of it there, get
                    libtorch, build, and run it (ARGS go to `lfs-pipe run`); without DIR, rehearse it on drawn faces
  test [ARGS]       get libtorch, build, and run every test (ARGS go to the test runner)
  check             get libtorch; formatting, lints, unused dependencies (where cargo-machete is installed)
  portable          whether emulated processors of other makers give the same bytes as this one (needs qemu-user)
  dist              build, and pack the programs as a wheel and a tarball into dist/
  bench             time the built programs: start, no-op run, hashing
  libtorch [--cuda] get libtorch alone; with --cuda the libraries for a GPU, beside it

All commands but `reproduce`, whose paths are yours, run in the root of the repository. An exported LIBTORCH is used instead of a download.
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match command(&Host::here(), &args) {
        Ok(code) => code,
        Err(stop) => {
            eprintln!("error: {stop}");
            ExitCode::from(stop.code)
        }
    }
}

fn command(host: &Host, args: &[String]) -> Result<ExitCode> {
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["run", "--", rest @ ..] | ["run", rest @ ..] => cargo::run(host, rest),
        ["reproduce", rest @ ..] => reproduce::reproduce(host, rest),
        ["test", "--", rest @ ..] | ["test", rest @ ..] => cargo::test(host, rest),
        ["check"] => cargo::check(host),
        ["portable"] => portable::portable(host),
        ["dist"] => dist::dist(host),
        ["bench"] => bench::bench(host),
        ["libtorch"] => libtorch::lean(host).map(|()| ExitCode::SUCCESS),
        ["libtorch", "--cuda"] => libtorch::cuda(host).map(|()| ExitCode::SUCCESS),
        [] | ["help" | "--help" | "-h"] => {
            print!("{USAGE}");
            Ok(ExitCode::SUCCESS)
        }
        [other, ..] => {
            let known =
                ["run", "reproduce", "test", "check", "portable", "dist", "bench", "libtorch", "help"]
                    .contains(other);
            let message = if known {
                format!("`{other}` does not take these arguments: {}", words[1..].join(" "))
            } else {
                format!("there is no command `{other}`")
            };
            Err(Stop::new(message).help("`cargo xtask help` lists the commands").code(2))
        }
    }
}
