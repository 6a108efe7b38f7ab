//! `pipeline.lock`: `lock`, `run --locked`, `verify`; and `run --check`.

use crate::support::{Project, chain};

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
    assert!(p.call(&["verify"]).out.contains("4 nodes exact, 0 different"));
    assert_eq!(p.call(&["lock"]).code, 0);
    assert_eq!(p.read("pipeline.lock"), text, "the same results give the same file");
    // Another input: known before anything runs.
    p.write("notes.txt", "three\n");
    let ran = p.run(&["--locked"]);
    assert_eq!((ran.code, ran.events.len()), (3, 0), "{}", ran.err);
    assert!(ran.err.contains("words: its parameters or inputs are others"), "{}", ran.err);
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
fn what_comes_out_otherwise_is_told_with_exit_code_3() {
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
    assert!(said.out.contains("1 node exact, 1 different"), "{}", said.out);
    assert!(said.err.contains("when: other bytes: o"), "{}", said.err);
    assert_eq!(p.call(&["verify"]).code, 0, "the fresh run left nothing behind");
    let ran = p.run(&["--check", "what"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert!(ran.err.contains("1 node gave the same bytes again"), "{}", ran.err);
    let ran = p.run(&["--check", "when"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("other bytes came out the second time: `when.o`"), "{}", ran.err);
}

#[test]
fn a_lock_file_that_is_none_is_told() {
    let p = chain();
    p.run_ok(&[]);
    for (text, said) in [
        ("nonsense", "is no lock file"),
        ("version = 9", "it has the form 9"),
        ("version = 1\n[node.words]\nkind = 3", "is no lock file"),
    ] {
        p.write("pipeline.lock", text);
        let ran = p.call(&["verify"]);
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(said), "{}", ran.err);
    }
}

#[test]
fn in_another_environment_figures_may_differ_a_little_and_code_is_named() {
    let p = crate::workers::fit();
    p.run_ok(&[]);
    p.call(&["lock"]);
    let text = p.read("pipeline.lock");
    assert_eq!(p.call(&["verify"]).code, 0);
    let fact = text.lines().find(|l| l.starts_with("python = ")).unwrap().to_owned();
    let metric = text.lines().find(|l| l.starts_with("errors = ")).unwrap().to_owned();
    let digest = text.split("outputs]\n").nth(1).unwrap().lines().next().unwrap().to_owned();
    let value: f64 = metric.rsplit(' ').next().unwrap().parse().unwrap();
    // As if it had been locked elsewhere: another fact, other bytes, and another figure.
    let locked = |by: f64| {
        let key = text.lines().find(|l| l.starts_with("key = ")).unwrap();
        text.replace(key, &format!("key = \"{}\"", "1".repeat(64)))
            .replace(&fact, "python = \"1.5\"")
            .replace(&digest, &format!("{}\"{}\"", digest.split('"').next().unwrap(), "0".repeat(64)))
            .replace(&metric, &format!("errors = {:.6}", value * by))
    };
    p.write("pipeline.lock", &locked(0.995));
    let said = p.call(&["verify"]);
    assert_eq!(said.code, 0, "{}{}", said.out, said.err);
    assert!(said.out.contains("1 within 0.01 in another environment"), "{}", said.out);
    p.write("pipeline.lock", &locked(0.9));
    let said = p.call(&["verify"]);
    assert_eq!(said.code, 3, "{}{}", said.out, said.err);
    assert!(said.err.contains("errors was") && said.err.contains("python was `1.5`"), "{}", said.err);
    // A locked run wants the very same.
    assert_eq!(p.run(&["--locked"]).code, 3);
    // Another source: its file is named.
    p.write("pipeline.lock", &text);
    p.write("perceptron.py", &(p.read("perceptron.py") + "\n# another remark\n"));
    let ran = p.run(&["--locked"]);
    assert_eq!(ran.code, 3);
    assert!(ran.err.contains("code: "), "{}", ran.err);
}
