//! Authorities and certificates of the tests, and connections that speak TLS with them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::path::Path;
use std::sync::Arc;

use rcgen::{BasicConstraints, Certificate, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::version::{TLS12, TLS13};
use rustls::{
    HandshakeKind, ProtocolVersion, RootCertStore, ServerConfig, ServerConnection, StreamOwned,
    SupportedProtocolVersion,
};

/// An authority that signs certificates.
pub struct Authority {
    certificate: Certificate,
    issuer: Issuer<'static, KeyPair>,
    /// Certificates between this authority's and the root's.
    chain: Vec<CertificateDer<'static>>,
}

/// A server's certificate with its chain, and its key.
#[derive(Clone)]
pub struct Identity {
    pub chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// The result of a TLS handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Handshake {
    pub version: ProtocolVersion,
    /// Host name that the client asked for (SNI).
    pub name: Option<String>,
    pub resumed: bool,
}

/// A receiver's end of a connection.
pub enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ServerConnection, TcpStream>>),
}

impl Authority {
    pub fn new(name: &str) -> Self {
        let (params, key) = authority(name);
        let certificate = params.self_signed(&key).unwrap();
        Self { certificate, issuer: Issuer::new(params, key), chain: Vec::new() }
    }

    /// An intermediate authority, signed by this one.
    pub fn intermediate(&self, name: &str) -> Self {
        let (params, key) = authority(name);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let chain = vec![certificate.der().clone()];
        Self { certificate, issuer: Issuer::new(params, key), chain }
    }

    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Writes the certificate to a file in this folder, for `--ca-file`.
    pub fn file(&self, folder: &Path) -> String {
        let path = folder.join("ca.pem");
        std::fs::write(&path, self.pem()).unwrap();
        path.display().to_string()
    }

    /// A certificate for a server with these names or addresses.
    pub fn issue(&self, names: &[&str]) -> Identity {
        self.issue_with(names, |_| {})
    }

    pub fn issue_with(&self, names: &[&str], change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let (mut params, key) = server(names);
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity::new(&certificate, &self.chain, &key)
    }

    /// This authority's own certificate, used as a server's.
    pub fn as_server(&self) -> Identity {
        Identity::new(&self.certificate, &[], self.issuer.key())
    }
}

fn authority(name: &str) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params, KeyPair::generate().unwrap())
}

fn server(names: &[&str]) -> (CertificateParams, KeyPair) {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()).unwrap();
    params.distinguished_name.push(DnType::CommonName, "receiver");
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    (params, KeyPair::generate().unwrap())
}

impl Identity {
    fn new(certificate: &Certificate, chain: &[CertificateDer<'static>], key: &KeyPair) -> Self {
        let chain = std::iter::once(certificate.der()).chain(chain).cloned().collect();
        Self { chain, key: Arc::new(PrivatePkcs8KeyDer::from(key.serialize_der()).into()) }
    }

    /// A certificate that is signed by its own key.
    pub fn self_signed(names: &[&str]) -> Self {
        let (params, key) = server(names);
        Self::new(&params.self_signed(&key).unwrap(), &[], &key)
    }

    pub fn pem(&self) -> String {
        pem(&self.chain[0])
    }

    pub fn without_chain(mut self) -> Self {
        self.chain.truncate(1);
        self
    }

    /// A configuration for TLS 1.2 and 1.3.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config_of(&[&TLS12, &TLS13])
    }

    pub fn config_of(&self, versions: &[&'static SupportedProtocolVersion]) -> Arc<ServerConfig> {
        let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap();
        Arc::new(config)
    }

    /// A configuration that asks clients for a certificate of `authority`. If `optional`, clients may have none.
    pub fn config_that_asks(
        &self,
        version: &'static SupportedProtocolVersion,
        authority: &Authority,
        optional: bool,
    ) -> Arc<ServerConfig> {
        let mut roots = RootCertStore::empty();
        roots.add(authority.certificate.der().clone()).unwrap();
        let provider = Arc::new(ring::default_provider());
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
        let verifier = if optional { verifier.allow_unauthenticated() } else { verifier };
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[version])
            .unwrap()
            .with_client_cert_verifier(verifier.build().unwrap())
            .with_single_cert(self.chain.clone(), self.key.clone_key())
            .unwrap();
        Arc::new(config)
    }
}

fn pem(der: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

impl Stream {
    /// Accepts a connection, with a TLS handshake if there is a configuration. `None` if the handshake fails.
    pub fn accept(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> Option<Self> {
        let _ = stream.set_nodelay(true);
        let Some(config) = tls else { return Some(Self::Plain(stream)) };
        let mut connection = ServerConnection::new(Arc::clone(config)).unwrap();
        let mut stream = stream;
        while connection.is_handshaking() {
            if connection.complete_io(&mut stream).is_err() {
                // The alert about the failure is sent.
                let _ = connection.write_tls(&mut stream);
                return None;
            }
        }
        Some(Self::Tls(Box::new(StreamOwned::new(connection, stream))))
    }

    pub fn tcp(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    pub fn handshake(&self) -> Option<Handshake> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(stream) => Some(Handshake {
                version: stream.conn.protocol_version()?,
                name: stream.conn.server_name().map(str::to_owned),
                resumed: stream.conn.handshake_kind() == Some(HandshakeKind::Resumed),
            }),
        }
    }

    /// Ends the sending side in order, and waits until the peer ends its side: closing with unread input would send
    /// RST.
    pub fn finish(&mut self) {
        if let Self::Tls(stream) = self {
            stream.conn.send_close_notify();
            let _ = stream.flush();
        }
        self.cut();
    }

    /// The same without TLS's close_notify.
    pub fn cut(&mut self) {
        let _ = self.tcp().shutdown(Shutdown::Write);
        let _ = self.read(&mut [0]);
    }

    /// Makes closing send RST instead of FIN.
    pub fn reset(&self) {
        use std::os::fd::AsRawFd as _;
        let linger = libc::linger { l_onoff: 1, l_linger: 0 };
        let size = libc::socklen_t::try_from(size_of::<libc::linger>()).expect("a small struct");
        let (file, level, name) = (self.tcp().as_raw_fd(), libc::SOL_SOCKET, libc::SO_LINGER);
        // SAFETY: the descriptor is open for as long as it is borrowed, and `linger` is as large as `size` says.
        unsafe { libc::setsockopt(file, level, name, (&raw const linger).cast(), size) };
    }
}

impl Read for Stream {
    fn read(&mut self, bytes: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(bytes),
            Self::Tls(stream) => stream.read(bytes),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            // Otherwise encrypted bytes could wait for the next write.
            Self::Tls(stream) => stream.write(bytes).and_then(|some| stream.flush().map(|()| some)),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
