//! Maintenance of a cache: `cache stats`, `cache verify`, `cache gc`.

use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::cache::wait_for;
use crate::support::{Project, chain};

fn known(p: &Project, sets: &[&str]) -> u64 {
    let mut args = vec!["plan", "--json"];
    args.extend(sets);
    p.json(&args)["cached"].as_u64().unwrap()
}

#[test]
fn gc_removes_what_no_kept_run_needs_and_nothing_else() {
    let p = chain();
    p.run_ok(&["--set", "greeting=old"]);
    p.run_ok(&[]);
    let before = p.objects().len();
    let dry = p.json(&["cache", "gc", "--keep-runs", "1", "--dry-run", "--json"]);
    assert_eq!(
        (dry["collected"]["records"].as_u64(), dry["collected"]["objects"].as_u64()),
        (Some(1), Some(1))
    );
    assert_eq!(p.objects().len(), before, "a dry run removes nothing");
    let said = p.call(&["cache", "gc", "--keep-runs", "1"]);
    assert!(said.out.contains("1 results and 1 objects removed"), "{}", said.out);
    assert_eq!(p.objects().len(), before - 1);
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    assert_eq!(known(&p, &["--set", "greeting=old"]), 3, "what both need stays");
    assert_eq!(p.run_ok(&["--set", "greeting=old"]).executed(), ["all"]);
    assert_eq!(
        p.json(&["history", "--json"])["runs"].as_array().unwrap().len(),
        3,
        "of the dropped run nothing is left"
    );
    assert!(!p.path("cache/trash").exists());
}

#[test]
fn gc_keeps_what_was_up_to_date_in_the_kept_run() {
    let p = chain();
    p.run_ok(&[]);
    // The last run was a no-op: the states of its nodes are in the run before it.
    p.run_ok(&[]);
    p.call(&["cache", "gc", "--keep-runs", "1"]);
    std::fs::remove_dir_all(p.path("out")).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    p.call(&["cache", "gc", "--keep-runs", "1"]);
    assert_eq!(p.run_ok(&["--set", "greeting=new"]).executed(), ["all"]);
}

