//! The command line of operators and keys.

use clap::Subcommand;
use desk::accounts::Role;

use super::FormatArg;

#[derive(Subcommand)]
pub enum OperatorsCommand {
    /// Everybody, with their role
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Add somebody, or a program
    Add {
        name: String,
        /// viewer, content, operator or admin
        #[arg(long)]
        role: Role,
        #[arg(long)]
        reason: String,
    },
    /// Give another role
    Role {
        name: String,
        /// viewer, content, operator or admin
        #[arg(long)]
        role: Role,
        #[arg(long)]
        reason: String,
    },
    /// Let nobody in by their keys and sessions any more
    Disable {
        name: String,
        #[arg(long)]
        reason: String,
    },
    /// Let somebody in again
    Enable {
        name: String,
        #[arg(long)]
        reason: String,
    },
}

#[derive(Subcommand)]
pub enum KeysCommand {
    /// All keys, without their secrets
    List {
        #[command(flatten)]
        format: FormatArg,
    },
    /// Make a key; its secret is printed once
    Create {
        operator: String,
        /// What it is for
        #[arg(long)]
        label: String,
        /// Less than the operator's own
        #[arg(long)]
        role: Option<Role>,
        /// Days until it ends; without, it does not
        #[arg(long, value_parser = clap::value_parser!(u32).range(1..=3_650))]
        days: Option<u32>,
    },
    /// Let nobody in by a key any more
    Revoke {
        key: String,
        #[arg(long)]
        reason: String,
    },
}
