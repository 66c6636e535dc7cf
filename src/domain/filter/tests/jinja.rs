//! Where Jinja gives an answer that filters share, it is the same: values of one type that are there.

use minijinja::Environment;
use minijinja::value::Value;
use proptest::prelude::*;

use super::*;

/// Numbers, texts, a list, an object, and what is empty or null, by the names that [`leaf`] uses.
const DOCUMENT: &str = r#"{"n1":1,"n2":-3,"n3":2.5,"zero":0,"s1":"abc","s2":"Abcd","s3":"","tags":["abc","x",""],
    "none":[],"o":{"abc":1,"k":{"n":1}},"blank":{},"t":true,"f":false,"null":null}"#;

fn number() -> impl Strategy<Value = String> {
    let known = [
        "data.n1",
        "data.n2",
        "data.n3",
        "data.zero",
        "1",
        "-3",
        "2.5",
        "3",
        "0",
        "data.tags|length",
        "data.s1|length",
    ];
    prop::sample::select(known.to_vec()).prop_map(str::to_owned)
}

fn text() -> impl Strategy<Value = String> {
    let known = [
        "data.s1",
        "data.s2",
        "data.s3",
        "data.s2|lower",
        "data.tags[0]",
        "event.type",
        "'abc'",
        "'b'",
        "''",
        "'Abcd'",
    ];
    prop::sample::select(known.to_vec()).prop_map(str::to_owned)
}

fn leaf() -> impl Strategy<Value = String> {
    let comparison = || prop::sample::select(vec!["==", "!=", "<", "<=", ">", ">="]);
    let is_in = || prop::sample::select(vec!["in", "not in"]);
    let any_path = || {
        prop::sample::select(vec![
            "data.n1",
            "data.zero",
            "data.s1",
            "data.s3",
            "data.tags",
            "data.none",
            "data.o",
            "data.blank",
            "data.t",
            "data.f",
            "data.null",
            "data.missing",
            "data.o.k.n",
            "data.o.missing",
            "data['o']['abc']",
            "data",
        ])
    };
    let truth = prop::sample::select(vec!["data.t", "data.f", "true", "false"]);
    let test = prop::sample::select(vec!["is defined", "is undefined", "is none", "is not defined", "is not none"]);
    let ends = prop::sample::select(vec![
        "is startingwith 'ab'",
        "is endingwith('c')",
        "is not startingwith ''",
        "is not endingwith 'd'",
    ]);
    prop_oneof![
        (number(), comparison(), number()).prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        (text(), comparison(), text()).prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        (truth.clone(), prop::sample::select(vec!["==", "!="]), truth)
            .prop_map(|(left, operator, right)| format!("{left} {operator} {right}")),
        (
            text(),
            is_in(),
            prop_oneof![
                text(),
                prop::sample::select(vec!["data.tags", "data.none", "data.o", "data.missing", "['b', 'abc']", "[]"])
                    .prop_map(str::to_owned)
            ]
        )
            .prop_map(|(part, is_in, container)| format!("{part} {is_in} {container}")),
        (number(), is_in()).prop_map(|(part, is_in)| format!("{part} {is_in} [1, 2.5, 'x', none]")),
        (any_path(), test).prop_map(|(path, test)| format!("{path} {test}")),
        (text(), ends).prop_map(|(text, test)| format!("{text} {test}")),
        any_path().prop_map(str::to_owned),
    ]
}

fn expression() -> impl Strategy<Value = String> {
    leaf().prop_recursive(4, 24, 2, |inner| {
        let word = prop::sample::select(vec!["and", "or", "and not", "or not"]);
        prop_oneof![
            (inner.clone(), word, inner.clone()).prop_map(|(left, word, right)| format!("{left} {word} {right}")),
            inner.clone().prop_map(|inner| format!("not {inner}")),
            inner.prop_map(|inner| format!("({inner})")),
        ]
    })
}

/// The same value for the engine.
fn in_jinja(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Null => Value::from(()),
        serde_json::Value::Bool(value) => Value::from(*value),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| Value::from(number.as_f64().unwrap()), Value::from)
        }
        serde_json::Value::String(text) => Value::from(text.as_str()),
        serde_json::Value::Array(items) => items.iter().map(in_jinja).collect(),
        serde_json::Value::Object(members) => {
            let members = members.iter().map(|(key, value)| (key.clone(), in_jinja(value)));
            Value::from(members.collect::<std::collections::BTreeMap<String, Value>>())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn a_filter_gives_the_answer_of_jinja(source in expression()) {
        let data: serde_json::Value = serde_json::from_str(DOCUMENT).unwrap();
        let context = serde_json::json!({"data": data, "event": {"type": "order.paid"}});
        let environment = Environment::new();
        let answer =
            environment.compile_expression(&source).and_then(|compiled| compiled.eval(in_jinja(&context)));
        prop_assert_eq!(holds(&source, DOCUMENT), answer.map_err(|error| TestCaseError::fail(error.to_string()))?.is_true(), "{}", source);
    }
}
