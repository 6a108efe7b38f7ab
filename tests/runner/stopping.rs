//! Ctrl-C.

use std::process::{Child, Stdio};

use rustix::process::{Pid, Signal, kill_process};

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
    kill_process(Pid::from_child(child), Signal::INT).unwrap();
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

#[test]
fn the_first_ctrl_c_ends_a_job_at_its_next_step_and_the_next_run_goes_on_there() {
    let p = crate::workers::fit();
    // Each epoch waits until it is seen.
    let text = p.read("perceptron.py");
    let slow = text.replace("import json", "import time, json");
    assert!(slow.contains("def "), "the example has functions");
    let mut lines: Vec<String> = slow.lines().map(str::to_owned).collect();
    let at = lines.iter().position(|l| l.contains("\"step-done\"")).expect("the example hands in steps");
    let indent: String = lines[at].chars().take_while(|c| c.is_whitespace()).collect();
    lines.insert(at, format!("{indent}time.sleep(0.3)"));
    p.write("perceptron.py", &lines.join("\n"));
    let events = p.path("events.jsonl");
    let mut child = p
        .command(&["run", "--events", events.to_str().unwrap(), "--set", "fit.epochs=50"])
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let steps = || std::fs::read_to_string(&events).unwrap_or_default().matches("node-step").count();
    wait_for(&|| steps() >= 2);
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let done = steps();
    assert!(done < 20, "{done} epochs of 50 were waited for");
    let ran = p.run_ok(&["--set", "fit.epochs=5"]);
    let known = ran.events.iter().filter(|e| e["event"] == "node-step" && e["known"] == true).count();
    assert_eq!(known, done.min(5), "what was done is kept");
}

#[test]
fn watching_reacts_to_inputs_alone() {
    let p = crate::support::chain();
    let text = p.read("pipeline.toml");
    let more = "[stage.more]\nkind = \"command\"\nrun = \"cat $IN_all > $OUT_o\"\ninput.all = { path = \"**/*.txt\" }\noutput.o = \"o\"\n";
    p.write("pipeline.toml", &format!("{text}{more}")).write("in/a.txt", "a\n");
    let watch = ["run", "--watch", "--events", "in/ev2.jsonl", "--html", "in/page.html"];
    let mut child = p.command(&watch).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(&|| p.path("out/all/all.txt").exists() && p.path("in/page.html").exists());
    std::thread::sleep(std::time::Duration::from_millis(600));
    p.write("thesis.tex", "not an input").write("notes.txt.bak", "nor this").write("in/ev.jsonl", "nor this");
    std::thread::sleep(std::time::Duration::from_millis(500));
    p.write("notes.txt", "three\n");
    wait_for(&|| p.read("out/all/all.txt").contains("three"));
    std::thread::sleep(std::time::Duration::from_millis(300));
    interrupt(&child);
    assert_eq!(child.wait().unwrap().code(), Some(130));
    let mut said = String::new();
    std::io::Read::read_to_string(&mut child.stderr.take().unwrap(), &mut said).unwrap();
    let changes: Vec<&str> = said.lines().filter(|l| l.starts_with("changed")).collect();
    assert_eq!(changes, ["changed     notes.txt"], "{said}");
}
