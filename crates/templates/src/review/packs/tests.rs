//! What packs find, in any dress, and what they leave alone.

use super::*;

fn says(language: &str, text: &str) -> Vec<(&'static str, Severity)> {
    let pack = Pack::built_in("sebi-2023-04").unwrap();
    let with_link = format!("{text} https://adviser.example.in");
    let remarks = pack.check(language, Some("Asha"), &[("body".to_owned(), with_link)]);
    remarks.into_iter().map(|remark| (remark.rule, remark.severity)).collect()
}

#[test]
fn every_pack_can_be_read_and_names_its_source() {
    for id in Pack::BUILT_IN {
        let pack = Pack::built_in(id).unwrap();
        assert_eq!(pack.id, id);
        assert!(pack.source.contains("20"), "{id}: a date");
        assert!(pack.rules.iter().all(|rule| !rule.clause.is_empty() && !rule.why.is_empty()));
    }
    assert!(Pack::built_in("sebi-1999").is_none());
    assert!(matches!(Pack::read("id = 1"), Err(BadPack::Form(_))));
}

#[test]
fn what_is_forbidden_is_found_in_any_dress() {
    for text in [
        "We offer guaranteed returns of 12 %",
        "Guaranteed\nreturns",
        "G\u{200b}uaranteed returns",
        "ＧＵＡＲＡＮＴＥＥＤ returns",
        "a *risk-free* plan",
        "a risk free plan",
        "a risk‑free plan",
        "The No. 1 adviser",
        "India's best",
        "India’s best",
        "95% accuracy",
        "SEBI approved tips",
        "double your money in a year",
        "पक्का मुनाफा",
        "\u{430}ssured returns",
        "guar\u{34f}anteed returns",
        "g\u{fe0f}uaranteed returns",
        "gúaranteed returns",
        "ɢᴜᴀʀᴀɴᴛᴇᴇᴅ returns",
        "as*su*red returns",
        "g u a r a n t e e d returns",
        "a.s.s.u.r.e.d returns",
        "guarant33d returns",
        "a riskfree plan",
        "risk/free",
        // Denied once, promised once.
        "There is no guarantee here. We guarantee 20 percent profit.",
        "This is not risk free. Ours is risk free.",
        // Words that only seem to deny.
        "no fees, guaranteed profit",
        "not just guaranteed but doubled",
        "why not take guaranteed returns",
        "No doubt: assured returns of 20 percent",
        "Do not miss guaranteed returns",
        "Not 10, but guaranteed 20 percent",
        "We are not only the best adviser but the cheapest",
        "no loss guarantee",
    ] {
        assert_eq!(says("en", text), [("pack-banned", Severity::Error)], "{text}");
    }
}

#[test]
fn what_is_harmless_or_prescribed_is_not() {
    for text in [
        "NIFTY closed 0.4 % up",
        "Investment in securities market are subject to market risks. Read all the related documents carefully before investing.",
        "Registration granted by SEBI, membership of BASL (in case of IAs) and certification from NISM in no way guarantee performance of the intermediary or provide any assurance of returns to investors.",
        "Rest assuredly not", // another word
        "Inaccuracy is human",
        "Past performance is not indicative of future returns",
        "Past performance is no guarantee of future results",
        "Your bank guarantee has been returned",
        "The Guaranteed Income Plan policy premium is due",
        "Your request no. 1 and complaint no 1 are closed",
        "The policy covers no risk before the premium is received",
        "Your tax returns are assured to be filed",
        "Registration granted by SEBI, enlistment of RA with Exchange and certification from NISM in no way guarantee performance of the intermediary or provide any assurance of returns to investors.",
    ] {
        assert_eq!(says("en", text), [], "{text}");
    }
}

#[test]
fn a_denied_phrase_and_an_unreviewed_language_are_for_a_person() {
    assert_eq!(says("en", "There are no assured returns"), [("pack-banned", Severity::Warning)]);
    let warned = "Beware of anyone who offers guaranteed returns";
    assert_eq!(says("en", warned), [("pack-banned", Severity::Warning)]);
    assert_eq!(says("hi", "guaranteed returns"), [("pack-banned", Severity::Warning)]);
    let pack = Pack::built_in("sebi-2023-04").unwrap();
    let texts = [("body".to_owned(), "नमस्ते https://a.example.in".to_owned())];
    let unread = pack.check("hi", None, &texts);
    assert_eq!(unread[0].rule, "pack-unreviewed");
    assert_eq!(pack.check("hi", Some("Asha, 27 Nov"), &texts), []);
}

#[test]
fn what_is_asked_for_is_there_or_linked() {
    let pack = Pack::built_in("sebi-2023-04").unwrap();
    let check = |text: &str| pack.check("en", None, &[("body".to_owned(), text.to_owned())]);
    assert_eq!(check("NIFTY is up")[0].rule, "pack-required");
    assert_eq!(check("NIFTY is up, https://a.example.in"), []);
    let warned = "INVESTMENT in securities market are subject to market risks. Read all the related documents carefully before investing.";
    assert_eq!(check(warned), []);
}

#[test]
fn a_pack_of_the_house_whose_phrase_says_nothing_is_refused() {
    let rule = |phrase: &str| {
        format!(
            "id = \"house\"\nstatus = \"in-force\"\nsource = \"us, 2026\"\nlanguages = [\"en\"]\n[[rules]]\nid = \"x\"\nclause = \"1\"\nkind = \"banned\"\nseverity = \"block\"\nwhy = \"no\"\nphrases = [{phrase:?}]\n"
        )
    };
    let pack = Pack::read(&rule("Beta Bond")).unwrap();
    let found =
        pack.check("en", None, &[("body".to_owned(), "Our Beta Bonds are here".to_owned())]);
    assert_eq!(found[0].rule, "pack-banned", "a plural");
    assert!(matches!(Pack::read(&rule(" - ")), Err(BadPack::Empty(_))));
}
