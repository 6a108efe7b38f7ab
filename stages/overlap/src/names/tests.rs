use proptest::prelude::*;

use super::*;

#[test]
fn the_rule_by_its_clauses() {
    let cases = [
        // equal ignoring case, hyphens and underscores
        ("George_W_Bush", "george w bush", true),
        ("Jean-Michel Van Dorn", "JeanMichel_Van_Dorn", true),
        ("Madonna", "madonna", true),
        ("Madonna", "Cher", false),
        // initials
        ("AJ_Cook", "A J Cook", true),
        ("AJ_Cook", "Andrea Joy Cook", true),
        ("AJ_Cook", "Joy Cook", false),
        ("J. Lopez", "Jennifer Lopez", true),
        ("J Lopez", "J K Lopez", true),
        ("J Lopez", "K Lopez", false),
        ("Jennifer L", "Jennifer Lopez", true),
        // four capitals are a word
        ("ALEX Smith", "A Smith", true),
        ("ALEX Smith", "Andrew Smith", false),
        // a name of one word
        ("Madonna", "Madonna Ciccone", false),
        ("JFK", "John Kennedy", false),
        // first and last word, in order or swapped; middle names are ignored
        ("Lucy Liu", "Lucy Alexis Liu", true),
        ("Ming Yao", "Yao Ming", true),
        ("Yao Li Ming", "Ming Yao", true),
        ("Lucy Liu", "Lucy Lawless", false),
        ("Liu Ming", "Ming Yao", false),
        ("Jo Smith", "John Smith", false),
        ("", "", false),
        ("--", "_", false),
    ];
    for (a, b, same) in cases {
        assert_eq!(same_person(a, b), same, "{a:?} and {b:?}");
    }
}

#[test]
fn composed_and_decomposed_letters_are_the_same() {
    assert!(same_person("Pen\u{e9}lope Cruz", "Pene\u{301}lope_Cruz"));
}

fn name() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        prop::sample::select(vec![
            "Ann", "ann", "Anna", "Bo", "B", "a", "AB", "BA", "A.", "Bob", "bo-b", "BOB", "ß", "İ", "Bö",
            "boe", "ø", "O'B", "Å"
        ])
        .prop_map(str::to_owned),
        "[ABab]{1,4}",
    ];
    (prop::collection::vec(word, 0..4), prop::sample::select(vec![" ", "_", "  ", ", "]))
        .prop_map(|(w, s)| w.join(s))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_rule_is_symmetric_and_reflexive(a in name(), b in name()) {
        prop_assert_eq!(same_person(&a, &b), same_person(&b, &a));
        prop_assert!(same_person(&a, &a) || a.split([' ', '_', '-', '.', ',', '\'']).all(str::is_empty));
    }

    #[test]
    fn the_index_finds_what_comparing_each_finds(names in prop::collection::vec(name(), 0..12), wanted in name()) {
        let slow: Vec<usize> = (0..names.len()).filter(|&i| same_person(&names[i], &wanted)).collect();
        let found = Index::new(names.iter().map(String::as_str)).matches(&wanted);
        prop_assert_eq!(found.into_iter().map(|m| m.0).collect::<Vec<_>>(), slow);
    }

    #[test]
    fn any_text_is_a_name(a in any::<String>(), b in any::<String>()) {
        prop_assert_eq!(same_person(&a, &b), same_person(&b, &a));
    }
}
