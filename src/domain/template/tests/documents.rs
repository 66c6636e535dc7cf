//! Properties that hold for every document: `raw` gives back its bytes, and nothing ends otherwise than it should.

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::value::RawValue;

use super::*;

/// JSON texts with any white space, escapes, forms of numbers and equal keys.
fn json() -> impl Strategy<Value = String> {
    let space = "[ \n\r\t]{0,2}";
    let string = prop_oneof![
        4 => "[a-c]{0,2}".prop_map(|text| format!("\"{text}\"")),
        1 => r#""(é|\\n|\\"|\\u00e9|\\ud83d\\ude00|\\\\|/|x){0,4}""#,
        1 => "[ -!#-\\[\\]-~]{250,300}".prop_map(|text| format!("\"{text}\"")),
    ];
    let number = prop_oneof!["-?(0|[1-9][0-9]{0,45})", "-?(0|[1-9][0-9]{0,3})\\.[0-9]{1,4}([eE][+-]?[0-9]{1,3})?"];
    let scalar = prop_oneof![string.clone(), number, Just("true".into()), Just("false".into()), Just("null".into())];
    scalar.prop_recursive(6, 96, 8, move |inner| {
        let item = (space, inner, space).prop_map(|(before, value, after)| format!("{before}{value}{after}"));
        let member = (string.clone(), space, item.clone()).prop_map(|(key, gap, value)| format!("{key}{gap}:{value}"));
        let joined = |items: Vec<String>| items.join(",");
        prop_oneof![
            vec(item, 0..8).prop_map(move |items| format!("[{}]", joined(items))),
            vec(member, 0..12).prop_map(move |members| format!("{{{}}}", joined(members))),
        ]
    })
}

/// Asserts that `raw` gives each value of `document` as it came, by the path that leads to it.
fn raw_gives_back(document: &str, context: &TemplateContext) {
    let mut parts = vec![("raw".to_owned(), serde_json::from_str::<&RawValue>(document).expect("JSON"))];
    while let Some((path, part)) = parts.pop() {
        let source = format!("{{{{ {path} }}}}");
        // A path longer than a template may be is walked by the test below.
        let Ok(template) = Template::parse(&source, TemplateKind::Body) else { continue };
        let made = template.render(context, MAX_BODY).unwrap_or_else(|failure| panic!("{path}: {failure:?}"));
        assert_eq!(String::from_utf8_lossy(&made), part.get(), "{path}");
        if let Ok(items) = serde_json::from_str::<Vec<&RawValue>>(part.get()) {
            parts.extend(items.into_iter().enumerate().map(|(place, item)| (format!("{path}[{place}]"), item)));
        } else if let Ok(members) = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(part.get()) {
            let mut last: std::collections::BTreeMap<String, &RawValue> =
                serde_json::from_str(part.get()).expect("an object");
            assert_eq!(last.len(), members.len());
            parts.extend(last.iter_mut().map(|(key, value)| (format!("{path}[{}]", quoted(key)), *value)));
        }
    }
}

/// A key as a text of a template.
fn quoted(key: &str) -> String {
    format!("'{}'", key.replace('\\', "\\\\").replace('\'', "\\'").replace('\n', "\\n"))
}

/// Templates as people write them. With every document they make something or fail clearly.
const HONEST: [&str; 25] = [
    "{{ data }}",
    "{{ raw }}",
    "{\"text\": {{ data.a | default('') }}}",
    "{{ data.a.b.c | default(none) }}",
    "{% for i in data %}{{ i }}{% if not loop.last %},{% endif %}{% endfor %}",
    "{% for i in raw %}{{ i }}{% endfor %}",
    "{% for k, v in data | items %}{{ k }}:{{ v }}{% endfor %}",
    "{{ data | length }}",
    "{{ data | tojson }}{{ data | string }}",
    "{{ [data, raw, data.a] }}",
    "{{ {'data': data, 'raw': raw} }}",
    "{{ data == data }}{{ data == raw }}{{ data == data.a }}{{ data != 'a' }}",
    "{{ data < 5 }}{{ data > 'a' }}{{ data <= data.a }}",
    "{{ 'a' in data }}{{ data in [data] }}",
    "{{ data ~ raw ~ event.id }}",
    "{{ data.a | upper }}{{ data.b | trim }}",
    "{{ data | sort | first }}{{ data | unique | last }}",
    "{{ data | map(attribute='a') | select('defined') | join(', ') }}",
    "{{ data | selectattr('a', 'gt', 1) | list | length }}",
    "{{ data | sum }}{{ data | min }}{{ data | max }}",
    "{{ data + 1 }}{{ data * 2 }}{{ -data }}",
    "{{ data.a | round(2) }}{{ data.a | int }}",
    "{% if data.a is defined and data.a is not none %}{{ data.a }}{% else %}{{ raw }}{% endif %}",
    "{% set ns = namespace(n=0) %}{% for i in data %}{% set ns.n = ns.n + 1 %}{% endfor %}{{ ns.n }}",
    "{% for c in data recursive %}{{ loop(c) if c is iterable and c is not string else c }}{% endfor %}",
];

