//! What templates are for, and how values print.

use super::*;

const ORDER: &str = r#"{ "name": "A \"b\" <é>", "total": 19.90, "qty": 3, "paid": true, "note": null, "id": 12345678901234567890,
 "tags": ["x", "y"], "order": {"no": 7,  "z-k y": [1, 2.50]}, "items": [{"sku": "a", "price": 1.50}, {"sku": "b\n", "price": 2e2}] }"#;

#[test]
fn every_printed_value_of_a_body_is_json() {
    makes(r#"{"text": {{ data.name }}}"#, ORDER, r#"{"text": "A \"b\" <é>"}"#);
    makes("{{ data.qty }},{{ data.paid }},{{ data.note }},{{ data.id }}", ORDER, "3,true,null,12345678901234567890");
    makes("{{ 'Order ' ~ data.qty }}", ORDER, r#""Order 3""#);
    makes("{{ data.tags }}", ORDER, r#"["x", "y"]"#);
    makes("{{ [1, 'a', data.tags, none, true, 1.5] }}", ORDER, r#"[1,"a",["x", "y"],null,true,1.5]"#);
    makes("{{ {'a': data.qty, 'b': {}, 7: []} }}", ORDER, r#"{"a":3,"b":{},"7":[]}"#);
    makes("{{ {'a': 1, 'a': 2} | tojson }}", ORDER, r#"{"a":2}"#);
    makes("{{ data.name | tojson }}", ORDER, r#""A \"b\" <é>""#);
    makes("{{ data.items | map(attribute='sku') | list }}", ORDER, r#"["a","b\n"]"#);
}

#[test]
fn text_that_is_safe_and_text_that_was_captured_prints_as_it_is() {
    makes("{{ data.tags | join(', ') | safe }}", ORDER, "x, y");
    makes("{% set x %}a{{ data.qty }}{% endset %}{{ x }}", ORDER, "a3");
    makes("{% raw %}{{ data.qty }}{% endraw %}{# comment #}", ORDER, "{{ data.qty }}");
}

#[test]
fn raw_prints_the_bytes_as_they_came() {
    makes("{{ raw.total }}", ORDER, "19.90");
    makes("{{ raw.order }}", ORDER, r#"{"no": 7,  "z-k y": [1, 2.50]}"#);
    makes("{{ raw.order['z-k y'][1] }}{{ raw.items[0].price }}", ORDER, "2.501.50");
    makes("{{ raw.name }}", ORDER, r#""A \"b\" <é>""#);
    makes("{% for item in raw['items'] %}{{ item.price }};{% endfor %}", ORDER, "1.50;2e2;");
    makes("{{ raw['items'] | map(attribute='price') }}", ORDER, "[1.50,2e2]");
    makes("{{ [raw.total] | tojson }}", ORDER, "[19.90]");
    makes("{{ raw }}", " [1 ] ", "[1 ]");
}

#[test]
fn numbers_of_data_print_as_their_value() {
    for (came, prints) in [
        ("19.90", "19.9"),
        ("1e2", "100.0"),
        ("1E-7", "1e-7"),
        ("-0.0", "-0.0"),
        ("-0", "0"),
        ("18446744073709551615", "18446744073709551615"),
        ("-170141183460469231731687303715884105728", "-170141183460469231731687303715884105728"),
        ("1000000000000000000000000000000000000000", "1e+39"),
    ] {
        makes("{{ data }}", came, prints);
        makes("{{ raw }}", came, came);
    }
    let failure = body("{{ data }}", "1e999").expect_err("infinite");
    assert!(failure.detail.contains("`raw`"), "{failure:?}");
    makes("{% if data > 5 %}{{ raw }}{% endif %}", "1e999", "1e999");
}

#[test]
fn a_number_that_printed_otherwise_than_it_came_is_found() {
    let found = |source: &str| {
        let context = context(ORDER);
        parsed(source, TemplateKind::Body).render(&context, MAX_BODY).expect("rendered");
        context.inexact_number()
    };
    assert_eq!(found("{{ data.total }}"), Some("data.total".to_owned()));
    assert_eq!(found("{{ data.order['z-k y'][1] }}"), Some("data.order[\"z-k y\"][1]".to_owned()));
    assert_eq!(found("{% for i in data['items'] %}{{ i.price }}{% endfor %}"), Some("data.items[0].price".to_owned()));
    assert_eq!(found("{{ data.items | map(attribute='price') | list }}"), Some("data.items[0].price".to_owned()));
    assert_eq!(found("{{ raw.total }}{{ data.qty }}{{ data.id }}{{ data.items }}"), None);
    assert_eq!(found("{% if data.total > 5 %}{{ data.qty }}{% endif %}"), None, "it was only compared");
}

#[test]
fn what_may_be_missing_gets_a_default() {
    makes("{{ data.a | default('x') }}{{ data.a.b.c | default(1) }}{{ data.a[0] | d(none) }}", ORDER, "\"x\"1null");
    makes("{{ data.note | default('x') }}{{ data.note | default('x', true) }}", ORDER, "null\"x\"");
    makes("{{ 'y' if data.a is defined else 'n' }}{{ 1 if data.note is none }}", ORDER, "\"n\"1");
    makes("{% for x in data.a %}{{ x }}{% else %}none{% endfor %}", ORDER, "none");
    makes("{{ [data.a, data.qty] | select('defined') }}", ORDER, "[3]");
}

#[test]
fn the_event_the_destination_and_the_delivery_are_there() {
    let source = "{{ [event.id, event.type, event.received_at, event.account_id, destination.id, delivery.id] }}\
                  {{ delivery.attempt }}";
    let expected = r#"["evt_1","order.paid","2026-01-02T03:04:05Z","acc_1","dst_1","dlv_1"]2"#;
    makes(source, ORDER, expected);
    makes(
        "{{ event }}",
        ORDER,
        r#"{"id":"evt_1","type":"order.paid","received_at":"2026-01-02T03:04:05Z","account_id":"acc_1"}"#,
    );
    let untyped = TemplateContext::new(Vec::from(*b"1"), &TemplateInput { event_type: None, ..INPUT });
    let template = parsed("{{ event.type }}{{ 1 if event.type is none }}", TemplateKind::Body);
    assert_eq!(template.render(&untyped, 10), Ok(b"null1".to_vec()));
}

#[test]
fn control_flow_and_filters_do_what_jinja_says() {
    makes(
        "{% for i in data.items %}{{ loop.index }}/{{ loop.length }}{% if not loop.last %},{% endif %}{% endfor %}",
        ORDER,
        "1/2,2/2",
    );
    makes("{% for k, v in data.order | items %}{{ k }}={{ v }};{% endfor %}", ORDER, "\"no\"=7;\"z-k y\"=[1, 2.50];");
    makes("{% for k in data.order %}{{ k }}{% endfor %}", ORDER, "\"no\"\"z-k y\"");
    makes(
        "{% set ns = namespace(sum=0) %}{% for i in data['items'] %}{% set ns.sum = ns.sum + i.price * 2 %}{% endfor %}{{ ns.sum }}",
        ORDER,
        "403.0",
    );
    makes(
        "{% set ns = namespace(l=[]) %}{% for i in data['items'] %}{% set ns.l = ns.l + [i.sku] %}{% endfor %}{{ ns.l }}",
        ORDER,
        "[\"a\",\"b\\n\"]",
    );
    makes("{% with a = 1, b = [2, 3] %}{{ a }}{{ b[1] }}{{ b[-1] }}{% endwith %}", ORDER, "133");
    makes("{% filter upper %}a{% endfilter %}{% set x | upper %}b{% endset %}{{ x }}", ORDER, "AB");
    makes(
        "{{ data.tags | length }}{{ 'x' in data.tags }}{{ 'q' not in data.tags }}{{ data.qty is in [1, 3] }}",
        ORDER,
        "2truetruetrue",
    );
    makes(
        "{{ data.tags == ['x', 'y'] }}{{ data.tags == raw.tags }}{{ data.qty is divisibleby 3 }}",
        ORDER,
        "truetruetrue",
    );
    makes("{{ data.name[:1] ~ data.tags[0:1] | first }}", ORDER, "\"Ax\"");
    makes("{% for n in range(3) %}{{ n }}{% endfor %}{{ range(4, 0, -2) }}", ORDER, "012[4,2]");
    makes(
        "{{ [3, 1, 2] | sort }}{{ data['items'] | sort(attribute='price', reverse=true) | map(attribute='sku') | first }}",
        ORDER,
        "[1,2,3]\"b\\n\"",
    );
    makes("{{ data['items'] | selectattr('price', 'gt', 2) | map(attribute='sku') | list | length }}", ORDER, "1");
    makes(
        "{{ data['items'] | sum(attribute='price') | round(1) }}{{ 'a,b' | split(',') }}{{ (7 / 2) | int }}",
        ORDER,
        "201.5[\"a\",\"b\"]3",
    );
    makes("{% if data.qty > 5 %}a{% elif data.qty == 3 %}b{% else %}c{% endif %}", ORDER, "b");
    makes(
        "{% for c in data.kids recursive %}{{ c.n }}{% if c.kids is defined %}({{ loop(c.kids) }}){% endif %}{% endfor %}",
        r#"{"kids":[{"n":1,"kids":[{"n":2}]},{"n":3}]}"#,
        "1(2)3",
    );
    makes("{% for i in [1, 2, 3, 4] if i is even %}{{ loop.cycle('a', 'b') ~ i }}{% endfor %}", ORDER, "\"a2\"\"b4\"");
    makes("{% set x, y = [1, 2] %}{{ x + y }}{{ 2 ** 3 }}{{ 7 // 2 }}{{ 7 % 4 }}", ORDER, "3833");
    makes("{{ {'a': {'b': 1}}.a.b }}{{ [[1]][0][0] }}{{ 1 if true else [] }}", ORDER, "111");
    makes("{% set outer = loop %}{{ 'x' if true in [true] and not false }}", ORDER, "\"x\"");
    makes("{{ {'k': 'v' if data.paid else 'w', 'l': data.tags[0:1]} }}", ORDER, "{\"k\":\"v\",\"l\":[\"x\"]}");
}

#[test]
fn a_header_prints_strings_as_text() {
    assert_eq!(header("Bearer {{ data.tags[0] }}-{{ data.qty }}", ORDER).as_deref(), Ok("Bearer x-3"));
    assert_eq!(
        header("{{ raw.total }} {{ raw.tags[0] }} {{ data.tags }}", ORDER).as_deref(),
        Ok("19.90 x [\"x\", \"y\"]")
    );
    assert_eq!(header("\n {% if true %}\n{{ event.id }}\n{% endif %}\n", ORDER).as_deref(), Ok("evt_1"));
    for (source, part) in
        [("{{ data['items'][1].sku ~ 'x' }}", "control"), ("a\nb", "control"), ("{{ data.name }}", "ASCII")]
    {
        let failure = header(source, ORDER).expect_err(source);
        assert!(failure.detail.contains(part), "{failure:?}");
    }
}

#[test]
fn templates_of_one_attempt_share_a_context_and_are_equal_by_source() {
    let context = context(ORDER);
    let (body, header) = (parsed("{{ data.qty }}", TemplateKind::Body), parsed("{{ data.qty }}", TemplateKind::Header));
    assert_eq!(body.render(&context, 10), header.render(&context, 10));
    assert_ne!(body, header);
    assert_eq!(body, parsed("{{ data.qty }}", TemplateKind::Body));
    assert_eq!((body.as_str(), body.kind()), ("{{ data.qty }}", TemplateKind::Body));
    assert_eq!(
        format!("{body:?} {context:?}"),
        format!("Template(Body, 14 bytes) TemplateContext({} bytes)", ORDER.len())
    );
    fn shared<T: Send + Sync + Clone>(_: &T) {}
    shared(&body);
}

#[test]
fn a_result_is_checked_as_json() {
    assert_eq!(check_json(b" {\"a\": 1}\n"), Ok(()));
    let made = body("{\n\"t\": \"Order {{ data.tags[0] }}\"}", ORDER).expect("made");
    let failure = check_json(made.as_bytes()).expect_err("doubled quotes");
    assert!(failure.detail.starts_with("line 2, column") && failure.detail.contains("own quotes"), "{failure:?}");
    for (made, part) in [("", "empty"), ("{} {}", "column 4"), ("{\"a\":1,}", "column 8")] {
        let failure = check_json(made.as_bytes()).expect_err(made);
        assert!(failure.detail.contains(part) && !failure.detail.contains("own quotes"), "{failure:?}");
    }
}
