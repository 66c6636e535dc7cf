//! Secrets that a test plants, and the search for them in the bytes of all files of a folder, in each form that they may
//! have there.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use base64::prelude::{BASE64_STANDARD_NO_PAD, BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use crate::harness::Client;
use crate::harness::client::{NewAccount, text};

/// Characters of a planted text. Longer values repeat it, so that any part of them gives it away.
const TEXT: usize = 24;

/// Bytes by which a form is looked up.
const BEGIN: usize = 8;

/// What was planted: names by the forms of each secret.
#[derive(Default)]
pub struct Planted {
    names: BTreeSet<String>,
    forms: HashMap<[u8; BEGIN], Vec<(Vec<u8>, String)>>,
}

/// A destination with a planted header.
pub struct Destination {
    pub id: String,
    pub path: String,
    pub header: String,
}

impl Planted {
    pub fn count(&self) -> usize {
        self.names.len()
    }

    /// Makes a secret text of this length, at least [`TEXT`].
    pub fn text(&mut self, name: &str, length: usize) -> String {
        let token: String = (0..TEXT).map(|_| fastrand::alphanumeric()).collect();
        self.bytes(name, token.as_bytes());
        token.chars().cycle().take(length.max(TEXT)).collect()
    }

    /// Plants bytes that somebody else has made.
    pub fn bytes(&mut self, name: &str, secret: &[u8]) {
        assert!(self.names.insert(name.to_owned()), "{name} is planted already");
        let mut forms = vec![secret.to_vec()];
        for shift in 0..3 {
            let shifted = [&vec![0; shift][..], secret].concat();
            // Characters at both ends also depend on what stands beside.
            let (first, last) = ((shift * 8).div_ceil(6), shifted.len() * 8 / 6);
            for text in [BASE64_STANDARD_NO_PAD.encode(&shifted), BASE64_URL_SAFE_NO_PAD.encode(&shifted)] {
                forms.push(text.as_bytes()[first..last].to_vec());
            }
        }
        let hex: String = secret.iter().map(|byte| format!("{byte:02x}")).collect();
        forms.push(hex.to_uppercase().into_bytes());
        forms.push(hex.into_bytes());
        for form in forms {
            let begin = form[..BEGIN].try_into().unwrap();
            self.forms.entry(begin).or_default().push((form, name.to_owned()));
        }
    }

    /// Plants the signing secret that the destination has now.
    pub fn signing_secret(&mut self, name: &str, client: &Client, destination: &str) -> String {
        let path = format!("/v1/destinations/{destination}/signing-secret");
        let secret = text(&client.get(&path).expect(200).json(), "signing_secret");
        let bytes = base64::prelude::BASE64_STANDARD.decode(secret.strip_prefix("whsec_").unwrap()).unwrap();
        self.bytes(name, &bytes);
        secret
    }

    /// Creates a destination with a header of this length and its signing secret, both planted.
    pub fn destination(
        &mut self,
        name: &str,
        client: &Client,
        account: &NewAccount,
        url: &str,
        length: usize,
    ) -> Destination {
        let header = self.text(&format!("header of {name}"), length);
        let template = self.text(&format!("template of {name}"), TEXT);
        let body = json!({
            "url": format!("{url}/{name}"), "http_method": "POST",
            "headers": {"Authorization": header}, "header_templates": {"X-Made-Key": format!("{template}{{{{ data.n }}}}")},
        });
        let path = format!("/v1/accounts/{}/destinations", account.id);
        let id = text(&client.post(&path, &body).expect(201).json(), "destination_id");
        self.signing_secret(&format!("secret of {name}"), client, &id);
        Destination { id, path: format!("/{name}"), header }
    }

    /// Names of the secrets that are in these bytes.
    fn in_bytes(&self, bytes: &[u8]) -> BTreeSet<&str> {
        let mut pairs = vec![false; 1 << 16];
        for begin in self.forms.keys() {
            pairs[usize::from(u16::from_be_bytes([begin[0], begin[1]]))] = true;
        }
        let mut found = BTreeSet::new();
        for (at, window) in bytes.windows(BEGIN).enumerate() {
            if !pairs[usize::from(u16::from_be_bytes([window[0], window[1]]))] {
                continue;
            }
            for (form, name) in self.forms.get(window).into_iter().flatten() {
                if bytes[at..].starts_with(form) {
                    found.insert(name.as_str());
                }
            }
        }
        found
    }

    /// Names of the secrets that are in files of this folder, with the name of one such file.
    pub fn found(&self, folder: &Path) -> HashMap<String, PathBuf> {
        let mut found = HashMap::new();
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                found.extend(self.found(&path));
                continue;
            }
            // A server may remove a file at any moment.
            let Ok(bytes) = std::fs::read(&path) else { continue };
            found.extend(self.in_bytes(&bytes).into_iter().map(|name| (name.to_owned(), path.clone())));
        }
        found
    }

    /// Nearly all of them are somewhere in the folder, so the search finds them. Some that were changed are written over.
    #[track_caller]
    pub fn assert_found(&self, folder: &Path) {
        let found = self.found(folder);
        let missing: Vec<_> = self.names.iter().filter(|name| !found.contains_key(*name)).collect();
        assert!(
            missing.len() * 10 <= self.names.len(),
            "{} of {} are not found: {missing:?}",
            missing.len(),
            self.count()
        );
    }

    /// None of them is anywhere in the folder.
    #[track_caller]
    pub fn assert_none_found(&self, folder: &Path, when: &str) {
        let found = self.found(folder);
        assert!(found.is_empty(), "{when}: {} are found: {found:#?}", found.len());
    }
}

/// Creates an account, and plants destinations of many kinds in it: with headers of all lengths, changed ones, rotated
/// ones, deleted ones, and those of a deleted account. Returns the account, and destinations that work.
pub fn plant(planted: &mut Planted, client: &Client, prefix: &str, url: &str) -> (NewAccount, Vec<Destination>) {
    let account = client.create_account(prefix);
    let gone = client.create_account(&format!("{prefix}-gone"));
    let lengths = [24, 25, 26, 31, 64, 200, 900, 3_000, 3_900, 4_100, 8_200, 12_000, 20_000, 32_000];
    let mut working = Vec::new();
    for (number, length) in lengths.into_iter().cycle().take(40).enumerate() {
        let name = format!("{prefix}-{number}");
        let owner = if number % 8 == 7 { &gone } else { &account };
        let destination = planted.destination(&name, client, owner, url, length);
        let path = format!("/v1/destinations/{}", destination.id);
        match number % 8 {
            // Changed: what it had before must go too.
            1 | 2 => {
                let header = planted.text(&format!("second header of {name}"), lengths[(number + 5) % lengths.len()]);
                client.patch(&path, &json!({"headers": {"Authorization": header}})).expect(200);
                working.push(Destination { header, ..destination });
            }
            // In the overlap of a rotation.
            3 => {
                client.post(&format!("{path}/rotate-signing-secret"), &Value::Null).expect(200);
                planted.signing_secret(&format!("second secret of {name}"), client, &destination.id);
                working.push(destination);
            }
            4 => {
                client.delete(&path).expect(204);
            }
            7 => {}
            _ => working.push(destination),
        }
    }
    client.delete(&format!("/v1/accounts/{}", gone.id)).expect(204);
    (account, working)
}
