//! `modelet.toml`: what was written, checked as a whole, becomes what is used.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use modelet_policy::units;
use modelet_server::{Role, Token};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// How `modelet serve` serves, where the command line does not say otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    pub listen: SocketAddr,
    /// Of the admin API.
    pub admin: Option<SocketAddr>,
    /// The URL of the database.
    pub state: Option<String>,
    pub cache: Option<PathBuf>,
    /// The files of the keys that must have signed what is served.
    pub require_signature: Vec<PathBuf>,
    pub server: modelet_server::Config,
    pub log: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    Text,
    Json,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            admin: None,
            state: None,
            cache: None,
            require_signature: Vec::new(),
            server: modelet_server::Config::default(),
            log: LogFormat::Text,
        }
    }
}

impl Settings {
    /// Reads a file. Relative paths in it are relative to the file. The error lists every mistake.
    pub fn read(path: &Path) -> Result<Settings> {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("{} cannot be read", path.display()))?;
        let mut settings = match Settings::parse(&text) {
            Ok(settings) => settings,
            Err(mistakes) => bail!("{}:\n  {}", path.display(), mistakes.join("\n  ")),
        };
        let folder = path.parent().unwrap_or(Path::new(""));
        settings.cache = settings.cache.map(|cache| folder.join(cache));
        for key in &mut settings.require_signature {
            *key = folder.join(&*key);
        }
        Ok(settings)
    }

    fn parse(text: &str) -> Result<Settings, Vec<String>> {
        let mut written = Written::parse(text)?;
        let mut settings = Settings::default();
        let server = &mut settings.server;
        written.take("listen", &mut settings.listen, address);
        written.take("cache", &mut settings.cache, |value| {
            Ok(Some(PathBuf::from(string(value)?)))
        });
        written.take("state", &mut settings.state, |value| {
            Ok(Some(string(value)?.to_owned()))
        });
        written.take("admin.listen", &mut settings.admin, |value| {
            address(value).map(Some)
        });
        written.take("admin.tokens", &mut server.tokens, tokens);
        written.take("repository.poll", &mut server.poll_interval, time);
        written.take(
            "repository.store_poll",
            &mut server.store_poll_interval,
            time,
        );
        written.take(
            "repository.require_signature",
            &mut settings.require_signature,
            paths,
        );
        written.take("limits.body", &mut server.body_bytes, body);
        written.take("limits.header_timeout", &mut server.header_timeout, time);
        written.take("limits.timeout", &mut server.request_timeout, time);
        written.take("limits.drain_timeout", &mut server.drain_timeout, time);
        written.take("limits.concurrency", &mut server.concurrency, |value| {
            count(value, 1)
        });
        written.take("limits.queue", &mut server.queue, |value| count(value, 0));
        written.take("limits.memory", &mut server.memory_bytes, memory);
        written.take("log.format", &mut settings.log, log_format);
        written.finish(settings)
    }
}

/// What a file sets, by dotted key, and what was found wrong with it.
struct Written<'i> {
    values: BTreeMap<String, (usize, DeValue<'i>)>,
    known: Vec<&'static str>,
    mistakes: Vec<(usize, String)>,
}

impl<'i> Written<'i> {
    fn parse(text: &'i str) -> Result<Written<'i>, Vec<String>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if !errors.is_empty() {
            let shown = |error: &toml::de::Error| {
                let line = line_of(text, error.span().map_or(0, |span| span.start));
                format!("line {line}: {}", error.message())
            };
            return Err(errors.iter().map(shown).collect());
        }
        let mut values = BTreeMap::new();
        flatten(text, "", table.into_inner(), &mut values);
        Ok(Written {
            values,
            known: Vec::new(),
            mistakes: Vec::new(),
        })
    }

    /// Sets `setting` if the file has `key`.
    fn take<T>(
        &mut self,
        key: &'static str,
        setting: &mut T,
        read: impl FnOnce(&DeValue) -> Result<T, String>,
    ) {
        self.known.push(key);
        if let Some((line, value)) = self.values.remove(key) {
            match read(&value) {
                Ok(value) => *setting = value,
                Err(expected) => self.mistakes.push((line, format!("{key} is {expected}"))),
            }
        }
    }

