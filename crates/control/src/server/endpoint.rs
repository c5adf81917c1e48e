//! An endpoint: what it needs, what it takes, what it answers. The same definition routes, reads,
//! checks and documents it.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Json, Router,
    body::{Body, Bytes},
    extract::{Query, Request, State},
    http::{
        HeaderMap, HeaderValue, Method, StatusCode, Uri,
        header::{
            AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE,
            X_CONTENT_TYPE_OPTIONS,
        },
    },
    response::Response,
    routing::{MethodFilter, get, on},
};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Serialize, de::DeserializeOwned};
use tokio::{sync::OwnedSemaphorePermit, time::timeout};
use utoipa::{IntoParams, ToSchema};

use super::{
    access::{Caller, Need, Pass, admit},
    counters::Turned,
    endpoints::endpoints,
    following,
    openapi::{Documented, Shape, parameters},
    shared::Shared,
};
use crate::{
    node::{Node, Who},
    page,
    wire::{Check, EventsQuery, Kind, Problem, Refused},
};

const JSON: &str = "application/json";
const PROBLEM: &str = "application/problem+json";

/// A request that was let in.
#[derive(Clone)]
pub(super) struct Admitted {
    pub(super) caller: Caller,
    /// It stays taken until the node has answered, even where nobody waits any more.
    pub(super) permit: Arc<OwnedSemaphorePermit>,
}

/// Arguments of a node's method.
pub(super) struct Asked {
    pass: Pass,
    uri: Uri,
    body: Bytes,
    json: bool,
}

/// Answer to a request.
pub(super) struct Answer {
    pub(super) content_type: &'static str,
    pub(super) bytes: Vec<u8>,
}

type Whole = Arc<dyn Fn(&Shared, &Asked) -> Result<Answer, Refused> + Send + Sync>;

/// What answers.
enum Run {
    /// A method of the node, on a thread that may wait.
    Whole(Whole),
    /// The feed, for as long as the connection may last.
    Events,
}

/// A path with a method.
pub(super) struct Endpoint {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) need: Need,
    pub(super) documented: Documented,
    /// Bytes of its body and how long the node may take, where the server's limits are too tight.
    needs: Option<(usize, Duration)>,
    run: Run,
}

impl Endpoint {
    /// Text for a monitoring system.
    pub(super) fn monitor(
        path: &'static str,
        summary: &'static str,
        content_type: &'static str,
        run: fn(&Shared) -> Result<String, Refused>,
    ) -> Self {
        let text = move |shared: &Shared, _: &Asked| {
            run(shared).map(|text| Answer { content_type, bytes: text.into_bytes() })
        };
        let documented = Documented { content_type, ..Documented::new(summary) };
        Self::new(Method::GET, path, Need::Monitor, documented, Run::Whole(Arc::new(text)))
    }

    /// A document about the interface itself.
    pub(super) fn about(
        path: &'static str,
        summary: &'static str,
        run: fn() -> serde_json::Value,
    ) -> Self {
        let documented = Documented { content_type: JSON, ..Documented::new(summary) };
        let document = move |_: &Shared, _: &Asked| json(&run());
        Self::new(Method::GET, path, Need::Read, documented, Run::Whole(Arc::new(document)))
    }

    /// A view of the node, as a query asks for it.
    pub(super) fn read<Q, A>(
        path: &'static str,
        summary: &'static str,
        run: fn(&dyn Node, &Q) -> Result<A, Refused>,
    ) -> Self
    where
        Q: DeserializeOwned + IntoParams + Check + 'static,
        A: Serialize + ToSchema + 'static,
    {
        let documented = Documented {
            parameters: parameters::<Q>(),
            answer: Some(Shape::of::<A>()),
            content_type: JSON,
            ..Documented::new(summary)
        };
        let view =
            move |shared: &Shared, asked: &Asked| json(&run(&*shared.node, &asked.query::<Q>()?)?);
        Self::new(Method::GET, path, Need::Read, documented, Run::Whole(Arc::new(view)))
    }

