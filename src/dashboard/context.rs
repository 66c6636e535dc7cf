//! What all pages share, and who may see them. A page is for a session, or for everybody under `--dev`.

use std::sync::Arc;

use poem::http::StatusCode;
use poem::{Body, Request};

use super::form::Form;
use super::respond::{PageError, PageResult};
use super::view::frame::Frame;
use super::view::login_form::LoginForm;
use super::way_back::{left, wanted};
use crate::domain::access::{Rights, Role};
use crate::domain::ids::AccountId;
use crate::domain::instance::InstanceName;
use crate::domain::network::NetworkPolicy;
use crate::domain::ports::{SendTest, WatchEngine};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::store::{ScopedStore, Store};
use crate::web::access::{AdminAccess, AdminAuth, Lifetime};
use crate::web::body::BodyLimits;
use crate::web::browser::same_origin::OriginPolicy;
use crate::web::problem::{ApiError, ApiResult};
use crate::web::rate_limit::RateLimiter;

/// The database before it is known who asks. Pages have it only as far as their [`Visitor`] reaches.
pub struct GuardedStore(Store);

impl GuardedStore {
    /// Guards `store`.
    pub fn new(store: Store) -> Self {
        Self(store)
    }
}

/// What pages need. `app` makes the one instance.
pub struct DashboardContext {
    /// The database. A [`Visitor`] has the part of it that may be seen.
    pub store: GuardedStore,
    /// Who may see the pages.
    pub access: Arc<AdminAccess>,
    /// Which origins belong to this server.
    pub origins: OriginPolicy,
    /// Addresses to which deliveries may be sent.
    pub network: Arc<NetworkPolicy>,
    /// Limits of request bodies.
    pub bodies: BodyLimits,
    /// Limits how many events each account may send.
    pub account_rate: Arc<RateLimiter>,
    /// Sends test requests to destinations, outside the queue.
    pub test_sender: Arc<dyn SendTest>,
    /// Knows which destinations are slow now.
    pub engine: Arc<dyn WatchEngine>,
    /// URL of the server for browsers, for the commands that pages offer.
    pub url: String,
    /// Name of this instance, which new tokens contain.
    pub instance: Option<InstanceName>,
    /// Reads the wall clock.
    pub clock: fn() -> Timestamp,
}

/// Somebody who may see the pages.
pub struct Visitor {
    /// The part of the database that the visitor reaches.
    pub store: ScopedStore,
    /// What the visitor may do: the rights of the token that the session was opened with.
    rights: Rights,
    /// The session. `None` under `--dev`.
    session: Option<Lifetime>,
    /// Reads the wall clock.
    clock: fn() -> Timestamp,
    /// When the request came.
    pub now: Timestamp,
}

impl DashboardContext {
    /// Lets a request in that may do what `role` may, or gives the login form. Every handler begins with this, before
    /// anything of the request is read or looked up.
    ///
    /// # Errors
    /// The login form with 401. 403 for a session with another role, and for pages of other origins; 421.
    pub fn enter(&self, request: &Request, role: Role) -> PageResult<Visitor> {
        let visitor = self.visitor(request)?;
        match visitor.may(role) {
            true => Ok(visitor),
            false => Err(PageError::forbidden(visitor.frame(""), role)),
        }
    }

    /// As [`enter`](Self::enter), for what belongs to the server and not to one account.
    ///
    /// # Errors
    /// As there. 403 also for a session that reaches one account only.
    pub fn enter_server(&self, request: &Request, role: Role) -> PageResult<Visitor> {
        let visitor = self.enter(request, role)?;
        match visitor.account() {
            None => Ok(visitor),
            Some(_) => Err(PageError::one_account(visitor.frame(""))),
        }
    }

    /// Reads the form of a visitor, and asks again whether the visitor may go on: a client can hold its body back for
    /// long.
    ///
    /// # Errors
    /// As [`Form::read`]. The login form with 401.
    pub async fn form(&self, visitor: &Visitor, request: &Request, body: Body) -> PageResult<Form> {
        self.form_within(visitor, request, body, &self.bodies).await
    }

