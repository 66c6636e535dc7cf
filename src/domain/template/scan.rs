//! Finds the parts of a JSON document in its bytes, without a tree.
//!
//! The documents were checked when they were accepted. What is not JSON gives parts that end too early, never a panic.

/// Index of the first byte from `at` that is no white space.
pub(super) fn skip_space(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    at + rest.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')).unwrap_or(rest.len())
}

/// Index after the string that begins at `at`.
pub(super) fn string_end(bytes: &[u8], at: usize) -> usize {
    let mut at = at + 1;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        match rest.iter().position(|byte| matches!(byte, b'"' | b'\\')) {
            Some(found) if rest[found] == b'"' => return at + found + 1,
            Some(escape) => at += escape + 2,
            None => return bytes.len(),
        }
    }
}

/// Index after the number, `true`, `false` or `null` that begins at `at`.
fn scalar_end(bytes: &[u8], at: usize) -> usize {
    let rest = bytes.get(at..).unwrap_or_default();
    let is_end = |byte: &u8| matches!(byte, b',' | b':' | b']' | b'}' | b' ' | b'\t' | b'\n' | b'\r');
    at + rest.iter().position(is_end).unwrap_or(rest.len())
}

/// Index after the value that begins at `at`.
pub(super) fn value_end(bytes: &[u8], at: usize) -> usize {
    let mut end = bytes.len();
    values(bytes, at, |start, after| {
        if start == at {
            end = after;
        }
    });
    end
}

/// Calls `found` with the beginning and the index after the value at `at` and after all values and keys inside. Inner
/// ones come first.
pub(super) fn values(bytes: &[u8], at: usize, mut found: impl FnMut(usize, usize)) {
    let mut open = Vec::new();
    let mut at = at;
    while let Some(byte) = bytes.get(at) {
        let start = at;
        match byte {
            b'{' | b'[' => {
                open.push(at);
                at += 1;
                continue;
            }
            b',' | b':' | b' ' | b'\t' | b'\n' | b'\r' => {
                at += 1;
                continue;
            }
            b'}' | b']' => {
                at += 1;
                found(open.pop().unwrap_or(start), at);
            }
            b'"' => {
                at = string_end(bytes, at);
                found(start, at);
            }
            _ => {
                at = scalar_end(bytes, at);
                found(start, at);
            }
        }
        if open.is_empty() {
            return;
        }
    }
}

/// Index of the first item after the `[` or `{` at `at`. `None` if there is none.
pub(super) fn first(bytes: &[u8], at: usize) -> Option<usize> {
    let item = skip_space(bytes, at + 1);
    (!matches!(bytes.get(item), None | Some(b']' | b'}'))).then_some(item)
}

/// Index of the item after the one that ends at `end`. `None` if that was the last one.
pub(super) fn next(bytes: &[u8], end: usize) -> Option<usize> {
    let comma = skip_space(bytes, end);
    (bytes.get(comma) == Some(&b',')).then(|| skip_space(bytes, comma + 1)).filter(|item| *item < bytes.len())
}

/// Index of the value of the key that begins at `key`.
pub(super) fn value_of(bytes: &[u8], key: usize) -> usize {
    let colon = skip_space(bytes, string_end(bytes, key));
    skip_space(bytes, colon + 1)
}
