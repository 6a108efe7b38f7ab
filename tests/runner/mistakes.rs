//! Every kind of mistake in a manifest, with its message.

use crate::support::Project;

/// The beginning of each manifest that uses the example worker.
const WORKER: &str =
    "[workers]\nmine = { command = [\"python3\", \"perceptron.py\"], files = [\"perceptron.py\"] }\n";

const GOOD: &str = "[stage.a]\nkind = \"command\"\nrun = \"echo > $OUT_o\"\noutput.o = \"o\"\n";

fn message(manifest: &str) -> String {
    let p = Project::new(manifest);
    p.write("perceptron.py", include_str!("../../docs/examples/perceptron.py")).write("notes.txt", "x");
    let ran = p.run(&[]);
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.events.is_empty(), "nothing may run");
    // The folder has another name in each run.
    ran.err.replace(p.path("").to_str().unwrap().trim_end_matches('/'), "PROJECT")
}

macro_rules! mistakes {
    ($($name:ident: $manifest:expr;)*) => {$(
        #[test]
        fn $name() {
            insta::assert_snapshot!(stringify!($name), message(&$manifest));
        }
    )*};
}

fn worker(stage: &str) -> String {
    format!("{WORKER}\n[stage.fit]\nkind = \"perceptron\"\n{stage}\n")
}

fn after_good(rest: &str) -> String {
    format!("{GOOD}\n{rest}\n")
}

