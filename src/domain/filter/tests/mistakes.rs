//! What is refused, where the mistake is said to be, and what the message says.

use super::*;

/// A text, the line and column of its mistake, and a part of the message.
const MISTAKES: &[(&str, u32, u32, &str)] = &[
    ("", 1, 1, "at least one comparison"),
    (" \n", 1, 1, "at least one comparison"),
    // Names that are not there.
    ("foo == 1", 1, 1, "foo is not known; a filter reads data"),
    ("data.status == paid", 1, 16, "a string is written in quotes: 'paid'"),
    ("raw.total == 1", 1, 1, "raw is only for templates"),
    ("destination.id == 'x'", 1, 1, "destination is only for templates"),
    ("true and\n  event.id == 'x'", 2, 3, "event.id is not there yet when filters are asked"),
    ("event['id'] == 'x'", 1, 1, "event.id is not there yet"),
    ("event.foo == 'x'", 1, 1, "of event a filter reads event.type, event.received_at and event.account_id"),
    ("event == 'x'", 1, 1, "of event a filter reads"),
    ("event[0] == 'x'", 1, 1, "of event a filter reads"),
    ("event.type.x == 1", 1, 1, "event.type is a string and has no parts"),
    ("data.x == null", 1, 11, "nothing is written none"),
    ("data.x == undefined", 1, 11, "is undefined"),
    ("data.x == TRUE", 1, 11, "true and false"),
    // What Jinja has and filters have not.
    ("lower(data.x) == 'a'", 1, 1, "there is no function lower()"),
    ("data.x.startswith('a')", 1, 18, "values have no methods"),
    ("data.x + 1 == 2", 1, 8, "cannot calculate"),
    ("data.x - 1 == 2", 1, 8, "cannot calculate"),
    ("-data.x == 2", 1, 2, "cannot calculate"),
    ("data.x % 2 == 0", 1, 8, "cannot calculate"),
    ("data.x // 2 == 0", 1, 8, "cannot calculate"),
    ("data.x ~ 'a' == 'ba'", 1, 8, "cannot be joined"),
    ("data.x if data.y else data.z", 1, 8, "there is no choice"),
    ("data.x ? 1 : 2", 1, 8, "there is no choice"),
    ("data.x|upper == 'A'", 1, 8, "there is no filter |upper; compare in lower case"),
    ("data.x|default('a') == 'a'", 1, 8, "ask with `is defined`"),
    ("data.x|count == 2", 1, 8, "|length"),
    ("data.x|first == 2", 1, 8, "data.list[0]"),
    ("data.x|round == 2", 1, 8, "there is no filter |round; there are |length and |lower"),
    ("data.x|length() == 2", 1, 14, "no parentheses"),
    ("data.x| == 2", 1, 9, "the name of a filter"),
    ("data.x|length|lower == '2'", 1, 15, "a length is a number"),
    ("'A'|lower == data.x", 1, 5, "write this value as it is to be"),
    ("data.x is string", 1, 11, "there is no test `is string`; there are defined, undefined, none, startingwith"),
    ("data.x is null", 1, 11, "write `is none`"),
    ("data.x is true", 1, 11, "write == true"),
    ("data.x is not in ['a']", 1, 15, "write `in` without `is`"),
    ("data.x is gt 5", 1, 11, "write >"),
    ("data.x is 'a'", 1, 11, "the name of a test comes after `is`"),
    ("data.x is startingwith data.y", 1, 24, "a string in quotes comes after"),
    ("data.x is startingwith", 1, 23, "a string in quotes comes after"),
    ("data.x is startingwith('a'", 1, 23, "no closing )"),
    ("data.x[1:2] == 'a'", 1, 9, "[1:2]"),
    ("data.x[-1] == 'a'", 1, 8, "not from the end"),
    ("data.x[data.y] == 'a'", 1, 8, "a key in quotes"),
    ("data.x[1.5] == 'a'", 1, 8, "whole number"),
    ("data.x[4294967296] == 'a'", 1, 8, "whole number"),
    ("data.x[] == 'a'", 1, 8, "a key in quotes"),
    ("data.x.0 == 'a'", 1, 8, "written [0]"),
    ("data.x['a' == 'a'", 1, 12, "== cannot come here"),
    ("data.x['a'", 1, 7, "no closing ]"),
    ("(data).x == 1", 1, 7, "a step comes only after a path"),
    ("{'a': 1} == data", 1, 1, "has no objects"),
    ("{{ data.x == 1 }}", 1, 1, "without {{ }}"),
    ("data.x == 1 %}", 1, 13, "without {{ }} or {% %}"),
    ("data.x == 1 # sum", 1, 13, "no comments"),
    ("$.x == 1", 1, 1, "data.name"),
    ("data.x == 1; data.y", 1, 12, "one expression"),
    // Habits of other languages.
    ("data.x = 1", 1, 8, "`==`"),
    ("data.x === 1", 1, 10, "`==`"),
    ("data.x <> 1", 1, 9, "a value is expected before >"),
    ("data.x && data.y", 1, 8, "`and`"),
    ("data.x || data.y", 1, 8, "`or`"),
    ("!data.x", 1, 1, "`not`"),
    ("data.x == \u{201C}a\u{201D}", 1, 11, "straight quotes"),
    ("data.größe == 1", 1, 8, "in brackets and quotes"),
    ("data.x == 1\u{a0}", 1, 12, "U+00A0"),
    // Conditions and values.
    ("data.x == 'a' or 'b'", 1, 18, "data.x in ['a', 'b']"),
    ("data.x and 5", 1, 12, "a condition by itself"),
    ("'a'", 1, 1, "a condition by itself"),
    ("not none", 1, 5, "a condition by itself"),
    ("data.x == ('a' or 'b')", 1, 12, "a condition by itself"),
    ("data.x == (data.y or data.z)", 1, 11, "this is a condition"),
    ("(data.x == 1) == true", 1, 1, "this is a condition"),
    ("data.x == 1 == true", 1, 13, "cannot be chained"),
    ("1 < data.x < 5", 1, 12, "1 < data.x and data.x < 5"),
    ("data.x in ['a'] not in ['b']", 1, 17, "cannot be chained"),
    ("data.x == data.y is defined", 1, 11, "this is a condition"),
    ("data.x is defined == true", 1, 1, "this is a condition"),
    ("data.x is defined|lower", 1, 18, "come after a value"),
    ("data.x is defined is defined", 1, 19, "comes after a value"),
    ("data.x == not data.y", 1, 11, "`not` stands before the whole comparison"),
    ("data.x not data.y", 1, 12, "`not in`"),
    ("data.x < true", 1, 10, "only numbers and strings"),
    ("none >= data.x", 1, 1, "only numbers and strings"),
    ("data.x in 5", 1, 11, "on the right of `in`"),
    ("'a' in data.x|length", 1, 8, "on the right of `in`"),
    ("data.x in ('a', 'b')", 1, 15, "square brackets"),
    ("data.x == ['a']", 1, 11, "only on the right of `in`"),
    ("data.x in ['a', data.y]", 1, 17, "a list has strings, numbers"),
    ("data.x in [['a']]", 1, 12, "a list has strings, numbers"),
    ("data.x in ['a' 'b']", 1, 16, "a string cannot come here"),
    ("data.x in ['a', 'b'", 1, 11, "no closing ]"),
    // Incomplete or too much.
    ("data.x ==", 1, 10, "ends where a value is expected"),
    ("data.x == 1 and", 1, 16, "ends where a value is expected"),
    ("and data.x", 1, 1, "missing before `and`"),
    ("data.x == 1 and or data.y", 1, 17, "missing before `or`"),
    ("(data.x == 1", 1, 1, "no closing )"),
    ("()", 1, 2, "a value is expected before )"),
    ("data.x == 1)", 1, 12, "closes nothing"),
    ("data.x == 'a' 'b'", 1, 15, "a string cannot come here"),
    ("data.x data.y", 1, 8, "`data` cannot come here"),
    ("data.x == 5 6", 1, 13, "the number 6 cannot come here"),
    ("data. == 5", 1, 7, "a name comes after the point"),
    ("data.x == 1,", 1, 12, ", cannot come here"),
    // Literals.
    ("data.x == 'a", 1, 11, "no closing quote"),
    ("data.x == 'a\\", 1, 13, "a backslash is written"),
    (r"data.x == 'a\d'", 1, 13, r"a backslash is written \\"),
    (r"data.x == 'a\101'", 1, 13, r"a backslash is written \\"),
    (r"data.x == '\u12'", 1, 12, "4 hexadecimal digits"),
    (r"data.x == '\x+1'", 1, 12, "2 hexadecimal digits"),
    (r"data.x == 'é\ud800'", 1, 13, "half of a surrogate pair"),
    (r"data.x == '\udc00\ud800'", 1, 12, "half of a surrogate pair"),
    ("data.x == 007", 1, 11, "'007'"),
    ("data.x == 1.", 1, 13, "digits after the point"),
    ("data.x == .5", 1, 11, "a value is expected before ."),
    ("data.x == 1e", 1, 13, "an exponent has digits"),
    ("data.x == 1_000", 1, 12, "decimal digits"),
    ("data.x == 0x1F", 1, 12, "decimal digits"),
    ("data.x == 1.5.2", 1, 14, "decimal digits"),
    ("data.x == 10km", 1, 13, "decimal digits"),
    ("data.x == 123456789012345678901234567890123456789", 1, 11, "at most 38 digits"),
];

