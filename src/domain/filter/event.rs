//! The event that filters are asked about.

/// What a filter is asked about.
#[derive(Debug, Clone, Copy)]
pub struct FilteredEvent<'a> {
    /// The document, which was checked: JSON in UTF-8 without lone surrogates. Of other bytes a filter finds nothing, or
    /// something; it does not fail.
    pub document: &'a [u8],
    /// The type, if the event has one.
    pub event_type: Option<&'a str>,
    /// When it was received, in RFC 3339.
    pub received_at: &'a str,
    /// The account that it is for.
    pub account_id: &'a str,
}
