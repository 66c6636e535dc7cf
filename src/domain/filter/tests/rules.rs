//! Each rule of the language.

use super::*;

const ORDER: &str = r#"{"id":12345678901234567890,"status":"paid","total":19.90,"zero":0.0,"count":3,"vip":true,
    "test":false,"note":null,"name":"Ana MÜLLER","empty":"","tags":["new","eu",7,null,[1]],"none":[],"blank":{ },
    "customer":{"name":"Ana","odd key":{"x":[{"y":5}]},"":1},"html":"a\"b\\c\/\u00e9\uD83D\uDE00"}"#;

#[test]
fn paths_lead_through_members_elements_and_odd_keys() {
    all(
        true,
        ORDER,
        &[
            "data.customer.name == 'Ana'",
            "data['customer'][\"name\"] == 'Ana'",
            "data.customer['odd key'].x[0].y == 5",
            "data . customer [ '' ] == 1",
            "data.tags[2] == 7",
            "data.tags[1] == data['tags'][1]",
        ],
    );
    all(true, r#"[[1,2],[3,{"a":"x"}]]"#, &["data[1][1].a == 'x'", "data[0][1] == 2 and data[1][0] == 3"]);
    all(true, r#"{"in":1,"not":{"is":2}}"#, &["data.in == 1", "data.not.is == 2"]);
    all(true, " \"text\" ", &["data == 'text'", "data is defined", "data|length == 4"]);
}

#[test]
fn the_event_has_type_time_and_account() {
    all(
        true,
        "{}",
        &[
            "event.type == 'order.paid'",
            "event['type'] is startingwith 'order.'",
            "event.received_at > '2026-10-05'",
            "event.account_id in ['acc_V1StGXR8Z5jd', 'other']",
        ],
    );
    let untyped = FilteredEvent { event_type: None, ..event(b"{}") };
    assert!(Filter::parse("event.type is undefined and event.type != 'x'").unwrap().matches(&untyped));
}

#[test]
fn numbers_are_compared_exactly_as_they_are_written() {
    for (less, greater) in [
        ("12345678901234567890", "12345678901234567891"),
        ("9007199254740992.0", "9007199254740993"),
        ("1e999999999", "1e1000000000"),
        ("1e-1000000000", "1e-999999999"),
        ("-1e1000000000", "-1e999999999"),
        ("-1e99999999999999999999999999999", "1e-99999999999999999999999999999"),
        ("1e99999999999999999999999999998", "1e99999999999999999999999999999"),
        ("9.99e99999999999999999999999999999", "0.1e100000000000000000000000000001"),
        ("-2", "-1"),
        ("-1", "0"),
        ("0.1", "0.10000000000000000000000000000000000001"),
        ("999999999999999999", "1000000000000000000"),
        ("-1000000000000000000", "-99999999999999999"),
        ("5", "50"),
        ("0.05", "0.5"),
    ] {
        let document = format!("[{less},{greater}]");
        all(true, &document, &["data[0] < data[1]", "data[1] >= data[0]", "data[0] != data[1]"]);
        all(false, &document, &["data[0] > data[1]", "data[0] == data[1]", "data[1] <= data[0]"]);
    }
    for equal in [
        ["1", "1.0"],
        ["1e2", "100"],
        ["1E+2", "0.1e3"],
        ["0", "-0"],
        ["0.000", "0e99999999999999999999"],
        ["-1.50", "-15e-1"],
        ["1000000000000000000000", "1e21"],
        ["1e0000000000000000000000000000000000000000003", "1000"],
        ["0.1e99999999999999999999", "1e99999999999999999998"],
    ] {
        let document = format!("[{},{}]", equal[0], equal[1]);
        all(true, &document, &["data[0] == data[1]", "data[0] <= data[1]", "data[0] >= data[1]"]);
        all(false, &document, &["data[0] != data[1]", "data[0] < data[1]"]);
        assert!(holds(&format!("data == {}", equal[0]), equal[1]), "{equal:?}");
    }
    all(true, ORDER, &["data.id == 12345678901234567890", "data.total == 19.9", "data.total > -1", "- 1 < data.zero"]);
    all(false, ORDER, &["data.id == 12345678901234567891", "data.id == 12345678901234567000"]);
}

#[test]
fn exponents_and_digits_of_any_length_are_compared() {
    let digits = "9".repeat(1 << 20);
    all(true, &format!("[1e{digits},-1e{digits},1e-{digits}]"), &["data[0] > 1e9", "data[1] < 0", "data[2] < 1e-9"]);
    all(
        true,
        &format!("[{digits}.0,{digits}]"),
        &["data[0] == data[1]", "data[0] > 1e1000000 and data[0] < 1e1048576"],
    );
    all(true, &format!("[1e{digits},10e{digits}]"), &["data[0] < data[1]"]);
}

#[test]
fn texts_are_compared_by_what_their_escapes_mean() {
    all(
        true,
        ORDER,
        &[
            "data.html == 'a\"b\\\\c/é😀'",
            r#"data.html == "a\"b\\c\/\u00e9\ud83d\ude00""#,
            r"data.html is startingwith 'a\x22b'",
            "data.html is endingwith '/é😀'",
            "'c/é' in data.html",
            "data.html|length == 8",
        ],
    );
    all(true, r#"{"\u006bey":{"\n":"\n\t\b\f\r"}}"#, &[r"data.key['\n'] == '\n\t\b\f\r'", r"'\n' in data.key"]);
    all(
        true,
        r#"["a","b","é","z","\uFFFD","😀","aa"]"#,
        &[
            "data[0] < data[1]",
            "data[2] > data[3]",
            "data[4] < data[5]",
            "data[0] < data[6]",
            "data[6] <= data[1]",
            "'' < data[0]",
        ],
    );
}

#[test]
fn different_types_are_never_equal_and_never_in_order() {
    let document = r#"[1,"1",true,null,[1],{"a":1}]"#;
    for left in 0..6 {
        for right in 0..6 {
            let same = left == right && left < 4;
            assert_eq!(holds(&format!("data[{left}] == data[{right}]"), document), same, "{left} {right}");
            assert_eq!(holds(&format!("data[{left}] != data[{right}]"), document), !same, "{left} {right}");
            let in_order = left == right && left < 2;
            for operator in ["<=", ">="] {
                assert_eq!(
                    holds(&format!("data[{left}] {operator} data[{right}]"), document),
                    in_order,
                    "{left} {right}"
                );
            }
            assert!(!holds(&format!("data[{left}] < data[{right}] or data[{left}] > data[{right}]"), document));
        }
    }
}

#[test]
fn what_is_missing_makes_a_comparison_false() {
    for missing in ["data.x", "data.x.y[3]", "data.status.x", "data.tags.new", "data.customer[0]", "data.tags[5]"] {
        for operator in ["==", "<", "<=", ">", ">=", "in"] {
            all(false, ORDER, &[&format!("{missing} {operator} data.status"), &format!("'paid' {operator} {missing}")]);
        }
        all(false, ORDER, &[missing, &format!("{missing} == {missing}"), &format!("{missing} is none")]);
        all(
            true,
            ORDER,
            &[
                &format!("{missing} != data.status"),
                &format!("{missing} not in ['a']"),
                &format!("'a' not in {missing}"),
                &format!("{missing} is undefined and {missing} is not defined and not {missing} is defined"),
            ],
        );
    }
}

#[test]
fn in_looks_into_lists_texts_and_keys() {
    all(
        true,
        ORDER,
        &[
            "data.status in ['open', 'paid',]",
            "data.count in [1, 3.0]",
            "data.vip in [True]",
            "data.note in [None, -1]",
            "'eu' in data.tags",
            "7.0 in data.tags",
            "none in data.tags",
            "'ai' in data.status",
            "'' in data.empty",
            "data.status in 'unpaid, paid'",
            "'odd key' in data.customer",
            "'x' not in data.customer",
            "data.total not in []",
            "data.status not in ['Paid']",
        ],
    );
    all(
        false,
        ORDER,
        &[
            "data.vip in [1, 'true']",
            "'e' in data.tags",
            "data.tags in data.tags",
            "1 in data.tags",
            "'1' in data.count",
            "3 in 'a3'",
            "0 in data.customer",
            "'note' in data.note",
        ],
    );
}

#[test]
fn a_part_is_found_in_a_text_with_escapes() {
    let document = r#"["\u0061aaab\u0061aaaab","aaaab","aaaaa","AAAAB","\u0061aaabaaaaab!","a"]"#;
    all(
        true,
        document,
        &["data[1] in data[0]", "'baaaaab' in data[0]", "data[2] in data[0]", "data[1] in data[3]|lower"],
    );
    all(true, document, &["'' in data[0]", "data[0] in data[0]", "data[0] in data[4]", "data[3]|lower in data[0]"]);
    all(false, document, &["'aaaaaa' in data[0]", "'bb' in data[0]", "data[4] in data[0]", "data[0] in data[5]"]);
}

#[test]
fn a_long_part_of_a_long_text_is_found_without_trying_each_place() {
    let (text, part) = ("a".repeat(400_000), "a".repeat(200_000));
    let document = format!(r#"["\u0061{text}","{part}b","{part}\u0061","{part}b{part}"]"#);
    all(false, &document, &["data[1] in data[0]", "data[2] in data[3]"]);
    all(true, &document, &["data[2] in data[0]", "data[1] in data[3]|lower"]);
}

#[test]
fn tests_ask_for_presence_null_and_ends_of_texts() {
    all(
        true,
        ORDER,
        &[
            "data.note is defined",
            "data.note is none",
            "data.status is not none",
            "data.status is startingwith 'pa'",
            "data.status is startingwith('pa') and data.status is endingwith(\"id\")",
            "data.status is endingwith ''",
            "data.count is not startingwith '3'",
            "data.x is not endingwith 'x'",
            "'text' is startingwith 't'",
        ],
    );
    all(
        false,
        ORDER,
        &[
            "data.status is startingwith 'aid'",
            "data.status is endingwith 'pai'",
            "data.status is startingwith 'paid in full'",
            "data.html is endingwith 'xxxxxxxxxxxxxxxx'",
        ],
    );
}

#[test]
fn length_counts_characters_elements_and_members() {
    all(
        true,
        ORDER,
        &[
            "data.name|length == 10",
            "data.tags | length == 5",
            "data.none|length == 0",
            "data.customer|length == 3",
            "data.blank|length == 0",
            "data.customer['odd key'].x|length < 2",
        ],
    );
    all(false, ORDER, &["data.count|length == 1", "data.note|length >= 0", "data.x|length == 0", "data.vip|length"]);
    all(true, r#"{"a":1,"a":2}"#, &["data|length == 2"]);
}

#[test]
fn lower_is_that_of_each_character() {
    all(true, ORDER, &["data.name|lower == 'ana müller'", "'mü' in data.name|lower", "data.name|lower|length == 10"]);
    all(true, ORDER, &["data.name|lower is endingwith 'ller'", "data.name|lower is startingwith 'ana'"]);
    all(false, ORDER, &["data.count|lower == '3'", "data.tags|lower", "data.x|lower is defined"]);
    all(
        true,
        r#"["\u0130","ΑΣ"]"#,
        &["data[0]|lower|length == 2", "data[0]|lower == 'i\\u0307'", "data[1]|lower == 'ασ'"],
    );
}

#[test]
fn a_value_alone_holds_unless_it_is_false_null_zero_or_empty() {
    all(
        true,
        ORDER,
        &["data.status", "data.vip", "data.total", "data.tags", "data.customer", "true", "data.tags|length"],
    );
    all(false, ORDER, &["data.empty", "data.test", "data.zero", "data.none", "data.blank", "data.note", "False"]);
    all(true, "1e-400", &["data", "not (not data)"]);
}

#[test]
fn or_binds_less_than_and_and_and_less_than_not() {
    all(true, "{}", &["true or false and false", "not false and true", "not false or true and false"]);
    all(false, "{}", &["(true or false) and false", "not (false or true)", "not not false", "not true == true"]);
    all(
        true,
        ORDER,
        &["not data.status == 'open'", "not data.x is defined", "(data.status) == ('paid')", "not 'x' in data.tags"],
    );
}

#[test]
fn of_equal_keys_the_last_counts() {
    all(true, r#"{"a":1,"\u0061":2}"#, &["data.a == 2"]);
    all(true, r#"{"a":{"b":1},"a":{"c":2}}"#, &["data.a.b is undefined", "data.a.c == 2"]);
    all(true, r#"{"a":{"b":{"c":1},"b":2},"x":3}"#, &["data.a.b.c is undefined and data.a.b == 2 and data.x == 3"]);
    all(true, r#"{"a":[[1,2]],"a":[]}"#, &["data.a[0][1] is undefined and data.a is defined"]);
    all(true, r#"{"a":{"b":1},"a":7,"a":{"b":2,"b":3}}"#, &["data.a.b == 3"]);
}

#[test]
fn a_set_answers_for_each_filter_in_order() {
    let filters =
        ["data.a == 1", "data.b.c == 2", "data.b == 2", "event.type == 'x'", "data.b.c in data.list", "data.a == 1"];
    let filters: Vec<Filter> = filters.iter().map(|source| Filter::parse(source).unwrap()).collect();
    let set = FilterSet::new(&filters);
    let document = br#"{"x":[{"a":5}],"b":{"c":2},"list":[1,2,3],"a":1}"#;
    assert_eq!(set.matches(&event(document)), [true, true, false, false, true, true]);
    assert!(!set.is_empty() && FilterSet::new([]).is_empty());
    assert!(FilterSet::default().matches(&event(document)).is_empty());
}

#[test]
fn filters_are_equal_if_their_texts_are() {
    let filter = Filter::parse("data.a == 1").unwrap();
    assert_eq!(filter, filter.clone());
    assert_ne!(filter, Filter::parse("data.a  == 1").unwrap());
    assert_eq!(format!("{filter:?}"), "Filter(\"data.a == 1\")");
}
