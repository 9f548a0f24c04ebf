//! Session hosts: the machines that agents record.

use super::{
    extract::Params,
    shapes::{SessionHost, SessionHosts, SiteProblem, SiteRef},
    site,
};
use crate::{
    accounts::Caller,
    core::{Core, Shared},
    problem::Problem,
    sites::{SiteName, SiteRequest, ask_all},
};
use axum::{Extension, Json, extract::State};
use playhead_model::SiteId;
use serde::Deserialize;
use utoipa::IntoParams;

/// Which session hosts to list.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub(crate) struct HostsQuery {
    /// Only those of this site.
    #[param(value_type = Option<String>, format = Uuid)]
    site: Option<SiteId>,
}

#[derive(Deserialize)]
struct OfSite {
    items: Vec<SessionHost>,
}

/// The session hosts
#[utoipa::path(get, path = "/api/v1/session-hosts", tag = "sites", params(HostsQuery),
    responses((status = 200, body = SessionHosts)))]
pub(crate) async fn list_session_hosts(
    State(core): State<Shared>,
    Extension(caller): Extension<Caller>,
    Params(query): Params<HostsQuery>,
) -> Result<Json<SessionHosts>, Problem> {
    let sites = chosen(&core, query.site).await?;
    let request = SiteRequest::get("/site/v1/session-hosts");
    let answers = ask_all::<OfSite>(&core, &caller, sites, &request).await?;
    let mut items: Vec<SessionHost> = Vec::new();
    for (site, answer) in answers.given {
        items.extend(
            answer
                .items
                .into_iter()
                .map(|host| SessionHost { site: SiteRef { id: site.id, name: site.name.clone() }, ..host }),
        );
    }
    items.sort_by(|a, b| (&a.host, &a.id).cmp(&(&b.host, &b.id)));
    Ok(Json(SessionHosts { items, problems: answers.missing.into_iter().map(shown).collect() }))
}

/// The site that a request is limited to, or all.
pub(super) async fn chosen(core: &Core, site: Option<SiteId>) -> Result<Vec<SiteName>, Problem> {
    match site {
        Some(id) => Ok(vec![site::named(core, id).await?]),
        None => site::all_joined(core).await,
    }
}

/// Why a site is missing in a list.
pub(super) fn shown((site, problem): (SiteName, Problem)) -> SiteProblem {
    SiteProblem {
        site: site.name,
        site_id: site.id,
        title: problem.title().to_owned(),
        detail: problem.detail().to_owned(),
    }
}
