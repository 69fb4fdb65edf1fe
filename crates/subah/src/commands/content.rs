//! `content import|undo|list|preview`.

use anyhow::Result;
use config::Config;
use desk::findings::Said;
use desk::named::date as parse_date;
use desk::{Answer, content, did};

use super::recipients::wish;
use super::say_if_sealed;
use crate::cli::Content;
use crate::output;

pub async fn run(config: &Config, command: &Content) -> Result<Answer> {
    match command {
        Content::Import { args, date } => {
            let (date, wish) = (parse_date(date, config)?, wish(args)?);
            let mut said = Said::default();
            let done = content::import(config, &wish, date, &mut said).await;
            output::said(&said);
            let answer = done?;
            say_if_sealed(config, Some(date)).await?;
            Ok(answer)
        }
        Content::Undo { date } => {
            let date = parse_date(date, config)?;
            let change = content::undo(config, date).await?;
            println!("{change}  rows of content: those before the last import are back");
            say_if_sealed(config, Some(date)).await?;
            Ok(Answer::Yes)
        }
        Content::Preview { recipient_id, date, reveal } => {
            if *reveal {
                did::reveal(config, "content preview")?;
            }
            let date = parse_date(date, config)?;
            match content::preview(config, recipient_id, date, *reveal).await? {
                Ok(body) => output::pretty(&body).map(|()| Answer::Yes),
                Err(nothing) => {
                    println!("{nothing}");
                    Ok(Answer::No)
                }
            }
        }
        Content::List { date, format } => {
            let table = content::list(config, parse_date(date, config)?).await?;
            output::table(format.format, &table)?;
            Ok(Answer::Yes)
        }
    }
}
