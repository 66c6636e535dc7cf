//! The responses of the data handler to a document that was accepted.

use std::time::Duration;

use poem::http::{HeaderValue, StatusCode};
use poem::{IntoResponse, Response};
use poem_openapi::ApiResponse;
use poem_openapi::registry::{MetaResponse, MetaResponses, Registry};
use poem_openapi::types::Type as _;

use crate::api::model::events::EventReceipt;
use crate::api::responses;
use crate::domain::memory::Reservation;

/// Response to a document that was accepted.
pub enum Receipt {
    /// 200: within the wait, each delivery has had its first attempt. Deliveries to paused destinations do not count.
    Attempted(Written, Duration),
    /// 202: the event is on disk. If the client asked for a wait, the wait passed first.
    Accepted(Written, Option<Duration>),
}

/// A receipt, with reserved memory if the receipt is long.
pub struct Written {
    /// The receipt.
    pub receipt: EventReceipt,
    /// The memory that it takes.
    pub memory: Option<Reservation>,
}

impl Written {
    fn answer(self, status: StatusCode) -> Response {
        responses::json_in(self.memory, status, &self.receipt)
    }
}

impl IntoResponse for Receipt {
    fn into_response(self) -> Response {
        let (mut response, wait) = match self {
            Self::Attempted(written, wait) => (written.answer(StatusCode::OK), Some(wait)),
            Self::Accepted(written, wait) => (written.answer(StatusCode::ACCEPTED), wait),
        };
        if let Some(applied) = wait.and_then(|wait| HeaderValue::try_from(format!("wait={}", wait.as_secs())).ok()) {
            response.headers_mut().insert("preference-applied", applied);
        }
        response
    }
}

impl ApiResponse for Receipt {
    fn meta() -> MetaResponses {
        let applied = || {
            responses::header(
                "Preference-Applied",
                "The wait that was applied, such as `wait=5`. Only sent if the request asked for a wait.",
                false,
            )
        };
        let answer = |status, description| MetaResponse {
            headers: vec![applied()],
            ..responses::described::<EventReceipt>(status, description)
        };
        let attempted = "Only with `Prefer: wait=N`: the event is on disk, and each delivery has had its first \
                         attempt. Deliveries to paused destinations do not count.";
        let accepted = "The event is on disk and will be delivered.";
        MetaResponses { responses: vec![answer(StatusCode::OK, attempted), answer(StatusCode::ACCEPTED, accepted)] }
    }

    fn register(registry: &mut Registry) {
        EventReceipt::register(registry);
    }
}
