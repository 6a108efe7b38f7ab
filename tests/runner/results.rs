//! What runs and what does not.

use crate::support::{Project, chain};

#[test]
fn a_run_writes_outputs_and_a_second_one_runs_nothing() {
    let p = chain();
    assert_eq!(p.run_ok(&[]).counts(), [4, 0, 0, 0]);
    assert_eq!(p.read("out/all/all.txt"), "hello\none\ntwo\none\ntwo\none\ntwo\n");
    assert_eq!(p.read("out/times/n=2/text.txt"), "one\ntwo\none\ntwo\n");
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
}

#[test]
fn p2_a_stage_that_reran_to_the_same_bytes_stops_the_wave() {
    let p = chain();
    p.run_ok(&[]);
    p.write("notes.txt", "one\n# a remark\ntwo\n");
    assert_eq!(p.run_ok(&[]).executed(), ["words"]);
}

#[test]
fn p2_every_result_ever_computed_is_found_again() {
    let p = chain();
    p.run_ok(&[]);
    p.write("notes.txt", "three\n");
    assert_eq!(p.run_ok(&[]).counts(), [4, 0, 0, 0]);
    p.write("notes.txt", "one\ntwo\n");
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    assert_eq!(p.read("out/words/words.txt"), "one\ntwo\n");
}

#[test]
fn p2_a_run_of_one_target_leaves_the_others_to_be_checked() {
    let p = chain();
    p.run_ok(&[]);
    p.run_ok(&[]);
    p.write("notes.txt", "three\n");
    assert_eq!(p.run_ok(&["words"]).executed(), ["words"]);
    assert_eq!(p.run_ok(&["times[n=2]"]).executed(), ["times[n=2]"]);
    assert_eq!(p.run_ok(&[]).executed(), ["all", "times[n=1]"]);
    assert_eq!(p.read("out/all/all.txt"), "hello\nthree\nthree\nthree\n");
    p.write("notes.txt", "one\ntwo\n");
    assert_eq!(p.run_ok(&["times[n=2]"]).counts(), [0, 2, 0, 0]);
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    assert_eq!(p.read("out/all/all.txt"), "hello\none\ntwo\none\ntwo\none\ntwo\n");
}

#[test]
fn p1_a_kept_plan_is_not_used_when_what_it_was_made_from_changed() {
    let p = chain();
    p.edit("hello\"", "${env.LFS_TEST_GREETING:-hello}\"")
        .edit("path = \"notes.txt\"", "path = \"notes*.txt\"");
    p.run_ok(&[]);
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    let output = p.command(&["run"]).env("LFS_TEST_GREETING", "hi").output().unwrap();
    assert!(output.status.success());
    assert!(p.read("out/all/all.txt").starts_with("hi\n"), "a variable of the environment");
    p.write("notes-too.txt", "three\n");
    p.run_ok(&[]);
    assert!(p.read("out/all/all.txt").contains("three\n"), "a file that matches a pattern");
    p.edit("echo ${vars.greeting}", "echo ${vars.greeting} all");
    assert_eq!(p.run_ok(&[]).executed(), ["all"]);
    assert!(p.read("out/all/all.txt").starts_with("hello all\n"), "the manifest");
    // A damaged file is no plan.
    for file in crate::support::files(&p.path("cache/memo")) {
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&file, bytes).unwrap();
    }
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
}

#[test]
fn p1_a_variable_reaches_only_what_uses_it() {
    let p = chain();
    p.run_ok(&[]);
    let ran = p.run_ok(&["--set", "greeting=good day"]);
    assert_eq!(ran.executed(), ["all"]);
    assert!(p.read("out/all/all.txt").starts_with("good day\n"));
}

#[test]
fn p1_names_of_stages_and_the_place_of_the_project_do_not_count() {
    let p = chain();
    p.run_ok(&[]);
    p.edit("[stage.words]", "[stage.text]").edit("input.words = \"words\"", "input.words = \"text\"");
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    let other = chain();
    let cache = p.path("cache");
    let ran = other.run_ok(&["--cache", cache.to_str().unwrap()]);
    assert_eq!(ran.counts(), [0, 4, 0, 0], "the same bytes elsewhere have the same keys");
    assert_eq!(other.read("out/words/words.txt"), "one\ntwo\n");
}

