//! Kinds that work by row are given an earlier result.

use std::os::unix::fs::PermissionsExt;

use crate::support::Project;

/// A worker that writes each line of its input in capitals, reports how many lines it had to process, and takes over the others from an
/// earlier result. `earlier` in the log says what it was given.
const SHOUT: &str = r#"
import json, sys
kind = {"name": "shout", "summary": "", "code": {}, "by_row": ["lines"],
        "inputs": [{"name": "lines", "about": "", "shape": "one"}, {"name": "end", "about": "", "shape": "one"}],
        "outputs": [{"name": "o", "path": "o", "about": ""}],
        "parameters": {"type": "object", "properties": {"twice": {"type": "boolean", "default": False}}}}
def say(**reply): print(json.dumps(reply), flush=True)
if sys.argv[1] == "describe":
    say(protocol=1, worker="shout", kinds=[kind])
    sys.exit()
for line in sys.stdin:
    job = json.loads(line)
    before = {}
    if "earlier" in job:
        with open(job["earlier"]["o"]) as file:
            before = dict(l.rstrip("\n").split("\t") for l in file)
    end = open(job["inputs"]["end"]["one"]).read().strip()
    looked = 0
    with open(job["outputs"]["o"], "w") as out:
        for l in open(job["inputs"]["lines"]["one"]).read().splitlines():
            if l not in before: looked += 1
            out.write(l + "\t" + before.get(l, l.upper() * (1 + job["parameters"]["twice"]) + end) + "\n")
    say(event="note", text=f"looked at {looked}, given {len(before)}")
    say(event="done")
"#;

fn project() -> Project {
    let p = Project::new(
        r#"
[workers]
shout = { command = ["python3", "shout.py"], files = ["shout.py"] }

[stage.x]
kind = "shout"
input.lines = { path = "lines.txt" }
input.end = { path = "end.txt" }
"#,
    );
    p.write("shout.py", SHOUT);
    p.write("lines.txt", "a\nb\nc\n");
    p.write("end.txt", "!");
    p
}

/// What the worker reported of its last job.
fn looked(p: &Project) -> String {
    let log = p.call(&["log", "x"]).out;
    log.lines().last().unwrap_or_default().to_owned()
}

fn out(p: &Project) -> String {
    p.read("out/x/o")
}

#[test]
fn a_kind_that_works_by_row_is_given_what_it_made_before() {
    let p = project();
    p.run_ok(&[]);
    assert_eq!(looked(&p), "looked at 3, given 0");
    p.write("lines.txt", "a\nx\nb\nc\n");
    p.run_ok(&[]);
    assert_eq!(looked(&p), "looked at 1, given 3");
    assert_eq!(out(&p), "a\tA!\nx\tX!\nb\tB!\nc\tC!\n");
    let why = p.call(&["why", "x"]).out;
    assert!(why.contains("was reused: its unchanged rows were taken over"), "{why}");
}

#[test]
fn an_earlier_result_with_another_parameter_input_or_code_is_not_given() {
    let p = project();
    p.run_ok(&[]);
    p.write("lines.txt", "a\nb\nc\nd\n");
    p.run_ok(&["--set", "x.twice=true"]);
    assert_eq!(looked(&p), "looked at 4, given 0");
    p.write("end.txt", "?");
    p.run_ok(&[]);
    assert_eq!((looked(&p).as_str(), out(&p).lines().next()), ("looked at 4, given 0", Some("a\tA?")));
    p.write("end.txt", "!");
    p.run_ok(&[]);
    assert_eq!(looked(&p), "looked at 1, given 3");
}

#[test]
fn forced_and_checked_nodes_are_given_no_earlier_result() {
    let p = project();
    p.run_ok(&[]);
    p.write("lines.txt", "a\nb\nc\nd\n");
    p.run_ok(&["--force", "x"]);
    assert_eq!(looked(&p), "looked at 4, given 0");
    p.write("lines.txt", "a\nb\nc\nd\ne\n");
    p.run_ok(&[]);
    assert_eq!(looked(&p), "looked at 1, given 4");
    p.run_ok(&["--check", "x"]);
    assert_eq!(looked(&p), "looked at 5, given 0");
}

#[test]
fn a_damaged_earlier_result_is_not_given_also_where_the_damage_hides() {
    let p = project();
    p.run_ok(&[]);
    let object =
        p.objects().into_iter().find(|o| std::fs::read(o).is_ok_and(|b| b.starts_with(b"a\tA!"))).unwrap();
    let times = std::fs::metadata(&object).unwrap().modified().unwrap();
    std::fs::set_permissions(&object, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&object, "a\tZ!\nb\tB!\nc\tC!\n").unwrap();
    std::fs::File::options().write(true).open(&object).unwrap().set_modified(times).unwrap();
    p.write("lines.txt", "a\nb\nc\nd\n");
    p.run_ok(&[]);
    assert_eq!((looked(&p).as_str(), out(&p).lines().next()), ("looked at 4, given 0", Some("a\tA!")));
}
