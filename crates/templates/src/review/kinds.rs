//! What one kind of template alone has to be: authentication, offers, carousels, products; and how
//! long Meta may try to deliver each category.

use super::{CARD_BODY_MAX, Remarks, check_header};
use crate::draft::{ButtonKind, Card, Draft, DraftCategory, DraftHeaderFormat};

const CARDS: std::ops::RangeInclusive<usize> = 2..=10;
const CARD_BUTTONS_MAX: usize = 2;
const CODE_MINUTES: std::ops::RangeInclusive<u32> = 1..=90;
/// Seconds; the first two categories also take -1 for thirty days.
const TTL_AUTHENTICATION: std::ops::RangeInclusive<i64> = 30..=900;
const TTL_UTILITY: std::ops::RangeInclusive<i64> = 30..=43_200;
const TTL_MARKETING: std::ops::RangeInclusive<i64> = 43_200..=2_592_000;

pub(super) fn check(draft: &Draft, remarks: &mut Remarks) {
    authentication(draft, remarks);
    offer(draft, remarks);
    carousel(draft, remarks);
    products(draft, remarks);
    ttl(draft, remarks);
}

fn authentication(draft: &Draft, remarks: &mut Remarks) {
    const RULE: &str = "authentication-form";
    if draft.category != DraftCategory::Authentication {
        if draft.authentication.is_some() {
            remarks.error(RULE, "authentication", "only category authentication has it");
        }
        return;
    }
    if !draft.body.trim().is_empty() || draft.footer.is_some() || draft.header.is_some() {
        let reason = "Meta writes the texts of authentication templates: no header, body or footer";
        remarks.error(RULE, "body", reason);
    }
    if !draft.buttons.iter().any(|button| button.kind == ButtonKind::Otp) {
        remarks.error(RULE, "buttons", "an otp button is needed");
    }
    if draft.buttons.iter().any(|button| button.kind != ButtonKind::Otp) {
        remarks.error(RULE, "buttons", "only an otp button is taken");
    }
    let minutes = draft.authentication.as_ref().and_then(|a| a.code_expiration_minutes);
    if minutes.is_some_and(|minutes| !CODE_MINUTES.contains(&minutes)) {
        let reason = "code_expiration_minutes: expected 1 to 90";
        remarks.error(RULE, "authentication", reason);
    }
}

fn offer(draft: &Draft, remarks: &mut Remarks) {
    const RULE: &str = "offer-form";
    let place = "limited_time_offer";
    let Some(offer) = &draft.limited_time_offer else { return };
    if draft.category != DraftCategory::Marketing {
        remarks.error(RULE, place, "a limited-time offer is of category marketing");
    }
    if draft.footer.is_some() {
        remarks.error(RULE, "footer", "a limited-time offer has no footer");
    }
    if offer.text.trim().is_empty() {
        remarks.error(RULE, place, "its text is empty");
    }
    use DraftHeaderFormat::{Image, Video};
    if !draft.header.as_ref().is_some_and(|h| matches!(h.format, Image | Video)) {
        remarks.error(RULE, "header", "its header is an image or a video");
    }
    let kinds: Vec<ButtonKind> = draft.buttons.iter().map(|button| button.kind).collect();
    use ButtonKind::{CopyCode, Url};
    if kinds != [CopyCode, Url] && kinds != [Url] {
        let reason = "its buttons are copy_code and url, in that order, or url alone";
        remarks.error(RULE, "buttons", reason);
    }
}

fn carousel(draft: &Draft, remarks: &mut Remarks) {
    const RULE: &str = "carousel-form";
    if draft.cards.is_empty() {
        return;
    }
    let n = draft.cards.len();
    if !CARDS.contains(&n) {
        remarks.error(RULE, "cards", format!("{n} cards, expected 2 to 10"));
    }
    if draft.header.is_some() || draft.footer.is_some() || !draft.buttons.is_empty() {
        let reason = "beside its cards a carousel has a body only";
        remarks.error(RULE, "cards", reason);
    }
    if draft.category == DraftCategory::Authentication {
        remarks.error(RULE, "category", "a carousel is of category marketing or utility");
    }
    for (at, card) in draft.cards.iter().enumerate() {
        let place = format!("cards[{at}]");
        one_card(card, &place, remarks);
        if shape(card) != shape(&draft.cards[0]) {
            let reason = "every card has the same parts as the first: header, body, buttons";
            remarks.error(RULE, &place, reason);
        }
    }
}

