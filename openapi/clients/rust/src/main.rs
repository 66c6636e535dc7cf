//! The scenario, with progenitor's client: a refusal is an `Error::ErrorResponse` that holds a `Problem`.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::env;
use std::error::Error;
use std::fmt::Debug;
use std::time::Duration;

use progenitor_client::Error as ClientError;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName};
use serde_json::json;
use tokio::time::{Instant, sleep};

#[allow(dead_code, reason = "the scenario does not use all of it")]
mod data_pusher {
    progenitor::generate_api!(spec = "../../openapi.json", interface = Builder);
}

use data_pusher::Client;
use data_pusher::types::{
    AccountCreate, AccountCreateWebsite, AccountUpdateAccountName, DeliveryDetail, DeliveryOrder, DeliveryState,
    DestinationCreateBodyTemplate, DestinationCreateFilter, DestinationCreateHeadersValue, DestinationCreateRateLimit,
    DestinationPreviewEventType, DestinationUpdateFilter, HttpMethod, Problem, SkipReason,
};

fn client(header: HeaderName, value: &str) -> Result<Client, Box<dyn Error>> {
    let headers = HeaderMap::from_iter([(header, value.parse()?)]);
    let http = reqwest::Client::builder().default_headers(headers).build()?;
    Ok(Client::new_with_client(&env::var("SERVER_URL")?, http))
}

#[track_caller]
fn problem<T: Debug>(answer: Result<T, ClientError<Problem>>, status: u16, code: &str) -> Problem {
    match answer {
        Err(ClientError::ErrorResponse(refused)) => {
            assert_eq!((refused.status().as_u16(), refused.code.as_str()), (status, code));
            refused.into_inner()
        }
        other => panic!("not refused with {code}: {other:?}"),
    }
}

