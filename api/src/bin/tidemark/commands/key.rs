//! `tidemark key`

use std::process::ExitCode;

use serde_json::json;
use tidemark_schema::{FingerprintKey, FingerprintKeys};

use super::{now, open, print};
use crate::arguments::{Key, KeyCommand, Place};
use crate::failure::Failure;

pub(crate) async fn run(place: &Place, arguments: &Key) -> Result<ExitCode, Failure> {
    let store = open(place).await?;
    let keys = match arguments.command {
        KeyCommand::Show => store.keys.load_or_create().await?,
        KeyCommand::Rotate => {
            let keys = store.keys.rotate().await?;
            let detail =
                json!({ "key": keys.current.id(), "previous": keys.previous.as_ref().map(FingerprintKey::id) });
            store.audit().append(now(), "key rotate", "key", detail)?;
            keys
        }
        KeyCommand::ForgetPrevious => {
            store.keys.forget_previous()?;
            let keys = store.keys.load_or_create().await?;
            store.audit().append(now(), "key forget-previous", "key", json!({ "key": keys.current.id() }))?;
            keys
        }
    };
    print(&text(&keys, &store.keys.folder().display().to_string(), arguments.command))?;
    Ok(ExitCode::SUCCESS)
}

fn text(keys: &FingerprintKeys, folder: &str, command: KeyCommand) -> String {
    let mut text = format!("key       {}\n", keys.current.id());
    if let Some(previous) = &keys.previous {
        text.push_str(&format!("previous  {} (events carry both fingerprints)\n", previous.id()));
    }
    text.push_str(&format!("lies in   {folder}; keep a copy of it, apart from the store\n"));
    match command {
        KeyCommand::Show => {}
        KeyCommand::Rotate => text.push_str(
            "\nRestart the server: until then it records under the previous key alone. End the rotation with\n\
             `tidemark key forget-previous` once no comparison reaches back before it.\n",
        ),
        KeyCommand::ForgetPrevious => text.push_str("\nRestart the server: until then it records under both keys.\n"),
    }
    text
}
