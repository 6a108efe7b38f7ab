//! The commands that only report.

use crate::support::chain;

#[test]
fn status_has_the_promised_form() {
    let p = chain();
    let before = p.json(&["status", "--json"]);
    assert_eq!(before["nodes"][0]["node"], "words");
    assert_eq!(before["nodes"][0]["state"], "to-run");
    assert_eq!(before["nodes"][1]["state"], "depends");
    p.run_ok(&[]);
    let after = p.json(&["status", "--json"]);
    let node = &after["nodes"][2];
    assert_eq!((node["node"].as_str(), node["kind"].as_str()), (Some("times[n=2]"), Some("command")));
    assert_eq!(node["state"], "cached");
    assert_eq!(node["key"].as_str().unwrap().len(), 64);
    let digest = blake3::hash(p.read("out/times/n=2/text.txt").as_bytes()).to_hex().to_string();
    assert_eq!(node["outputs"]["text"], digest.as_str());
}

#[test]
fn plan_says_what_would_run_and_why_and_runs_nothing() {
    let p = chain();
    insta::assert_snapshot!("plan_before", p.call(&["plan"]).out);
    p.run_ok(&[]);
    p.edit("greeting = \"hello\"", "greeting = \"hi\"");
    let plan = p.json(&["plan", "--json"]);
    assert_eq!((plan["to-run"].as_u64(), plan["cached"].as_u64()), (Some(1), Some(3)));
    assert!(p.call(&["plan"]).out.contains("parameters.run: \"echo hello"), "{}", p.call(&["plan"]).out);
    assert!(p.read("out/all/all.txt").starts_with("hello"));
}

#[test]
fn why_names_the_leaf_that_changed() {
    let p = chain();
    p.run_ok(&[]);
    assert!(p.call(&["why", "words"]).out.contains("its result is cached"));
    p.write("notes.txt", "three\n");
    let why = p.json(&["why", "words", "--json"]);
    let changes = why["nearest"]["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1);
    assert_eq!(changes[0]["leaf"], "inputs.text.digest");
    assert!(p.call(&["why", "all"]).out.contains("it reads times[n=1], which depends on others itself"));
}

#[test]
fn graphs_are_drawn_in_three_forms() {
    let p = chain();
    insta::assert_snapshot!("graph_mermaid", p.call(&["graph"]).out);
    insta::assert_snapshot!("graph_dot", p.call(&["graph", "--form", "dot", "--nodes"]).out);
    let svg = p.call(&["graph", "--form", "svg"]).out;
    assert_eq!(svg.matches("<rect").count(), 4, "a background and three stages");
    assert_eq!(svg.matches("marker-end").count(), 2);
}

#[test]
fn show_gives_the_provenance() {
    let p = chain();
    p.run_ok(&[]);
    let shown = p.json(&["show", "words", "--json"]);
    assert_eq!(shown["fingerprint"]["parameters"]["run"], "grep -v '^#' $IN_text > $OUT_words");
    assert_eq!(shown["record"]["made"]["node"], "words");
    let text = p.call(&["show", "times[n=1]"]).out;
    assert!(text.contains("input      words") && text.contains("output     text"), "{text}");
}

#[test]
fn clean_removes_outputs_and_only_when_asked_the_cache() {
    let p = chain();
    p.run_ok(&[]);
    p.write("out/mine.txt", "mine");
    assert_eq!(p.call(&["clean"]).code, 0);
    assert!(!p.path("out/words").exists() && p.path("out/mine.txt").exists());
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    p.call(&["clean", "--cache-too"]);
    assert_eq!(p.run_ok(&[]).counts(), [4, 0, 0, 0]);
}

#[test]
fn a_wrong_name_is_answered_with_the_nearest() {
    let p = chain();
    for (args, said) in [
        (vec!["run", "wrods"], "did you mean `words`?"),
        (vec!["why", "times"], "`times` means 2 nodes"),
        (vec!["show", "times[n=3]"], "did you mean `times[n=1]`?"),
        (vec!["log", "words"], "there is no log of `words`"),
        (vec!["run", "-f", "other.toml"], "cannot read the manifest other.toml"),
        (vec!["run", "--set", "nonsense"], "`--set` wants NAME=VALUE"),
        (vec!["run", "--set", "greting=hi"], "did you mean `greeting`?"),
        (vec!["run", "--set", "vars.greting.x=hi"], "there is no variable `greting`"),
        (vec!["kinds"], "the worker `lfs-stages` is not beside this program"),
    ] {
        let ran = p.call(&args);
        assert!(ran.err.contains(said), "{args:?}: {}", ran.err);
        assert!([2, 4].contains(&ran.code), "{args:?}: {}", ran.code);
    }
}

#[test]
fn completions_are_printed_for_every_shell() {
    let p = chain();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        assert!(p.call(&["completions", shell]).out.contains("lfs-pipe"), "{shell}");
    }
}

