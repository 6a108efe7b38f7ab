//! Faults at random instants. After each: the next run succeeds, its results are those of an undisturbed run, and
//! what was finished is not computed again.
//!
//! `LFS_TORTURE=N` gives the number of rounds (`just torture`); few by default. `LFS_TORTURE_SEED` repeats a campaign.

use std::collections::{BTreeMap, BTreeSet};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::support::{Project, files};

/// A small generator with a seed: campaigns can be repeated.
struct Dice(u64);

impl Dice {
    fn new(salt: u64) -> Self {
        let seed = std::env::var("LFS_TORTURE_SEED").ok().and_then(|s| s.parse().ok());
        let seed = seed.unwrap_or_else(|| {
            SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos() as u64
        });
        eprintln!("LFS_TORTURE_SEED={seed}");
        Self((seed ^ salt.wrapping_mul(0x9e37_79b9_7f4a_7c15)) | 1)
    }

    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % n
    }
}

fn rounds(few: usize) -> usize {
    std::env::var("LFS_TORTURE").ok().and_then(|n| n.parse().ok()).unwrap_or(few)
}

/// 24 nodes in three layers: files, folders, several inputs, and one that is read by all.
const GRID: &str = r#"
[vars]
nodes = [0, 1, 2, 3, 4, 5, 6, 7]

[stage.first]
kind = "command"
matrix = { n = "${vars.nodes}" }
run = "set -e; sleep 0.00${matrix.n}; sed s/x/${matrix.n}/ $IN_text > $OUT_text; echo 'first ${matrix.n}' >> $HOME/ran"
input.text = { path = "in/${matrix.n}.txt" }
output.text = "text.txt"

[stage.folder]
kind = "command"
matrix = { n = "${vars.nodes}" }
run = "set -e; mkdir -p f/deep; cat $IN_all > f/all; sleep 0.01; echo ${matrix.n} > f/deep/n; echo 'folder ${matrix.n}' >> $HOME/ran"
input.all = ["first[n=${matrix.n}]", "first[n=0]"]
output.folder = "f"

[stage.count]
kind = "command"
matrix = { n = "${vars.nodes}" }
run = "set -e; cat $IN_folder/deep/n $IN_common/a $IN_common/b | wc -c > $OUT_count; sleep 0.01; echo 'count ${matrix.n}' >> $HOME/ran"
input.folder = "folder[n=${matrix.n}]"
input.common = { path = "in/common" }
output.count = "count.txt"
"#;

fn grid() -> Project {
    let p = Project::new(GRID);
    // Inputs that are older than the run: recently modified ones are tested separately.
    for n in 0..8 {
        p.write(&format!("in/{n}.txt"), &format!("text x of {n}\n").repeat(40));
    }
    p.write("in/common/a", "a").write("in/common/b", "b").write("home/.keep", "");
    p
}

fn start(p: &Project, args: &[&str]) -> Child {
    let mut all = vec!["run", "-q"];
    all.extend(args);
    p.command(&all).env("HOME", p.path("home")).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
}

