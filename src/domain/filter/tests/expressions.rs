//! Expressions: as trees, and as text.

use proptest::prelude::*;

use super::documents::{self, Style, Tree};

#[derive(Debug, Clone)]
pub(super) enum Expr {
    All(Vec<Expr>),
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Alone(Operand),
    Compare(Operand, &'static str, Operand),
    In { part: Operand, negated: bool, container: Container },
    Test { operand: Operand, negated: bool, test: Test },
}

#[derive(Debug, Clone)]
pub(super) enum Container {
    List(Vec<Tree>),
    Operand(Operand),
}

#[derive(Debug, Clone)]
pub(super) enum Test {
    Defined,
    Undefined,
    None,
    StartingWith(String),
    EndingWith(String),
}

#[derive(Debug, Clone)]
pub(super) enum Operand {
    Literal(Tree),
    Read { root: Root, lower: bool, length: bool },
}

#[derive(Debug, Clone)]
pub(super) enum Root {
    Data(Vec<Step>),
    /// A field of the event.
    Event(&'static str),
}

#[derive(Debug, Clone)]
pub(super) enum Step {
    Key(String),
    Index(u32),
}

pub(super) const COMPARISONS: [&str; 6] = ["==", "!=", "<", "<=", ">", ">="];

fn read() -> impl Strategy<Value = Operand> {
    let step = prop_oneof![4 => documents::key().prop_map(Step::Key), 1 => (0u32..4).prop_map(Step::Index)];
    let root = prop_oneof![
        9 => prop::collection::vec(step, 0..4).prop_map(Root::Data),
        1 => prop::sample::select(vec!["type", "received_at", "account_id"]).prop_map(Root::Event),
    ];
    (root, prop::bool::weighted(0.2), prop::bool::weighted(0.2)).prop_map(|(root, lower, length)| Operand::Read {
        root,
        lower,
        length,
    })
}

fn operand() -> impl Strategy<Value = Operand> {
    prop_oneof![3 => read(), 1 => documents::scalar().prop_map(Operand::Literal)]
}

fn container() -> impl Strategy<Value = Container> {
    let holds = |operand: &Operand| matches!(operand, Operand::Read { length: false, .. });
    prop_oneof![
        prop::collection::vec(documents::scalar(), 0..4).prop_map(Container::List),
        documents::text().prop_map(|text| Container::Operand(Operand::Literal(Tree::Text(text)))),
        read().prop_filter("no container", holds).prop_map(Container::Operand),
    ]
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        Just(Test::Defined),
        Just(Test::Undefined),
        Just(Test::None),
        documents::text().prop_map(Test::StartingWith),
        documents::text().prop_map(Test::EndingWith),
    ]
}

/// An expression that is a filter.
pub(super) fn expr() -> impl Strategy<Value = Expr> {
    let in_order = |(left, operator, right): &(Operand, &str, Operand)| {
        let none = |operand: &Operand| matches!(operand, Operand::Literal(Tree::Null | Tree::Bool(_)));
        matches!(*operator, "==" | "!=") || !(none(left) || none(right))
    };
    let compare = (operand(), prop::sample::select(COMPARISONS.to_vec()), operand()).prop_filter("no order", in_order);
    let leaf = prop_oneof![
        1 => read().prop_map(Expr::Alone),
        1 => any::<bool>().prop_map(|value| Expr::Alone(Operand::Literal(Tree::Bool(value)))),
        5 => compare.prop_map(|(left, operator, right)| Expr::Compare(left, operator, right)),
        4 => (operand(), any::<bool>(), container()).prop_map(|(part, negated, container)| Expr::In { part, negated, container }),
        3 => (operand(), any::<bool>(), test()).prop_map(|(operand, negated, test)| Expr::Test { operand, negated, test }),
    ];
    leaf.prop_recursive(4, 16, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::All),
            prop::collection::vec(inner.clone(), 2..4).prop_map(Expr::Any),
            inner.prop_map(|inner| Expr::Not(Box::new(inner))),
        ]
    })
}

