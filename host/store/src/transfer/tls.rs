//! Both clients take the cryptography that the process has.

/// Names ring, unless somebody has named another.
pub fn name_provider() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
