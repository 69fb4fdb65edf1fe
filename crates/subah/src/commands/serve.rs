//! `serve`: the daemon, for one tenant or several.

use std::path::PathBuf;

use anyhow::Result;
use config::Config;
use desk::{Answer, store};

use crate::cli::Role;

pub async fn run(config: Config, also: &[PathBuf], roles: &[Role]) -> Result<Answer> {
    let roles: Vec<daemon::Role> = roles.iter().map(|&role| role.into()).collect();
    let mut configs = vec![config];
    for file in also {
        let config = Config::load(file)?;
        store::refuse_others_folder(&config)?;
        configs.push(config);
    }
    daemon::serve_all(configs, &roles).await.map(|()| Answer::Yes)
}
