//! The only crate that knows apalis: a Backend over the ledger's lanes
