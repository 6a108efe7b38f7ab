mod faces;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use lfs_faces::dataset::{Dataset, Face, Info, Writer};
use lfs_stage::{Binding, Job, Member, Result, run_in_place};
use serde_json::{Value, json};

use crate::matching::Train;
use crate::names::How;
use crate::{Options, Overlap};

static NOBODY: BTreeMap<String, String> = BTreeMap::new();

/// A data set with two images per identity.
fn write(folder: &Path, identities: &[&str]) {
    let mut writer = Writer::create(folder).unwrap();
    for (k, name) in identities.iter().enumerate() {
        for n in 0..2 {
            let name = format!("{name}/{n}.jpg");
            writer
                .push(&Face { image: vec![1], identity: k as u32, name, points: None, group: None, flags: 0 })
                .unwrap();
        }
    }
    writer
        .finish(Info { identities: identities.iter().map(|s| (*s).to_owned()).collect(), ..Info::default() })
        .unwrap();
}

fn overlap(dir: &Path, tests: &[&str], parameters: Value) -> Result<()> {
    let member = |set: &&str| Member {
        from: format!("acquire[set={set}]"),
        labels: BTreeMap::from([("set".to_owned(), (*set).to_owned())]),
        path: dir.join(set),
    };
    let scratch = dir.join("scratch");
    std::fs::create_dir_all(&scratch).unwrap();
    let job = Job {
        node: "overlap".to_owned(),
        kind: "overlap".to_owned(),
        parameters,
        inputs: BTreeMap::from([
            ("dataset".to_owned(), Binding::One(dir.join("train"))),
            ("tests".to_owned(), Binding::Several(tests.iter().map(member).collect())),
        ]),
        outputs: ["dataset", "matches", "moved", "tests"]
            .map(|n| (n.to_owned(), dir.join("out").join(n)))
            .into(),
        scratch,
        threads: 1,
        earlier: BTreeMap::new(),
    };
    run_in_place(&Overlap, &job).0
}

fn world() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    write(&path.join("train"), &["Anna_Belo", "J_Smith", "m.0abc12", "Nobody_Else", "17", "Madonna"]);
    write(&path.join("lfw"), &["Belo_Anna", "John_Smith", "Madonna_Ciccone", "17"]);
    write(&path.join("agedb"), &["AnnaBelo", "distractor:Nobody Else"]);
    write(&path.join("rfw"), &["m.0abc12", "m.0zzz"]);
    (dir, path)
}

const SETS: [&str; 3] = ["lfw", "agedb", "rfw"];

const MATCHES: &str = "training-identity,test-set,test-identity,rule,images-dropped,how,evidence,status
Anna_Belo,agedb,AnnaBelo,joined-name,2,\"same name, written together\",\"joined-name: same name, written together\",shared
Anna_Belo,lfw,Belo_Anna,name,2,\"same words, other order\",\"name: same words, other order\",shared
J_Smith,lfw,John_Smith,name,2,initials,name: initials,shared
m.0abc12,rfw,m.0abc12,id,2,same id,id: same id,shared
";

#[test]
fn shared_identities_leave_the_training_set_and_are_listed() {
    let (_guard, dir) = world();
    overlap(&dir, &SETS, json!({})).unwrap();
    assert_eq!(std::fs::read_to_string(dir.join("out/matches/matches.csv")).unwrap(), MATCHES);
    let train = Dataset::open(&dir.join("out/dataset")).unwrap();
    assert_eq!(train.info().identities, ["Nobody_Else", "17", "Madonna"]);
    assert_eq!(train.iter().map(|f| f.identity).collect::<Vec<_>>(), [0, 0, 1, 1, 2, 2]);
    assert_eq!(train.face(0).name, "Nobody_Else/0.jpg");
    assert_eq!(Dataset::open(&dir.join("out/tests/lfw")).unwrap().len(), 8, "test sets stay whole");
}

