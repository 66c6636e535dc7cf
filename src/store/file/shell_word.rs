//! Quotes paths in command lines that people paste into a shell.

use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Characters, besides letters and digits, that mean nothing to a shell.
const PLAIN: &[u8] = b"/._-+,:@%=";

/// A path as one word of a POSIX shell, and always on one line.
pub fn word(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    match path.to_str() {
        Some(text) if text.chars().any(char::is_control) => escaped(bytes),
        None => escaped(bytes),
        Some(text)
            if !bytes.is_empty() && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || PLAIN.contains(byte)) =>
        {
            text.to_owned()
        }
        Some(text) => format!("'{}'", text.replace('\'', "'\\''")),
    }
}

/// Has the shell make what cannot be written in one line: control characters, or bytes that are not UTF-8.
fn escaped(bytes: &[u8]) -> String {
    let made: String = bytes
        .iter()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"/._-".contains(byte) => char::from(*byte).to_string(),
            byte => format!("\\{byte:03o}"),
        })
        .collect();
    format!("\"$(printf '{made}')\"")
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_shell_reads_the_very_path_from_one_line() {
        let names: [&[u8]; 8] = [
            b"/plain/x.db-wal",
            b"a b",
            b"it's \"quoted\"",
            b"$HOME;`id`&|<>*?\\#~",
            "Größe".as_bytes(),
            b"not-\xff-utf8%s",
            b"tab\tand\nline'%\\",
            b"",
        ];
        for name in names {
            let word = word(Path::new(OsStr::from_bytes(name)));
            assert!(!word.contains('\n'), "{word}");
            let said = Command::new("sh").arg("-c").arg(format!("printf %s {word}")).output().unwrap();
            assert_eq!(said.stdout, name, "{word}");
        }
        assert_eq!(word(Path::new("/plain/x.db-wal")), "/plain/x.db-wal");
    }
}
