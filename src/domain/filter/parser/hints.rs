//! What the parser says of mistakes: what is wrong, and what would be right.

use super::super::MAX_WHOLE_READS;
use super::super::lexer::{CANNOT_CALCULATE, NO_CHOICE, Token};

/// All that a filter can read.
const THERE_IS: &str = "a filter reads data (the document, as in data.order.total), event.type, event.received_at and \
                        event.account_id";

pub(super) const LITERAL_ALONE: &str = "this value is a condition by itself, which is always the same; compare it with \
                                        something, or list what is allowed: data.x in ['a', 'b']";
pub(super) const NOT_A_VALUE: &str = "a value is expected here, and this is a condition; a comparison has a value on \
                                      either side, and `and`, `or` and `not` join whole comparisons: data.x == 'a' or \
                                      data.x == 'b'";
pub(super) const CHAINED: &str = "comparisons cannot be chained; join them with `and`: 1 < data.x and data.x < 5";
pub(super) const NOT_AFTER_VALUE: &str = "after a value, `not` only comes as `not in`; elsewhere it stands before a \
                                          condition";
pub(super) const NOT_A_CONTAINER: &str = "on the right of `in` there is a list, a string, or a path to a list, a string or \
                                          an object";
pub(super) const IN_LIST: &str = "a list has strings, numbers, true, false and none, with commas between them: \
                                  ['a', 'b', 3]";
pub(super) const TUPLE: &str = "a list is written in square brackets: ['a', 'b']";
pub(super) const FILTER_OF_CONDITION: &str = "|length and |lower come after a value, and this is a condition";
pub(super) const FILTER_OF_LITERAL: &str = "|length and |lower come after a path, as in data.name|lower; write this \
                                            value as it is to be";
pub(super) const AFTER_LENGTH: &str = "a length is a number, and no filter comes after it";
pub(super) const TEST_OF_CONDITION: &str = "a test (`is …`) comes after a value, and this is a condition";
pub(super) const NO_TEST: &str = "the name of a test comes after `is`: defined, undefined, none, startingwith or \
                                  endingwith, each also with `not`";
pub(super) const ARGUMENT: &str = "a string in quotes comes after startingwith and endingwith: data.name is startingwith \
                                   'x'";
pub(super) const AFTER_POINT: &str = "a name comes after the point; an element of a list is written [0], any other key \
                                      ['odd key']";
pub(super) const SUBSCRIPT: &str = "in brackets there is a key in quotes, as ['odd key'], or the index of an element, \
                                    as [0]";
pub(super) const INDEX: &str = "the index of an element is a whole number, from 0 to 4294967295";
pub(super) const FROM_THE_END: &str = "elements are counted from 0 on, and not from the end of a list";
pub(super) const METHOD: &str = "values have no methods; there are `in`, `is startingwith 'x'`, `is endingwith 'x'`, \
                                 |length and |lower";
pub(super) const NO_ORDER: &str = "only numbers and strings are less or greater than others; true, false and none are \
                                   compared with == and !=";
pub(super) const EVENT_ID: &str = "event.id is not there yet when filters are asked: an event gets its id when it is \
                                   accepted; templates can use it";
pub(super) const EVENT: &str = "of event a filter reads event.type, event.received_at and event.account_id; what the \
                                document says is in data";

/// Says that there is no filter of this name.
pub(super) fn filter(name: &str) -> String {
    let instead = match name {
        "count" => "it is called |length here",
        "upper" | "title" | "capitalize" => "compare in lower case: data.name|lower == 'x'",
        "default" | "d" => "what is missing makes a comparison false; ask with `is defined`",
        "first" => "the first element is written data.list[0]",
        "int" | "float" | "string" => "numbers and strings are compared as they are written",
        _ => "there are |length and |lower",
    };
    format!("there is no filter |{}; {instead}", short(name))
}

