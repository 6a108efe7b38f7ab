//! The kind as a whole: metrics with labels in, the five forms of the table out.

#![allow(clippy::unwrap_used)] // a test can only stop with a message

use std::collections::BTreeMap;
use std::fs;

use lfs_stage::{Binding, Failure, Job, Member, Reply, run_in_place};
use lfs_tabulate::Tabulate;
use lfs_tabulate::table::{Table, Verdict};
use serde_json::{Value, json};

/// A column of a metrics file: `half` is half of its interval.
fn column(name: &str, definition: &str, value: Option<f64>, half: f64) -> Value {
    json!({
        "name": name, "definition": definition, "flip": "none", "value": value, "resolved": value.is_some(),
        "std": half, "standard_error": half / 2.0, "interval": value.map(|v| [v - half, v + half]),
        "pairs": 6000, "listed": 6000, "positives": 3000, "negatives": 3000,
        "threshold": 0.31, "unit": "cosine", "far": null
    })
}

fn metrics(set: &str, columns: Vec<Value>) -> Value {
    json!({"protocol": format!("{set}, ten folds"), "set": set, "columns": columns,
           "details": {"official": true, "counts": {"images": 13233}}})
}

/// A result of `method` on `set`.
fn result(labels: &[(&str, &str)], metrics: Value) -> (BTreeMap<String, String>, Value) {
    (labels.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(), metrics)
}

type Results = Vec<(BTreeMap<String, String>, Value)>;

/// The forms of a table, by output.
type Texts = BTreeMap<String, String>;

fn run(parameters: Value, results: Results) -> Result<(Table, Texts), Failure> {
    run_with(parameters, results, None)
}

fn run_with(
    parameters: Value,
    results: Results,
    certificate: Option<&std::path::Path>,
) -> Result<(Table, Texts), Failure> {
    run_all(parameters, results, certificate).map(|(table, texts, _)| (table, texts))
}

fn run_all(
    parameters: Value,
    results: Results,
    certificate: Option<&std::path::Path>,
) -> Result<(Table, Texts, Vec<Reply>), Failure> {
    let dir = tempfile::tempdir().unwrap();
    let members = results.into_iter().enumerate().map(|(i, (labels, metrics))| {
        let path = dir.path().join(format!("{i}.json"));
        fs::write(&path, metrics.to_string()).unwrap();
        let inside: Vec<String> = labels.iter().map(|(k, v)| format!("{k}={v}")).collect();
        Member { from: format!("evaluate[{}]", inside.join(",")), labels, path }
    });
    let names = ["table", "markdown", "csv", "latex", "html"];
    let outputs: BTreeMap<_, _> = names.map(|n| (n.to_owned(), dir.path().join(n))).into();
    let job = Job {
        node: "table".into(),
        kind: "tabulate".into(),
        parameters,
        inputs: certificate
            .map(|path| ("certificates".to_owned(), Binding::One(path.to_owned())))
            .into_iter()
            .chain([("results".to_owned(), Binding::Several(members.collect()))])
            .collect(),
        outputs: outputs.clone(),
        scratch: dir.path().join("scratch"),
        threads: 1,
        earlier: BTreeMap::new(),
    };
    let (done, said) = run_in_place(&Tabulate, &job);
    done?;
    let texts: Texts = outputs.iter().map(|(n, p)| (n.clone(), fs::read_to_string(p).unwrap())).collect();
    Ok((serde_json::from_str(&texts["table"]).unwrap(), texts, said))
}

/// Three methods out of order, two seeds of one of them, LFW, CFP-FP and MegaFace.
fn small() -> Results {
    let mut out = Results::new();
    let one = |method: &str, seed: &str, lfw: f64, cfp: f64, rank: Option<f64>| {
        let labels = |set| [("method", method), ("seed", seed), ("set", set)];
        vec![
            result(
                &labels("megaface"),
                metrics(
                    "megaface",
                    vec![
                        column("MegaFace rank-1", "mate-rank", Some(lfw - 0.2), 0.02),
                        column("MegaFace TPR@FAR=1e-6", "order-statistics", rank, 0.02),
                    ],
                ),
            ),
            result(&labels("cfp"), metrics("cfp", vec![column("CFP-FP", "exact", Some(cfp), 0.008)])),
            result(&labels("lfw"), metrics("lfw", vec![column("LFW", "exact", Some(lfw), 0.004)])),
        ]
    };
    out.extend(one("search-softmax", "0", 0.984, 0.91, None));
    out.extend(one("softmax", "0", 0.96, 0.88, Some(0.71)));
    out.extend(one("am-softmax", "0", 0.979, 0.915, Some(0.8733)));
    out.extend(one("am-softmax", "1", 0.985, 0.905, Some(0.8711)));
    out
}