fn ran(p: &Project) -> Vec<String> {
    std::fs::read_to_string(p.path("home/ran")).unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The nodes whose results are cached.
fn finished(p: &Project) -> BTreeSet<String> {
    let status = p.json(&["status", "--json"]);
    let nodes = status["nodes"].as_array().unwrap();
    let cached = nodes.iter().filter(|n| n["state"] == "cached");
    cached.map(|n| n["node"].as_str().unwrap().to_owned()).collect()
}

/// Every file below `out`, with its bytes.
fn outputs(p: &Project) -> BTreeMap<PathBuf, Vec<u8>> {
    let root = p.path("out");
    let all = files(&root).into_iter().filter(|f| !f.starts_with(root.join(".lfs-pipe")));
    all.map(|f| (f.strip_prefix(&root).unwrap().to_owned(), std::fs::read(f).unwrap())).collect()
}

/// The outputs of an undisturbed run in another place, on the same inputs.
fn reference(p: &Project) -> BTreeMap<PathBuf, Vec<u8>> {
    let other = Project::new(&p.read("pipeline.toml"));
    for file in files(&p.path("in")) {
        let name = file.strip_prefix(p.path("")).unwrap().to_str().unwrap().to_owned();
        other.write(&name, &std::fs::read_to_string(file).unwrap());
    }
    other.write("home/.keep", "");
    assert!(start(&other, &[]).wait().unwrap().success());
    outputs(&other)
}

/// The next run succeeds, is right, and computes nothing again that was finished.
fn recovers(p: &Project, what: &str, wanted: &BTreeMap<PathBuf, Vec<u8>>) {
    let known = finished(p);
    let said = p.path("home/said");
    let output = p
        .command(&["run", "-q", "--overwrite", "--events", said.to_str().unwrap()])
        .env("HOME", p.path("home"))
        .output()
        .unwrap();
    assert!(output.status.success(), "after {what}: {}", String::from_utf8_lossy(&output.stderr));
    let events = std::fs::read_to_string(said).unwrap();
    let executed: BTreeSet<String> = events
        .lines()
        .map(|l| serde_json::from_str::<serde_json::Value>(l).unwrap())
        .filter(|e| e["event"] == "node-finished" && e["state"] == "executed")
        .map(|e| e["node"].as_str().unwrap().to_owned())
        .collect();
    let again: Vec<_> = executed.intersection(&known).collect();
    assert!(again.is_empty(), "after {what}: computed again: {again:?}");
    same(&outputs(p), wanted, what);
}

fn same(found: &BTreeMap<PathBuf, Vec<u8>>, wanted: &BTreeMap<PathBuf, Vec<u8>>, after: &str) {
    let all: BTreeSet<&PathBuf> = found.keys().chain(wanted.keys()).collect();
    let other: Vec<_> = all.into_iter().filter(|f| found.get(*f) != wanted.get(*f)).collect();
    let text = |b: Option<&Vec<u8>>| b.map(|b| String::from_utf8_lossy(b).into_owned());
    let first = other.first().map(|f| (text(found.get(*f)), text(wanted.get(*f))));
    assert!(other.is_empty(), "after {after}: {other:?}: {first:?}");
}

#[test]
fn p4_a_run_killed_at_any_instant_loses_only_what_was_running() {
    let mut dice = Dice::new(4);
    let p = grid();
    let wanted = reference(&p);
    for round in 0..rounds(12) {
        if dice.below(3) == 0 {
            std::fs::remove_dir_all(p.path("cache")).ok();
            std::fs::remove_dir_all(p.path("out")).ok();
        } else {
            // Another text: everything must be computed again, next to the old results.
            p.write("in/0.txt", &format!("text x of round {round}\n"));
        }
        let wanted = if p.path("cache").exists() { reference(&p) } else { wanted.clone() };
        for _ in 0..=dice.below(3) {
            let mut child = start(&p, &["-j", ["1", "2", "4"][dice.below(3)]]);
            std::thread::sleep(Duration::from_millis(dice.below(250) as u64));
            match dice.below(4) {
                // Its commands keep running without it.
                0 | 1 => child.kill().unwrap(),
                // A command is killed, too: its node fails, and the run with it.
                2 => {
                    kill_a_child(child.id());
                    std::thread::sleep(Duration::from_millis(dice.below(30) as u64));
                    child.kill().unwrap();
                }
                _ => {
                    let pid = Pid::from_child(&child);
                    kill_process(pid, Signal::INT).ok();
                    kill_process(pid, Signal::INT).ok();
                }
            }
            child.wait().unwrap();
        }
        let wanted = if p.read("in/0.txt").contains("round") { reference(&p) } else { wanted };
        recovers(&p, "being killed", &wanted);
    }
    let left = std::fs::read_dir(p.path("cache/scratch")).unwrap().flatten();
    let left: Vec<_> = left.filter(|e| e.path().is_dir()).collect();
    assert!(left.is_empty(), "folders of dead runs are removed: {left:?}");
}

fn kill_a_child(parent: u32) {
    let children = std::fs::read_to_string(format!("/proc/{parent}/task/{parent}/children"));
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let all = threads
        .filter_map(|t| std::fs::read_to_string(t.path().join("children")).ok())
        .chain(children.ok())
        .flat_map(|c| c.split_whitespace().filter_map(|p| p.parse().ok()).collect::<Vec<i32>>());
    for pid in all {
        kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).ok();
    }
}

