//! Where a browser goes after it has logged in, and after it opened the address of a form: to a page of this server.
//! Nothing here looks whether there is something at the address.

use poem::Request;
use poem::http::header::REFERER;
use url::Url;

/// Address of the guide, also once there are deliveries.
pub const GUIDE: &str = "/?guide=1";

/// Whether this is an address of this server, as the target of a redirect.
pub fn is_own(address: &str) -> bool {
    // Browsers drop tabs and line breaks, and read `\\` as `/`. Two slashes would name another host.
    address.starts_with('/')
        && !address.starts_with("//")
        && address.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

/// The address that somebody who is logged out asked for. Empty for what is no page.
pub fn wanted(request: &Request) -> String {
    let is_page = request.method().is_safe() && request.uri().path() != "/login";
    request.uri().path_and_query().filter(|_| is_page).map_or_else(String::new, ToString::to_string)
}

/// The page that somebody whose session has ended was on: the one that is asked for, or the one with the form that was
/// sent.
pub fn left(request: &Request) -> String {
    if request.method().is_safe() {
        return wanted(request);
    }
    let path = request.uri().path();
    let page = page_before(request).unwrap_or_else(|| page_of_form(path).unwrap_or(path).to_owned());
    if is_own(&page) { page } else { String::new() }
}

/// The page that a browser says it comes from. Of a foreign address only the path would be taken.
fn page_before(request: &Request) -> Option<String> {
    let mut before = Url::parse(request.headers().get(REFERER)?.to_str().ok()?).ok().filter(|url| url.has_host())?;
    if let Some(page) = page_of_form(before.path()) {
        return Some(page.to_owned());
    }
    // A message about what was just done is not repeated.
    let kept: Vec<_> = before.query_pairs().into_owned().filter(|(name, _)| name != "done").collect();
    before.query_pairs_mut().clear().extend_pairs(kept);
    let query = before.query().filter(|query| !query.is_empty()).map(|query| format!("?{query}"));
    Some(format!("{}{}", before.path(), query.unwrap_or_default()))
}

/// The page that has the form with this address. `None` for what may be a page itself.
pub fn page_of_form(form: &str) -> Option<&str> {
    match form {
        "/start" => Some(GUIDE),
        "/login" | "/logout" => Some("/"),
        // Such as `/accounts/acc_1/delete`.
        _ => form.rsplit_once('/').map(|(page, _)| page).filter(|page| page.split('/').count() == 3),
    }
}

#[cfg(test)]
mod tests {
    use poem::http::Method;

    use super::*;

    fn request(method: Method, path: &str, from: &str) -> Request {
        let request = Request::builder().method(method).uri_str(path);
        if from.is_empty() { request.finish() } else { request.header(REFERER, from).finish() }
    }

    #[test]
    fn a_form_leads_back_to_the_page_that_it_was_on() {
        let left = |path: &str, from: &str| left(&request(Method::POST, path, from));
        let list = "http://127.0.0.1:8080/deliveries?state=exhausted&done=retried#main";
        assert_eq!(left("/deliveries/dlv_1/retry", list), "/deliveries?state=exhausted");
        assert_eq!(left("/accounts/acc_1", "http://127.0.0.1:8080/accounts/acc_1?done=saved"), "/accounts/acc_1");
        // A page that answers a form has the address of that form.
        let answer = "https://push.example.com/accounts/acc_1/delete";
        assert_eq!(left("/accounts/acc_1/delete", answer), "/accounts/acc_1");
        for (path, page) in [
            ("/accounts/acc_1/delete", "/accounts/acc_1"),
            ("/accounts/acc_1", "/accounts/acc_1"),
            ("/deliveries/replay", "/deliveries/replay"),
            ("/start", GUIDE),
        ] {
            assert_eq!(left(path, ""), page);
            assert_eq!(left(path, "nonsense"), page);
        }
    }

    #[test]
    fn nothing_leads_to_another_server() {
        for from in
            ["https://evil.example//evil.example/x", "https://evil.example/\\evil.example", "javascript:alert(1)"]
        {
            let page = left(&request(Method::POST, "/accounts", from));
            assert!(page.is_empty() || (is_own(&page) && !page.contains("//")), "{from} leads to {page}");
        }
        assert_eq!(left(&request(Method::POST, "//evil.example/x", "")), "");
    }

    #[test]
    fn a_page_leads_back_to_itself() {
        assert_eq!(left(&request(Method::GET, "/deliveries?q=a", "http://127.0.0.1/other")), "/deliveries?q=a");
        assert_eq!(left(&request(Method::GET, "/login", "")), "");
    }
}
