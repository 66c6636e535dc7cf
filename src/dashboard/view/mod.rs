//! How values are shown on pages: times, states, counts, charts. What a page holds belongs in `pages`.

pub mod chart;
pub mod figures;
pub mod frame;
pub mod login_form;
pub mod payload;
pub mod rows;
pub mod send;
pub mod time;
pub mod words;
