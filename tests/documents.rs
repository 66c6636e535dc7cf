//! `docs/troubleshooting.md` lists every error code of the API and every error of an attempt, and none besides. Reads
//! the code as text. Sentences are short, and no command shows a token to other users.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;
use std::path::Path;

mod source;

const PAGE: &str = "docs/troubleshooting.md";

fn read(path: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

/// The first two arguments of the call whose text begins behind its opening parenthesis.
fn two_arguments(call: &str) -> Option<(String, String)> {
    let (mut depth, mut in_text, mut escaped) = (0_usize, false, false);
    let mut arguments = vec![String::new()];
    for c in call.chars() {
        if in_text {
            (in_text, escaped) = (escaped || c != '"', !escaped && c == '\\');
        } else {
            match c {
                '"' => in_text = true,
                '(' | '[' | '{' => depth += 1,
                ')' | ']' | '}' if depth == 0 => break,
                ')' | ']' | '}' => depth -= 1,
                ',' if depth == 0 => {
                    if arguments.len() == 2 {
                        break;
                    }
                    arguments.push(String::new());
                    continue;
                }
                _ => {}
            }
        }
        arguments.last_mut()?.push(c);
    }
    let second = arguments.get(1)?.trim().to_owned();
    Some((arguments[0].trim().to_owned(), second))
}

/// The word in a string literal such as `"not_found"`. `None` for other expressions, and for sentences.
fn word(literal: &str) -> Option<String> {
    let word = literal.strip_prefix('"')?.strip_suffix('"')?;
    let is_word = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    is_word.then(|| word.to_owned())
}

/// The words that stand behind `before` in `text`, each as a string literal.
fn words_behind(text: &str, before: &str) -> BTreeSet<String> {
    let literal = |rest: &str| {
        let rest = rest.trim_start();
        let end = rest.strip_prefix('"')?.find('"')?;
        word(&rest[..end + 2])
    };
    text.split(before).skip(1).filter_map(literal).collect()
}

/// The part of `text` from `from` to the first `to` behind it.
fn between<'a>(text: &'a str, from: &str, to: &str) -> &'a str {
    let (_, rest) = text.split_once(from).unwrap_or_else(|| panic!("there is no `{from}`"));
    rest.split_once(to).unwrap_or_else(|| panic!("there is no `{to}` behind `{from}`")).0
}

/// The codes of the errors that a file creates. Errors of `Kind::Internal` reach clients as `internal_error`.
fn codes_of_calls(text: &str) -> BTreeSet<String> {
    let mut codes = BTreeSet::new();
    for call in text.split("::new(").skip(1) {
        let Some((first, second)) = two_arguments(call) else { continue };
        let is_error = first == "status" || first.starts_with("StatusCode::") || first.starts_with("Kind::");
        if is_error && first != "Kind::Internal" {
            codes.extend(word(&second));
        }
    }
    for call in text.split("unauthorized(").skip(1) {
        codes.extend(two_arguments(call).and_then(|(_, second)| word(&second)));
    }
    codes
}

fn codes() -> BTreeSet<String> {
    let files = source::code();
    let mut codes: BTreeSet<String> = files.values().flat_map(|text| codes_of_calls(text)).collect();
    let error = &files["error"];
    codes.extend(words_behind(between(error, "fn code(self)", "\n    }"), "=>"));
    // The error that lists the errors of fields.
    codes.extend(words_behind(error, "code:"));
    // Errors that are sent without an endpoint.
    let replies = &files["web/server/bad_request"];
    codes.extend(words_behind(between(replies, "fn of_status", "problem_body("), "=> ("));
    codes
}

fn classes() -> BTreeSet<String> {
    let delivery = source::code()["domain/delivery"].clone();
    let class = between(&delivery, "impl ErrorClass {", "\n}");
    words_behind(between(class, "fn as_str(self)", "\n    }"), "=>")
}

/// The first cell of each row of the table between two marks.
fn rows(name: &str) -> Vec<String> {
    let page = read(PAGE);
    let table = between(&page, &format!("<!-- {name} -->"), &format!("<!-- end of {name} -->"));
    let cell = |line: &str| Some(line.strip_prefix("| `")?.split_once("` |")?.0.to_owned());
    table.lines().filter_map(cell).collect()
}

fn assert_lists(name: &str, known: &BTreeSet<String>) {
    let rows = rows(name);
    assert!(rows.is_sorted(), "the table of {name} in {PAGE} is not in order");
    let listed: BTreeSet<String> = rows.iter().cloned().collect();
    assert_eq!(listed.len(), rows.len(), "the table of {name} in {PAGE} has a row twice");
    let missing: Vec<_> = known.difference(&listed).collect();
    let unknown: Vec<_> = listed.difference(known).collect();
    assert!(
        missing.is_empty() && unknown.is_empty(),
        "{PAGE}, table of {name}: rows that are missing: {missing:?}; rows that nothing in src returns: {unknown:?}"
    );
}

#[test]
fn every_error_code_has_a_row() {
    let codes = codes();
    assert!(codes.len() > 30, "the codes were found: {codes:?}");
    assert_lists("codes", &codes);
}

#[test]
fn every_error_of_an_attempt_has_a_row() {
    let classes = classes();
    assert!(classes.len() > 5, "the errors were found: {classes:?}");
    assert_lists("errors", &classes);
}

