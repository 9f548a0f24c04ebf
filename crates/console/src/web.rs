//! The web app: files embedded at build time, served with a strict content security policy.

use crate::problem::Problem;
use axum::{
    body::Body,
    response::{IntoResponse, Response},
};
use base64::{Engine as _, engine::general_purpose::STANDARD_NO_PAD};
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use rust_embed::{EmbeddedFile, RustEmbed};
use std::{
    borrow::Cow,
    collections::HashMap,
    io::Write as _,
    sync::{Mutex, PoisonError},
};

/// What the web app's build left. Release builds carry the files; debug builds read them from the source tree, so that a
/// rebuilt web app shows at the next reload.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Built;

/// What stands in `index.html` where each answer gets a fresh nonce.
const NONCE_PLACE: &str = "__CSP_NONCE__";
/// Files of which the name holds a hash of the content lie here, and never change.
const HASHED: &str = "assets/";
/// Below this gzip gains nothing.
const LEAST_TO_COMPRESS: usize = 1024;
/// More compressed files than any build has: a guard for debug builds, where files change.
const MOST_COMPRESSED: usize = 512;

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Playhead</title></head>\
<body><h1>The web app is not built in</h1><p>This program was built before the web app. Run <code>make build</code>, \
or <code>make web</code> and then build again.</p><p>The REST API works: \
<a href=\"/api/openapi.json\">its description</a>.</p></body></html>";

/// Serves the web app.
#[derive(Default)]
pub(crate) struct Web {
    /// Compressed files by the hash of their content.
    compressed: Mutex<HashMap<[u8; 32], Bytes>>,
}

impl Web {
    /// Compresses every file, which takes some tens of milliseconds for each megabyte; what is not done by then is done at its first
    /// request.
    pub(crate) fn prepare(&self) {
        for path in Built::iter() {
            if let Some(file) = Built::get(&path) {
                self.small(&file, file.metadata.mimetype());
            }
        }
    }

    /// Answers a request for a page or file. Every path without a file is a page of the app, which does its own routing.
    pub(crate) fn answer(&self, method: &Method, uri: &Uri, headers: &HeaderMap) -> Response {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Problem::method_not_allowed("Pages can only be read.").into_response();
        }
        let path = uri.path().trim_start_matches('/');
        match Built::get(path) {
            Some(file) if path != "index.html" => self.file(path, &file, headers),
            // A missing script must not look like a page: the browser would say something about MIME types.
            None if path.starts_with(HASHED) => {
                Problem::not_found("There is no such file. Load the page again: the console was updated.")
                    .into_response()
            }
            _ => index(),
        }
    }

    fn file(&self, path: &str, file: &EmbeddedFile, headers: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", STANDARD_NO_PAD.encode(&file.metadata.sha256_hash()[..18]));
        let known = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let unchanged = known
            .flat_map(|value| value.split(','))
            .any(|known| known.trim().trim_start_matches("W/") == tag || known.trim() == "*");
        let kind = file.metadata.mimetype();
        let mut response = if unchanged {
            StatusCode::NOT_MODIFIED.into_response()
        } else if let Some(small) = self.small(file, kind).filter(|_| takes_gzip(headers)) {
            let mut response = Body::from(small).into_response();
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            response
        } else {
            let whole = match &file.data {
                Cow::Borrowed(embedded) => Bytes::from_static(embedded),
                Cow::Owned(read) => Bytes::copy_from_slice(read),
            };
            Body::from(whole).into_response()
        };
        let headers = response.headers_mut();
        let cache = if path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
        for (name, value) in [(header::CONTENT_TYPE, kind), (header::ETAG, &tag)] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        // A worker runs under the policy of its own script, not of the page.
        policy(headers, "");
        response
    }

    /// The file compressed, where that makes it smaller. Done once for each file.
    fn small(&self, file: &EmbeddedFile, kind: &str) -> Option<Bytes> {
        let compresses = kind.starts_with("text/")
            || ["application/javascript", "application/json", "application/wasm", "image/svg+xml"]
                .contains(&kind);
        if !compresses || file.data.len() < LEAST_TO_COMPRESS {
            return None;
        }
        let hash = file.metadata.sha256_hash();
        let compressed = || self.compressed.lock().unwrap_or_else(PoisonError::into_inner);
        let known = compressed().get(&hash).cloned();
        let small = match known {
            Some(small) => small,
            None => {
                let mut encoder = GzEncoder::new(Vec::new(), Compression::new(6));
                encoder.write_all(&file.data).ok()?;
                let small = Bytes::from(encoder.finish().ok()?);
                let mut compressed = compressed();
                if compressed.len() >= MOST_COMPRESSED {
                    compressed.clear();
                }
                compressed.insert(hash, small.clone());
                small
            }
        };
        (small.len() < file.data.len()).then_some(small)
    }
}

