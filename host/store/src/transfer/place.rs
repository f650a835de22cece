//! Where artifacts are pushed to and pulled from, as it is typed.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use modelet_policy::names::{ModelName, Version};
use oci_client::Reference;

/// The place of one version.
#[derive(Clone, Debug, PartialEq)]
pub enum Place {
    Repository {
        root: Root,
        model: ModelName,
        version: Version,
    },
    Registry(Reference),
}

/// The root of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Root {
    Directory(PathBuf),
    Bucket { bucket: String, prefix: String },
}

/// Why a text is no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{place}` {reason}")]
pub struct InvalidPlace {
    place: String,
    reason: String,
}

const KINDS: &str = "a repository is a directory or s3://BUCKET/PREFIX; push and pull also take \
                     oci://HOST/NAME:TAG";

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Place, InvalidPlace> {
        if let Some(name) = text.strip_prefix("oci://") {
            return registry(text, name).map(Place::Registry);
        }
        match text.parse()? {
            Root::Directory(folder) => {
                let (folder, version) = split(text, folder.to_string_lossy().as_ref())?;
                let (folder, model) = split(text, &folder)?;
                let root = match folder.as_str() {
                    "" if text.starts_with('/') => "/",
                    "" => ".",
                    folder => folder,
                };
                in_repository(text, Root::Directory(root.into()), &model, &version)
            }
            Root::Bucket { bucket, prefix } => {
                let (prefix, version) = split(text, &prefix)?;
                let (prefix, model) = split(text, &prefix)?;
                in_repository(text, Root::Bucket { bucket, prefix }, &model, &version)
            }
        }
    }
}

impl FromStr for Root {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Root, InvalidPlace> {
        if let Some(path) = text.strip_prefix("s3://") {
            return bucket(text, path);
        }
        if let Some(path) = text.strip_prefix("file://") {
            return match path.starts_with('/') {
                true => Ok(Root::Directory(path.into())),
                false => Err(invalid(text, "is no file on this machine: file:///PATH is")),
            };
        }
        match text.split_once("://") {
            None if text.is_empty() => Err(invalid(text, &format!("is empty: {KINDS}"))),
            None => Ok(Root::Directory(text.into())),
            Some(_) => Err(invalid(text, &format!("is of no known kind: {KINDS}"))),
        }
    }
}

impl fmt::Display for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Root::Directory(folder) => folder.display().fmt(f),
            Root::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Root::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Repository {
                root,
                model,
                version,
            } => write!(
                f,
                "{}/{model}/{version}",
                root.to_string().trim_end_matches('/')
            ),
            Place::Registry(reference) => write!(f, "oci://{reference}"),
        }
    }
}

fn in_repository(
    text: &str,
    root: Root,
    model: &str,
    version: &str,
) -> Result<Place, InvalidPlace> {
    let reason = |error: &dyn fmt::Display| {
        format!("does not end with /MODEL/VERSION, such as /iris/2: {error}")
    };
    Ok(Place::Repository {
        root,
        model: model
            .parse()
            .map_err(|error| invalid(text, &reason(&error)))?,
        version: version
            .parse()
            .map_err(|error| invalid(text, &reason(&error)))?,
    })
}

/// The last part of a path, and what is before it.
fn split(text: &str, path: &str) -> Result<(String, String), InvalidPlace> {
    let path = path.strip_suffix('/').unwrap_or(path);
    let (before, last) = path.rsplit_once('/').unwrap_or(("", path));
    if last.is_empty() {
        let reason = "does not end with /MODEL/VERSION, such as /iris/2";
        return Err(invalid(text, reason));
    }
    Ok((before.to_owned(), last.to_owned()))
}

fn bucket(text: &str, path: &str) -> Result<Root, InvalidPlace> {
    let (bucket, prefix) = path.split_once('/').unwrap_or((path, ""));
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_));
    let is_prefix =
        prefix.is_empty() || (Path::new(prefix).components().all(plain) && !prefix.contains("//"));
    if bucket.is_empty() || !is_prefix {
        return Err(invalid(text, "is not s3://BUCKET or s3://BUCKET/PREFIX"));
    }
    Ok(Root::Bucket {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

/// A name without a host would be looked for in a registry that nobody named, and one without a tag
/// would stand for another version tomorrow.
fn registry(text: &str, name: &str) -> Result<Reference, InvalidPlace> {
    let reference: Reference = name.parse().map_err(|error| {
        let reason = format!("is not oci://HOST/NAME:TAG: {error}");
        invalid(text, &reason)
    })?;
    let host = name.split('/').next().unwrap_or_default();
    if reference.registry() != host {
        let reason = "names no registry: its host needs a dot or a port, such as localhost:5000";
        return Err(invalid(text, reason));
    }
    let repository = &name[host.len()..];
    if !repository.contains([':', '@']) {
        return Err(invalid(text, "names no tag: oci://HOST/NAME:TAG does"));
    }
    Ok(reference)
}

fn invalid(place: &str, reason: &str) -> InvalidPlace {
    InvalidPlace {
        place: place.to_owned(),
        reason: reason.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shown_as_they_are_typed() {
        for text in [
            "models/iris/2",
            "/models/iris/2",
            "s3://bucket/iris/2",
            "s3://bucket/a/b/iris/2",
            "oci://localhost:5000/iris:2",
            "oci://models.example.com/team/iris:1.0",
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), text);
        }
        for (text, shown) in [
            ("iris/2", "./iris/2"),
            ("/iris/2/", "/iris/2"),
            ("file:///models/iris/2", "/models/iris/2"),
        ] {
            assert_eq!(text.parse::<Place>().unwrap().to_string(), shown);
        }
        let root: Root = "s3://bucket/prefix/".parse().unwrap();
        assert_eq!(root.to_string(), "s3://bucket/prefix");
    }

    #[test]
    fn what_is_no_place_says_what_would_be_one() {
        for (text, expected) in [
            ("", "is empty"),
            ("iris", "does not end with /MODEL/VERSION"),
            ("models/iris/v2", "does not end with /MODEL/VERSION"),
            ("models/../2", "does not end with /MODEL/VERSION"),
            ("s3://bucket", "does not end with /MODEL/VERSION"),
            ("s3://bucket/iris", "does not end with /MODEL/VERSION"),
            ("s3:///iris/2", "is not s3://BUCKET"),
            ("s3://bucket/../iris/2", "is not s3://BUCKET"),
            ("s3://bucket//iris/2", "is not s3://BUCKET"),
            ("file://host/iris/2", "is no file on this machine"),
            ("gs://bucket/iris/2", "is of no known kind"),
            ("oci://iris:2", "names no registry"),
            ("oci://host/iris:2", "names no registry"),
            ("oci://localhost:5000/iris", "names no tag"),
            ("oci://localhost:5000/Iris:2", "is not oci://HOST/NAME:TAG"),
        ] {
            let error = text.parse::<Place>().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }
}