    /// As [`form`](Self::form), with limits of its own.
    ///
    /// # Errors
    /// As there.
    pub async fn form_within(
        &self,
        visitor: &Visitor,
        request: &Request,
        body: Body,
        limits: &BodyLimits,
    ) -> PageResult<Form> {
        let form = Form::read(request, body, limits).await;
        if let Some(life) = &visitor.session {
            life.check((self.clock)()).map_err(|error| self.login(request, error.status()))?;
        }
        Ok(form?)
    }

    fn visitor(&self, request: &Request) -> PageResult<Visitor> {
        let now = (self.clock)();
        self.check_origin(request)?;
        let (rights, session) = match &*self.access {
            AdminAccess::Dev => (Rights::OWNER, None),
            AdminAccess::Token(auth) => {
                let session = auth.session(request.headers(), now);
                let session = session.ok_or_else(|| self.login(request, StatusCode::UNAUTHORIZED))?;
                (session.rights, Some(session.life))
            }
        };
        Ok(Visitor { store: self.store.0.within(&rights.scope), rights, session, clock: self.clock, now })
    }

    /// The login form for a request without an open session. It leads to the page that was asked for. Whoever has a
    /// cookie, whatever is in it, learns that the session has ended, and is led back from a form too.
    pub fn login(&self, request: &Request, status: StatusCode) -> PageError {
        let is_ended = matches!(&*self.access, AdminAccess::Token(auth) if auth.has_cookie(request.headers()));
        let back = if is_ended { left(request) } else { wanted(request) };
        PageError::login(&LoginForm { is_ended, ..LoginForm::leading_to(back) }, status)
    }

    /// Checks that a request comes from this server's own pages, or only reads.
    ///
    /// # Errors
    /// 421 and 403 for other origins.
    pub fn check_origin(&self, request: &Request) -> PageResult<()> {
        self.origins.check_form(request.method(), request.headers()).map_err(PageError::plain)
    }

    /// Whether the request comes from a browser that has not logged in.
    pub fn is_logged_out(&self, request: &Request) -> bool {
        match &*self.access {
            AdminAccess::Dev => false,
            AdminAccess::Token(auth) => !auth.has_session(request.headers(), (self.clock)()),
        }
    }

    /// What checks tokens and sessions.
    ///
    /// # Errors
    /// 409 under `--dev`, where nobody logs in.
    pub fn auth(&self) -> ApiResult<&AdminAuth> {
        match &*self.access {
            AdminAccess::Token(auth) => Ok(auth),
            AdminAccess::Dev => {
                Err(ApiError::new(StatusCode::CONFLICT, "no_login", "Under --dev nobody needs to log in."))
            }
        }
    }
}

impl Visitor {
    /// Whether the visitor may do what `role` may.
    pub fn may(&self, role: Role) -> bool {
        self.rights.allow(role)
    }

    /// The one account that the visitor reaches, or `None` where all are.
    pub fn account(&self) -> Option<&AccountId> {
        self.rights.scope.account().map(|(id, _)| id)
    }

    /// Whether the visitor may do everything, also what belongs to the server and not to one account.
    pub fn runs_server(&self) -> bool {
        self.may(Role::Admin) && self.account().is_none()
    }

    /// The token with a role that the visitor's session was opened with.
    pub fn token(&self) -> Option<TokenDigest> {
        self.session.as_ref().and_then(Lifetime::token)
    }

    /// The parts that are the same on every page. `section` is the entry of the menu that is marked.
    pub fn frame(&self, section: &'static str) -> Frame {
        let rights = Some(self.rights.clone());
        Frame { section, rights, can_log_out: self.session.is_some(), ..Frame::plain(self.now) }
    }

    /// Resolves when the visitor may no longer see the pages. Without a session this never resolves.
    pub async fn over(self) {
        match self.session {
            Some(life) => life.over(self.clock).await,
            None => std::future::pending().await,
        }
    }
}
