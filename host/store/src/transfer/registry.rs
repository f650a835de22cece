//! An OCI registry, with artifacts in the layout that WebAssembly tools share: a small configuration and
//! one layer, the component.

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use bytes::Bytes;
use docker_credential::{CredentialRetrievalError, DockerCredential};
use oci_client::client::{BlobResponse, ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::manifest::{OCI_IMAGE_MEDIA_TYPE, OciDescriptor, OciImageManifest, OciManifest};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference, RegistryOperation};
use serde_json::json;

use super::error::TransferError;
use super::progress::{Progress, nobody};
use super::tls::name_provider;
use crate::digest::Digest;
use crate::repository::ARTIFACT_LIMIT_BYTES;
use crate::signature::SIGNATURE_LIMIT_BYTES;

const CONFIG_TYPE: &str = "application/vnd.wasm.config.v0+json";

const LAYER_TYPE: &str = "application/wasm";

/// The manifest's annotation that holds the text of the signature, its lines in one: the canonical JSON
/// that manifests are written in has no way to write a line's end.
const SIGNATURE_ANNOTATION: &str = "modelet.signature";

const LINE_END: &str = ";";

/// What other tools name a pulled file by.
const TITLE_ANNOTATION: &str = "org.opencontainers.image.title";

const CHUNK_BYTES: usize = 1 << 20;

/// One artifact's place in a registry.
#[derive(Clone)]
pub struct Registry {
    client: Client,
    auth: RegistryAuth,
    pub reference: Reference,
}

/// What a manifest says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Described {
    pub digest: Digest,
    pub size: u64,
    pub signature: Option<String>,
}

/// What is to be pushed.
pub struct Pushed<'a> {
    pub bytes: &'a Bytes,
    pub described: &'a Described,
    /// The model's name.
    pub name: &'a str,
}

impl Registry {
    /// Asks nothing yet. Credentials are those of `docker login`. HTTP is spoken with registries on
    /// this machine, and with others where `plain_http` says so.
    pub fn open(reference: &Reference, plain_http: bool) -> Result<Registry, TransferError> {
        name_provider();
        let host = reference.resolve_registry().to_owned();
        let protocol = match plain_http || is_this_machine(&host) {
            true => ClientProtocol::HttpsExcept(vec![host.clone()]),
            false => ClientProtocol::Https,
        };
        let client = Client::try_from(ClientConfig {
            protocol,
            use_monolithic_push: true,
            // An index is no artifact: it would be a choice by platform.
            platform_resolver: None,
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_secs(30)),
            user_agent: concat!("modelet/", env!("CARGO_PKG_VERSION")),
            ..ClientConfig::default()
        });
        Ok(Registry {
            client: client.map_err(unreachable(reference))?,
            auth: credentials(&host)?,
            reference: reference.clone(),
        })
    }

    /// What the tag stands for, if there is one.
    pub async fn find(&self) -> Result<Option<Described>, TransferError> {
        match self
            .client
            .pull_image_manifest(&self.reference, &self.auth)
            .await
        {
            Ok((manifest, _)) => described(&manifest)
                .map(Some)
                .map_err(|reason| self.unsuitable(reason)),
            Err(error) if is_not_found(&error) => Ok(None),
            Err(OciDistributionError::ImageIndexParsingNoPlatformResolverError) => {
                Err(self.unsuitable("it is an index of images"))
            }
            Err(error) => Err(self.unreachable(error)),
        }
    }

    /// The bytes of the layer from an offset on, and the offset that they really are from.
    pub async fn stream(
        &self,
        digest: &Digest,
        offset: u64,
    ) -> Result<(u64, oci_client::client::SizedStream), TransferError> {
        // Registries may send a layer's reader to other addresses; only the digest is handed on, so
        // that addresses in the manifest are not followed.
        let digest = digest.to_string();
        let asked = self
            .client
            .pull_blob_stream_partial(&self.reference, digest.as_str(), offset, None)
            .await;
        match asked.map_err(|error| self.unreachable(error))? {
            BlobResponse::Full(stream) => Ok((0, stream)),
            BlobResponse::Partial(stream) => Ok((offset, stream)),
        }
    }

    /// Uploads what is not there yet, and then makes the tag stand for it.
    pub async fn push(&self, pushed: Pushed<'_>, progress: &Progress) -> Result<(), TransferError> {
        let asked = self
            .client
            .auth(&self.reference, &self.auth, RegistryOperation::Push);
        asked.await.map_err(|error| self.unreachable(error))?;
        let config = config(&pushed.described.digest);
        self.push_blob(&pushed.described.digest, pushed.bytes, progress)
            .await?;
        self.push_blob(&Digest::of(&config), &config, &nobody())
            .await?;
        let manifest = OciManifest::Image(manifest(&pushed, &config));
        let written = self.client.push_manifest(&self.reference, &manifest).await;
        written.map(drop).map_err(|error| self.unreachable(error))
    }

    async fn push_blob(
        &self,
        digest: &Digest,
        bytes: &Bytes,
        progress: &Progress,
    ) -> Result<(), TransferError> {
        let digest = digest.to_string();
        let (client, reference) = (&self.client, &self.reference);
        let failed = |error| self.unreachable(error);
        if client
            .blob_exists(reference, &digest)
            .await
            .map_err(failed)?
        {
            return Ok(());
        }
        let size = bytes.len() as u64;
        let (mut rest, progress) = (bytes.clone(), progress.clone());
        let chunks = std::iter::from_fn(move || {
            let chunk = rest.split_to(CHUNK_BYTES.min(rest.len()));
            progress(size - rest.len() as u64, size);
            (!chunk.is_empty()).then_some(Ok(chunk))
        });
        let chunks = futures::stream::iter(chunks);
        client
            .push_blob_stream(reference, chunks, &digest, Some(size))
            .await
            .map(drop)
            .map_err(failed)
    }

    pub fn shown(&self) -> String {
        format!("oci://{}", self.reference)
    }

    fn unsuitable(&self, reason: impl Into<String>) -> TransferError {
        TransferError::Unsuitable {
            what: self.shown(),
            reason: reason.into(),
        }
    }

    fn unreachable(&self, source: OciDistributionError) -> TransferError {
        unreachable(&self.reference)(source)
    }
}

