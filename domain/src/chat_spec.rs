//! Given, when, then: chat.
