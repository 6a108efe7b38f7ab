//! No stale result with an exit code of 0.

use std::os::unix::fs::PermissionsExt;

use crate::support::Project;

/// `b` copies `y`; `a` reads what lies at a path.
fn by_path(path: &str) -> Project {
    let p = Project::new(&format!(
        "[stage.a]\nkind = \"command\"\nrun = \"cat $IN_x > $OUT_o\"\ninput.x = {{ path = \"{path}\" }}\noutput.o = \"o\"\n\
         [stage.b]\nkind = \"command\"\nrun = \"sleep 0.1; cat $IN_y > $OUT_o; mkdir $OUT_d; cp $IN_y $OUT_d/f\"\n\
         input.y = {{ path = \"y\" }}\noutput.o = \"o\"\noutput.d = \"d\"\n"
    ));
    p.write("y", "1\n");
    p
}

#[test]
fn a_path_at_which_an_output_appears_is_that_output() {
    for path in ["out/b/o", "./out/../out/b/o", "link/b/o"] {
        let p = by_path(path);
        std::os::unix::fs::symlink("out", p.path("link")).unwrap();
        std::fs::create_dir(p.path("out")).unwrap();
        assert_eq!(p.run_ok(&["a"]).executed(), ["a", "b"], "{path}");
        p.write("y", "2\n");
        p.run_ok(&[]);
        assert_eq!(p.read("out/a/o"), "2\n", "{path}");
    }
    // By the manifest's own folder, even if the command line names another one.
    let p = by_path("out/b/o");
    p.run_ok(&["--out", "elsewhere"]);
    assert_eq!(p.read("elsewhere/a/o"), "1\n");
}

#[test]
fn a_path_in_the_output_folder_or_in_the_cache_that_is_no_output_is_a_mistake() {
    for (path, said) in [
        ("out/b/d/f", "write `input.x = \"b.d\"`, and take `f` in it"),
        ("out/b", "write `input.x = \"b.d\"`, or a list of such references"),
        ("out/b/*", "lies in the output folder"),
        ("out/nothing", "lies in the output folder"),
        ("cache/records", "lies in the cache"),
        ("cache/objects/*/*", "lies in the cache"),
        (".", "holds the output folder, which the run itself writes"),
        ("out/**", "lies in the output folder"),
    ] {
        let p = by_path(path);
        for args in [&["run"][..], &["plan"]] {
            let ran = p.call(args);
            assert_eq!(ran.code, 2, "{path}: {}", ran.err);
            assert!(ran.err.contains(said), "{path}: {}", ran.err);
        }
    }
    let p = by_path("all");
    p.write(
        "pipeline.toml",
        &format!("[pipeline]\nout = \"elsewhere\"\ncache = \"all/c\"\n{}", p.read("pipeline.toml")),
    );
    p.write("all/f", "");
    let ran = p.run(&[]);
    assert!(ran.err.contains("`all` holds the cache, which the run itself writes"), "{}", ran.err);
}

#[test]
fn a_link_in_an_input_folder_that_leads_into_what_the_run_writes_is_a_mistake() {
    for target in ["../out/b", "../out", "../cache"] {
        let p = by_path("in");
        p.write("in/f", "1\n");
        p.edit("cat $IN_x", "cat $IN_x/*");
        p.run_ok(&["b"]);
        std::os::unix::fs::symlink(target, p.path("in/latest")).unwrap();
        let ran = p.run(&[]);
        assert!(
            ran.code == 2 && ran.err.contains("in/latest leads into what the run itself writes"),
            "{}",
            ran.err
        );
    }
    // The output folder may become such a link after the plan was made.
    let p = by_path("in");
    p.write("in/f", "1\n");
    p.edit("cat $IN_x", "cat $IN_x/*");
    p.run_ok(&[]);
    std::fs::remove_dir_all(p.path("out")).unwrap();
    std::os::unix::fs::symlink("in", p.path("out")).unwrap();
    let ran = p.run(&[]);
    assert!(ran.code == 2 && ran.err.contains("`in` lies in the output folder"), "{}", ran.err);
}

#[test]
fn patterns_do_not_search_what_the_run_writes() {
    for out in ["out", "."] {
        let p = by_path("**/*.txt");
        p.write("pipeline.toml", &format!("[pipeline]\nout = \"{out}\"\n{}", p.read("pipeline.toml")));
        p.edit("output.o = \"o\"\n[stage.b]", "output.o = \"o.txt\"\n[stage.b]");
        p.write("in/one.txt", "one\n").write("two.txt", "two\n").write(".hidden/three.txt", "three\n");
        p.run_ok(&[]);
        assert_eq!(p.run_ok(&[]).counts(), [0, 2, 0, 0], "{out}");
        let o = if out == "." { "a/o.txt" } else { "out/a/o.txt" };
        assert_eq!(p.read(o), "one\ntwo\n", "{out}");
    }
}