#[test]
fn p6_flipped_bits_and_torn_files_are_never_served() {
    let mut dice = Dice::new(6);
    let p = grid();
    let wanted = reference(&p);
    assert!(start(&p, &[]).wait().unwrap().success());
    for _ in 0..rounds(12) {
        let mut all = files(&p.path("cache"));
        all.retain(|f| std::fs::metadata(f).unwrap().len() > 0);
        let file = &all[dice.below(all.len())];
        std::fs::set_permissions(file, PermissionsExt::from_mode(0o644)).unwrap();
        let mut bytes = std::fs::read(file).unwrap();
        match dice.below(3) {
            0 => bytes.truncate(dice.below(bytes.len())),
            1 => bytes.extend(b"more"),
            _ => {
                let bit = dice.below(8 * bytes.len());
                bytes[bit / 8] ^= 1 << (bit % 8);
            }
        }
        std::fs::write(file, bytes).unwrap();
        // Sometimes the outputs are removed, so that objects are needed.
        if dice.below(2) == 0 {
            std::fs::remove_dir_all(p.path("out")).unwrap();
        }
        let what = format!("damage of {}", file.display());
        let output = p.command(&["run", "-q"]).env("HOME", p.path("home")).output().unwrap();
        assert!(output.status.success(), "{what}: {}", String::from_utf8_lossy(&output.stderr));
        same(&outputs(&p), &wanted, &what);
    }
}

#[test]
fn p3_edits_that_hide_are_noticed() {
    let mut dice = Dice::new(3);
    let p = grid();
    assert!(start(&p, &[]).wait().unwrap().success());
    for round in 0..rounds(8) {
        let file = p.path(&format!("in/{}.txt", dice.below(8)));
        let before = std::fs::metadata(&file).unwrap();
        let text = std::fs::read_to_string(&file).unwrap();
        // The same size, another text.
        let edited: String = text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
        let edited = edited.replacen('0', &(round % 10).to_string(), 1);
        match dice.below(3) {
            // In place, with the old time put back.
            0 => {
                std::fs::write(&file, edited).unwrap();
                let time = before.modified().unwrap();
                std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
            }
            // By another file with an old time, as `mv` and `rsync -t` do.
            1 => {
                let other = p.path("in/.other");
                std::fs::write(&other, edited).unwrap();
                let time = before.modified().unwrap() - Duration::from_secs(86_400);
                std::fs::File::options().write(true).open(&other).unwrap().set_modified(time).unwrap();
                std::fs::rename(other, &file).unwrap();
            }
            // From the future: a clock that was set back since.
            _ => {
                std::fs::write(&file, edited).unwrap();
                let time = SystemTime::now() + Duration::from_secs(86_400);
                std::fs::File::options().write(true).open(&file).unwrap().set_modified(time).unwrap();
            }
        }
        recovers(&p, "a hidden edit", &reference(&p));
        recovers(&p, "nothing", &reference(&p));
    }
}

#[test]
fn p3_outputs_edited_at_any_time_are_right_in_the_end() {
    let mut dice = Dice::new(33);
    let p = grid();
    let wanted = reference(&p);
    let mut tampered = 0;
    for _ in 0..rounds(6) {
        std::fs::remove_dir_all(p.path("cache")).ok();
        let mut child = start(&p, &["-j2", "--overwrite"]);
        let began = Instant::now();
        // While it runs, its outputs are edited.
        while child.try_wait().unwrap().is_none() {
            let is_ours = |f: &Path| f.components().any(|c| c.as_os_str() == ".lfs-pipe");
            let there: Vec<_> = files(&p.path("out")).into_iter().filter(|f| !is_ours(f)).collect();
            if began.elapsed() > Duration::from_millis(30)
                && let Some(file) = there.get(dice.below(there.len().max(1)))
            {
                std::fs::write(file, "tampered\n").ok();
                tampered += 1;
            }
            std::thread::sleep(Duration::from_millis(dice.below(20) as u64));
        }
        assert!(child.wait().unwrap().success());
        recovers(&p, "tampering", &wanted);
    }
    assert!(tampered > 0);
}

