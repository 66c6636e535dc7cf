//! What a caller is told that is not let in, or may not go on. What decides that is in the other rooms.

use crate::web::problem::ApiError;

/// Detail of the 401 response to a request without a token and without a session.
pub const UNAUTHORIZED: &str =
    "Send the admin token or a token with a role as `Authorization: Bearer TOKEN`, or log in with a browser at /.";

/// Detail of the 401 response to an `Authorization` header that is not one bearer token.
pub const NO_BEARER: &str =
    "The Authorization header must be one `Bearer TOKEN`, with the admin token or a token with a role.";

/// Detail of the 401 response to a wrong bearer token. A revoked token is like one that never was.
pub const WRONG: &str = "The token in the Authorization header is wrong: it is neither the admin token nor a token with a \
                     role. It may be mistyped or revoked, or its account deleted.";

/// Detail of the 401 response to a wrong bearer token that begins as the token of an account does. It is said of the
/// beginning alone: whether an account has the token is not looked up.
pub const OF_ACCOUNT: &str = "The token in the Authorization header begins as the app secret token of an account does, \
                          which only sends events, in the CL-XTOKEN header of POST /server/incoming_data. Send the \
                          admin token or a token with a role here.";

/// Detail of the 401 response to a token that has expired. Only somebody who had the token learns of this.
pub const EXPIRED: &str = "The token in the Authorization header has expired: make another one.";

/// The 401 response with this detail.
pub fn unauthorized(detail: &str) -> ApiError {
    ApiError::unauthorized("Bearer", "unauthorized", detail)
}

/// The response to a caller whose token has ended while its request was on its way.
pub fn ended() -> ApiError {
    unauthorized(WRONG)
}
