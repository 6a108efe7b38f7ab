//! Ctrl-C.

use std::process::{Child, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::cache::wait_for;
use crate::support::Project;

fn project() -> Project {
    let p = Project::new(
        "[stage.first]\nkind = \"command\"\nrun = \"touch $HOME/started; sleep $SECONDS_LONG; echo > $OUT_o\"\n\
         env = { SECONDS_LONG = \"${vars.seconds}\" }\noutput.o = \"o\"\n\
         [stage.second]\nkind = \"command\"\nrun = \"cp $IN_o $OUT_o\"\ninput.o = \"first\"\noutput.o = \"o\"\n\
         [vars]\nseconds = 1\n",
    );
    std::fs::create_dir(p.path("home")).unwrap();
    p
}

fn start(p: &Project, args: &[&str]) -> Child {
    let child = p.command(args).env("HOME", p.path("home")).stderr(Stdio::null()).spawn().unwrap();
    wait_for(&|| p.path("home/started").exists());
    child
}

fn interrupt(child: &Child) {
    kill(Pid::from_raw(child.id().cast_signed()), Signal::SIGINT).unwrap();
}

#[test]
fn once_lets_running_nodes_finish_and_keeps_them() {
    let p = project();
    let mut child = start(&p, &["run", "--events", "events.jsonl"]);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(p.read("events.jsonl").contains(r#"{"event":"run-stopping","running":1,"now":false}"#));
    let ran = p.run_ok(&[]);
    assert_eq!(ran.executed(), ["second"]);
}

#[test]
fn twice_stops_at_once_and_leaves_a_cache_that_works() {
    let p = project();
    let began = std::time::Instant::now();
    let mut child = start(&p, &["run", "--set", "seconds=120"]);
    interrupt(&child);
    std::thread::sleep(std::time::Duration::from_millis(300));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(began.elapsed().as_secs() < 100, "the stage was ended, not waited for");
    assert_eq!(p.run_ok(&[]).counts(), [2, 0, 0, 0]);
}

#[test]
fn watching_runs_again_when_something_changes_and_ends_with_ctrl_c() {
    let p = crate::support::chain();
    let all = |text: &str| p.path("out/all/all.txt").exists() && p.read("out/all/all.txt").contains(text);
    let mut child = p.command(&["run", "--watch"]).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&|| all("two"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    // As an editor does it: another file in the place of the old one.
    p.write(".notes.swp", "three\n");
    std::fs::rename(p.path(".notes.swp"), p.path("notes.txt")).unwrap();
    wait_for(&|| all("three"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    p.edit("greeting = \"hello\"", "greeting = ");
    std::thread::sleep(std::time::Duration::from_millis(600));
    p.edit("greeting = ", "greeting = \"good day\"");
    wait_for(&|| all("good day"));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    assert!(said.contains("changed     notes.txt") && said.contains("changed     pipeline.toml"), "{said}");
    assert!(said.contains("pipeline.toml:3"), "a mistake is told, and waited out: {said}");
}