fn statuses(delivery: &DeliveryDetail) -> Vec<Option<i32>> {
    delivery.attempts.iter().map(|attempt| attempt.status_code).collect()
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let (name, receiver) = (env::var("CLIENT")?, env::var("RECEIVER_URL")?);
    let admin = client(AUTHORIZATION, &format!("Bearer {}", env::var("ADMIN_TOKEN")?))?;
    assert_eq!(admin.get_health().send().await?.status, "ok");

    let website = AccountCreateWebsite::try_from("https://example.com")?;
    let email = format!("{name}@example.com");
    let wanted = AccountCreate::builder().email(email).account_name(name.as_str()).website(website);
    let account = admin.create_account().body(wanted.clone()).send().await?;
    problem(admin.create_account().body(wanted).send().await, 409, "email_taken");
    let website = AccountCreateWebsite::try_from("https:///example.com")?;
    let invalid = AccountCreate::builder().email("nobody").account_name("Nobody").website(website);
    let refused = problem(admin.create_account().body(invalid).send().await, 422, "validation_failed");
    let fields: BTreeSet<_> = refused.errors.iter().map(|fault| fault.field.as_str()).collect();
    assert_eq!(fields, BTreeSet::from(["email", "website"]));
    let id = &account.account_id;
    let another = AccountUpdateAccountName::try_from("Another")?;
    let change = admin.update_account().account_id(id).body_map(|body| body.account_name(another));
    assert_eq!(*change.send().await?.account_name, "Another");

    let mut destinations = Vec::new();
    for path in ["ok", "fails-first"] {
        let value = DestinationCreateHeadersValue::try_from(name.as_str())?;
        let create = admin.create_destination().account_id(id).body_map(|body| {
            body.url(format!("{receiver}/{path}"))
                .http_method(HttpMethod::Post)
                .headers(HashMap::from([("X-Client".to_owned(), value)]))
                .retry_schedule(Vec::new())
        });
        let destination = create.send().await?.into_inner();
        assert_eq!(*destination.headers["X-Client"], *name);
        destinations.push(destination.destination_id);
    }

    let token = HeaderName::from_static("cl-xtoken");
    let pusher = client(token.clone(), &account.app_secret_token)?;
    let documents = [json!({"order": 1, "total": 19.5, "lines": [null, true]}), json!([1, "two"]), json!("three")];
    let (mut sent, mut first) = (BTreeSet::new(), None);
    for (number, document) in documents.iter().enumerate() {
        let send = pusher.send_event().body(document.clone()).prefer("wait=10");
        let receipt = send.idempotency_key(format!("{name}-{number}")).send().await?;
        let states: BTreeMap<_, _> = receipt.deliveries.iter().map(|d| (&d.destination_id, d.state)).collect();
        assert_eq!(states[&destinations[0]], DeliveryState::Succeeded);
        assert_eq!(states[&destinations[1]], DeliveryState::Exhausted);
        let event = admin.get_event().event_id(&receipt.event_id).send().await?;
        assert_eq!(event.payload, *document);
        sent.extend(receipt.deliveries.iter().map(|delivery| delivery.delivery_id.clone()));
        first.get_or_insert(receipt.event_id.clone());
    }
    let key = format!("{name}-0");
    let again = pusher.send_event().body(documents[0].clone()).idempotency_key(key.as_str()).send().await?;
    assert_eq!((again.duplicate, Some(&again.event_id)), (true, first.as_ref()));
    let reused = pusher.send_event().body(json!({})).idempotency_key(key.as_str()).send().await;
    problem(reused, 422, "idempotency_key_reused");

    let since = chrono::Utc::now() - Duration::from_secs(3600);
    let (mut seen, mut pages, mut cursor) = (BTreeSet::new(), 0, None);
    loop {
        let mut list = admin.list_deliveries().account_id(id).since(since).limit(2);
        if let Some(cursor) = &cursor {
            list = list.cursor(cursor);
        }
        let page = list.send().await?.into_inner();
        seen.extend(page.items.into_iter().map(|delivery| delivery.delivery_id));
        pages += 1;
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, sent);
    assert!(pages >= 3);

    let exhausted = admin.list_deliveries().account_id(id).state(DeliveryState::Exhausted).send().await?;
    let failed = &exhausted.items[0].delivery_id;
    let mut delivery = admin.get_delivery().delivery_id(failed).send().await?.into_inner();
    assert_eq!(statuses(&delivery), [Some(500)]);
    assert_eq!(delivery.attempts[0].response_body, "down");
    admin.retry_delivery().delivery_id(failed).send().await?;
    let deadline = Instant::now() + Duration::from_secs(10);
    while delivery.state != DeliveryState::Succeeded {
        assert!(Instant::now() < deadline, "{delivery:?}");
        sleep(Duration::from_millis(50)).await;
        delivery = admin.get_delivery().delivery_id(failed).send().await?.into_inner();
    }
    assert_eq!(statuses(&delivery), [Some(500), Some(200)]);

    let filter = DestinationCreateFilter::try_from("data.total > 100")?;
    let template = DestinationCreateBodyTemplate::try_from(r#"{"text": {{ data.name }}}"#)?;
    let rate = DestinationCreateRateLimit::try_from("100/s")?;
    let create = admin.create_destination().account_id(id).body_map(|body| {
        body.url(format!("{receiver}/ok"))
            .http_method(HttpMethod::Post)
            .headers(HashMap::new())
            .event_types(vec!["order.*".to_owned()])
            .filter(filter)
            .body_template(template)
            .rate_limit(rate)
            .ordering(DeliveryOrder::Strict)
    });
    let shaped = create.send().await?.into_inner();
    assert_eq!((shaped.ordering, shaped.next_send_at), (DeliveryOrder::Strict, None));
    let to = &shaped.destination_id;
    let paid = json!({"name": "Ada", "total": 250});
    let order_paid = DestinationPreviewEventType::try_from("order.paid")?;
    let preview = admin.preview_destination().destination_id(to);
    let preview = preview.body_map(|body| body.data(paid.clone()).event_type(order_paid)).send().await?;
    let text = Some(r#"{"text": "Ada"}"#);
    assert_eq!((preview.matches, preview.request.body.as_deref()), (Some(true), text));
    let passes = pusher.send_event().event_type("order.paid").prefer("wait=10").body(paid).send().await?;
    let low = json!({"name": "Ada", "total": 5});
    let fails = pusher.send_event().event_type("order.paid").prefer("wait=10").body(low).send().await?;
    for receipt in [&passes, &fails] {
        assert_eq!(receipt.event_type.as_ref().map(|name| name.as_str()), Some("order.paid"));
    }
    assert!(passes.skipped.is_empty());
    let skipped: Vec<_> = fails.skipped.iter().map(|skipped| (&skipped.destination_id, skipped.reason)).collect();
    assert_eq!(skipped, [(to, SkipReason::Filter)]);
    let got = passes.deliveries.iter().find(|delivery| delivery.destination_id == *to).ok_or("no delivery")?;
    let delivery = admin.get_delivery().delivery_id(&got.delivery_id).send().await?;
    assert_eq!(statuses(&delivery), [Some(200)]);
    assert_eq!(delivery.attempts[0].request_body.as_deref(), text);
    let listed = admin.list_deliveries().account_id(id).event_type("order.paid").send().await?;
    let listed: BTreeSet<_> = listed.items.iter().map(|delivery| &delivery.delivery_id).collect();
    let typed = passes.deliveries.iter().chain(&fails.deliveries);
    assert_eq!(listed, typed.map(|delivery| &delivery.delivery_id).collect());
    let filter = DestinationUpdateFilter::try_from("data.total > 1")?;
    let change = admin.update_destination().destination_id(to).body_map(|body| body.filter(filter));
    let changed = change.send().await?;
    assert_eq!(changed.filter.as_deref(), Some("data.total > 1"));
    assert_eq!(changed.rate_limit.as_ref().map(|rate| rate.as_str()), Some("100/s"));

    let stranger = client(token, "nobody")?;
    problem(stranger.send_event().body(json!({})).send().await, 401, "invalid_token");
    problem(admin.get_account().account_id("acc_nobody").send().await, 404, "not_found");
    admin.delete_account().account_id(id).send().await?;
    problem(admin.get_account().account_id(id).send().await, 404, "not_found");
    Ok(())
}