fn one_card(card: &Card, place: &str, remarks: &mut Remarks) {
    const RULE: &str = "carousel-form";
    use DraftHeaderFormat::{Image, Product, Video};
    match &card.header {
        Some(header) if matches!(header.format, Image | Video | Product) => {
            check_header(header, &format!("{place}.header"), remarks);
        }
        _ => remarks.error(RULE, place, "a card's header is an image, a video or a product"),
    }
    let chars = card.body.as_ref().map_or(0, |body| body.chars().count());
    if chars > CARD_BODY_MAX {
        let reason = format!("{chars} characters, at most {CARD_BODY_MAX} are taken");
        remarks.error("body-long", &format!("{place}.body"), reason);
    }
    if card.buttons.is_empty() || card.buttons.len() > CARD_BUTTONS_MAX {
        let reason = format!("{} buttons, expected 1 or 2", card.buttons.len());
        remarks.error(RULE, place, reason);
    }
    use ButtonKind::{PhoneNumber, QuickReply, Spm, Url};
    let odd = |kind| !matches!(kind, QuickReply | Url | PhoneNumber | Spm);
    if card.buttons.iter().any(|button| odd(button.kind)) {
        let reason = "a card's buttons are quick_reply, url, phone_number or spm";
        remarks.error(RULE, place, reason);
    }
}

/// What must be equal in every card.
fn shape(card: &Card) -> (Option<DraftHeaderFormat>, bool, Vec<ButtonKind>) {
    let kinds = card.buttons.iter().map(|button| button.kind).collect();
    (card.header.as_ref().map(|header| header.format), card.body.is_some(), kinds)
}

fn products(draft: &Draft, remarks: &mut Remarks) {
    const RULE: &str = "products-form";
    let format = draft.header.as_ref().map(|header| header.format);
    let has = |kind| draft.buttons.iter().any(|button| button.kind == kind);
    let product = format == Some(DraftHeaderFormat::Product);
    if has(ButtonKind::Spm) != product {
        let reason = "an spm button and a header of format product come together";
        remarks.error(RULE, "buttons", reason);
    }
    if has(ButtonKind::Catalog) && format.is_some() {
        remarks.error(RULE, "header", "a template with a catalog button has no header");
    }
    if has(ButtonKind::Mpm) && format.is_some_and(|f| f != DraftHeaderFormat::Text) {
        remarks.error(RULE, "header", "a template with an mpm button has a text header or none");
    }
    let sells = [ButtonKind::Mpm, ButtonKind::Spm, ButtonKind::Catalog].into_iter().any(has);
    if sells && draft.category != DraftCategory::Marketing {
        remarks.error(RULE, "category", "templates with products are of category marketing");
    }
}

fn ttl(draft: &Draft, remarks: &mut Remarks) {
    let Some(ttl) = draft.ttl_seconds else { return };
    let (range, month) = match draft.category {
        DraftCategory::Authentication => (TTL_AUTHENTICATION, ttl == -1),
        DraftCategory::Utility => (TTL_UTILITY, ttl == -1),
        DraftCategory::Marketing => (TTL_MARKETING, false),
    };
    if !month && !range.contains(&ttl) {
        let reason = format!(
            "{ttl} s: {} takes {} to {}",
            draft.category.as_str(),
            range.start(),
            range.end()
        );
        remarks.error("ttl-range", "ttl_seconds", reason);
    } else if draft.category == DraftCategory::Marketing {
        let reason = "a marketing template's time counts with the Marketing Messages API only";
        remarks.warn("ttl-range", "ttl_seconds", reason);
    }
}
