//! Given, when, then: account.
