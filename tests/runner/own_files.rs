//! Files that no run made belong to the user.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use crate::support::{Project, Ran, chain};

/// A stage that makes a file, with lines of `[pipeline]` before it.
fn one(pipeline: &str, run: &str) -> Project {
    Project::new(&format!(
        "[pipeline]\n{pipeline}\n[stage.a]\nkind = \"command\"\nrun = '''{run}'''\noutput.o = \"o\"\n"
    ))
}

fn refused(p: &Project, ran: &Ran, path: &str) {
    assert_eq!((ran.code, ran.events.len()), (2, 0), "{}", ran.err);
    assert!(ran.err.contains(path), "{path}: {}", ran.err);
    assert!(ran.err.contains("help: "), "{}", ran.err);
    assert_eq!(p.call(&["plan"]).code, 2, "the plan says it, too");
}

#[test]
fn nothing_is_written_over_what_no_run_put_there() {
    for (out, place) in [("", "out/a/o"), ("out = \".\"", "a/o"), ("out = \"made/here\"", "made/here/a/o")] {
        let p = one(out, "echo made > $OUT_o");
        p.write(place, "a month of work\n");
        refused(&p, &p.run(&[]), place);
        assert_eq!(p.read(place), "a month of work\n");
        // The same bytes are the user's, too.
        p.write(place, "made\n");
        refused(&p, &p.run(&[]), place);
        // Once it is moved away, the run succeeds; from then on the path is the run's.
        std::fs::rename(p.path(place), p.path("mine")).unwrap();
        p.run_ok(&[]);
        p.edit("echo made", "echo other");
        p.run_ok(&[]);
        assert_eq!((p.read(place), p.read("mine")), ("other\n".into(), "made\n".into()));
    }
}

#[test]
fn a_folder_to_which_a_user_added_something_is_left_alone() {
    let p = one("", "mkdir $OUT_o; echo 1 > $OUT_o/f");
    p.run_ok(&[]);
    p.edit("echo 1", "echo 2");
    p.run_ok(&[]);
    p.write("out/a/o/mine", "mine");
    p.edit("echo 2", "echo 3");
    refused(&p, &p.run(&[]), "out/a/o/mine, the place of an output of `a`, is not what a run put there");
    assert_eq!((p.read("out/a/o/mine"), p.read("out/a/o/f")), ("mine".into(), "2\n".into()));
    // An empty folder is something, too.
    std::fs::remove_file(p.path("out/a/o/mine")).unwrap();
    std::fs::create_dir(p.path("out/a/o/empty")).unwrap();
    refused(&p, &p.run(&[]), "out/a/o");
    std::fs::remove_dir(p.path("out/a/o/empty")).unwrap();
    p.run_ok(&[]);
    assert_eq!(p.read("out/a/o/f"), "3\n");
}

#[test]
fn only_what_is_wanted_is_refused_and_overwriting_must_be_asked_for() {
    let p = chain();
    p.write("out/all/all.txt", "mine");
    assert_eq!(p.run_ok(&["words"]).counts(), [1, 0, 0, 0]);
    refused(&p, &p.run(&[]), "out/all/all.txt");
    assert_eq!(p.run_ok(&["--overwrite"]).counts(), [3, 1, 0, 0]);
    assert!(p.read("out/all/all.txt").starts_with("hello"));
}

#[test]
fn what_lies_behind_a_link_is_left_alone() {
    let p = one("", "echo made > $OUT_o");
    p.write("models/o", "weights");
    std::fs::create_dir(p.path("out")).unwrap();
    symlink(p.path("models"), p.path("out/a")).unwrap();
    refused(&p, &p.run(&[]), "out/a is a link");
    refused(&p, &p.run(&["--overwrite"]), "out/a is a link");
    std::fs::remove_file(p.path("models/o")).unwrap();
    refused(&p, &p.run(&[]), "out/a is a link");
    assert!(!p.path("models/o").exists());
    // A link in the place of the output itself.
    std::fs::remove_file(p.path("out/a")).unwrap();
    std::fs::create_dir(p.path("out/a")).unwrap();
    p.write("mine", "mine");
    symlink(p.path("mine"), p.path("out/a/o")).unwrap();
    refused(&p, &p.run(&[]), "out/a/o is a link");
    p.run_ok(&["--overwrite"]);
    assert_eq!((p.read("mine"), p.read("out/a/o")), ("mine".into(), "made\n".into()));
    // And a file where a folder must be.
    let p = one("", "echo made > $OUT_o");
    p.write("out/a", "mine");
    refused(&p, &p.run(&[]), "out/a is a file");
    assert_eq!(p.read("out/a"), "mine");
}

