//! A Cloud API that behaves, and an oracle that counts