mistakes! {
    no_toml: "[stage.a\nkind = \"command\"";
    a_wrong_value_in_a_list_of_variables: "[vars]\norders = [\"file\", \"revresed\"]\n".to_owned()
        + &worker("matrix.order = \"${vars.orders}\"\norder = \"${matrix.order}\"\ninput.points = { path = \"notes.txt\" }");
    a_wrong_variable: "[vars]\nepochs = \"four\"\n".to_owned()
        + &worker("epochs = \"${vars.epochs}\"\ninput.points = { path = \"notes.txt\" }");
    two_mistakes_in_the_text: "a = \nb = \"x\nc = 1";
    a_key_twice: "[stage.a]\nkind = \"command\"\nkind = \"command\"";
    a_number_too_large: "[vars]\nn = 99999999999999999999\n[stage.a]\nkind = \"command\"";
    no_stage: "[vars]\nx = 1";
    an_unknown_top_key: "[stages.a]\nkind = \"command\"";
    a_stage_without_its_table: "[words]\nkind = \"command\"";
    a_stage_that_is_a_text: "stage.a = \"command\"";
    stages_that_are_a_list: "stage = [1]";
    a_name_that_cannot_be: "[stage.\"a b\"]\nkind = \"command\"";
    no_kind: "[stage.a]\nrun = \"true\"";
    a_kind_that_is_a_number: "[stage.a]\nkind = 3";
    an_unknown_kind: "[stage.a]\nkind = \"comand\"";
    an_unknown_kind_of_a_worker: worker("").replace("\"perceptron\"", "\"perzeptron\"");
    nothing_to_run: "[stage.a]\nkind = \"command\"\noutput.o = \"o\"";
    no_output: "[stage.a]\nkind = \"command\"\nrun = \"true\"";
    a_run_that_is_a_list: "[stage.a]\nkind = \"command\"\nrun = [\"true\"]\noutput.o = \"o\"";
    an_unknown_key_of_a_command: "[stage.a]\nkind = \"command\"\nrun = \"true\"\noutputs.o = \"o\"";
    an_output_outside_its_folder: GOOD.replace("\"o\"", "\"../o\"");
    an_output_with_an_absolute_path: GOOD.replace("\"o\"", "\"/tmp/o\"");
    a_duplicate_output: GOOD.replace("output.o = \"o\"", "output = { o = \"x/o\", p = \"x\" }");
    an_output_name_no_shell_knows: GOOD.replace("output.o", "output.the-o");
    an_input_of_no_stage: after_good("[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"aa.o\"\noutput.o = \"o\"");
    an_input_of_no_output: after_good("[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"a.out\"\noutput.o = \"o\"");
    an_input_that_is_no_reference: after_good("[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"notes of mine.txt\"\noutput.o = \"o\"");
    an_input_that_is_a_number: after_good("[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = 3\noutput.o = \"o\"");
    an_input_without_a_path: after_good("[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = { file = \"x\" }\noutput.o = \"o\"");
    a_missing_file: GOOD.replace("output.o", "input.text = { path = \"note.txt\" }\noutput.o");
    a_pattern_that_matches_nothing: GOOD.replace("output.o", "input.text = { path = \"*.csv\" }\noutput.o");
    several_outputs_and_no_name: "[stage.a]\nkind = \"command\"\nrun = \"x\"\noutput = { o = \"o\", p = \"p\" }\n[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"a\"\noutput.o = \"o\"";
    a_cycle: "[stage.a]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"b\"\noutput.o = \"o\"\n[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"a\"\noutput.o = \"o\"";
    a_stage_that_reads_itself: "[stage.a]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"a\"\noutput.o = \"o\"";
    a_node_that_is_not_in_the_matrix: GOOD.replace("run =", "matrix = { n = [1, 2] }\nrun =") + "[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"a[n=3]\"\noutput.o = \"o\"";
    a_label_that_is_not_in_the_matrix: GOOD.replace("run =", "matrix = { n = [1, 2] }\nrun =") + "[stage.b]\nkind = \"command\"\nrun = \"x\"\ninput.i = \"a[m=1]\"\noutput.o = \"o\"";
    a_matrix_that_is_a_list: GOOD.replace("run =", "matrix = [1, 2]\nrun =");
    an_axis_that_is_no_list: GOOD.replace("run =", "matrix = { n = 1 }\nrun =");
    an_empty_axis: GOOD.replace("run =", "matrix = { n = [] }\nrun =");
    an_axis_with_a_value_twice: GOOD.replace("run =", "matrix = { n = [1, 1] }\nrun =");
    an_exclude_of_no_axis: GOOD.replace("run =", "matrix = { seed = [1, 2], exclude = [{ sead = 1 }] }\nrun =");
    an_included_value_that_is_no_label: GOOD.replace("run =", "matrix = { include = [{ n = \"a,b\" }] }\nrun =");
    an_include_that_matches_nothing: GOOD.replace("run =", "matrix = { n = [1], m = [2], include = [{ n = 3, x = 1 }] }\nrun =");
    an_unknown_variable: GOOD.replace("echo", "${vars.sed}") + "[vars]\nseed = 1";
    a_variable_that_needs_itself: GOOD.to_owned() + "[vars]\na = \"${vars.b}\"\nb = \"${vars.a}\"";
    an_unknown_environment_variable: GOOD.replace("echo", "${env.LFS_NO_SUCH_VARIABLE}");
    a_matrix_value_without_a_matrix: GOOD.replace("echo", "${matrix.n}");
    a_dollar_brace_without_an_end: GOOD.replace("echo", "${vars.x");
    a_list_inside_a_text: GOOD.replace("echo", "echo ${vars.list}") + "[vars]\nlist = [1, 2]";
    an_unknown_resource: GOOD.replace("run =", "resources = { gpus = 1 }\nrun =");
    a_memory_without_a_unit: GOOD.replace("run =", "resources = { memory = \"4 gigs\" }\nrun =");
    a_timeout_that_is_no_time: GOOD.replace("run =", "timeout = \"soon\"\nrun =");
    an_unknown_setting: GOOD.to_owned() + "[pipeline]\nouts = \"x\"";
    a_worker_without_a_command: GOOD.replace("\"command\"", "\"mine\"") + "[workers]\nmine = { comand = [\"x\"] }";
    an_unknown_parameter: worker("epochs = 3\nepoch = 4\ninput.points = { path = \"notes.txt\" }");
    a_missing_parameter: worker("input.points = { path = \"notes.txt\" }");
    a_parameter_out_of_bounds: worker("epochs = 0\ninput.points = { path = \"notes.txt\" }");
    a_parameter_that_is_a_text: worker("epochs = \"3\"\ninput.points = { path = \"notes.txt\" }");
    a_parameter_with_a_fraction: worker("epochs = 3.5\ninput.points = { path = \"notes.txt\" }");
    a_value_that_is_none_of_the_list: worker("epochs = 3\norder = \"forward\"\ninput.points = { path = \"notes.txt\" }");
    an_unknown_nested_parameter: worker("epochs = 3\ndecay.evry = 2\ninput.points = { path = \"notes.txt\" }");
    a_missing_input: worker("epochs = 3");
    an_unknown_input: worker("epochs = 3\ninput.pionts = { path = \"notes.txt\" }");
    two_outputs_for_one_input: worker("epochs = 3\ninput.points = \"a\"") + &GOOD.replace("run =", "matrix = { n = [1, 2] }\nrun =");
}