#[test]
fn the_forms_of_a_small_table() {
    let (_, texts) = run(json!({"title": "Small & made", "reference": "table4"}), small()).unwrap();
    insta::assert_snapshot!("markdown", texts["markdown"]);
    insta::assert_snapshot!("csv", texts["csv"]);
    insta::assert_snapshot!("latex", texts["latex"]);
    insta::assert_snapshot!("html", texts["html"]);
    if let Some(folder) = std::env::var_os("LFS_KEEP_REPORT") {
        fs::write(std::path::Path::new(&folder).join("report.html"), &texts["html"]).unwrap();
    }
}

#[test]
fn rows_and_columns_stand_in_the_papers_order_and_seeds_are_averaged() {
    let (table, _) = run(json!({}), small()).unwrap();
    let rows: Vec<&str> = table.rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(rows, ["Softmax", "AM-Softmax", "Search-Softmax"]);
    let columns: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(columns, ["LFW", "CFP-FP", "MegaFace rank-1", "MegaFace TPR@FAR=1e-6"]);
    let am = table.rows[1].cells[0].as_ref().unwrap();
    assert_eq!((am.worlds, am.trainings), (1, 2));
    assert!((am.value.unwrap() - 0.982).abs() < 1e-12);
    assert!((am.std.unwrap() - 0.006 / 2.0_f64.sqrt()).abs() < 1e-12);
    // Rank and TPR are no accuracies: the average is that of LFW and CFP-FP.
    assert_eq!(table.averaged, ["LFW", "CFP-FP"]);
    assert!((table.rows[0].average.unwrap().value - 0.92).abs() < 1e-12);
}

#[test]
fn a_difference_within_its_interval_is_called_not_significant() {
    let (table, _) = run(json!({}), small()).unwrap();
    let verdict = |r: usize, c: usize| table.rows[r].cells[c].as_ref().unwrap().verdict;
    assert_eq!(verdict(2, 0), Some(Verdict::Best));
    assert_eq!(verdict(1, 0), Some(Verdict::NotSignificant));
    assert_eq!(verdict(0, 0), Some(Verdict::Below));
    // Not resolved: no verdict and no number.
    assert_eq!((verdict(2, 3), table.rows[2].cells[3].as_ref().unwrap().value), (None, None));
}

#[test]
fn the_papers_number_stands_only_beside_the_same_thing() {
    let (table, _) = run(json!({"reference": "table4"}), small()).unwrap();
    let softmax: Vec<Option<f64>> =
        table.rows[0].cells.iter().map(|c| c.as_ref().unwrap().reference).collect();
    assert_eq!(softmax, [None, None, Some(0.6517), Some(0.7129)]);
    let difference = table.rows[0].cells[3].as_ref().unwrap().difference.unwrap();
    assert!((difference + 0.0029).abs() < 1e-12);
    let (table, _) = run(json!({"reference": "table1"}), small()).unwrap();
    assert!(table.rows.iter().flat_map(|r| &r.cells).flatten().all(|c| c.reference.is_none()));
    assert!(table.notes.iter().any(|n| n.contains("No source has the numbers of")));
}

#[test]
fn different_definitions_in_one_column_are_refused_with_both_nodes() {
    let mut results = small();
    let labels = [("method", "v-softmax"), ("seed", "0"), ("set", "lfw")];
    results.push(result(&labels, metrics("lfw", vec![column("LFW", "paper", Some(0.9), 0.01)])));
    let why = run(json!({}), results).unwrap_err().message;
    assert!(why.contains("evaluate[method=search-softmax,seed=0,set=lfw]"), "{why}");
    assert!(why.contains("evaluate[method=v-softmax,seed=0,set=lfw]"), "{why}");
    assert!(why.contains("`exact`") && why.contains("`paper`"), "{why}");
    let mut flipped = column("LFW", "exact", Some(0.9), 0.01);
    flipped["flip"] = json!("sum");
    let mut results = small();
    results.push(result(&labels, metrics("lfw", vec![flipped])));
    assert!(run(json!({}), results).unwrap_err().message.contains("mirror images"));
}

#[test]
fn two_results_for_one_cell_and_seed_are_refused() {
    let mut results = small();
    let again = results[0].clone();
    results.push(again);
    assert!(
        run(json!({}), results)
            .unwrap_err()
            .message
            .contains("are both results for MegaFace rank-1 of Search-Softmax")
    );
}

