//! `tidemark key`

use std::process::ExitCode;

use tidemark_schema::FingerprintKeys;

use super::{Session, print};
use crate::arguments::{Key, KeyCommand, StoreArguments};
use crate::failure::Failure;

pub(crate) async fn run(store: &StoreArguments, arguments: &Key) -> Result<ExitCode, Failure> {
    let actor = match arguments.command {
        KeyCommand::Show => "key show",
        KeyCommand::Rotate => "key rotate",
        KeyCommand::ForgetPrevious => "key forget-previous",
    };
    let Session { operations, caller } = Session::of(store, actor)?;
    let keys = match arguments.command {
        KeyCommand::Show => operations.keys(&caller).await?,
        KeyCommand::Rotate => operations.rotate_keys(&caller).await?,
        KeyCommand::ForgetPrevious => operations.forget_previous_key(&caller).await?,
    };
    let folder = operations.stores().keys().folder().display().to_string();
    print(&text(&keys, &folder, arguments.command))?;
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