#[test]
fn a_mistake_is_told_with_its_place_and_what_would_be_right() {
    for (source, line, column, part) in MISTAKES {
        let error = Filter::parse(source).expect_err(source);
        assert!(error.message.contains(part), "{source}: {error}");
        assert_eq!((error.line, error.column), (*line, *column), "{source}: {error}");
    }
}

#[test]
fn a_long_name_is_cut_in_messages() {
    let error = Filter::parse(&"x".repeat(4_000)).expect_err("unknown");
    assert!(error.message.len() < 400, "{error}");
}

#[test]
fn places_are_counted_in_lines_and_characters() {
    let error = Filter::parse("data.x == 'é😀' and\r\n\tdata['größe'] = 1").expect_err("=");
    assert_eq!((error.line, error.column), (2, 16));
    assert_eq!(error.to_string(), "line 2, column 16: values are compared with `==`");
}

#[test]
fn a_filter_has_at_most_4096_bytes() {
    let of_length = |length: usize| format!("data.x == '{}'", "x".repeat(length - 12));
    assert!(Filter::parse(&of_length(MAX_FILTER_BYTES)).is_ok());
    let error = Filter::parse(&of_length(MAX_FILTER_BYTES + 1)).expect_err("too long");
    assert_eq!((error.line, error.column), (1, 4_097));
    let error = Filter::parse(&format!("data.x == '{}'", "é".repeat(2_043))).expect_err("too long");
    assert_eq!((error.line, error.column), (1, 2_054));
}

