//! What a command sees.

use crate::support::{Project, called};

#[test]
fn a_command_may_have_thousands_of_inputs() {
    let p = Project::new(
        "[stage.list]\nkind = \"command\"\nrun = '''\n\
         echo \"$IN_all\" | wc -l > $OUT_o\n\
         while read -r f; do cat \"$f\"; done < \"$LIST_all\" | sort -u | wc -l >> $OUT_o\n\
         xargs -d '\\n' cat < \"$LIST_all\" | wc -l >> $OUT_o\n'''\n\
         input.all = { path = \"in/*.jpg\" }\noutput.o = \"o\"\n",
    );
    for n in 0..3000 {
        p.write(&format!("in/photograph_of_a_person_number_{n}.jpg"), &format!("{n}\n"));
    }
    p.run_ok(&[]);
    assert_eq!(p.read("out/list/o"), "3000\n3000\n3000\n");
    // A few reach it in both ways, too.
    for n in 2..3000 {
        std::fs::remove_file(p.path(&format!("in/photograph_of_a_person_number_{n}.jpg"))).unwrap();
    }
    p.run_ok(&[]);
    assert_eq!(p.read("out/list/o"), "2\n2\n2\n");
}

#[test]
fn names_with_brackets_mean_themselves_without_quotes() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nrun = \"cat $IN_x $IN_y $IN_z > $OUT_o\"\ninput.x = { path = \"data[1].csv\" }\n\
         input.y = { path = \"my data/b.txt\" }\ninput.z = { path = \"in/*\" }\noutput.o = \"o\"\n",
    );
    p.write("data[1].csv", "right\n").write("data1.csv", "wrong\n").write("my data/b.txt", "b\n");
    p.write("in/c[2]", "c\n");
    p.run_ok(&[]);
    assert_eq!(p.read("out/a/o"), "right\nb\nc\n");
    // Whether the path exists exactly as written is part of the plan.
    std::fs::remove_file(p.path("data[1].csv")).unwrap();
    p.run_ok(&[]);
    assert_eq!(p.read("out/a/o"), "wrong\nb\nc\n");
}

#[test]
fn a_script_of_any_length_runs() {
    let p = Project::new(&format!(
        "[stage.a]\nkind = \"command\"\nrun = '''\n: {}\necho well > $OUT_o\n'''\noutput.o = \"o\"\n",
        "x".repeat(300_000)
    ));
    p.run_ok(&[]);
    assert_eq!(p.read("out/a/o"), "well\n");
}

#[test]
fn examples_without_quotes_run_in_folders_with_blanks_and_brackets() {
    for name in ["my project", "[1] a*b", "it's $HOME"] {
        let p = Project::new("");
        let folder = p.path(name);
        std::fs::create_dir(&folder).unwrap();
        let text = "[stage.words]\nkind = \"command\"\nmatrix = { letter = [\"a\", \"b\"] }\n\
                    run = \"mkdir x; cd x; grep -c '^${matrix.letter}' $IN_list > $OUT_count; mkdir -p $OUT_d/sub; cp $IN_list $TMPDIR\"\n\
                    input.list = { path = \"list.txt\" }\noutput.count = \"count.txt\"\noutput.d = \"d\"\n\
                    [stage.sum]\nkind = \"command\"\nrun = \"cat $IN_counts | awk '{ s += $1 } END { print s }' > $OUT_sum; ls -d $IN_d >> $OUT_sum\"\n\
                    input.counts = \"words.count\"\ninput.d = \"words[letter=a].d\"\noutput.sum = \"sum.txt\"\n";
        std::fs::write(folder.join("pipeline.toml"), text).unwrap();
        std::fs::write(folder.join("list.txt"), "apple\nbanana\navocado\n").unwrap();
        let temporary = p.path("tmp");
        std::fs::create_dir(&temporary).unwrap();
        let ran = called(p.command(&["run"]).current_dir(&folder).env("TMPDIR", &temporary));
        assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        assert!(std::fs::read_to_string(folder.join("out/sum/sum.txt")).unwrap().starts_with("3\n"));
        // Commands see the same paths in every run.
        let text = text.replace("ls -d $IN_d", "echo $IN_d");
        std::fs::write(folder.join("pipeline.toml"), text).unwrap();
        for args in [&["run"][..], &["run", "--check", "sum"]] {
            let ran = called(p.command(args).current_dir(&folder).env("TMPDIR", &temporary));
            assert_eq!(ran.code, 0, "{name}: {}", ran.err);
        }
    }
}

#[test]
fn a_manifest_with_the_line_ends_of_another_system_is_the_same_manifest() {
    let text = "[stage.a]\nkind = \"command\"\nrun = '''\nset -e\necho one > $OUT_o\n'''\noutput.o = \"o\"\n";
    let p = Project::new(text);
    p.run_ok(&[]);
    for other in [text.replace('\n', "\r\n"), format!("\u{feff}{text}")] {
        p.write("pipeline.toml", &other);
        assert_eq!(p.run_ok(&[]).counts(), [0, 1, 0, 0], "the same key");
        assert_eq!(p.run_ok(&["--force", "a"]).counts(), [1, 0, 0, 0]);
        assert_eq!(p.read("out/a/o"), "one\n");
    }
    // A mistake is shown in its line.
    p.write("pipeline.toml", &text.replace("kind", "kin").replace('\n', "\r\n"));
    assert!(p.run(&[]).err.contains("pipeline.toml:1"));
}

#[test]
fn names_that_a_list_of_lines_cannot_carry_are_refused() {
    let p = Project::new(
        "[stage.a]\nkind = \"command\"\nrun = \"cat $IN_x > $OUT_o\"\ninput.x = { path = \"in/*\" }\noutput.o = \"o\"\n",
    );
    p.write("in/a\nb.txt", "1").write("in/c", "2");
    let ran = p.run(&[]);
    assert!(ran.code == 2 && ran.err.contains("a\\nb.txt\" cannot be one of several"), "{}", ran.err);
    use std::os::unix::ffi::OsStrExt;
    std::fs::remove_file(p.path("in/a\nb.txt")).unwrap();
    std::fs::write(p.path("in").join(std::ffi::OsStr::from_bytes(b"\xff")), "3").unwrap();
    let ran = p.run(&[]);
    assert!(ran.code == 2 && ran.err.contains("is not UTF-8"), "{}", ran.err);
}
