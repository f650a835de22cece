//! What a request says of itself, beside its tensors.

use std::collections::BTreeMap;

use http::HeaderMap;
use http::header::COOKIE;
use modelet_policy::deployment::Caller;
use modelet_protocol::rest::InferRequest;
use serde_json::Value;

/// Names a version, or a label, where the path does not.
const VERSION_HEADER: &str = "modelet-version";

/// Names a request, across all who have to do with it.
pub const REQUEST_ID: &str = "x-request-id";

/// Where Spin tells the address, and the port, of the caller.
const CLIENT: &str = "spin-client-addr";

pub fn caller(version: Option<String>, headers: &HeaderMap, request: &InferRequest) -> Caller {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::to_owned);
    let in_header = || text(VERSION_HEADER).filter(|version| !version.is_empty());
    let given = request.parameters.iter();
    let mut parameters = BTreeMap::new();
    parameters.extend(given.filter_map(|(name, value)| Some((name.clone(), parameter(value)?))));
    Caller {
        version: version.or_else(in_header),
        key: None,
        id: text(REQUEST_ID).unwrap_or_default(),
        address: text(CLIENT).map(address),
        headers: all_headers(headers),
        cookies: cookies(headers),
        parameters,
    }
}

/// Without the port, which is another for every connection.
fn address(text: String) -> String {
    match text.parse::<std::net::SocketAddr>() {
        Ok(address) => address.ip().to_string(),
        Err(_) => text,
    }
}

/// The first of each name, as a server looks them up.
fn all_headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let value = |name: &http::HeaderName| Some(headers.get(name)?.to_str().ok()?.to_owned());
    let all = headers.keys();
    let mut values = BTreeMap::new();
    values.extend(all.filter_map(|name| Some((name.as_str().to_owned(), value(name)?))));
    values
}

fn cookies(headers: &HeaderMap) -> BTreeMap<String, String> {
    let values = headers.get_all(COOKIE).iter();
    let pairs = values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='));
    let mut cookies = BTreeMap::new();
    for (name, value) in pairs {
        cookies
            .entry(name.to_owned())
            .or_insert_with(|| value.to_owned());
    }
    cookies
}

/// A parameter as a key.
fn parameter(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use modelet_protocol::Signature;
    use modelet_protocol::rest::decode_request;

    use super::*;

    #[test]
    fn a_caller_is_what_its_request_says() {
        let mut headers = HeaderMap::new();
        headers.append(COOKIE, "a=1; user=anna".parse().unwrap());
        headers.append(COOKIE, "user=ben; z=".parse().unwrap());
        headers.insert(CLIENT, "[::1]:80".parse().unwrap());
        headers.insert(VERSION_HEADER, "canary".parse().unwrap());
        headers.insert("X-User", "carla".parse().unwrap());
        let body = br#"{"inputs":[],"parameters":{"user":7,"more":[1]}}"#;
        let request = decode_request(body, None, &Signature::default()).unwrap();
        let found = caller(None, &headers, &request);
        assert_eq!(found.version.as_deref(), Some("canary"));
        assert_eq!(found.address.as_deref(), Some("::1"));
        assert_eq!(found.headers["x-user"], "carla");
        assert_eq!(
            (&*found.cookies["user"], &*found.cookies["z"]),
            ("anna", "")
        );
        assert_eq!(
            found.parameters,
            [("user".to_owned(), "7".to_owned())].into()
        );
        let named = caller(Some("2".to_owned()), &headers, &request);
        assert_eq!(named.version.as_deref(), Some("2"));
    }
}
