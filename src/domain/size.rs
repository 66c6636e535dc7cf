//! Reads sizes in bytes as people write them: `1048576`, `512KiB`, `1MiB`, `10MB`, `2GiB`.

use crate::error::beginning;

const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// Reads a whole number of bytes, or of a unit: `KB`, `MB`, `GB`, `KiB`, `MiB`, `GiB`, without regard to case. White
/// space may stand before the unit.
///
/// # Errors
/// A sentence that says what would be right.
pub fn parse(text: &str) -> Result<u64, String> {
    let wrong = || {
        let given = beginning(text);
        format!("`{given}` is not a size; write bytes, or a whole number and a unit, such as 1MiB, 1MB or 1048576")
    };
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| wrong())?;
    let unit = unit.trim_start();
    let (_, bytes) = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or_else(wrong)?;
    number.checked_mul(*bytes).ok_or_else(wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_read_as_people_write_them() {
        for (text, bytes) in [
            ("0", 0),
            ("1048576", 1 << 20),
            ("1MiB", 1 << 20),
            ("1 mib", 1 << 20),
            ("1MB", 1_000_000),
            ("256MiB", 256 << 20),
            ("2GiB", 2 << 30),
            ("10B", 10),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn other_texts_are_no_sizes() {
        for text in ["", "MiB", "-1", "1.5MiB", "1M", "1 TB", "99999999999999999999", "20000000000GiB", "1MiB "] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
