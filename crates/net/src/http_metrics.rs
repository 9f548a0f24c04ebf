//! How many requests came for which route, what came of them, and how long they took.

use axum::{
    extract::{MatchedPath, Request, State},
    middleware::Next,
    response::Response,
};
use prometheus_client::{
    encoding::EncodeLabelSet,
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::{Registry, Unit},
};
use std::time::Instant;

/// A route as it is written in the code, never as it was asked for: the number of series is bounded, and nobody's data is in them.
#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Route {
    route: String,
    method: &'static str,
}

#[derive(Debug, Clone, Hash, PartialEq, Eq, EncodeLabelSet)]
struct Answer {
    route: String,
    method: &'static str,
    code: u16,
}

/// Counts requests. Cheap to clone; all clones count together.
#[derive(Clone)]
pub struct HttpMetrics {
    answers: Family<Answer, Counter>,
    seconds: Family<Route, Histogram, fn() -> Histogram>,
}

impl HttpMetrics {
    /// Counters, entered in `registry` as `http_requests` and `http_request_seconds` under its prefix.
    pub fn new(registry: &mut Registry) -> Self {
        let metrics = Self { answers: Family::default(), seconds: Family::new_with_constructor(histogram) };
        registry.register("http_requests", "Requests that were answered", metrics.answers.clone());
        registry.register_with_unit(
            "http_request",
            "Time until the head of the answer",
            Unit::Seconds,
            metrics.seconds.clone(),
        );
        metrics
    }
}

fn histogram() -> Histogram {
    Histogram::new([0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0])
}

/// Middleware that counts. Put it around a router with [`axum::Router::layer`].
pub async fn count_requests(State(metrics): State<HttpMetrics>, request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>();
    let route = path.map_or_else(|| "other".into(), |path| path.as_str().to_owned());
    let method = match request.method().as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        _ => "other",
    };
    let began = Instant::now();
    let response = next.run(request).await;
    let code = response.status().as_u16();
    metrics
        .seconds
        .get_or_create(&Route { route: route.clone(), method })
        .observe(began.elapsed().as_secs_f64());
    metrics.answers.get_or_create(&Answer { route, method, code }).inc();
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::{Router, body::Body, middleware::from_fn_with_state, routing::get};
    use tower::ServiceExt as _;

    #[tokio::test]
    async fn requests_are_counted_by_route_and_not_by_path() {
        let mut registry = Registry::with_prefix("test");
        let metrics = HttpMetrics::new(&mut registry);
        let router = Router::new()
            .route("/things/{id}", get(async || "ok"))
            .layer(from_fn_with_state(metrics, count_requests));
        for path in ["/things/secret", "/things/other", "/nowhere/at/all"] {
            let request = Request::builder().uri(path).body(Body::empty()).unwrap();
            router.clone().oneshot(request).await.unwrap();
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(
            text.contains(r#"test_http_requests_total{route="/things/{id}",method="GET",code="200"} 2"#),
            "{text}"
        );
        assert!(text.contains(r#"route="other""#), "{text}");
        assert!(!text.contains("secret") && !text.contains("nowhere"), "{text}");
    }
}