#[test]
fn shared_identities_leave_the_test_sets_or_stay_as_the_policy_says() {
    let (_guard, dir) = world();
    overlap(&dir, &SETS, json!({"policy": "drop-from-test"})).unwrap();
    let identities = |p: &str| Dataset::open(&dir.join("out").join(p)).unwrap().info().identities.clone();
    assert_eq!(identities("tests/lfw"), ["Madonna_Ciccone", "17"]);
    assert_eq!(identities("tests/rfw"), ["m.0zzz"]);
    assert_eq!(identities("dataset").len(), 6);
    overlap(&dir, &SETS, json!({"policy": "report"})).unwrap();
    assert_eq!((identities("dataset").len(), identities("tests/lfw").len()), (6, 4));
    let text = std::fs::read_to_string(dir.join("out/matches/matches.csv")).unwrap();
    assert_eq!(text, MATCHES.replace(",2,", ",0,"));
}

#[test]
fn numbers_are_a_sets_own_unless_any_equal_id_counts() {
    let (_guard, dir) = world();
    overlap(&dir, &["lfw"], json!({"ids": "any", "names": false, "joined-names": false})).unwrap();
    let text = std::fs::read_to_string(dir.join("out/matches/matches.csv")).unwrap();
    assert_eq!(text.lines().skip(1).collect::<Vec<_>>(), ["17,lfw,17,id,2,same id,id: same id,shared"]);
}

#[test]
fn a_training_set_that_is_the_test_set_is_refused() {
    let (_guard, dir) = world();
    write(&dir.join("train"), &["Anna_Belo", "John_Smith"]);
    let text = overlap(&dir, &["lfw"], json!({})).unwrap_err().to_string();
    assert!(text.contains("nothing would be left"), "{text}");
}

#[test]
fn persons_who_are_all_shared_under_other_spellings_are_listed() {
    let (_guard, dir) = world();
    write(&dir.join("train"), &["Anna B\u{e9}lo", "John Smith"]);
    write(&dir.join("lfw"), &["Anna_Belo", "John_Smith"]);
    overlap(&dir, &["lfw"], json!({})).unwrap();
    let rows = std::fs::read_to_string(dir.join("out/matches/matches.csv")).unwrap();
    assert_eq!(rows.lines().count(), 3, "{rows}");
    assert!(Dataset::open(&dir.join("out/dataset")).unwrap().is_empty());
}

#[test]
fn ninety_thousand_by_ten_thousand_names_take_moments() {
    let name = |k: usize| format!("{}{}_{}{}", ["An", "Jo", "K"][k % 3], k % 601, ["Be", "L"][k % 2], k / 17);
    let train: Vec<String> = (0..90_000).map(name).collect();
    let options = Options::default();
    let start = Instant::now();
    let asked = Train::new(&options, &train, &NOBODY);
    let found: usize = (0..10_000).map(|k| asked.matches(&name(k * 11)).len()).sum();
    assert!(found > 8_000, "{found}");
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}

#[test]
fn cfp_and_the_lfw_subset_share_seventy_six_identities_seventy_two_by_equal_names() {
    let Some(data) = lfs_testing::data("") else { return };
    let folders = std::fs::read_dir(data.join("lfw-subset/images")).unwrap();
    let mut train: Vec<String> = folders.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    train.sort();
    let options = Options::default();
    let asked = Train::new(&options, &train, &NOBODY);
    let names = std::fs::read_to_string(data.join("cfp/Data/list_name.txt")).unwrap();
    let found: std::collections::BTreeSet<usize> = names
        .lines()
        .flat_map(|n| asked.matches(n))
        .filter(|m| m.how != How::NearMiss)
        .map(|m| m.train)
        .collect();
    let equal = |k: &usize| names.lines().any(|n| n.eq_ignore_ascii_case(&train[*k].replace('_', " ")));
    assert_eq!((train.len(), found.iter().filter(|k| equal(k)).count()), (423, 72));
    // Two presidents with the same first and last name, one omitted middle name, and one typing error.
    let others: Vec<&str> = found.iter().filter(|k| !equal(k)).map(|&k| train[k].as_str()).collect();
    assert_eq!(others, ["George_HW_Bush", "George_W_Bush", "Luiz_Inacio_Lula_da_Silva", "Robert_De_Niro"]);
}

