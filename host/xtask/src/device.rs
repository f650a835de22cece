//! `modelet-device` for small machines: static binaries, in `target/device`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::guest::add_target;
use crate::process::{cargo, exists, root, run};
use crate::test::Outcome;

/// A kind of machine, and a compiler for the few lines of C that wasmtime has.
struct Machine {
    target: &'static str,
    /// The first that is there is taken, unless the variable that `cc` reads names another.
    compilers: &'static [&'static str],
    /// The package that has one.
    package: &'static str,
}

const MACHINES: [Machine; 2] = [
    Machine {
        target: "aarch64-unknown-linux-musl",
        compilers: &["aarch64-linux-gnu-gcc", "aarch64-linux-musl-gcc"],
        package: "gcc-aarch64-linux-gnu and libc6-dev-arm64-cross",
    },
    Machine {
        target: "x86_64-unknown-linux-musl",
        compilers: &["musl-gcc", "x86_64-linux-gnu-gcc"],
        package: "gcc",
    },
];

/// Builds for every kind of machine.
pub fn device() -> Result<()> {
    for machine in &MACHINES {
        if let Some(missing) = machine.missing() {
            bail!(missing);
        }
        machine.build()?;
    }
    Ok(())
}

/// What the tests of the device need: the binaries, and an emulator for those of another machine.
pub fn for_tests() -> Result<Outcome> {
    if let Some(missing) = MACHINES.iter().find_map(Machine::missing) {
        return Ok(Outcome::Skipped(missing));
    }
    if !exists("qemu-aarch64", &["--version"]) {
        let reason = "there is no qemu-aarch64; install qemu-user";
        return Ok(Outcome::Skipped(reason.to_owned()));
    }
    device().map(|()| Outcome::Done)
}

impl Machine {
    fn build(&self) -> Result<()> {
        let target = self.target;
        add_target(target)?;
        let linker = format!("CARGO_TARGET_{}_LINKER", self.variable().to_uppercase());
        let mut build = cargo();
        // Rust's own: it links for every machine, and musl comes with the target.
        build.env(linker, "rust-lld");
        if let Some(compiler) = self.compiler() {
            build.env(format!("CC_{}", self.variable()), compiler);
        }
        run(build
            .args(["build", "--package", "modelet-device"])
            .args(["--target", target, "--profile", "device"])
            .args(["--target-dir", "target/device"]))?;
        let binary = self.binary();
        let size = fs::metadata(&binary)
            .with_context(|| format!("cargo did not write {}", binary.display()))?
            .len();
        eprintln!(
            "wrote target/device/{target}/device/modelet-device, {:.1} MB",
            size as f64 / 1e6
        );
        Ok(())
    }

    fn missing(&self) -> Option<String> {
        let given = std::env::var_os(format!("CC_{}", self.variable()));
        if given.is_some() || self.compiler().is_some() {
            return None;
        }
        Some(format!(
            "there is no C compiler for {}; install {}, or name one in CC_{}",
            self.target,
            self.package,
            self.variable()
        ))
    }

    fn compiler(&self) -> Option<&'static str> {
        if std::env::var_os(format!("CC_{}", self.variable())).is_some() {
            return None;
        }
        let mut compilers = self.compilers.iter();
        compilers.find(|name| exists(name, &["--version"])).copied()
    }

    fn binary(&self) -> PathBuf {
        root().join(format!(
            "target/device/{}/device/modelet-device",
            self.target
        ))
    }

    /// The target as variables of the environment have it.
    fn variable(&self) -> String {
        self.target.replace('-', "_")
    }
}
