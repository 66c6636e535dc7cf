//! HTTP messages as the generator and the receiver write and read them. Only the part of HTTP that both need, at low
//! cost.

/// Default length of an event's body, in bytes.
pub const BODY: usize = 310;

/// Begin of a body. The event's number follows, in [`DIGITS`] digits.
const MARK: &[u8] = br#"{"id":""#;

const DIGITS: usize = 10;

/// The body of event 0, `length` bytes long.
pub fn body(length: usize) -> Vec<u8> {
    let mut body = MARK.to_vec();
    body.extend_from_slice(&[b'0'; DIGITS]);
    body.extend_from_slice(
        br#"","kind":"order.paid","total":19.90,"customer":{"name":"Ada","tags":["new","eu"]},"text":""#,
    );
    let end = br#""}"#;
    while body.len() < length - end.len() {
        body.push(b"fan out "[body.len() % 8]);
    }
    body.extend_from_slice(end);
    body
}

/// Writes `number` into a message that ends with a body from [`body`] of `body` bytes.
pub fn set_number(message: &mut [u8], body: usize, mut number: u64) {
    let at = message.len() - body + MARK.len();
    for digit in message[at..at + DIGITS].iter_mut().rev() {
        *digit = b'0' + (number % 10) as u8;
        number /= 10;
    }
}

/// The number in a body.
pub fn number(body: &[u8]) -> Option<u64> {
    let digits = body.strip_prefix(MARK)?.get(..DIGITS)?;
    digits.iter().all(u8::is_ascii_digit).then(|| digits.iter().fold(0, |n, digit| n * 10 + u64::from(digit - b'0')))
}

/// A POST of event 0, with a body of `body` bytes.
pub fn request(host: &str, path: &str, token: Option<&str>, body: usize) -> Vec<u8> {
    let token = token.map(|token| format!("cl-xtoken: {token}\r\n")).unwrap_or_default();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n{token}content-length: {body}\r\n\r\n"
    );
    [head.as_bytes(), &self::body(body)].concat()
}

/// Begin and end of a message's body, once the message is complete.
pub fn extent(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut length = 0;
    let mut line = 0;
    loop {
        let end = line + bytes.get(line..)?.iter().position(|byte| *byte == b'\n')?;
        let text = bytes[line..end].strip_suffix(b"\r").unwrap_or(&bytes[line..end]);
        line = end + 1;
        if text.is_empty() {
            break;
        }
        if let Some(value) = content_length(text) {
            length = value;
        }
    }
    (bytes.len() >= line + length).then_some((line, line + length))
}

fn content_length(line: &[u8]) -> Option<usize> {
    const NAME: &[u8] = b"content-length:";
    let (name, value) = line.split_at_checked(NAME.len())?;
    name.eq_ignore_ascii_case(NAME).then(|| std::str::from_utf8(value).ok()?.trim().parse().ok())?
}

/// The number behind the first slash, which tells the places of a receiver apart.
pub fn place(head: &[u8]) -> usize {
    let digits = head.iter().skip_while(|byte| **byte != b'/').skip(1).take_while(|byte| byte.is_ascii_digit());
    digits.fold(0, |number, digit| number * 10 + usize::from(digit - b'0'))
}
