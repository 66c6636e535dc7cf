//! Templates and documents that cost more than they should: mistakes that people make, and what a hostile author would
//! write. Each is refused, fails, or ends, in bounded time and memory.

/// Documents of about `size` bytes (but for the last), each with a name. Fields `items`, `text`, `a`, `b` are there where
/// a template may look for them.
pub(crate) fn documents(size: usize) -> Vec<(&'static str, String)> {
    let many = |item: &str| vec![item; size / (item.len() + 1)].join(",");
    let nested = |open: &str, close: &str, inner: String, levels: usize| {
        format!("{}{inner}{}", open.repeat(levels), close.repeat(levels))
    };
    let order = r#"{"id":1234567,"name":"A \"b\"","price":19.90,"tags":["x","y"]}"#;
    let keys: Vec<String> = (0..size / 15).map(|key| format!("\"k{key}\":{key}")).collect();
    vec![
        ("orders", format!(r#"{{"items":[{}],"text":"t","a":1,"b":2}}"#, many(order))),
        ("zeros", format!(r#"{{"items":[{}],"text":"t"}}"#, many("0"))),
        ("empty lists", format!(r#"{{"items":[{}],"text":"t"}}"#, many("[]"))),
        ("keys", format!(r#"{{"items":{{{}}},"text":"t"}}"#, keys.join(","))),
        ("equal keys", format!(r#"{{"items":{{{}}},"text":"t"}}"#, many("\"\":0"))),
        ("text", format!(r#"{{"items":[1,2,3],"text":"{}","a":"{}"}}"#, "é ".repeat(size / 6), "x".repeat(size / 2))),
        ("digits", format!(r#"{{"items":[1],"text":"t","a":{0},"b":-{0}.5}}"#, "7".repeat(size / 2 - 20))),
        ("deep", nested("[", "]", many("1"), 128)),
        ("deep objects", nested("{\"items\":", "}", format!("[{}]", many("\"xy\"")), 127)),
        ("twins", format!(r#"{{"items":0,"text":"t","a":[{0}],"b":[{0}]}}"#, vec!["[0]"; size / 8].join(","))),
        ("small", r#"{"items":[{"id":1,"name":"n","price":1.5,"tags":[]}],"text":"t","a":1,"b":2}"#.to_owned()),
    ]
}

/// All templates of the corpus.
pub(crate) fn templates() -> Vec<String> {
    let looped = |body: &str| format!("{{% for i in range(20000) %}}{body}{{% endfor %}}");
    let stepped = |step: &str, end: &str| format!("{{% set x = [0] %}}{}{end}", step.repeat(40));
    let carried = |first: &str, step: &str, end: &str| {
        format!(
            "{{% set ns = namespace(x={first}) %}}{{% for i in range(5000) %}}{{% set ns.x = {step} %}}{{% endfor %}}{end}"
        )
    };
    let mut all: Vec<String> = [
        // Loops over everything.
        "{% for i in data %}{% for j in data %}{{ j }}{% endfor %}{% endfor %}",
        "{% for i in data['items'] %}{% for j in data['items'] %}{{ i }}{{ j }}{% endfor %}{% endfor %}",
        "{% for i in data['items'] %}{{ data }}{% endfor %}",
        "{% for i in data['items'] %}{{ data | tojson }}{% endfor %}",
        "{% for i in data['items'] %}{{ i.name | default('') | upper }}{{ i.price | default(0) }},{% endfor %}",
        "{% for c in data recursive %}{{ loop(c) if c is iterable and c is not string }}{% endfor %}",
        "{% for c in data recursive %}{{ loop(data) }}{% endfor %}",
        "{% for c in [1] recursive %}{{ loop([c]) }}{% endfor %}",
        "{% for c in [1] recursive %}{{ loop([[c], [c]]) }}{% endfor %}",
        "{% for i in range(1000000000) %}x{% endfor %}",
        "{% for i in range(20000) %}{% for j in range(20000) %}x{% endfor %}{% endfor %}",
        "{% for i in data['items'] if i %}{% endfor %}{% for i in data['items'] | reverse %}{{ i }}{% endfor %}",
        "{% set a, b = data %}{{ a }}",
        // The whole document, again and again.
        "{{ data }}{{ data }}{{ data }}",
        "{{ [data, data, data, data, data, data, data, data, data, data] }}",
        "{{ data ~ data ~ data }}",
        "{{ [data] ~ '' }}",
        "{% set x %}{{ data }}{{ data }}{% endset %}{{ x ~ x ~ x }}",
        "{{ data | string | upper | lower | title | trim | replace('a', 'aaaaaaaaaaaaaaaa') }}",
        "{{ data.text | replace('', 'xxxxxxxxxxxxxxxxxxxxxxxx') }}",
        "{{ data.text | replace(' ', data.text) }}",
        "{{ data.text | split('') | join(data.text) }}",
        "{{ data.text | list | map('upper') | join('') }}",
        "{{ data['items'] | map('string') | join('') }}",
        "{{ data['items'] | list | sort | unique | list | length }}",
        "{{ data['items'] | sort(attribute='name') | map(attribute='name') | join(',') }}",
        "{{ data['items'] | min }}{{ data['items'] | max }}",
        "{{ data['items'] | dictsort }}{{ data['items'] | items | list }}",
        "{{ data['items'] | sum }}{{ data['items'] | last }}{{ data['items'] | first }}",
        "{{ data.text | length }}{{ data['items'] | length }}",
        // Large numbers and repetitions.
        "{{ 'x' * 1000000000 }}",
        "{{ 'x' * 10 ** 8 }}",
        "{{ data.text * 1000 }}",
        "{{ [0] * 10 ** 8 }}",
        "{{ ([0] * 10 ** 8) ~ '' }}",
        "{{ ([0] * 10 ** 8)[-1] }}",
        "{{ ([[]] * 10 ** 8) == ([[]] * 10 ** 8) }}",
        "{{ [[0] * 10 ** 8] == [[0] * 10 ** 8] }}",
        "{{ ([0] * 10 ** 8) | length }}{{ 5 in [0] * 10 ** 8 }}",
        "{{ (['x' * 100000] * 1000) ~ '' }}",
        "{{ [data.text] * 1000 }}",
        "{{ [data.text, data.text, data.text, data.text] * 1000 ~ '' }}",
        "{{ 9 ** 9 ** 9 ** 9 }}{{ 2 ** 126 * 4 }}{{ 10 ** 400 }}{{ 1.0e308 * 10 }}",
        "{{ data['items'] * 100000 == data['items'] * 100000 }}",
        "{{ data['items'] + data['items'] == data['items'] + data['items'] }}",
        "{{ data == data.a }}{{ data.a == data.b }}{{ data.a < data.b }}{{ [data.a] == [data.b] }}",
        "{{ data.a in [data.b, data.b, data.b] }}{{ data.a in data.b }}",
        // What holds itself.
        "{% set ns = namespace() %}{% set ns.a = ns %}{{ ns ~ '' }}",
        "{% set ns = namespace() %}{% set ns.a = [ns] %}{{ ns.a }}",
        "{% set ns = namespace() %}{% set ns.a = {'x': ns} %}{{ ns.a }}",
        "{% set ns = namespace() %}{% set x = ns %}{% set ns.a = x %}{{ ns == x }}",
        "{% set ns = namespace() %}{% set m = namespace(a=ns) %}{% set ns.a = m %}{{ ns ~ m }}",
        "{% for i in [1] %}{{ loop.changed(loop) }}{{ [loop] }}{% endfor %}",
        "{% for i in [1] %}{{ loop }}{% endfor %}{{ range }}",
        "{{ loop.cycle() }}",
        "{% for i in [1, 2] %}{{ loop.cycle(*[]) }}{% endfor %}",
        "{{ [1, 2, 3][::-1] }}",
        "{{ data.text[1:] ~ data.text[:5] }}{{ data.text[-3:] }}",
    ]
    .map(str::to_owned)
    .into();
    // In long loops.
    for body in [
        "{{ raw.a.b.c | default('') }}",
        "{{ raw['items'][0].name | default('') }}",
        "{{ raw.text }}",
        "{% if data.a == data.b %}{% endif %}",
        "{% if [data.a] == [data.b] %}{% endif %}",
        "{% if data.a < data.b %}{% endif %}",
        "{% if data.a in [data.b] %}{% endif %}",
        "{% if data['items'] == [[data['items']]] %}{% endif %}",
        "{% if (data.a ~ '') == '' %}{% endif %}",
        "{% if data.text == data.text ~ 'x' %}{% endif %}",
        "{% if data.text is startingwith 'a' %}{% endif %}",
        "{% if data.text[:10] == 'a' %}{% endif %}",
        "{% if data.text[-10:] == 'a' %}{% endif %}",
        "{% if 'q' in data.text %}{% endif %}",
        "{% set x = data['items'] | length %}",
        "{% set x = data['items'] | list %}",
        "{% set x = data['items'] | last | default(0) %}",
        "{% set x = data | string %}",
        "{% set x = [data, data, data] %}{{ x | length }}",
        "{% for k in data %}{% endfor %}",
        "{% set x = [0] * 100000000 %}",
        "{{ ([0] * 100000000)[-1] }}",
        "{{ 'x' * 1000 }}",
    ] {
        all.push(looped(body));
    }
    // Doubling, step by step.
    for (step, end) in [
        ("{% set x = [x, x] %}", "{{ x }}"),
        ("{% set x = [x, x] %}", "{{ x == [x] }}{{ x ~ '' }}"),
        ("{% set x = {'a': x, 'b': x} %}", "{{ x ~ '' }}"),
        ("{% set x = x + x %}", "{{ x ~ '' }}{{ x == x + x }}"),
        ("{% set x = x ~ x %}", "{{ x }}"),
        ("{% set x = (x | string) * 2 %}", "{{ x }}"),
        ("{% set x = x * 2 %}", "{{ x ~ '' }}"),
        ("{% set x = x * 100000 %}", "{{ x ~ '' }}"),
        ("{% set x = x[0:] %}", "{{ x }}"),
        ("{% set x = x | list | map('string') | list %}", "{{ x }}"),
        ("{% set x %}{{ x }}{{ x }}{% endset %}", "{{ x }}"),
        ("{% set x = data['items'] + [data['items']] + x %}", "{{ x | length }}"),
    ] {
        all.push(stepped(step, end));
    }
    all.push(format!("{{% set x = [0] %}}{}{{{{ x }}}}", "{% set x = x[0:] %}".repeat(1_600)));
    all.push(format!("{{{{ {}x{} }}}}", "[".repeat(150), "]".repeat(150)));
    // Doubling, in a loop.
    for (first, step, end) in [
        ("'x'", "ns.x ~ ns.x", "{{ ns.x }}"),
        ("'x'", "ns.x + 'x'", "{{ ns.x }}"),
        ("[]", "[ns.x]", "{{ ns.x }}"),
        ("[]", "[ns.x, ns.x]", "{{ ns.x == [ns.x] }}"),
        ("[]", "{'a': ns.x, 'b': ns.x}", "{{ ns.x ~ '' }}"),
        ("[0]", "ns.x + ns.x", "{{ ns.x ~ '' }}"),
        ("[0]", "ns.x + [i]", "{{ ns.x | length }}"),
        ("[0]", "ns.x[0:]", "{{ ns.x }}"),
        ("[0]", "ns.x | reverse", "{{ ns.x }}"),
        ("2", "ns.x * ns.x", "{{ ns.x }}"),
        ("2.0", "ns.x * ns.x", "{{ ns.x }}"),
        ("'x'", "ns.x | replace('x', 'xx')", "{{ ns.x }}"),
        ("[1]", "[data, ns.x]", "{{ ns.x ~ '' }}"),
    ] {
        all.push(carried(first, step, end));
    }
    all.extend(deep());
    all
}

/// 32 KiB of what the engine's compiler walks by recursion.
fn deep() -> Vec<String> {
    let long = |begin: &str, part: &str, end: &str| {
        let count = (32_768 - begin.len() - end.len()) / part.len();
        format!("{begin}{}{end}", part.repeat(count))
    };
    vec![
        long("{{ ", "-", "1 }}"),
        long("{{ 1", "+1", " }}"),
        long("{{ data.a", "~data.a", " }}"),
        long("{{ 2", "**2", " }}"),
        long("{{ ", "not ", "1 }}"),
        long("{{ data", ".b", " }}"),
        long("{{ data", "|d", " }}"),
        long("{{ data", "[0]", " }}"),
        long("{{ data", "[", " }}"),
        long("{{ ", "[", " }}"),
        long("{{ ", "(", " }}"),
        long("{{ ", "{0:", " }}"),
        long("{{ 1", " if 1 else 1", " }}"),
        long("{{ 1", " is odd", " }}"),
        long("{{ 1", " and 1", " }}"),
        long("{{ 1", " < 1", " }}"),
        long("{{ [", "1,", "] }}"),
        long("{{ ", "[1,[1,[1,1]]] == ", "1 }}"),
        long("{% if 1 %}", "{% elif 1 %}", "{% endif %}"),
        long("", "{% if 1 %}", ""),
        long("", "{% for a in data %}", ""),
        long("{% set ", "a.", "b = 1 %}"),
        long("{% for ", "(", "x in data %}{% endfor %}"),
        long("{{ range(", "range(", " }}"),
        long("", "{{ data.a|d(1) }}", ""),
        long("", "{{", ""),
        long("", "{% raw %}", ""),
        long("{{ '", "\\u00e9", "' }}"),
        long("{% with ", "a = 1, ", "b = 1 %}{% endwith %}"),
        long("{{ ", "'a' ", " }}"),
        // As deep as it may be, in many places.
        format!("{{{{ 1{} }}}}", "+1".repeat(199)).repeat(79),
        format!("{{{{ data{} }}}}", "|d".repeat(199)).repeat(79),
        format!(
            "{}{{{{ {}1{} }}}}{}",
            "{% if 1 %}".repeat(32),
            "[".repeat(99),
            "]".repeat(99),
            "{% endif %}".repeat(32)
        ),
        format!("{}{{{{ {}1 }}}}{}", "{% for a in data %}".repeat(32), "-".repeat(199), "{% endfor %}".repeat(32)),
        format!("{{{{ {}1{} }}}}", "[1+".repeat(99), "]".repeat(99)),
        format!("{{{{ {}1{} }}}}", "{'a':".repeat(140), "}".repeat(140)),
        format!("{{{{ {}1 }}}}", "- ".repeat(199)),
        format!("{{{{ {}1 }}}}", "not ".repeat(199)),
        format!("{{{{ 1{} }}}}", " if 1 else 1".repeat(99)),
    ]
}
