//! All errors have one form: every operation of the OpenAPI document is asked in every wrong way.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::harness::{Answer, Client, Server, Setup, wire};

const METHODS: [&str; 8] = ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"];

/// One operation of the OpenAPI document.
struct Operation {
    method: String,
    path: String,
    value: Value,
}

/// A server with an admin's client and a stranger's, and the operations of its own OpenAPI document.
struct Case {
    admin: Client,
    stranger: Client,
    operations: Vec<Operation>,
    server: Server,
}

impl Case {
    fn new() -> Self {
        let server = Setup::guarded().start();
        let admin = server.client();
        let document = admin.get("/openapi.json").expect(200).json();
        let mut operations = Vec::new();
        for (path, item) in document["paths"].as_object().expect("paths") {
            for method in METHODS {
                if let Some(value) = item.get(method.to_lowercase()) {
                    operations.push(Operation { method: method.to_owned(), path: path.clone(), value: value.clone() });
                }
            }
        }
        assert!(operations.len() >= 30, "only {} operations in the document", operations.len());
        Self { stranger: admin.with_admin_token(None), admin, operations, server }
    }

    fn guarded(&self) -> impl Iterator<Item = &Operation> {
        self.operations.iter().filter(|operation| operation.path.starts_with("/v1/") || operation.path == "/metrics")
    }

    fn with_body(&self) -> impl Iterator<Item = &Operation> {
        self.guarded().filter(|operation| operation.value.get("requestBody").is_some())
    }
}

impl Operation {
    /// The path with ids that do not exist.
    fn at(&self) -> String {
        let replaced = self.path.split('/').map(|part| match part {
            "{account_id}" => "acc_nobody",
            "{destination_id}" => "dst_nobody",
            "{event_id}" => "evt_0000000000000",
            "{delivery_id}" => "dlv_0000000000000",
            "{token_id}" => "tok_nobody",
            other => {
                assert!(!other.contains('{'), "an unknown parameter in {}", self.path);
                other
            }
        });
        replaced.collect::<Vec<_>>().join("/")
    }

    fn parameters(&self, place: &str) -> Vec<&Value> {
        let all = self.value["parameters"].as_array().map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(|parameter| parameter["in"] == place).collect()
    }
}

#[track_caller]
fn one_of(answer: &Answer, statuses: &[u16]) {
    assert!(statuses.contains(&answer.status), "{} answered {}: {}", answer.what, answer.status, answer.text());
    answer.problem(answer.status);
}

#[test]
fn the_document_names_every_path_of_the_contract() {
    let case = Case::new();
    let known: BTreeSet<String> = case.operations.iter().map(|o| format!("{} {}", o.method, o.path)).collect();
    for (methods, path) in [
        ("POST", "/server/incoming_data"),
        ("POST GET", "/v1/accounts"),
        ("GET PUT PATCH DELETE", "/v1/accounts/{account_id}"),
        ("POST", "/v1/accounts/{account_id}/rotate-token"),
        ("POST GET", "/v1/accounts/{account_id}/destinations"),
        ("GET PUT PATCH DELETE", "/v1/destinations/{destination_id}"),
        ("POST", "/v1/destinations/{destination_id}/pause"),
        ("POST", "/v1/destinations/{destination_id}/resume"),
        ("POST", "/v1/destinations/{destination_id}/test"),
        ("POST", "/v1/destinations/{destination_id}/replay"),
        ("GET", "/v1/destinations/{destination_id}/signing-secret"),
        ("POST", "/v1/destinations/{destination_id}/rotate-signing-secret"),
        ("GET", "/v1/accounts/{account_id}/events"),
        ("GET", "/v1/events/{event_id}"),
        ("POST", "/v1/events/{event_id}/replay"),
        ("GET", "/v1/deliveries"),
        ("GET", "/v1/deliveries/{delivery_id}"),
        ("POST", "/v1/deliveries/{delivery_id}/retry"),
        ("POST", "/v1/deliveries/{delivery_id}/cancel"),
        ("GET", "/v1/stats"),
        ("GET", "/healthz"),
        ("GET", "/readyz"),
        ("GET", "/metrics"),
    ] {
        for method in methods.split(' ') {
            assert!(known.contains(&format!("{method} {path}")), "{method} {path} is not in the document");
        }
    }
}

