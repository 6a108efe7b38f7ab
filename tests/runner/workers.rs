//! Workers: the example in `docs/examples`, and one with every fault.

use crate::support::{Project, Ran, called};

const FIT: &str = r#"
[workers]
mine = { command = ["python3", "perceptron.py"], files = ["perceptron.py"] }

[stage.fit]
kind = "perceptron"
epochs = 4
input.points = { path = "points.csv" }
"#;

pub fn fit() -> Project {
    let p = Project::new(FIT);
    p.write("perceptron.py", include_str!("../../docs/examples/perceptron.py"));
    // The points are not linearly separable, so that every epoch changes the weights.
    let point = |i: i32| {
        let (x, y) = (f64::from(i) * 0.618 % 1.0, f64::from(i) * 0.414 % 1.0);
        format!("{x},{y},{}\n", if (x + y > 1.0) == (i % 7 > 0) { 1 } else { -1 })
    };
    p.write("points.csv", &(0..40).map(point).collect::<String>());
    p
}

fn steps(ran: &crate::support::Ran, known: bool) -> usize {
    ran.events.iter().filter(|e| e["event"] == "node-step" && e["known"] == known).count()
}

#[test]
fn a_python_program_is_a_kind_and_its_steps_are_kept() {
    let p = fit();
    let ran = p.run_ok(&[]);
    assert_eq!((steps(&ran, true), steps(&ran, false)), (0, 4));
    assert!(p.read("out/fit/line.json").contains("\"w\""));
    assert_eq!(p.run_ok(&[]).counts(), [0, 1, 0, 0]);
    let more = p.run_ok(&["--set", "fit.epochs=7"]);
    assert_eq!((steps(&more, true), steps(&more, false)), (4, 3), "p8: 7 epochs after 4 cost 3");
    let straight = fit();
    straight.run_ok(&["--set", "fit.epochs=7"]);
    assert_eq!(p.read("out/fit/line.json"), straight.read("out/fit/line.json"));
}

#[test]
fn a_parameter_that_does_not_count_is_not_in_the_key() {
    let p = fit();
    p.run_ok(&[]);
    assert_eq!(p.run_ok(&["--set", "fit.decay.every=2"]).counts(), [0, 1, 0, 0]);
    let ran = p.run_ok(&["--set", "fit.order=reversed"]);
    assert_eq!(ran.counts(), [1, 0, 0, 0]);
    assert_eq!(
        p.run_ok(&["--set", "fit.order=reversed", "--set", "fit.decay.every=2"]).counts(),
        [1, 0, 0, 0]
    );
}

#[test]
fn a_default_that_is_written_out_changes_nothing() {
    let p = fit();
    p.run_ok(&[]);
    assert_eq!(p.run_ok(&["--set", "fit.rate=1", "--set", "fit.order=file"]).counts(), [0, 1, 0, 0]);
}

#[test]
fn a_new_worker_program_runs_its_stages_again_and_why_names_the_file() {
    let p = fit();
    p.run_ok(&[]);
    p.write("perceptron.py", &(include_str!("../../docs/examples/perceptron.py").to_owned() + "# changed\n"));
    let why = p.call(&["why", "fit"]).out;
    assert!(why.contains("code.perceptron.py: "), "{why}");
    assert_eq!(p.run_ok(&[]).counts(), [1, 0, 0, 0]);
}

#[test]
fn a_failure_of_a_stage_is_reported_and_the_worker_goes_on() {
    let p = fit();
    p.write("points.csv", "0,0\n");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("FAILED    fit: not enough values to unpack"), "{}", ran.err);
}

/// A worker that does what the pipeline asks for: it ends, talks nonsense, forgets its output.
const FAULTY: &str = r#"
import json, os, signal, sys
kind = {"name": "faulty", "summary": "", "inputs": [], "code": {}, "outputs": [{"name": "o", "path": "o", "about": ""}],
        "parameters": {"type": "object", "properties": {"how": {"type": "string"}}}}
if sys.argv[1] == "describe":
    if os.path.exists("describe-fails"): sys.exit("no kinds today")
    print(json.dumps({"protocol": 1, "worker": "faulty", "kinds": [kind]}))
    sys.exit()
for line in sys.stdin:
    job = json.loads(line)
    how = job["parameters"]["how"]
    print("on the error output", file=sys.stderr, flush=True)
    if how == "exit": sys.exit(3)
    if how == "killed": os.kill(os.getpid(), signal.SIGKILL)
    if how == "nonsense": print("this is no message", flush=True); open(job["outputs"]["o"], "w").close()
    print(json.dumps({"event": "done"}), flush=True)
"#;

