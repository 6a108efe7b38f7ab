//! A fault of one node does not affect the others.

use crate::support::{Project, Ran};

/// `bad` as given; `good`, and `after` that reads it, have nothing to do with it.
fn beside(bad: &str) -> Project {
    Project::new(&format!(
        "[stage.bad]\nkind = \"command\"\n{bad}\n\
         [stage.good]\nkind = \"command\"\nrun = \"sleep 0.3; echo hi > $OUT_o\"\noutput.o = \"o\"\n\
         [stage.after]\nkind = \"command\"\nrun = \"cat $IN_g > $OUT_o\"\ninput.g = \"good\"\noutput.o = \"o\"\n"
    ))
}

fn fails_alone(p: &Project, said: &str) -> Ran {
    let ran = p.run(&["--keep-going"]);
    assert_eq!((ran.code, ran.counts()), (1, [2, 0, 1, 0]), "{}", ran.err);
    assert!(ran.err.contains("FAILED    bad: ") && ran.err.contains(said), "{said}: {}", ran.err);
    let history = p.json(&["history", "--json"]);
    assert_eq!(history["runs"][0]["state"], "failed", "{history}");
    ran
}

#[test]
fn an_output_that_is_no_output_fails_its_node_alone() {
    for (run, said) in [
        ("mkfifo $OUT_o", "neither a file nor a folder"),
        ("mkdir $OUT_o; mkfifo $OUT_o/p", "neither a file nor a folder"),
        ("ln -s /etc/passwd $OUT_o", "symbolic link"),
        ("mkdir $OUT_o; ln -s . $OUT_o/loop", "symbolic link"),
        ("mkdir $OUT_o; : > \"$OUT_o/$(printf '\\377')\"", "is not UTF-8"),
        ("true", "did not write its output"),
        ("exit 3", "exit code 3"),
    ] {
        fails_alone(&beside(&format!("run = '''{run}'''\noutput.o = \"o\"")), said);
    }
}

#[test]
fn a_folder_that_its_owner_cannot_use_is_an_output_all_the_same() {
    let p = beside("run = \"mkdir $OUT_o; echo 1 > $OUT_o/f; chmod 555 $OUT_o\"\noutput.o = \"o\"");
    assert_eq!(p.run_ok(&[]).counts(), [3, 0, 0, 0]);
}

#[test]
fn a_place_that_cannot_be_written_fails_its_node_alone_and_the_result_is_kept() {
    let p = beside(
        "run = \"echo 1 > $OUT_o; rm -rf $HOME/out/bad; echo mine > $HOME/out/bad\"\noutput.o = \"o\"",
    );
    std::fs::create_dir(p.path("out")).unwrap();
    let ran = crate::support::called(p.command(&["run", "-k"]).env("HOME", p.path("")));
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(
        ran.err.contains("out/bad is a file, and a folder for outputs of `bad` belongs there"),
        "{}",
        ran.err
    );
    assert!(p.path("out/after/o").is_file());
}

#[test]
fn mistakes_of_the_manifest_are_reported_before_anything_runs() {
    let long = "x".repeat(260);
    for (stage, said) in [
        (
            format!("matrix = {{ l = [\"{long}\", \"b\"] }}\nrun = \"\"\noutput.o = \"o\""),
            "a label of `l` has 260 bytes",
        ),
        (
            format!(
                "matrix = {{ l = [\"{}\"], m = [\"{}\"] }}\nrun = \"\"\noutput.o = \"o\"",
                &long[..150],
                &long[..150]
            ),
            "would have a name of 305",
        ),
        (format!("run = \"\"\noutput.o = \"{long}\""), "255 bytes at the most"),
        (format!("run = \"\"\noutput.o = \"{}\"", "d/".repeat(2100)), "is too long"),
        ("run = \"a\\u0000b\"\noutput.o = \"o\"".to_owned(), "cannot hold a NUL"),
        ("run = \"\"\noutput.o = \"o\"\ninput.x = { path = \"a\\u0000\" }".to_owned(), "cannot hold a NUL"),
        ("run = \"\"\noutput.o = \"o\"\nenv = { \"A=B\" = \"1\" }".to_owned(), "cannot be a variable's name"),
        (
            format!("run = \"\"\noutput.o = \"o\"\nenv = {{ A = \"{}\" }}", "y".repeat(200_000)),
            "the variable `A` has 200000 bytes",
        ),
        ("matrix.l = [\"a\\nb\"]\nrun = \"\"\noutput.o = \"o\"".to_owned(), "cannot be a label"),
        (
            "matrix.\"l/m\" = [\"a\"]\nrun = \"\"\noutput.o = \"o\"".to_owned(),
            "cannot be the name of an axis",
        ),
    ] {
        let p = beside(&stage);
        let ran = p.run(&[]);
        assert_eq!((ran.code, ran.events.len()), (2, 0), "{said}: {}", ran.err);
        assert!(ran.err.contains(said), "{said}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{}", ran.err);
    }
}

#[test]
fn a_mistake_far_to_the_right_is_shown_with_its_surroundings() {
    let values: Vec<String> = (0..20_000).map(|n| n.to_string()).collect();
    let p = beside(&format!(
        "run = \"\"\noutput.o = \"o\"\nmatrix = {{ seed = [{}], x = [\"a\", \"a\"] }}",
        values.join(", ")
    ));
    let ran = p.call(&["plan"]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(
        ran.err.contains("the axis `x` has `a` twice") && ran.err.contains("x = [\"a\", \"a\"]"),
        "{}",
        ran.err
    );
    assert!(
        ran.err.contains("(column 128") && ran.err.lines().all(|l| l.chars().count() < 400),
        "{}",
        ran.err
    );
}

#[test]
fn a_run_that_the_cache_ended_is_reported_as_ended() {
    let p = beside(
        "run = \"echo 1 > $OUT_o; rm -rf $HOME/cache/objects; echo > $HOME/cache/objects\"\noutput.o = \"o\"",
    );
    let events = p.path("events.jsonl");
    let mut command = p.command(&["run", "-j1", "--events", events.to_str().unwrap()]);
    let ran = crate::support::called(command.env("HOME", p.path("")));
    assert_eq!(ran.code, 4, "{}", ran.err);
    let last: serde_json::Value =
        serde_json::from_str(std::fs::read_to_string(&events).unwrap().lines().last().unwrap()).unwrap();
    assert_eq!(last["event"], "run-finished");
    assert!(last["fault"].as_str().unwrap().contains("cannot"), "{last}");
    std::fs::remove_file(p.path("cache/objects")).unwrap();
    let history = p.json(&["history", "--json"]);
    assert_eq!(history["runs"][0]["state"], "failed", "{history}");
}

#[test]
fn a_long_log_is_kept_and_costs_no_memory() {
    let p = beside(
        "run = \"head -c 60000000 /dev/zero | tr '\\\\000' x; echo; echo the end; exit 1\"\noutput.o = \"o\"",
    );
    let ran = fails_alone(&p, "| the end");
    assert!(ran.err.len() < 100_000, "the last lines alone");
    assert_eq!(p.call(&["log", "bad"]).out.len(), 60_000_009);
}