#[test]
fn outputs_named_by_the_manifest_are_printed_after_a_run() {
    let p = chain();
    p.edit("[vars]", "[pipeline]\nshow = \"all.all\"\nreport = \"all.all\"\n[vars]");
    let ran = p.run_ok(&[]);
    assert!(ran.out.contains("\nhello\none\n") && ran.out.contains("report: out/all/all.txt"), "{}", ran.out);
    p.edit("show = \"all.all\"", "show = \"all.al\"");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("did you mean `all.all`?"), "{}", ran.err);
}

#[test]
fn history_lists_the_runs_and_diff_says_in_what_two_differ() {
    let p = chain();
    assert!(p.call(&["history"]).out.contains("no run yet"));
    p.run_ok(&[]);
    p.run_ok(&[]);
    p.run_ok(&["--set", "greeting=hi"]);
    p.edit("grep -v '^#' $IN_text > $OUT_words", "exit 3");
    assert_eq!(p.run(&[]).code, 1);
    let runs = p.json(&["history", "--json"])["runs"].as_array().unwrap().clone();
    let of = |key: &str| runs.iter().map(|r| r[key].clone()).collect::<Vec<_>>();
    assert_eq!(of("state"), ["failed", "done", "done", "done"]);
    assert_eq!(of("executed"), [0, 1, 0, 4]);
    assert_eq!(of("cached"), [0, 3, 4, 0]);
    assert!(runs[1]["arguments"].as_str().unwrap().contains("--set greeting=hi"));
    p.edit("exit 3", "grep -v '^#' $IN_text > $OUT_words");
    let diff = p.json(&["diff", "@4", "@2", "--json"]);
    let nodes = diff["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 1, "{diff}");
    assert_eq!((nodes[0]["node"].as_str(), nodes[0]["what"].as_str()), (Some("all"), Some("changed")));
    assert_eq!(nodes[0]["changes"][0]["leaf"], "parameters.run");
    assert_eq!(p.json(&["diff", "@4", "@3", "--json"])["nodes"].as_array().unwrap().len(), 0);
    let said = p.call(&["diff", "@4", "@2"]).out;
    assert!(said.contains("\nchanged\n  all  parameters.run  \"echo hello"), "{said}");
    for (args, said) in [
        (["diff", "@9", "@1"], "there is no run and no git revision `@9`"),
        (["diff", "2", "@1"], "`2` means 4 runs"),
        (["diff", "yesterday", "@1"], "there is no run and no git revision `yesterday`"),
    ] {
        assert!(p.call(&args).err.contains(said), "{}", p.call(&args).err);
    }
}

#[test]
fn a_damaged_run_database_is_set_aside_and_nothing_else_is_lost() {
    let p = chain();
    p.run_ok(&[]);
    for file in ["cache/runs.sqlite-wal", "cache/runs.sqlite-shm"] {
        let _ = std::fs::remove_file(p.path(file));
    }
    p.write("cache/runs.sqlite", &"this is no database".repeat(100));
    // A no-op run does not read it. The run that it builds on is lost with the database, and so is its row.
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    let told = p.call(&["history", "--json"]);
    assert!(told.err.contains("it is set aside"), "{}", told.err);
    assert_eq!(p.json(&["history", "--json"])["runs"].as_array().unwrap().len(), 0);
    // The run that it builds on is not known any more: the next one checks everything, and records it again.
    assert_eq!(p.run_ok(&[]).counts(), [0, 4, 0, 0]);
    assert_eq!(p.json(&["diff", "@1", "@1", "--json"])["nodes"].as_array().unwrap().len(), 0);
    assert_eq!(p.json(&["history", "--json"])["runs"].as_array().unwrap().len(), 1);
    assert_eq!(p.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
}

#[test]
fn a_collection_works_after_the_run_database_was_removed_between_runs_with_nothing_to_do() {
    let p = chain();
    p.run_ok(&[]);
    std::thread::sleep(std::time::Duration::from_millis(40));
    for _ in 0..3 {
        assert_eq!(p.call(&["run"]).code, 0);
    }
    std::fs::remove_file(p.path("cache/runs.sqlite")).unwrap();
    assert_eq!(p.call(&["run"]).code, 0);
    let before = p.objects();
    assert_eq!(p.call(&["cache", "gc", "--keep-runs", "1"]).code, 0);
    assert_eq!(p.objects(), before);
}

#[test]
fn a_torn_line_of_a_run_with_nothing_to_do_costs_that_run_alone() {
    let p = chain();
    p.run_ok(&[]);
    p.run_ok(&[]);
    let quiet = p.read("cache/runs.quiet");
    p.write("cache/runs.quiet", &quiet[..quiet.len() / 2]);
    p.run_ok(&[]);
    assert_eq!(p.json(&["history", "--json"])["runs"].as_array().unwrap().len(), 2);
}

#[test]
fn provenance_names_the_node_the_run_and_the_key_of_a_file() {
    let p = chain();
    p.run_ok(&[]);
    let said = p.call(&["provenance", "out/times/n=2/text.txt"]).out;
    assert!(said.contains("output `text` of `times[n=2]`"), "{said}");
    assert!(said.contains("parameter run = \"for i in"), "{said}");
    // A copy elsewhere is recognised by its bytes.
    p.write("copy", &p.read("out/all/all.txt"));
    let who = p.json(&["provenance", "copy", "--json"]);
    assert_eq!(who["written-by"][0]["made"]["node"], "all");
    assert!(who["place"].is_null());
    p.write("out/all/all.txt", "tampered");
    let ran = p.call(&["provenance", "out/all/all.txt"]);
    assert_eq!(ran.code, 2);
    assert!(
        ran.err.contains("`all` writes to this path, and no cached result has these bytes"),
        "{}",
        ran.err
    );
    assert!(p.call(&["provenance", "nothing"]).err.contains("cannot read"));
    // Its name in the release before.
    assert_eq!(p.call(&["who", "copy"]).out, p.call(&["provenance", "copy"]).out);
}

#[test]
fn a_page_about_a_run_is_self_contained_and_works_in_a_browser() {
    let p = chain();
    p.edit("for i in", "echo 'a < b & c'; for i in");
    p.edit("echo ${vars.greeting} |", "[ -e $HOME/go ] || { echo no way; exit 5; }; echo ${vars.greeting} |");
    p.write("home/.keep", "");
    let run = || p.command(&["run", "--html", "page.html"]).env("HOME", p.path("home")).output().unwrap();
    assert_eq!(run().status.code(), Some(1));
    let page = p.read("page.html");
    assert!(page.contains("a &lt; b &amp; c"), "logs are text, not markup");
    assert!(page.contains("no way") && page.contains("the command ended with exit code 5"));
    assert!(!page.contains("src=") && !page.contains("href=\"http"), "all in one file");
    p.write("home/go", "");
    assert!(run().status.success());
    let page = p.read("page.html");
    assert!(page.contains("1 executed, 3 cached"), "{page}");
    assert!(!page.contains("<h2>Pages</h2>"), "no output is a page");
    p.write("pipeline.toml", &(p.read("pipeline.toml") + "[stage.pages]\nkind = \"command\"\noutput.one = \"a #1.html\"\n\
        output.more = \"more\"\nrun = \"echo > \\\"$OUT_one\\\"; mkdir $OUT_more; echo > $OUT_more/b.html; echo > $OUT_more/c.txt\"\n"));
    assert!(run().status.success());
    let page = p.read("page.html");
    for link in ["out/pages/a%20%231%2Ehtml\">pages: a #1.html", "out/pages/more/b%2Ehtml\">pages: b.html"] {
        assert!(page.contains(link), "{page}");
    }
    assert!(!page.contains("c.txt\">"));
    let browser = ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|b| std::process::Command::new(b).arg("--version").output().is_ok());
    let Some(browser) = browser else {
        eprintln!("skipped: there is no Chromium here");
        return;
    };
    let output = std::process::Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("file://{}", p.path("page.html").display()))
        .env("HOME", p.path("home"))
        .output()
        .unwrap();
    let dom = String::from_utf8_lossy(&output.stdout);
    // The script has run: it counts the nodes.
    assert!(dom.contains("5 of 5"), "{dom}");
    assert_eq!(dom.matches("<details class=\"node\"").count(), 5);
}
