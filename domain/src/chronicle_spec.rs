//! Given, when, then: chronicle.
