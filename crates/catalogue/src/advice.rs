//! What a template's status, rejection and quality mean, and what to do. For people.
//! Source: Meta, "Template status", "Template pausing", "Rejection reasons" (2025-12, 2026-09).

/// What a status means, and the next step.
pub fn of_status(status: &str) -> (&'static str, &'static str) {
    match status {
        "APPROVED" => ("it can be sent", "nothing"),
        "PENDING" => {
            ("Meta reviews it, minutes to a day", "wait; after 48 hours ask Meta's support")
        }
        "REJECTED" => ("Meta refused it", "read the reason, write a new version, submit that one"),
        "PAUSED" => (
            "readers blocked or did not read it: three hours the first time, six the second",
            "another version goes meanwhile (`subah templates substitute`); a pause by pacing needs to be lifted in the WhatsApp Manager",
        ),
        "DISABLED" => {
            ("it was paused a third time, for good", "another version, with another text")
        }
        "IN_APPEAL" => ("an appeal is under way", "wait a day for the answer"),
        "FLAGGED" => ("it is about to be disabled", "have another version approved now"),
        "LIMIT_EXCEEDED" => ("the account has as many templates as it may", "delete old ones"),
        "PENDING_DELETION" | "DELETED" => {
            ("it was deleted; its name is locked for 30 days", "another version under another name")
        }
        "LOCKED" => ("it cannot be edited", "wait, or ask Meta's support"),
        "ARCHIVED" => (
            "it was not used for a year and is deleted 28 days later",
            "unarchive it in the WhatsApp Manager",
        ),
        "REINSTATED" | "UNARCHIVED" => ("it is back", "look whether it is APPROVED now"),
        _ => ("this status is not known here", "look at it in the WhatsApp Manager"),
    }
}

/// What a rejection means, and what to change.
pub fn of_rejection(reason: &str) -> &'static str {
    match reason {
        "" => "Meta gave no reason",
        "ABUSIVE_CONTENT" => "threats or abuse were seen in it: another wording",
        "INCORRECT_CATEGORY" => {
            "it reads like another category: change the category, or take promotion out"
        }
        "INVALID_FORMAT" => "variables, samples or formatting: `subah templates lint` says where",
        "PROMOTIONAL" => "it promotes something in a category where that is not allowed",
        "SCAM" => "it looks like fraud: name the sender, no shortened links, no urgency",
        "TAG_CONTENT_MISMATCH" => "language or category do not fit the text",
        _ => "not a reason that is known here; Meta's own words stand in the WhatsApp Manager",
    }
}

/// What a quality score asks for; empty: nothing.
pub fn of_quality(score: &str) -> &'static str {
    match score {
        "YELLOW" => "no more traffic than now; prepare the next version",
        "RED" => "the next bad day pauses it: send another version",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_status_has_a_meaning_and_a_step() {
        let known = [
            "APPROVED",
            "PENDING",
            "REJECTED",
            "PAUSED",
            "DISABLED",
            "IN_APPEAL",
            "FLAGGED",
            "LIMIT_EXCEEDED",
            "PENDING_DELETION",
            "DELETED",
            "LOCKED",
            "ARCHIVED",
            "REINSTATED",
            "UNARCHIVED",
        ];
        for status in known {
            assert!(!of_status(status).0.contains("not known"), "{status}");
        }
        assert!(of_status("NEW_WORD").0.contains("not known"));
        assert!(of_rejection("SOMETHING").contains("not a reason"));
        assert_ne!(of_quality("RED"), "");
    }
}