fn index() -> Response {
    let mut random = [0; 18];
    if let Err(error) = getrandom::fill(&mut random) {
        return Problem::from_error(&error).into_response();
    }
    let nonce = STANDARD_NO_PAD.encode(random);
    let page = match Built::get("index.html") {
        Some(file) => String::from_utf8_lossy(&file.data).replace(NONCE_PLACE, &nonce),
        None => NOT_BUILT.to_owned(),
    };
    let mut response = Body::from(page).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    policy(headers, &format!(" 'nonce-{nonce}'"));
    response
}

/// Scripts from here alone and no evaluation but of WebAssembly; styles from here, or with the nonce.
fn policy(headers: &mut HeaderMap, style_nonce: &str) {
    let policy = format!(
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'{style_nonce}; \
         img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; worker-src 'self'; media-src 'self' blob:; \
         manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    if let Ok(value) = HeaderValue::from_str(&policy) {
        headers.insert(header::CONTENT_SECURITY_POLICY, value);
    }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').any(|coding| {
            let mut parts = coding.split(';').map(str::trim);
            parts.next() == Some("gzip") && !parts.any(|weight| matches!(weight, "q=0" | "q=0.0"))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rust_embed::Metadata;

    fn get(path: &str) -> Response {
        Web::default().answer(&Method::GET, &path.parse().unwrap(), &HeaderMap::new())
    }

    fn file(text: &str, kind: &'static str) -> EmbeddedFile {
        let hash = *blake3::hash(text.as_bytes()).as_bytes();
        EmbeddedFile {
            data: text.as_bytes().to_vec().into(),
            metadata: Metadata::__rust_embed_new(hash, None, None, kind),
        }
    }

    #[test]
    fn each_page_has_a_nonce_of_its_own_and_a_policy_without_inline_scripts() {
        let policy = |response: &Response| {
            response.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap().to_owned()
        };
        let (first, second) = (get("/"), get("/recordings/x?t=3"));
        assert_eq!(first.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
        assert_eq!(first.headers()[header::CACHE_CONTROL], "no-store");
        let (first, second) = (policy(&first), policy(&second));
        assert!(first.contains("style-src 'self' 'nonce-") && first != second);
        assert!(first.starts_with("default-src 'none'; script-src 'self' 'wasm-unsafe-eval';"));
        assert!(first.ends_with("frame-ancestors 'none'") && !first.contains("unsafe-inline"));
    }

    #[test]
    fn missing_assets_are_missing_and_posts_are_refused() {
        assert_eq!(get("/assets/gone-123.js").status(), 404);
        let posted = Web::default().answer(&Method::POST, &"/".parse().unwrap(), &HeaderMap::new());
        assert_eq!(posted.status(), 405);
    }

    #[test]
    fn files_are_compressed_when_asked_for_and_not_sent_twice() {
        let script = file(&"let x = 1;\n".repeat(500), "text/javascript");
        let web = Web::default();
        let mut headers = HeaderMap::new();
        let plain = web.file("assets/a-1.js", &script, &headers);
        assert!(!plain.headers().contains_key(header::CONTENT_ENCODING));
        assert_eq!(plain.headers()[header::CACHE_CONTROL], "public, max-age=31536000, immutable");
        headers.insert(header::ACCEPT_ENCODING, "br, gzip;q=0.5".parse().unwrap());
        let small = web.file("assets/a-1.js", &script, &headers);
        assert_eq!(small.headers()[header::CONTENT_ENCODING], "gzip");
        headers.insert(header::IF_NONE_MATCH, small.headers()[header::ETAG].clone());
        assert_eq!(web.file("assets/a-1.js", &script, &headers).status(), 304);
        headers.insert(header::ACCEPT_ENCODING, "gzip;q=0".parse().unwrap());
        assert!(!takes_gzip(&headers));
        let icon = web.file("favicon.svg", &file("<svg/>", "image/svg+xml"), &HeaderMap::new());
        assert_eq!(icon.headers()[header::CACHE_CONTROL], "no-cache");
    }
}
