//! What comes from a directory, and filters that people type.
#![no_main]

use libfuzzer_sys::fuzz_target;
use playhead_ldap::{
    Answer, Filter, Page, Request, Scope, Search, decode, frame, group_of_domain, is_within, same_form,
};

fuzz_target!(|data: &[u8]| {
    let mut rest = data;
    while let Ok(Some(length)) = frame(rest, 64 << 10) {
        let Some((message, after)) = rest.split_at_checked(length) else { break };
        if let Ok((_, Answer::Entry(entry))) = decode(message) {
            for (name, values) in &entry.attributes {
                let _ = entry.part(name.split(';').next().unwrap_or(name));
                let _ = values.iter().map(|value| group_of_domain(value, 513)).count();
            }
        }
        rest = after;
    }
    let _ = decode(data);
    let Ok(text) = std::str::from_utf8(data) else { return };
    let form = same_form(text);
    assert!(is_within(text, "") && is_within(text, text) && same_form(text) == form);
    if let Ok(filter) = Filter::parse(text) {
        let search = Search {
            base: String::new(),
            scope: Scope::Subtree,
            size_limit: 1,
            seconds: 1,
            filter,
            attributes: Vec::new(),
            page: Some(Page { size: 1, cookie: Vec::new() }),
        };
        let message = Request::Search(&search).encode(u32::MAX);
        assert_eq!(frame(&message, usize::MAX), Ok(Some(message.len())));
    }
});
