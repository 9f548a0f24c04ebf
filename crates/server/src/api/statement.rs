//! Checking who asks.

use super::Problem;
use crate::{
    clock,
    core::{Core, Shared},
    recordings::lock,
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderMap;
use playhead_model::{Permission, Statement, WallTime};
use playhead_protocol::STATEMENT_HEADER;

/// How far in the future a statement's end may lie, beyond the minute that consoles give: clocks differ.
const MOST_MICROS: i64 = 300_000_000;

/// Lets a request through when its statement is signed by a known console, has not expired, and the role allows it. The handler finds the
/// statement among the request's extensions.
pub(super) async fn guard(
    State((core, permission)): State<(Shared, Permission)>,
    mut request: Request,
    next: Next,
) -> Response {
    match check(&core, request.headers(), permission, clock::now()) {
        Ok(statement) => {
            request.extensions_mut().insert(statement);
            next.run(request).await
        }
        Err(problem) => problem.into_response(),
    }
}

fn check(
    core: &Core,
    headers: &HeaderMap,
    permission: Permission,
    now: WallTime,
) -> Result<Statement, Problem> {
    let statement = headers.get(STATEMENT_HEADER).and_then(|value| read(core, value.to_str().ok()?));
    let Some(statement) = statement else {
        return Err(Problem::unauthorized("expected a statement signed by a console that this site knows"));
    };
    if statement.expires_at <= now || statement.expires_at > now.plus_micros(MOST_MICROS) {
        return Err(Problem::unauthorized(format!(
            "the console's statement is good until {}, and it is {now} here: set the clocks of both machines",
            statement.expires_at
        )));
    }
    if !statement.allows(permission) {
        return Err(Problem::forbidden(match &statement.permissions {
            Some(_) => {
                format!("the API client does not hold the permission {permission}: make one that does")
            }
            None => {
                format!("the role {} does not include {permission}: ask an administrator", statement.role)
            }
        }));
    }
    Ok(statement)
}

/// The statement, if one of the known consoles has signed it.
fn read(core: &Core, text: &str) -> Option<Statement> {
    let (json, signature) = text.split_once('.')?;
    let json = URL_SAFE_NO_PAD.decode(json).ok()?;
    let signature: [u8; 64] = URL_SAFE_NO_PAD.decode(signature).ok()?.try_into().ok()?;
    let keys: Vec<String> = lock(&core.console_keys).iter().cloned().collect();
    keys.iter()
        .any(|key| playhead_net::verify(key, &json, &signature))
        .then(|| serde_json::from_slice(&json).ok())?
}