    /// What is left was never asked for.
    fn finish(mut self, settings: Settings) -> Result<Settings, Vec<String>> {
        for (key, (line, value)) in self.values {
            let section = format!("{key}.");
            let is_section = self.known.iter().any(|known| known.starts_with(&section));
            if is_section && matches!(value, DeValue::Table(_)) {
                continue;
            }
            let known = self.known.join(", ");
            let mistake = format!("there is no setting `{key}`; there are {known}");
            self.mistakes.push((line, mistake));
        }
        if self.mistakes.is_empty() {
            return Ok(settings);
        }
        self.mistakes.sort();
        let shown = |(line, mistake): &(usize, String)| format!("line {line}: {mistake}");
        Err(self.mistakes.iter().map(shown).collect())
    }
}

/// Tables inside become dotted keys; a table with nothing in it stays, to be judged by its name.
fn flatten<'i>(
    text: &str,
    prefix: &str,
    table: DeTable<'i>,
    values: &mut BTreeMap<String, (usize, DeValue<'i>)>,
) {
    for (key, value) in table {
        let line = line_of(text, key.span().start);
        let key = format!("{prefix}{}", key.get_ref());
        match Spanned::into_inner(value) {
            DeValue::Table(inner) if !inner.is_empty() => {
                flatten(text, &format!("{key}."), inner, values);
            }
            value => drop(values.insert(key, (line, value))),
        }
    }
}

fn line_of(text: &str, offset: usize) -> usize {
    1 + text
        .bytes()
        .take(offset)
        .filter(|&byte| byte == b'\n')
        .count()
}

fn string<'a>(value: &'a DeValue) -> Result<&'a str, String> {
    value
        .as_str()
        .ok_or_else(|| "a string in quotes".to_owned())
}

fn paths(value: &DeValue) -> Result<Vec<PathBuf>, String> {
    let path = |value: &Spanned<DeValue>| value.get_ref().as_str().map(PathBuf::from);
    let paths = value.as_array().filter(|array| !array.is_empty());
    paths
        .and_then(|paths| paths.iter().map(path).collect())
        .ok_or_else(|| "a list of files, at least one, such as [\"release.pem\"]".to_owned())
}

fn address(value: &DeValue) -> Result<SocketAddr, String> {
    string(value)
        .ok()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| "an address and a port, such as \"127.0.0.1:8080\"".to_owned())
}

fn whole(value: &DeValue) -> Option<u64> {
    let integer = value.as_integer()?;
    u64::from_str_radix(integer.as_str(), integer.radix()).ok()
}

fn count(value: &DeValue, least: usize) -> Result<usize, String> {
    whole(value)
        .and_then(|number| usize::try_from(number).ok())
        .filter(|&number| number >= least)
        .ok_or_else(|| format!("a whole number, at least {least}"))
}

fn time(value: &DeValue) -> Result<Duration, String> {
    value
        .as_str()
        .and_then(units::duration)
        .filter(|time| !time.is_zero())
        .ok_or_else(|| "a time such as \"30s\" or \"250ms\"".to_owned())
}

fn body(value: &DeValue) -> Result<usize, String> {
    size(value)
        .and_then(|bytes| usize::try_from(bytes).ok())
        .ok_or_else(|| "a size such as \"64MiB\"".to_owned())
}

/// WebAssembly addresses 4 GiB.
fn memory(value: &DeValue) -> Result<u64, String> {
    size(value)
        .filter(|&bytes| bytes <= 4 << 30)
        .ok_or_else(|| "a size of at most 4GiB such as \"512MiB\"".to_owned())
}

fn size(value: &DeValue) -> Option<u64> {
    value
        .as_str()
        .and_then(units::bytes)
        .filter(|&bytes| bytes > 0)
}