#[test]
fn what_appears_while_a_node_runs_is_kept_and_the_node_fails_alone() {
    let p = one("", "");
    let place = p.path("out/a").display().to_string();
    p.edit("run = ''''''", &format!("run = 'mkdir -p {place}; echo mine > {place}/o; echo made > $OUT_o'"));
    let text = p.read("pipeline.toml");
    p.write(
        "pipeline.toml",
        &format!("{text}[stage.b]\nkind = \"command\"\nrun = \"echo > $OUT_o\"\noutput.o = \"o\"\n"),
    );
    let ran = p.run(&["-k"]);
    assert_eq!((ran.code, ran.counts()), (1, [1, 0, 1, 0]), "{}", ran.err);
    assert!(
        ran.err.contains("out/a/o, the place of an output of `a`, is not what a run put there"),
        "{}",
        ran.err
    );
    assert_eq!(p.read("out/a/o"), "mine\n");
    std::fs::remove_file(p.path("out/a/o")).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [0, 2, 0, 0], "its result is in the cache");
    assert_eq!(p.read("out/a/o"), "made\n");
}

#[test]
fn clean_removes_what_runs_placed_and_names_what_it_leaves() {
    let p = one("out = \".\"", "mkdir $OUT_o; echo 1 > $OUT_o/f");
    p.write("a/thesis.tex", "mine").write("b/x", "mine");
    p.run_ok(&[]);
    // Outputs that the pipeline made earlier, and no longer makes, are removed, too.
    p.edit("output.o = \"o\"", "output.o = \"p\"");
    p.run_ok(&[]);
    let said = p.call(&["clean"]);
    assert_eq!(said.code, 0, "{}", said.err);
    assert!(
        said.out.contains("removed the outputs of a") && said.out.contains("left    a/thesis.tex"),
        "{}",
        said.out
    );
    assert!(!p.path("a/o").exists() && !p.path("a/p").exists());
    assert_eq!((p.read("a/thesis.tex"), p.read("b/x")), ("mine".into(), "mine".into()));
    // An output that was changed stays.
    p.run_ok(&[]);
    p.write("a/p/notes", "mine");
    let said = p.call(&["clean"]);
    assert!(said.out.contains("left    a/p/notes"), "{}", said.out);
    assert!(p.read("a/p/notes") == "mine" && !p.path("a/p/f").exists());
    // If there is nothing else, nothing is left.
    let p = one("", "echo 1 > $OUT_o");
    p.run_ok(&[]);
    p.call(&["clean"]);
    assert!(!p.path("out").exists() && p.path("cache").exists());
}

#[test]
fn an_output_folder_whose_journal_is_lost_or_that_was_copied_is_known_by_its_bytes() {
    let p = one("", "mkdir $OUT_o; echo 1 > $OUT_o/f");
    p.run_ok(&[]);
    std::fs::remove_dir_all(p.path("out/.lfs-pipe")).unwrap();
    p.edit("echo 1", "echo 2");
    p.run_ok(&[]);
    assert_eq!(p.read("out/a/o/f"), "2\n");
}

#[test]
fn a_linked_input_keeps_its_rights_and_later_edits_reach_no_object() {
    let p = one("", "ln $IN_x $OUT_o");
    p.edit("output.o", "input.x = { path = \"x\" }\noutput.o");
    p.write("x", "secret\n");
    std::fs::set_permissions(p.path("x"), PermissionsExt::from_mode(0o600)).unwrap();
    p.run_ok(&[]);
    let own = std::fs::metadata(p.path("x")).unwrap();
    assert_eq!(own.permissions().mode() & 0o777, 0o600);
    assert!(p.objects().iter().all(|o| std::fs::metadata(o).unwrap().ino() != own.ino()));
    // The same in a folder, by a copy with links.
    p.edit("ln $IN_x $OUT_o", "mkdir $OUT_o; cp -l $IN_x $OUT_o/y");
    p.run_ok(&[]);
    assert_eq!(std::fs::metadata(p.path("x")).unwrap().permissions().mode() & 0o777, 0o600);
    std::fs::write(p.path("x"), "SECRET\n").unwrap();
    assert_eq!(p.read("out/a/o/y"), "secret\n");
    assert_eq!(p.json(&["cache", "verify", "--json"])["damage"].as_array().unwrap().len(), 0);
}

