//! Tests of tokens with a role.