/// A project with one worker, a script in Python, and one stage of its.
fn with_worker(name: &str, script: &str, stage: &str) -> Project {
    let p = Project::new(&format!(
        "[workers]\n{name} = {{ command = [\"python3\", \"{name}.py\"], files = [\"{name}.py\"] }}\n[stage.x]\n{stage}\n"
    ));
    p.write(&format!("{name}.py"), script);
    p
}

fn faulty(how: &str) -> Project {
    with_worker("bad", FAULTY, &format!("kind = \"faulty\"\nhow = \"{how}\""))
}

/// A worker whose values of `device` want GPUs, and which writes down those that it was given.
const GRAPHIC: &str = r#"
import json, os, sys, time
choices = {"device": {"auto": {"becomes": "cuda"}, "cpu": {}, "cuda": {"gpus": {"parameter": "replicas"}}}}
kind = {"name": "graphic", "summary": "", "inputs": [], "code": {}, "choices": choices,
        "outputs": [{"name": "o", "path": "o", "about": ""}],
        "parameters": {"type": "object", "properties": {
            "device": {"type": "string", "default": "auto"}, "replicas": {"type": "integer", "default": 1},
            "meet": {"type": "integer", "default": 0}, "name": {"type": "string", "default": ""}}}}
if sys.argv[1] == "describe":
    print(json.dumps({"protocol": 1, "worker": "graphic", "kinds": [kind]}))
    sys.exit()
for line in sys.stdin:
    job = json.loads(line)
    if job["parameters"]["meet"]:
        open("meets-" + job["parameters"]["name"], "w").close()
        until = time.time() + 30
        while sum(f.startswith("meets-") for f in os.listdir(".")) < job["parameters"]["meet"]:
            if time.time() > until: sys.exit("nobody came")
            time.sleep(0.01)
    with open(job["outputs"]["o"], "w") as out:
        out.write(job["parameters"]["device"] + " on " + (os.environ.get("CUDA_VISIBLE_DEVICES") or "none"))
    print(json.dumps({"event": "done"}), flush=True)
"#;

fn graphic(stage: &str) -> Project {
    with_worker("g", GRAPHIC, &format!("kind = \"graphic\"\n{stage}"))
}

fn with(p: &Project, variables: &[(&str, &str)], args: &[&str]) -> Ran {
    called(p.command(&[&["run"], args].concat()).envs(variables.iter().copied()))
}