#[test]
fn a_missing_cell_stays_empty_and_there_is_no_average() {
    let mut results = small();
    results.remove(1);
    let (table, texts) = run(json!({}), results).unwrap();
    assert_eq!(table.rows[2].cells[1], None);
    assert!(table.averaged.is_empty() && table.rows[0].average.is_none());
    assert!(!texts["markdown"].contains("Average"));
}

#[test]
fn an_ablation_has_a_row_for_each_value_in_order_of_size() {
    let results: Results = ["-100", "0", "-1"]
        .iter()
        .map(|a| {
            result(
                &[("a", a), ("set", "lfw")],
                metrics("lfw", vec![column("LFW", "exact", Some(0.99), 0.01)]),
            )
        })
        .collect();
    let (table, _) = run(json!({"reference": "ablation-a"}), results).unwrap();
    let rows: Vec<&str> = table.rows.iter().map(|r| r.name.as_str()).collect();
    assert_eq!(rows, ["a = 0", "a = -1", "a = -100"]);
    assert_eq!(table.rows[2].cells[0].as_ref().unwrap().reference, Some(0.9971));
}

#[test]
fn labels_that_follow_from_the_set_make_no_rows() {
    let results: Results = ["lfw", "cfp"]
        .iter()
        .flat_map(|set| {
            ["softmax", "am-softmax"].map(|method| {
                let from = if *set == "lfw" { "people" } else { "files" };
                let labels = [("from", from), ("method", method), ("set", set), ("split", "FP")];
                result(&labels, metrics(set, vec![column(&set.to_uppercase(), "exact", Some(0.9), 0.01)]))
            })
        })
        .collect();
    let (table, _) = run(json!({}), results).unwrap();
    assert_eq!(table.rows.len(), 2);
    assert_eq!(table.rows[1].name, "AM-Softmax");
}

#[test]
fn cells_go_to_the_record_with_their_bounds_and_findings_where_trainings_were_repeated() {
    let of = |results: Results| {
        let (mut cells, mut findings) = (BTreeMap::new(), BTreeMap::new());
        for reply in run_all(json!({}), results, None).unwrap().2 {
            match reply {
                Reply::Cell { name, cell } => drop(cells.insert(name, cell)),
                Reply::Finding { claim, verdict } => drop(findings.insert(claim, verdict)),
                _ => {}
            }
        }
        (cells, findings)
    };
    let (cells, findings) = of(small());
    assert_eq!(cells.len(), 12, "{cells:?}");
    assert_eq!(cells["Search-Softmax, MegaFace TPR@FAR=1e-6"].value, None, "not resolved");
    assert!(cells["Softmax, LFW"].repeated.is_none() && cells["AM-Softmax, LFW"].repeated.is_some());
    assert!(findings.is_empty(), "one training of two of them: {findings:?}");
    // Each method once more, a little worse.
    let mut twice = small();
    for (labels, metrics) in small() {
        if labels["method"] != "am-softmax" {
            let mut labels = labels.clone();
            labels.insert("seed".to_owned(), "1".to_owned());
            let mut metrics = metrics.clone();
            for column in metrics["columns"].as_array_mut().unwrap() {
                if let Some(v) = column["value"].as_f64() {
                    column["value"] = json!(v - 0.002);
                }
            }
            twice.push((labels, metrics));
        }
    }
    let (_, findings) = of(twice);
    let words = |claim: &str| findings[claim].as_str();
    assert_eq!(findings.len(), 3, "{findings:?}");
    assert_eq!(words("AM-Softmax against Softmax"), "better");
    assert_eq!(words("Search-Softmax against AM-Softmax"), "not resolved");
}

#[test]
fn what_is_no_metrics_file_names_the_node() {
    let why = run(json!({}), vec![result(&[("set", "lfw")], json!({"rows": []}))]).unwrap_err();
    assert!(why.message.contains("evaluate[set=lfw]"), "{why}");
}

#[test]
fn a_loss_that_was_chosen_on_a_test_set_is_told_with_the_set() {
    let mut results = small();
    results[0].1["details"]["selected_on"] = json!("lfw");
    let (table, _) = run(json!({}), results).unwrap();
    let note = table.notes.iter().find(|n| n.starts_with("Chosen by")).unwrap();
    assert!(note.contains("search-softmax (on lfw)") && !note.contains("am-softmax"), "{note}");
    assert!(run(json!({}), small()).unwrap().0.notes.iter().all(|n| !n.starts_with("Chosen by")));
}

