//! What comes to a fleet beside what it asked for: people who say STOP, another
//! installation's statuses, a translation that Meta does not have, media that it refuses.

use std::fmt::Write as _;
use std::path::Path;

use domain::callback::{Callback, CallbackKey};
use domain::{Clock, DeliveryId, RunId, SystemClock};
use serde_json::{Value, json};

use crate::install::post_webhook;
use crate::until;

/// How many of the list say STOP before the window opens.
pub const STOPS: u32 = 5;
/// How many are to get a picture that their number does not have.
pub const WITHOUT_MEDIA: u32 = 1;

/// The smallest picture that Meta takes: one pixel, 8 bits, RGB.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x02\0\0\0\x90wS\xde\0\0\0\x0cIDATx\x9cc\xf8\xcf\xc0\0\0\x03\x01\x01\0\xc9\xfe\x92\xef\0\0\0\0IEND\xaeB`\x82";

fn phone(n: u32) -> String {
    format!("919{n:09}")
}

/// The list, three languages of which Meta has two, and content with a picture.
///
/// # Panics
/// When a file cannot be written.
pub fn write_files(dir: &Path, people: u32) {
    let mut list = String::from("id,name,phone,tier,language,consent_utility\n");
    for n in 0..people {
        let language = match n % 10 {
            0 => "mr",
            1..=4 => "hi",
            _ => "en",
        };
        let _ = writeln!(list, "r{n:05},Asha Rao,+{},pro,{language},yes", phone(n));
    }
    let row = |id: &str, media: Value| {
        let params = json!({"headline": "Markets open at 9:15"});
        json!({"recipient_id": id, "params": params, "media": media,
            "approved_by": "Desk", "approved_at": "2026-01-15T18:00:00+05:30"})
    };
    let content = [row("*", json!({"path": "p.png"})), row("r00003", json!({"id": "40440"}))];
    let content: String = content.iter().map(|row| format!("{row}\n")).collect();
    std::fs::write(dir.join("p.png"), PNG).expect("the picture");
    std::fs::write(dir.join("r.csv"), list).expect("the list");
    std::fs::write(dir.join("c.ndjson"), content).expect("the content");
}

/// The last people of the list say STOP; answered, so kept.
///
/// # Panics
/// When no receiver takes the words.
pub fn say_stop(receiver: u16, people: u32) {
    for n in people - STOPS..people {
        let message = json!({"from": phone(n), "id": format!("wamid.stop{n}"), "type": "text",
            "timestamp": SystemClock.now().secs().to_string(), "text": {"body": "STOP"}});
        let value = json!({"messages": [message], "contacts": [{"wa_id": phone(n)}]});
        until("an answer to STOP", || hear(receiver, value.clone()));
    }
}

/// Another installation on the same app says that this run's deliveries failed, arrived and
/// locked the account. Nobody may believe a word; without a receiver nobody hears.
pub fn slander(receiver: u16, run: &RunId, index: u32) {
    let key = CallbackKey::derive(b"secret-app", "another installation");
    for (nonce, status, code) in [(1u64, "delivered", 0), (2, "failed", 131_031), (3, "failed", 0)]
    {
        let delivery = DeliveryId { run: run.clone(), index };
        let tag = Callback { delivery, nonce: nonce.into() }.encode(&key);
        let status = json!({"id": format!("wamid.other{index}-{nonce}"), "status": status,
            "timestamp": SystemClock.now().secs().to_string(), "recipient_id": phone(index),
            "errors": if code == 0 { json!([]) } else { json!([{"code": code, "title": "locked"}]) },
            "biz_opaque_callback_data": tag});
        hear(receiver, json!({"statuses": [status]}));
    }
}

fn hear(receiver: u16, mut value: Value) -> Option<()> {
    value["messaging_product"] = json!("whatsapp");
    value["metadata"] = json!({"display_phone_number": "1", "phone_number_id": "1001"});
    let body = json!({"object": "whatsapp_business_account",
        "entry": [{"id": "1", "changes": [{"field": "messages", "value": value}]}]});
    (post_webhook(receiver, &body.to_string()) == Some(200)).then_some(())
}
