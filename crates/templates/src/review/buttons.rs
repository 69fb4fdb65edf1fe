//! Buttons: how many of which kind, in which order, and what each needs.

use std::collections::HashSet;

use super::Remarks;
use crate::draft::{ButtonKind, Draft, DraftButton, DraftCategory};

const ALL_MAX: usize = 10;
const LABEL_MAX: usize = 25;
const URL_MAX: usize = 2_000;
const PHONE_MAX: usize = 20;
const CODE_MAX: usize = 20;
/// More are behind "see all options".
const SHOWN_MAX: usize = 3;

pub(super) fn check(draft: &Draft, remarks: &mut Remarks) {
    list(&draft.buttons, "buttons", draft.category, remarks);
    if draft.buttons.len() > SHOWN_MAX {
        let reason = format!("{} buttons: phones show two and \"see all\"", draft.buttons.len());
        remarks.warn("button-hidden", "buttons", reason);
    }
    for (at, card) in draft.cards.iter().enumerate() {
        list(&card.buttons, &format!("cards[{at}].buttons"), draft.category, remarks);
    }
}

fn list(buttons: &[DraftButton], place: &str, category: DraftCategory, remarks: &mut Remarks) {
    if buttons.len() > ALL_MAX {
        let reason = format!("{} buttons, at most {ALL_MAX} are taken", buttons.len());
        remarks.error("button-count", place, reason);
    }
    let count = |kind| buttons.iter().filter(|button| button.kind == kind).count();
    let at_most = [
        (ButtonKind::Url, 2),
        (ButtonKind::PhoneNumber, 1),
        (ButtonKind::CopyCode, 1),
        (ButtonKind::Flow, 1),
        (ButtonKind::Otp, 1),
        (ButtonKind::RequestContactInfo, 1),
    ];
    for (kind, most) in at_most {
        let n = count(kind);
        if n > most {
            let reason = format!("{n} of kind {}, at most {most} are taken", kind.as_str());
            remarks.error("button-count", place, reason);
        }
    }
    for kind in [ButtonKind::Catalog, ButtonKind::Mpm, ButtonKind::Spm] {
        if count(kind) > 0 && buttons.len() > 1 {
            let reason = format!("a {} button stands alone", kind.as_str());
            remarks.error("button-alone", place, reason);
        }
    }
    if count(ButtonKind::Otp) > 0 && category != DraftCategory::Authentication {
        let reason = "otp buttons are for category authentication";
        remarks.error("authentication-form", place, reason);
    }
    groups(buttons, place, remarks);
    let mut labels = HashSet::new();
    for (at, button) in buttons.iter().enumerate() {
        let place = format!("{place}[{at}]");
        one(button, &place, remarks);
        let label = button.text.trim();
        if !label.is_empty() && !labels.insert(label.to_lowercase()) {
            remarks.error("button-twice", &place, "another button has the same label");
        }
    }
}

/// Quick replies are one unbroken group.
fn groups(buttons: &[DraftButton], place: &str, remarks: &mut Remarks) {
    let replies: Vec<bool> = buttons.iter().map(|b| b.kind == ButtonKind::QuickReply).collect();
    let begins =
        replies.iter().enumerate().filter(|(at, is)| **is && (*at == 0 || !replies[at - 1]));
    if begins.count() > 1 {
        let reason = "quick replies stand together, not between other buttons";
        remarks.error("button-group", place, reason);
    }
}

fn one(button: &DraftButton, place: &str, remarks: &mut Remarks) {
    label(button, place, remarks);
    match button.kind {
        ButtonKind::Url => url(button, place, remarks),
        ButtonKind::PhoneNumber => phone(button, place, remarks),
        ButtonKind::CopyCode => code(button, place, remarks),
        ButtonKind::Flow => {
            let named = ["flow_id", "flow_name", "flow_json"];
            if !named.iter().any(|name| button.options.contains_key(*name)) {
                remarks.error("button-needs", place, "options.flow_id names the Flow");
            }
        }
        ButtonKind::Otp if !button.options.contains_key("otp_type") => {
            let reason = "options.otp_type: expected COPY_CODE, ONE_TAP or ZERO_TAP";
            remarks.error("button-needs", place, reason);
        }
        _ => {}
    }
    if button.url.is_some() && button.kind != ButtonKind::Url {
        remarks.error("button-needs", place, "only a url button has an address");
    }
    if button.phone_number.is_some() && button.kind != ButtonKind::PhoneNumber {
        remarks.error("button-needs", place, "only a phone_number button has a phone number");
    }
}

