//! Repositories in object stores are served from replicas in the cache.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use modelet_server::tell;
use modelet_store::transfer::Root;
use modelet_store::transfer::replica::Replica;

/// The directories and files to serve, and the replicas among them, brought up to date. A store that is
/// not reached is no reason not to serve what was taken from it before.
pub async fn bring_up(
    sources: &[Root],
    cache: Option<PathBuf>,
) -> Result<(Vec<PathBuf>, Vec<Replica>)> {
    let mut paths = Vec::new();
    let mut replicas = Vec::new();
    for source in sources {
        match source {
            Root::Directory(path) => paths.push(path.clone()),
            Root::Bucket { .. } => {
                let cache = cache.as_deref().with_context(|| {
                    format!("{source} needs a place on this machine; choose one with --cache")
                })?;
                let replica = first_look(Replica::open(source, cache)?).await?;
                paths.push(replica.folder().to_owned());
                replicas.push(replica);
            }
        }
    }
    Ok((paths, replicas))
}

async fn first_look(mut replica: Replica) -> Result<Replica> {
    let origin = replica.origin().to_string();
    match replica.sync().await {
        Ok(synced) => {
            tell(&origin, &synced);
            if replica.is_empty() {
                tracing::warn!(origin, "there is nothing to serve in this store yet");
            }
        }
        Err(error) if replica.is_empty() => {
            return Err(error).context(format!(
                "{origin} is not reached, and nothing was taken from it before"
            ));
        }
        Err(error) => {
            let error = anyhow::Error::from(error);
            let reason = format!("{error:#}");
            tracing::warn!(
                origin,
                reason,
                "the store is not reached; serving what was taken before"
            );
        }
    }
    Ok(replica)
}
