use proptest::prelude::*;

use super::*;

const WHOLE: &[usize] = &[];

/// What ureq sees of a response whose bytes come in pieces, divided at `cuts`.
fn seen(answers: &mut Answers, wire: &[u8], cuts: &[usize]) -> (Vec<u8>, bool) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % (wire.len() + 1)).collect();
    cuts.extend([0, wire.len()]);
    cuts.sort_unstable();
    let mut out = Vec::new();
    for pair in cuts.windows(2) {
        let (piece, before) = (&wire[pair[0]..pair[1]], out.len());
        let taken = answers.take(piece, &mut |bytes| out.extend_from_slice(bytes));
        assert!(out.len() - before <= piece.len() + MAX_HELD_BYTES);
        if taken.is_err() {
            return (out, false);
        }
    }
    (out, true)
}

fn first(wire: &[u8]) -> (String, Answers) {
    let mut answers = Answers::default();
    answers.expect();
    let (out, _) = seen(&mut answers, wire, WHOLE);
    (String::from_utf8_lossy(&out).into_owned(), answers)
}

prop_compose! {
    fn interim()(status in prop_oneof![Just(100), Just(102), Just(103), Just(199)], fields in fields(), end in line_end()) -> Vec<u8> {
        format!("HTTP/1.1 {status} Whatever{end}{}{end}", fields.replace('\n', end)).into_bytes()
    }
}

fn fields() -> impl Strategy<Value = String> {
    "(([a-zA-Z-]{1,12}|link|content-length): ?[!-~]{0,20}\n){0,4}"
}

fn line_end() -> impl Strategy<Value = &'static str> {
    prop_oneof![Just("\r\n"), Just("\n")]
}

proptest! {
    #[test]
    fn interim_answers_go_and_the_answer_passes_however_the_bytes_are_cut(
        interim in prop::collection::vec(interim(), 0..4),
        ahead in "(\r\n){0,2}",
        status in prop_oneof![Just(101_u16), 200..600_u16],
        fields in fields(),
        end in line_end(),
        body in prop::collection::vec(any::<u8>(), 0..50),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let answer = format!("HTTP/1.1 {status} OK{end}{}{end}", fields.replace('\n', end)).into_bytes();
        let answer = [answer, body].concat();
        let wire = [ahead.into_bytes(), interim.concat(), answer.clone()].concat();
        let mut answers = Answers::default();
        answers.expect();
        prop_assert_eq!(seen(&mut answers, &wire, &cuts), (answer, true));
        prop_assert_eq!((answers.status(), answers.has_head(), answers.is_spoilt()), (Some(status), true, false));
    }

    #[test]
    fn chunks_are_rewritten_behind_any_head_that_says_chunked(
        name in "[tT]ransfer-[eE]ncoding", blank in "[ \t]{0,3}",
        coding in prop_oneof![Just("chunked"), Just("Chunked"), Just("gzip, chunked"), Just("chunked,x")],
        other in fields(),
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let head = format!("HTTP/1.1 200 OK\r\n{}{name}:{blank}{coding}{blank}\r\n\r\n", other.replace('\n', "\r\n"));
        let wire = format!("{head}005;{}\r\nhello\r\n0;x=y\r\nt: u\r\n\r\n", "x".repeat(50));
        let mut answers = Answers::default();
        answers.expect();
        let expected = format!("{head}5\r\nhello\r\n0\r\n\r\n").into_bytes();
        prop_assert_eq!(seen(&mut answers, wire.as_bytes(), &cuts), (expected, true));
    }

    #[test]
    fn whatever_comes_is_seen_alike_however_it_is_cut(
        wire in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60),
            "(\r\n|HTTP/1|HTTP/1.1 (100|103|200|204|2x0|101)|transfer-encoding: chunked|\r\n\r\n|[0-3]\r\n| |a){0,12}"
                .prop_map(String::into_bytes),
        ],
        before in prop_oneof![Just(200_u16), Just(204)],
        cuts in prop::collection::vec(any::<usize>(), 0..20),
    ) {
        let kept = || {
            let mut answers = Answers::default();
            answers.expect();
            seen(&mut answers, format!("HTTP/1.1 {before} OK\r\n\r\n").as_bytes(), WHOLE);
            answers.expect();
            answers
        };
        let (mut cut, mut whole) = (kept(), kept());
        prop_assert_eq!(seen(&mut cut, &wire, &cuts), seen(&mut whole, &wire, WHOLE));
        prop_assert_eq!(
            (cut.status(), cut.has_begun(), cut.is_final(), cut.is_spoilt()),
            (whole.status(), whole.has_begun(), whole.is_final(), whole.is_spoilt())
        );
    }
}

#[test]
fn what_is_not_http_passes_as_soon_as_that_is_known() {
    for wire in ["hello", "SSH-2.0-x", "HTTP/2 200", "HTTP/1.1 2x0 OK", "HTTP/1.1_200 OK"] {
        let (out, answers) = first(wire.as_bytes());
        assert_eq!((out.as_str(), answers.is_final(), answers.status()), (wire, true, None), "{wire}");
    }
    let (out, answers) = first(b"HTTP/1.1 20");
    assert_eq!((out.as_str(), answers.has_begun(), answers.is_final()), ("", true, false));
}

#[test]
fn chunks_are_left_alone_where_ureq_reads_none() {
    for head in [
        "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx-transfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 204 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunkedly\r\n\r\n",
    ] {
        let wire = format!("{head}5;x\r\nhello\r\n");
        assert_eq!(first(wire.as_bytes()).0, wire);
    }
}

#[test]
fn what_comes_late_behind_an_answer_without_a_body_is_passed_over() {
    for (status, late, found) in [
        (204, "late body", true),
        (204, "HTTP/1", true),
        (304, "{\"a\":\"HTTP/\"}", true),
        (204, "", true),
        (200, "late body", false),
    ] {
        let (_, mut answers) = first(format!("HTTP/1.1 {status} OK\r\n\r\n").as_bytes());
        answers.expect();
        let answer = "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n";
        let (out, _) = seen(&mut answers, format!("{late}{answer}").as_bytes(), WHOLE);
        assert_eq!(out == answer.as_bytes(), found, "{status} {late}");
        assert_eq!(answers.is_spoilt(), found && !late.is_empty(), "{status} {late}");
    }
    let (_, mut answers) = first(b"HTTP/1.1 204 OK\r\n\r\n");
    answers.expect();
    seen(&mut answers, b"late HT", WHOLE);
    assert!(!answers.has_begun(), "that was nothing of an answer to this request");
}

#[test]
fn what_comes_late_is_not_passed_over_for_ever() {
    let (_, mut answers) = first(b"HTTP/1.1 204 OK\r\n\r\n");
    answers.expect();
    seen(&mut answers, &vec![b'x'; MAX_LATE_BYTES + 10], WHOLE);
    assert!(answers.is_final() && answers.status().is_none());
}
