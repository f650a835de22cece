//! Applications: what `modelet bundle spin` writes, and what Spin makes of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;
use toml::Table;

/// A repository, and the application that is made of it.
pub struct Application {
    pub repository: PathBuf,
    pub folder: PathBuf,
    temporary: TempDir,
}

pub fn modelet() -> Command {
    let program = std::env::var_os("MODELET");
    Command::new(program.expect("`cargo xtask gateway` sets MODELET"))
}

impl Application {
    /// Of these artifacts, by the model's name and the version, and these `model.toml`.
    pub fn new(artifacts: &[(&str, &[u8])], specs: &[(&str, &str)]) -> Application {
        let temporary = tempfile::tempdir().unwrap();
        let repository = temporary.path().join("repository");
        for (version, artifact) in artifacts {
            let folder = repository.join(version);
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join("model.wasm"), artifact).unwrap();
        }
        for (model, spec) in specs {
            fs::write(repository.join(model).join("model.toml"), spec).unwrap();
        }
        Application::write(repository, temporary)
    }

    /// Of a repository that is there.
    pub fn of(repository: &Path) -> Application {
        Application::write(repository.to_owned(), tempfile::tempdir().unwrap())
    }

    fn write(repository: PathBuf, temporary: TempDir) -> Application {
        let folder = temporary.path().join("application");
        let output = bundle(&repository, &folder);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        Application {
            repository,
            folder,
            temporary,
        }
    }

    pub fn manifest(&self) -> Table {
        let text = fs::read_to_string(self.folder.join("spin.toml")).unwrap();
        text.parse().unwrap()
    }

    /// For hosts that compose nothing.
    pub fn composed(&self) -> Vec<u8> {
        fs::read(self.folder.join("composed.wasm")).unwrap()
    }

    /// As Spin composes it from its manifest.
    pub fn composed_by_spin(&self) -> Vec<u8> {
        let program = std::env::var_os("COMPOSE");
        let composed = self.temporary.path().join("spin.wasm");
        let output = Command::new(program.expect("`cargo xtask gateway` sets COMPOSE"))
            .args([&self.folder.join("spin.toml"), &composed])
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}");
        fs::read(composed).unwrap()
    }
}

pub fn bundle(repository: &Path, folder: &Path) -> Output {
    modelet()
        .args(["bundle", "spin"])
        .arg(repository)
        .arg("--output")
        .arg(folder)
        .output()
        .unwrap()
}
