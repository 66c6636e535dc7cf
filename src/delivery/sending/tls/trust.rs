//! Which certificates are trusted: those that lead to Mozilla's roots, or to a root that the operator names.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme};

use super::error_text;

/// Most bytes of a file with certificates. All of Mozilla's roots take 230 KB.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// Most servers whose sessions are kept to be resumed. One server takes up to 8 tickets of a few KB each.
const MAX_RESUMED_SESSIONS: usize = 256;

/// Trusted roots besides Mozilla's.
#[derive(Clone, Default)]
pub struct Trust(Arc<[CertificateDer<'static>]>);

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Trust({} more)", self.0.len())
    }
}

impl Trust {
    /// Reads the certificates in these files.
    ///
    /// # Errors
    /// One line that says which file cannot be used, and why.
    pub fn load(files: &[PathBuf]) -> Result<Self, String> {
        let mut all = Vec::new();
        for file in files {
            all.extend(certificates(file).map_err(|why| format!("--ca-file {}: {why}", file.display()))?);
        }
        Ok(Self(all.into()))
    }

    /// The TLS configuration for servers whose certificates lead to these roots. Roots that cannot be used were already
    /// refused by [`Trust::load`].
    pub fn config(&self) -> Arc<ClientConfig> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        roots.add_parsable_certificates(self.0.iter().cloned());
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build();
        let versions = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        // These fail only for a provider without ciphers, or without any root.
        let (Ok(verifier), Ok(versions)) = (verifier, versions) else {
            unreachable!("ring has ciphers, Mozilla roots")
        };
        let mut config = versions
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Explained(verifier)))
            .with_client_cert_resolver(Arc::new(error_text::NoCertificate));
        config.resumption = Resumption::in_memory_sessions(MAX_RESUMED_SESSIONS);
        Arc::new(config)
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let cannot = |error: std::io::Error| format!("cannot be read: {error}");
    let length = std::fs::metadata(file).map_err(cannot)?.len();
    if length > MAX_FILE_BYTES {
        return Err(format!("has {length} bytes, and certificates have at most {MAX_FILE_BYTES}"));
    }
    let text = std::fs::read(file).map_err(cannot)?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    let found = found.map_err(|error| format!("is not a PEM file: {error}"))?;
    if found.is_empty() {
        return Err("holds no certificate; a PEM file has one between BEGIN CERTIFICATE and END CERTIFICATE".to_owned());
    }
    for (place, certificate) in found.iter().enumerate() {
        let mut roots = RootCertStore::empty();
        let added = roots.add(certificate.clone());
        added.map_err(|_| format!("its certificate number {} is damaged or not X.509 version 3", place + 1))?;
    }
    Ok(found)
}

/// Checks certificates by rustls and nothing less. Notes why a chain leads to no root, because rustls does not say
/// that.
#[derive(Debug)]
struct Explained(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for Explained {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let checked = self.0.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        if let Err(Error::InvalidCertificate(CertificateError::UnknownIssuer)) = &checked {
            error_text::note_unknown(end_entity, intermediates);
        }
        checked
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CERTIFICATE: &str = "-----BEGIN CERTIFICATE-----";

    fn load(text: &str) -> Result<Trust, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("ca.pem");
        std::fs::write(&file, text).unwrap();
        Trust::load(&[file])
    }

    #[test]
    fn a_file_that_is_no_use_is_named_in_one_line() {
        for (text, why) in [
            ("", "holds no certificate"),
            ("hello", "holds no certificate"),
            ("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", "holds no certificate"),
            (&format!("{CERTIFICATE}\nAAAA\n-----END CERTIFICATE-----\n"), "number 1 is damaged"),
            (&format!("{CERTIFICATE}\n!!!!\n-----END CERTIFICATE-----\n"), "is not a PEM file"),
            (&format!("{CERTIFICATE}\nAAAA\n"), "is not a PEM file"),
        ] {
            let line = load(text).unwrap_err();
            assert!(line.starts_with("--ca-file /") && line.contains(why) && !line.contains('\n'), "{line}");
        }
        let line = Trust::load(&[PathBuf::from("/nowhere/ca.pem")]).unwrap_err();
        assert!(line.contains("/nowhere/ca.pem") && line.contains("cannot be read"), "{line}");
    }

    #[test]
    fn mozillas_roots_are_always_there() {
        assert_eq!(format!("{:?}", Trust::default()), "Trust(0 more)");
        assert!(!Trust::default().config().alpn_protocols.contains(&b"h2".to_vec()));
    }
}