#[test]
fn every_operation_has_a_camel_case_id_of_its_own() {
    let case = Case::new();
    let ids: Vec<&str> = case.operations.iter().map(|o| o.value["operationId"].as_str().unwrap_or_default()).collect();
    for (id, operation) in ids.iter().zip(&case.operations) {
        let camel = id.starts_with(|c: char| c.is_ascii_lowercase()) && id.bytes().all(|b| b.is_ascii_alphanumeric());
        assert!(camel, "{} {}: operationId {id:?}", operation.method, operation.path);
    }
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), ids.len());
}

#[test]
fn every_wrong_method_is_405_and_says_which_are_right() {
    let case = Case::new();
    let paths: BTreeSet<String> = case.operations.iter().map(|operation| operation.path.clone()).collect();
    for path in paths {
        let of_path: Vec<&Operation> = case.operations.iter().filter(|operation| operation.path == path).collect();
        let right: BTreeSet<&str> = of_path.iter().map(|operation| operation.method.as_str()).collect();
        for method in METHODS.into_iter().filter(|method| !right.contains(method)) {
            let answer = case.admin.send(method, &of_path[0].at(), &[], None);
            answer.problem(405);
            let allowed = answer.header("allow").unwrap_or_else(|| panic!("{method} {path} has no Allow"));
            let allowed: BTreeSet<&str> = allowed.split(',').map(str::trim).filter(|name| *name != "HEAD").collect();
            assert_eq!(allowed, right, "{method} {path}");
        }
    }
}

#[test]
fn every_guarded_operation_is_closed_to_strangers() {
    let case = Case::new();
    let wrong = case.stranger.with_admin_token(Some("wrong-wrong-wrong-wrong"));
    for operation in case.guarded() {
        let json = [("content-type", "application/json")];
        for answer in [
            case.stranger.send(&operation.method, &operation.at(), &[], None),
            // A stranger does not learn what else is wrong.
            case.stranger.send(&operation.method, &operation.at(), &json, Some(b"{")),
            case.stranger.send(&operation.method, &format!("{}?limit=x&cursor=x&state=x", operation.at()), &[], None),
            wrong.send(&operation.method, &operation.at(), &json, Some(b"{")),
        ] {
            answer.problem(401);
            assert!(
                answer.header("www-authenticate").is_some_and(|value| value.starts_with("Bearer")),
                "{}",
                answer.what
            );
        }
    }
    for authorization in ["", "Bearer", "Bearer ", "Basic YWRtaW46YWRtaW4=", "bearer", "Token x"] {
        let answer = case.stranger.send("GET", "/v1/accounts", &[("authorization", authorization)], None);
        answer.problem(401);
        assert!(answer.header("www-authenticate").is_some());
    }
}

#[test]
fn what_is_open_stays_open() {
    let case = Case::new();
    for path in ["/healthz", "/readyz", "/openapi.json", "/openapi.yaml", "/docs"] {
        case.stranger.get(path).expect(200);
    }
    assert!(case.stranger.get("/").expect(200).text().contains("Log in"));
}