#[test]
fn an_input_that_a_command_moves_away_is_put_back() {
    for (path, run) in [
        ("in/a.txt", "mv $IN_x $OUT_o"),
        ("in", "mkdir $OUT_o; mv $IN_x $OUT_o"),
        ("in", "mkdir $OUT_o; mv $IN_x/* $OUT_o"),
        ("in/*", "mkdir $OUT_o; mv $IN_x $OUT_o"),
    ] {
        let p = one("", run);
        p.edit("output.o", &format!("input.x = {{ path = \"{path}\" }}\noutput.o"));
        p.write("in/a.txt", "a month of work\n").write("in/sub/b.txt", "another\n");
        if path != "in" {
            std::fs::remove_dir_all(p.path("in/sub")).unwrap();
        }
        let before = crate::support::files(&p.path("in"));
        let ran = p.run(&[]);
        assert_eq!(ran.code, 1, "{run}: {}", ran.err);
        assert!(
            ran.err.contains("it moved its input away: in/a.txt") && ran.err.contains("restored)"),
            "{}",
            ran.err
        );
        assert_eq!(p.read("in/a.txt"), "a month of work\n");
        assert_eq!(crate::support::files(&p.path("in")), before, "{run}");
    }
}

#[test]
fn what_a_command_made_of_an_input_that_is_gone_is_kept() {
    let p = one("", "mv $IN_x $OUT_o; sed -i s/month/year/ $OUT_o");
    p.edit("output.o", "input.x = { path = \"x\" }\noutput.o");
    p.write("x", "a month of work\n");
    let ran = p.run(&[]);
    assert!(
        ran.code == 1 && ran.err.contains("its input x is missing; what the node left is in cache/damaged/"),
        "{}",
        ran.err
    );
    let kept = crate::support::files(&p.path("cache/damaged"));
    assert!(kept.iter().any(|f| std::fs::read(f).unwrap() == b"a year of work\n"), "{kept:?}");
}

#[test]
fn an_input_that_a_run_took_along_into_death_is_put_back_by_the_next() {
    let p = one("", "mv $IN_x $OUT_o; touch $HOME/moved; sleep 60");
    p.edit("output.o", "input.x = { path = \"x\" }\noutput.o");
    let text = p.read("pipeline.toml");
    p.write(
        "pipeline.toml",
        &format!("{text}[stage.b]\nkind = \"command\"\nrun = \"echo > $OUT_o\"\noutput.o = \"o\"\n"),
    );
    p.write("x", "a month of work\n").write("home/.keep", "");
    std::thread::sleep(std::time::Duration::from_millis(60));
    let mut child = p.command(&["run"]).env("HOME", p.path("home")).spawn().unwrap();
    crate::cache::wait_for(&|| p.path("home/moved").exists());
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(!p.path("x").exists());
    let ran = p.run(&["--force", "b", "b"]);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(p.read("x"), "a month of work\n");
}

#[test]
fn a_part_of_an_output_that_is_gone_is_no_reason_to_refuse_and_one_that_was_added_is_named() {
    let p = one("", "mkdir -p $OUT_o/sub; echo 1 > $OUT_o/f; echo 1 > $OUT_o/sub/g");
    p.run_ok(&[]);
    std::fs::remove_file(p.path("out/a/o/sub/g")).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [0, 1, 0, 0]);
    assert_eq!(p.read("out/a/o/sub/g"), "1\n");
    std::fs::remove_dir_all(p.path("out/a/o/sub")).unwrap();
    p.edit("echo 1 > $OUT_o/f", "echo 2 > $OUT_o/f");
    p.run_ok(&[]);
    p.write("out/a/o/sub/mine", "mine");
    p.edit("echo 2", "echo 3");
    refused(&p, &p.run(&[]), "out/a/o/sub/mine");
    // `clean` removes the rest, and leaves that.
    let said = p.call(&["clean"]);
    assert!(said.out.contains("left    out/a/o/sub/mine"), "{}", said.out);
    assert_eq!(crate::support::files(&p.path("out/a")), [p.path("out/a/o/sub/mine")]);
}

#[test]
fn an_output_may_become_a_folder_and_a_folder_an_output() {
    let p = one("", "echo 1 > $OUT_o");
    for path in ["res", "res/deep/x.txt", "res", "res/x.txt", "o"] {
        let text = p.read("pipeline.toml");
        let at = text.find("output.o").unwrap();
        p.write("pipeline.toml", &format!("{}output.o = \"{path}\"\n", &text[..at]));
        p.run_ok(&[]);
        assert_eq!(p.read(&format!("out/a/{path}")), "1\n", "{path}");
    }
}

