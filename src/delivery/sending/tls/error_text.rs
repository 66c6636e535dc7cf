//! Describes for people why a handshake failed, and what they have to do. Nothing here decides what is trusted.

use std::cell::RefCell;
use std::io;
use std::sync::Arc;

use rustls::client::ResolvesClientCert;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{AlertDescription, CertificateError, Error, InvalidMessage, PeerIncompatible, SignatureScheme, sign};
use webpki::EndEntityCert;

use crate::delivery::sending::transport::failure::Failure;
use crate::domain::delivery::ErrorClass;
use crate::domain::time::Timestamp;

const CA_FILE: &str = "`--ca-file` (DATA_PUSHER_CA_FILE)";

/// Most host names of a certificate that a description lists.
const NAMES: usize = 3;

/// What rustls does not return about a handshake. Its hooks belong to the shared configuration, so they leave notes for
/// the thread that makes the handshake.
#[derive(Debug, Default)]
struct Seen {
    /// Why a chain leads to no trusted root.
    unknown: Option<String>,
    /// Whether the receiver asked for a client certificate.
    asked: bool,
}

thread_local! {
    static SEEN: RefCell<Seen> = RefCell::default();
}

/// What is known of a connection's handshake, to describe its errors.
pub struct Notes {
    host: String,
    /// Whether the receiver asked for a client certificate. `None` until the handshake is done; after that, other
    /// threads use the connection.
    asked: Option<bool>,
}

impl Notes {
    /// For a handshake with this host, which must begin on this thread now.
    pub fn of(name: &ServerName<'_>) -> Self {
        SEEN.take();
        Self { host: name.to_str().into_owned(), asked: None }
    }

    /// The handshake is done. With TLS 1.3 the receiver can still refuse it afterwards.
    pub fn done(&mut self) {
        self.asked = Some(SEEN.with_borrow(|seen| seen.asked));
    }

    /// Describes an error of TLS.
    pub fn words(&self, error: &Error) -> String {
        let host = &self.host;
        match error {
            Error::InvalidCertificate(error) => certificate(error, host),
            Error::AlertReceived(alert) => self.alert(*alert),
            Error::InvalidMessage(InvalidMessage::InvalidContentType | InvalidMessage::UnknownProtocolVersion) => {
                "the receiver speaks no TLS at this port; if it speaks plain HTTP, the URL must begin with http://"
                    .to_owned()
            }
            Error::PeerIncompatible(PeerIncompatible::ServerDoesNotSupportTls12Or13) => old_version(),
            Error::PeerIncompatible(why) => {
                format!(
                    "the receiver's TLS has nothing in common with this one ({why:?}); give it TLS 1.2 or 1.3 with typical ciphers"
                )
            }
            Error::NoCertificatesPresented => {
                "the receiver presents no certificate; give it one for this host".to_owned()
            }
            error => format!("the receiver's TLS is not valid ({error}); look at its TLS settings and log"),
        }
    }

    /// Describes an alert with which the receiver ended the connection.
    fn alert(&self, alert: AlertDescription) -> String {
        use AlertDescription as Is;
        let host = &self.host;
        let asked = self.asked.unwrap_or_else(|| SEEN.with_borrow(|seen| seen.asked));
        match alert {
            Is::CertificateRequired => needs_certificate(),
            Is::HandshakeFailure | Is::BadCertificate | Is::UnknownCA | Is::AccessDenied | Is::CertificateUnknown
                if asked =>
            {
                needs_certificate()
            }
            Is::ProtocolVersion | Is::InsufficientSecurity => old_version(),
            Is::UnrecognisedName => {
                format!("the receiver knows no host `{host}`; correct the URL, or the receiver's TLS settings")
            }
            alert => {
                format!("the receiver ended the TLS connection (alert {alert:?}); look at its TLS settings and log")
            }
        }
    }
}

fn needs_certificate() -> String {
    "the receiver asks for a client certificate, and Data Pusher has none; let it take this URL without one, and check the \
     signature of deliveries instead"
        .to_owned()
}

fn old_version() -> String {
    "the receiver speaks no version of TLS from 1.2 on; give it TLS 1.2 or 1.3".to_owned()
}

/// Describes what is wrong with a certificate.
fn certificate(error: &CertificateError, host: &str) -> String {
    use CertificateError as Is;
    match error {
        Is::ExpiredContext { not_after, .. } => {
            format!("the receiver's certificate has expired ({}); renew it there", day(*not_after))
        }
        Is::Expired => "the receiver's certificate has expired; renew it there".to_owned(),
        Is::NotValidYetContext { not_before, .. } => format!(
            "the receiver's certificate is not valid before {}; check the clocks of this machine and of whoever made it",
            day(*not_before)
        ),
        Is::NotValidForNameContext { presented, .. } => {
            let names: Vec<&str> = presented.iter().take(NAMES).map(|name| bare(name)).collect();
            let names = if names.is_empty() { "no host".to_owned() } else { names.join(", ") };
            format!(
                "the receiver's certificate is for {names} and not for {host}; correct the host in the URL, or have the \
                 receiver present a certificate for it"
            )
        }
        Is::NotValidForName => format!("the receiver's certificate is not for {host}; correct the URL or the certificate"),
        Is::UnknownIssuer => {
            let noted = SEEN.with_borrow_mut(|seen| seen.unknown.take());
            noted.unwrap_or_else(|| format!("nobody who is trusted vouches for the receiver's certificate; see {CA_FILE}"))
        }
        Is::BadSignature => "the receiver's certificate does not fit what signed it; have its chain made anew".to_owned(),
        Is::InvalidPurpose | Is::InvalidPurposeContext { .. } => {
            "the receiver's certificate is not for servers; give it one with the purpose serverAuth".to_owned()
        }
        Is::Other(other) if other.0.to_string().contains("CaUsedAsEndEntity") => {
            "the receiver presents the certificate of an authority as its own; give it one that the authority has signed"
                .to_owned()
        }
        error => format!("the receiver's certificate is not valid ({error:?}); have it made anew"),
    }
}

