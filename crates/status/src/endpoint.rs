//! Where webhooks come in. The path of a request selects the endpoint, and so the secrets, before
//! a byte of the body is read; what a verified body says is believed only of numbers that belong
//! to its endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::event::Event;
use domain::{NumberId, TenantId};
use provider::{Incoming, Unreadable};
use secrecy::SecretString;

use crate::inbox::Record;

/// What of the public side one provider's app, or one partner, is told.
pub struct Endpoint {
    /// Names it in the inbox and in logs: at most [`crate::inbox::SOURCE_BYTES_MAX`] bytes.
    pub source: String,
    pub paths: Vec<String>,
    pub webhooks: Arc<dyn Incoming>,
    /// Several while one is rotated. Empty: everything is refused.
    pub app_secrets: Vec<SecretString>,
    pub verify_token: SecretString,
    pub tenant: TenantId,
}

/// How the bodies of each endpoint are read, and which numbers each speaks for.
#[derive(Clone, Default)]
pub struct Sources {
    by_name: BTreeMap<String, Arc<dyn Incoming>>,
    /// Numbers that belong to one source. Of all others any may speak.
    owners: BTreeMap<NumberId, String>,
}

impl Sources {
    /// Bodies of `source` are read by `webhooks`; `numbers` are spoken of by no other source.
    #[must_use]
    pub fn with(
        mut self,
        source: &str,
        webhooks: Arc<dyn Incoming>,
        numbers: impl IntoIterator<Item = NumberId>,
    ) -> Self {
        self.by_name.insert(source.to_owned(), webhooks);
        self.owners.extend(numbers.into_iter().map(|number| (number, source.to_owned())));
        self
    }

    /// What a record says; the events of numbers that belong to another endpoint are counted,
    /// not given.
    ///
    /// # Errors
    /// [`Unreadable`] when nothing of the body makes sense, or its endpoint is not configured.
    pub fn read(&self, record: &Record) -> Result<Heard, Unreadable> {
        let Some(webhooks) = self.by_name.get(&record.source) else {
            let why = format!("its endpoint {:?} is not configured any more", record.source);
            return Err(Unreadable { bytes: record.body.len(), why });
        };
        let mut events = webhooks.read(&record.body)?;
        let before = events.len();
        events.retain(|event| event.number().is_none_or(|of| self.may_speak(&record.source, of)));
        Ok(Heard { misplaced: before - events.len(), events })
    }

    fn may_speak(&self, source: &str, of: &NumberId) -> bool {
        self.owners.get(of).is_none_or(|owner| owner == source)
    }
}

/// The events of one body.
pub struct Heard {
    pub events: Vec<Event>,
    /// Left out, because their numbers belong to another endpoint.
    pub misplaced: usize,
}

#[cfg(test)]
mod tests {
    use super::*;
    use cloud_api::MetaWebhooks;
    use domain::Timestamp;

    fn number(id: &str) -> NumberId {
        NumberId::try_new(id).unwrap()
    }

    fn status_of(number: &str, source: &str) -> Record {
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":"{number}"}},"statuses":[{{"id":"w","status":"read"}}]}}}}]}}]}}"#
        );
        Record { source: source.to_owned(), ..Record::new(Timestamp::from_secs(1), body) }
    }

    #[test]
    fn a_body_speaks_only_of_its_endpoints_numbers() {
        let sources = Sources::default()
            .with("webhooks", Arc::new(MetaWebhooks), [number("1001")])
            .with("partner", Arc::new(MetaWebhooks), [number("2002")]);
        let heard = |of, source| {
            let heard = sources.read(&status_of(of, source)).unwrap();
            (heard.events.len(), heard.misplaced)
        };
        assert_eq!(heard("1001", "webhooks"), (1, 0));
        assert_eq!(heard("2002", "partner"), (1, 0));
        assert_eq!(heard("1001", "partner"), (0, 1), "whoever signs for it");
        assert_eq!(heard("2002", "webhooks"), (0, 1));
        assert_eq!(heard("3003", "partner"), (1, 0), "nobody's");
        let gone = sources.read(&status_of("1001", "somebody"));
        assert!(gone.is_err_and(|error| error.to_string().contains("not configured")));
    }
}