    /// A change to the node, as a body of JSON asks for it.
    pub(super) fn change<B, A>(
        method: Method,
        path: &'static str,
        summary: &'static str,
        run: fn(&Shared, &Who, &B) -> Result<A, Refused>,
    ) -> Self
    where
        B: DeserializeOwned + ToSchema + Check + 'static,
        A: Serialize + ToSchema + 'static,
    {
        let documented = Documented {
            body: Some(Shape::of::<B>()),
            answer: Some(Shape::of::<A>()),
            content_type: JSON,
            ..Documented::new(summary)
        };
        let change = move |shared: &Shared, asked: &Asked| {
            let body = asked.body::<B>()?;
            json(&run(shared, &asked.pass.who()?, &body)?)
        };
        Self::new(method, path, Need::Write, documented, Run::Whole(Arc::new(change)))
    }

    /// The end of something that a query names.
    pub(super) fn delete<Q, A>(
        path: &'static str,
        summary: &'static str,
        run: fn(&Shared, &Who, &Q) -> Result<A, Refused>,
    ) -> Self
    where
        Q: DeserializeOwned + IntoParams + Check + 'static,
        A: Serialize + ToSchema + 'static,
    {
        let documented = Documented {
            parameters: parameters::<Q>(),
            answer: Some(Shape::of::<A>()),
            content_type: JSON,
            ..Documented::new(summary)
        };
        let change = move |shared: &Shared, asked: &Asked| {
            let query = asked.query::<Q>()?;
            json(&run(shared, &asked.pass.who()?, &query)?)
        };
        Self::new(Method::DELETE, path, Need::Write, documented, Run::Whole(Arc::new(change)))
    }

    /// Events of the node, as they come.
    pub(super) fn events(path: &'static str, summary: &'static str) -> Self {
        let documented = Documented {
            parameters: parameters::<EventsQuery>(),
            content_type: following::CONTENT_TYPE,
            ..Documented::new(summary)
        };
        Self::new(Method::GET, path, Need::Read, documented, Run::Events)
    }

    fn new(
        method: Method,
        path: &'static str,
        need: Need,
        documented: Documented,
        run: Run,
    ) -> Self {
        Self { method, path, need, documented, needs: None, run }
    }

    /// Takes bodies of so many bytes, and gives the node so much time.
    pub(super) fn with_needs(self, bytes: usize, time: Duration) -> Self {
        Self { needs: Some((bytes, time)), ..self }
    }
}

impl Asked {
    fn query<Q: DeserializeOwned + Check>(&self) -> Result<Q, Refused> {
        let Query(query) = Query::<Q>::try_from_uri(&self.uri)
            .map_err(|rejection| Refused::invalid(rejection.body_text()))?;
        query.check()?;
        Ok(query)
    }

    fn body<B: DeserializeOwned + Check>(&self) -> Result<B, Refused> {
        // A request whose fields are all optional may be empty.
        let bytes = if self.body.is_empty() { &b"{}"[..] } else { &self.body[..] };
        if !self.body.is_empty() && !self.json {
            return Err(Refused::invalid("the header `Content-Type` must be application/json"));
        }
        let Json(body) = Json::<B>::from_bytes(bytes)
            .map_err(|rejection| Refused::invalid(rejection.body_text()))?;
        body.check()?;
        Ok(body)
    }
}

/// All endpoints, and problems for what is none.
pub(super) fn router(shared: &Arc<Shared>) -> Router {
    let mut router = Router::new();
    for endpoint in endpoints() {
        let Ok(filter) = MethodFilter::try_from(endpoint.method.clone()) else { continue };
        let endpoint = Arc::new(endpoint);
        let path = endpoint.path;
        let handle =
            move |State(shared): State<Arc<Shared>>,
                  Extension(admitted): Extension<Admitted>,
                  request: Request| respond(shared, endpoint, admitted, request);
        router = router.route(path, on(filter, handle));
    }
    for (path, content_type, text) in page::FILES {
        // To anybody: it shows nothing that it was not told.
        router = router.route(path, get(async move || page::answer(content_type, text)));
    }
    router
        .method_not_allowed_fallback(|method: Method, uri: Uri| async move {
            let text =
                format!("`{}` takes no {method}; /openapi.json lists what there is", uri.path());
            problem(Refused::new(Kind::MethodNotAllowed, text), None)
        })
        .fallback(|uri: Uri| async move {
            let text = format!("there is no `{}`; /openapi.json lists what there is", uri.path());
            problem(Refused::not_found(text), None)
        })
        .with_state(Arc::clone(shared))
}

