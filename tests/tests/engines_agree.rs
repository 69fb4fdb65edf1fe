//! Goal: model, sqlite and Redis give the same answers to the same commands.
//! Method: a slice of the random lists; `tests/reliability` plays 10,000.

use tests::engines::Engines;

#[tokio::test]
async fn three_hundred_random_lists_have_one_answer() {
    let engines = Engines::start().await;
    for seed in 1..=300 {
        if let Err(difference) = engines.agree_on(seed).await {
            panic!("{difference}");
        }
    }
}
