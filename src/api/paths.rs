//! What is known of each path: its methods, for `Allow`, and its query parameters, so that a misspelt filter is refused
//! instead of ignored. Read from the operations' descriptions, because the document made of them is large, and only wanted
//! when somebody asks for it.

use std::sync::LazyLock;

use poem::http::{Method, Uri};
use poem_openapi::OpenApi as _;
use poem_openapi::registry::{MetaOperation, MetaParamIn, MetaPath};

use super::Operations;
use super::problem::{ApiError, ApiResult};

/// Paths outside the document, and their methods.
const UNDOCUMENTED: [(&str, &[&str]); 6] = [
    ("/", &["GET"]),
    ("/docs", &["GET"]),
    ("/login", &["GET", "POST"]),
    ("/logout", &["POST"]),
    ("/openapi.json", &["GET"]),
    ("/openapi.yaml", &["GET"]),
];

/// The paths of the API.
pub struct Paths(Vec<Path>);

struct Path {
    segments: Vec<String>,
    operations: Vec<Operation>,
}

struct Operation {
    method: String,
    query: Vec<String>,
}

impl Paths {
    /// Those of the document and the few beside it.
    pub fn shared() -> &'static Self {
        static PATHS: LazyLock<Paths> = LazyLock::new(|| {
            let mut paths = Paths::described();
            let operation = |method: &&str| Operation { method: (*method).to_owned(), query: Vec::new() };
            paths.0.extend(UNDOCUMENTED.map(|(path, methods)| Path {
                segments: segments(path),
                operations: methods.iter().map(operation).collect(),
            }));
            paths
        });
        &PATHS
    }

    fn described() -> Self {
        let paths = Operations::meta().into_iter().flat_map(|api| api.paths);
        let path = |described: MetaPath| Path {
            segments: segments(&described.path),
            operations: described.operations.into_iter().map(operation).collect(),
        };
        Self(paths.map(path).collect())
    }

    fn find(&self, path: &str) -> Option<&Path> {
        let given = segments(path);
        let fits = |segment: &String, given: &String| segment.starts_with('{') || segment == given;
        let matching = self.0.iter().filter(|path| {
            path.segments.len() == given.len()
                && path.segments.iter().zip(&given).all(|(segment, given)| fits(segment, given))
        });
        // A literal segment goes before a parameter, as in the router.
        matching.min_by_key(|path| path.segments.iter().filter(|segment| segment.starts_with('{')).count())
    }

    /// Value of `Allow` for `path`.
    pub fn allowed(&self, path: &str) -> String {
        let mut methods = Vec::new();
        for operation in self.find(path).into_iter().flat_map(|path| &path.operations) {
            methods.push(operation.method.as_str());
            if operation.method == "GET" {
                methods.push("HEAD");
            }
        }
        methods.join(", ")
    }

    /// Refuses query parameters that the operation does not have, and such as come twice.
    ///
    /// # Errors
    /// 400 that names them.
    pub fn check_query(&self, method: &Method, uri: &Uri) -> ApiResult<()> {
        let Some(query) = uri.query().filter(|query| !query.is_empty()) else { return Ok(()) };
        let Some(path) = self.find(uri.path()) else { return Ok(()) };
        let method = if method == Method::HEAD { "GET" } else { method.as_str() };
        let known = path.operations.iter().find(|operation| operation.method == method).map_or(&[][..], |o| &o.query);
        let mut seen: Vec<String> = Vec::new();
        for (name, _) in url::form_urlencoded::parse(query.as_bytes()) {
            if !known.iter().any(|known| *known == name) {
                let right =
                    if known.is_empty() { "it has none".to_owned() } else { format!("known are {}", known.join(", ")) };
                return Err(ApiError::bad_parameter(format!("`{name}` is not a query parameter here; {right}.")));
            }
            if seen.iter().any(|seen| *seen == name) {
                return Err(ApiError::bad_parameter(format!("The query parameter `{name}` is given more than once.")));
            }
            seen.push(name.into_owned());
        }
        Ok(())
    }
}

fn operation(described: MetaOperation) -> Operation {
    let parameters = described.params.into_iter().filter(|parameter| parameter.in_type == MetaParamIn::Query);
    Operation {
        method: described.method.as_str().to_owned(),
        query: parameters.map(|parameter| parameter.name).collect(),
    }
}

fn segments(path: &str) -> Vec<String> {
    path.split('/').map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::document;

    fn check(uri: &'static str) -> Result<(), String> {
        Paths::shared().check_query(&Method::GET, &Uri::from_static(uri)).map_err(|error| error.problem.detail)
    }

    #[test]
    fn a_misspelt_filter_is_refused_and_named() {
        assert_eq!(check("/v1/deliveries?state=pending&limit=5"), Ok(()));
        assert!(check("/v1/deliveries?sate=pending").unwrap_err().contains("`sate`"));
        assert!(check("/v1/deliveries?limit=1&limit=2").unwrap_err().contains("more than once"));
        assert!(check("/v1/accounts/acc_1?verbose").unwrap_err().contains("it has none"));
    }

    #[test]
    fn allow_lists_what_the_document_lists() {
        let paths = Paths::shared();
        for (path, item) in document::value()["paths"].as_object().unwrap() {
            let found = paths.find(path).unwrap_or_else(|| panic!("{path}"));
            for (method, described) in item.as_object().unwrap() {
                let parameters = described["parameters"].as_array().into_iter().flatten();
                let query: Vec<_> =
                    parameters.filter(|p| p["in"] == "query").map(|p| p["name"].as_str().unwrap()).collect();
                let same = |operation: &&Operation| operation.method.eq_ignore_ascii_case(method);
                assert_eq!(found.operations.iter().find(same).unwrap().query, query, "{method} {path}");
            }
            assert_eq!(found.operations.len(), item.as_object().unwrap().len(), "{path}");
        }
        assert_eq!(paths.allowed("/server/incoming_data"), "POST");
        assert_eq!(paths.allowed("/v1/destinations/dst_1"), "GET, HEAD, PUT, PATCH, DELETE");
        assert_eq!(paths.allowed("/docs"), "GET, HEAD");
    }
}
