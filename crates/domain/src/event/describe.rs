//! Events in one line of words, without personal data: for `webhooks read` and logs.

use std::fmt;

use super::{Event, Inbound, Link, Preference, Pricing, ReportedError, Status, StatusReport};

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Event::Status(report) => report.fmt(f),
            Event::Inbound(message) => message.fmt(f),
            Event::Echo { kind, .. } => write!(f, "echo of business-app message type {kind}"),
            Event::Call { event, direction, .. } => write!(f, "call {event} {direction}"),
            Event::Preference(Preference { value, category, .. }) => {
                write!(f, "marketing preference {value} ({category})")
            }
            Event::Group { event } => write!(f, "group event {event}"),
            Event::Error { error, .. } => {
                f.write_str("value-level")?;
                errors(f, std::slice::from_ref(error))
            }
            Event::Template(news) | Event::Account(news) => news.fmt(f),
            Event::Other { field, event } => write!(f, "{field}: {event}"),
            Event::Odd { why } => write!(f, "a part cannot be read: {why}"),
        }
    }
}

impl fmt::Display for StatusReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "status {}", self.status)?;
        if let Some(kind) = self.kind.as_ref().filter(|_| !self.is_of_a_message()) {
            write!(f, " ({kind})")?;
        }
        errors(f, &self.errors)?;
        if let Some(Pricing { model, kind, category, billable }) = &self.pricing {
            let kind = kind.as_deref().unwrap_or("-");
            let category = category.as_deref().unwrap_or("None");
            write!(f, " pricing {model}/{kind}/{category}")?;
            match billable {
                Some(true) => f.write_str(" billable=True")?,
                Some(false) => f.write_str(" billable=False")?,
                None => {}
            }
        }
        f.write_str(if self.group { " group" } else { "" })?;
        f.write_str(if self.tag.is_some() { " biz_opaque echoed" } else { "" })
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Status::Sent => "sent",
            Status::Delivered => "delivered",
            Status::Read => "read",
            Status::Played => "played",
            Status::Failed => "failed",
            Status::Other(other) => other,
        })
    }
}

impl fmt::Display for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.type_missing {
            write!(f, "inbound [type missing; infer {}]", self.kind)?;
        } else {
            write!(f, "inbound {}", self.kind)?;
        }
        if let Some(detail) = &self.detail {
            write!(f, ":{detail}")?;
        }
        f.write_str(if self.from_phone { " (from phone)" } else { " (from user id)" })?;
        f.write_str(match self.link {
            Some(Link::Reply) => " reply-context",
            Some(Link::Forwarded) => " forwarded",
            Some(Link::Product) => " product enquiry",
            Some(Link::Referral) => " ad referral (opens FEP window)",
            None => "",
        })?;
        errors(f, &self.errors)
    }
}

fn errors(f: &mut fmt::Formatter<'_>, errors: &[ReportedError]) -> fmt::Result {
    errors.iter().try_for_each(|error| match error.code {
        Some(code) => write!(f, " error {code}"),
        None => f.write_str(" error without a code"),
    })
}
