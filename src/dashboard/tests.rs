//! What holds for every form and every address that a browser sends: fields are read as other programs write them, and a
//! form leads nowhere but to this server.

use std::collections::HashMap;

use proptest::prelude::*;
use url::Url;

use super::form::{Form, is_form};
use crate::domain::tests::odd;

#[test]
fn a_field_is_read_as_a_browser_writes_it() {
    odd::hold(&["a b&c=d", "X-A: 1\r\nX-B: 2", "100%", "+", "\u{e4}"], |text| {
        let written = url::form_urlencoded::Serializer::new(String::new())
            .append_pair("before", text)
            .append_pair("name", text)
            .append_pair(text, "x")
            .finish();
        let form = Form::of(written.as_bytes());
        let expected = if text == "name" { "x" } else { text };
        prop_assert_eq!(form.text("name"), expected.trim());
        prop_assert_eq!(form.field("name").value, expected);
        Ok(())
    });
}

#[test]
fn any_bytes_are_a_form_of_at_most_so_many_fields_of_which_the_last_counts() {
    let valid: [&[u8]; 4] = [b"a=1&a=2", b"a=%zz&b=%ff", b"&&&", b"a=1;b=2"];
    odd::hold_bytes(&valid, |bytes| {
        let form = Form::of(bytes);
        let pairs: HashMap<_, _> = url::form_urlencoded::parse(bytes).into_owned().take(32).collect();
        prop_assert!(pairs.iter().all(|(name, value)| form.text(name) == value.trim() && form.has(name)));
        Ok(())
    });
}

#[test]
fn a_form_leads_nowhere_but_to_this_server() {
    let base = Url::parse("http://127.0.0.1:8080/accounts").unwrap();
    let valid = [
        "/",
        "/deliveries?state=pending",
        "//evil.example",
        "/\\evil.example",
        "https://evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "/%09/evil.example",
        "/..//evil.example",
    ];
    odd::hold(&valid, |text| {
        let written = url::form_urlencoded::Serializer::new(String::new()).append_pair("back", text).finish();
        let form = Form::of(written.as_bytes());
        let back = form.back("/otherwise");
        let leads = base.join(back).expect("an address");
        prop_assert_eq!(leads.origin(), base.origin(), "{}", back);
        prop_assert!(back.bytes().all(|byte| byte.is_ascii_graphic()), "{:?} would stand in a header", back);
        Ok(())
    });
}

#[test]
fn a_form_is_known_by_its_media_type_alone() {
    let valid = ["application/x-www-form-urlencoded", "Application/X-WWW-form-urlencoded; charset=utf-8", "text/plain"];
    odd::hold(&valid, |given| {
        let mut headers = poem::http::HeaderMap::new();
        let Ok(value) = given.parse() else { return Ok(()) };
        headers.insert("content-type", value);
        let essence = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
        prop_assert_eq!(is_form(&headers), essence == "application/x-www-form-urlencoded" && given.is_ascii());
        Ok(())
    });
}