/// The expression as text, with as few or as many parentheses as the style chooses.
pub(super) fn write(expr: &Expr, style: &mut Style<'_>) -> String {
    let text = match expr {
        Expr::Any(parts) => joined(parts, "or", 0, style),
        Expr::All(parts) => joined(parts, "and", 1, style),
        Expr::Not(inner) => format!("not {}", nested(inner, 2, style)),
        Expr::Alone(value) => operand_text(value, style),
        Expr::Compare(left, operator, right) => {
            format!(
                "{}{}{operator}{}{}",
                operand_text(left, style),
                space(style),
                space(style),
                operand_text(right, style)
            )
        }
        Expr::In { part, negated, container } => {
            let container = match container {
                Container::Operand(value) => operand_text(value, style),
                Container::List(literals) => {
                    let literals: Vec<String> = literals.iter().map(|value| literal_text(value, style)).collect();
                    format!("[{}]", literals.join(&format!(",{}", space(style))))
                }
            };
            format!("{} {} {container}", operand_text(part, style), if *negated { "not  in" } else { "in" })
        }
        Expr::Test { operand, negated, test } => {
            let test = match test {
                Test::Defined => "defined".to_owned(),
                Test::Undefined => "undefined".to_owned(),
                Test::None => "none".to_owned(),
                Test::StartingWith(text) => format!("startingwith{}", argument(text, style)),
                Test::EndingWith(text) => format!("endingwith{}", argument(text, style)),
            };
            format!("{} is {}{test}", operand_text(operand, style), if *negated { "not " } else { "" })
        }
    };
    if style.choose(8) == 1 { format!("({text})") } else { text }
}

fn joined(parts: &[Expr], word: &str, level: u8, style: &mut Style<'_>) -> String {
    let parts: Vec<String> = parts.iter().map(|part| nested(part, level, style)).collect();
    parts.join(&format!(" {word}\n"))
}

/// A part of something that binds as `level` does, in parentheses if it binds less.
fn nested(expr: &Expr, level: u8, style: &mut Style<'_>) -> String {
    let own = match expr {
        Expr::Any(_) => 0,
        Expr::All(_) => 1,
        _ => 2,
    };
    let text = write(expr, style);
    if own < level { format!("({text})") } else { text }
}

fn argument(text: &str, style: &mut Style<'_>) -> String {
    let text = literal_text(&Tree::Text(text.to_owned()), style);
    if style.choose(3) == 1 { format!("({text})") } else { format!(" {text}") }
}

fn operand_text(operand: &Operand, style: &mut Style<'_>) -> String {
    let Operand::Read { root, lower, length } = operand else {
        let Operand::Literal(literal) = operand else { unreachable!() };
        return literal_text(literal, style);
    };
    let mut text = match root {
        Root::Event(field) if style.choose(3) == 1 => format!("event['{field}']"),
        Root::Event(field) => format!("event.{field}"),
        Root::Data(steps) => {
            let steps: Vec<String> = steps.iter().map(|step| step_text(step, style)).collect();
            format!("data{}", steps.concat())
        }
    };
    if style.choose(6) == 1 {
        text = format!("({text})");
    }
    text + if *lower { "|lower" } else { "" } + if *length { " | length" } else { "" }
}

fn step_text(step: &Step, style: &mut Style<'_>) -> String {
    match step {
        Step::Index(index) => format!("[{index}]"),
        Step::Key(key) if matches!(key.as_str(), "a" | "b" | "A") && style.choose(3) != 1 => format!(".{key}"),
        Step::Key(key) => format!("[{}]", literal_text(&Tree::Text(key.clone()), style)),
    }
}

fn literal_text(literal: &Tree, style: &mut Style<'_>) -> String {
    match literal {
        Tree::Null => ["none", "None"][usize::from(style.choose(2))].to_owned(),
        Tree::Bool(true) => ["true", "True"][usize::from(style.choose(2))].to_owned(),
        Tree::Bool(false) => ["false", "False"][usize::from(style.choose(2))].to_owned(),
        Tree::Number(number) => number.clone(),
        Tree::Text(text) => quoted(text, style),
        Tree::List(_) | Tree::Object(_) => unreachable!("literals are scalars"),
    }
}

fn quoted(text: &str, style: &mut Style<'_>) -> String {
    let quote = ['\'', '"'][usize::from(style.choose(2))];
    let mut quoted = String::from(quote);
    for character in text.chars() {
        match style.choose(6) {
            _ if character == quote || character == '\\' => quoted.extend(['\\', character]),
            1 if u32::from(character) < 256 => quoted.push_str(&format!("\\x{:02x}", u32::from(character))),
            2 => character.encode_utf16(&mut [0; 2]).iter().for_each(|unit| quoted.push_str(&format!("\\u{unit:04X}"))),
            3 if character == '\n' => quoted.push_str("\\n"),
            _ => quoted.push(character),
        }
    }
    quoted.push(quote);
    quoted
}

fn space(style: &mut Style<'_>) -> &'static str {
    ["", " ", "\n", " \t"][usize::from(style.choose(4))]
}