#[test]
fn codes_are_found_however_a_call_is_written() {
    let found = |text: &str| codes_of_calls(text).into_iter().collect::<Vec<_>>();
    assert_eq!(found("ApiError::new(StatusCode::CONFLICT, \"no_login\", \"a, b\")"), ["no_login"]);
    assert_eq!(found("Error::new(\n    Kind::Conflict,\n    \"email_taken\",\n    text,\n)"), ["email_taken"]);
    assert_eq!(found("ApiError::new(status, \"refused\", f(1, 2))"), ["refused"]);
    assert_eq!(found("ApiError::unauthorized(\"Bearer\", \"unauthorized\", detail)"), ["unauthorized"]);
    for other in [
        "Error::new(Kind::Internal, \"database_error\", text)",
        "FieldError::new(\"email\", \"must\")",
        "io::Error::new(ErrorKind::UnexpectedEof, \"closed\")",
        "ApiError::new(status, code, detail)",
        "pub fn unauthorized(challenge: &'static str, code: &str) {}",
    ] {
        assert!(found(other).is_empty(), "{other}");
    }
}

/// The pages for people who use the program. Those for its authors are checked by reading.
const PAGES: [&str; 14] = [
    "README.md",
    "docs/backups.md",
    "docs/dashboard.md",
    "docs/sending.md",
    "docs/receiving.md",
    "docs/shaping.md",
    "docs/configuration.md",
    "docs/installing.md",
    "docs/operating.md",
    "docs/replication.md",
    "docs/monitoring.md",
    "docs/troubleshooting.md",
    "docs/clients.md",
    "docs/command-line.md",
];

/// Maximum number of words in a sentence, and of a page's sentences on average.
const MAX_WORDS: usize = 30;
const MAX_MEAN_WORDS: usize = 15;

/// Words that only the authors understand, or that mean several things.
const PRIVATE: [&str; 12] = [
    "under way",
    "case aside",
    "look-up",
    "by hand",
    "afresh",
    "aloft",
    "brisk",
    "held up",
    "told of",
    "head of",
    "mended",
    "tally",
];

/// The sentences of a page: paragraphs and list items, without code blocks, tables and headings.
fn sentences(page: &str) -> Vec<String> {
    let (mut text, mut in_code) = (String::new(), false);
    for line in page.lines() {
        let line = line.trim();
        if line.starts_with("```") {
            in_code = !in_code;
        }
        if in_code || line.is_empty() || line.starts_with(['|', '#', '`', '<']) {
            text.push_str(".\n");
            continue;
        }
        let item = line
            .strip_prefix("- ")
            .or_else(|| line.split_once(". ").filter(|(n, _)| n.parse::<u8>().is_ok()).map(|(_, rest)| rest));
        text.push_str(if item.is_some() { ".\n" } else { " " });
        text.push_str(item.unwrap_or(line));
    }
    // A stop inside a name or number ends no sentence.
    let text = text.replace(": ", ". ").replace(".**", ". ").replace("? ", ". ").replace(".)", ". ");
    text.split(". ")
        .flat_map(|part| part.split(".\n"))
        .map(|part| part.trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}

#[test]
fn sentences_are_short_and_words_are_plain() {
    for name in PAGES {
        let page = read(name);
        let sentences = sentences(&page);
        let words = |sentence: &String| sentence.split_whitespace().count();
        for sentence in &sentences {
            assert!(words(sentence) <= MAX_WORDS, "{name}: {} words: {sentence}", words(sentence));
        }
        let mean = sentences.iter().map(words).sum::<usize>() / sentences.len().max(1);
        assert!(mean <= MAX_MEAN_WORDS, "{name}: {mean} words a sentence");
        for word in PRIVATE {
            assert!(!page.to_lowercase().contains(word), "{name}: \"{word}\"");
        }
    }
}

/// Lines of commands in a page that put a token into the list of processes. `echo` is a part of the shell, and is not
/// listed.
fn lines_that_show_a_token(page: &str) -> Vec<&str> {
    let shows = |line: &&str| {
        let given = |flag: &str, name: &str| line.contains(&format!("{flag} \"{name}: "));
        let header = ["-H", "--header"].iter().any(|flag| given(flag, "Authorization") || given(flag, "CL-XTOKEN"));
        header || line.contains("--token $") || line.contains("--admin-token $") || line.contains("-H \"$")
    };
    page.lines().filter(shows).collect()
}

#[test]
fn no_command_shows_a_token_in_the_list_of_processes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut pages: Vec<_> = ["README.md", "SECURITY.md", "examples/quickstart.sh"].map(|name| root.join(name)).into();
    pages.extend(std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path()));
    for page in pages.iter().filter(|page| page.is_file()) {
        let text = std::fs::read_to_string(page).unwrap();
        let lines = lines_that_show_a_token(&text);
        assert!(lines.is_empty(), "{}: {lines:?}", page.display());
    }
    assert_eq!(
        lines_that_show_a_token("curl -H \"Authorization: Bearer $T\"\ncurl -H \"$ADMIN\"\nsend --token $T").len(),
        3
    );
    assert!(
        lines_that_show_a_token("echo \"Authorization: Bearer $T\" >admin.header\ncurl -H @admin.header").is_empty()
    );
}
