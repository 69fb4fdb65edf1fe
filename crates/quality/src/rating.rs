//! How much of its rate a number may use, by what its readers think of it. Pure.

/// Meta's rating of a number or a template; the better, the greater.
/// Source: Meta, "Phone number quality rating", "Template quality".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rating {
    Red,
    Yellow,
    Unknown,
    Green,
}

impl Rating {
    /// As Graph writes it; what it does not say is unknown.
    pub fn of(score: &str) -> Rating {
        match score {
            "GREEN" => Rating::Green,
            "YELLOW" => Rating::Yellow,
            "RED" => Rating::Red,
            _ => Rating::Unknown,
        }
    }
}

/// Shares of a number's rate by rating, per cent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shares {
    pub yellow: u8,
    pub red: u8,
}

impl Default for Shares {
    fn default() -> Self {
        Shares { yellow: 50, red: 0 }
    }
}

/// What a number that nobody can take over from still sends at, per cent.
pub const LAST_RESORT: u8 = 25;

/// What is known of one number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    pub rating: Rating,
    /// Meta lets it send at all: connected, registered, not blocked.
    pub can_send: bool,
}

/// The share of each number, and why it is not whole.
pub fn shares(seen: &[Seen], table: Shares) -> Vec<(u8, Option<&'static str>)> {
    let share = |one: &Seen| match (one.can_send, one.rating) {
        (false, _) => (0, Some("Meta does not let it send")),
        (true, Rating::Red) => (table.red, Some("its rating is RED")),
        (true, Rating::Yellow) => (table.yellow, Some("its rating is YELLOW")),
        (true, Rating::Unknown | Rating::Green) => (100, None),
    };
    let mut shares: Vec<_> = seen.iter().map(share).collect();
    if shares.iter().all(|(percent, _)| *percent == 0) {
        for ((percent, why), one) in shares.iter_mut().zip(seen).filter(|(_, one)| one.can_send) {
            debug_assert_eq!(one.rating, Rating::Red);
            *percent = LAST_RESORT;
            *why = Some("its rating is RED, and no other number can take over");
        }
    }
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(rating: Rating) -> Seen {
        Seen { rating, can_send: true }
    }

    fn percents(seen: &[Seen]) -> Vec<u8> {
        shares(seen, Shares::default()).into_iter().map(|(percent, _)| percent).collect()
    }

    #[test]
    fn a_rate_follows_its_rating() {
        let all = [Rating::Green, Rating::Unknown, Rating::Yellow, Rating::Red].map(seen);
        assert_eq!(percents(&all), [100, 100, 50, 0]);
        let gone = Seen { can_send: false, ..seen(Rating::Green) };
        assert_eq!(percents(&[gone, seen(Rating::Green)]), [0, 100]);
    }

    #[test]
    fn the_last_number_goes_on_slowly_and_one_that_cannot_send_does_not() {
        let gone = Seen { rating: Rating::Green, can_send: false };
        assert_eq!(percents(&[seen(Rating::Red), gone]), [LAST_RESORT, 0]);
        assert_eq!(percents(&[gone]), [0]);
        assert!(percents(&[]).is_empty());
    }
}