#[test]
fn p5_many_runs_at_once_compute_everything_once_and_some_may_die() {
    let mut dice = Dice::new(5);
    let p = grid();
    let wanted = reference(&p);
    for _ in 0..rounds(5) {
        for folder in ["cache", "out"] {
            std::fs::remove_dir_all(p.path(folder)).ok();
        }
        std::fs::remove_file(p.path("home/ran")).ok();
        let count = 2 + dice.below(7);
        let mut children: Vec<Child> = (0..count).map(|_| start(&p, &["-j2"])).collect();
        let dying = dice.below(2) * dice.below(count);
        for child in children.iter_mut().take(dying) {
            std::thread::sleep(Duration::from_millis(dice.below(60) as u64));
            child.kill().unwrap();
        }
        for (i, child) in children.iter_mut().enumerate() {
            let status = child.wait().unwrap();
            assert!(i < dying || status.success(), "run {i} of {count}: {status}");
        }
        if dying == 0 {
            let all = ran(&p);
            assert_eq!(all.len(), 24, "each node once: {all:?}");
        }
        recovers(&p, "many runs at once", &wanted);
    }
}

#[test]
fn p5_runs_with_other_parameters_at_once_get_their_own_results() {
    let p = grid();
    p.edit("s/x/${matrix.n}/", "s/x/${vars.word}${matrix.n}/").edit("[vars]", "[vars]\nword = \"a\"");
    for _ in 0..rounds(3) {
        std::fs::remove_dir_all(p.path("cache")).ok();
        let words = ["a", "b", "c"];
        let sets: Vec<String> = words.iter().map(|w| format!("word={w}")).collect();
        let children: Vec<Child> = sets.iter().map(|s| start(&p, &["-j2", "--set", s])).collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        // The next run with the same parameters gets its own results, and nothing runs.
        for (word, set) in words.iter().zip(&sets) {
            let before = ran(&p).len();
            assert!(start(&p, &["--set", set]).wait().unwrap().success());
            assert_eq!(ran(&p).len(), before);
            assert!(p.read("out/first/n=3/text.txt").starts_with(&format!("te{word}3t")), "{word}");
        }
    }
}

/// Runs a script in which `mount` works; `None` if this machine does not allow it.
fn in_namespace(p: &Project, script: &str) -> Option<(String, bool)> {
    let probe =
        Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output().ok()?;
    if !probe.status.success() {
        eprintln!("skipped: no namespace can be made here");
        return None;
    }
    let output = Command::new("unshare")
        .args(["-rm", "sh", "-c", script])
        .current_dir(p.path(""))
        .env("LFS", env!("CARGO_BIN_EXE_lfs-pipe"))
        .env("HOME", p.path("home"))
        .env("LFS_WORKER", "none")
        .env_remove("LFS_CACHE")
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    Some((String::from_utf8_lossy(&text).into_owned(), output.status.success()))
}

