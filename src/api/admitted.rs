//! Who may call an operation under `/v1`: the extractors for each role. The type in a handler's signature decides both
//! the check and what the OpenAPI document says, so neither can be forgotten. What lets a caller in is in `web/access`.

use std::marker::PhantomData;
use std::sync::{Arc, OnceLock};

use poem::{Request, RequestBody};
use poem_openapi::registry::Registry;
use poem_openapi::{ApiExtractor, ApiExtractorType, ExtractParamOptions};

use super::auth::scheme;
use super::context::ApiContext;
use super::paths::Paths;
use crate::domain::access::{Rights, Role};
use crate::domain::secret::TokenDigest;
use crate::domain::time::Timestamp;
use crate::error::{Error, Kind};
use crate::store::ScopedStore;
use crate::web::access::{AdminAccess, Lifetime};
use crate::web::browser::same_origin::Caller;
use crate::web::problem::{ApiError, ApiResult};

/// Name of the security scheme in the OpenAPI document, for the admin token and for tokens with a role.
pub const ADMIN_SCHEME: &str = "adminToken";

/// What a handler asks of its caller.
pub trait Requirement: Send + Sync + 'static {
    /// The least role.
    const ROLE: Role;

    /// What a caller gets that reaches one account only. `None` where the operation works for it.
    const OF_ONE_ACCOUNT: Option<fn() -> Error> = None;

    /// Stands for [`ADMIN_SCHEME`] in what poem-openapi writes, and tells the role. The document's normalising step puts
    /// the scheme in its place.
    const MARK: &'static str;
}

/// The marks of [`Requirement::MARK`], and what each stands for: the role, and whether the operation is only for callers
/// that reach all accounts.
pub const MARKS: [(&str, Role, bool); 5] = [
    ("role:viewer", Role::Viewer, false),
    ("role:operator", Role::Operator, false),
    ("role:admin", Role::Admin, false),
    ("server:viewer", Role::Viewer, true),
    ("server:admin", Role::Admin, true),
];

macro_rules! requirements {
    ($($(#[$doc:meta])* $alias:ident = $name:ident: $place:literal $(or $refused:expr)?;)*) => {$(
        #[doc = concat!("See [`", stringify!($alias), "`].")]
        #[derive(Debug)]
        pub struct $name;

        impl Requirement for $name {
            const ROLE: Role = MARKS[$place].1;
            $(const OF_ONE_ACCOUNT: Option<fn() -> Error> = Some($refused);)?
            const MARK: &'static str = MARKS[$place].0;
        }

        $(#[$doc])*
        pub type $alias = Admitted<$name>;
    )*};
}

requirements! {
    /// Somebody who may read.
    Viewer = AsksViewer: 0;
    /// Somebody who may also steer deliveries.
    Operator = AsksOperator: 1;
    /// Somebody who may do everything with what it reaches.
    Administrator = AsksAdministrator: 2;
    /// Somebody who may read, and reaches the whole server. For others there is nothing here.
    ServerViewer = AsksServerViewer: 3 or ||
        Error::new(Kind::NotFound, "not_found", "There is nothing here for a token for one account.");
    /// Somebody who may do everything, and reaches the whole server.
    ServerAdministrator = AsksServerAdministrator: 4 or
        || Error::forbidden("A token for one account cannot create accounts.");
}

/// Proof that the caller may use an operation. If this is the operation's first argument, nothing is read before the
/// check, and nothing is known of what the request is about.
pub struct Admitted<R> {
    /// What the caller may do.
    pub rights: Rights,
    /// The database as far as the caller reaches it.
    pub store: ScopedStore,
    /// How long the caller may go on.
    life: Lifetime,
    /// Reads the wall clock.
    clock: fn() -> Timestamp,
    asked: PhantomData<fn() -> R>,
}

/// Who was let in with a request. Each request has one, empty at first, so that whatever reads the body can ask again.
#[derive(Debug, Clone, Default)]
pub struct LetIn(Arc<OnceLock<Lifetime>>);

impl LetIn {
    /// Asks again whether the caller may go on. A client can hold its body back for long.
    ///
    /// # Errors
    /// 401 if the caller's token or session has ended. Internal if nobody was let in.
    pub fn check(request: &Request, now: Timestamp) -> ApiResult<()> {
        let let_in = request.data::<Self>().and_then(|let_in| let_in.0.get());
        let_in.ok_or_else(ApiError::internal)?.check(now)
    }
}

impl<R: Requirement> Admitted<R> {
    /// The token with a role by which the caller was let in, also by a session.
    pub fn token(&self) -> Option<TokenDigest> {
        self.life.token()
    }

    async fn check(request: &Request, context: &ApiContext) -> ApiResult<Self> {
        let now = (context.clock)();
        let (caller, rights, life) = match &*context.access {
            AdminAccess::Dev => (Some(Caller::Anyone), Rights::OWNER, Lifetime::default()),
            AdminAccess::Token(auth) => {
                let caller = auth.authenticate(request.headers(), now).await?;
                (caller.by_session.then_some(Caller::Browser), caller.rights, caller.life)
            }
        };
        if let Some(caller) = caller {
            context.origins.check(caller, request.method(), request.headers())?;
        }
        if !rights.allow(R::ROLE) {
            let (needed, has) = (R::ROLE, rights.role);
            let detail = format!("This needs a token with the role {needed}; yours has the role {has}.");
            return Err(Error::forbidden(detail).into());
        }
        if let (Some(refused), Some(_)) = (R::OF_ONE_ACCOUNT, rights.scope.account()) {
            return Err(refused().into());
        }
        let paths = request.data::<Arc<Paths>>().ok_or_else(ApiError::internal)?;
        paths.check_query(request.method(), request.original_uri())?;
        let store = context.store.within(&rights.scope);
        let let_in = request.data::<LetIn>().ok_or_else(ApiError::internal)?;
        let_in.0.set(life.clone()).map_err(|_| ApiError::internal())?;
        Ok(Self { rights, store, life, clock: context.clock, asked: PhantomData })
    }

    /// Resolves when the caller may no longer use the operation, so that a long response can end then. With the admin
    /// token and under `--dev` this never resolves.
    pub async fn over(self) {
        self.life.over(self.clock).await;
    }
}

impl<'a, R: Requirement> ApiExtractor<'a> for Admitted<R> {
    const TYPES: &'static [ApiExtractorType] = &[ApiExtractorType::SecurityScheme];

    type ParamType = ();
    type ParamRawType = ();

    fn register(registry: &mut Registry) {
        let description = "The admin token of the server, or a token with a role (`POST /v1/tokens`), sent as \
                           `Authorization: Bearer TOKEN`. In Swagger UI enter the token alone, without `Bearer`. If you \
                           gave the server no admin token, it created one in the file `DATABASE.admin-token`, such as \
                           `data-pusher.db.admin-token`. Under `--dev`, and in a browser that has logged in at \
                           `/login`, no token is needed. A session may do what the token may do that it was opened \
                           with.";
        registry.create_security_scheme(ADMIN_SCHEME, scheme("http", description, None, Some("bearer")));
    }

    fn security_schemes() -> Vec<&'static str> {
        vec![R::MARK]
    }

    async fn from_request(
        request: &'a Request,
        _: &mut RequestBody,
        _: ExtractParamOptions<Self::ParamType>,
    ) -> poem::Result<Self> {
        let context = request.data::<Arc<ApiContext>>().ok_or_else(ApiError::internal)?;
        Ok(Self::check(request, context).await?)
    }
}
