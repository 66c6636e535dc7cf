use std::net::Ipv6Addr;

use proptest::prelude::*;

use super::*;

/// A given URL, and what is stored for it under the default policy. `Err` holds a part of the message.
type Row = (&'static str, Result<&'static str, &'static str>);

const BEGIN: &str = "must begin with http";
const HOST: &str = "must have a host";
const PORT: &str = "must have a port";
const USER: &str = "no user name";
const SPACE: &str = "no spaces";
const BACKSLASH: &str = "no backslash";
const FRAGMENT: &str = "no fragment";
const INVALID: &str = "not a valid URL";
const NAME: &str = "host name of letters";
const LOCAL: &str = "localhost is a loopback";
const LOOPBACK: &str = "a loopback address; start the server with --allow-network ";
const PRIVATE: &str = "private address; start the server with --allow-network 1";
const METADATA: &str = "a link-local (cloud metadata) address; start the server with --allow-network ";
const OPEN: &str = "--allow-network ";

const CORPUS: &[Row] = &[
    // Accepted URLs, with their only stored spelling.
    ("http://example.com", Ok("http://example.com/")),
    ("https://example.com/", Ok("https://example.com/")),
    ("HTTP://EXAMPLE.COM/Path", Ok("http://example.com/Path")),
    ("hTTpS://Example.Com", Ok("https://example.com/")),
    ("http://example.com:80/", Ok("http://example.com/")),
    ("https://example.com:443/x", Ok("https://example.com/x")),
    ("https://example.com:80/x", Ok("https://example.com:80/x")),
    ("http://example.com:8080", Ok("http://example.com:8080/")),
    ("http://example.com:1/", Ok("http://example.com:1/")),
    ("http://example.com:65535/", Ok("http://example.com:65535/")),
    ("http://example.com:0080/", Ok("http://example.com/")),
    ("http://example.com/?", Ok("http://example.com/?")),
    ("http://example.com?a=b", Ok("http://example.com/?a=b")),
    ("http://example.com/a?b=c&d=e", Ok("http://example.com/a?b=c&d=e")),
    ("http://example.com/a?b=http://x/?y", Ok("http://example.com/a?b=http://x/?y")),
    ("http://example.com/a@b", Ok("http://example.com/a@b")),
    ("http://example.com/?a@b", Ok("http://example.com/?a@b")),
    ("http://example.com/a:b", Ok("http://example.com/a:b")),
    ("http://example.com//a", Ok("http://example.com//a")),
    ("http://example.com/a/../b", Ok("http://example.com/b")),
    ("http://example.com/%20%23%5C", Ok("http://example.com/%20%23%5C")),
    ("http://example.com/é", Ok("http://example.com/%C3%A9")),
    ("http://example.com/?q=é", Ok("http://example.com/?q=%C3%A9")),
    ("http://example.com/\"<>`{}|^", Ok("http://example.com/%22%3C%3E%60%7B%7D|^")),
    ("http://example.com/%zz", Ok("http://example.com/%zz")),
    ("http://example.com.", Ok("http://example.com./")),
    ("http://ex%61mple.com/", Ok("http://example.com/")),
    ("http://my_service:9000/hook", Ok("http://my_service:9000/hook")),
    ("http://intranet/hook", Ok("http://intranet/hook")),
    ("http://a-b.example/", Ok("http://a-b.example/")),
    ("http://bücher.example/", Ok("http://xn--bcher-kva.example/")),
    ("http://xn--bcher-kva.example/", Ok("http://xn--bcher-kva.example/")),
    ("http://ｅxample.com/", Ok("http://example.com/")),
    ("http://example。com/", Ok("http://example.com/")),
    ("http://localhost.example.com/", Ok("http://localhost.example.com/")),
    ("http://notlocalhost/", Ok("http://notlocalhost/")),
    ("http://localhosts/", Ok("http://localhosts/")),
    ("http://127.0.0.1.example.com/", Ok("http://127.0.0.1.example.com/")),
    ("http://8.8.8.8/", Ok("http://8.8.8.8/")),
    ("http://8.8.8.8./", Ok("http://8.8.8.8/")),
    ("http://134744072/", Ok("http://8.8.8.8/")),
    ("http://0x08080808/", Ok("http://8.8.8.8/")),
    ("http://8.8.2056/", Ok("http://8.8.8.8/")),
    ("http://010.010.010.010/", Ok("http://8.8.8.8/")),
    ("http://192.0.0.9/", Ok("http://192.0.0.9/")),
    ("http://[2606:4700::1111]/", Ok("http://[2606:4700::1111]/")),
    ("http://[2606:4700:0:0::1111]:8080/", Ok("http://[2606:4700::1111]:8080/")),
    ("http://[2606:4700::ABCD]:80/", Ok("http://[2606:4700::abcd]/")),
    ("http://[::ffff:8.8.8.8]/", Ok("http://[::ffff:808:808]/")),
    ("http://[64:ff9b::8.8.8.8]/", Ok("http://[64:ff9b::808:808]/")),
    ("http://[2002:808:808::1]/", Ok("http://[2002:808:808::1]/")),
    // The beginning.
    ("", Err(BEGIN)),
    ("example.com", Err(BEGIN)),
    ("example.com:80", Err(BEGIN)),
    ("//example.com", Err(BEGIN)),
    ("/path", Err(BEGIN)),
    ("http", Err(BEGIN)),
    ("http:", Err(BEGIN)),
    ("http:/", Err(BEGIN)),
    ("http:example.com", Err(BEGIN)),
    ("http:/example.com", Err(BEGIN)),
    ("https:/example.com", Err(BEGIN)),
    ("http;//example.com", Err(BEGIN)),
    ("httpx://example.com", Err(BEGIN)),
    ("ftp://example.com/", Err(BEGIN)),
    ("file:///etc/passwd", Err(BEGIN)),
    ("gopher://127.0.0.1:25/x", Err(BEGIN)),
    ("ws://example.com/", Err(BEGIN)),
    ("javascript:alert(1)", Err(BEGIN)),
    ("data:text/plain,x", Err(BEGIN)),
    ("unix:/run/socket", Err(BEGIN)),
    ("http+unix://x/", Err(BEGIN)),
    ("ｈttp://example.com/", Err(BEGIN)),
    ("\u{feff}http://example.com/", Err("U+FEFF")),
    ("<http://example.com/>", Err(BEGIN)),
    // The host.
    ("http://", Err(HOST)),
    ("https://", Err(HOST)),
    ("http:///", Err(HOST)),
    ("http:///example.com", Err(HOST)),
    ("https:////example.com", Err(HOST)),
    ("http://?x", Err(HOST)),
    ("http://:80/", Err(HOST)),
    ("http://./", Err(NAME)),
    ("http://../", Err(NAME)),
    ("http://.example.com/", Err(NAME)),
    ("http://example..com/", Err(NAME)),
    ("http://example.com../", Err(NAME)),
    ("http://127.0.0.1../", Err(NAME)),
    ("http://exa!mple.com/", Err(NAME)),
    ("http://a,b/", Err(NAME)),
    ("http://a;b/", Err(NAME)),
    ("http://a=b/", Err(NAME)),
    ("http://a&b/", Err(NAME)),
    ("http://a\"b/", Err(NAME)),
    ("http://{host}/", Err(NAME)),
    ("http://*.example.com/", Err(NAME)),
    ("http://$HOST/", Err(NAME)),
    ("http://a|b/", Err(INVALID)),
    ("http://a^b/", Err(INVALID)),
    ("http://<a>/", Err(INVALID)),
    ("http://a%/", Err(INVALID)),
    ("http://a%00b/", Err(INVALID)),
    ("http://a%20b/", Err(INVALID)),
    ("http://a%0Ab/", Err(INVALID)),
    ("http://a%2Fb/", Err(INVALID)),
    ("http://a%40b/", Err(INVALID)),
    ("http://a%3A80/", Err(INVALID)),
    ("http://a%23b/", Err(INVALID)),
    ("http://a%5Cb/", Err(INVALID)),
    ("http://a%ffb/", Err(INVALID)),
    ("http://127.0.0.1%00.example.com/", Err(INVALID)),
    ("http://xn--/", Err(INVALID)),
    ("http://\u{ad}/", Err("U+00AD")),
    ("http://%C2%AD/", Err(INVALID)),
    ("http://example.com/\u{202e}gpj.exe", Err("U+202E")),
    ("http://exa\u{200d}mple.com/", Err("invisible characters")),
    ("http://example.com/?\u{2764}\u{fe0f}", Err("U+FE0F")),
    ("http://1.2.3.4.5/", Err(INVALID)),
    ("http://256.0.0.1/", Err(INVALID)),
    ("http://1.2.3.256/", Err(INVALID)),
    ("http://4294967296/", Err(INVALID)),
    ("http://0x100000000/", Err(INVALID)),
    ("http://127.0.0.08/", Err(INVALID)),
    ("http://example.1/", Err(INVALID)),
    ("http://example.0x1/", Err(INVALID)),
    ("http://[]/", Err(INVALID)),
    ("http://[::1/", Err(PORT)),
    ("http://::1/", Err(HOST)),
    ("http://::1]/", Err(INVALID)),
    ("http://[::1]x/", Err(INVALID)),
    ("http://[::1]]/", Err(INVALID)),
    ("http://[[::1]]/", Err(INVALID)),
    ("http://[127.0.0.1]/", Err(INVALID)),
    ("http://[example.com]/", Err(INVALID)),
    ("http://[v1.x]/", Err(INVALID)),
    ("http://[fe80::1%25eth0]/", Err(INVALID)),
    ("http://[fe80::1%eth0]/", Err(INVALID)),
    ("http://[::1%250]/", Err(INVALID)),
    ("http://[::ffff:127.1]/", Err(INVALID)),
    ("http://[1::2::3]/", Err(INVALID)),
    // The port.
    ("http://example.com:", Err(PORT)),
    ("http://example.com:/", Err(PORT)),
    ("http://example.com:0/", Err(PORT)),
    ("http://example.com:00/", Err(PORT)),
    ("http://example.com:65536/", Err(PORT)),
    ("http://example.com:99999999999999999999/", Err(PORT)),
    ("http://example.com:abc/", Err(PORT)),
    ("http://example.com:80a/", Err(PORT)),
    ("http://example.com:-80/", Err(PORT)),
    ("http://example.com:+80/", Err(PORT)),
    ("http://example.com:80:80/", Err(PORT)),
    ("http://example.com:%38%30/", Err(PORT)),
    ("http://example.com:８０/", Err(PORT)),
    ("http://example.com:?x", Err(PORT)),
    ("http://[2606:4700::1111]:/", Err(PORT)),
    ("http://[2606:4700::1111]:65536/", Err(PORT)),
    ("http://127.0.0.1:65536/", Err(PORT)),
    // User names and passwords.
    ("http://user@example.com/", Err(USER)),
    ("http://user:pass@example.com/", Err(USER)),
    ("http://@example.com/", Err(USER)),
    ("http://:@example.com/", Err(USER)),
    ("http://example.com@127.0.0.1/", Err(USER)),
    ("http://example.com:80@127.0.0.1/", Err(USER)),
    ("http://a@b@example.com/", Err(USER)),
    ("http://@/", Err(USER)),
    // What only a lenient parser accepts.
    (" http://example.com/", Err(SPACE)),
    ("http://example.com/ ", Err(SPACE)),
    ("http://example.com/a b", Err(SPACE)),
    ("http://exam ple.com/", Err(SPACE)),
    ("\thttp://example.com/", Err(SPACE)),
    ("ht\ttp://example.com/", Err(SPACE)),
    ("http://127.\t0.0.1/", Err(SPACE)),
    ("http://example.com/\n", Err(SPACE)),
    ("http://example.com/\r\nX: y", Err(SPACE)),
    ("http://example.com/\0", Err(SPACE)),
    ("http://example.com/\u{7f}", Err(SPACE)),
    ("http://example.com/\u{85}", Err(SPACE)),
    ("http://example.com/\u{a0}", Err(SPACE)),
    ("http://example.com/\u{2028}", Err(SPACE)),
    ("http://example.com/\u{3000}", Err(SPACE)),
    ("http:\\\\example.com\\", Err(BACKSLASH)),
    ("http:/\\example.com/", Err(BACKSLASH)),
    ("http://example.com\\@127.0.0.1/", Err(BACKSLASH)),
    ("http://example.com/a\\b", Err(BACKSLASH)),
    ("http://example.com/?a\\b", Err(BACKSLASH)),
    ("http://example.com/#x", Err(FRAGMENT)),
    ("http://example.com#", Err(FRAGMENT)),
    ("http://example.com/?a#b", Err(FRAGMENT)),
    ("http://example.com#@127.0.0.1/", Err(FRAGMENT)),
    // This machine by name.
    ("http://localhost/", Err(LOCAL)),
    ("http://localhost:8080/x", Err(LOCAL)),
    ("http://LOCALHOST/", Err(LOCAL)),
    ("http://LocalHost./", Err(LOCAL)),
    ("http://localhost./", Err(LOCAL)),
    ("http://a.localhost/", Err(LOCAL)),
    ("http://a.b.localhost./", Err(LOCAL)),
    ("http://loc%61lhost/", Err(LOCAL)),
    ("http://%6c%6F%63%61%6C%68%6F%73%74/", Err(LOCAL)),
    ("http://ｌｏｃａｌｈｏｓｔ/", Err(LOCAL)),
    ("http://ⓛⓞⓒⓐⓛⓗⓞⓢⓣ/", Err(LOCAL)),
    ("http://local\u{ad}host/", Err("U+00AD")),
    ("http://local%C2%ADhost/", Err(LOCAL)),
    ("http://a。localhost/", Err(LOCAL)),
    // This machine by address.
    ("http://127.0.0.1/", Err(LOOPBACK)),
    ("http://127.0.0.1:8080", Err(LOOPBACK)),
    ("https://127.0.0.1", Err(LOOPBACK)),
    ("http://127.0.0.1./", Err(LOOPBACK)),
    ("http://127.1/", Err(LOOPBACK)),
    ("http://127.1./", Err(LOOPBACK)),
    ("http://127.0.1/", Err(LOOPBACK)),
    ("http://127.255.255.255/", Err(LOOPBACK)),
    ("http://2130706433/", Err(LOOPBACK)),
    ("http://2130706433./", Err(LOOPBACK)),
    ("http://017700000001/", Err(LOOPBACK)),
    ("http://0177.0.0.1/", Err(LOOPBACK)),
    ("http://0177.0.0.01/", Err(LOOPBACK)),
    ("http://00000177.0.0.1/", Err(LOOPBACK)),
    ("http://0x7f.1/", Err(LOOPBACK)),
    ("http://0X7F.1/", Err(LOOPBACK)),
    ("http://0x7f000001/", Err(LOOPBACK)),
    ("http://0x7f.0x0.0x0.0x1/", Err(LOOPBACK)),
    ("http://0x7f.0.0x.1/", Err(LOOPBACK)),
    ("http://0x0000007f.1/", Err(LOOPBACK)),
    ("http://１２７.０.０.１/", Err(LOOPBACK)),
    ("http://①②⑦.⓪.⓪.①/", Err(LOOPBACK)),
    ("http://127。0。0。1/", Err(LOOPBACK)),
    ("http://127．0．0．1/", Err(LOOPBACK)),
    ("http://127.0.0.1\u{200b}/", Err("U+200B")),
    ("http://127.0.0.1%E2%80%8B/", Err(LOOPBACK)),
    ("http://12\u{ad}7.0.0.1/", Err("U+00AD")),
    ("http://12%C2%AD7.0.0.1/", Err(LOOPBACK)),
    ("http://%31%32%37.0.0.1/", Err(LOOPBACK)),
    ("http://127%2e0%2E0%2e1/", Err(LOOPBACK)),
    ("http://%30x7f.1/", Err(LOOPBACK)),
    ("http://%EF%BC%9127.0.0.1/", Err(LOOPBACK)),
    ("http://[::1]/", Err(LOOPBACK)),
    ("http://[::1]:8080/", Err(LOOPBACK)),
    ("http://[0:0:0:0:0:0:0:1]/", Err(LOOPBACK)),
    ("http://[0000:0000:0000:0000:0000:0000:0000:0001]/", Err(LOOPBACK)),
    ("http://[::0.0.0.1]/", Err(LOOPBACK)),
    ("http://[::ffff:127.0.0.1]/", Err(LOOPBACK)),
    ("http://[::FFFF:7f00:1]/", Err(LOOPBACK)),
    ("http://[0:0:0:0:0:ffff:127.0.0.1]/", Err(LOOPBACK)),
    ("http://[::127.0.0.1]/", Err(LOOPBACK)),
    ("http://[::ffff:0:127.0.0.1]/", Err(LOOPBACK)),
    ("http://[64:ff9b::127.0.0.1]/", Err(LOOPBACK)),
    ("http://[2002:7f00:1::]/", Err(LOOPBACK)),
    ("http://[2001:0:7f00:1::f7f7:f7f7]/", Err(LOOPBACK)),
    ("http://[2001:0:808:808::80ff:fffe]/", Err(LOOPBACK)),
    // Other addresses that are not global.
    ("http://0/", Err(OPEN)),
    ("http://0.0.0.0/", Err(OPEN)),
    ("http://0x0/", Err(OPEN)),
    ("http://00/", Err(OPEN)),
    ("http://0.0.0.1/", Err(OPEN)),
    ("http://[::]/", Err(OPEN)),
    ("http://10.0.0.1/", Err(PRIVATE)),
    ("http://167772161/", Err(PRIVATE)),
    ("http://012.1/", Err(PRIVATE)),
    ("http://172.16.0.1/", Err(PRIVATE)),
    ("http://172.31.255.255/", Err(PRIVATE)),
    ("http://192.168.1.1/", Err(PRIVATE)),
    ("http://192.168.257/", Err(PRIVATE)),
    ("http://[::ffff:192.168.1.1]/", Err(PRIVATE)),
    ("http://169.254.169.254/latest/meta-data/", Err(METADATA)),
    ("http://2852039166/", Err(METADATA)),
    ("http://0xa9fea9fe/", Err(METADATA)),
    ("http://0251.0376.0251.0376/", Err(METADATA)),
    ("http://169.254.43518/", Err(METADATA)),
    ("http://[::ffff:a9fe:a9fe]/", Err(METADATA)),
    ("http://[64:ff9b::a9fe:a9fe]/", Err(METADATA)),
    ("http://100.64.0.1/", Err(OPEN)),
    ("http://100.100.100.200/", Err(OPEN)),
    ("http://192.0.0.192/", Err(OPEN)),
    ("http://192.0.2.1/", Err(OPEN)),
    ("http://198.18.0.1/", Err(OPEN)),
    ("http://224.0.0.1/", Err(OPEN)),
    ("http://255.255.255.255/", Err(OPEN)),
    ("http://4294967295/", Err(OPEN)),
    ("http://0xffffffff/", Err(OPEN)),
    ("http://[64:ff9b:1::1]/", Err(OPEN)),
    ("http://[100::1]/", Err(OPEN)),
    ("http://[2001:db8::1]/", Err(OPEN)),
    ("http://[3fff::1]/", Err(OPEN)),
    ("http://[5f00::1]/", Err(OPEN)),
    ("http://[4000::1]/", Err(OPEN)),
    ("http://[fc00::1]/", Err(OPEN)),
    ("http://[fd00:ec2::254]/", Err(OPEN)),
    ("http://[fe80::1]/", Err(OPEN)),
    ("http://[fec0::1]/", Err(OPEN)),
    ("http://[ff02::1]/", Err(OPEN)),
];

fn strict(text: &str) -> Result<TargetUrl, String> {
    TargetUrl::parse(text, &NetworkPolicy::default())
}

fn taken(text: &str) -> TargetUrl {
    strict(text).expect(text)
}

#[test]
fn every_form_of_the_corpus_has_its_answer() {
    assert!(CORPUS.len() >= 150);
    let mut wrong = Vec::new();
    for (text, expected) in CORPUS {
        let answer = strict(text);
        let fits = match (&answer, expected) {
            (Ok(url), Ok(kept)) => url.as_str() == *kept,
            (Err(message), Err(part)) => message.contains(part),
            _ => false,
        };
        if !fits {
            wrong.push(format!("{text:?}: {:?}, not {expected:?}", answer.map(|url| url.0)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_refused_address_is_named_with_the_flag_that_opens_it() {
    assert_eq!(
        strict("http://0x7f.1/").expect_err("loopback"),
        "127.0.0.1 is a loopback address; start the server with --allow-network 127.0.0.1/32 to allow it"
    );
    assert!(strict("http://a.localhost/").expect_err("loopback").contains("--allow-network 127.0.0.1/32"));
}

#[test]
fn an_opened_network_is_taken_in_every_notation() {
    let dev = NetworkPolicy::dev(Vec::new());
    for text in ["127.0.0.1", "127.1", "2130706433", "0177.0.0.1", "localhost", "a.localhost", "localhost.", "[::1]"] {
        assert!(TargetUrl::parse(&format!("http://{text}:8080/x"), &dev).is_ok(), "{text}");
    }
    assert!(TargetUrl::parse("http://[::ffff:127.0.0.1]/", &dev).is_ok());
    for text in ["http://10.0.0.1/", "http://[fe80::1]/", "http://0.0.0.0/", "http://localhost:0/"] {
        assert!(TargetUrl::parse(text, &dev).is_err(), "{text}");
    }
}

#[test]
fn at_most_2048_bytes_are_taken_as_given_and_as_kept() {
    let of = |path: &str, count: usize| format!("http://e/{}", path.repeat(count));
    assert!(strict(&of("a", 2_039)).is_ok());
    assert!(strict(&of("a", 2_040)).expect_err("too long").contains("2048"));
    assert!(strict(&of("é", 339)).is_ok());
    assert!(strict(&of("é", 340)).expect_err("too long once encoded").contains("2048"));
}

#[test]
fn names_have_the_lengths_of_dns() {
    let label = "a".repeat(63);
    let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
    assert!(strict(&format!("http://{longest}/")).is_ok());
    assert!(strict(&format!("http://{longest}./")).is_ok());
    assert!(strict(&format!("http://{longest}a/")).is_err());
    assert!(strict(&format!("http://{label}a/")).is_err());
}

#[test]
fn its_parts_can_be_read() {
    let parts = |text: &str| {
        let url = taken(text);
        (url.host().to_owned(), url.port_or_default(), url.is_https(), url.origin().to_owned(), url.has_query())
    };
    assert_eq!(
        parts("https://Example.com/a?b"),
        ("example.com".to_owned(), 443, true, "https://example.com".to_owned(), true)
    );
    assert_eq!(
        parts("http://example.com:8080/a:1"),
        ("example.com".to_owned(), 8080, false, "http://example.com:8080".to_owned(), false)
    );
    assert_eq!(
        parts("http://[2606:4700::1111]:81/?"),
        ("[2606:4700::1111]".to_owned(), 81, false, "http://[2606:4700::1111]:81".to_owned(), true)
    );
    assert_eq!(
        parts("http://[2606:4700::1111]"),
        ("[2606:4700::1111]".to_owned(), 80, false, "http://[2606:4700::1111]".to_owned(), false)
    );
}

#[test]
fn debug_and_messages_repeat_no_path_and_no_query() {
    let url = taken("https://hooks.example.com/services/s3cr3t?token=s3cr3t");
    assert_eq!(format!("{url:?}"), "TargetUrl(https://hooks.example.com/***)");
    for (text, _) in CORPUS {
        if let Err(message) = strict(&format!("{text}s3cr3t")) {
            assert!(!message.contains("s3cr3t"), "{text}: {message}");
        }
    }
    assert_eq!(format!("{:?}", TargetUrl::from_stored("s3cr3t".to_owned())), "TargetUrl(/***)");
}

/// An IPv4 address in the notations that URL parsers and `inet_aton` accept.
fn notations_v4(address: Ipv4Addr) -> Vec<String> {
    let bits = address.to_bits();
    let [a, b, c, d] = address.octets();
    let low16 = bits & 0xffff;
    let low24 = bits & 0xff_ffff;
    let dotted = address.to_string();
    let mapped = |digit: char, from: u32| digit.to_digit(10).and_then(|n| char::from_u32(from + n)).unwrap_or(digit);
    let mut all = vec![
        dotted.clone(),
        format!("{bits}"),
        format!("0{bits:o}"),
        format!("000{bits:o}"),
        format!("{bits:#x}"),
        format!("0X{bits:08X}"),
        format!("{a}.{low24}"),
        format!("{a}.{low24:#x}"),
        format!("0{a:o}.{b}.{low16}"),
        format!("{a}.{b}.0{low16:o}"),
        format!("0{a:o}.0{b:o}.0{c:o}.0{d:o}"),
        format!("{a:#x}.{b:#04x}.{c:#x}.{d:#X}").replace("0X", "0x"),
        format!("{a:#x}.0{b:o}.{c}.{d}"),
        dotted.chars().map(|c| mapped(c, 0xff10)).collect(),
        dotted.replace('.', "。"),
        dotted.replace('.', "%2e"),
        dotted.bytes().map(|b| format!("%{b:02X}")).collect(),
        format!("%E2%80%8B{dotted}"),
    ];
    let trailing: Vec<_> = all.iter().map(|text| format!("{text}.")).collect();
    all.extend(trailing);
    all.extend(notations_v6(address.to_ipv6_mapped()));
    all
}

/// An IPv6 address in the notations of RFC 4291.
fn notations_v6(address: Ipv6Addr) -> Vec<String> {
    let groups = address.segments();
    let join = |groups: &[String]| groups.join(":");
    let plain = groups.map(|group| format!("{group:x}"));
    let padded = groups.map(|group| format!("{group:04x}"));
    let [.., a, b, c, d] = address.octets();
    let tail = Ipv4Addr::new(a, b, c, d);
    vec![
        format!("[{address}]"),
        format!("[{}]", address.to_string().to_uppercase()),
        format!("[{}]", join(&plain)),
        format!("[{}]", join(&padded)),
        format!("[{}]", join(&padded).to_uppercase()),
        format!("[{}:{tail}]", join(&plain[..6])),
    ]
}

fn notations(address: IpAddr) -> Vec<String> {
    match address {
        IpAddr::V4(address) => notations_v4(address),
        IpAddr::V6(address) => notations_v6(address),
    }
}

/// Addresses spread evenly over the special ranges, and over all addresses too.
fn addresses() -> impl Strategy<Value = IpAddr> {
    const PREFIXES_V4: [(u32, u32); 12] = [
        (0, 8),
        (0x0a00_0000, 8),
        (0x6440_0000, 10),
        (0x7f00_0000, 8),
        (0xa9fe_0000, 16),
        (0xac10_0000, 12),
        (0xc000_0000, 24),
        (0xc000_0200, 24),
        (0xc0a8_0000, 16),
        (0xc612_0000, 15),
        (0xe000_0000, 4),
        (0xf000_0000, 4),
    ];
    const PREFIXES_V6: [(u128, u32); 9] = [
        (0, 96),
        (0xffff << 32, 96),
        (0x0064_ff9b << 96, 96),
        (0x2001 << 112, 32),
        (0x2002 << 112, 16),
        (0x2001_0db8 << 96, 32),
        (0xfc << 120, 7),
        (0xfe80 << 112, 10),
        (0xff << 120, 8),
    ];
    let v4 = |bits| IpAddr::V4(Ipv4Addr::from_bits(bits));
    let v6 = |bits| IpAddr::V6(Ipv6Addr::from_bits(bits));
    prop_oneof![
        any::<u32>().prop_map(v4),
        (prop::sample::select(&PREFIXES_V4), any::<u32>()).prop_map(move |((net, len), bits)| v4(net | bits >> len)),
        any::<u128>().prop_map(v6),
        any::<u128>().prop_map(move |bits| v6(0x2 << 124 | bits >> 4)),
        (prop::sample::select(&PREFIXES_V6), any::<u128>()).prop_map(move |((net, len), bits)| v6(net | bits >> len)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn an_address_has_the_policys_verdict_in_every_notation(address in addresses()) {
        let verdict = NetworkPolicy::default().check(address).map_err(|refused| refused.range());
        for host in notations(address) {
            let url = format!("http://{host}:8080/hook");
            match verdict {
                Ok(()) => prop_assert!(strict(&url).is_ok(), "{} is {}, which is global", url, address),
                Err(range) => {
                    let message = strict(&url).expect_err(&url);
                    prop_assert!(message.contains(range) && message.contains(OPEN), "{}: {}", url, message);
                }
            }
        }
    }

    #[test]
    fn what_is_kept_parses_to_itself(url in "(http|HTTPS)://([a-zA-Z0-9._%é-]{1,12}|[0-9x.]{1,9}|\\PC{1,6})(:[0-9]{1,5})?[/?]\\PC{0,30}") {
        let dev = NetworkPolicy::new(vec!["0.0.0.0/0".parse().expect("a network")]);
        if let Ok(once) = TargetUrl::parse(&url, &dev) {
            prop_assert_eq!(TargetUrl::parse(once.as_str(), &dev), Ok(once.clone()), "{}", url);
            prop_assert!(once.as_str().bytes().all(|b| b.is_ascii_graphic()));
            prop_assert_eq!(TargetUrl::from_stored(once.as_str().to_owned()), once);
        }
    }

    #[test]
    fn its_parts_are_those_that_the_url_parser_sees(
        url in "https?://([a-z]{1,5}(\\.[a-z]{1,5}){0,2}|8\\.8\\.8\\.8|\\[2606::[1-9]\\])(:[1-9][0-9]{0,3})?(/[a-z:@/]{0,9})?(\\?[a-z:@/?]{0,9})?"
    ) {
        if let Ok(target) = strict(&url) {
            let parsed = Url::parse(&url).expect("valid");
            prop_assert_eq!(Some(target.host()), parsed.host_str());
            prop_assert_eq!(Some(target.port_or_default()), parsed.port_or_known_default());
            prop_assert_eq!(target.origin(), parsed.origin().ascii_serialization());
            prop_assert_eq!(target.is_https(), parsed.scheme() == "https");
            prop_assert_eq!(target.has_query(), parsed.query().is_some());
        }
    }

    #[test]
    fn any_text_is_answered_and_what_is_taken_is_plain(text in any::<String>(), prefix in "(https?://)?[a-z0-9:@\\[\\]]{0,6}") {
        for text in [text.clone(), format!("{prefix}{text}")] {
            if let Ok(url) = strict(&text) {
                prop_assert!(url.as_str().starts_with("http") && !url.host().is_empty() && !url.host().contains('@'));
                prop_assert!(url.as_str().len() <= MAX_URL_BYTES);
            }
        }
    }
}