#[test]
fn p4_a_full_disk_is_reported_and_nothing_is_lost() {
    let p = grid();
    let wanted = reference(&p);
    // More and more free space, so that each run ends at another point.
    let steps = if rounds(0) > 0 { "8 40 72 104 136 168 200 232 264 296 328" } else { "8 72 136 200" };
    let script = format!(
        "mkdir -p cache && mount -t tmpfs -o size=4m none cache || exit 99
        for free in {steps}; do
            head -c 4m /dev/zero > cache/filler 2>/dev/null
            size=$(stat -c %s cache/filler)
            truncate -s $((size - free * 1024)) cache/filler
            $LFS run -q -j2; echo \"code $?\"
            rm cache/filler
        done
        $LFS run -q && $LFS status | grep -vc cached"
    );
    let Some((said, _)) = in_namespace(&p, &script) else { return };
    let codes: Vec<&str> = said.lines().filter_map(|l| l.strip_prefix("code ")).collect();
    assert!(codes.iter().any(|c| *c != "0"), "{said}");
    assert!(codes.iter().all(|c| ["0", "1", "4"].contains(c)), "{said}");
    assert_eq!(codes.contains(&"4"), said.contains("free some space and run again"), "{said}");
    assert!(said.lines().any(|l| l == "0"), "in the end all is cached: {said}");
    same(&outputs(&p), &wanted, "that");
}

#[test]
fn a_disk_on_which_not_even_the_messages_have_room_is_no_panic() {
    let p = grid();
    let script = "$LFS run -v 2> /dev/full; echo \"code $?\"; $LFS plan -f none.toml 2> /dev/full; echo \"code $?\"
        LFS_LOG=debug $LFS run 2> /dev/full; echo \"code $?\"; $LFS status > /dev/full 2> /dev/full; echo \"code $?\"";
    let output = Command::new("sh")
        .args(["-c", script])
        .current_dir(p.path(""))
        .env("LFS", env!("CARGO_BIN_EXE_lfs-pipe"))
        .env("HOME", p.path("home"))
        .env("LFS_WORKER", "none")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "code 0\ncode 2\ncode 0\ncode 4\n");
}

#[test]
fn p4_a_full_output_folder_is_reported_and_the_results_are_kept() {
    let p = grid();
    let wanted = reference(&p);
    let script = "mkdir -p out && mount -t tmpfs -o size=64k none out || exit 99
        $LFS run -q -j2; echo \"code $?\"
        umount out; $LFS run -q && sort $HOME/ran | uniq -d | wc -l";
    let Some((said, _)) = in_namespace(&p, script) else { return };
    // The results are in the cache: only the nodes failed that found no space for their outputs.
    assert!(said.contains("code 1"), "{said}");
    assert!(said.contains("FAILED    folder[n="), "{said}");
    assert!(said.contains("free some space and run again"), "{said}");
    assert!(said.lines().any(|l| l == "0"), "no node ran twice: {said}");
    same(&outputs(&p), &wanted, "that");
}

#[test]
fn a_cache_that_can_only_be_read_serves_what_it_has_and_says_what_it_cannot() {
    let p = grid();
    assert!(start(&p, &[]).wait().unwrap().success());
    let script = "mount --bind cache cache && mount -o remount,ro,bind cache || exit 99
        $LFS run; echo \"code $?\"
        rm -r out; $LFS run -q; echo \"code $?\"
        echo other >> in/0.txt; $LFS run; echo \"code $?\"";
    let Some((said, _)) = in_namespace(&p, script) else { return };
    let codes: Vec<&str> = said.lines().filter_map(|l| l.strip_prefix("code ")).collect();
    assert_eq!(codes, ["0", "0", "4"], "{said}");
    assert!(said.contains("must be writable"), "{said}");
}

#[test]
fn a_cache_on_another_file_system_works_as_one_beside_the_project() {
    let Some(other) = [Path::new("/dev/shm")].into_iter().find(|p| p.is_dir()) else { return };
    let Ok(cache) = tempfile::tempdir_in(other) else { return };
    let p = grid();
    let wanted = reference(&p);
    let cache = cache.path().join("cache");
    let args = ["--cache", cache.to_str().unwrap()];
    assert!(start(&p, &args).wait().unwrap().success());
    same(&outputs(&p), &wanted, "that");
    std::fs::remove_dir_all(p.path("out")).unwrap();
    assert!(start(&p, &args).wait().unwrap().success());
    same(&outputs(&p), &wanted, "that");
    assert_eq!(ran(&p).len(), 24);
}