#[test]
fn nesting_is_taken_up_to_64_levels() {
    let nested = |levels: usize| format!("{}true{}", "(".repeat(levels), ")".repeat(levels));
    assert!(Filter::parse(&nested(64)).is_ok());
    assert_eq!(Filter::parse(&nested(65)).expect_err("65").column, 65);
    assert!(Filter::parse(&format!("{}true", "not ".repeat(64))).is_ok());
    assert!(Filter::parse(&format!("{}true", "not ".repeat(1_000))).is_err());
    assert!(Filter::parse(&"(".repeat(4_096)).is_err());
    assert!(Filter::parse(&format!("{}(true)", "(true) and ".repeat(300))).is_ok());
}

#[test]
fn a_path_has_at_most_128_steps() {
    assert!(Filter::parse(&format!("data{}", ".x".repeat(128))).is_ok());
    assert_eq!(Filter::parse(&format!("data{}", ".x".repeat(129))).expect_err("129").column, 261);
}

#[test]
fn a_filter_reads_whole_values_at_most_16_times() {
    for (part, place) in [
        ("'a' in data.x", 7),
        ("data.x|length == 1", 7),
        ("data.x is endingwith 'a'", 10),
        ("data.x == data.y", 0),
        ("data.x < data['x']", 0),
    ] {
        let times = |count: usize| vec![part; count].join(" or ");
        assert!(Filter::parse(&times(16)).is_ok(), "{part}");
        let error = Filter::parse(&times(17)).expect_err(part);
        assert!(error.message.contains("at most 16 times"), "{error}");
        assert_eq!(error.column as usize, times(16).len() + " or ".len() + place + 1, "{part}");
    }
    let beginnings = "data.x in ['a', 'b'] or data.x == 'a' or data.x is startingwith 'a' or 'a' in event.type or ";
    assert!(Filter::parse(&(beginnings.repeat(40) + "true")).is_ok());
}