async fn respond(
    shared: Arc<Shared>,
    endpoint: Arc<Endpoint>,
    admitted: Admitted,
    request: Request,
) -> Response {
    match attempt(&shared, endpoint, admitted, request).await {
        Ok(response) => response,
        Err(refused) => {
            match refused.kind {
                Kind::Unauthorized => shared.counters.turn_away(Turned::Unauthorized),
                Kind::Forbidden => shared.counters.turn_away(Turned::Forbidden),
                Kind::TooSlow => shared.counters.turn_away(Turned::Slow),
                Kind::TooLarge => shared.counters.turn_away(Turned::Large),
                _ => {}
            }
            problem(refused, None)
        }
    }
}

async fn attempt(
    shared: &Arc<Shared>,
    endpoint: Arc<Endpoint>,
    admitted: Admitted,
    request: Request,
) -> Result<Response, Refused> {
    let (head, body) = request.into_parts();
    let pass = admit(
        admitted.caller,
        endpoint.need,
        bearer(&head.headers)?,
        shared.remote.as_ref(),
        shared.own_uid,
    )?;
    if let Pass::Token { address, .. } = &pass {
        shared.node.heard_from(address.ip());
    }
    let limits = shared.limits;
    let (body_bytes, node_time) =
        endpoint.needs.unwrap_or((limits.body_bytes, limits.request_time));
    let body = timeout(limits.request_time, read(body, body_bytes)).await.map_err(|_| {
        let most = limits.request_time;
        Refused::new(Kind::TooSlow, format!("the body took longer than {most:?}"))
    })??;
    let asked = Asked { pass, uri: head.uri, json: is_json(&head.headers), body };
    let run = match &endpoint.run {
        Run::Whole(run) => Arc::clone(run),
        Run::Events => return following::answer(shared, asked.query()?, &head.headers),
    };
    let shared = Arc::clone(shared);
    let answered = tokio::task::spawn_blocking(move || {
        let _permit = admitted.permit;
        run(&shared, &asked)
    });
    match timeout(node_time, answered).await {
        Ok(Ok(result)) => {
            result.map(|answer| with_type(StatusCode::OK, answer.content_type, answer.bytes))
        }
        Ok(Err(_)) => Err(Refused::internal("the node panicked; its log says more")),
        Err(_) => Err(Refused::unavailable(format!(
            "the node took longer than {node_time:?}; a change may be done all the same, so look \
             before you ask again"
        ))),
    }
}

/// The token that a request presents.
pub(crate) fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Refused> {
    let Some(value) = headers.get(AUTHORIZATION) else { return Ok(None) };
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    token.map(Some).ok_or_else(|| {
        Refused::new(Kind::Unauthorized, "the header `Authorization` must be `Bearer weir_…`")
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let value = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    value
        .and_then(|value| value.split(';').next())
        .is_some_and(|kind| kind.trim().eq_ignore_ascii_case(JSON))
}

async fn read(body: Body, most: usize) -> Result<Bytes, Refused> {
    match Limited::new(body, most).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => {
            Err(Refused::new(Kind::TooLarge, format!("the body must be at most {most} bytes")))
        }
        Err(error) => Err(Refused::invalid(format!("the body broke off: {error}"))),
    }
}

fn json(value: &impl Serialize) -> Result<Answer, Refused> {
    serde_json::to_vec(value)
        .map(|bytes| Answer { content_type: JSON, bytes })
        .map_err(|error| Refused::internal(format!("the answer cannot be written: {error}")))
}

/// A refusal as an answer.
pub(crate) fn problem(refused: Refused, retry_after_s: Option<u64>) -> Response {
    let kind = refused.kind;
    let bytes = serde_json::to_vec(&Problem::from(refused)).unwrap_or_default();
    let status = StatusCode::from_u16(kind.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = with_type(status, PROBLEM, bytes);
    if kind == Kind::Unauthorized {
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    if let Some(seconds) = retry_after_s.filter(|&seconds| seconds > 0) {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn with_type(status: StatusCode, content_type: &'static str, bytes: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
