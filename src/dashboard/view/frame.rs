//! The parts that are the same on every page: menu, live sign, message about what was just done.

use std::time::Duration;

use crate::dashboard::assets;
use crate::domain::access::{Rights, Role};
use crate::domain::ids::AccountId;
use crate::domain::time::Timestamp;
use crate::web::static_page::ICON;

/// What the templates need for everything around a page's content.
pub struct Frame {
    /// Entry of the menu that is marked.
    pub section: &'static str,
    /// What the visitor may do, so that a page offers nothing else. `None` on pages for nobody in particular.
    pub rights: Option<Rights>,
    /// Whether there is a session that can be ended.
    pub can_log_out: bool,
    /// When the page was made, so that scripts can count down by the server's clock.
    pub now: Timestamp,
    /// Message about what was just done.
    pub notice: Option<&'static str>,
    /// Address of the stream that says when this page has changed. Empty if the page is not live.
    pub live: String,
    /// Address under which a live page is read again. Empty for the address in the browser, which is that of a form if
    /// the page answers one.
    pub page: String,
    /// Time after which a live page is read again even if nothing changes, because some of its figures are kept ones.
    pub again: Option<Duration>,
}

impl Frame {
    /// A frame for pages outside the menu.
    pub fn plain(now: Timestamp) -> Self {
        Self {
            section: "",
            rights: None,
            can_log_out: false,
            now,
            notice: None,
            live: String::new(),
            page: String::new(),
            again: None,
        }
    }

    /// With the message that `done`, of a redirect after a change, stands for.
    pub fn noticing(mut self, done: &str) -> Self {
        self.notice = notice(done);
        self
    }

    /// With live updates from the stream at `live`.
    pub fn live(mut self, live: impl Into<String>) -> Self {
        self.live = live.into();
        self
    }

    /// Read again at `page`, because the address in the browser is that of a form.
    pub fn at(mut self, page: impl Into<String>) -> Self {
        self.page = page.into();
        self
    }

    /// Read again after this time even if nothing changes.
    pub fn again(mut self, after: Option<Duration>) -> Self {
        self.again = after;
        self
    }

    /// Whether the page may offer what operators may do.
    pub fn operates(&self) -> bool {
        self.rights.as_ref().is_some_and(|rights| rights.allow(Role::Operator))
    }

    /// Whether the page may offer what administrators may do.
    pub fn administers(&self) -> bool {
        self.rights.as_ref().is_some_and(|rights| rights.allow(Role::Admin))
    }

    /// Whether the page may also offer what belongs to the server and not to one account.
    pub fn runs_server(&self) -> bool {
        self.administers() && self.account().is_none()
    }

    /// The one account that the visitor reaches.
    pub fn account(&self) -> Option<&AccountId> {
        self.rights.as_ref().and_then(|rights| rights.scope.account()).map(|(id, _)| id)
    }

    /// Who is logged in. `None` without a session.
    pub fn who(&self) -> Option<String> {
        let rights = self.rights.as_ref().filter(|_| self.can_log_out)?;
        Some(who(rights))
    }

    /// The icon, as a `data:` URL.
    pub fn icon(&self) -> &'static str {
        ICON
    }

    /// Changes with the stylesheet and the script.
    pub fn assets(&self) -> &'static str {
        &assets::VERSION
    }

    /// Version of the program.
    pub fn version(&self) -> &'static str {
        env!("CARGO_PKG_VERSION")
    }

    /// Milliseconds since 1970, for scripts.
    pub fn millis(&self) -> i64 {
        self.now.millis()
    }
}

/// Who has these rights: the role, and the one account if there is one.
pub fn who(rights: &Rights) -> String {
    match rights.scope.account() {
        Some((account, _)) => format!("{} of account {account}", rights.role),
        None => rights.role.to_string(),
    }
}

fn notice(done: &str) -> Option<&'static str> {
    Some(match done {
        "saved" => "Saved.",
        "account-deleted" => "The account is deleted, with its destinations, events and deliveries.",
        "destination-deleted" => "The destination is deleted.",
        "destination-created" => "The destination is created. Every new event of the account is sent to it.",
        "paused" => "The destination is paused. New events wait until you resume it.",
        "resumed" => "The destination is active again. What waited is sent now.",
        "retried" => "The delivery is sent again now.",
        "cancelled" => "The delivery is cancelled. No further attempt is made.",
        "replayed" => "The deliveries are sent again. Follow them here.",
        "sent" => "The event is stored. Its deliveries follow here.",
        "token-revoked" => "The token is revoked. What was opened with it has ended.",
        "secret-rotated" => "There is a new signing secret. For 24 hours the old one signs too.",
        _ => return None,
    })
}