fn unreachable(reference: &Reference) -> impl Fn(OciDistributionError) -> TransferError {
    let what = format!("oci://{reference}");
    move |source| TransferError::Registry {
        what: what.clone(),
        source: Box::new(source),
    }
}

fn is_not_found(error: &OciDistributionError) -> bool {
    match error {
        OciDistributionError::ImageManifestNotFoundError(_) => true,
        OciDistributionError::ServerError { code, .. } => *code == 404,
        OciDistributionError::RegistryError { envelope, .. } => {
            envelope.errors.iter().any(|error| {
                matches!(
                    error.code,
                    OciErrorCode::ManifestUnknown
                        | OciErrorCode::NameUnknown
                        | OciErrorCode::NotFound
                )
            })
        }
        _ => false,
    }
}

/// Nobody listens in between.
fn is_this_machine(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let address = name.parse::<std::net::IpAddr>();
    name == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Those that `docker login` keeps; none where it keeps none.
fn credentials(host: &str) -> Result<RegistryAuth, TransferError> {
    let Some(path) = docker_config() else {
        return Ok(RegistryAuth::Anonymous);
    };
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Ok(RegistryAuth::Anonymous);
        }
        opened => opened.map_err(|source| TransferError::Read { path, source })?,
    };
    match docker_credential::get_credential_from_reader(file, host) {
        Ok(DockerCredential::UsernamePassword(name, password)) => {
            Ok(RegistryAuth::Basic(name, password))
        }
        Ok(DockerCredential::IdentityToken(_)) => Err(TransferError::Credentials {
            registry: host.to_owned(),
            reason: "they are an identity token; log in with a name and a password".to_owned(),
        }),
        Err(CredentialRetrievalError::NoCredentialConfigured) => Ok(RegistryAuth::Anonymous),
        // As every helper says that it knows nothing of this registry.
        Err(CredentialRetrievalError::HelperFailure { stdout, .. })
            if stdout.contains("credentials not found") =>
        {
            Ok(RegistryAuth::Anonymous)
        }
        Err(error) => Err(TransferError::Credentials {
            registry: host.to_owned(),
            reason: error.to_string(),
        }),
    }
}

fn docker_config() -> Option<PathBuf> {
    let folder = env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    Some(folder.or_else(home)?.join("config.json"))
}

