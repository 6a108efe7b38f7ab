//! A kind by itself, outside of a pipeline.

use crate::support::Project;

/// A worker whose kind repeats a text, and warns of an empty one.
const ECHO: &str = r#"
import json, os, sys
kind = {"name": "echo", "summary": "Repeats a text", "code": {},
        "inputs": [{"name": "lines", "about": "the text", "shape": "one"}, {"name": "more", "about": "more text", "shape": "any"}],
        "outputs": [{"name": "o", "path": "o.json", "about": ""}], "options": [["text", "lines"], ["lines", "lines"]],
        "parameters": {"type": "object", "additionalProperties": False, "properties": {
            "to": {"type": "string", "default": "", "description": "At the end."},
            "times": {"type": "integer", "default": 1, "description": "How often."},
            "marks": {"type": "array", "default": [], "description": "What follows."}}}}
steps = dict(kind, name="steps", options=[], inputs=[])
def say(**reply): print(json.dumps(reply), flush=True)
if sys.argv[1] == "describe":
    say(protocol=1, worker="echo", kinds=[kind, steps])
    sys.exit()
for line in sys.stdin:
    job = json.loads(line)
    if job["kind"] == "steps":
        say(event="steps", steps=[])
        continue
    given = job["parameters"]
    text = open(job["inputs"]["lines"]["one"]).read().strip()
    for member in job["inputs"].get("more", {}).get("several", []):
        text += open(member["path"]).read().strip()
    if not text: say(event="warning", text="there is nothing to repeat")
    text = given.get("to", "") + text * given.get("times", 1) + "".join(str(m) for m in given.get("marks", []))
    json.dump({"text": text}, open(job["outputs"]["o"], "w"))
    say(event="note", text="wrote " + text)
    say(event="done")
"#;

fn project() -> Project {
    let p =
        Project::new("[workers]\necho = { command = [\"python3\", \"echo.py\"], files = [\"echo.py\"] }\n");
    p.write("echo.py", ECHO);
    p.write("a.txt", "a\n");
    p.write("empty.txt", "");
    p
}

#[test]
fn inputs_and_parameters_are_options_and_nothing_is_kept_unasked() {
    let p = project();
    let ran = p.call(&["echo", "--text", "a.txt", "--times", "2", "--marks", "!", "--marks", "1,2"]);
    assert_eq!((ran.code, ran.out.as_str()), (0, "wrote aa!12\n"), "{}", ran.err);
    assert!(!p.path("out").exists() && !p.path("cache/records").exists());
    let ran = p.call(&["echo", "--lines", "a.txt", "--more", "a.txt", "--more", "a.txt", "--json"]);
    assert_eq!(ran.out, "{\"text\": \"aaa\"}");
    // A name that every kind has as an option.
    let ran = p.call(&["echo", "--text", "a.txt", "--kind-to", ">"]);
    assert_eq!(ran.out, "wrote >a\n");
    let ran = p.call(&["echo", "--text", "empty.txt", "--to", "kept.json"]);
    assert!(ran.err.contains("warning: there is nothing to repeat"), "{}", ran.err);
    assert_eq!(p.read("kept.json"), "{\"text\": \"\"}");
}

#[test]
fn files_that_are_there_are_not_overwritten() {
    let p = project();
    let ran = p.call(&["echo", "--text", "a.txt", "--to", "a.txt"]);
    assert_eq!(ran.code, 2);
    assert!(ran.err.contains("a.txt is there already"), "{}", ran.err);
    assert_eq!(p.read("a.txt"), "a\n");
}

#[test]
fn help_names_every_option_and_mistakes_say_what_is_meant() {
    let p = project();
    let help = p.call(&["echo", "--help"]);
    assert_eq!(help.code, 0);
    for part in
        ["Repeats a text", "lfs-pipe echo", "--text <PATH>", "--lines", "--times <VALUE>", "How often."]
    {
        assert!(help.out.contains(part), "{part}: {}", help.out);
    }
    for (words, says) in [
        (&["ecko"][..], "there is no command and no kind `ecko`"),
        (&["ecko"], "did you mean `echo`?"),
        (&["rnu"], "did you mean `run`?"),
        (&["echo"], "--text <PATH>"),
        (&["echo", "--text", "b.txt"], "cannot read b.txt"),
        (&["echo", "--text", "a.txt", "--tims", "2"], "--times"),
        (&["steps"], "run it as a stage of a pipeline"),
    ] {
        let ran = p.call(words);
        assert_eq!(ran.code, 2, "{words:?}");
        assert!(ran.err.contains(says), "{words:?}: {}", ran.err);
    }
}