#[test]
fn p1_the_number_of_jobs_does_not_count() {
    let (a, b) = (chain(), chain());
    a.run_ok(&["-j", "1"]);
    b.run_ok(&["-j", "4"]);
    let status = |p: &Project| p.json(&["status", "--json"]);
    assert_eq!(status(&a), status(&b));
}

#[test]
fn a_target_runs_with_what_it_reads_and_no_more() {
    let p = chain();
    assert_eq!(p.run_ok(&["times[n=2]"]).executed(), ["times[n=2]", "words"]);
    assert!(!p.path("out/all").exists());
    assert_eq!(p.run_ok(&["times"]).executed(), ["times[n=1]"]);
}

#[test]
fn a_forced_node_runs_and_stops_the_wave_if_nothing_changes() {
    let p = chain();
    p.run_ok(&[]);
    assert_eq!(p.run_ok(&["--force", "words"]).executed(), ["words"]);
}

#[test]
fn a_failed_stage_is_reported_with_its_log_and_exit_code_1() {
    let p = chain();
    p.edit("grep -v '^#' $IN_text > $OUT_words", "echo about to fail; exit 7");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 1);
    assert_eq!(ran.counts(), [0, 0, 1, 3]);
    assert!(ran.err.contains("words: the command ended with exit code 7"), "{}", ran.err);
    assert!(ran.err.contains("| about to fail"), "{}", ran.err);
    assert!(p.call(&["log", "words"]).out.contains("about to fail"));
    // What failed is not remembered: the next run tries again.
    p.edit("echo about to fail; exit 7", "cat $IN_text > $OUT_words");
    assert_eq!(p.run_ok(&[]).counts(), [4, 0, 0, 0]);
}

#[test]
fn keep_going_runs_what_does_not_depend_on_the_failure() {
    let p = chain();
    p.edit("for i in", "[ ${matrix.n} = 2 ] || exit 1; for i in");
    assert_eq!(p.run(&["--keep-going", "-j1"]).executed(), ["times[n=2]", "words"]);
    assert_eq!(p.run(&["-k"]).counts(), [0, 2, 1, 1], "and keeps what was done");
}

#[test]
fn a_stage_that_writes_no_output_fails_and_says_which() {
    let p = chain();
    p.edit("> $OUT_words", "> other.txt");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("did not write its output `words` (words.txt)"), "{}", ran.err);
    assert!(ran.err.contains("$OUT_words"), "{}", ran.err);
}

#[test]
fn a_symbolic_link_is_no_output() {
    let p = chain();
    p.edit("grep -v '^#' $IN_text > $OUT_words", "ln -s /etc/hostname $OUT_words");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("symbolic link"), "{}", ran.err);
}

#[test]
fn folders_travel_as_inputs_and_outputs() {
    let p = Project::new(
        r#"
[stage.split]
kind = "command"
run = "mkdir -p parts/deep; cp $IN_data/* parts/; echo x > parts/deep/y; chmod +x parts/deep/y"
input.data = { path = "data" }
output.parts = "parts"

[stage.count]
kind = "command"
run = "find $IN_parts/ -type f | wc -l > $OUT_n; test -x $IN_parts/deep/y"
input.parts = "split"
output.n = "n.txt"
"#,
    );
    p.write("data/a", "1").write("data/b", "2");
    assert_eq!(p.run_ok(&[]).counts(), [2, 0, 0, 0]);
    assert_eq!(p.read("out/count/n.txt").trim(), "3");
    assert_eq!(p.read("out/split/parts/deep/y"), "x\n");
    assert_eq!(p.run_ok(&[]).counts(), [0, 2, 0, 0]);
    p.write("data/c", "3");
    assert_eq!(p.run_ok(&[]).counts(), [2, 0, 0, 0]);
    std::fs::remove_file(p.path("data/c")).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [0, 2, 0, 0]);
    assert!(!p.path("out/split/parts/c").exists(), "what is not in the result any more is not in the folder");
}

