//! What holds for all filters and all documents.

use proptest::prelude::*;

use super::aim::Targets;
use super::documents::{self, Style, choices, tree};
use super::expressions::{self, expr};
use super::*;

fn parsed(source: &str) -> Filter {
    Filter::parse(source).unwrap_or_else(|error| panic!("{source}: {error}"))
}

/// The text with one character at `at` left out, doubled or replaced.
fn damaged(text: &str, at: prop::sample::Index, change: u8, by: char) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    if !characters.is_empty() {
        let at = at.index(characters.len());
        match change % 4 {
            0 => drop(characters.remove(at)),
            1 => characters.insert(at, by),
            2 => characters[at] = by,
            _ => characters.truncate(at),
        }
    }
    characters.into_iter().collect()
}

/// Text that is nearly a filter.
fn nearly_a_filter() -> impl Strategy<Value = String> {
    let words = [
        "data",
        ".",
        "a",
        "[",
        "]",
        "0",
        "'a'",
        "event",
        "type",
        "==",
        "!=",
        "<",
        ">=",
        "in",
        "not",
        "and",
        "or",
        "is",
        "defined",
        "startingwith",
        "none",
        "true",
        "(",
        ")",
        "|",
        "lower",
        "length",
        "-",
        "1.5",
        ",",
        "data.a",
        "if",
        "data.b == 1",
        "'a' in data",
        "\"",
        "\\",
        "é",
    ];
    let words = prop::collection::vec(prop::sample::select(words.to_vec()), 0..14);
    let soup = (words, prop::sample::select(vec!["", " "])).prop_map(|(words, between)| words.join(between));
    let change = (
        any::<prop::sample::Index>(),
        any::<u8>(),
        prop::sample::select(" '\"\\().[]|=<>!a1-_\n{}é".chars().collect::<Vec<_>>()),
    );
    let damaged = (expr(), choices(), change).prop_map(|(expr, choices, (at, change, by))| {
        damaged(&expressions::write(&expr, &mut Style::new(&choices)), at, change, by)
    });
    prop_oneof![soup, damaged, any::<String>()]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn every_filter_says_what_its_twin_says(mut exprs in prop::collection::vec(expr(), 1..6), tree in tree(), choices in choices()) {
        let style = &mut Style::new(&choices);
        let document = documents::write(&tree, style);
        prop_assert!(serde_json::from_str::<&serde_json::value::RawValue>(&document).is_ok(), "{document}");
        let targets = Targets::of(&tree);
        exprs.iter_mut().for_each(|expr| targets.aim(expr, style));
        let sources: Vec<String> = exprs.iter().map(|expr| expressions::write(expr, style)).collect();
        prop_assume!(sources.iter().all(|source| source.len() <= MAX_FILTER_BYTES));
        let filters: Vec<Filter> = sources.iter().map(|source| parsed(source)).collect();
        let event = event(document.as_bytes());
        let together = FilterSet::new(&filters).matches(&event);
        for ((filter, expr), together) in filters.iter().zip(&exprs).zip(together) {
            let expected = twin::holds(expr, &tree);
            prop_assert_eq!(filter.matches(&event), expected, "{} for {}", filter.as_str(), document);
            prop_assert_eq!(together, expected, "together: {} for {}", filter.as_str(), document);
        }
    }

    #[test]
    fn every_filter_is_an_expression_of_jinja(expr in expr(), choices in choices()) {
        let source = expressions::write(&expr, &mut Style::new(&choices));
        prop_assume!(source.len() <= MAX_FILTER_BYTES);
        let filter = parsed(&source);
        prop_assert_eq!(filter.as_str(), &source);
        let compiled = minijinja::Environment::new().compile_expression(&source).map(drop);
        prop_assert!(compiled.is_ok(), "{}: {:?}", source, compiled);
    }

    #[test]
    fn any_text_is_an_expression_of_jinja_or_has_a_mistake_within_it(source in nearly_a_filter()) {
        match Filter::parse(&source) {
            Ok(_) => {
                let compiled = minijinja::Environment::new().compile_expression(&source).map(drop);
                prop_assert!(compiled.is_ok(), "{}: {:?}", source, compiled);
            }
            Err(error) => {
                let lines: Vec<&str> = source.split('\n').collect();
                let line = lines.get(error.line as usize - 1);
                prop_assert!(line.is_some_and(|line| (1..=line.chars().count() + 1).contains(&(error.column as usize))), "{source}: {error}");
                prop_assert!(!error.message.is_empty());
            }
        }
    }

    #[test]
    fn no_document_makes_a_filter_fail(
        expr in expr(),
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..40),
            "[\\[\\]{}\",:\\\\ue9aé0-9. -]{0,40}".prop_map(String::into_bytes),
        ],
        tree in tree(),
        choices in choices(),
        change in (any::<prop::sample::Index>(), any::<u8>(), prop::sample::select("\"\\[]{}:,u1é ".chars().collect::<Vec<_>>())),
    ) {
        let source = expressions::write(&expr, &mut Style::new(&choices));
        prop_assume!(source.len() <= MAX_FILTER_BYTES);
        let filter = parsed(&source);
        let _ = filter.matches(&event(&bytes));
        let document = documents::write(&tree, &mut Style::new(&choices));
        let _ = filter.matches(&event(damaged(&document, change.0, change.1, change.2).as_bytes()));
    }

    #[test]
    fn a_part_is_found_where_it_is(text in "[ab]{0,24}", part in "[ab]{0,4}", choices in choices()) {
        let write = |text: &str| documents::write(&documents::Tree::Text(text.to_owned()), &mut Style::new(&choices));
        let document = format!("[{},{}]", write(&text), write(&part));
        prop_assert_eq!(holds("data[1] in data[0]", &document), text.contains(&part));
        prop_assert_eq!(holds("data[1]|lower in data[0]|lower", &document), text.contains(&part));
        prop_assert_eq!(holds(&format!("data[0] is endingwith '{part}'"), &document), text.ends_with(&part));
        prop_assert_eq!(holds(&format!("data[0] is startingwith '{part}'"), &document), text.starts_with(&part));
    }
}
