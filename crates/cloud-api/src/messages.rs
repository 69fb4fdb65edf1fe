//! The bodies of `POST /{phone-number-id}/messages`.
//!
//! Typed, so that what is built is what Meta documents. Source: Meta, "messages" API,
//! v23.0 to v25.0.

use domain::Address;
use domain::outbound::{ButtonCall, Header, Media, Param, TemplateCall};
use serde::Serialize;

/// A template message, ready to be posted.
#[derive(Debug, Serialize)]
pub struct TemplateMessage<'a> {
    messaging_product: &'static str,
    recipient_type: &'static str,
    /// A phone number with `+`: without it Meta puts our own calling code in front.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<&'a str>,
    /// A business-scoped user id; only where there is no phone number, as `to` wins.
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient: Option<&'a str>,
    r#type: &'static str,
    template: Template<'a>,
    #[serde(skip_serializing_if = "str::is_empty")]
    biz_opaque_callback_data: &'a str,
}

#[derive(Debug, Serialize)]
struct Template<'a> {
    name: &'a str,
    language: Language<'a>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    components: Vec<Component<'a>>,
}

#[derive(Debug, Serialize)]
struct Language<'a> {
    code: &'a str,
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Component<'a> {
    Header { parameters: Vec<Parameter<'a>> },
    Body { parameters: Vec<Parameter<'a>> },
    Button { sub_type: &'static str, index: u8, parameters: Vec<Parameter<'a>> },
}

#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Parameter<'a> {
    Text {
        #[serde(skip_serializing_if = "Option::is_none")]
        parameter_name: Option<&'a str>,
        text: &'a str,
    },
    Image {
        image: MediaObject<'a>,
    },
    Video {
        video: MediaObject<'a>,
    },
    Document {
        document: MediaObject<'a>,
    },
    Payload {
        payload: &'a str,
    },
    CouponCode {
        coupon_code: &'a str,
    },
}

#[derive(Debug, Default, Serialize)]
struct MediaObject<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    link: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    filename: Option<&'a str>,
}

/// Builds the body. `callback` is at most 512 characters; empty leaves it out.
/// A [`Media::Path`] or [`Media::Asset`] must have become an id before
/// (`TemplateCall::through`); it is left out.
pub fn template_message<'a>(
    to: &'a Address,
    call: &'a TemplateCall,
    callback: &'a str,
) -> TemplateMessage<'a> {
    let phone = to.phone().map(|phone| phone.reveal());
    let user_id = to.user_id().map(|id| id.reveal()).filter(|_| phone.is_none());
    TemplateMessage {
        messaging_product: "whatsapp",
        recipient_type: "individual",
        to: phone,
        recipient: user_id,
        r#type: "template",
        template: Template {
            name: &call.name,
            language: Language { code: &call.language },
            components: components(call),
        },
        biz_opaque_callback_data: callback,
    }
}

fn components(call: &TemplateCall) -> Vec<Component<'_>> {
    let mut components = Vec::new();
    if let Some(header) = &call.header {
        components.push(Component::Header { parameters: vec![header_parameter(header)] });
    }
    if !call.body.is_empty() {
        components.push(Component::Body { parameters: call.body.iter().map(text).collect() });
    }
    components.extend(call.buttons.iter().map(button));
    components
}

fn text(param: &Param) -> Parameter<'_> {
    Parameter::Text { parameter_name: param.name.as_deref(), text: &param.text }
}

fn header_parameter(header: &Header) -> Parameter<'_> {
    use domain::outbound::MediaKind::{Document, Image, Video};
    match header {
        Header::Text(param) => text(param),
        Header::Media { kind, media, filename } => {
            let object = MediaObject {
                id: if let Media::Id(id) = media { Some(id) } else { None },
                link: if let Media::Link(link) = media { Some(link) } else { None },
                filename: filename.as_deref().filter(|_| *kind == Document),
            };
            match kind {
                Image => Parameter::Image { image: object },
                Video => Parameter::Video { video: object },
                Document => Parameter::Document { document: object },
            }
        }
    }
}

fn button(call: &ButtonCall) -> Component<'_> {
    let (sub_type, parameter) = match call {
        ButtonCall::QuickReply { payload, .. } => ("quick_reply", Parameter::Payload { payload }),
        ButtonCall::Url { suffix, .. } => {
            ("url", Parameter::Text { parameter_name: None, text: suffix })
        }
        ButtonCall::CopyCode { code, .. } => {
            ("copy_code", Parameter::CouponCode { coupon_code: code })
        }
    };
    Component::Button { sub_type, index: call.index(), parameters: vec![parameter] }
}

#[cfg(test)]
mod tests;