#[test]
fn rows_that_are_to_be_compared_are_and_an_unknown_one_is_refused() {
    let of = |pair: [&str; 2]| run(json!({"findings": false, "comparisons": [pair]}), small());
    let said = of(["am-softmax", "softmax"]).unwrap().0.findings;
    // (0.979 - 0.96 + 0.915 - 0.88) / 2: with the seed that both have.
    assert_eq!(said.len(), 1);
    assert!(said[0].starts_with("AM-Softmax against Softmax: +2.70 ± "), "{}", said[0]);
    assert!(
        said[0].contains("points over 2 accuracy columns, over persons")
            && said[0].contains("2 rate columns"),
        "{}",
        said[0]
    );
    let failure = of(["am-softmax", "soft"]).unwrap_err();
    assert!(failure.message.contains("names `soft`"), "{failure}");
    assert!(failure.help.unwrap().contains("softmax, am-softmax"));
}

/// A file whose replicates are `size` wide and go up and down together in all files of the same `pattern`.
fn drawn(set: &str, value: f64, size: f64, pattern: &[f64]) -> Value {
    let mut file = metrics(set, vec![column(&set.to_uppercase(), "exact", Some(value), 2.0 * size)]);
    let text: Vec<String> = pattern.iter().map(|p| format!("{:.0}", p * size * 1e7)).collect();
    file["resampling"] = json!({"seed": 0, "replicates": pattern.len(), "persons": set});
    file["draws"] = json!({ set.to_uppercase(): {"first": text.join(" ")} });
    file
}

#[test]
fn methods_are_compared_on_the_same_persons_and_repetitions_count() {
    let pattern = [1.0, -1.0, 1.0, -1.0, 1.0, -1.0, 1.0, -1.0];
    let claims = json!([
        {"claim": "AM beats softmax", "ours": "am-softmax", "other": "softmax", "columns": "accuracy"},
        {"claim": "Arc equals AM", "ours": "arc-softmax", "other": "am-softmax", "expect": "equal",
         "margin": 0.004, "columns": "accuracy"},
        {"claim": "softmax beats AM", "ours": "softmax", "other": "am-softmax", "columns": "accuracy"},
        {"claim": "Unfair", "ours": "am-softmax", "other": "softmax", "unfair": "another network"}
    ]);
    let of = |trainings: usize, worlds: usize| {
        let mut results = Results::new();
        for world in 0..worlds {
            for seed in 0..trainings {
                let (w, t) = (world.to_string(), seed.to_string());
                // Trainings and worlds differ by little, persons by much.
                let off = 0.01 * world as f64 + 0.0005 * seed as f64;
                let small = 0.0001 * ((seed + 2 * world) % 3) as f64;
                for (method, value) in
                    [("softmax", 0.90), ("am-softmax", 0.93 + small), ("arc-softmax", 0.931 - small)]
                {
                    let mut labels = vec![("method", method), ("seed", t.as_str()), ("set", "lfw")];
                    if worlds > 1 {
                        labels.push(("world", w.as_str()));
                    }
                    results.push(result(&labels, drawn("lfw", value + off, 0.02, &pattern)));
                }
            }
        }
        run(json!({ "claims": claims }), results).unwrap().0
    };
    let rulings = |table: &Table| table.claims.iter().map(|c| c.ruling.words()).collect::<Vec<_>>();
    // One training of each: a claim about methods is not resolved, however wide the difference.
    let once = of(1, 1);
    let unresolved = ["not resolved", "not resolved", "not resolved", "not tested fairly"];
    assert_eq!(rulings(&once), unresolved);
    assert!(once.claims[0].parts[0].p.is_none() && once.claims[0].parts[0].wanted.is_some());
    // Each cell is unsure by four points, the difference of two is not: softmax is below the best.
    let cell = |table: &Table, row: usize| table.rows[row].cells[0].clone().unwrap();
    assert!(cell(&once, 0).standard_error.unwrap() > 0.02);
    assert_eq!(cell(&once, 0).verdict, Some(Verdict::Below));
    let ruled = ["holds", "holds", "does not hold", "not tested fairly"];
    let thrice = of(3, 1);
    assert_eq!(rulings(&thrice), ruled, "{:?}", thrice.claims);
    assert_eq!((cell(&thrice, 1).trainings, cell(&thrice, 1).worlds), (3, 1));
    let worlds = of(2, 4);
    assert_eq!(rulings(&worlds), ruled, "{:?}", worlds.claims);
    assert_eq!((cell(&worlds, 1).trainings, cell(&worlds, 1).worlds), (2, 4));
    // Worlds differ by a point each: 0.9152 and sqrt(1.67e-4 / 4), whatever the persons.
    assert!((cell(&worlds, 0).standard_error.unwrap() - 0.006_455).abs() < 1e-5);
    let sentence = worlds.claims[0].clone();
    assert!(sentence.parts[0].interval.unwrap()[0] > 0.0299 && sentence.parts[0].p.unwrap() < 1e-4);
}

