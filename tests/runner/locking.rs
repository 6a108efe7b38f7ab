//! `pipeline.lock`: `lock`, `run --locked`, `verify`; and `run --check`.

use crate::support::{Project, Ran, chain};

#[test]
fn a_locked_run_gives_what_is_locked_and_nothing_else() {
    let p = chain();
    let ran = p.run(&["--locked"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("there is no lock file"), "{}", ran.err);
    assert!(p.call(&["lock"]).err.contains("`words` has no result yet"));
    p.run_ok(&[]);
    assert!(p.call(&["lock"]).out.contains("pipeline.lock: 4 nodes"));
    p.run_ok(&["--locked"]);
    let text = p.read("pipeline.lock");
    assert!(text.contains("[node.\"times[n=2]\"]\nkind = \"command\"\nkey = "), "{text}");
    // On a clean checkout everything is computed, and is the same.
    p.call(&["clean", "--cache-too"]);
    assert_eq!(p.run_ok(&["--locked"]).counts(), [4, 0, 0, 0]);
    assert!(p.call(&["verify"]).out.contains("4 of 4 nodes exact: reproduced\n4 nodes exact\n"));
    assert_eq!(p.call(&["lock"]).code, 0);
    assert_eq!(p.read("pipeline.lock"), text, "the same results give the same file");
    // Another input: noticed before anything runs.
    p.write("notes.txt", "three\n");
    let ran = p.run(&["--locked"]);
    assert_eq!((ran.code, ran.events.len()), (3, 0), "{}", ran.err);
    assert!(ran.err.contains("words: its inputs differ"), "{}", ran.err);
    assert!(ran.err.contains("lfs-pipe lock"), "{}", ran.err);
    p.write("notes.txt", "one\ntwo\n");
    // A stage more, and one less.
    p.edit("[stage.all]", "[stage.every]");
    let ran = p.run(&["--locked"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("every: it is not in the lock file"), "{}", ran.err);
    assert!(ran.err.contains("all: it is in the lock file, and not in the pipeline"), "{}", ran.err);
}

#[test]
fn other_bytes_are_reported_with_exit_code_3() {
    // The time reaches the result: the key is the same, the bytes are not.
    let p = Project::new(
        "[stage.when]\nkind = \"command\"\nrun = \"date +%N > $OUT_o\"\noutput.o = \"o\"\n\
         [stage.what]\nkind = \"command\"\nrun = \"echo what > $OUT_o\"\noutput.o = \"o\"\n",
    );
    p.run_ok(&[]);
    p.call(&["lock"]);
    assert_eq!(p.call(&["verify"]).code, 0, "what is cached is what is locked");
    let said = p.call(&["verify", "--fresh"]);
    assert_eq!(said.code, 3);
    assert!(
        said.out
            .contains("1 of 2 nodes exact, 1 node different: not reproduced\n1 node exact, 1 different\n"),
        "{}",
        said.out
    );
    assert!(said.err.contains("when: other bytes: o"), "{}", said.err);
    assert_eq!(p.call(&["verify"]).code, 0, "the fresh run left nothing behind");
    let ran = p.run(&["--check", "what"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("1 node gave the same bytes again"), "{}", ran.err);
    let ran = p.run(&["--check", "when"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("not deterministic: other bytes the second time: `when.o`"), "{}", ran.err);
}

#[test]
fn a_file_that_is_no_lock_file_is_reported() {
    let p = chain();
    p.run_ok(&[]);
    for (text, said) in [
        ("nonsense", "is no lock file"),
        ("version = 9", "it has the form 9"),
        ("version = 1\n[node.words]\nkind = 3", "is no lock file"),
        ("version = 2\n[node.words]\nkind = \"command\"\ncells.x = 3", "is no lock file"),
    ] {
        p.write("pipeline.lock", text);
        let ran = p.call(&["verify"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn a_locked_run_wants_the_very_same_also_elsewhere_and_code_is_named() {
    let p = crate::workers::fit();
    p.run_ok(&[]);
    p.call(&["lock"]);
    let text = p.read("pipeline.lock");
    let key = text.lines().find(|l| l.starts_with("key = ")).unwrap();
    let fact = text.lines().find(|l| l.starts_with("python = ")).unwrap();
    let other = text.replace(key, &format!("key = \"{}\"", "1".repeat(64))).replace(fact, "python = \"1.5\"");
    p.write("pipeline.lock", &other);
    let ran = p.run(&["--locked"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("python was `1.5`"), "{}", ran.err);
    // Another source: its file is named.
    p.write("pipeline.lock", &text);
    p.write("perceptron.py", &(p.read("perceptron.py") + "\n# another remark\n"));
    let ran = p.run(&["--locked"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("code: "), "{}", ran.err);
}

/// A worker on a machine that `machine.json` describes: what it measures is that machine's, and a sheet makes a cell of it.
const MACHINE: &str = r#"
import json, pathlib, sys
machine = json.loads(pathlib.Path("machine.json").read_text())
kind = lambda name, inputs, facts: {"name": name, "summary": name, "parameters": {"type": "object", "properties": {}},
    "inputs": inputs, "outputs": [{"name": "o", "path": "o.json", "about": "it"}], "code": {"code": "1"}, "facts": facts}
reads = [{"name": "from", "about": "it", "shape": "one"}]
say = lambda **message: print(json.dumps(message), flush=True)
if sys.argv[1] == "describe":
    kinds = [kind("measure", [], {"machine": machine["name"]}), kind("sheet", reads, {})]
    print(json.dumps({"protocol": 1, "worker": "machine 1", "kinds": kinds}))
    sys.exit()
for line in sys.stdin:
    job = json.loads(line)
    out = pathlib.Path(job["outputs"]["o"])
    if job["kind"] == "sheet":
        measured = json.loads(pathlib.Path(job["inputs"]["from"]["one"]).read_text())
        say(event="cell", name="row, column", **measured["cell"])
        say(event="finding", claim="row against other", verdict=measured["verdict"])
        out.write_text(json.dumps(measured))
    else:
        out.write_text(json.dumps(machine))
    say(event="done")
"#;

const MEASURED: &str = "[workers]\nm = { command = [\"python3\", \"machine.py\"], files = [\"machine.py\", \"machine.json\"] }\n\
                        [stage.measure]\nkind = \"measure\"\n[stage.sheet]\nkind = \"sheet\"\ninput.from = \"measure\"\n";

/// A project whose cell is locked as 0.9 with a bound of 0.02, and whose machine is now another one with this cell.
fn elsewhere(manifest: &str, name: &str, value: f64, error: f64, verdict: &str) -> Project {
    let p = Project::new(manifest);
    p.write("machine.py", MACHINE);
    let machine = |name: &str, value: f64, error: f64, verdict: &str| {
        let repeated = match error {
            0.0 => String::new(),
            error => format!(r#", "repeated": {{"bound": 0.02, "error": {error}, "freedom": 2}}"#),
        };
        let cell = format!(r#"{{"value": {value}{repeated}}}"#);
        p.write("machine.json", &format!(r#"{{"name": "{name}", "cell": {cell}, "verdict": "{verdict}"}}"#));
    };
    machine("here", 0.9, 0.002, "better");
    p.run_ok(&[]);
    assert_eq!(p.call(&["lock"]).code, 0);
    assert!(
        p.call(&["verify"])
            .out
            .starts_with("1 of 1 cells exact, 1 of 1 findings hold: reproduced\n2 nodes exact")
    );
    machine(name, value, error, verdict);
    p
}

/// `verify`, which must not pass.
fn refused(p: &Project) -> Ran {
    let said = p.call(&["verify"]);
    assert_eq!(said.code, 3, "{}", said.out);
    said
}

#[test]
fn in_another_environment_cells_are_judged_by_the_bound_that_is_locked() {
    let p = elsewhere(MEASURED, "there", 0.905, 0.002, "better");
    let said = p.call(&["verify"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(
        said.out.starts_with("1 of 1 cells equivalent, 1 of 1 findings hold: reproduced\n"),
        "{}",
        said.out
    );
    assert!(
        said.out.contains("0 nodes exact, 2 with other bytes in another environment, judged by"),
        "{}",
        said.out
    );
    let json = p.json(&["verify", "--json"]);
    assert_eq!((&json["reproduced"], &json["exact"]), (&true.into(), &false.into()));
    assert_eq!(json["cells"][0]["is"], "equivalent");
    assert_eq!(json["cells"][0]["bound"], 0.02);
    assert!(json["says"].as_str().unwrap().contains("1 of 1 cells equivalent"));
    // With `--exact`, other bytes are reported.
    let said = p.call(&["verify", "--exact"]);
    assert_eq!(said.code, 3);
    assert!(
        said.out.starts_with("0 of 2 nodes exact, ") && said.out.contains(": not the same bytes"),
        "{}",
        said.out
    );
    assert!(
        said.err.contains("measure: environment: machine was `here` and is `there`; other bytes: o"),
        "{}",
        said.err
    );
}

#[test]
fn a_cell_too_far_or_too_noisy_or_computed_once_is_not_equivalent() {
    for (value, error, verdict, why) in [
        (0.93, 0.002, "better", "0.9000 was locked and 0.9300 is the result"),
        (0.9, 0.03, "better", "90 % interval of the difference -0.0873 to 0.0873, bound 0.0200"),
        (0.9, 0.0, "better", "this run's was computed once"),
        (
            0.905,
            0.002,
            "not resolved",
            "sheet: row against other: locked is `better`, this run says `not resolved`",
        ),
    ] {
        let p = elsewhere(MEASURED, "there", value, error, verdict);
        let said = refused(&p);
        assert!(said.out.contains(": not reproduced\n"), "{}", said.out);
        assert!(said.err.contains(why), "{}", said.err);
    }
}

#[test]
fn in_the_same_environment_an_equivalent_cell_does_not_excuse_other_bytes() {
    let p = elsewhere(MEASURED, "here", 0.905, 0.002, "better");
    let said = p.call(&["verify", "--fresh"]);
    assert_eq!(said.code, 3, "{}", said.out);
    assert!(said.out.starts_with("1 of 1 cells equivalent, 1 of 1 findings hold, 2 nodes different: not reproduced\n0 nodes exact, 2 different\n"), "{}", said.out);
    assert!(said.err.contains("measure: other bytes: o"), "{}", said.err);
}

#[test]
fn other_bytes_on_which_no_cell_rests_are_not_passed_over() {
    let p = elsewhere(MEASURED, "here", 0.9, 0.002, "better");
    p.edit("[stage.sheet]", "[stage.lone]\nkind = \"measure\"\n[stage.sheet]");
    p.run_ok(&[]);
    p.call(&["lock"]);
    p.write("machine.json", &p.read("machine.json").replace("here", "there"));
    let said = refused(&p);
    assert!(
        said.out.contains("1 with other bytes in another environment, and no cell to judge by"),
        "{}",
        said.out
    );
    assert!(
        said.err.contains("lone: other bytes in another environment, and no cell to judge by"),
        "{}",
        said.err
    );
}

#[test]
fn another_environment_excuses_other_bytes_and_nothing_else() {
    // A node that is not locked, between what is made elsewhere and a cell.
    let p = elsewhere(MEASURED, "there", 0.905, 0.002, "better");
    p.edit("input.from = \"measure\"", "input.from = \"more\"\n[stage.more]\nkind = \"measure\"");
    let said = refused(&p);
    assert!(said.err.contains("more: it is not in the lock file"), "{}", said.err);
    // Other code.
    let p = elsewhere(MEASURED, "there", 0.905, 0.002, "better");
    p.write("machine.py", &MACHINE.replace("\"code\": \"1\"", "\"code\": \"2\""));
    let said = refused(&p);
    assert!(said.err.contains("sheet: code: code"), "{}", said.err);
    // Another cell, and one less.
    let p = elsewhere(MEASURED, "there", 0.905, 0.002, "better");
    p.write("pipeline.lock", &p.read("pipeline.lock").replace("row, column", "row, other"));
    let said = refused(&p);
    assert!(said.out.starts_with("0 of 2 cells exact"), "{}", said.out);
    assert!(said.err.contains("sheet: row, column: it is not in the lock file"), "{}", said.err);
    assert!(
        said.err.contains("sheet: row, other: it is in the lock file, and this run has no such cell"),
        "{}",
        said.err
    );
    // A number in the lock file that no run computed.
    let p = elsewhere(MEASURED, "here", 0.9, 0.002, "better");
    p.write("pipeline.lock", &p.read("pipeline.lock").replace("value = 0.9", "value = 0.99"));
    let said = refused(&p);
    assert!(said.err.contains("the lock file was edited"), "{}", said.err);
    // A lock file of version 1 has only bytes to compare.
    let first = |text: &str| {
        let kept = |l: &&str| {
            !l.starts_with("parameters = ")
                && !l.contains("against")
                && !l.starts_with("value")
                && !l.starts_with("bound")
                && !l.starts_with("error")
                && !l.starts_with("freedom")
                && !l.contains(".cells")
                && !l.contains(".findings")
        };
        text.replace("version = 2", "version = 1").lines().filter(kept).collect::<Vec<_>>().join("\n")
    };
    let p = elsewhere(MEASURED, "here", 0.9, 0.002, "better");
    p.write("pipeline.lock", &first(&p.read("pipeline.lock")));
    assert!(p.call(&["verify"]).out.starts_with("2 of 2 nodes exact: reproduced"));
    p.write("machine.json", &p.read("machine.json").replace("here", "there"));
    let said = p.call(&["verify"]);
    assert_eq!(said.code, 3);
    assert!(said.err.contains("has an older format, without cells"), "{}", said.err);
}
