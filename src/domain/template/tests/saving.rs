//! What is refused when a template is saved, and where.

use super::*;

fn refused(source: &str) -> TemplateError {
    Template::parse(source, TemplateKind::Body).err().unwrap_or_else(|| panic!("{source} was taken"))
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let mut wrong = Vec::new();
    for (source, line, column, part) in [
        ("", 1, 1, "1 to 32768 bytes"),
        ("a\nb {{ data.x", 2, 3, "not closed; it ends with }}"),
        ("{% if data.x", 1, 1, "not closed; it ends with %}"),
        ("é {# x", 1, 3, "comment is not closed"),
        ("{% raw %}{{", 1, 1, "{% endraw %}"),
        ("{{ 'a }}", 1, 4, "text is not closed"),
        ("{{ data.x } }", 1, 11, "} closes nothing"),
        ("{{ data.x; }}", 1, 10, "';' belongs into quotes"),
        ("{{ data.näme }}", 1, 10, "'ä' belongs"),
        ("{% if data.x %}\n{{ 1 }}", 1, 1, "{% endif %}"),
        ("x\n  {% for i in data %}{% if i %}{% endfor %}", 2, 35, "ends with {% endif %}"),
        ("{% endif %}", 1, 4, "no {% if %} is open"),
        ("{% elif 1 %}", 1, 4, "between if and endif"),
        ("{% for i in data %}{% elif 1 %}{% endfor %}", 1, 23, "between if and endif"),
        ("{% set x %}a", 1, 1, "{% endset %}"),
        ("{% iff data %}", 1, 4, "iff is no tag"),
        ("{% macro f() %}{% endmacro %}", 1, 4, "left out"),
        ("{% include 'x' %}", 1, 4, "a template stands alone"),
        ("{% extends 'x' %}", 1, 4, "left out"),
        ("{% import 'x' as y %}", 1, 4, "left out"),
        ("{% block a %}{% endblock %}", 1, 4, "left out"),
        ("{% call f() %}{% endcall %}", 1, 4, "left out"),
        ("{% autoescape false %}{% endautoescape %}", 1, 4, "left out"),
        ("{% do f() %}", 1, 4, "left out"),
        ("{{ name }}", 1, 4, "data.name"),
        ("{{ data.a ~ null }}", 1, 13, "write none"),
        ("{{ payload.x }}", 1, 4, "payload is not known"),
        ("{% if order == 1 %}{% endif %}", 1, 7, "order is not known"),
        ("{{ {a: 1} }}", 1, 5, "a is not known"),
        ("{{ __list(1) }}", 1, 4, "two underscores"),
        ("{% set __x = 1 %}", 1, 8, "two underscores"),
        ("{{ event.tpye }}", 1, 10, "event has no tpye; it has id, type"),
        ("{{ delivery.number }}", 1, 13, "id, attempt"),
        ("{{ data.x | uper }}", 1, 13, "uper is no filter; there are abs,"),
        ("{{ data.x | groupby('a') }}", 1, 13, "no filter"),
        ("{{ data.x | batch(3) }}", 1, 13, "no filter"),
        ("{% filter nothing %}{% endfilter %}", 1, 11, "no filter"),
        ("{{ data.x is definde }}", 1, 14, "definde is no test; there are boolean,"),
        ("{{ data.x is not upper }}", 1, 18, "no test"),
        ("{{ now() }}", 1, 4, "now is no function; there are range"),
        ("{{ upper(data.x) }}", 1, 4, "a filter comes after its value, as in value|upper"),
        ("{{ dict(a=1) }}", 1, 4, "no function"),
        ("{{ data.items() }}", 1, 9, "data|items"),
        ("{{ data.get('x') }}", 1, 9, "default"),
        ("{{ data.name.upper() }}", 1, 14, "no methods"),
        ("{{ 'x'('y') }}", 1, 7, "only functions and filters"),
        ("{{ (1, 2) }}", 1, 6, "[1, 2]"),
        ("{{ () }}", 1, 4, "[1, 2]"),
        ("{% set x = 1, 2 %}", 1, 13, "[1, 2]"),
        ("{% for (a, b) in data %}{% endfor %}", 1, 10, "[1, 2]"),
        ("{{ data.x[::-1] }}", 1, 12, "|reverse"),
        ("{{ range(*[1]) }}", 1, 10, "one by one"),
        ("{{ data.x + }}", 1, 13, "unexpected"),
        ("{{ data.x y }}", 1, 11, "expected }}"),
        ("{% for data.x in data %}{% endfor %}", 1, 12, "expected in"),
        ("{{ [1, 2 }}", 1, 11, "} closes nothing"),
        ("{{ {'a': 1, 'b'} }}", 1, 16, "a colon between"),
        ("{{ {'a', 1} }}", 1, 8, "a colon between"),
        ("{{ {'a': 1: 2} }}", 1, 11, "a colon between"),
        ("{% set x = [1] %}{{ [*x] }}", 1, 22, "one by one"),
        ("{% set x = *[1] %}", 1, 12, "one by one"),
        ("{% set x = 1 %}{{ [x=1] }}", 1, 21, "== compares"),
        ("{% if data.x = 1 %}{% endif %}", 1, 14, "== compares"),
    ] {
        let error = refused(source);
        if (error.line, error.column) != (line, column) || !error.message.contains(part) {
            wrong.push(format!("{source}: {error}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_fault_after_literals_is_said_at_its_own_place() {
    let error = refused("{{ [1, [2, {'a': 3}]] }}\n{{ {'a': [1]} ~ ~ }}");
    assert_eq!((error.line, error.column), (2, 17), "{error}");
    assert_eq!(error.to_string(), format!("line 2, column 17: {}", error.message));
}

#[test]
fn what_is_too_long_or_too_deep_is_refused() {
    let longest = "x".repeat(MAX_TEMPLATE_BYTES);
    parsed(&longest, TemplateKind::Body);
    assert!(refused(&(longest + "x")).message.contains("32768"));
    for (part, most, open, close) in [
        ("+1", 200, "{{ 1", " }}"),
        (".a", 200, "{{ data", " }}"),
        ("|d", 200, "{{ data", " }}"),
        ("not ", 200, "{{ ", "1 }}"),
        (" if 1 else 1", 100, "{{ 1", " }}"),
        ("{% elif 1 %}", 31, "{% if 1 %}", "{% endif %}"),
    ] {
        parsed(&format!("{open}{}{close}", part.repeat(most)), TemplateKind::Body);
        let error = refused(&format!("{open}{}{close}", part.repeat(most + 1)));
        assert!(error.message.contains("more than 200") || error.message.contains("deeper than 32"), "{part}: {error}");
    }
    let nested = |levels: usize| format!("{}{}", "{% if 1 %}".repeat(levels), "{% endif %}".repeat(levels));
    parsed(&nested(32), TemplateKind::Body);
    assert!(refused(&nested(33)).message.contains("deeper than 32"));
    // A comma begins a new chain, so that long lists and maps are no matter.
    parsed(&format!("{{{{ [{}] }}}}", "data.a.b ~ 'x', ".repeat(1_000)), TemplateKind::Body);
}

#[test]
fn names_that_are_assigned_anywhere_are_known() {
    for source in [
        "{% for a, b in data|items %}{{ a }}{{ b }}{{ loop.index }}{% endfor %}",
        "{% set x = 1 %}{{ x }}{% set y %}1{% endset %}{{ y }}{% set a, b = [1, 2] %}{{ a + b }}",
        "{% with c = 1, d = 2 %}{{ c + d }}{% endwith %}",
        "{% set ns = namespace(a=1) %}{% set ns.b = ns.a %}{{ ns.b }}",
        "{{ data['items'] | map(attribute='x') | list }}{{ data.a if data.b is defined and not data.c is none else 1 }}",
        "{% for i in data if i is not none %}{% endfor %}{% for i in data recursive %}{{ loop(i) }}{% endfor %}",
        "{{ data.if }}{{ data.in[0] }}{{ data.is }}{{ data.for.set }}{{ data.items.get }}",
        "{{- data.a -}} {%- if true -%} {{+ 1 }} {%+ endif +%} {#- c -#} {%- raw -%}x{%- endraw -%}",
        "{{ 1.5e3 }}{{ 0x1f }}{{ 1_000 }}{{ 'a' \"b\" }}{{ 'it\\'s' }}{{ data.0.a }}{{ data[0].b }}",
        "{{ '}}' }}{% if '%}' %}{% endif %}{{ {'a': {'b': 1}} }}",
    ] {
        parsed(source, TemplateKind::Body);
        parsed(source, TemplateKind::Header);
    }
}