#[test]
fn numbers_that_are_not_comparable_with_the_papers_show_no_difference_in_any_form() {
    let labels = [("method", "softmax"), ("set", "megaface")];
    let whole = || metrics("megaface", vec![column("MegaFace rank-1", "mate-rank", Some(0.76), 0.01)]);
    let show = |metrics: Value, reference: &str| {
        run(json!({"reference": reference}), vec![result(&labels, metrics)]).unwrap()
    };
    let (table, texts) = show(whole(), "table4");
    assert!((table.rows[0].cells[0].as_ref().unwrap().difference.unwrap() - 0.1083).abs() < 1e-9);
    assert!(texts["markdown"].contains("+10.83"));
    let mut unofficial = whole();
    unofficial["details"]["official"] = json!(false);
    let mut missing = whole();
    missing["columns"][0]["pairs"] = json!(5);
    missing["columns"][0]["listed"] = json!(6);
    let mut flipped = whole();
    flipped["columns"][0]["flip"] = json!("sum");
    let mut chosen = whole();
    chosen["details"]["selected_on"] = json!("megaface");
    for (why, metrics) in [
        ("official size", unofficial),
        ("images are missing", missing),
        ("mirror images", flipped),
        ("was chosen by", chosen),
    ] {
        let (table, texts) = show(metrics, "table4");
        let cell = table.rows[0].cells[0].as_ref().unwrap();
        assert_eq!((cell.reference, cell.difference), (Some(0.6517), None), "{why}");
        assert!(
            table.notes.iter().any(|n| n.starts_with("No difference") && n.contains(why)),
            "{:?}",
            table.notes
        );
        for (form, text) in &texts {
            assert!(!text.contains("10.83") && !text.contains("0.1083"), "{form}: {text}");
            assert!(text.contains("65.17") || text.contains("0.6517"), "{form} shows the paper's number");
        }
        assert!(texts["markdown"].contains("not comparable"), "{why}");
    }
}

#[test]
fn an_accuracy_by_another_definition_than_the_papers_is_not_set_against_it() {
    let run_with = |definition: &str| {
        let metrics = metrics("lfw", vec![column("LFW", definition, Some(0.99), 0.01)]);
        let results = ["-100", "0"].map(|a| result(&[("a", a), ("set", "lfw")], metrics.clone()));
        run(json!({"reference": "ablation-a"}), results.into()).unwrap().0
    };
    let table = run_with("exact");
    assert_eq!(table.rows[0].cells[0].as_ref().unwrap().difference, None);
    assert!(
        table.notes.iter().any(|n| n.contains("the definition is not the paper's: LFW")),
        "{:?}",
        table.notes
    );
    assert!(run_with("paper").rows[0].cells[0].as_ref().unwrap().difference.is_some());
}

#[test]
fn a_certificate_of_shared_persons_stands_beside_the_table() {
    let dir = tempfile::tempdir().unwrap();
    let write = |form: &str| {
        let set =
            |name: &str, n: u64| json!({"name": name, "identities": n, "images": 9, "identities-blake3": ""});
        let certificate = json!({
            "form": form, "training-set": set("", 200), "test-sets": [set("lfw", 60)], "methods": ["name", "embedding"],
            "policy": "drop-from-train", "shared-training-identities": 12, "left-in-training-set": 0, "undecided": 3,
        });
        fs::write(dir.path().join("certificate.json"), certificate.to_string()).unwrap();
    };
    let results = || {
        vec![result(&[("method", "softmax")], metrics("LFW", vec![column("LFW", "exact", Some(0.9), 0.01)]))]
    };
    write("overlap-certificate-1");
    let (table, texts) = run_with(json!({}), results(), Some(dir.path())).unwrap();
    let said = "Of 200 training identities 12 were found in lfw (by name, embedding; policy drop-from-train), 0 are still trained on. 3 pairs are undecided.";
    assert!(table.findings.iter().any(|f| f.starts_with(said)), "{:?}", table.findings);
    assert!(texts["markdown"].contains(said) && texts["html"].contains("are still trained on"));
    write("something else");
    let text = run_with(json!({}), results(), Some(dir.path())).unwrap_err().to_string();
    assert!(text.contains("overlap-certificate-1") && text.contains("something else"), "{text}");
}
