//! Where webhooks come in. The path of a request selects the endpoint, and so the secrets, before
//! a byte of the body is read; what a verified body says is believed only of numbers that belong
//! to its endpoint.

use std::collections::BTreeMap;
use std::sync::Arc;

use domain::event::Event;
use domain::{NumberId, TenantId};
use provider::{Incoming, Unreadable};
use secrecy::SecretString;

use crate::record::Record;

/// The paths and secrets of one provider's app, or of one partner.
pub struct Endpoint {
    /// Names it in the inbox and in logs: at most [`crate::ENDPOINT_BYTES_MAX`] bytes.
    pub name: String,
    pub paths: Vec<String>,
    pub webhooks: Arc<dyn Incoming>,
    /// Several while one is rotated. Empty: everything is refused.
    pub app_secrets: Vec<SecretString>,
    pub verify_token: SecretString,
    pub tenant: TenantId,
}

/// How the bodies of each endpoint are read, and which numbers each speaks for.
#[derive(Clone, Default)]
pub struct Endpoints {
    by_name: BTreeMap<String, Known>,
    owners: BTreeMap<NumberId, String>,
}

#[derive(Clone)]
struct Known {
    webhooks: Arc<dyn Incoming>,
    speaks_of: SpeaksOf,
}

/// The numbers that the webhooks of an endpoint are believed of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SpeaksOf {
    /// Those that belong to it, and all that belong to no other endpoint: Meta's own endpoint, whose
    /// webhooks may leave the number out.
    TheRest,
    /// Those that belong to it.
    ItsOwn,
}

impl Endpoints {
    /// Bodies of `endpoint` are read by `webhooks`; `numbers` belong to the endpoint.
    #[must_use]
    pub fn with(
        mut self,
        endpoint: &str,
        webhooks: Arc<dyn Incoming>,
        speaks_of: SpeaksOf,
        numbers: impl IntoIterator<Item = NumberId>,
    ) -> Self {
        self.by_name.insert(endpoint.to_owned(), Known { webhooks, speaks_of });
        self.owners.extend(numbers.into_iter().map(|number| (number, endpoint.to_owned())));
        self
    }

    /// Whether a record may hold something that a person says: a quick look, before it is read.
    pub fn may_hold_words(&self, record: &Record) -> bool {
        let known = self.by_name.get(&record.endpoint);
        known.is_some_and(|known| known.webhooks.may_hold_words(&record.body))
    }

    /// What a record says; the events of numbers that belong to another endpoint are counted,
    /// not given.
    ///
    /// # Errors
    /// [`Unreadable`] when nothing of the body makes sense, or its endpoint is not configured.
    pub fn read(&self, record: &Record) -> Result<Heard, Unreadable> {
        let Some(known) = self.by_name.get(&record.endpoint) else {
            let why = format!("its endpoint {:?} is not configured any more", record.endpoint);
            return Err(Unreadable { bytes: record.body.len(), why });
        };
        let mut events = known.webhooks.read(&record.body)?;
        let before = events.len();
        events.retain(|event| match event.number() {
            Some(of) => self.may_speak(&record.endpoint, known, of),
            None => known.speaks_of == SpeaksOf::TheRest || !event.is_of_a_person(),
        });
        Ok(Heard { misplaced: before - events.len(), events })
    }

    fn may_speak(&self, endpoint: &str, known: &Known, of: &NumberId) -> bool {
        match self.owners.get(of) {
            Some(owner) => owner == endpoint,
            None => known.speaks_of == SpeaksOf::TheRest,
        }
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

    fn status_of(number: &str, endpoint: &str) -> Record {
        let body = format!(
            r#"{{"entry":[{{"changes":[{{"field":"messages","value":{{"metadata":{{"phone_number_id":"{number}"}},"statuses":[{{"id":"w","status":"read"}}]}}}}]}}]}}"#
        );
        Record { endpoint: endpoint.to_owned(), ..Record::new(Timestamp::from_secs(1), body) }
    }

    #[test]
    fn a_body_speaks_only_of_its_endpoints_numbers() {
        let endpoints = Endpoints::default()
            .with("webhooks", Arc::new(MetaWebhooks), SpeaksOf::TheRest, [number("1001")])
            .with("partner", Arc::new(MetaWebhooks), SpeaksOf::ItsOwn, [number("2002")]);
        let heard = |of, endpoint| {
            let heard = endpoints.read(&status_of(of, endpoint)).unwrap();
            (heard.events.len(), heard.misplaced)
        };
        assert_eq!(heard("1001", "webhooks"), (1, 0));
        assert_eq!(heard("2002", "partner"), (1, 0));
        assert_eq!(heard("1001", "partner"), (0, 1), "whoever signs for it");
        assert_eq!(heard("2002", "webhooks"), (0, 1));
        assert_eq!(heard("3003", "partner"), (0, 1), "nobody's");
        assert_eq!(heard("3003", "webhooks"), (1, 0), "the rest is Meta's own endpoint's");
        for (body, people) in [
            (r#"{"metadata":{},"messages":[{"from":"919876543210","text":{"body":"STOP"}}]}"#, 1),
            (r#"{"user_preferences":[{"wa_id":"919876543210","value":"stop"}]}"#, 1),
            (r#"{"event":"PAUSED","message_template_name":"a"}"#, 0),
        ] {
            let body = format!(
                r#"{{"entry":[{{"changes":[{{"field":"message_template_status_update","value":{body}}}]}}]}}"#
            );
            let record = Record {
                endpoint: "partner".to_owned(),
                ..Record::new(Timestamp::from_secs(1), body)
            };
            let heard = endpoints.read(&record).unwrap();
            assert_eq!((heard.events.len(), heard.misplaced), (1 - people, people));
        }
        let gone = endpoints.read(&status_of("1001", "somebody"));
        assert!(gone.is_err_and(|error| error.to_string().contains("not configured")));
    }
}