/// The time of a certificate as text.
fn day(at: UnixTime) -> String {
    let millis = i64::try_from(at.as_secs()).unwrap_or_default().saturating_mul(1_000);
    Timestamp::from_millis(millis).to_string()
}

/// The host name in `DnsName("example.com")`, as people write it.
fn bare(name: &str) -> &str {
    let inside = name.split_once('(').map_or(name, |(_, rest)| rest.trim_end_matches(')'));
    inside.trim_matches('"')
}

/// Notes why a chain leads to no trusted root. The next description on this thread uses the note.
pub fn note_unknown(end_entity: &CertificateDer<'_>, intermediates: &[CertificateDer<'_>]) {
    let why = EndEntityCert::try_from(end_entity).map_or_else(
        |_| format!("the receiver's certificate cannot be read; see {CA_FILE}"),
        |certificate| {
            let issuer = common_name(certificate.issuer());
            let of = issuer.map_or_else(String::new, |issuer| format!(" ({issuer})"));
            if certificate.issuer() == certificate.subject() {
                format!(
                    "the receiver's certificate is signed by itself; if it is meant to be, give it with {CA_FILE}, else have \
                     it signed by an authority"
                )
            } else if intermediates.is_empty() {
                format!(
                    "the receiver sends its certificate without the one that signed it{of}; have it send its whole chain, or, \
                     if that is a private authority's, give it with {CA_FILE}"
                )
            } else {
                format!(
                    "the receiver's certificate is from an authority that is not known{of}; if it is a private one, give its \
                     certificate with {CA_FILE}"
                )
            }
        },
    );
    SEEN.with_borrow_mut(|seen| seen.unknown = Some(why));
}

/// The common name in an encoded name, or else the organization.
fn common_name(name: &[u8]) -> Option<String> {
    let find = |kind: u8| {
        let at = name.windows(5).position(|window| window == [0x06, 0x03, 0x55, 0x04, kind])? + 5;
        // The value must be a short string whose type is ASCII or UTF-8.
        let (0x0c | 0x13 | 0x16, length @ 1..=127) = (*name.get(at)?, *name.get(at + 1)?) else { return None };
        let text = std::str::from_utf8(name.get(at + 2..at + 2 + usize::from(length))?).ok()?;
        Some(text.chars().filter(|character| !character.is_control()).take(64).collect())
    };
    find(0x03).or_else(|| find(0x0a))
}

/// Gives no client certificate, and notes that one was asked for.
#[derive(Debug)]
pub struct NoCertificate;

impl ResolvesClientCert for NoCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<sign::CertifiedKey>> {
        SEEN.with_borrow_mut(|seen| seen.asked = true);
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

/// The handshake reached its timeout.
pub fn too_slow(heard: bool) -> Failure {
    let where_ = if heard { "the receiver stopped in the middle of it" } else { NOTHING };
    Failure::new(ErrorClass::Timeout, format!("no TLS handshake within the time: {where_}"))
}

/// The connection broke in the handshake.
pub fn broken(error: &io::Error, heard: bool) -> Failure {
    let why = match error.kind() {
        io::ErrorKind::UnexpectedEof => "the connection was closed".to_owned(),
        _ => format!("the connection broke ({error})"),
    };
    let where_ = if heard { "look at the receiver's TLS settings and log" } else { NOTHING };
    Failure::new(ErrorClass::Reset, format!("{why} in the TLS handshake: {where_}"))
}

const NOTHING: &str = "nothing came from the receiver; check that it speaks TLS at this port";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_as_people_write_them() {
        assert_eq!(bare("DnsName(\"*.example.com\")"), "*.example.com");
        assert_eq!(bare("IpAddress(127.0.0.1)"), "127.0.0.1");
        assert_eq!(bare("odd"), "odd");
    }

    #[test]
    fn the_issuer_is_told_by_its_common_name_or_its_organization() {
        let name = |kind: u8, text: &str| {
            let length = u8::try_from(text.len()).unwrap();
            [&[0x30, 0, 0x06, 0x03, 0x55, 0x04, kind, 0x0c, length], text.as_bytes()].concat()
        };
        assert_eq!(common_name(&name(0x03, "Acme Root")), Some("Acme Root".to_owned()));
        assert_eq!(common_name(&name(0x0a, "Acme")), Some("Acme".to_owned()));
        assert_eq!(common_name(&name(0x03, "Acme")[..11]), None);
        assert_eq!(common_name(b""), None);
    }

    #[test]
    fn no_words_are_longer_than_the_log_keeps() {
        let notes = Notes::of(&ServerName::try_from("example.com").unwrap());
        for alert in 0..=u8::MAX {
            assert!(notes.words(&Error::AlertReceived(AlertDescription::from(alert))).len() < 300);
        }
    }
}
