//! Rollouts of a running server, over its admin API.

mod client;
mod show;

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Subcommand;
use serde_json::{Value, json};

use client::Client;

/// How often `status --watch` looks.
const WATCH_INTERVAL: Duration = Duration::from_millis(500);

/// Roll out a version of a model, and watch and steer how it takes over
#[derive(clap::Args)]
pub struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// The admin API of a server, which may want a token in MODELET_TOKEN
    #[arg(
        long,
        value_name = "URL",
        global = true,
        default_value = "http://127.0.0.1:8090"
    )]
    admin: String,
}

#[derive(Subcommand)]
enum Verb {
    /// Begin to roll out a version that is in the repository
    Start {
        model: String,
        version: u64,
        /// Take `[strategy]` from this file instead of from the model's model.toml
        #[arg(long, value_name = "FILE")]
        strategy: Option<PathBuf>,
    },
    /// Go past the step that waits for it
    Promote {
        model: String,
        /// Past all steps that are left
        #[arg(long)]
        full: bool,
    },
    /// Stay where it is
    Pause { model: String },
    /// Go on after a pause
    Resume { model: String },
    /// Send everything back to the stable version
    Abort { model: String },
    /// Begin again after an abort
    Retry { model: String },
    /// Go back to the version that was stable before, at once
    Undo { model: String },
    /// Show where it is and what was seen
    Status {
        model: String,
        /// Draw it again and again until it is over
        #[arg(long)]
        watch: bool,
        /// As the admin API gives it
        #[arg(long)]
        json: bool,
    },
    /// Show what happened, the newest first
    History { model: String },
}

pub fn rollout(arguments: &Arguments) -> Result<()> {
    let client = Client::new(&arguments.admin);
    match &arguments.verb {
        Verb::Start {
            model,
            version,
            strategy,
        } => {
            let strategy = strategy.as_deref().map(read_strategy).transpose()?;
            let body = match strategy {
                Some(strategy) => json!({"version": version, "strategy": strategy}),
                None => json!({"version": version}),
            };
            say(&client.change(&format!("{model}/rollout"), model, &body)?)
        }
        Verb::Promote { model, full } => verb(&client, model, "promote", &json!({"full": full})),
        Verb::Pause { model } => verb(&client, model, "pause", &json!({})),
        Verb::Resume { model } => verb(&client, model, "resume", &json!({})),
        Verb::Abort { model } => verb(&client, model, "abort", &json!({})),
        Verb::Retry { model } => verb(&client, model, "retry", &json!({})),
        Verb::Undo { model } => verb(&client, model, "undo", &json!({})),
        Verb::Status { model, watch, json } => status(&client, model, *watch, *json),
        Verb::History { model } => say(&show::history(&client.get(&format!("{model}/history"))?)),
    }
}

fn verb(client: &Client, model: &str, verb: &str, body: &Value) -> Result<()> {
    let path = format!("{model}/rollout/{verb}");
    say(&client.change(&path, model, body)?)
}

fn status(client: &Client, model: &str, watch: bool, json: bool) -> Result<()> {
    let path = format!("{model}/rollout");
    let mut drawn = 0;
    loop {
        let view = client.get(&path)?;
        let text = match json {
            true => serde_json::to_string_pretty(&view)? + "\n",
            false => show::status(&view),
        };
        if drawn > 0 && std::io::stdout().is_terminal() {
            // Up to where the last one began, and clear from there.
            print!("\x1b[{drawn}A\x1b[J");
        }
        say(&text)?;
        drawn = text.lines().count();
        if !watch || matches!(view["phase"].as_str(), Some("Healthy" | "Degraded")) {
            return Ok(());
        }
        std::thread::sleep(WATCH_INTERVAL);
    }
}

fn say(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    stdout.write_all(text.as_bytes())?;
    Ok(stdout.flush()?)
}

/// What stands under `[strategy]`.
fn read_strategy(path: &Path) -> Result<Value> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).with_context(|| format!("{shown} cannot be read"))?;
    let table: toml::Table =
        toml::from_str(&text).with_context(|| format!("{shown} is no TOML"))?;
    let strategy = table
        .get("strategy")
        .with_context(|| format!("{shown} has no [strategy]"))?;
    Ok(serde_json::to_value(strategy)?)
}