/// Checks everything that is used later.
fn described(manifest: &OciImageManifest) -> Result<Described, String> {
    let [layer] = &manifest.layers[..] else {
        return Err(format!("it has {} layers, not one", manifest.layers.len()));
    };
    if layer.media_type != LAYER_TYPE {
        let found: String = layer.media_type.chars().take(80).collect();
        return Err(format!("its layer is `{found}`, not `{LAYER_TYPE}`"));
    }
    let size = u64::try_from(layer.size).unwrap_or(u64::MAX);
    if size > ARTIFACT_LIMIT_BYTES {
        return Err(format!("a layer of {} bytes is none", layer.size));
    }
    let annotations = manifest.annotations.as_ref();
    let signature = annotations.and_then(|annotations| annotations.get(SIGNATURE_ANNOTATION));
    if signature.is_some_and(|signature| signature.len() > SIGNATURE_LIMIT_BYTES) {
        return Err("its signature is too long for one".to_owned());
    }
    Ok(Described {
        digest: layer.digest.parse().map_err(|error| format!("{error}"))?,
        size,
        signature: signature.map(|line| line.replace(LINE_END, "\n") + "\n"),
    })
}

fn manifest(pushed: &Pushed<'_>, config: &Bytes) -> OciImageManifest {
    let title = (TITLE_ANNOTATION.to_owned(), format!("{}.wasm", pushed.name));
    let signature = pushed.described.signature.as_ref();
    let signature = signature.map(|text| {
        let line = text.trim_end().replace('\n', LINE_END);
        (SIGNATURE_ANNOTATION.to_owned(), line)
    });
    OciImageManifest {
        media_type: Some(OCI_IMAGE_MEDIA_TYPE.to_owned()),
        config: descriptor(CONFIG_TYPE, &Digest::of(config), config.len()),
        layers: vec![OciDescriptor {
            annotations: Some(BTreeMap::from([title])),
            ..descriptor(LAYER_TYPE, &pushed.described.digest, pushed.bytes.len())
        }],
        annotations: signature.map(|signature| BTreeMap::from([signature])),
        ..OciImageManifest::default()
    }
}

fn descriptor(media_type: &str, digest: &Digest, bytes: usize) -> OciDescriptor {
    OciDescriptor {
        media_type: media_type.to_owned(),
        digest: digest.to_string(),
        size: i64::try_from(bytes).unwrap_or(i64::MAX),
        ..OciDescriptor::default()
    }
}

/// Without a time, so that the same artifact gives the same manifest.
fn config(layer: &Digest) -> Bytes {
    let config = json!({
        "architecture": "wasm",
        "os": "wasip2",
        "layerDigests": [layer.to_string()],
        "component": { "exports": [modelet_artifact::CONTRACT], "imports": [] },
    });
    config.to_string().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_layers(layers: serde_json::Value) -> Result<Described, String> {
        let manifest = json!({
            "schemaVersion": 2,
            "config": { "mediaType": CONFIG_TYPE, "digest": Digest::of(b"").to_string(), "size": 0 },
            "layers": layers,
        });
        described(&serde_json::from_value(manifest).unwrap())
    }

    #[test]
    fn a_manifest_is_believed_only_as_far_as_it_can_be_an_artifacts() {
        let digest = Digest::of(b"model");
        let layer = |media: &str, digest: &str, size: i64| json!({ "mediaType": media, "digest": digest, "size": size });
        let good = layer(LAYER_TYPE, &digest.to_string(), 5);
        assert_eq!(with_layers(json!([good])).unwrap().size, 5);
        for (layers, expected) in [
            (json!([]), "0 layers"),
            (json!([good, good]), "2 layers"),
            (
                json!([layer("text/plain", &digest.to_string(), 5)]),
                "text/plain",
            ),
            (
                json!([layer(LAYER_TYPE, "sha256:../../x", 5)]),
                "a digest is",
            ),
            (json!([layer(LAYER_TYPE, "md5:00", 5)]), "a digest is"),
            (
                json!([layer(LAYER_TYPE, &digest.to_string(), -1)]),
                "-1 bytes",
            ),
            (
                json!([layer(LAYER_TYPE, &digest.to_string(), 5 << 30)]),
                "bytes",
            ),
        ] {
            let reason = with_layers(layers).unwrap_err();
            assert!(reason.contains(expected), "{reason}");
        }
    }

    #[test]
    fn only_this_machine_is_spoken_to_without_tls() {
        for host in [
            "localhost",
            "localhost:5000",
            "127.0.0.1:5000",
            "[::1]:5000",
        ] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in [
            "localhost.example.com",
            "10.0.0.1:5000",
            "ghcr.io",
            "127.evil.com:80",
        ] {
            assert!(!is_this_machine(host), "{host}");
        }
    }
}