/// Says that there is no test of this name.
pub(super) fn test(name: &str) -> String {
    let instead = match name {
        "null" | "None" => "write `is none`".to_owned(),
        "true" | "false" | "True" | "False" => format!("write == {}", name.to_lowercase()),
        "eq" | "equalto" | "sameas" => "write ==".to_owned(),
        "ne" => "write !=".to_owned(),
        "lt" | "lessthan" => "write <".to_owned(),
        "le" => "write <=".to_owned(),
        "gt" | "greaterthan" => "write >".to_owned(),
        "ge" => "write >=".to_owned(),
        "in" => "write `in` without `is`".to_owned(),
        _ => "there are defined, undefined, none, startingwith and endingwith".to_owned(),
    };
    format!("there is no test `is {}`; {instead}", short(name))
}

/// Says why a token cannot follow a value or a condition.
pub(super) fn unexpected(token: &Token<'_>) -> String {
    match token {
        Token::Name("if" | "else") => NO_CHOICE.to_owned(),
        Token::Symbol("-") => CANNOT_CALCULATE.to_owned(),
        Token::Symbol(")" | "]") => "this bracket closes nothing".to_owned(),
        Token::Symbol("." | "[") => {
            "a step comes only after a path, and a path begins with data or event, without parentheses".to_owned()
        }
        other => {
            format!("{} cannot come here; an operator such as ==, in, `and`, `or` is missing before it", named(other))
        }
    }
}

/// The mistake of a filter that reads whole values too often.
pub(super) fn too_many_whole_reads() -> String {
    format!(
        "a filter reads the whole of a value at most {MAX_WHOLE_READS} times (`in` a path, |length, `is endingwith`, two \
         paths compared), and this is one more; where one value may be one of several, list them: data.x in ['a', 'b']"
    )
}

/// Says why a token is no value. `is_called`: a parenthesis opens after it.
pub(super) fn no_value(token: &Token<'_>, is_called: bool) -> String {
    match token {
        Token::Name(name @ ("and" | "or" | "in" | "is")) => format!("a value or condition is missing before `{name}`"),
        Token::Name("not") => "`not` stands before the whole comparison: not data.x == 1".to_owned(),
        Token::Name("if" | "else") => NO_CHOICE.to_owned(),
        Token::Name(name) if is_called => {
            format!(
                "there is no function {}(); |length and |lower come after a path, as in data.name|lower",
                short(name)
            )
        }
        Token::Name("null" | "NULL" | "Null" | "nil") => "nothing is written none, as in data.x is none".to_owned(),
        Token::Name("undefined") => "whether something is missing is asked with `is undefined`".to_owned(),
        Token::Name("TRUE" | "FALSE") => "truth values are written true and false".to_owned(),
        Token::Name(name @ ("raw" | "delivery" | "destination")) => {
            format!("{name} is only for templates; {THERE_IS}")
        }
        Token::Name(name) => {
            let name = short(name);
            format!("{name} is not known; {THERE_IS}; a string is written in quotes: '{name}'")
        }
        Token::Symbol("[") => "a list stands only on the right of `in` or `not in`".to_owned(),
        Token::End => "the filter ends where a value is expected, such as data.x or 'string'".to_owned(),
        other => format!("a value is expected before {}, such as data.x or 'string'", named(other)),
    }
}

/// The token, for people.
fn named(token: &Token<'_>) -> String {
    match token {
        Token::Name(name) => format!("`{}`", short(name)),
        Token::Number(number) => format!("the number {}", short(number)),
        Token::Text(_) => "a string".to_owned(),
        Token::Symbol(symbol) => (*symbol).to_owned(),
        Token::End => "the end".to_owned(),
    }
}

/// A name or number of a filter, cut where it would make the message long.
fn short(name: &str) -> String {
    match name.get(..40) {
        Some(start) if start.len() < name.len() => format!("{start}…"),
        _ => name.to_owned(),
    }
}