#[test]
fn a_pattern_gives_a_list_that_follows_the_files() {
    let p = Project::new(
        "[stage.cat]\nkind = \"command\"\nrun = \"cat $IN_all > $OUT_o\"\ninput.all = { path = \"in/*.txt\" }\noutput.o = \"o\"\n",
    );
    p.write("in/b.txt", "b").write("in/a.txt", "a").write("in/c.md", "c");
    p.run_ok(&[]);
    assert_eq!(p.read("out/cat/o"), "ab");
    p.write("in/d.txt", "d");
    assert_eq!(p.run_ok(&[]).counts(), [1, 0, 0, 0]);
    assert_eq!(p.read("out/cat/o"), "abd");
}

#[test]
fn a_command_sees_only_the_environment_that_the_manifest_gives_it() {
    let p = Project::new(
        "[stage.env]\nkind = \"command\"\nrun = \"env | cut -d= -f1 | sort > $OUT_names; echo $GIVEN >> $OUT_names\"\n\
         env = { GIVEN = \"yes\" }\noutput.names = \"names\"\n",
    );
    let output = p.command(&["run"]).env("SECRET", "1").output().unwrap();
    assert!(output.status.success());
    let names = p.read("out/env/names");
    assert!(!names.contains("SECRET"), "{names}");
    assert!(names.contains("GIVEN") && names.ends_with("yes\n"), "{names}");
}

#[test]
fn a_file_given_on_the_command_line_is_an_input_like_any_other() {
    let p = chain();
    p.edit("path = \"notes.txt\"", "path = \"${vars.file}\"");
    p.write("other.txt", "other\n");
    p.run_ok(&["--set", "file=other.txt"]);
    assert_eq!(p.read("out/words/words.txt"), "other\n");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("there is no `vars.file`"), "{}", ran.err);
}

#[test]
fn retries_try_again_and_a_timeout_ends_a_stage() {
    let p = Project::new(
        "[stage.flaky]\nkind = \"command\"\nrun = \"[ -e $HOME/tried ] || { touch $HOME/tried; exit 1; }; echo ok > $OUT_o\"\n\
         retries = 1\noutput.o = \"o\"\n\
         [stage.slow]\nkind = \"command\"\nrun = \"sleep 30; echo > $OUT_o\"\ntimeout = \"200 ms\"\noutput.o = \"o\"\n",
    );
    let home = p.path("home");
    std::fs::create_dir(&home).unwrap();
    let output = p.command(&["run", "-k"]).env("HOME", &home).output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{err}");
    assert_eq!(p.read("out/flaky/o"), "ok\n");
    assert!(err.contains("slow: the command was stopped after its timeout of 0.2 s"), "{err}");
}

#[test]
fn a_matrix_of_include_alone_has_a_node_for_each_entry() {
    let p = Project::new(
        "[stage.one]\nkind = \"command\"\nrun = \"echo ${matrix.n} > $OUT_o\"\noutput.o = \"o\"\n\
         matrix.include = [{ n = 1 }, { n = 2, colour = \"red\" }]\n",
    );
    assert_eq!(p.run_ok(&[]).executed(), ["one[n=1]", "one[n=2,colour=red]"]);
    assert_eq!((p.read("out/one/n=1/o"), p.read("out/one/n=2,colour=red/o")), ("1\n".into(), "2\n".into()));
}

#[test]
fn p1_a_strict_command_reaches_nothing_that_is_not_declared() {
    let p = chain();
    p.write("side.txt", "side\n");
    let side = p.path("side.txt").display().to_string();
    let ok = p.edit("output.words = \"words.txt\"", "output.words = \"words.txt\"\nstrict = true").run(&[]);
    if ok.err.contains("`strict` is not available here") {
        eprintln!("skipped: this kernel has no Landlock");
        return;
    }
    assert_eq!(ok.counts(), [4, 0, 0, 0], "what is declared can be read: {}", ok.err);
    // A downstream command reads outputs of other nodes.
    p.edit("input.words = \"words\"", "input.words = \"words\"\nstrict = true");
    assert_eq!(p.run_ok(&[]).executed(), ["times[n=1]", "times[n=2]"]);
    let good = "grep -v '^#' $IN_text > $OUT_words";
    for (bad, said) in [
        (format!("cat $IN_text {side} > $OUT_words"), "side.txt: Permission denied"),
        (format!("set -e; cat $IN_text > $OUT_words; echo x > {side}"), "side.txt: Permission denied"),
        (format!("cat $IN_text > $OUT_words && ls {}", p.path("").display()), "Permission denied"),
    ] {
        p.edit(good, &bad);
        let ran = p.run(&[]);
        assert_eq!(ran.code, 1, "{bad}: {}", ran.err);
        assert!(ran.err.contains("it reached for something that is not declared"), "{}", ran.err);
        assert!(ran.err.contains(said) && ran.err.contains("make it an input"), "{}", ran.err);
        p.edit(&bad, good);
    }
    assert_eq!(p.read("side.txt"), "side\n");
    // What it may read in addition is not part of the key.
    p.edit(good, &format!("cat $IN_text {side} > $OUT_words"));
    p.edit(
        "output.words = \"words.txt\"\nstrict = true",
        "output.words = \"words.txt\"\nstrict = [\"side.txt\"]",
    );
    p.run_ok(&[]);
    assert_eq!(p.read("out/words/words.txt"), "one\ntwo\nside\n");
}

