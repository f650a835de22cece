//! Who may do what.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::header::HOST;
use http::{HeaderMap, Method, StatusCode};
use modelet_admin::change;

use crate::app::App;
use crate::config::{Role, Token};
use crate::respond::error;

/// Who asks, for the audit log.
#[derive(Clone)]
pub struct Who(pub String);

/// Lets through who may do this. Without tokens everybody may who is on this machine.
pub async fn check(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let needed = match *request.method() {
        Method::GET | Method::HEAD => Role::View,
        _ => Role::Operate,
    };
    match who(&app.config.tokens, request.headers(), needed) {
        Ok(who) => {
            request.extensions_mut().insert(who);
            next.run(request).await
        }
        Err((status, why)) => error(status, why),
    }
}

fn who(
    tokens: &[Token],
    headers: &HeaderMap,
    needed: Role,
) -> Result<Who, (StatusCode, &'static str)> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    if tokens.is_empty() {
        // A page on the web can make a browser call this address, but under the page's own name.
        let is_local = text(HOST).is_some_and(is_loopback);
        return match is_local {
            true => Ok(Who("local".to_owned())),
            false => Err((
                StatusCode::FORBIDDEN,
                "without tokens only this machine is answered, at 127.0.0.1 or localhost",
            )),
        };
    }
    let shown = change::token(headers);
    let token = tokens.iter().find(|token| Some(token.sha256) == shown);
    match token {
        None => Err((
            StatusCode::UNAUTHORIZED,
            "Authorization: Bearer with a token of this server is needed",
        )),
        Some(token) if token.role < needed => {
            Err((StatusCode::FORBIDDEN, "this token may look and not change"))
        }
        Some(token) => Ok(Who(token.name.clone())),
    }
}

fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    matches!(name, "localhost" | "[::1]")
        || name.starts_with("127.") && name.parse::<std::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(name: &str, role: Role) -> Token {
        Token {
            name: name.to_owned(),
            role,
            sha256: change::digest(&format!("{name}'s")),
        }
    }

    fn check(
        tokens: &[Token],
        header: (&'static str, &str),
        needed: Role,
        expected: Result<&str, u16>,
    ) {
        let mut headers = HeaderMap::new();
        headers.insert(header.0, header.1.parse().unwrap());
        let found = who(tokens, &headers, needed);
        let found = found
            .map(|who| who.0)
            .map_err(|(status, _)| status.as_u16());
        assert_eq!(found.as_deref().map_err(|status| *status), expected);
    }

    #[test]
    fn tokens_say_who_somebody_is_and_what_they_may() {
        let tokens = [token("anna", Role::Operate), token("bert", Role::View)];
        let with =
            |text, needed, expected| check(&tokens, ("authorization", text), needed, expected);
        with("Bearer anna's", Role::Operate, Ok("anna"));
        with("Bearer bert's", Role::View, Ok("bert"));
        with("Bearer bert's", Role::Operate, Err(403));
        with("Bearer carl's", Role::View, Err(401));
        with("anna's", Role::View, Err(401));
    }

    #[test]
    fn without_tokens_only_this_machine_is_answered() {
        for host in ["127.0.0.1:8090", "localhost", "[::1]:1", "127.0.0.5"] {
            check(&[], ("host", host), Role::Operate, Ok("local"));
        }
        for host in ["127.evil.example", "evil.example:8090", "10.0.0.1"] {
            check(&[], ("host", host), Role::View, Err(403));
        }
    }
}
