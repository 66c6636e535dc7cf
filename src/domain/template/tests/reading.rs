//! The rooms one by one: tokens, replaced literals, positions in documents, and counted work.

use proptest::prelude::*;

use super::super::work::{self, Stopped};
use super::super::{check, environment, rewrite::Rewritten, scan, token};
use super::*;

fn texts(source: &str) -> Vec<&str> {
    token::tokens(source).expect(source).iter().map(|token| token.text).collect()
}

fn rewritten(source: &str) -> Rewritten {
    let tokens = token::tokens(source).expect(source);
    Rewritten::new(source, &check::check(source, &tokens).expect(source))
}

#[test]
fn tokens_begin_and_end_where_the_engine_has_them() {
    for (source, expected) in [
        ("a {{x}} b", "{{ x }}"),
        ("{{-x-}}{{+1+}}", "{{- x -}} {{+ 1 +}}"),
        ("{{-1}}", "{{- 1 }}"),
        ("{{ {'a':{}}}}", "{{ { 'a' : { } } }}"),
        ("{{ '}}' ~ \"%}\\\"\" }}", "{{ '}}' ~ \"%}\\\"\" }}"),
        ("{# {{ #}{{ a }}{#- x -#}", "{{ a }}"),
        ("{% raw %}{{ {% endfor %}{% endraw %}{{ a }}", "{{ a }}"),
        ("{%- raw -%}{{{%+ endraw +%}{% if a%}", "{% if a %}"),
        ("{{ 1.5e-3.2 }}", "{{ 1.5e-3 . 2 }}"),
        ("{{ x.0.1.a }}", "{{ x . 0 . 1 . a }}"),
        ("{{ 1.a }}{{ 0xFfg }}{{ 1_0if }}", "{{ 1 . a }} {{ 0xFf g }} {{ 1_0 if }}"),
        ("{{ a//b**c==d!=e>=f<=g }}", "{{ a // b ** c == d != e >= f <= g }}"),
        ("{ {a} { %b% } {", ""),
    ] {
        assert_eq!(texts(source).join(" "), expected, "{source}");
    }
}

#[test]
fn functions_take_the_place_of_literals_and_nothing_else() {
    for (source, expected) in [
        ("{{ [1,[2]] }}", "{{  __list(1, __list(2)) }}"),
        ("{{ {'a':[x[0]][1:2]} }}{% set x=1 %}", "{{  __map('a', __list(x[0])[1:2]) }}{% set x= __held(1 )%}"),
        ("{% for i in[1] %}{% endfor %}", "{% for i in __list(1) %}{% endfor %}"),
        ("{{ 1 is in [1] }}{{ 1 is odd }}", "{{ 1 is in  __list(1) }}{{ 1 is odd }}"),
        ("{{ data.in[0] }}{{ data['a'][0] }}", "{{ data.in[0] }}{{ data['a'][0] }}"),
        ("{{ data|join([',']|first)|d([0]) }}", "{{ data|join( __list(',')|first)|d( __list(0)) }}"),
        ("{% set n.x = [1] %}{% set n = 1 -%}", "{% set n.x = __contained(  __list(1) )%}{% set n = __held( 1 )-%}"),
        ("{% with a=1,b=[] %}{% endwith %}", "{% with a= __held(1),b= __held( __list() )%}{% endwith %}"),
        ("{% set x %}[1]{% endset %}[{{ x }}]", "{% set x %}[1]{% endset %}[{{ x }}]"),
        ("{{ ([1] if true else {}) }}", "{{ ( __list(1) if true else  __map()) }}"),
    ] {
        assert_eq!(rewritten(source).text, expected);
    }
}

#[test]
fn places_of_a_rewritten_source_lead_back() {
    let source = "{{ [1] }}{{ x }}{% set x = 1 %}";
    let made = rewritten(source);
    for part in ["1", "{{ x", "x }}", "set", "= __held"] {
        let original = part.split(' ').next().expect("a part");
        let at = made.original(made.text.find(part).expect(part));
        assert!(source[at..].starts_with(original), "{part}: {at}");
    }
    assert_eq!(made.original(made.text.len()), source.len());
}

