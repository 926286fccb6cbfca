//! The commands `host plugin ...` and `host dev`: what needs a configuration or a
//! server beside `livehost-author`.

mod compile;
mod dev;

pub use compile::compile;
pub use dev::dev;

use livehost_author::{Options, build, inspect, new, test};

use crate::cli::PluginCommand;

/// Runs one of the commands of `host plugin`.
///
/// # Errors
/// What the command found wrong.
pub async fn run(command: PluginCommand) -> anyhow::Result<()> {
    match command {
        PluginCommand::New { name, lang, dir } => new(&name, lang, &dir),
        PluginCommand::Build { dir } => build(&dir),
        PluginCommand::Inspect { file, json } => inspect(&file, json),
        PluginCommand::Compile { files, folder } => compile(&files, &folder).await,
        PluginCommand::Test {
            file,
            cases,
            instances,
            shuffle,
            folder,
        } => {
            let shuffle = match shuffle {
                Some(None) => Some(getrandom::u64()? >> 32),
                Some(seed) => seed,
                None => None,
            };
            // One instance can't take turns.
            let instances = match (instances, shuffle) {
                (1, Some(_)) => 4,
                (instances, _) => usize::from(instances),
            };
            let options = Options {
                instances,
                shuffle,
                storage: compile::storage(&folder)?,
            };
            test(&file, &cases, options).await
        }
    }
}
