//! A second interpreter, slow and obvious: over a tree, with decoded texts, and with numbers as digits and an exponent.

use std::cmp::Ordering;

use super::documents::Tree;
use super::expressions::{Container, Expr, Operand, Root, Step, Test};
use super::{ACCOUNT, RECEIVED_AT};

/// Whether the expression holds for an event of type `order.paid` with this document.
pub(super) fn holds(expr: &Expr, document: &Tree) -> bool {
    let value = |operand: &Operand| value(operand, document);
    match expr {
        Expr::All(parts) => parts.iter().all(|part| holds(part, document)),
        Expr::Any(parts) => parts.iter().any(|part| holds(part, document)),
        Expr::Not(inner) => !holds(inner, document),
        Expr::Alone(operand) => match value(operand) {
            None | Some(Tree::Null | Tree::Bool(false)) => false,
            Some(Tree::Bool(true)) => true,
            Some(Tree::Number(number)) => number_order(&number, "0").is_ne(),
            Some(Tree::Text(text)) => !text.is_empty(),
            Some(Tree::List(elements)) => !elements.is_empty(),
            Some(Tree::Object(members)) => !members.is_empty(),
        },
        Expr::Compare(left, operator, right) => {
            let order = order(value(left).as_ref(), value(right).as_ref());
            match *operator {
                "==" => order == Answer::Order(Ordering::Equal) || order == Answer::Equal,
                "!=" => order != Answer::Order(Ordering::Equal) && order != Answer::Equal,
                "<" => order == Answer::Order(Ordering::Less),
                ">" => order == Answer::Order(Ordering::Greater),
                "<=" => matches!(order, Answer::Order(Ordering::Less | Ordering::Equal)),
                ">=" => matches!(order, Answer::Order(Ordering::Greater | Ordering::Equal)),
                other => unreachable!("{other}"),
            }
        }
        Expr::In { part, negated, container } => {
            let container = match container {
                Container::List(literals) => Some(Tree::List(literals.clone())),
                Container::Operand(operand) => value(operand),
            };
            let is_in = value(part).zip(container).is_some_and(|(part, container)| is_in(&part, &container));
            is_in != *negated
        }
        Expr::Test { operand, negated, test } => {
            let passes = match (test, value(operand)) {
                (Test::Defined, value) => value.is_some(),
                (Test::Undefined, value) => value.is_none(),
                (Test::None, value) => matches!(value, Some(Tree::Null)),
                (Test::StartingWith(start), Some(Tree::Text(text))) => text.starts_with(start.as_str()),
                (Test::EndingWith(end), Some(Tree::Text(text))) => text.ends_with(end.as_str()),
                (Test::StartingWith(_) | Test::EndingWith(_), _) => false,
            };
            passes != *negated
        }
    }
}

fn is_in(part: &Tree, container: &Tree) -> bool {
    match (part, container) {
        (Tree::Text(part), Tree::Text(text)) => text.contains(part.as_str()),
        (Tree::Text(part), Tree::Object(members)) => members.iter().any(|(key, _)| key == part),
        (part, Tree::List(elements)) => elements
            .iter()
            .any(|element| matches!(order(Some(part), Some(element)), Answer::Equal | Answer::Order(Ordering::Equal))),
        _ => false,
    }
}

fn value(operand: &Operand, document: &Tree) -> Option<Tree> {
    let (root, lower, length) = match operand {
        Operand::Literal(literal) => return Some(literal.clone()),
        Operand::Read { root, lower, length } => (root, *lower, *length),
    };
    let mut value = match root {
        Root::Event("type") => Tree::Text("order.paid".to_owned()),
        Root::Event("received_at") => Tree::Text(RECEIVED_AT.to_owned()),
        Root::Event(_) => Tree::Text(ACCOUNT.to_owned()),
        Root::Data(steps) => steps.iter().try_fold(document, step)?.clone(),
    };
    if lower {
        let Tree::Text(text) = value else { return None };
        value = Tree::Text(text.chars().flat_map(char::to_lowercase).collect());
    }
    if length {
        let length = match value {
            Tree::Text(text) => text.chars().count(),
            Tree::List(elements) => elements.len(),
            Tree::Object(members) => members.len(),
            _ => return None,
        };
        value = Tree::Number(length.to_string());
    }
    Some(value)
}

fn step<'t>(tree: &'t Tree, step: &Step) -> Option<&'t Tree> {
    match (tree, step) {
        (Tree::Object(members), Step::Key(wanted)) => {
            members.iter().rev().find(|(key, _)| key == wanted).map(|(_, member)| member)
        }
        (Tree::List(elements), Step::Index(index)) => elements.get(*index as usize),
        _ => None,
    }
}

#[derive(Debug, PartialEq)]
enum Answer {
    Order(Ordering),
    /// Equal, of a type without an order.
    Equal,
    /// Not equal, and not in order.
    Apart,
}

fn order(left: Option<&Tree>, right: Option<&Tree>) -> Answer {
    match (left, right) {
        (Some(Tree::Number(left)), Some(Tree::Number(right))) => Answer::Order(number_order(left, right)),
        (Some(Tree::Text(left)), Some(Tree::Text(right))) => Answer::Order(left.chars().cmp(right.chars())),
        (Some(Tree::Null), Some(Tree::Null)) => Answer::Equal,
        (Some(Tree::Bool(left)), Some(Tree::Bool(right))) if left == right => Answer::Equal,
        _ => Answer::Apart,
    }
}

fn number_order(left: &str, right: &str) -> Ordering {
    let ((left_sign, left_size), (right_sign, right_size)) = (number(left), number(right));
    left_sign.cmp(&right_sign).then_with(|| match left_sign {
        -1 => right_size.cmp(&left_size),
        _ => left_size.cmp(&right_size),
    })
}

/// The sign, and the size as `0.DIGITS` times a power of ten.
fn number(text: &str) -> (i8, (i128, String)) {
    let (negative, text) = text.strip_prefix('-').map_or((false, text), |text| (true, text));
    let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = format!("{whole}{fraction}");
    let significant = digits.trim_start_matches('0');
    if significant.is_empty() {
        return (0, (0, String::new()));
    }
    let zeros = (digits.len() - significant.len()) as i128;
    let exponent: i128 = exponent.parse().expect("exponents of tests fit");
    let size = (whole.len() as i128 - zeros + exponent, significant.trim_end_matches('0').to_owned());
    (if negative { -1 } else { 1 }, size)
}
