//! Files that a device refuses, and what it says to do about them.

use std::fs;
use std::path::{Path, PathBuf};

use modelet_protocol::Datatype;

use crate::device::{Place, compile};
use crate::modelet::{Behaviour, vector};

const HOW: &str = "`modelet compile model.wasm --target x86_64-linux --output model.cwasm`";

fn modelet(folder: &Path) -> PathBuf {
    let modelet = folder.join("model.wasm");
    fs::write(&modelet, vector("m", Datatype::Fp32, Behaviour::Echo)).unwrap();
    modelet
}

fn compiled(folder: &Path, target: &str) -> Vec<u8> {
    let output = folder.join(format!("{target}.cwasm"));
    let compiled = compile(&modelet(folder), target, &output);
    let said = String::from_utf8_lossy(&compiled.stderr);
    assert!(compiled.status.success(), "{said}");
    fs::read(output).unwrap()
}

/// What a device says to a file that it refuses.
fn refusal(place: Place, file: &Path) -> String {
    let output = place.command().arg(file).arg("--stdio").output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains(&*file.to_string_lossy()), "{said}");
    said
}

#[test]
fn foreign_files_are_refused_with_what_to_do() {
    if !Place::Native.is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let foreign = "it is no compiled modelet, or its end is missing";
    for (name, bytes, expected) in [
        ("empty.cwasm", vec![], foreign),
        ("text.cwasm", b"hello".repeat(100), foreign),
        (
            "program.cwasm",
            fs::read(Place::Native.binary()).unwrap(),
            foreign,
        ),
        (
            "modelet.wasm",
            fs::read(modelet(folder.path())).unwrap(),
            "it is a modelet that is not compiled",
        ),
        (
            "other.cwasm",
            compiled(folder.path(), "aarch64-linux"),
            "it is compiled for aarch64-linux, and this machine is x86_64-linux",
        ),
    ] {
        let file = folder.path().join(name);
        fs::write(&file, bytes).unwrap();
        let said = refusal(Place::Native, &file);
        assert!(said.contains(expected) && said.contains(HOW), "{said}");
    }
    let missing = refusal(Place::Native, &folder.path().join("missing.cwasm"));
    assert!(
        missing.contains("it cannot be read: No such file"),
        "{missing}"
    );
}

#[test]
fn another_machine_refuses_this_ones_code() {
    if !Place::Emulated.is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("x.cwasm");
    fs::write(&file, compiled(folder.path(), "x86_64-linux")).unwrap();
    let said = refusal(Place::Emulated, &file);
    assert!(
        said.contains("compiled for x86_64-linux, and this machine is aarch64-linux"),
        "{said}"
    );
    assert!(said.contains("--target aarch64-linux"), "{said}");
}

#[test]
fn a_damaged_file_is_refused_wherever_the_damage_is() {
    if !Place::Native.is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = compiled(folder.path(), "x86_64-linux");
    let end = whole.len();
    let file = folder.path().join("damaged.cwasm");
    for at in [
        0,
        17,
        60,
        end / 3,
        end / 2,
        end - 300,
        end - 49,
        end - 46,
        end - 30,
    ] {
        for bit in [0, 7] {
            let mut damaged = whole.clone();
            damaged[at] ^= 1 << bit;
            fs::write(&file, damaged).unwrap();
            let said = refusal(Place::Native, &file);
            assert!(said.contains("it is damaged"), "byte {at} of {end}: {said}");
        }
    }
    for length in [end - 1, end - 9, end / 2, 64, 44, 43] {
        fs::write(&file, &whole[..length]).unwrap();
        let said = refusal(Place::Native, &file);
        assert!(
            said.contains("its end is missing"),
            "{length} of {end}: {said}"
        );
    }
}

/// The digest is no secret: whoever changes a file can write another. wasmtime's own checks come next.
#[test]
fn code_of_another_version_or_with_other_settings_is_refused() {
    use sha2::{Digest as _, Sha256};

    if !Place::Native.is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let whole = compiled(folder.path(), "x86_64-linux");
    let version = whole.windows(2).position(|two| two == b"48").unwrap();
    let mut other = whole.clone();
    other[version + 1] = b'7';
    let hashed = other.len() - 40;
    let digest = Sha256::digest(&other[..hashed]);
    other[hashed..hashed + 32].copy_from_slice(&digest);
    let file = folder.path().join("older.cwasm");
    fs::write(&file, other).unwrap();
    let said = refusal(Place::Native, &file);
    assert!(
        said.contains("it is compiled by another version of `modelet`"),
        "{said}"
    );
    assert!(said.contains(HOW), "{said}");
}

#[test]
fn compile_refuses_unknown_targets_and_what_is_no_modelet() {
    let folder = tempfile::tempdir().unwrap();
    let output = folder.path().join("model.cwasm");
    let refused = |modelet: &Path, target: &str| {
        let compiled = compile(modelet, target, &output);
        assert!(!compiled.status.success());
        assert!(!output.exists());
        String::from_utf8(compiled.stderr).unwrap()
    };
    let said = refused(&modelet(folder.path()), "toaster");
    for expected in ["`toaster`", "aarch64-linux", "x86_64-linux", "pulley64"] {
        assert!(said.contains(expected), "{said}");
    }
    let text = folder.path().join("text.wasm");
    fs::write(&text, "hello").unwrap();
    let said = refused(&text, "pulley64");
    assert!(said.contains("text.wasm is not a modelet"), "{said}");
    assert!(said.contains("not a WebAssembly file"), "{said}");
    let missing = refused(&folder.path().join("missing.wasm"), "pulley64");
    assert!(missing.contains("missing.wasm cannot be read"), "{missing}");
}

#[test]
fn a_repository_with_nothing_to_serve_is_an_error() {
    if !Place::Native.is_here() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let run = |place: Place| {
        let output = place.command().arg(folder.path()).arg("--stdio").output();
        let output = output.unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    assert!(run(Place::Native).contains("no model could be loaded"));
    fs::create_dir_all(folder.path().join("m/1")).unwrap();
    fs::write(folder.path().join("m/model.toml"), "[versons]").unwrap();
    let said = run(Place::Native);
    assert!(
        said.contains("model.toml cannot be used") && said.contains("versons"),
        "{said}"
    );
    fs::write(folder.path().join("m/model.toml"), "").unwrap();
    let said = run(Place::Native);
    assert!(said.contains("m/1/model.cwasm is missing"), "{said}");
}