fn label(button: &DraftButton, place: &str, remarks: &mut Remarks) {
    use ButtonKind::{CopyCode, Otp, RequestContactInfo};
    let place = format!("{place}.text");
    let chars = button.text.chars().count();
    if chars > LABEL_MAX {
        let reason = format!("{chars} characters, at most {LABEL_MAX} are taken");
        remarks.error("button-label", &place, reason);
    }
    let written_by_meta = matches!(button.kind, CopyCode | Otp | RequestContactInfo);
    if button.text.trim().is_empty() && !written_by_meta {
        remarks.error("button-label", &place, "the label is empty");
    }
    if button.text.contains("{{") {
        remarks.error("button-label", &place, "a label has no variables");
    }
    let odd = |c: char| matches!(c, '\n' | '\r' | '\t' | '*' | '~' | '`');
    if button.text.contains(odd) || button.text.chars().any(super::style::is_emoji) {
        let reason = "line breaks, emojis and the marks * ~ ` are not taken in a label";
        remarks.error("button-label", &place, reason);
    }
}

fn url(button: &DraftButton, place: &str, remarks: &mut Remarks) {
    let place = format!("{place}.url");
    let Some(url) = button.url.as_deref().map(str::trim).filter(|url| !url.is_empty()) else {
        return remarks.error("button-url", &place, "a url button has an address");
    };
    let chars = url.chars().count();
    if chars > URL_MAX {
        let reason = format!("{chars} characters, at most {URL_MAX} are taken");
        remarks.error("button-url", &place, reason);
    }
    let host = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = host.and_then(|rest| rest.split(['/', '?', '#']).next()).unwrap_or("");
    let name = host.rsplit('@').next().unwrap_or("").split(':').next().unwrap_or("");
    if !name.contains('.') || name.contains("{{") || url.contains(char::is_whitespace) {
        let reason = "expected an https:// address whose host is fixed and which has no blanks";
        return remarks.error("button-url", &place, reason);
    }
    if url.starts_with("http://") {
        remarks.warn("button-url", &place, "http:// is not encrypted: https://");
    }
    if ["wa.me", "whatsapp.com", "api.whatsapp.com", "chat.whatsapp.com"].contains(&name) {
        remarks.error("button-url", &place, "addresses of WhatsApp's own are refused");
    }
    if super::style::SHORTENERS.contains(&name.trim_start_matches("www.")) {
        let reason = "a shortened address hides where it leads and is often refused";
        remarks.warn("style-short-link", &place, reason);
    }
    let times = url.matches("{{").count();
    if times > 1 || (times == 1 && !url.ends_with("}}")) {
        remarks.error("button-url", &place, "at most one variable, at the end");
    }
    let sample = button.sample.as_deref().unwrap_or("").trim();
    if times == 1 && sample.is_empty() {
        remarks.error("sample-missing", &place, "the variable has no sample");
    }
}

fn phone(button: &DraftButton, place: &str, remarks: &mut Remarks) {
    let place = format!("{place}.phone_number");
    let phone = button.phone_number.as_deref().unwrap_or("").trim();
    let digits = phone.strip_prefix('+').unwrap_or(phone);
    if digits.is_empty() || !digits.chars().all(|c| c.is_ascii_digit()) {
        remarks.error("button-phone", &place, "expected digits with the country code");
    } else if phone.chars().count() > PHONE_MAX {
        let reason = format!("more than the {PHONE_MAX} characters that are taken");
        remarks.error("button-phone", &place, reason);
    }
}

fn code(button: &DraftButton, place: &str, remarks: &mut Remarks) {
    let place = format!("{place}.sample");
    let code = button.sample.as_deref().unwrap_or("");
    if code.is_empty() {
        remarks.error("sample-missing", &place, "the code has no sample");
    } else if code.chars().count() > CODE_MAX || !code.chars().all(|c| c.is_ascii_alphanumeric()) {
        let reason = format!("expected 1 to {CODE_MAX} letters and digits");
        remarks.error("button-code", &place, reason);
    }
}