#[test]
fn gc_keeps_what_a_lock_file_names() {
    let p = chain();
    p.run_ok(&[]);
    p.call(&["lock"]);
    p.write("notes.txt", "other\n");
    p.run_ok(&[]);
    assert_eq!(p.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
    p.write("notes.txt", "one\ntwo\n");
    assert_eq!(p.run_ok(&["--locked"]).counts(), [0, 4, 0, 0]);
    p.write("pipeline.lock", "damaged");
    assert_eq!(
        p.call(&["cache", "gc", "--keep-runs", "1"]).code,
        2,
        "and does nothing when it cannot read it"
    );
}

#[test]
fn gc_by_size_lets_the_oldest_go_first_and_never_the_last() {
    let p = Project::new(
        "[vars]\nn = 0\n[stage.big]\nkind = \"command\"\nrun = \"head -c 100000 /dev/zero | tr '\\\\0' ${vars.n} > $OUT_o\"\noutput.o = \"o\"\n",
    );
    for n in ["n=1", "n=2", "n=3"] {
        p.run_ok(&["--set", n]);
    }
    let said = p.call(&["cache", "gc", "--max-size", "200 KiB"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert_eq!(["n=1", "n=2", "n=3"].map(|n| known(&p, &["--set", n])), [0, 1, 1]);
    let said = p.call(&["cache", "gc", "--max-size", "10 KiB"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("97.7 KiB is still more than 10.0 KiB"), "{}", said.err);
    assert_eq!(["n=2", "n=3"].map(|n| known(&p, &["--set", n])), [0, 1]);
    assert!(p.call(&["cache", "gc", "--max-size", "much"]).err.contains("write an amount such as `20 GiB`"));
}

#[test]
fn gc_beside_a_running_pipeline_takes_nothing_from_it() {
    let p = chain();
    p.edit(
        "echo ${vars.greeting} |",
        "touch $HOME/reached; while [ ! -e $HOME/go ]; do sleep 0.02; done; echo ${vars.greeting} |",
    );
    p.write("home/go", "");
    let run = |args: &[&str]| {
        let mut all = vec!["run", "-q"];
        all.extend(args);
        let mut command = p.command(&all);
        command.env("HOME", p.path("home")).stderr(Stdio::piped());
        command
    };
    // Old results, of an old run that is not kept.
    assert!(run(&[]).status().unwrap().success());
    p.write("notes.txt", "other\n");
    assert!(run(&[]).status().unwrap().success());
    // A run that relies on the old results, and is in the middle of the last node.
    std::fs::remove_file(p.path("home/go")).unwrap();
    std::fs::remove_file(p.path("home/reached")).unwrap();
    p.write("notes.txt", "one\ntwo\n");
    let child = run(&["--set", "greeting=late", "--events", "events.jsonl"]).spawn().unwrap();
    wait_for(&|| p.path("home/reached").exists());
    for _ in 0..3 {
        let said = p.call(&["cache", "gc", "--keep-runs", "1"]);
        assert_eq!(said.code, 0, "{}", said.err);
    }
    p.write("home/go", "");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let executed = p.read("events.jsonl").matches(r#""state":"executed""#).count();
    assert_eq!(executed, 1, "{}", p.read("events.jsonl"));
    assert!(p.read("out/all/all.txt").starts_with("late\none\n"));
    std::fs::remove_dir_all(p.path("out")).unwrap();
    assert!(run(&["--set", "greeting=late", "--events", "events.jsonl"]).status().unwrap().success());
    assert_eq!(
        p.read("events.jsonl").matches(r#""state":"executed""#).count(),
        0,
        "it was recorded where it belongs"
    );
}

#[test]
fn gc_of_a_cache_without_a_run_removes_nothing() {
    let p = chain();
    let said = p.call(&["cache", "gc"]);
    assert_eq!(said.code, 2);
    assert!(said.err.contains("this cache has no recorded run"), "{}", said.err);
}

#[test]
fn p6_verify_finds_damage_that_hides_and_repair_has_it_made_again() {
    let p = chain();
    p.run_ok(&[]);
    assert_eq!(p.json(&["cache", "verify", "--json"])["damage"].as_array().unwrap().len(), 0);
    // A bit of a failing disk: size and times stay.
    let object =
        p.objects().into_iter().find(|o| std::fs::read(o).unwrap() == b"one\ntwo\none\ntwo\n").unwrap();
    let times = std::fs::metadata(&object).unwrap().modified().unwrap();
    std::fs::set_permissions(&object, PermissionsExt::from_mode(0o644)).unwrap();
    std::fs::write(&object, "one\ntwo\nonf\ntwo\n").unwrap();
    std::fs::File::options().write(true).open(&object).unwrap().set_modified(times).unwrap();
    let said = p.call(&["cache", "verify"]);
    assert_eq!(said.code, 4);
    assert!(said.out.contains("of times[n=2]"), "{}", said.out);
    assert!(said.err.contains("cache verify --repair"), "{}", said.err);
    assert_eq!(p.call(&["cache", "verify", "--repair"]).code, 0);
    assert_eq!(p.run_ok(&[]).executed(), ["times[n=2]"]);
    assert_eq!(p.call(&["cache", "verify"]).code, 0);
}

#[test]
fn stats_count_what_is_there() {
    let p = chain();
    p.run_ok(&[]);
    let stats = p.json(&["cache", "stats", "--json"]);
    // `times[n=1]` has the bytes of `words`.
    assert_eq!((stats["objects"].as_u64(), stats["nodes"].as_u64()), (Some(3), Some(4)));
    assert_eq!(stats["stages"]["words"], 8);
    assert!(p.call(&["cache", "stats"]).out.contains("results"), "{}", p.call(&["cache", "stats"]).out);
}

#[test]
fn gc_keeps_the_steps_of_a_run_that_did_not_come_to_its_end() {
    let p = crate::workers::fit();
    p.run_ok(&[]);
    // The next one stops in its middle: its steps are there, a result is not.
    p.edit("epochs = 4", "epochs = 2000");
    let mut child = p.command(&["run", "--events", "events.jsonl", "-q"]).spawn().unwrap();
    wait_for(&|| p.path("events.jsonl").exists() && p.read("events.jsonl").matches("node-step").count() > 30);
    child.kill().unwrap();
    child.wait().unwrap();
    let before = p.json(&["cache", "stats", "--json"])["steps"].as_u64().unwrap();
    assert!(before > 30, "{before}");
    assert_eq!(p.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
    let after = p.json(&["cache", "stats", "--json"])["steps"].as_u64().unwrap();
    // The four of the finished run are removed with it; the others stay.
    assert!(after >= before - 4, "{before} -> {after}");
}

#[test]
fn gc_after_the_run_database_was_removed_removes_nothing() {
    let p = chain();
    p.run_ok(&[]);
    std::fs::remove_file(p.path("cache/runs.sqlite")).unwrap();
    // The run that looked up the nodes is not known any more: everything is looked up, and recorded again.
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    let before = p.objects();
    assert_eq!(p.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
    assert_eq!(p.objects(), before);
}

/// A recently modified (racy) file: one from tomorrow is never old enough for its times to be trusted.
fn young(p: &Project, name: &str, text: &str) {
    p.write(name, text);
    let tomorrow = std::time::SystemTime::now() + std::time::Duration::from_secs(86_400);
    let file = std::fs::File::options().write(true).open(p.path(name)).unwrap();
    file.set_modified(tomorrow).unwrap();
}

#[test]
fn an_input_that_is_swapped_for_a_recently_modified_one_and_back_gives_what_each_says() {
    for way in ["link", "folder"] {
        let p = Project::new(
            "[stage.all]\nkind = \"command\"\nrun = \"cat $IN_text > $OUT_text\"\noutput.text = \"text.txt\"\ninput.text = { path = \"data/f.txt\" }\n",
        );
        p.write("one/f.txt", "one");
        young(&p, "two/f.txt", "two");
        let swap = |to: &str, from: &str| match way {
            "link" => {
                let _ = std::fs::remove_file(p.path("data"));
                std::os::unix::fs::symlink(p.path(to), p.path("data")).unwrap();
            }
            _ => {
                if p.path("data").exists() {
                    std::fs::rename(p.path("data"), p.path(from)).unwrap();
                }
                std::fs::rename(p.path(to), p.path("data")).unwrap();
            }
        };
        std::thread::sleep(std::time::Duration::from_millis(60));
        for (round, (to, from)) in
            [("one", "two"), ("two", "one"), ("one", "two"), ("two", "one"), ("one", "two")]
                .into_iter()
                .enumerate()
        {
            swap(to, from);
            for _ in 0..2 {
                // The plain run has a no-op check of its own, which a run that writes events skips.
                let ran = p.call(&["run", "-q"]);
                assert_eq!(ran.code, 0, "{}", ran.err);
                assert_eq!(p.read("out/all/text.txt"), to, "{way}, round {round}");
            }
        }
    }
}

#[test]
fn up_to_date_nodes_are_known_after_collections_targets_and_other_output_folders() {
    let p = Project::new("");
    let log = p.path("elsewhere.log");
    p.write("in.txt", "x\n");
    let manifest = format!(
        "[stage.a]\nkind = \"command\"\nrun = \"cat $IN_text > $OUT_text; echo a >> {log}\"\noutput.text = \"a.txt\"\ninput.text = {{ path = \"in.txt\" }}\n\
         [stage.b]\nkind = \"command\"\nrun = \"cat $IN_text > $OUT_text; echo b >> {log}\"\noutput.text = \"b.txt\"\ninput.text = \"a.text\"\n",
        log = log.display()
    );
    p.write("pipeline.toml", &manifest);
    let ran = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    let run = |args: &[&str], expected: usize| {
        let done = p.call(&[&["run", "-q"], args].concat());
        assert_eq!(done.code, 0, "{}", done.err);
        assert_eq!(ran(), expected, "{args:?}");
    };
    run(&[], 2);
    std::thread::sleep(std::time::Duration::from_millis(60));
    run(&[], 2);
    run(&["a"], 2);
    run(&[], 2);
    for _ in 0..3 {
        run(&["--out", "other"], 2);
        assert_eq!(p.read("other/b/b.txt"), "x\n");
        run(&[], 2);
        assert_eq!(p.read("out/b/b.txt"), "x\n");
    }
    assert_eq!(p.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
    run(&[], 2);
    p.write("in.txt", "y\n");
    run(&["a"], 3);
    run(&[], 4);
    assert_eq!(p.read("out/b/b.txt"), "y\n");
    // A withdrawn result is computed again, although its output is unchanged.
    let objects = p.objects();
    for object in objects {
        std::fs::set_permissions(&object, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::write(&object, "damage").unwrap();
    }
    assert_eq!(p.call(&["cache", "verify", "--repair"]).code, 0);
    run(&[], 6);
    run(&[], 6);
}

#[test]
fn a_lost_run_database_costs_no_result() {
    let p = chain();
    for greeting in ["a", "b", "c"] {
        p.run_ok(&["--set", &format!("greeting={greeting}")]);
    }
    for file in ["runs.sqlite", "runs.sqlite-journal", "runs.quiet"] {
        let _ = std::fs::remove_file(p.path("cache").join(file));
    }
    p.run_ok(&["--set", "greeting=d"]);
    let said = p.json(&["cache", "gc", "--json"]);
    assert_eq!(
        (said["collected"]["records"].as_u64(), said["untold-runs"].as_u64()),
        (Some(0), Some(3)),
        "{said}"
    );
    assert_eq!(p.run_ok(&["--set", "greeting=a"]).counts(), [0, 4, 0, 0]);
    // With `--keep-runs N` the latest N are kept, by the order in which they were written.
    let said = p.json(&["cache", "gc", "--keep-runs", "1", "--json"]);
    assert!(said["collected"]["records"].as_u64().unwrap() > 0, "{said}");
}

#[test]
fn which_run_is_the_last_does_not_depend_on_a_clock() {
    let p = chain();
    p.run_ok(&["--set", "greeting=first"]);
    p.run_ok(&["--set", "greeting=second"]);
    // As if the clock had been set back between the two.
    let db = rusqlite::Connection::open(p.path("cache/runs.sqlite")).unwrap();
    let names: Vec<String> = {
        let mut all = db.prepare("SELECT name FROM run ORDER BY number").unwrap();
        let rows = all.query_map([], |r| r.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    };
    for (table, column) in [("run", "name"), ("node", "run"), ("metric", "run")] {
        let sql = format!("UPDATE {table} SET {column} = '20010101-000000.000-1' WHERE {column} = ?1");
        db.execute(&sql, [&names[1]]).unwrap();
    }
    drop(db);
    let history = p.json(&["history", "--json"]);
    assert_eq!(history["runs"][0]["run"], "20010101-000000.000-1", "{history}");
}

#[test]
fn a_page_is_whole_although_nothing_ran() {
    let p = chain();
    p.run_ok(&[]);
    assert_eq!(p.call(&["lock"]).code, 0);
    for args in [
        &["run", "--html", "page.html"][..],
        &["verify", "--html", "page.html"],
        &["run", "--html", "page.html", "-q"],
    ] {
        let _ = std::fs::remove_file(p.path("page.html"));
        let ran = p.call(args);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let page = p.read("page.html");
        for node in ["words", "times[n=1]", "times[n=2]", "all"] {
            assert!(page.contains(&format!("<b>{node}</b>")), "{node}");
        }
        assert!(
            page.contains("parameter run") && page.contains("output words") && page.contains("made"),
            "{page}"
        );
    }
}
