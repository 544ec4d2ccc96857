use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use std::io::Write;

/// The binary: the one that `TIDEMARK_BIN` names, else built once per test run. Cargo tells the path of a binary only to
/// the tests of its own package.
///
/// # Panics
///
/// If it cannot be built.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| std::env::var_os("TIDEMARK_BIN").map_or_else(build, PathBuf::from))
}

fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    // What Cargo tells this test about its package would make build scripts that look at it run again, and with them
    // everything that depends on theirs.
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_PKG")
            || name_text.starts_with("CARGO_MANIFEST")
            || name_text == "CARGO_CRATE_NAME"
        {
            cargo.env_remove(&name);
        }
    }
    let output = cargo
        .args(["build", "--locked", "--package", "tidemark-api", "--bin", "tidemark", "--message-format=json"])
        .current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
        .stderr(Stdio::inherit())
        .output();
    let output = match output {
        Ok(output) if output.status.success() => output,
        failed => panic!("the binary could not be built: {failed:?}"),
    };
    let messages = String::from_utf8_lossy(&output.stdout);
    let mut lines = messages.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let artifact = lines.rfind(|message| message.get("executable").is_some_and(serde_json::Value::is_string));
    let path = artifact.and_then(|message| message.get("executable")?.as_str().map(PathBuf::from));
    path.unwrap_or_else(|| panic!("the build did not say where the binary is"))
}

/// A command that has ended.
#[derive(Debug)]
pub struct Finished {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// What it printed.
    pub stdout: String,
    /// What it said on standard error.
    pub stderr: String,
}

/// Runs the binary with arguments and input, and waits for its end.
///
/// # Panics
///
/// If it cannot be started.
pub fn run(arguments: &[&str], input: &[u8]) -> Finished {
    let mut command = Command::new(binary());
    // What the caller's shell may hold and would change what is printed.
    for name in [
        "TIDEMARK_DATA",
        "TIDEMARK_STATE",
        "TIDEMARK_TEXT",
        "TIDEMARK_KEYS",
        "TIDEMARK_POLICY",
        "COLUMNS",
        "CLICOLOR_FORCE",
        "CARGO",
    ] {
        command.env_remove(name);
    }
    let child = command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut child = child.unwrap_or_else(|error| panic!("tidemark could not be started: {error}"));
    // A command that reads no input may have ended by now.
    if let Some(mut stdin) = child.stdin.take()
        && let Err(error) = stdin.write_all(input)
    {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe, "{error}");
    }
    let output = child.wait_with_output().unwrap_or_else(|error| panic!("tidemark could not be waited for: {error}"));
    Finished {
        code: output.status.code(),
        stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