#[test]
fn cleaning_beside_runs_breaks_nothing() {
    let p = one("", "mkdir $OUT_o; echo ${vars.n} > $OUT_o/f");
    let text = p.read("pipeline.toml");
    p.write("pipeline.toml", &format!("[vars]\nn = 0\n{text}"));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0..15 {
                // Its output may be removed meanwhile, which fails the node at most.
                let ran = p.call(&["run", "-q", "--set", &format!("n={n}")]);
                assert!([0, 1].contains(&ran.code), "{}", ran.err);
            }
        });
        scope.spawn(|| (0..15).for_each(|_| assert_eq!(p.call(&["clean"]).code, 0)));
    });
    p.run_ok(&[]);
    assert_eq!(p.read("out/a/o/f"), "0\n");
}

#[test]
fn a_folder_with_things_of_others_is_taken_for_no_cache() {
    let p = one("cache = \".\"", "echo 1 > $OUT_o");
    p.write("runs/events.of-tensorboard", "mine");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("it holds `runs`, which no run made"), "{}", ran.err);
    let ran = p.call(&["clean", "--cache-too"]);
    assert_ne!(ran.code, 0);
    assert_eq!(p.read("runs/events.of-tensorboard"), "mine");
    // Next to other files, what belongs to the cache is removed, and nothing else.
    let p = one("cache = \"c\"", "echo 1 > $OUT_o");
    p.write("c/notes.txt", "mine");
    p.run_ok(&[]);
    assert_eq!(p.call(&["clean", "--cache-too"]).code, 0);
    assert_eq!(crate::support::files(&p.path("c")), [p.path("c/notes.txt")]);
}

#[test]
fn outputs_and_the_cache_do_not_lie_in_each_other() {
    let p = one("out = \"cache/out\"", "echo 1 > $OUT_o");
    let ran = p.run(&[]);
    assert!(ran.code == 2 && ran.err.contains("lies in the cache"), "{}", ran.err);
    let p = one("out = \".\"\ncache = \"a/cache\"", "echo 1 > $OUT_o");
    let ran = p.run(&[]);
    assert!(ran.code == 2 && ran.err.contains("would lie in each other"), "{}", ran.err);
}

#[test]
fn a_lock_file_of_another_program_is_not_replaced_and_ours_is_replaced_whole() {
    let p = one("", "echo 1 > $OUT_o");
    p.run_ok(&[]);
    p.write("pipeline.lock", "[[package]]\nname = \"other\"\n");
    let ran = p.call(&["lock"]);
    assert!(ran.code == 2 && ran.err.contains("is no lock file of this program"), "{}", ran.err);
    assert!(p.read("pipeline.lock").contains("other"));
    std::fs::remove_file(p.path("pipeline.lock")).unwrap();
    assert_eq!(p.call(&["lock"]).code, 0);
    let before = std::fs::metadata(p.path("pipeline.lock")).unwrap();
    assert_eq!(p.call(&["lock"]).code, 0);
    let after = std::fs::metadata(p.path("pipeline.lock")).unwrap();
    assert_ne!(before.ino(), after.ino(), "by a rename, not in place");
    assert_eq!(before.mode(), after.mode());
}

#[test]
fn a_page_or_events_are_not_written_over_what_no_run_wrote() {
    for option in ["--events", "--html"] {
        for file in ["pipeline.toml", "x", "thesis.html"] {
            let p = one("", "echo 1 > $OUT_o");
            p.write("x", "mine").write("thesis.html", "<!DOCTYPE html><html>mine</html>");
            let before = p.read(file);
            let ran = p.call(&["run", option, file]);
            assert!(ran.code == 2 && ran.err.contains("of this program"), "{option} {file}: {}", ran.err);
            assert_eq!(p.read(file), before);
            assert!(!p.path("out").exists(), "nothing was run");
        }
        let p = one("", "echo 1 > $OUT_o");
        p.write("empty", "");
        for file in ["new", "new", "empty", "/dev/null"] {
            let ran = p.call(&["run", option, file]);
            assert_eq!(ran.code, 0, "{option} {file}: {}", ran.err);
        }
    }
}

#[test]
fn two_nodes_never_share_a_place() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nmatrix.x = [\"p/q\", \"p%2Fq\", \"p%252Fq\"]\n\
         run = \"echo '${matrix.x}' > $OUT_o\"\noutput.o = \"o\"\n",
    );
    p.run_ok(&[]);
    let mut texts: Vec<String> =
        crate::support::files(&p.path("out/a")).iter().map(|f| std::fs::read_to_string(f).unwrap()).collect();
    texts.sort();
    assert_eq!(texts, ["p%252Fq\n", "p%2Fq\n", "p/q\n"]);
}
