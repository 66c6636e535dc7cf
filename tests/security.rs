//! Each promise of `SECURITY.md` and each row of `docs/security.md` names the tests that hold it, and every test that
//! they name is there. Reads the code as text.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

const PROMISES: &str = "SECURITY.md";
const THREATS: &str = "docs/security.md";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap()
}

/// What stands between backticks in a text and names a test: `file::name`, or a script under `.ci`.
fn tests_in(text: &str) -> Vec<&str> {
    let is_path =
        |path: &str| !path.is_empty() && path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_/".contains(&byte));
    let is_test = |word: &&str| {
        word.starts_with(".ci/") || word.split_once("::").is_some_and(|(file, name)| is_path(file) && is_path(name))
    };
    text.split('`').skip(1).step_by(2).filter(is_test).collect()
}

/// Whether a test is there. Its file is named from `tests` or `src` on, without its ending.
fn exists(test: &str) -> bool {
    let Some((file, name)) = test.rsplit_once("::") else { return root().join(test).is_file() };
    let files = ["tests", "src"].iter().flat_map(|folder| {
        [root().join(folder).join(format!("{file}.rs")), root().join(folder).join(file).join("mod.rs")]
    });
    files.filter_map(|file| std::fs::read_to_string(file).ok()).any(|code| is_test_of(&code, name))
}

/// Whether the code has a test of this name. Attributes may stand between `#[test]` and the function.
fn is_test_of(code: &str, name: &str) -> bool {
    let begins = |line: &str| {
        let line = line.trim_start().trim_start_matches("async ");
        line.strip_prefix("fn ").is_some_and(|rest| rest.strip_prefix(name).is_some_and(|rest| rest.starts_with('(')))
    };
    let lines: Vec<&str> = code.lines().collect();
    let is_attribute = |line: &&&str| line.trim_start().starts_with("#[");
    lines.iter().enumerate().any(|(at, line)| {
        let attributes = lines[..at].iter().rev().take_while(is_attribute);
        begins(line) && attributes.into_iter().any(|line| matches!(line.trim(), "#[test]" | "#[tokio::test]"))
    })
}

/// The footnotes of a page, by their names.
fn footnotes(page: &str) -> BTreeMap<String, String> {
    let mut notes: BTreeMap<String, String> = BTreeMap::new();
    let mut last = None;
    for line in page.lines() {
        if let Some((name, text)) = line.strip_prefix("[^").and_then(|rest| rest.split_once("]: ")) {
            let before = notes.insert(name.to_owned(), text.to_owned());
            assert!(before.is_none(), "[^{name}] is there twice");
            last = Some(name.to_owned());
        } else if let (Some(name), Some(text)) = (&last, line.strip_prefix("    ")) {
            *notes.get_mut(name).unwrap() += &format!(" {text}");
        } else {
            last = None;
        }
    }
    notes
}

/// Names of the footnotes to which a text refers.
fn references(text: &str) -> Vec<&str> {
    text.split("[^").skip(1).filter_map(|rest| rest.split_once(']')).map(|(name, _)| name).collect()
}

/// The items of the lists in a part of a page, each as one line.
fn items(part: &str) -> Vec<String> {
    let mut items: Vec<String> = Vec::new();
    let mut inside = false;
    for line in part.lines() {
        if let Some(text) = line.strip_prefix("- ") {
            items.push(text.to_owned());
            inside = true;
        } else if inside && line.starts_with("  ") {
            let last = items.last_mut().unwrap();
            *last += " ";
            *last += line.trim();
        } else {
            inside = false;
        }
    }
    items
}

fn part<'a>(page: &'a str, heading: &str) -> &'a str {
    let (_, rest) = page.split_once(&format!("## {heading}\n")).unwrap_or_else(|| panic!("no heading {heading}"));
    rest.split("\n## ").next().unwrap()
}

#[test]
fn each_promise_names_its_test() {
    let page = read(PROMISES);
    let (promises, notes) = (items(part(&page, "What is promised")), footnotes(&page));
    assert!(promises.len() > 25, "the promises were found: {promises:?}");
    for promise in &promises {
        let tests = references(promise).into_iter().flat_map(|name| tests_in(&notes[name]));
        assert!(tests.count() > 0, "no test is named by: {promise}");
    }
    let body = page.split("\n[^").next().unwrap();
    let used: BTreeSet<&str> = references(body).into_iter().collect();
    let unused: Vec<_> = notes.keys().filter(|name| !used.contains(name.as_str())).collect();
    assert!(unused.is_empty(), "nothing refers to {unused:?}");
}

#[test]
fn each_threat_names_its_test() {
    let page = read(THREATS);
    let is_row = |line: &&str| line.starts_with("| ") && !line.starts_with("| threat |") && !line.starts_with("| ---");
    let rows: Vec<&str> = page.lines().filter(is_row).collect();
    assert!(rows.len() > 25, "the rows were found: {rows:?}");
    for row in rows {
        let cells: Vec<&str> = row.trim_matches('|').split(" | ").collect();
        assert_eq!(cells.len(), 4, "a threat, what is done, what remains, and tests: {row}");
        assert!(!tests_in(cells[3]).is_empty(), "no test is named by: {row}");
    }
}

#[test]
fn every_test_that_is_named_is_there() {
    for page in [PROMISES, THREATS] {
        let text = read(page);
        let named = tests_in(&text);
        assert!(named.len() > 30, "{page}: the names were found: {named:?}");
        let missing: Vec<_> = named.into_iter().filter(|test| !exists(test)).collect();
        assert!(missing.is_empty(), "{page} names tests that are not there: {missing:#?}");
    }
}

#[test]
fn a_name_that_leads_nowhere_would_be_found() {
    assert!(exists("security::a_name_that_leads_nowhere_would_be_found"));
    assert!(!exists("security::exists") && !exists("security::nothing") && !exists("nowhere::exists"));
    assert!(!exists(".ci/nothing"));
    let notes = footnotes("a [^b]\n\n[^b]: `a::b`,\n    `c::d`.\nother\n[^e]: `f::g`\n");
    assert_eq!((tests_in(&notes["b"]), tests_in(&notes["e"])), (vec!["a::b", "c::d"], vec!["f::g"]));
    assert_eq!(items("- a\n  b [^c]\n\n- d\n"), ["a b [^c]", "d"]);
}
