//! Where a command is given, and what a shell, a program or a person new to it asks for.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Project, called, chain};

fn below(p: &Project, folder: &str, args: &[&str]) -> crate::support::Ran {
    std::fs::create_dir_all(p.path(folder)).unwrap();
    called(p.command(args).current_dir(p.path(folder)))
}

#[test]
fn the_manifest_is_found_above_and_a_folder_can_be_named() {
    let p = chain();
    p.run_ok(&[]);
    let ran = below(&p, "deep/down", &["status"]);
    assert_eq!((ran.code, &ran.out), (0, &p.call(&["status"]).out));
    assert!(p.path("deep/down/cache").symlink_metadata().is_err());
    let ran = below(&p, "deep", &["-C", "..", "plan"]);
    assert!(ran.out.contains("0 to run, 4 cached"), "{}{}", ran.out, ran.err);
    let ran = below(&p, "deep", &["-C", "nowhere", "plan"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("cannot go to nowhere"), "{}", ran.err);
}

#[test]
fn a_path_in_a_variable_is_relative_to_where_it_is_typed() {
    let p = Project::new(
        "[vars]\ndata = \"here\"\n[stage.x]\nkind = \"command\"\nrun = \"cat $IN_a > $OUT_o\"\n\
         input.a = { path = \"${vars.data}/a.txt\" }\noutput.o = \"o\"\n",
    );
    p.write("here/a.txt", "of the manifest").write("sub/mine/a.txt", "of the command line");
    p.run_ok(&[]);
    assert_eq!(p.read("out/x/o"), "of the manifest");
    assert_eq!(below(&p, "sub", &["run", "--set", "data=mine"]).code, 0);
    assert_eq!(p.read("out/x/o"), "of the command line");
    // The same as a person in the manifest's folder would write it: a no-op.
    assert!(p.call(&["run", "--set", "data=sub/mine"]).err.contains("0 executed, 1 cached"));
}

#[test]
fn a_dry_run_is_the_plan_and_changes_nothing() {
    let p = chain();
    let ran = p.call(&["run", "-n"]);
    assert_eq!((ran.code, &ran.out), (0, &p.call(&["plan"]).out));
    assert!(p.path("out").symlink_metadata().is_err());
    assert_eq!(p.json(&["run", "--dry-run", "--json", "words"])["to-run"], 1);
}

#[test]
fn the_result_of_a_run_is_json_whether_it_failed_or_had_nothing_to_do() {
    let p = chain();
    let first = p.json(&["run", "--json"]);
    assert_eq!((first["executed"].as_u64(), first["nodes"].as_array().unwrap().len()), (Some(4), 4));
    let again = p.json(&["run", "--json"]);
    assert_eq!((again["executed"].as_u64(), again["cached"].as_u64()), (Some(0), Some(4)));
    assert!(
        again["nodes"].as_array().unwrap().iter().all(|n| n["state"] == "cached" && n["key"].is_string())
    );
    p.edit("grep -v '^#' $IN_text > $OUT_words", "exit 3");
    let ran = p.call(&["run", "--json"]);
    let failed: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
    assert_eq!((ran.code, failed["failed"].as_u64()), (1, Some(1)));
    assert!(failed["nodes"].to_string().contains("exit code 3"), "{failed}");
}

#[test]
fn colours_are_there_when_asked_for_and_nowhere_else() {
    let p = chain();
    let status = |args: &[&str]| called(p.command(args).env_remove("NO_COLOR")).out;
    assert!(!status(&["status"]).contains('\u{1b}'));
    assert!(!status(&["status", "--color", "never"]).contains('\u{1b}'));
    assert!(status(&["status", "--color", "always"]).contains("\u{1b}[33mto run"));
}

#[test]
fn two_revisions_are_compared_causes_first() {
    let p = chain();
    let git = |args: &[&str]| {
        let mut git = Command::new("git");
        git.args(["-c", "user.name=n", "-c", "user.email=e@x", "-C"]).arg(p.path("")).args(args);
        assert!(git.stdout(Stdio::null()).status().unwrap().success(), "git {args:?}");
    };
    git(&["init", "-q"]);
    p.write(".gitignore", "out/\ncache/\nevents.jsonl\n");
    git(&["add", "."]);
    git(&["commit", "-qm", "first"]);
    p.run_ok(&[]);
    p.edit("grep -v '^#' $IN_text > $OUT_words", "sed 's/^/x/' $IN_text > $OUT_words");
    p.run_ok(&[]);
    let runs = p.json(&["history", "--json"]);
    assert_eq!((&runs["runs"][0]["clean"], &runs["runs"][1]["clean"]), (&false.into(), &true.into()));
    assert_eq!(runs["runs"][0]["commit"], runs["runs"][1]["commit"]);
    git(&["commit", "-qam", "second"]);
    // A no-op is a run of its commit, too.
    p.run_ok(&[]);
    let said = p.call(&["diff", "HEAD~1", "HEAD"]);
    assert_eq!(said.code, 0, "{}", said.err);
    // The last run of the first commit is that of the changed tree.
    assert!(said.out.contains("+)") && said.out.contains("0 nodes with another key"), "{}", said.out);
    let diff = p.call(&["diff", "@3", "HEAD"]).out;
    let lines: Vec<&str> = diff.lines().map(str::trim_end).collect();
    let changed = lines.iter().position(|l| *l == "changed").unwrap();
    assert!(lines[changed + 1].starts_with("  words  parameters.run"), "{diff}");
    assert!(diff.contains("follow from that: "), "{diff}");
    git(&["commit", "-q", "--allow-empty", "-m", "third"]);
    let none = p.call(&["diff", "HEAD"]);
    assert_eq!(none.code, 2);
    assert!(none.err.contains("no run was made at `HEAD`"), "{}", none.err);
}

#[test]
fn a_run_database_of_the_form_before_is_read_and_goes_on() {
    let p = chain();
    p.run_ok(&[]);
    let change =
        "ALTER TABLE run DROP COLUMN revision; ALTER TABLE run DROP COLUMN clean; PRAGMA user_version = 2;";
    let python =
        format!("import sqlite3; c = sqlite3.connect('cache/runs.sqlite'); c.executescript('{change}')");
    let done = Command::new("python3").args(["-c", &python]).current_dir(p.path("")).status().unwrap();
    assert!(done.success());
    p.run_ok(&["--set", "greeting=hi"]);
    let runs = p.json(&["history", "--json"]);
    assert_eq!(runs["runs"].as_array().unwrap().len(), 2);
    assert!(runs["runs"][1]["commit"].is_null());
}

#[test]
fn a_log_is_followed_until_its_run_is_over() {
    let p = Project::new(
        "[stage.slow]\nkind = \"command\"\nrun = \"echo first; while [ ! -e ${env.HOME}/go ]; do sleep 0.05; done; echo last; touch $OUT_o\"\n\
         output.o = \"o\"\n",
    );
    p.write("home/.keep", "");
    let mut run = p.command(&["run", "-q"]).env("HOME", p.path("home")).spawn().unwrap();
    let follow =
        || p.command(&["log", "--follow", "slow"]).env("HOME", p.path("home")).stdout(Stdio::piped()).spawn();
    // The log is there as soon as the command has written.
    while !p.command(&["log", "slow"]).env("HOME", p.path("home")).output().unwrap().status.success() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let followed = follow().unwrap();
    std::thread::sleep(Duration::from_millis(300));
    p.write("home/go", "");
    assert!(run.wait().unwrap().success());
    let text = String::from_utf8(followed.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(text, "first\nlast\n");
}

#[test]
fn a_first_manifest_runs_as_it_is_and_replaces_nothing() {
    let p = chain();
    let said = p.call(&["init", "new"]);
    assert_eq!(said.code, 0, "{}", said.err);
    let ran = below(&p, "new", &["run"]);
    assert_eq!((ran.code, ran.out.trim()), (0, "3"), "{}", ran.err);
    for template in ["commands", "faces", "insightface", "paper"] {
        assert_eq!(p.call(&["init", "--template", template, "new"]).code, 2);
        assert_eq!(p.call(&["init", "--template", template, template]).code, 0);
    }
    assert!(p.call(&["init"]).err.contains("pipeline.toml is there already"));
}

#[test]
fn a_shell_completes_nodes_kinds_variables_and_runs() {
    let p = chain();
    p.run_ok(&[]);
    let complete = |words: &[&str]| {
        let mut command = p.command(&["--", "lfs-pipe"]);
        let place = words.len().to_string();
        command
            .args(words)
            .env("LFS_COMPLETE", "bash")
            .env("_CLAP_COMPLETE_INDEX", place)
            .env("_CLAP_IFS", "\n");
        called(&mut command).out
    };
    assert_eq!(complete(&["log", "times["]), "times[n=1]\ntimes[n=2]");
    assert!(complete(&["run", "w"]).contains("words"));
    assert!(complete(&["run", "--set", "gre"]).contains("greeting="));
    assert!(complete(&["diff", "20"]).starts_with("20"));
    let script = p.call(&["completions", "bash"]).out;
    assert!(script.contains("LFS_COMPLETE"), "{script}");
    assert_eq!(p.call(&["man", "man"]).code, 0);
    assert!(p.read("man/lfs-pipe-cache-gc.1").contains("keep\\-runs"));
}

#[test]
fn the_log_is_that_of_this_pipeline_where_another_one_shares_the_cache() {
    let manifest = |said: &str| {
        format!(
            "[stage.x]\nkind = \"command\"\nrun = \"echo {said}; echo {said} > $OUT_o\"\noutput.o = \"o\"\n"
        )
    };
    let p = Project::new(&manifest("first"));
    p.write("other/pipeline.toml", &manifest("second"));
    p.run_ok(&[]);
    assert!(p.call(&["-C", "other", "run", "--cache", "../cache"]).err.contains("1 executed"));
    assert_eq!(p.call(&["log", "x"]).out, "first\n");
    assert_eq!(p.call(&["-C", "other", "log", "x", "--cache", "../cache"]).out, "second\n");
    std::fs::remove_file(p.path("cache/runs.sqlite")).unwrap();
    assert_eq!(p.call(&["log", "x"]).out, "second\n", "without the run database the latest of all is shown");
}
