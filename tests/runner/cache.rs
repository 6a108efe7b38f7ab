//! Damage to the cache must not reach results.

use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

use crate::support::{CHAIN, Project, called, chain, files};

#[test]
fn an_output_that_is_gone_is_put_back_and_one_that_was_edited_only_if_that_is_wanted() {
    let p = chain();
    p.run_ok(&[]);
    std::fs::remove_file(p.path("out/words/words.txt")).unwrap();
    std::fs::remove_dir_all(p.path("out/times")).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    assert_eq!(p.read("out/words/words.txt"), "one\ntwo\n");
    p.write("out/all/all.txt", "tampered");
    std::fs::remove_dir_all(p.path("out/times")).unwrap();
    p.write("out/times/n=1/text.txt/a folder in place of a file", "");
    let refused = p.run(&[]);
    assert_eq!((refused.code, refused.events.len()), (2, 0), "{}", refused.err);
    for said in [
        "out/all/all.txt, the place of an output of `all`, is not what a run put there",
        "out/times/n=1/text.txt",
        "--overwrite",
    ] {
        assert!(refused.err.contains(said), "{said}: {}", refused.err);
    }
    assert_eq!(p.call(&["plan"]).code, 2);
    assert_eq!(p.read("out/all/all.txt"), "tampered");
    assert_eq!(p.run_ok(&["--overwrite"]).counts(), [0, 4, 0, 0]);
    assert_eq!(p.read("out/words/words.txt"), "one\ntwo\n");
    assert_eq!(p.read("out/times/n=1/text.txt"), "one\ntwo\n");
    assert!(p.read("out/all/all.txt").starts_with("hello\n"));
}