#[test]
fn every_body_of_another_type_is_415() {
    let case = Case::new();
    for operation in case.with_body() {
        for media_type in
            ["text/plain", "application/xml", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded"]
        {
            let answer =
                case.admin.send(&operation.method, &operation.at(), &[("content-type", media_type)], Some(b"{}"));
            answer.problem(415);
        }
    }
}

#[test]
fn every_body_that_is_no_json_is_400() {
    let case = Case::new();
    for operation in case.with_body() {
        for body in [b"{".as_slice(), b"{\"a\":}", b"\xff\xfe", b"{} {}", b"[1,]", b"\0"] {
            let json = [("content-type", "application/json")];
            case.admin.send(&operation.method, &operation.at(), &json, Some(body)).problem(400);
        }
    }
}

#[test]
fn every_body_that_means_nothing_is_a_problem() {
    let case = Case::new();
    for operation in case.with_body() {
        for body in [json!([]), json!("x"), json!(1), json!(null), json!({"no such field": 1})] {
            let answer = case.admin.json(&operation.method, &operation.at(), &body);
            // Whether the fault of the id or of the body comes first is not specified.
            one_of(&answer, &[404, 422]);
        }
    }
}

#[test]
fn every_operation_on_what_does_not_exist_is_404() {
    let case = Case::new();
    for operation in case.guarded().filter(|operation| operation.path.contains('{')) {
        if operation.value.get("requestBody").is_none() || operation.value["requestBody"]["required"] != json!(true) {
            case.admin.send(&operation.method, &operation.at(), &[], None).problem(404);
        }
        let nonsense = operation.at().replace("acc_nobody", "%00").replace("dst_nobody", "a%2Fb");
        one_of(
            &case.admin.json(&operation.method, &nonsense.replace("_0000000000000", "_%FF"), &json!({})),
            &[400, 404, 422],
        );
    }
}

#[test]
fn every_query_value_of_another_kind_is_400() {
    let case = Case::new();
    let mut asked = 0;
    for operation in case.guarded() {
        for parameter in operation.parameters("query") {
            let schema = &parameter["schema"];
            let free_text =
                schema["type"] == "string" && schema.get("enum").is_none() && schema.get("format").is_none();
            let name = parameter["name"].as_str().unwrap();
            if free_text && name != "cursor" {
                continue;
            }
            let answer = case.admin.send(&operation.method, &format!("{}?{name}=n%C3%A9e", operation.at()), &[], None);
            one_of(&answer, if operation.path.contains('{') { &[400, 404] } else { &[400] });
            asked += 1;
        }
    }
    assert!(asked >= 5, "only {asked} query parameters were asked for nonsense");
}

#[test]
fn each_example_of_a_query_value_that_cannot_be_read_is_what_the_server_says() {
    let case = Case::new();
    let mut seen = 0;
    for operation in case.guarded() {
        let example = &operation.value["responses"]["400"]["content"]["application/problem+json"]["example"];
        if example["code"] != "invalid_parameter" {
            continue;
        }
        let name = example["detail"].as_str().unwrap().split('`').nth(1).unwrap();
        let path = format!("{}?{name}=yesterday", operation.at());
        let said = case.admin.send(&operation.method, &path, &[], None).problem(400);
        assert_eq!(said, *example, "{} {path}", operation.method);
        seen += 1;
    }
    assert!(seen >= 6, "only {seen} examples");
}

#[test]
fn unknown_paths_are_404() {
    let case = Case::new();
    for path in [
        "/nope",
        "/v1",
        "/v1/",
        "/v1/nope",
        "/v2/accounts",
        "/server",
        "/server/incoming_data/x",
        "/v1/accounts/a/b/c",
        "/%00",
        "/..%2f..%2fetc/passwd",
    ] {
        for method in ["GET", "POST", "DELETE"] {
            case.admin.send(method, path, &[], None).problem(404);
        }
    }
}

#[test]
fn oversized_and_broken_bodies_of_the_admin_api_are_problems() {
    let case = Case::new();
    let token = case.server.admin_token().unwrap();
    let head = format!(
        "POST /v1/accounts HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {token}\r\ncontent-type: application/json\r\n"
    );
    let long = format!("{{\"email\":\"{}\"}}", "x".repeat(3_000_000));
    let sized = format!("{head}content-length: {}\r\n\r\n{long}", long.len());
    wire::send(case.admin.address, sized.as_bytes()).expect("the answer can be read").problem(413);
    let chunks =
        [format!("{head}transfer-encoding: chunked\r\n\r\n").into_bytes(), wire::chunked(&[long.as_bytes()])].concat();
    wire::send(case.admin.address, &chunks).expect("the answer can be read").problem(413);
    let broken = format!("{head}transfer-encoding: chunked\r\n\r\nzz\r\n{{}}\r\n0\r\n\r\n");
    if let Some(answer) = wire::send_and_finish(case.admin.address, broken.as_bytes()) {
        answer.problem(400);
    }
    assert_eq!(case.admin.all("/v1/accounts"), Vec::<Value>::new());
}

#[test]
fn bytes_that_are_no_http_break_nothing() {
    let case = Case::new();
    for bytes in [
        b"\r\n\r\n\r\n".as_slice(),
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /v1/accounts HTTP/1.1\r\nbad header\r\n\r\n",
        b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET http://[::1 HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let answer = wire::send_and_finish(case.admin.address, bytes);
        assert!(answer.as_ref().is_none_or(|answer| answer.status >= 400), "{answer:?}");
    }
    let long_head =
        format!("GET /v1/accounts HTTP/1.1\r\nhost: localhost\r\nx-long: {}\r\n\r\n", "x".repeat(1_000_000));
    let answer = wire::send(case.admin.address, long_head.as_bytes());
    assert!(answer.as_ref().is_none_or(|answer| answer.status >= 400), "{answer:?}");
    case.admin.get("/readyz").expect(200);
}