/// A list of tables with a name, a role and the SHA-256 of the token.
fn tokens(value: &DeValue) -> Result<Vec<Token>, String> {
    let expected = || {
        "a list of tokens, each with a name, a role, \"view\" or \"operate\", and the sha256 of its \
         text in 64 hexadecimal digits"
            .to_owned()
    };
    let token = |value: &Spanned<DeValue>| {
        let table = value
            .get_ref()
            .as_table()
            .filter(|table| table.len() == 3)?;
        let text = |key: &str| table.get(key)?.get_ref().as_str();
        let role = match text("role")? {
            "view" => Role::View,
            "operate" => Role::Operate,
            _ => return None,
        };
        let digits = text("sha256")?;
        let mut sha256 = [0; 32];
        for (byte, digits) in sha256.iter_mut().zip(digits.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        }
        let name = text("name")?.to_owned();
        (digits.len() == 64).then_some(Token { name, role, sha256 })
    };
    let list = value.as_array().ok_or_else(expected)?;
    let tokens = list.iter().map(token).collect::<Option<Vec<_>>>();
    tokens.ok_or_else(expected)
}

fn log_format(value: &DeValue) -> Result<LogFormat, String> {
    match value.as_str() {
        Some("text") => Ok(LogFormat::Text),
        Some("json") => Ok(LogFormat::Json),
        _ => Err("\"text\" or \"json\"".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_mistakes(text: &str, expected: &[&str]) {
        let mistakes = Settings::parse(text).unwrap_err();
        assert_eq!(mistakes.len(), expected.len(), "{mistakes:?}");
        for (mistake, expected) in mistakes.iter().zip(expected) {
            assert!(mistake.starts_with(expected), "{mistake}");
        }
    }

    #[test]
    fn an_empty_file_changes_nothing() {
        assert_eq!(Settings::parse(""), Ok(Settings::default()));
        assert_eq!(Settings::parse("[limits]\n"), Ok(Settings::default()));
    }

    #[test]
    fn every_setting_is_read() {
        let text = r#"
            listen = "[::1]:9000"
            cache = "code"
            state = "postgres://db/modelet"
            [admin]
            listen = "0.0.0.0:8090"
            tokens = [{ name = "anna", role = "view", sha256 = "DIGITS" }]
            [repository]
            poll = "250ms"
            store_poll = "1m"
            require_signature = ["release.pem"]
            [limits]
            body = "1KiB"
            header_timeout = "1s"
            timeout = "2s"
            drain_timeout = "3s"
            concurrency = 3
            queue = 0
            memory = "4GiB"
            [log]
            format = "json"
        "#
        .replace("DIGITS", &"0f".repeat(32));
        let expected = Settings {
            listen: "[::1]:9000".parse().unwrap(),
            admin: Some("0.0.0.0:8090".parse().unwrap()),
            state: Some("postgres://db/modelet".to_owned()),
            cache: Some("code".into()),
            require_signature: vec!["release.pem".into()],
            server: modelet_server::Config {
                poll_interval: Duration::from_millis(250),
                store_poll_interval: Duration::from_secs(60),
                body_bytes: 1024,
                header_timeout: Duration::from_secs(1),
                request_timeout: Duration::from_secs(2),
                concurrency: 3,
                queue: 0,
                memory_bytes: 4 << 30,
                drain_timeout: Duration::from_secs(3),
                tokens: vec![Token {
                    name: "anna".to_owned(),
                    role: Role::View,
                    sha256: [0x0f; 32],
                }],
                ..modelet_server::Config::default()
            },
            log: LogFormat::Json,
        };
        assert_eq!(Settings::parse(&text), Ok(expected));
    }

    #[test]
    fn all_mistakes_come_at_once_with_their_lines() {
        check_mistakes(
            "listen = 8080\n[limits]\nqeue = 1\nconcurrency = 0\nmemory = 64\n[log]\nformat = \"xml\"",
            &[
                "line 1: listen is an address and a port",
                "line 3: there is no setting `limits.qeue`",
                "line 4: limits.concurrency is a whole number, at least 1",
                "line 5: limits.memory is a size",
                "line 7: log.format is \"text\" or \"json\"",
            ],
        );
    }

    #[test]
    fn what_is_no_toml_is_said_with_its_line() {
        check_mistakes("listen = \"127.0.0.1:80\"\nqueue =\n", &["line 2: "]);
        check_mistakes("[server]\n", &["line 1: there is no setting `server`"]);
        check_mistakes(
            "admin.tokens = [{ name = \"a\", role = \"view\", sha256 = \"0\" }]",
            &["line 1: admin.tokens is a list of tokens"],
        );
        check_mistakes("limits = 3\n", &["line 1: there is no setting `limits`"]);
    }
}