#[test]
fn p6_a_damaged_object_is_never_served_but_made_again() {
    let p = chain();
    p.run_ok(&[]);
    for object in p.objects() {
        std::fs::set_permissions(&object, PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::write(&object, "damaged").unwrap();
    }
    std::fs::remove_dir_all(p.path("out")).unwrap();
    // `times[n=1]` has the same bytes as `words`: once that object is intact again, it need not run.
    assert_eq!(p.run_ok(&[]).executed(), ["all", "times[n=2]", "words"]);
    assert_eq!(p.read("out/words/words.txt"), "one\ntwo\n");
    assert!(p.path("cache/damaged").is_dir(), "they are kept for whoever wants to look");
}

#[test]
fn p6_a_damaged_input_of_a_node_that_must_run_is_made_again_first() {
    let p = chain();
    p.run_ok(&[]);
    // `out/words` is unchanged, so that only the run of `times` needs the object.
    for object in p.objects() {
        if std::fs::read_to_string(&object).unwrap() == "one\ntwo\n" {
            std::fs::set_permissions(&object, PermissionsExt::from_mode(0o644)).unwrap();
            std::fs::write(&object, "one\ntw0\n").unwrap();
        }
    }
    p.edit("for i in", "true; for i in");
    let ran = p.run_ok(&[]);
    assert!(ran.executed().contains(&"words".to_owned()), "{:?}", ran.executed());
    assert_eq!(p.read("out/times/n=2/text.txt"), "one\ntwo\none\ntwo\n");
}

#[test]
fn p4_a_torn_tail_of_the_records_costs_one_result() {
    let p = chain();
    p.run_ok(&["-j1"]);
    let records = p.path("cache/records");
    let bytes = std::fs::read(&records).unwrap();
    // The last entry says that all is on the disk, the one before is a result.
    std::fs::write(&records, &bytes[..bytes.len() - 60]).unwrap();
    assert_eq!(p.run_ok(&[]).executed(), ["all"]);
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
}

#[test]
fn p4_what_a_killed_run_left_is_no_result() {
    let p = chain();
    p.edit("grep -v '^#' $IN_text > $OUT_words", "echo half > $OUT_words; touch $HOME/started; sleep 60");
    let home = p.path("home");
    std::fs::create_dir(&home).unwrap();
    let mut child =
        p.command(&["run"]).env("HOME", &home).stderr(std::process::Stdio::null()).spawn().unwrap();
    wait_for(&|| home.join("started").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(p.objects().is_empty());
    p.edit("echo half > $OUT_words; touch $HOME/started; sleep 60", "cat $IN_text > $OUT_words");
    assert_eq!(p.run_ok(&[]).counts(), [4, 0, 0, 0]);
    let left = std::fs::read_dir(p.path("cache/scratch")).unwrap().flatten();
    let left: Vec<_> = left.filter(|e| e.path().is_dir()).collect();
    assert!(left.is_empty(), "the dead run's scratch folder is removed: {left:?}");
}

#[test]
fn p3_a_file_edited_while_its_stage_runs_taints_the_result() {
    let p = chain();
    p.edit("grep -v '^#' $IN_text > $OUT_words", "cat $IN_text > $OUT_words; touch $HOME/read; sleep 1");
    let home = p.path("home");
    std::fs::create_dir(&home).unwrap();
    let mut child =
        p.command(&["run"]).env("HOME", &home).stderr(std::process::Stdio::null()).spawn().unwrap();
    wait_for(&|| home.join("read").exists());
    p.write("notes.txt", "edited\n");
    assert!(child.wait().unwrap().success());
    assert_eq!(p.read("out/words/words.txt"), "edited\n", "it ran again on the new file");
    p.write("notes.txt", "one\ntwo\n");
    p.run_ok(&[]);
    assert_eq!(p.read("out/words/words.txt"), "one\ntwo\n", "and nothing was recorded for the old one");
}

#[test]
fn p3_an_edit_with_the_same_size_and_the_old_time_is_noticed() {
    let p = chain();
    p.run_ok(&[]);
    let path = p.path("notes.txt");
    let time = std::fs::metadata(&path).unwrap().modified().unwrap();
    p.write("notes.txt", "ONE\nTWO\n");
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [4, 0, 0, 0]);
}

/// Whether the no-op check ended a run of everything, so that no plan was read.
fn is_quiet(p: &Project, args: &[&str]) -> bool {
    let all = [&["run"], args].concat();
    let ran = called(p.command(&all).env("LFS_LOG", "debug"));
    assert_eq!(ran.code, 0, "{}", ran.err);
    ran.err.contains("no plan is read")
}

#[test]
fn p1_a_run_with_nothing_to_do_reads_no_plan_and_whatever_changes_is_noticed() {
    let more = "[stage.more]\nkind = \"command\"\nrun = \"cat $IN_all > $OUT_o\"\n\
                input.all = { path = \"in/*.txt\" }\noutput.o = \"o\"\n";
    let p = Project::new(&format!("{CHAIN}\n{more}"));
    p.write("notes.txt", "one\ntwo\n").write("in/a.txt", "a\n");
    let settle = || {
        std::thread::sleep(Duration::from_millis(40));
        p.run_ok(&[]);
        p.run_ok(&[]);
        assert!(is_quiet(&p, &[]));
        assert!(is_quiet(&p, &["-q"]));
    };
    settle();
    let changes: [(&str, &dyn Fn()); 12] = [
        ("an input", &|| {
            p.write("notes.txt", "one\nTWO\n");
        }),
        ("an input of the same size and time", &|| {
            let path = p.path("notes.txt");
            let time = std::fs::metadata(&path).unwrap().modified().unwrap();
            p.write("notes.txt", "ONE\nTWO\n");
            std::fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
        }),
        ("a file that a pattern finds", &|| {
            p.write("in/b.txt", "b\n");
        }),
        ("a file that it finds no more", &|| std::fs::remove_file(p.path("in/a.txt")).unwrap()),
        ("an output that was edited", &|| {
            p.write("out/more/o", "tampered\n");
        }),
        ("an output that is gone", &|| std::fs::remove_file(p.path("out/all/all.txt")).unwrap()),
        ("all outputs", &|| std::fs::remove_dir_all(p.path("out")).unwrap()),
        ("the manifest", &|| {
            p.edit("greeting = \"hello\"", "greeting = \"good day\"");
        }),
        ("a stage more", &|| {
            let text = p.read("pipeline.toml");
            p.write(
                "pipeline.toml",
                &format!(
                    "{text}[stage.last]\nkind = \"command\"\nrun = \"echo > $OUT_o\"\noutput.o = \"o\"\n"
                ),
            );
        }),
        ("the run database", &|| std::fs::remove_file(p.path("cache/runs.sqlite")).unwrap()),
        ("the records", &|| std::fs::remove_file(p.path("cache/records")).unwrap()),
        ("the cache", &|| std::fs::remove_dir_all(p.path("cache")).unwrap()),
    ];
    for (what, change) in changes {
        change();
        assert!(!is_quiet(&p, &["--overwrite"]), "{what}");
        settle();
        let notes = p.read("notes.txt");
        let greeting = if p.read("pipeline.toml").contains("good day") { "good day" } else { "hello" };
        assert_eq!(p.read("out/all/all.txt"), format!("{greeting}\n{notes}{notes}{notes}"), "{what}");
        let more: String = files(&p.path("in")).iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
        assert_eq!(p.read("out/more/o"), more, "{what}");
    }
    // Other arguments are other runs.
    assert!(!is_quiet(&p, &["--set", "greeting=hi"]));
    assert!(p.read("out/all/all.txt").starts_with("hi\n"));
    assert!(!is_quiet(&p, &[]));
    settle();
    assert!(!is_quiet(&p, &["--out", "elsewhere"]));
    assert!(p.path("elsewhere/all/all.txt").is_file());
    // And back: outputs in another folder say nothing of this one.
    std::fs::remove_dir_all(p.path("out")).unwrap();
    assert!(!is_quiet(&p, &[]));
    assert!(p.path("out/all/all.txt").is_file());
    assert!(!is_quiet(&p, &["all"]));
    assert!(!is_quiet(&p, &["--force", "all"]));
    settle();
    // Each of these runs is recorded.
    let before = p.json(&["history", "--json"])["runs"].as_array().unwrap().len();
    assert!(is_quiet(&p, &[]));
    let runs = p.json(&["history", "--json"])["runs"].as_array().unwrap().clone();
    assert_eq!(runs.len(), before + 1);
    assert_eq!((runs[0]["state"].as_str(), runs[0]["cached"].as_u64()), (Some("done"), Some(6)));
    assert_eq!(p.json(&["diff", "@1", "@2", "--json"])["nodes"].as_array().unwrap().len(), 0);
    // Garbage collection rewrites the records.
    assert_eq!(p.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
    assert!(!is_quiet(&p, &[]));
}

#[test]
fn p5_two_runs_at_once_compute_each_result_once() {
    let p = Project::new(
        "[stage.slow]\nkind = \"command\"\nmatrix = { n = [1, 2, 3] }\n\
         run = \"echo ${matrix.n} >> $HOME/ran; sleep 0.4; echo done > $OUT_o\"\noutput.o = \"o\"\n",
    );
    let home = p.path("home");
    std::fs::create_dir(&home).unwrap();
    let start = || p.command(&["run", "-q"]).env("HOME", &home).spawn().unwrap();
    let children: Vec<_> = (0..4).map(|_| start()).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(std::fs::read_to_string(home.join("ran")).unwrap().lines().count(), 3);
    assert_eq!(p.read("out/slow/n=2/o"), "done\n");
}

#[test]
fn a_folder_that_cannot_be_a_cache_is_a_fault_of_the_machine() {
    let p = chain();
    p.write("file", "");
    let ran = p.run(&["--cache", "file/cache"]);
    assert_eq!(ran.code, 4, "{}", ran.err);
    assert!(ran.err.contains("cannot create"), "{}", ran.err);
}

pub fn wait_for(what: &dyn Fn() -> bool) {
    let start = Instant::now();
    while !what() {
        assert!(start.elapsed() < Duration::from_secs(60), "waited for a minute");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn p3_an_edit_that_is_undone_while_two_stages_run_taints_both() {
    let p = Project::new(
        "[stage.slow]\nkind = \"command\"\nmatrix = { n = [1, 2] }\n\
         run = \"touch $HOME/${matrix.n}; sleep 0.${matrix.n}; cat $IN_text > $OUT_o; sleep 0.${matrix.n}\"\n\
         input.text = { path = \"notes.txt\" }\noutput.o = \"o\"\n",
    );
    p.write("notes.txt", "right\n").write("home/.keep", "");
    let mut child = p
        .command(&["run", "-j2"])
        .env("HOME", p.path("home"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    wait_for(&|| p.path("home/1").exists() && p.path("home/2").exists());
    p.write("notes.txt", "wrong\n");
    std::thread::sleep(Duration::from_millis(260));
    p.write("notes.txt", "right\n");
    assert!(child.wait().unwrap().success());
    assert_eq!(p.read("out/slow/n=1/o") + &p.read("out/slow/n=2/o"), "right\nright\n");
}

#[test]
fn a_file_that_was_only_touched_is_hashed_once_and_then_known_again() {
    let p = chain();
    p.run_ok(&[]);
    p.run_ok(&[]);
    let kept = || {
        let all = crate::support::files(&p.path("cache/memo"));
        let file = all.into_iter().find(|f| f.extension().is_some_and(|e| e == "plan")).unwrap();
        std::fs::metadata(file).unwrap().modified().unwrap()
    };
    let before = kept();
    p.write("notes.txt", "one\ntwo\n");
    std::thread::sleep(Duration::from_millis(60));
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    let touched = kept();
    assert!(touched > before, "what it is now is remembered");
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    assert_eq!(kept(), touched, "and then nothing is new");
}

#[test]
fn a_file_that_changes_while_a_cache_hit_is_materialised_makes_it_stale() {
    let p = Project::new(
        "[stage.many]\nkind = \"command\"\noutput.o = \"o\"\ninput.text = { path = \"notes.txt\" }\n\
         run = \"mkdir $OUT_o; read word < $IN_text; for i in $(seq 4000); do echo $word > $OUT_o/$i; done\"\n\
         [stage.slow]\nkind = \"command\"\noutput.o = \"o\"\ninput.text = { path = \"notes.txt\" }\n\
         run = \"touch $HOME/began; sleep 0.1; cat $IN_text > $OUT_o # 1\"\n",
    );
    p.write("notes.txt", "old\n").write("home/.keep", "");
    let began = || p.path("home/began").exists();
    let start = || p.command(&["run", "-q"]).env("HOME", p.path("home")).spawn().unwrap();
    assert!(start().wait().unwrap().success());
    std::fs::remove_dir_all(p.path("out/many")).unwrap();
    std::fs::remove_file(p.path("home/began")).unwrap();
    p.edit("# 1", "# 2");
    let mut child = start();
    wait_for(&began);
    p.write("notes.txt", "new\n");
    assert!(child.wait().unwrap().success());
    // Whatever that run materialised, the next one gives the result for the current file.
    assert!(start().wait().unwrap().success());
    assert_eq!(p.read("out/slow/o") + &p.read("out/many/o/4000"), "new\nnew\n");
}

#[test]
fn what_reads_a_node_that_is_computed_again_with_another_result_follows_in_the_same_run() {
    let p = Project::new(
        "[stage.any]\nkind = \"command\"\nrun = \"cat /proc/sys/kernel/random/uuid > $OUT_o\"\noutput.o = \"o\"\n\
         [stage.copy]\nkind = \"command\"\nrun = \"cat $IN_i > $OUT_o\"\ninput.i = \"any\"\noutput.o = \"o\"\n",
    );
    p.run_ok(&[]);
    let before = p.read("out/any/o");
    for object in crate::support::files(&p.path("cache/objects")) {
        std::fs::set_permissions(&object, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
        std::fs::write(&object, "x".repeat(before.len())).unwrap();
    }
    let text = p.read("pipeline.toml");
    p.write(
        "pipeline.toml",
        &(text.clone() + &text[text.find("[stage.copy]").unwrap()..].replace("copy", "third")),
    );
    let ran = p.run_ok(&[]);
    let now = p.read("out/any/o");
    assert_ne!(now, before, "{}", ran.err);
    assert_eq!((p.read("out/copy/o"), p.read("out/third/o")), (now.clone(), now));
    assert_eq!(ran.counts(), [2, 1, 0, 0], "`copy` and `third` have one result");
    assert!(ran.err.contains("a cached output is corrupt or missing"), "{}", ran.err);
    assert_eq!(p.run_ok(&[]).counts(), [0, 3, 0, 0]);
}