#[test]
fn values_of_a_document_are_found_with_their_ends() {
    let bytes = br#" {"a" : [1, "]\"", {}], "b": -1.5e3 } "#;
    let mut found = Vec::new();
    scan::values(bytes, 1, |start, end| found.push(std::str::from_utf8(&bytes[start..end]).expect("UTF-8")));
    let all = String::from_utf8_lossy(bytes);
    let expected = [r#""a""#, "1", r#""]\"""#, "{}", r#"[1, "]\"", {}]"#, r#""b""#, "-1.5e3", all.trim()];
    assert_eq!(found, expected);
}

#[test]
fn work_beyond_the_limit_stops_and_the_limit_ends_with_it() {
    assert_eq!(work::limited(100, || work::spend(100)), Ok(()));
    assert_eq!(work::limited(100, || work::spend(101)), Err(Stopped::Spent));
    assert_eq!(work::limited(100, || (0..3).for_each(|_| work::visit(10))), Err(Stopped::Spent));
    assert_eq!(work::limited(1, || work::stop(Stopped::Missing)), Err(Stopped::Missing));
    work::spend(u64::MAX / 2);
    assert_eq!(work::limited(u64::MAX, || work::limited(5, || work::spend(9))), Ok(Err(Stopped::Spent)));
}

/// Expressions of all operators, with lists and maps.
fn expression() -> impl Strategy<Value = String> {
    let leaf =
        prop_oneof!["[0-3]", "'[ab]'", Just("data.a".to_owned()), Just("data.m".to_owned()), Just("true".to_owned())];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let two = (inner.clone(), inner.clone());
        let signs = prop_oneof![
            Just("+"),
            Just("-"),
            Just("*"),
            Just("//"),
            Just("%"),
            Just("=="),
            Just("!="),
            Just("<"),
            Just(">="),
            Just(" in "),
            Just(" not in "),
            Just(" and "),
            Just(" or ")
        ];
        prop_oneof![
            (two.clone(), signs).prop_map(|((left, right), sign)| format!("{left}{sign}{right}")),
            proptest::collection::vec(inner.clone(), 0..3).prop_map(|items| format!("[{}]", items.join(", "))),
            two.clone().prop_map(|(left, right)| format!("[{left}, {right}][1]")),
            two.clone().prop_map(|(left, right)| format!("{{'a': {left}, 'b': {right}}}.b")),
            two.clone().prop_map(|(left, right)| format!("{{'a': {left}, 'b': [{right}]}}['b']")),
            (two.clone(), inner.clone()).prop_map(|((yes, no), test)| format!("({yes} if {test} else {no})")),
            two.clone().prop_map(|(left, right)| format!("({left})[{right}:]")),
            inner.clone().prop_map(|value| format!("not ({value})")),
            inner.clone().prop_map(|value| format!("-({value})")),
            two.prop_map(|(left, right)| format!("[{left}] | first is in [{right}, 1]")),
            inner.prop_map(|value| format!("[{value}, 2] | map('string') | list")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn what_an_expression_means_is_not_changed(source in expression()) {
        let source = format!("{{{{ {source} }}}}");
        let document = r#"{"a": [1, 2, [3]], "m": {"k": 1}}"#;
        let mut engine = environment::environment();
        engine.add_template_owned("body", source.clone()).expect("a template");
        let shared = context(document);
        let expected = engine.get_template("body").expect("the template").render(shared.values());
        let made = body(&source, document);
        match expected {
            Ok(expected) => prop_assert_eq!(made, Ok(expected), "{}", source),
            // Here lists are texts as JSON, so the engine's own may print where these are refused, and the reverse.
            Err(error) => prop_assert!(made.is_err(), "{source}: {error:?} {made:?}"),
        }
    }
}
