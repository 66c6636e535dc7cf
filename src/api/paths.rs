//! What is known of each path: its methods, for the `Allow` header, and its query parameters. With these a misspelt
//! filter is refused and not ignored. The data comes from the descriptions of the operations. The OpenAPI document is
//! not used, because it is large and is only built when somebody asks for it.

use poem::http::{Method, Uri};
use poem_openapi::registry::{MetaApi, MetaOperation, MetaParamIn};

use crate::error::beginning;
use crate::web::problem::{ApiError, ApiResult};

/// A path that is not in the OpenAPI document, and its methods.
pub type Undocumented = (&'static str, &'static [&'static str]);

/// The paths of the API and of the pages beside it.
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
    /// The paths of the described operations, and a few undocumented paths.
    pub fn new(described: Vec<MetaApi>, undocumented: impl IntoIterator<Item = Undocumented>) -> Self {
        let described = described.into_iter().flat_map(|api| api.paths).map(|path| Path {
            segments: segments(&path.path),
            operations: path.operations.into_iter().map(operation).collect(),
        });
        let method = |method: &&str| Operation { method: (*method).to_owned(), query: Vec::new() };
        let undocumented = undocumented
            .into_iter()
            .map(|(path, methods)| Path { segments: segments(path), operations: methods.iter().map(method).collect() });
        Self(described.chain(undocumented).collect())
    }

    fn find(&self, path: &str) -> Option<&Path> {
        let given = segments(path);
        let fits = |segment: &String, given: &String| segment.starts_with('{') || segment == given;
        let matching = self.0.iter().filter(|path| {
            path.segments.len() == given.len()
                && path.segments.iter().zip(&given).all(|(segment, given)| fits(segment, given))
        });
        // A literal segment wins over a parameter, as in the router.
        matching.min_by_key(|path| path.segments.iter().filter(|segment| segment.starts_with('{')).count())
    }

    /// Query parameters of an operation; `None` if the path does not have this method.
    #[cfg(test)]
    pub fn query(&self, method: &str, path: &str) -> Option<&[String]> {
        let operation = |operation: &&Operation| operation.method.eq_ignore_ascii_case(method);
        Some(&self.find(path)?.operations.iter().find(operation)?.query)
    }

    /// The path that is probably meant by one that does not exist: without a slash at its end, with `/v1` before it, or
    /// as a list of an account.
    pub fn near(&self, path: &str) -> Option<String> {
        let trimmed = path.trim_end_matches('/');
        let known = |candidate: &String| candidate != path && self.find(candidate).is_some();
        if trimmed.is_empty() {
            return None;
        }
        [trimmed.to_owned(), format!("/v1{trimmed}")].into_iter().find(known).or_else(|| {
            let last = trimmed.rsplit('/').next()?;
            let list = self.0.iter().find(|path| path.segments.last().is_some_and(|segment| segment == last))?;
            Some(list.segments.join("/"))
        })
    }

    /// Value of the `Allow` header for `path`. `GET` also allows `HEAD`.
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

    /// Refuses query parameters that the operation does not have, and parameters that are given twice.
    ///
    /// # Errors
    /// 400 that names the first such parameter.
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
                return Err(unknown_parameter(&name, &right));
            }
            if seen.iter().any(|seen| *seen == name) {
                return Err(ApiError::bad_parameter(format!("The query parameter `{name}` is given more than once.")));
            }
            seen.push(name.into_owned());
        }
        Ok(())
    }
}

/// The error for a query parameter that an operation does not have.
pub fn unknown_parameter(name: &str, right: &str) -> ApiError {
    ApiError::bad_parameter(format!("`{}` is not a query parameter here; {right}.", beginning(name)))
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
