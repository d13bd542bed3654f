//! Given, when, then: friendship.
