//! What really happened: receiver, inbox, applier, sweeper, SLA
