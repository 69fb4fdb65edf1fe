//! Calls that change what an account has: templates, and the samples that reviewers see.

mod creation;

use serde::Deserialize;
use serde_json::Value;
use templates::draft::Draft;

pub use creation::{NotADraft, creation, draft_of};

use crate::client::{CallError, CloudApi};

/// Templates on one page of a list; pages that are followed at most.
const PAGE: &str = "100";
const PAGES_MAX: usize = 100;

/// What is read of each template of an account.
const FIELDS: &str = "id,name,language,status,category,parameter_format,components,quality_score,rejected_reason,previous_category,correct_category,message_send_ttl_seconds";

/// Meta's answer to a template that was handed in.
#[derive(Clone, Debug, Deserialize)]
pub struct Submitted {
    pub id: String,
    /// PENDING, or APPROVED for one of the library.
    #[serde(default)]
    pub status: String,
    /// The category that Meta gave it, which need not be the one asked for.
    #[serde(default)]
    pub category: String,
}

/// A template of the account, as it stands there.
#[derive(Clone, Debug)]
pub struct AtMeta {
    pub id: String,
    pub name: String,
    pub language: String,
    pub status: String,
    pub category: String,
    /// GREEN, YELLOW, RED or UNKNOWN; empty when Graph does not say.
    pub quality: String,
    /// Why it was rejected; empty: it was not.
    pub rejected: String,
    /// What Graph moved it from, or is about to move it to.
    pub category_news: String,
    /// Its parts, as a draft; or why they cannot be read as one.
    pub draft: Result<Draft, NotADraft>,
}

#[derive(Deserialize)]
struct Page {
    #[serde(default)]
    data: Vec<Value>,
    #[serde(default)]
    paging: Paging,
}

#[derive(Default, Deserialize)]
struct Paging {
    #[serde(default)]
    cursors: Cursors,
    /// There when another page follows.
    #[serde(default)]
    next: Option<String>,
}

#[derive(Default, Deserialize)]
struct Cursors {
    #[serde(default)]
    after: Option<String>,
}

impl CloudApi {
    /// Hands a template in for approval. Twice is no harm: the second is refused, because the name
    /// and language are there.
    ///
    /// # Errors
    /// As [`CloudApi::get`].
    pub async fn create_template(&self, waba: &str, draft: &Draft) -> Result<Submitted, CallError> {
        self.post_json(&[waba, "message_templates"], &creation(draft)).await
    }

    /// Every template of an account whose name is the given one, or all.
    ///
    /// # Errors
    /// As [`CloudApi::get`]; a list of more than ten thousand is cut off with an error.
    pub async fn account_templates(
        &self,
        waba: &str,
        name: Option<&str>,
    ) -> Result<Vec<AtMeta>, CallError> {
        let (mut all, mut after): (Vec<AtMeta>, Option<String>) = (Vec::new(), None);
        for _ in 0..PAGES_MAX {
            let mut query = vec![("fields", FIELDS), ("limit", PAGE)];
            query.extend(name.map(|name| ("name", name)));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page: Page = self.get(&[waba, "message_templates"], &query).await?;
            // Graph's filter also finds names that contain the one asked for.
            let wanted = |one: &AtMeta| name.is_none_or(|name| one.name == name);
            all.extend(page.data.iter().map(at_meta).filter(wanted));
            match (page.paging.next, page.paging.cursors.after) {
                (Some(_), Some(cursor)) if Some(&cursor) != after.as_ref() => after = Some(cursor),
                _ => return Ok(all),
            }
        }
        let doing = format!("GET /{waba}/message_templates, page after page");
        Err(CallError::Unreadable { doing, status: 200 })
    }
}

fn at_meta(value: &Value) -> AtMeta {
    let text = |key: &str| value[key].as_str().unwrap_or("").to_owned();
    let correct = text("correct_category");
    let category = text("category");
    let category_news = match (correct.is_empty() || correct == category, text("previous_category"))
    {
        (false, _) => format!("Meta holds {correct} to be right"),
        (true, previous) if !previous.is_empty() && previous != category => {
            format!("it was {previous} before")
        }
        _ => String::new(),
    };
    AtMeta {
        id: text("id"),
        name: text("name"),
        language: text("language"),
        status: text("status"),
        quality: value["quality_score"]["score"].as_str().unwrap_or("").to_owned(),
        rejected: Some(text("rejected_reason")).filter(|r| r != "NONE").unwrap_or_default(),
        draft: draft_of(value),
        category,
        category_news,
    }
}
