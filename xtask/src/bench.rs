//! `cargo xtask bench`: what the built programs cost, on this machine. Numbers for people, never a test.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Instant;

use crate::cargo;
use crate::host::Host;
use crate::stop::{Doing, Result, Stop};

const LAYERS: usize = 10;
const WIDTH: usize = 100;
const GIB: usize = 2;

/// Builds and measures: start, a no-op run of 1,000 stages, hashing of a large input.
///
/// # Errors
/// When the build fails or a measured program does.
pub fn bench(host: &Host) -> Result<ExitCode> {
    let program = cargo::build(host)?;
    let folder = program.with_file_name("bench");
    if folder.exists() {
        fs::remove_dir_all(&folder).doing("remove", &folder)?;
    }
    println!("{:<44} {:>10} {:>10} {:>10}   aim", "", "best", "median", "worst");
    row(
        "lfs-pipe --version",
        "ms",
        "< 5 ms",
        &repeat(100, || time(Command::new(&program).arg("--version")))?,
    );
    layers(&program, &folder.join("layers"))?;
    big(host, &program, &folder.join("big"))?;
    align(&program, &folder.join("align"))?;
    fs::remove_dir_all(&folder).doing("remove", &folder)?;
    Ok(ExitCode::SUCCESS)
}

/// 1,000 small stages: 10 layers of 100, each stage joining two outputs of the layer below.
fn layers(program: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder.join("in")).doing("create", folder)?;
    let mut manifest = String::new();
    for layer in 0..LAYERS {
        for i in 0..WIDTH {
            let (run, inputs) = if layer == 0 {
                let file = folder.join(format!("in/s{i}.txt"));
                fs::write(&file, format!("source {i:08}\n")).doing("write", &file)?;
                ("grep -v '^#' $IN_a > $OUT_text", format!("input.a = {{ path = \"in/s{i}.txt\" }}"))
            } else {
                let (below, next) = (layer - 1, (i + 1) % WIDTH);
                (
                    "cat $IN_a $IN_b > $OUT_text",
                    format!("input.a = \"l{below}_{i}\"\ninput.b = \"l{below}_{next}\""),
                )
            };
            let _ = writeln!(
                manifest,
                "[stage.l{layer}_{i}]\nkind = \"command\"\nrun = \"{run}\"\n{inputs}\noutput.text = \"text.txt\"\n"
            );
        }
    }
    let file = folder.join("pipeline.toml");
    fs::write(&file, manifest).doing("write", &file)?;
    let run = || time(Command::new(program).arg("run").current_dir(folder));
    row("1,000 command stages, first run", "ms", "", &[run()?]);
    row("1,000 command stages, nothing to do", "ms", "< 50 ms", &repeat(20, run)?);
    Ok(())
}

/// One stage that reads a file of 2 GiB: the first run hashes it, the second trusts its stat.
fn big(host: &Host, program: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).doing("create", folder)?;
    let data = folder.join("big.bin");
    let mut out = File::create(&data).doing("create", &data)?;
    let mut block = vec![0_u8; 1 << 20];
    let mut state = 1_u64;
    for _ in 0..GIB << 10 {
        for eight in block.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            eight.copy_from_slice(&state.to_le_bytes());
        }
        out.write_all(&block).doing("write", &data)?;
    }
    drop(out);
    let manifest = "[stage.big]\nkind = \"command\"\nrun = \"wc -c < $IN_data > $OUT_count\"\n\
                    input.data = { path = \"big.bin\" }\noutput.count = \"count.txt\"\n";
    let file = folder.join("pipeline.toml");
    fs::write(&file, manifest).doing("write", &file)?;
    let run = || time(Command::new(program).arg("run").current_dir(folder));
    let mut first = Vec::new();
    for _ in 0..3 {
        for kept in ["cache", "out"] {
            let _ = fs::remove_dir_all(folder.join(kept));
        }
        first.push(run()?);
    }
    row("2 GiB input, from an empty cache", "ms", "b3sum's", &first);
    row("2 GiB input, nothing to do", "ms", "", &repeat(20, run)?);
    match host.find("b3sum") {
        Some(b3sum) => {
            row("b3sum of the same file", "ms", "", &repeat(3, || time(Command::new(&b3sum).arg(&data)))?)
        }
        None => println!("b3sum is not installed: `cargo install b3sum` for a comparison"),
    }
    Ok(())
}

/// Images a second through `align`, from a made training set to crops of 112 x 112.
fn align(program: &Path, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder).doing("create", folder)?;
    let manifest = "[stage.world]\nkind = \"synthesize\"\nsets = [\"train\"]\ntruncated = 0.0\n\n\
                    [stage.faces]\nkind = \"acquire\"\nlayout = \"folders\"\ninput.source = \"world.train\"\n\n\
                    [stage.align]\nkind = \"align\"\nwithout-landmarks = \"centre-crop\"\ninput.dataset = \"faces\"\n";
    let file = folder.join("pipeline.toml");
    fs::write(&file, manifest).doing("write", &file)?;
    let mut rates = Vec::new();
    for _ in 0..3 {
        let events = folder.join("events.jsonl");
        let mut run = Command::new(program);
        time(run.args(["run", "--force", "align", "--events"]).arg(&events).current_dir(folder))?;
        let text = fs::read_to_string(&events).doing("read", &events)?;
        let done = text.lines().find(|l| l.contains("\"node-finished\"") && l.contains("\"node\":\"align\""));
        let seconds = done.and_then(|l| number(l, "\"seconds\":")).unwrap_or(f64::NAN);
        let images = text.lines().filter_map(|l| number(l, "\"total\":")).fold(f64::NAN, f64::max);
        rates.push(-images / seconds);
    }
    // Negative while sorted, so that the fastest comes first as everywhere.
    rates.sort_by(f64::total_cmp);
    let cell = |i: usize| format!("{:.0} /s", -rates[i]);
    println!("{:<44} {:>10} {:>10} {:>10}   > 2000 /s", "images through align", cell(0), cell(1), cell(2));
    Ok(())
}

/// The number after a key in a line of JSON.
fn number(line: &str, key: &str) -> Option<f64> {
    let rest = line.split(key).nth(1)?;
    let end = rest.find([',', '}'])?;
    rest[..end].trim().parse().ok()
}

/// Milliseconds that a program takes; its output is discarded.
fn time(command: &mut Command) -> Result<f64> {
    let begun = Instant::now();
    let out = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
    let took = begun.elapsed().as_secs_f64() * 1e3;
    let out = out.doing("start", Path::new(command.get_program()))?;
    if out.status.success() {
        return Ok(took);
    }
    let text = String::from_utf8_lossy(&out.stderr);
    Err(Stop::new(format!("{} failed: {}", Path::new(command.get_program()).display(), text.trim())))
}

fn repeat(times: usize, mut measure: impl FnMut() -> Result<f64>) -> Result<Vec<f64>> {
    (0..times).map(|_| measure()).collect()
}

fn row(what: &str, unit: &str, aim: &str, took: &[f64]) {
    let mut sorted = took.to_vec();
    sorted.sort_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or(f64::NAN);
    let cell = |v: f64| format!("{v:.1} {unit}");
    let (best, median, worst) = (at(0), at(sorted.len() / 2), at(sorted.len().saturating_sub(1)));
    println!("{what:<44} {:>10} {:>10} {:>10}   {aim}", cell(best), cell(median), cell(worst));
}
