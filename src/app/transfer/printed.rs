//! What an import prints. The document and a server's answer come from elsewhere, and must not control the terminal.

use super::failed;
use crate::api::ImportReport;
use crate::error::{Error, FieldError, MAX_FIELD_ERRORS};
use crate::process::harmless::harmless;

/// The error with each of its errors of fields on a line of its own.
pub fn with_lines(error: &Error) -> Error {
    match error.field_errors() {
        [] => error.clone(),
        faults => failed(format!("nothing was imported: {}", lines(faults))),
    }
}

fn lines(faults: &[FieldError]) -> String {
    let line = |fault: &FieldError| harmless(format!("{} {}", fault.field, fault.message).trim_start());
    match faults {
        [one] => line(one),
        many => {
            let lines: Vec<String> = many.iter().map(|fault| format!("\n  {}", line(fault))).collect();
            // The last of so many says how many there are besides.
            let first = if many.len() >= MAX_FIELD_ERRORS { "the first " } else { "" };
            format!("{first}{} errors{}", many.len(), lines.concat())
        }
    }
}

/// What was imported, for people.
pub fn for_people(report: &ImportReport) -> String {
    let count = |number: usize, what: &str| format!("{number} {what}{}", if number == 1 { "" } else { "s" });
    let (accounts, destinations) = (count(report.accounts, "account"), count(report.destinations, "destination"));
    let mut text = format!("imported {accounts} with {destinations}\n");
    for account in &report.skipped {
        text.push_str(&format!(
            "skipped {}: {}\n",
            harmless(&account.account_id),
            harmless(&account.reasons.join("; "))
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_has_a_line_of_its_own() {
        let one = FieldError::new("accounts[0].email", "is taken");
        let two = FieldError::new("", "The body must be an object.");
        let shown = |faults: Vec<FieldError>| with_lines(&Error::invalid(faults)).detail().to_owned();
        assert_eq!(shown(vec![one.clone()]), "nothing was imported: accounts[0].email is taken");
        assert_eq!(
            shown(vec![one, two]),
            "nothing was imported: 2 errors\n  accounts[0].email is taken\n  The body must be an object."
        );
        assert_eq!(with_lines(&failed("no")).detail(), "no");
        let hostile = FieldError::new("accounts[0].\u{1b}]0;pwned\u{7}", "is not a field\nerror: more");
        assert_eq!(
            shown(vec![hostile]),
            "nothing was imported: accounts[0].\\u{1b}]0;pwned\\u{7} is not a field\\nerror: more"
        );
    }
}