#[test]
fn names_are_matched_whatever_their_spelling_and_near_misses_are_listed_and_stay() {
    let dir = tempfile::tempdir().unwrap();
    let pairs = [
        ("Jos\u{e9} Marinho", "Jose_Marinho", "same name, other spelling"),
        ("Gerald Schr\u{f6}ter", "Gerald_Schroeter", "same name, other spelling"),
        ("Bjo\u{308}rn Bergh", "Bjorn_Bergh", "same name, other spelling"),
        ("Kurnova, Maria", "Maria_Kurnova", "same words, other order"),
        ("Anna Ku\u{df}", "anna__kuss", "same name, other spelling"),
        ("Lech Wa\u{142}\u{119}sa", "Walesa, Lech", "same words, other order"),
        ("Bin Omar Osama", "Osama_Bin_Omar", "same words, other order"),
        ("Sinead O'Connor", "Sinead_OConnor", "same name"),
        ("Jean Luc Picard", "JeanLucPicard", "same name, written together"),
        ("Lucy Alexis Liu", "Lucy_Liu", "same first and last name"),
        ("P. Ustinov", "Peter_Ustinov", "initials"),
        ("Hans Vermeulen", "Hans_Vermeulem", "near miss"),
        ("Robert Downey, Jr.", "Robert_Downey", "near miss"),
    ];
    let (train, test): (Vec<&str>, Vec<&str>) = pairs.iter().map(|p| (p.0, p.1)).unzip();
    let all = [&train[..], &["Somebody Else"]].concat();
    write(&dir.path().join("train"), &all);
    write(&dir.path().join("lfw"), &test);
    for (parameters, stay) in [(json!({}), 3), (json!({"initials": "list"}), 4)] {
        overlap(dir.path(), &["lfw"], parameters).unwrap();
        let rows = std::fs::read_to_string(dir.path().join("out/matches/matches.csv")).unwrap();
        assert_eq!(rows.lines().count(), pairs.len() + 1, "{rows}");
        for (a, b, how) in pairs {
            let row = rows
                .lines()
                .find(|r| r.contains(a) && r.contains(&format!("lfw,{b}")) || r.contains(a) && r.contains(b));
            let how = if how.contains(',') { format!("\"{how}\"") } else { how.to_owned() };
            assert!(row.is_some_and(|r| r.contains(&format!(",{how},"))), "{a}, {b}, {how}: {rows}");
        }
        let kept = Dataset::open(&dir.path().join("out/dataset")).unwrap().info().identities.clone();
        assert_eq!(kept.len(), stay, "{kept:?}");
        assert!(kept.iter().any(|k| k == "Hans Vermeulen") && !kept.iter().any(|k| k.starts_with("Kurnova")));
    }
}

#[test]
fn a_hundred_thousand_names_with_near_misses_take_moments() {
    let part = |mut k: usize, length: usize| {
        (0..length)
            .map(|_| {
                k = k.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                (b'a' + (k >> 33) as u8 % 26) as char
            })
            .collect::<String>()
    };
    let name = |k: usize| format!("{}_{}", part(k % 999, 5), part(k, 8));
    let train: Vec<String> = (0..100_000).map(name).collect();
    let options = Options::default();
    let start = Instant::now();
    let asked = Train::new(&options, &train, &NOBODY);
    // With one letter removed from each.
    let found = (0..10_000).filter(|k| {
        let mut wanted = name(k * 9);
        wanted.remove(3);
        asked.matches(&wanted).iter().any(|m| m.train == k * 9 && m.how == How::NearMiss)
    });
    assert_eq!(found.count(), 10_000);
    assert!(start.elapsed().as_secs() < 20, "{:?}", start.elapsed());
}
