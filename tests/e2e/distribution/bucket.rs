//! moto's server from PyPI, which speaks S3.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use super::Environment;
use crate::built;

/// Who asks. The server wants to know it, and takes everybody's word.
const ANNA: &str = "AWS4-HMAC-SHA256 Credential=anna/20260101/us-east-1/s3/aws4_request, \
                    SignedHeaders=host, Signature=0";

/// A server with one bucket, `models`. It ends when this is dropped.
pub struct Bucket {
    child: Child,
    pub address: String,
}

impl Bucket {
    /// Nothing, said, where moto is not installed.
    pub fn start() -> Option<Bucket> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = root.join("target/python/tests/bin/python");
        let installed = Command::new(&python).args(["-c", "import moto"]).output();
        if !installed.is_ok_and(|output| output.status.success()) {
            built::skip("moto is missing; `cargo xtask test` installs it");
            return None;
        }
        let mut child = Command::new(python)
            .arg(root.join("tests/distribution/s3.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut address).unwrap();
        let bucket = Bucket {
            child,
            address: address.trim().to_owned(),
        };
        bucket.put("", b"");
        Some(bucket)
    }

    pub fn environment(&self) -> Environment {
        environment(&self.address)
    }

    /// Writes an object as any other tool would.
    pub fn put(&self, key: &str, bytes: &[u8]) {
        ureq::put(self.url(key))
            .header("Authorization", ANNA)
            .send(bytes)
            .unwrap();
    }

    pub fn delete(&self, key: &str) {
        ureq::delete(self.url(key))
            .header("Authorization", ANNA)
            .call()
            .unwrap();
    }

    pub fn get(&self, key: &str) -> Vec<u8> {
        let mut answer = ureq::get(self.url(key))
            .header("Authorization", ANNA)
            .call()
            .unwrap();
        let body = answer.body_mut().with_config().limit(64 << 20);
        body.read_to_vec().unwrap()
    }

    /// Begins an upload in parts, sends one, and leaves it at that.
    pub fn begin_upload(&self, key: &str, bytes: &[u8]) {
        let begin = format!("{}?uploads", self.url(key));
        let answer = ureq::post(begin)
            .header("Authorization", ANNA)
            .send_empty()
            .unwrap();
        let answer = answer.into_body().read_to_string().unwrap();
        let (_, rest) = answer.split_once("<UploadId>").unwrap();
        let (id, _) = rest.split_once("</UploadId>").unwrap();
        let part = format!("{}?partNumber=1&uploadId={id}", self.url(key));
        ureq::put(part)
            .header("Authorization", ANNA)
            .send(bytes)
            .unwrap();
    }

    fn url(&self, key: &str) -> String {
        format!("http://{}/models/{key}", self.address)
    }
}

/// Of commands that find the server at this address.
pub fn environment(address: &str) -> Environment {
    let set = [
        ("AWS_ENDPOINT", format!("http://{address}")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
        ("AWS_REGION", "us-east-1".to_owned()),
        ("AWS_ACCESS_KEY_ID", "anna".to_owned()),
        ("AWS_SECRET_ACCESS_KEY", "secret".to_owned()),
    ];
    set.into_iter()
        .map(|(name, value)| (name.to_owned(), value))
        .collect()
}

impl Drop for Bucket {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
