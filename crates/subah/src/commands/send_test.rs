//! `send-test`: one recipient's real message of a date, now.

use anyhow::Result;
use config::Config;
use daemon::send_test::prepare;
use desk::Answer;

use crate::cli::SendTestArgs;
use crate::output;

pub async fn run(config: &Config, args: &SendTestArgs) -> Result<Answer> {
    let test = match prepare(config, &args.to, &args.date).await? {
        Ok(test) => test,
        Err(nothing) => return Ok(output::told(nothing)),
    };
    if !args.yes {
        output::pretty(&test.body)?;
        let id = test.recipient();
        println!("nothing was sent; --yes sends it to {id}, who also gets the daily run's message");
        return Ok(Answer::Yes);
    }
    output::hint(&format!("{}: waiting for its status, two minutes at most", test.run()));
    let (delivery, told) = test.send(config).await?;
    output::pretty(&delivery)?;
    Ok(output::told(told))
}
