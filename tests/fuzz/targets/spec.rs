//! What people type: `model.toml`, and `--input`.
#![no_main]

use libfuzzer_sys::fuzz_target;
use modelet_policy::spec::ModelSpec;
use modelet_protocol::TensorSpec;

fuzz_target!(|text: &str| {
    if let Err(errors) = ModelSpec::parse(text) {
        assert!(errors.0.iter().all(|error| !error.is_empty()));
        assert!(!errors.0.is_empty());
    }
    // The symbol of `?` and `-1` is made from the input's name, which may be anything.
    let is_named = !text.contains(['?', '-']);
    if let (true, Ok(spec)) = (is_named, text.parse::<TensorSpec>()) {
        assert_eq!(spec.to_string().parse::<TensorSpec>().as_ref(), Ok(&spec));
    }
});