#[test]
fn a_kill_for_memory_is_reported_as_such_and_another_kill_is_not() {
    let p = Project::new(
        "[stage.large]\nkind = \"command\"\nrun = \"head -c 400m /dev/zero | tail -c 400m > $OUT_o\"\noutput.o = \"o\"\n\
         [stage.shot]\nkind = \"command\"\nrun = \"kill -9 $$\"\noutput.o = \"o\"\n",
    );
    let ran = p.run(&["shot"]);
    assert!(ran.err.contains("the command was killed (signal 9)"), "{}", ran.err);
    // A control group with little memory: version 1 or 2 of them.
    let group = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"].map(std::path::PathBuf::from);
    let Some(group) =
        group.iter().find(|g| g.is_dir()).map(|g| g.join(format!("lfs-test-{}", std::process::id())))
    else {
        return;
    };
    let limit = |name: &str| std::fs::write(group.join(name), "67108864").is_ok();
    let made = std::fs::create_dir(&group).is_ok();
    if !made || !(limit("memory.limit_in_bytes") || limit("memory.max")) {
        eprintln!("skipped: no control group can be made here");
        std::fs::remove_dir(&group).ok();
        return;
    }
    let script = format!(
        "echo $$ > {}/cgroup.procs && exec {} run large",
        group.display(),
        env!("CARGO_BIN_EXE_lfs-pipe")
    );
    let output =
        std::process::Command::new("sh").args(["-c", &script]).current_dir(p.path("")).output().unwrap();
    std::fs::remove_dir(&group).ok();
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("the command was killed, since there was no memory left"), "{said}");
}

#[test]
fn p1_what_reads_a_forced_node_is_checked_when_it_is_over() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nrun = \"date +%N > $OUT_o\"\noutput.o = \"o\"\n\
         [stage.b]\nkind = \"command\"\nrun = \"cp $IN_o $OUT_o\"\ninput.o = \"a\"\noutput.o = \"o\"\n",
    );
    p.run_ok(&[]);
    p.run_ok(&[]);
    let first = p.read("out/b/o");
    assert_eq!(p.run_ok(&["--force", "a"]).executed(), ["a", "b"]);
    assert_ne!(p.read("out/b/o"), first);
    assert_eq!(p.read("out/b/o"), p.read("out/a/o"));
}

#[test]
fn more_gpus_than_there_are_fail_the_node_and_cache_hits_need_none() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nrun = \"echo > $OUT_o\"\noutput.o = \"o\"\n\
         [stage.b]\nkind = \"command\"\nrun = \"cp $IN_o $OUT_o\"\ninput.o = \"a\"\noutput.o = \"o\"\n",
    );
    p.run_ok(&["a"]);
    p.edit("run = \"echo", "resources.gpu = 99\nrun = \"echo");
    assert_eq!(p.run_ok(&[]).executed(), ["b"], "what is known needs no GPU");
    let ran = p.run(&["--force", "a"]);
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("it asks for 99 GPU, and this machine has"), "{}", ran.err);
    assert_eq!(ran.counts()[2..], [1, 1]);
}

#[test]
fn what_a_command_leaves_behind_talking_is_ended_with_it() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nrun = \"yes & sleep 0.1; echo done > $OUT_o\"\noutput.o = \"o\"\ntimeout = \"30 s\"\n",
    );
    assert_eq!(p.run_ok(&[]).counts(), [1, 0, 0, 0]);
}
