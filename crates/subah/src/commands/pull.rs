//! `pull`: fetch lists and content now.

use anyhow::{Result, bail};
use config::Config;
use desk::findings::Said;
use desk::pull::{Confirm, Pulled, pull};
use desk::{Answer, DeskError};

use super::say_if_sealed;
use crate::output;

pub async fn run(config: &Config, names: &[String], yes: bool) -> Result<Answer> {
    let confirm = if yes { Confirm::Yes } else { Confirm::Ask };
    let known: Vec<&str> = config.pulls.iter().map(|one| one.name.as_str()).collect();
    if let Some(unknown) = names.iter().find(|name| !known.contains(&name.as_str())) {
        let known = known.join(", ");
        bail!(DeskError::WrongUse(format!("there is no pull {unknown:?}; configured are {known}")));
    }
    if known.is_empty() {
        bail!(DeskError::WrongUse("no [[pulls]] are configured".to_owned()));
    }
    let mut answer = Answer::Yes;
    for one in &config.pulls {
        let name = &one.name;
        if !names.is_empty() && !names.contains(name) {
            continue;
        }
        let mut said = Said::default();
        let done = pull(config, one, confirm, &mut said).await;
        output::said(&said);
        match done {
            Ok(Pulled::New(good)) => answer = answer.and(good),
            Ok(Pulled::Nothing(why)) => println!("pull {name}: {why}"),
            // One that fails holds up no other.
            Err(error) => {
                eprintln!("subah: {}", output::shown(&error.chain()));
                answer = Answer::No;
            }
        }
    }
    say_if_sealed(config, None).await?;
    Ok(answer)
}