proptest! {
    #[test]
    fn raw_gives_back_the_bytes_of_every_value(document in json()) {
        raw_gives_back(&document, &context(&document));
    }

    #[test]
    fn honest_templates_end_beside_every_document(document in json()) {
        let context = context(&document);
        for source in HONEST {
            for kind in [TemplateKind::Body, TemplateKind::Header] {
                if let Err(failure) = parsed(source, kind).render(&context, MAX_BODY) {
                    prop_assert!(!failure.detail.contains("fault of the template engine"), "{source}: {failure:?}");
                }
            }
        }
    }

    #[test]
    fn data_holds_every_value(document in json()) {
        // Lists, objects and strings print as JSON that means the same, and so does every number that is finite.
        let value: Result<serde_json::Value, _> = serde_json::from_str(&document);
        let made = body("{{ data }}", &document);
        if let (Ok(value), Ok(made)) = (value, made) {
            let printed: serde_json::Value = serde_json::from_str(&made).expect("JSON");
            prop_assert!(printed == value || value.is_number(), "{document}: {made}");
        }
    }

    #[test]
    fn no_text_at_all_makes_parsing_panic(source in "(\\{\\{|\\}\\}|\\{%|%\\}|for|in|if|end|set|data|x|[|.,:\\[\\](){}'\"= +*~-]|1|é| ){0,24}") {
        if let Ok(template) = Template::parse(&source, TemplateKind::Body) {
            let result = template.render(&context("{\"x\":[1]}"), MAX_BODY);
            let fault = result.is_err_and(|failure| failure.detail.contains("fault of the template engine"));
            prop_assert!(!fault, "{source}");
        }
    }

    #[test]
    fn no_bytes_at_all_make_reading_panic(bytes in vec(prop_oneof![Just(b'{'), Just(b'['), Just(b'"'), Just(b':'), Just(b','), Just(b'}'), any::<u8>()], 0..40)) {
        let context = TemplateContext::new(bytes, &INPUT);
        for source in HONEST {
            let _ = parsed(source, TemplateKind::Body).render(&context, MAX_BODY);
        }
    }
}

#[test]
fn a_document_of_128_levels_is_read_to_its_end() {
    let lists = format!("{}1.50{}", "[".repeat(128), "]".repeat(128));
    makes(&format!("{{{{ raw{} }}}}", "[0]".repeat(128)), &lists, "1.50");
    makes(&format!("{{{{ data{} }}}}", "[0]".repeat(128)), &lists, "1.5");
    let objects = format!("{}[1.50]{}", "{\"a\": ".repeat(127), "}".repeat(127));
    makes(&format!("{{{{ raw{} }}}}", ".a".repeat(127)), &objects, "[1.50]");
    raw_gives_back(&objects, &context(&objects));
    let walked = "{% for i in data recursive %}{{ loop(i) if i is sequence else i }}{% endfor %}";
    let failure = body(walked, &lists);
    assert_eq!(failure, Ok(format!("{}1.5{}", "\"".repeat(0), "")), "captured texts print as they are");
}

#[test]
fn of_equal_keys_the_last_one_counts() {
    let short = r#"{"a": 1, "\u0061": 2, "b": 3}"#;
    let long = format!(r#"{{"a": 1, "x": "{}", "\u0061": 2, "b": 3}}"#, "y".repeat(300));
    makes("{{ data.a }}{{ raw.a }}{{ data | length }}{{ raw | length }}", short, "2222");
    makes("{{ data.a }}{{ raw.a }}{{ data | length }}{{ raw | length }}", &long, "2233");
    makes("{% for k, v in data | items %}{{ k }}{{ v }}{% endfor %}", short, "\"a\"2\"b\"3");
    makes("{% for k in data %}{{ k }}{% endfor %}", &long, "\"x\"\"a\"\"b\"");
}
