//! Invisible characters. A name or an address may hold nothing that a reader cannot see.

/// Characters of Unicode 17.0 without a visible glyph, as sorted ranges. Each has the general category `Cf` or is a
/// line or paragraph separator (UnicodeData.txt), or has the property `Default_Ignorable_Code_Point`
/// (DerivedCoreProperties.txt). The bidirectional controls (`Bidi_Control`, PropList.txt) are among them. Characters of
/// `Cf` that are visible (`Prepended_Concatenation_Mark`), such as the Arabic number sign U+0600, are left out.
const INVISIBLE: [(char, char); 18] = [
    ('\u{ad}', '\u{ad}'),
    ('\u{34f}', '\u{34f}'),
    ('\u{61c}', '\u{61c}'),
    ('\u{115f}', '\u{1160}'),
    ('\u{17b4}', '\u{17b5}'),
    ('\u{180b}', '\u{180f}'),
    ('\u{200b}', '\u{200f}'),
    ('\u{2028}', '\u{202e}'),
    ('\u{2060}', '\u{206f}'),
    ('\u{3164}', '\u{3164}'),
    ('\u{fe00}', '\u{fe0f}'),
    ('\u{feff}', '\u{feff}'),
    ('\u{ffa0}', '\u{ffa0}'),
    ('\u{fff0}', '\u{fffb}'),
    ('\u{13430}', '\u{1343f}'),
    ('\u{1bca0}', '\u{1bca3}'),
    ('\u{1d173}', '\u{1d17a}'),
    ('\u{e0000}', '\u{e0fff}'),
];

/// Zero width non-joiner and joiner. Persian and Indic scripts need both for spelling. The joiner also makes one emoji
/// of several.
const JOINERS: [char; 2] = ['\u{200c}', '\u{200d}'];

/// Selects the emoji form of the character before it.
const EMOJI_FORM: char = '\u{fe0f}';

fn is_invisible(c: char) -> bool {
    INVISIBLE
        .binary_search_by(|(first, last)| {
            if *last < c {
                std::cmp::Ordering::Less
            } else if *first > c {
                std::cmp::Ordering::Greater
            } else {
                std::cmp::Ordering::Equal
            }
        })
        .is_ok()
}

/// Whether `c` is a variation selector, which selects a form of the character before it.
fn is_variation(c: char) -> bool {
    ('\u{fe00}'..='\u{fe0f}').contains(&c)
}

fn is_seen(c: char) -> bool {
    !is_invisible(c) && !c.is_whitespace() && !c.is_control()
}

/// Checks an address, which may have no invisible character.
///
/// # Errors
/// Names the first invisible character.
pub fn check_address(text: &str) -> Result<(), String> {
    match text.chars().find(|c| is_invisible(*c)) {
        Some(c) => Err(format!("must have no invisible characters, and has {}", code_point(c))),
        None => Ok(()),
    }
}

/// Checks a name. Joiners may stand between visible characters, and variation selectors after one. In these places they
/// change how a name looks, so they cannot make two different names look the same.
///
/// # Errors
/// Names the first invisible character that stands elsewhere or is of another kind.
pub fn check_name(text: &str) -> Result<(), String> {
    let mut before = None;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        let after = chars.peek().copied();
        // True if the character before is a variation selector.
        let formed = before.is_some_and(is_variation);
        let behind_seen = before.is_some_and(is_seen);
        if JOINERS.contains(&c) {
            if !((behind_seen || formed) && after.is_some_and(is_seen)) {
                return Err(misplaced(c));
            }
        } else if is_variation(c) {
            if !(behind_seen && (after.is_some() || c == EMOJI_FORM)) {
                return Err(misplaced(c));
            }
        } else if is_invisible(c) {
            return Err(format!("must have no invisible characters, and has {}", code_point(c)));
        }
        before = Some(c);
    }
    Ok(())
}

fn misplaced(c: char) -> String {
    format!("has the invisible character {} where it changes nothing that is seen", code_point(c))
}

fn code_point(c: char) -> String {
    format!("U+{:04X}", u32::from(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ranges_are_in_their_order_and_apart() {
        assert!(INVISIBLE.iter().all(|(first, last)| first <= last));
        assert!(INVISIBLE.windows(2).all(|pair| pair[0].1 < pair[1].0));
    }

    #[test]
    fn what_is_invisible_is_refused_by_its_code_point() {
        for (c, code) in [
            ('\u{ad}', "U+00AD"),
            ('\u{61c}', "U+061C"),
            ('\u{180e}', "U+180E"),
            ('\u{200b}', "U+200B"),
            ('\u{200e}', "U+200E"),
            ('\u{2028}', "U+2028"),
            ('\u{202e}', "U+202E"),
            ('\u{2060}', "U+2060"),
            ('\u{2066}', "U+2066"),
            ('\u{3164}', "U+3164"),
            ('\u{feff}', "U+FEFF"),
            ('\u{fffb}', "U+FFFB"),
            ('\u{1d173}', "U+1D173"),
            ('\u{e0041}', "U+E0041"),
            ('\u{e0100}', "U+E0100"),
        ] {
            for text in [format!("{c}ab"), format!("a{c}b"), format!("ab{c}")] {
                for checked in [check_name(&text), check_address(&text)] {
                    let message = checked.unwrap_err();
                    assert!(message.contains(code) && message.contains("invisible"), "{message}");
                }
            }
        }
    }

    #[test]
    fn what_is_seen_is_taken() {
        for text in
            ["", "Ada Lovelace", "Zo\u{eb}", "Zoe\u{308}", "\u{5d0}\u{5d1}", "\u{600}\u{661}", "\u{1f600}", "a\u{a0}b"]
        {
            assert_eq!((check_name(text), check_address(text)), (Ok(()), Ok(())), "{text}");
        }
    }

    #[test]
    fn a_name_may_have_what_its_script_or_an_emoji_needs() {
        for name in [
            "\u{645}\u{6cc}\u{200c}\u{62e}\u{648}\u{627}\u{647}\u{645}",
            "\u{915}\u{94d}\u{200d}\u{937}",
            "\u{1f469}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "I \u{2764}\u{fe0f}",
            "\u{2764}\u{fe0f} you",
            "1\u{fe0f}\u{20e3}",
            // The joiner follows an emoji whose form was selected.
            "\u{1f3f3}\u{fe0f}\u{200d}\u{1f308}",
            "\u{845b}\u{fe00}\u{57ce}",
        ] {
            assert_eq!(check_name(name), Ok(()), "{name}");
            assert!(check_address(name).is_err(), "{name}");
        }
    }

    #[test]
    fn where_it_changes_nothing_that_is_seen_it_is_refused_in_a_name_too() {
        for name in [
            "\u{200c}a",
            "a\u{200d}",
            "\u{fe0f}a",
            "\u{fe0f}",
            "a\u{fe00}",
            "a\u{200d}\u{200d}b",
            "a\u{200c}\u{200d}b",
            "a\u{fe0f}\u{fe0f}b",
            "a\u{200d}\u{fe0f}b",
            "a\u{fe0f}\u{200d}",
            "a \u{200d}b",
            "a\u{200d} b",
            "a \u{fe0f}b",
        ] {
            let message = check_name(name).unwrap_err();
            assert!(message.contains("U+") && message.contains("invisible"), "{name:?}: {message}");
        }
    }
}
