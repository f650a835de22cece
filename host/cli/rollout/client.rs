//! Calls of the admin API.

use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use serde_json::Value;
use ureq::Agent;
use ureq::http::Response;

use super::show;

/// Longer than a database may take to connect.
const TIMEOUT: Duration = Duration::from_secs(15);

pub struct Client {
    agent: Agent,
    /// Up to the models.
    base: String,
    authorization: Option<String>,
}

impl Client {
    pub fn new(admin: &str) -> Client {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(TIMEOUT));
        let token = std::env::var("MODELET_TOKEN").ok();
        // `serve` is told an address, without what makes it a URL.
        let scheme = if admin.contains("://") { "" } else { "http://" };
        Client {
            agent: config.build().into(),
            base: format!("{scheme}{}/admin/v1/models", admin.trim_end_matches('/')),
            authorization: token.map(|token| format!("Bearer {token}")),
        }
    }

    pub fn get(&self, path: &str) -> Result<Value> {
        let response = self.read(path)?;
        body(response)
    }

    /// Changes a model's rollout as it is now, and shows what it is then.
    pub fn change(&self, path: &str, model: &str, change: &Value) -> Result<String> {
        let before = self.read(&format!("{model}/rollout"))?;
        let tag = before.headers().get("etag").cloned();
        let mut request = self.agent.post(self.url(path));
        request = match tag {
            Some(tag) => request.header("if-match", tag),
            None => request.header("if-none-match", "*"),
        };
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        let response = request
            .header("content-type", "application/json")
            .send(change.to_string())
            .with_context(|| self.unreachable())?;
        Ok(show::status(&body(response)?))
    }

    fn read(&self, path: &str) -> Result<Response<ureq::Body>> {
        let mut request = self.agent.get(self.url(path));
        if let Some(authorization) = &self.authorization {
            request = request.header("authorization", authorization);
        }
        request.call().with_context(|| self.unreachable())
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.base)
    }

    fn unreachable(&self) -> String {
        format!("{} cannot be reached; name it with --admin", self.base)
    }
}

/// What was answered, or the errors that it lists.
fn body(mut response: Response<ureq::Body>) -> Result<Value> {
    let status = response.status();
    let text = response.body_mut().read_to_string()?;
    let value: Value = serde_json::from_str(&text).with_context(|| {
        format!(
            "the answer, {status}, is not the admin API's; does --admin name its address? {text:?}"
        )
    })?;
    if status.is_success() {
        return Ok(value);
    }
    if status == 401 {
        bail!("the admin API asks for a token; set MODELET_TOKEN to one that it knows");
    }
    match value["errors"].as_array() {
        Some(errors) => {
            let errors = errors.iter().filter_map(Value::as_str);
            bail!(
                "it was refused:\n  {}",
                errors.collect::<Vec<_>>().join("\n  ")
            )
        }
        None => bail!("{}", value["error"].as_str().unwrap_or(&text)),
    }
}