#[test]
fn a_value_that_wants_gpus_is_given_as_many_and_nothing_else_sees_any() {
    let gpus = [("CUDA_VISIBLE_DEVICES", "3,5")];
    for (stage, expected) in [
        ("", "cuda on 3"),
        ("device = \"cpu\"", "cpu on none"),
        ("replicas = 2", "cuda on 3,5"),
        ("resources = { gpu = 2 }", "cuda on 3,5"),
    ] {
        let p = graphic(stage);
        let ran = with(&p, &gpus, &[]);
        assert_eq!(ran.code, 0, "{stage}: {}", ran.err);
        assert_eq!(p.read("out/x/o"), expected, "{stage}");
    }
    let ran = with(&graphic("resources = { gpu = 0 }"), &gpus, &[]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("stage `x` is given 0 GPUs and wants 1 GPU"), "{}", ran.err);
    let ran = with(&graphic("replicas = 3"), &gpus, &[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("it asks for 3 GPU, and this machine has 2"), "{}", ran.err);
}

#[test]
fn nodes_share_a_gpu_where_that_is_allowed() {
    let gpus = [("CUDA_VISIBLE_DEVICES", "0,1")];
    // Each waits for all four: were they not run at the same time, none would end.
    let p = graphic("matrix.n = [\"a\", \"b\", \"c\", \"d\"]\nname = \"${matrix.n}\"\nmeet = 4");
    let ran = with(&p, &gpus, &["-j", "4", "--share-gpu", "2"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let mut given: Vec<String> = ["a", "b", "c", "d"].map(|n| p.read(&format!("out/x/n={n}/o"))).to_vec();
    given.sort();
    assert_eq!(given, ["cuda on 0", "cuda on 0", "cuda on 1", "cuda on 1"]);
}

#[test]
fn a_worker_that_ends_in_the_middle_fails_its_node_with_what_it_said() {
    let ran = faulty("exit").run(&[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("the worker ended with exit code 3"), "{}", ran.err);
    assert!(ran.err.contains("| on the error output"), "{}", ran.err);
    let ran = faulty("killed").run(&[]);
    assert!(ran.err.contains("the worker was killed (signal 9)"), "{}", ran.err);
}

#[test]
fn nonsense_goes_to_the_log_and_a_missing_output_is_an_error() {
    let p = faulty("nonsense");
    p.run_ok(&[]);
    assert!(p.call(&["log", "x"]).out.contains("this is no message"));
    let ran = faulty("nothing").run(&[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("did not write its output `o`"), "{}", ran.err);
}

#[test]
fn a_worker_that_cannot_describe_itself_is_named() {
    let p = faulty("exit");
    p.write("describe-fails", "");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(
        ran.err.contains("worker `bad` failed to describe itself") && ran.err.contains("no kinds today"),
        "{}",
        ran.err
    );
    p.edit("python3", "no-such-program");
    let ran = p.run(&[]);
    assert!(ran.err.contains("cannot be started: no-such-program"), "{}", ran.err);
}

/// A worker that writes a value of its program, so that two versions of the program can be distinguished.
const VERSIONED: &str = r#"
import hashlib, json, sys, time
V = "1"
kind = {"name": "versioned", "summary": "", "inputs": [{"name": "i", "about": "", "shape": "optional"}],
        "code": {"v.py": hashlib.sha256(open("v.py", "rb").read()).hexdigest()},
        "outputs": [{"name": "o", "path": "o", "about": ""}], "parameters": {"type": "object", "properties": {}}}
if sys.argv[1] == "describe":
    print(json.dumps({"protocol": 1, "worker": "v", "kinds": [kind]}))
    sys.exit()
for line in sys.stdin:
    open(json.loads(line)["outputs"]["o"], "w").write(V)
    print(json.dumps({"event": "done"}), flush=True)
"#;

#[test]
fn what_a_worker_computes_that_changed_since_it_was_described_is_thrown_away() {
    let p = with_worker("v", VERSIONED, "kind = \"versioned\"\ninput.i = \"first\"");
    let text = p.read("pipeline.toml");
    let change = "sed -i 's/V = \"1\"/V = \"2\"/' $HOME/v.py";
    p.write(
        "pipeline.toml",
        &format!(
            "{text}[stage.first]\nkind = \"command\"\nrun = '''{change}; echo > $OUT_o'''\noutput.o = \"o\"\n"
        ),
    );
    let ran = called(p.command(&["run"]).env("HOME", p.path("")));
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("the worker `v` changed since the run began"), "{}", ran.err);
    assert!(!p.path("out/x/o").exists());
    p.run_ok(&[]);
    assert_eq!(p.read("out/x/o"), "2");
    p.write("v.py", VERSIONED);
    p.run_ok(&[]);
    assert_eq!(p.read("out/x/o"), "1", "and nothing of the other version was kept under the key of this one");
}

#[test]
fn a_worker_whose_output_would_lie_elsewhere_is_refused() {
    for path in ["../../../mine", "/tmp/mine", "", "a/../../b", "a\\u0000b"] {
        let script = VERSIONED.replace("\"path\": \"o\"", &format!("\"path\": \"{path}\""));
        let p = with_worker("v", &script, "kind = \"versioned\"");
        p.write("mine", "precious");
        let ran = p.run(&[]);
        assert_eq!((ran.code, ran.events.len()), (2, 0), "{path}: {}", ran.err);
        assert!(ran.err.contains("kind `versioned` cannot be used"), "{path}: {}", ran.err);
        assert_eq!(p.read("mine"), "precious");
    }
}

#[test]
fn a_worker_that_does_not_describe_itself_is_reported_and_given_up() {
    let p = with_worker("v", "import time; time.sleep(1000)", "kind = \"versioned\"");
    let began = std::time::Instant::now();
    let ran = p.run(&[]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(began.elapsed().as_secs() < 60);
    assert!(ran.err.contains("worker `v` has not described itself for 5 s"), "{}", ran.err);
    assert!(ran.err.contains("did not describe itself within 25 s"), "{}", ran.err);
    // A process that it leaves in the background is ignored.
    let script = format!(
        "import os, subprocess\nsubprocess.Popen(['sleep', '1000'], start_new_session=True)\n{VERSIONED}"
    );
    let p = with_worker("v", &script, "kind = \"versioned\"");
    let began = std::time::Instant::now();
    p.run_ok(&[]);
    assert!(began.elapsed().as_secs() < 20);
}

#[test]
fn a_checked_node_computes_its_steps_again_and_what_is_published_stays() {
    let p = fit();
    p.run_ok(&[]);
    let ran = p.run_ok(&["--check", "fit"]);
    assert_eq!((steps(&ran, true), steps(&ran, false)), (0, 4), "{}", ran.err);
    assert!(ran.err.contains("1 node gave the same bytes again"), "{}", ran.err);
    assert_eq!(p.run_ok(&[]).counts(), [0, 1, 0, 0]);
    // The same for a node that must run although its result is cached.
    let ran = p.run_ok(&["--force", "fit"]);
    assert_eq!((steps(&ran, true), steps(&ran, false)), (0, 4));
    // One that gives other bytes each time: the first is published, and stays.
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nrun = \"date +%N > $OUT_o\"\noutput.o = \"o\"\n\
         [stage.b]\nkind = \"command\"\nrun = \"cat $IN_o > $OUT_o\"\ninput.o = \"a\"\noutput.o = \"o\"\n",
    );
    p.run_ok(&[]);
    let published = p.read("out/a/o");
    let ran = p.run(&["--check", "a"]);
    assert_eq!((ran.code, ran.executed()), (3, vec!["a".to_owned()]), "{}", ran.err);
    assert!(ran.err.contains("`a.o` (published "), "{}", ran.err);
    assert_eq!((p.read("out/a/o"), p.run_ok(&[]).counts()), (published.clone(), [0, 2, 0, 0]));
    p.run_ok(&["--force", "a"]);
    assert_ne!(p.read("out/a/o"), published, "a forced run publishes anew");
}

#[test]
fn a_node_that_waits_for_a_gpu_delays_no_node_that_needs_none() {
    let p = Project::new(
        "[stage.train]\nkind = \"command\"\nmatrix.n = [1, 2, 3]\nresources = { gpu = 1 }\n\
         run = \"date +%s%N > $OUT_o; sleep 0.4 # ${matrix.n}\"\noutput.o = \"o\"\n\
         [stage.small]\nkind = \"command\"\nrun = \"date +%s%N > $OUT_o\"\noutput.o = \"o\"\n",
    );
    let ran = with(&p, &[("CUDA_VISIBLE_DEVICES", "0")], &["-j", "4"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    let began = |f: &str| p.read(f).trim().parse::<u64>().unwrap();
    let mut trainings: Vec<u64> = (1..4).map(|n| began(&format!("out/train/n={n}/o"))).collect();
    trainings.sort_unstable();
    assert!(began("out/small/o") < trainings[1], "before the second training began");
}

/// A worker that writes its process's number, with values that want processes of their own and a fact that counts with one device.
const SETTLING: &str = r#"
import json, os, sys
choice = lambda name: {"process": name, "facts": {"chosen": name}, "when": {"device": ["cpu"]}}
kind = {"name": "settling", "summary": "", "inputs": [], "code": {}, "outputs": [{"name": "o", "path": "o", "about": ""}],
        "choices": {"how": {"one": choice("one"), "two": choice("two")}},
        "parameters": {"type": "object", "properties": {
            "how": {"type": "string", "default": "any"}, "device": {"type": "string", "default": "cpu"}, "n": {"type": "integer"}}}}
if sys.argv[1] == "describe":
    print(json.dumps({"protocol": 1, "worker": "settling", "kinds": [kind]}))
    sys.exit()
for line in sys.stdin:
    job = json.loads(line)
    open(job["outputs"]["o"], "w").write(f"{os.getpid()}\n")
    print(json.dumps({"event": "done"}), flush=True)
"#;

#[test]
fn a_worker_that_settled_on_one_thing_is_given_no_work_that_wants_another() {
    let p = with_worker(
        "settling",
        SETTLING,
        "kind = \"settling\"\nmatrix = { n = [1, 2, 3], how = [\"any\", \"one\", \"two\"] }\nn = \"${matrix.n}\"\nhow = \"${matrix.how}\"",
    );
    p.run_ok(&["-j", "1"]);
    let processes = |how: &str| -> std::collections::BTreeSet<String> {
        (1..=3).map(|n| p.read(&format!("out/x/n={n},how={how}/o"))).collect()
    };
    let (one, two, any) = (processes("one"), processes("two"), processes("any"));
    assert_eq!((one.len(), two.len()), (1, 1), "each is kept for the next node that wants the same");
    assert!(one.is_disjoint(&two), "{one:?} {two:?}");
    assert!(any.iter().all(|process| one.contains(process) || two.contains(process)), "{any:?}");
    // The choice counts only with the device that it names.
    let shown = |more: &[&str]| p.call(&[&["show", "x[n=1,how=one]"], more].concat()).out;
    assert!(shown(&[]).contains("chosen"), "{}", shown(&[]));
    let elsewhere = ["--set", "x.device=gpu"];
    p.run_ok(&[&["-j", "1"], &elsewhere[..]].concat());
    assert!(!shown(&elsewhere).contains("chosen"), "{}", shown(&elsewhere));
}