#[test]
fn an_output_that_is_still_written_to_is_no_result() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\noutput.o = \"o\"\nrun = '''\n\
         setsid sh -c 'exec >> $OUT_o; sleep 3; echo late' & \n\
         while [ ! -e $OUT_o ]; do sleep 0.01; done; echo early > $OUT_o\n'''\n",
    );
    let ran = p.run(&[]);
    assert_eq!(ran.code, 1, "{}", ran.err);
    assert!(ran.err.contains("the output is still written to"), "{}", ran.err);
    assert!(!p.path("out/a/o").exists());
}

#[test]
fn whether_an_own_file_can_be_executed_counts() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nrun = \"[ -x $IN_x ] && echo yes > $OUT_o || echo no > $OUT_o\"\n\
         input.x = { path = \"x\" }\noutput.o = \"o\"\n\
         [stage.b]\nkind = \"command\"\nrun = \"ls -l $IN_x | cut -c 4 > $OUT_o\"\n\
         input.x = { path = \"[x]\" }\noutput.o = \"o\"\n",
    );
    p.write("x", "#!/bin/sh\n");
    p.run_ok(&[]);
    assert_eq!((p.read("out/a/o"), p.read("out/b/o")), ("no\n".into(), "-\n".into()));
    std::fs::set_permissions(p.path("x"), PermissionsExt::from_mode(0o755)).unwrap();
    assert_eq!(p.run_ok(&[]).executed(), ["a", "b"]);
    assert_eq!((p.read("out/a/o"), p.read("out/b/o")), ("yes\n".into(), "x\n".into()));
    let why = p.call(&["show", "a", "--json"]).out;
    assert!(why.contains("\"executable\": true"), "{why}");
    std::fs::set_permissions(p.path("x"), PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [0, 2, 0, 0], "both are known");
    assert_eq!(p.read("out/a/o"), "no\n");
}

#[test]
fn the_executable_bit_belongs_to_the_output_and_not_to_its_bytes() {
    let p = Project::new(
        "[stage.text]\nkind = \"command\"\nrun = \"echo 'echo hi' > $OUT_t\"\noutput.t = \"t\"\n\
         [stage.tool]\nkind = \"command\"\nrun = \"cat $IN_t > $OUT_x; chmod +x $OUT_x; cat $IN_t > $OUT_y\"\n\
         input.t = \"text\"\noutput.x = \"x\"\noutput.y = \"y\"\n\
         [stage.use]\nkind = \"command\"\nrun = \"$IN_x > $OUT_o\"\ninput.x = \"tool.x\"\noutput.o = \"o\"\n",
    );
    let bits = |p: &Project| -> Vec<bool> {
        let all = ["out/text/t", "out/tool/x", "out/tool/y"];
        all.map(|f| std::fs::metadata(p.path(f)).unwrap().permissions().mode() & 0o111 != 0).to_vec()
    };
    p.run_ok(&[]);
    assert_eq!(bits(&p), [false, true, false]);
    assert_eq!(p.read("out/use/o"), "hi\n");
    std::fs::remove_dir_all(p.path("out")).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [0, 3, 0, 0]);
    assert_eq!(bits(&p), [false, true, false]);
    // Whether an output can be executed reaches what reads it.
    p.edit("chmod +x $OUT_x; ", "");
    p.edit("$IN_x > $OUT_o", "[ -x $IN_x ] || echo no > $OUT_o");
    p.run_ok(&[]);
    assert_eq!((bits(&p), p.read("out/use/o")), (vec![false; 3], "no\n".into()));
}

#[test]
fn empty_folders_of_an_output_are_there_for_its_readers() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nrun = \"mkdir -p $OUT_d/sub/empty $OUT_d/${vars.more}; echo 1 > $OUT_d/f\"\noutput.d = \"d\"\n\
         [stage.b]\nkind = \"command\"\nrun = \"cd $IN_d; find . -type d | sort > $OUT_o\"\ninput.d = \"a\"\noutput.o = \"o\"\n\
         [vars]\nmore = \"sub\"\n",
    );
    p.run_ok(&[]);
    assert_eq!(p.read("out/b/o"), ".\n./sub\n./sub/empty\n");
    std::fs::remove_dir_all(p.path("out")).unwrap();
    assert_eq!(p.run_ok(&[]).counts(), [0, 2, 0, 0]);
    assert!(p.path("out/a/d/sub/empty").is_dir());
    std::thread::sleep(std::time::Duration::from_millis(40));
    assert_eq!(p.run_ok(&[]).counts(), [0, 2, 0, 0]);
    // One more empty folder makes another output.
    assert_eq!(p.run_ok(&["--set", "more=other"]).executed(), ["a", "b"]);
    assert_eq!(p.read("out/b/o"), ".\n./other\n./sub\n./sub/empty\n");
}
