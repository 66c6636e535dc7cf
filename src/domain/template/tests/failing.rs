//! What is told when a template fails beside a document.

use super::*;

const DOCUMENT: &str =
    r#"{"name": "hidden-value", "n": 5, "zero": 0, "list": [1, "hidden-value"], "map": {"k": null}}"#;

#[test]
fn a_failure_says_the_line_and_what_is_missing() {
    let mut wrong = Vec::new();
    for (source, line, part) in [
        ("a\nb\n{{ data.nme }}", 3, "line 3: data.nme is missing; print it with |default(...) if it may be"),
        ("{{ data.a.b.c }}", 1, "data.a is missing"),
        ("{{ data.list[7] }}", 1, "data.list[7] is missing"),
        ("{{ data.map['odd key'] }}", 1, "data.map['odd key'] is missing"),
        ("{{ raw.nme }}", 1, "raw.nme is missing"),
        ("\n{{ data.nme | upper }}", 2, "data.nme is missing"),
        ("{{ data.nme | length }}", 1, "data.nme is missing"),
        ("{{ data.nme | join(',') }}", 1, "data.nme is missing"),
        ("{{ [1, data.nme] }}", 1, "data.nme is missing"),
        ("{{ {'a': data.nme} | tojson }}", 1, "data.nme is missing"),
        ("{{ {data.nme: 1} }}", 1, "a key of a map is missing"),
        ("{% for i in data.list %}\n{{ i.x }}{% endfor %}", 2, "i.x is missing"),
        ("{{ data.nme + 1 }}", 1, "data.nme is missing"),
        ("{{ data.n if false }}", 1, "missing"),
        ("{{ data.n / data.zero }}", 1, "a calculation has no result"),
        ("{{ data.n + data.name }}", 1, "+ operator on unsupported types number and string"),
        ("{{ data.list + 1 }}", 1, "unsupported types sequence and number"),
        ("{{ 'a' in data.n }}", 1, "cannot perform a containment check"),
        ("{{ data.name | int }}", 1, "not of the type"),
        ("{{ data.n | length }}", 1, "cannot calculate length of value of type number"),
        ("{% for i in data.n %}{% endfor %}", 1, "number is not iterable"),
        ("{{ data.n | join(',') }}", 1, "number is not iterable"),
        ("{{ data.list | sum }}", 1, "can only sum numbers, got string"),
        ("{% set t %}{{ data.nme }}{% endset %}", 1, "data.nme is missing"),
        ("{{ data.n | replace('a', 'b') }}", 1, "|string makes one of a number"),
        ("{{ raw.n + 1 }}", 1, "plain object and number"),
        ("{% set a, b = data.list | list + [1] %}", 1, "line 1"),
        ("{{ data.list | map('nofilter') | list }}", 1, "a filter that map(…) names is not known"),
        ("{{ data.list | select('notest') | list }}", 1, "a test that is named as a text is not known"),
        ("{{ data.name | round(1, 2, 3) }}", 1, "line 1"),
        ("{{ range(100000) }}", 1, "more than 20000 numbers"),
        ("{{ range(1, 5, 0) }}", 1, "step of 0"),
        ("{{ 'x' * 1000000000 }}", 1, "does too much"),
        ("{{ namespace() }}", 1, "cannot be printed"),
        ("{% for c in [1] recursive %}{{ loop([c]) }}{% endfor %}", 1, "at most 200 levels"),
        ("{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}", 1, "does too much"),
        ("{% set x = 5 %}{% set x.y = 1 %}", 1, "can only assign to namespaces"),
    ] {
        let failure = body(source, DOCUMENT).expect_err(source);
        let is_placed = failure.line == Some(line) && failure.detail.starts_with(&format!("line {line}: "));
        if !is_placed || !failure.detail.contains(part) {
            wrong.push(format!("{source}: {failure:?}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn no_failure_shows_a_value_of_the_document() {
    for source in [
        "{{ data.name + 1 }}",
        "{{ data.name | int }}",
        "{{ data.name | float }}",
        "{{ -data.name }}",
        "{{ data.name ** 2 }}",
        "{{ data.list | sum }}",
        "{{ data.list | map(data.name) | list }}",
        "{{ data.list | select(data.name) | list }}",
        "{{ data.name | round }}",
        "{{ data.name | abs }}",
        "{{ data[data.name] }}",
        "{{ data.map[data.name].x }}",
        "{{ range(data.name) }}",
        "{{ namespace(data.name) }}",
        "{{ data.name | items }}",
        "{{ data.list | join(5) }}",
        "{{ data.list | map(attribute=data.name) | list }}",
        "{% set a, b, c = data.list %}{{ a }}",
    ] {
        let failure = body(source, DOCUMENT).expect_err(source);
        assert!(!failure.detail.contains("hidden"), "{source}: {failure:?}");
    }
}

#[test]
fn a_list_with_something_missing_does_not_become_a_text_by_half() {
    let failure = body("{{ [1, data.nme] ~ '' }}", DOCUMENT).expect_err("missing");
    assert!(failure.detail.contains("something missing"), "{failure:?}");
}
