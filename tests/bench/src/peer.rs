//! Contenders in Rust: stock apalis-redis, and the limits (a bare HTTP loop, raw Lua).

pub mod apalis;
pub mod bare;
pub mod lua;

use serde::{Deserialize, Serialize};

/// The job that every queue is given.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Job {
    pub index: u32,
    pub recipient: String,
    pub to: String,
    pub name: String,
    pub language: String,
    pub first_name: String,
    pub headline: String,
    pub due_ms: i64,
}

impl Job {
    pub fn new(index: u32, due_ms: i64) -> Self {
        Job {
            index,
            recipient: format!("r{index:07}"),
            to: format!("+91{}", 9_000_000_000u64 + u64::from(index)),
            name: "daily_pack".into(),
            language: "en".into(),
            first_name: "Asha".into(),
            headline: "Markets open at 9:15".into(),
            due_ms,
        }
    }

    /// The body that is posted for it.
    pub fn body(&self) -> Vec<u8> {
        let parameter = |name: &str, text: &str| serde_json::json!({"type": "text", "parameter_name": name, "text": text});
        let parameters =
            [parameter("first_name", &self.first_name), parameter("headline", &self.headline)];
        let body = serde_json::json!({
            "messaging_product": "whatsapp",
            "recipient_type": "individual",
            "to": self.to,
            "type": "template",
            "template": {
                "name": self.name,
                "language": {"code": self.language},
                "components": [{"type": "body", "parameters": parameters}],
            },
            "biz_opaque_callback_data": format!("{}:{}", self.index, self.due_ms),
        });
        serde_json::to_vec(&body).expect("JSON")
    }
}

/// Posts one body and sees that it was taken.
///
/// # Errors
/// When it was not.
pub async fn post(http: &reqwest::Client, url: &str, body: Vec<u8>) -> anyhow::Result<()> {
    let request = http.post(url).bearer_auth("token").header("content-type", "application/json");
    let answer: serde_json::Value =
        request.body(body).send().await?.error_for_status()?.json().await?;
    anyhow::ensure!(answer["messages"][0]["id"].is_string(), "no message id");
    Ok(())
}
