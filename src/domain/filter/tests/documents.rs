//! Documents: as trees, and as text with everything that JSON leaves to its writer.

use proptest::prelude::*;

/// A document. Numbers are kept as they are written, and members as often as they are there.
#[derive(Debug, Clone)]
pub(super) enum Tree {
    Null,
    Bool(bool),
    Number(String),
    Text(String),
    List(Vec<Tree>),
    Object(Vec<(String, Tree)>),
}

/// Few keys, so that paths often meet members, and members each other.
pub(super) fn key() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a", "b", "A", "é", "odd key", "\"\\/", "😀", "", "line\nbreak"]).prop_map(str::to_owned)
}

pub(super) fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => key(),
        2 => "[abA]{0,6}",
        1 => prop::sample::select(vec!["É", "ß", "İ", "ΑΣ", "\u{FFFD}", "\u{10FFFF}", "\u{0}\t", "1", "true"]).prop_map(str::to_owned),
        1 => any::<String>(),
    ]
}

/// Numbers of which many are equal or neighbours.
pub(super) fn number() -> impl Strategy<Value = String> {
    let known = [
        "0",
        "-0",
        "0.0",
        "0e5",
        "1",
        "1.0",
        "10e-1",
        "0.1e1",
        "-1",
        "-1.0",
        "2",
        "3",
        "100",
        "1e2",
        "1E+2",
        "1e-3",
        "0.001",
        "12345678901234567890",
        "12345678901234567890.0",
        "12345678901234567891",
        "9007199254740993",
        "9007199254740992",
        "999999999999999999",
        "1e18",
        "1000000000000000000",
        "1e999999999",
        "-1e999999999",
        "10e999999998",
        "1e1000000000",
        "1e-999999999",
        "1e99999999999999999999",
        "1e-99999999999999999999",
    ];
    prop_oneof![
        prop::sample::select(known.to_vec()).prop_map(str::to_owned),
        "-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,5})?([eE][+-]?[0-9]{1,3})?",
        "-?[0-9]",
    ]
}

pub(super) fn scalar() -> impl Strategy<Value = Tree> {
    prop_oneof![
        1 => Just(Tree::Null),
        1 => any::<bool>().prop_map(Tree::Bool),
        4 => number().prop_map(Tree::Number),
        4 => text().prop_map(Tree::Text),
    ]
}

/// A document, mostly an object.
pub(super) fn tree() -> impl Strategy<Value = Tree> {
    let inner = scalar().prop_recursive(5, 60, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Tree::List),
            prop::collection::vec((key(), inner), 0..6).prop_map(Tree::Object),
        ]
    });
    let members = prop::collection::vec((key(), inner.clone()), 1..12).prop_map(Tree::Object);
    let deep = (inner.clone(), 1usize..100).prop_map(|(inner, depth)| {
        (0..depth).fold(inner, |inner, level| match level % 2 {
            0 => Tree::List(vec![inner]),
            _ => Tree::Object(vec![("a".to_owned(), inner)]),
        })
    });
    prop_oneof![8 => members, 1 => inner, 1 => deep]
}

/// Choices of a writer, repeated without end.
pub(super) struct Style<'a>(std::iter::Cycle<std::slice::Iter<'a, u8>>);

impl<'a> Style<'a> {
    /// `choices` must not be empty.
    pub(super) fn new(choices: &'a [u8]) -> Self {
        Self(choices.iter().cycle())
    }

    /// A number below `count`.
    pub(super) fn choose(&mut self, count: u8) -> u8 {
        self.0.next().expect("choices") % count
    }

    /// One of some things, if there are any.
    pub(super) fn pick<'t, T>(&mut self, things: &'t [T]) -> Option<&'t T> {
        let at = usize::from(self.choose(u8::MAX)) * 256 + usize::from(self.choose(u8::MAX));
        things.get(at.checked_rem(things.len())?)
    }
}

/// What is chosen by a writer.
pub(super) fn choices() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![1 => Just(vec![0]), 7 => prop::collection::vec(any::<u8>(), 20..200)]
}

/// The document as text.
pub(super) fn write(tree: &Tree, style: &mut Style<'_>) -> String {
    let mut json = String::new();
    space(style, &mut json);
    value(tree, style, &mut json);
    space(style, &mut json);
    json
}

fn value(tree: &Tree, style: &mut Style<'_>, json: &mut String) {
    match tree {
        Tree::Null => json.push_str("null"),
        Tree::Bool(value) => json.push_str(&value.to_string()),
        Tree::Number(number) => json.push_str(number),
        Tree::Text(text) => string(text, style, json),
        Tree::List(elements) => {
            json.push('[');
            separated(elements, style, json, value);
            json.push(']');
        }
        Tree::Object(members) => {
            json.push('{');
            separated(members, style, json, |(key, member), style, json| {
                string(key, style, json);
                space(style, json);
                json.push(':');
                space(style, json);
                value(member, style, json);
            });
            json.push('}');
        }
    }
}

fn separated<T>(parts: &[T], style: &mut Style<'_>, json: &mut String, one: impl Fn(&T, &mut Style<'_>, &mut String)) {
    for (at, part) in parts.iter().enumerate() {
        json.push_str(if at == 0 { "" } else { "," });
        space(style, json);
        one(part, style, json);
        space(style, json);
    }
}

fn space(style: &mut Style<'_>, json: &mut String) {
    json.push_str([" ", "", "\n\t", "\r ", ""][usize::from(style.choose(5))]);
}

fn string(text: &str, style: &mut Style<'_>, json: &mut String) {
    json.push('"');
    for character in text.chars() {
        let choice = style.choose(6);
        match character {
            '"' | '\\' if choice < 3 => json.extend(['\\', character]),
            '/' if choice < 3 => json.push_str("\\/"),
            '\n' if choice < 3 => json.push_str("\\n"),
            '\t' if choice < 3 => json.push_str("\\t"),
            _ if choice > 3 || character < ' ' || matches!(character, '"' | '\\') => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    json.push_str(&if choice == 4 { format!("\\u{unit:04x}") } else { format!("\\u{unit:04X}") });
                }
            }
            _ => json.push(character),
        }
    }
    json.push('"');
}
