//! Imports go down the floors, and there is no circle among the files of `src`. Reads `use` declarations and paths as
//! text.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::{BTreeMap, BTreeSet};

mod source;

/// Each floor, and the floors that it may import besides those below these.
const FLOORS: [(&str, &[&str]); 11] = [
    ("main", &["commands"]),
    ("commands", &["app"]),
    ("app", &["api", "dashboard", "delivery"]),
    ("api", &["store", "web"]),
    ("dashboard", &["store", "web"]),
    ("delivery", &["store"]),
    ("store", &["domain"]),
    ("web", &["domain"]),
    ("domain", &["error", "process"]),
    ("error", &[]),
    ("process", &[]),
];

/// Inside `store` as well: each room may import those behind it.
const STORE: [&str; 11] = [
    "upkeep",
    "open",
    "write_thread",
    "operations",
    "handle",
    "commit",
    "memory",
    "file",
    "error",
    "outcome",
    "change",
];

/// Files by module path, such as `store/commit/queue`, and what each imports.
type Imports = BTreeMap<String, BTreeSet<String>>;

fn imports() -> Imports {
    let files = source::code();
    let modules: BTreeSet<String> = files.keys().cloned().collect();
    files.iter().map(|(module, code)| (module.clone(), imported(module, code, &modules))).collect()
}

/// What the code of a file imports.
fn imported(module: &str, code: &str, modules: &BTreeSet<String>) -> BTreeSet<String> {
    let mut paths = Vec::new();
    let mut rest = code;
    while let Some(at) = rest.find("use ") {
        let starts_line = at == 0 || rest[..at].ends_with('\n') || rest[..at].ends_with("pub ");
        let (declared, after) = rest[at + 4..].split_once(';').unwrap_or((&rest[at + 4..], ""));
        if starts_line {
            expand("", &declared.split_whitespace().collect::<String>(), &mut paths);
            rest = after;
        } else {
            rest = &rest[at + 4..];
        }
    }
    for word in code.split(|c: char| !(c.is_alphanumeric() || c == '_' || c == ':')) {
        // Nested modules have a `super` of their own.
        if word.starts_with("crate::") {
            paths.push(word.to_owned());
        }
    }
    paths.iter().filter_map(|path| resolve(module, path, modules)).filter(|found| found != module).collect()
}

/// `a::{b, c::D}` becomes `a::b` and `a::c::D`.
fn expand(prefix: &str, tree: &str, paths: &mut Vec<String>) {
    let Some((before, inside)) = tree.split_once('{') else {
        paths.push(format!("{prefix}{tree}"));
        return;
    };
    let prefix = format!("{prefix}{before}");
    let (mut depth, mut start) = (0, 0);
    let inside = &inside[..inside.rfind('}').unwrap()];
    for (at, c) in inside.char_indices().chain([(inside.len(), ',')]) {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                if start < at {
                    expand(&prefix, &inside[start..at], paths);
                }
                start = at + 1;
            }
            _ => {}
        }
    }
}

/// The file that a path leads to: the longest beginning of it that is one.
fn resolve(module: &str, path: &str, modules: &BTreeSet<String>) -> Option<String> {
    let mut at: Vec<&str> = module.split('/').collect();
    let mut parts = path.split("::").peekable();
    match parts.peek() {
        Some(&"crate") => {
            at.clear();
            parts.next();
        }
        Some(&"data_pusher") if module == "main" => {
            at.clear();
            parts.next();
        }
        Some(&"super" | &"self") => {
            while let Some(part) = parts.next_if(|part| matches!(*part, "super" | "self")) {
                if part == "super" {
                    at.pop();
                }
            }
        }
        // A module of its own, or another crate.
        Some(first) => {
            modules.get(&[at.as_slice(), &[*first]].concat().join("/"))?;
        }
        None => return None,
    }
    for part in parts {
        let longer = [at.as_slice(), &[part]].concat().join("/");
        if !modules.contains(&longer) {
            break;
        }
        at.push(part);
    }
    (!at.is_empty()).then(|| at.join("/")).filter(|found| modules.contains(found))
}

fn floor(module: &str) -> &str {
    module.split('/').next().unwrap()
}

/// A floor and all below it.
fn below(floor: &str) -> BTreeSet<&'static str> {
    let (name, direct) = FLOORS.iter().find(|(name, _)| *name == floor).unwrap_or_else(|| panic!("no floor {floor}"));
    let mut all: BTreeSet<&str> = direct.iter().flat_map(|floor| below(floor)).collect();
    all.insert(name);
    all
}

#[test]
fn imports_go_down_the_floors() {
    let imports = imports();
    assert!(imports.len() > 100, "all files were found");
    let pairs = imports.iter().flat_map(|(module, all)| all.iter().map(move |imported| (module, imported)));
    let wrong = |(module, imported): &(&String, &String)| match (floor(module), floor(imported)) {
        ("lib", _) => false,
        // What is outside its order is a part of what the rest of the program sees.
        ("store", "store") => {
            let room = |module: &str| STORE.iter().position(|room| module.split('/').nth(1) == Some(room));
            room(module).zip(room(imported)).is_some_and(|(from, to)| from > to)
        }
        (from, to) => !below(from).contains(to),
    };
    let up: Vec<String> =
        pairs.filter(wrong).map(|(module, imported)| format!("{module} imports {imported}")).collect();
    assert!(up.is_empty(), "imports that go up:\n{}", up.join("\n"));
}

#[test]
fn no_import_leads_back_to_its_own_file() {
    let imports = imports();
    // What imports nothing that is left is on no circle.
    let mut left = imports.clone();
    loop {
        let ends: Vec<String> = left
            .iter()
            .filter(|(_, all)| !all.iter().any(|one| left.contains_key(one)))
            .map(|(one, _)| one.clone())
            .collect();
        if ends.is_empty() {
            break;
        }
        ends.iter().for_each(|end| drop(left.remove(end)));
    }
    // And what nothing imports that is left is none of it either.
    loop {
        let imported: BTreeSet<&String> = left.values().flatten().collect();
        let starts: Vec<String> = left.keys().filter(|one| !imported.contains(one)).cloned().collect();
        if starts.is_empty() {
            break;
        }
        starts.iter().for_each(|start| drop(left.remove(start)));
    }
    let circle: Vec<String> = left
        .iter()
        .map(|(module, all)| {
            let others: Vec<&str> = all.iter().filter(|one| left.contains_key(*one)).map(String::as_str).collect();
            format!("{module} imports {}", others.join(", "))
        })
        .collect();
    assert!(circle.is_empty(), "files that import each other:\n{}", circle.join("\n"));
}

#[test]
fn a_circle_and_an_import_that_goes_up_would_be_found() {
    let modules = ["store/a", "store/b", "store", "api"].map(str::to_owned).into();
    let found = |module: &str, text: &str| {
        imported(module, &source::without_tests(text), &modules).into_iter().collect::<Vec<_>>()
    };
    assert_eq!(found("store/a", "use super::{b::{self, C}, D};\n"), ["store", "store/b"]);
    assert_eq!(found("store/b", "// use super::a;\nfn f() { crate::api::g() }\n"), ["api"]);
    assert_eq!(found("store", "pub use a::A;\nuse other::b;\nmod tests {}\n"), ["store/a"]);
    assert_eq!(found("store/a", "#[cfg(test)]\nmod tests {\n    use crate::api;\n}\n"), Vec::<String>::new());
    assert!(!below("store").contains("api") && below("app").contains("error"));
}
