//! The API over a service: parse, authorize, act, answer.

use super::action::{self, RequestedAction};
use super::answer::{self, Answer};
use super::headers::{self, Preferences};
use super::message::{ACTION_BYTES_MAX, BODY_BYTES_MAX, Response};
use super::options::{ApiOptions, RepeatDetection};
use super::problem::Problem;
use super::route::Route;
use super::{context, draft, query, update, webhook};
use crate::auth::{Auth, Caller, PresentedCredentials};
use crate::error::BoxError;
use crate::invocation;
use crate::payment::{Nonce, Payment, PaymentKey, ProjectKey, Timestamp, TransactionId};
use crate::ports::{Clock, Connector, CreateError, Name, Store, Webhooks};
use crate::secret::Secret;
use crate::service::{Change, Invocation, Request as ServiceRequest, Service};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::{HeaderMap, StatusCode};
use lambda_http::{Request, RequestExt};
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::Poll;
use std::time::Duration;
use tower_service::Service as TowerService;
use uuid::{ContextV7, Uuid};

/// The API over a service.
#[derive(Debug)]
pub struct Api<S, C, K> {
    service: Service<S, C, K>,
    auth: Auth,
    options: ApiOptions,
}

impl<S: Store, C: Connector + Webhooks, K: Clock> Api<S, C, K> {
    /// An API over `service`.
    pub fn new(service: Service<S, C, K>, auth: Auth, options: ApiOptions) -> Self {
        Self { service, auth, options }
    }

    /// Opens the connections that authorizing the first request needs, within `time`.
    pub async fn open_connections(&self, time: Duration) {
        self.auth.open_connections(self.service.now(), time).await;
    }

    /// The service of this API.
    pub fn service(&self) -> &Service<S, C, K> {
        &self.service
    }

    /// Answers a request. A panic is answered with 500, and the process goes on.
    async fn handle(&self, request: Request) -> Response {
        let correlation_id = headers::correlation_id(request.headers());
        let answered = AssertUnwindSafe(self.answer(&request, &correlation_id)).catch_unwind();
        let answer = answered.await.unwrap_or_else(|_| {
            tracing::error!(correlation_id, "an invocation panicked");
            Problem::general().into()
        });
        answer.into_response(&correlation_id)
    }

    async fn answer(&self, request: &Request, correlation_id: &str) -> Answer {
        let answer = match self.handle_route(request, correlation_id).await {
            Ok(answer) => answer,
            Err(problem) => problem.into(),
        };
        answer.log(correlation_id);
        answer
    }

    async fn handle_route(
        &self,
        request: &Request,
        correlation_id: &str,
    ) -> Result<Answer, Problem> {
        let stage = request.request_context_ref().and_then(context::stage);
        let route = Route::of(request.method(), request.raw_http_path(), stage)?;
        let deadline = self.deadline(request);
        if let Route::Webhook(project, connector) = &route {
            return webhook::take(&self.service, project, connector, request, deadline).await;
        }
        let bearer = headers::bearer(request.headers())?;
        let caller = self.authorize(&route, request, bearer.as_ref(), deadline).await?;
        match route {
            Route::Act(key) => self.act(key, request, bearer, deadline, correlation_id).await,
            Route::Get(key) => self.get(key).await,
            Route::Find(project, key) => self.find(project, &key).await,
            Route::Query(project) => self.query(project, request).await,
            Route::Create(project) => self.create(project, request).await,
            Route::Update(key) => self.update(key, request, caller).await,
            Route::Webhook(..) => Err(Problem::no_such_path()),
        }
    }

    /// The end of the invocation. Without a Lambda context that is now.
    fn deadline(&self, request: &Request) -> Timestamp {
        let now = self.service.now();
        let context = request.lambda_context_ref();
        context.map_or(now, |context| invocation::deadline(context, now))
    }

    async fn authorize(
        &self,
        route: &Route,
        request: &Request,
        bearer: Option<&Secret>,
        deadline: Timestamp,
    ) -> Result<Caller, Problem> {
        let now = self.service.now();
        let time = Duration::from_millis(deadline.ms_since(now));
        let verified = request.request_context_ref().and_then(context::caller);
        let presented = PresentedCredentials { verified: verified.as_ref(), bearer };
        Ok(self.auth.authorize(presented, route.scopes(), route.project(), now, time).await?)
    }

    async fn act(
        &self,
        key: PaymentKey,
        request: &Request,
        bearer: Option<Secret>,
        deadline: Timestamp,
        correlation_id: &str,
    ) -> Result<Answer, Problem> {
        let body = json_body(request, ACTION_BYTES_MAX)?;
        let preferences = Preferences::read(request.headers());
        let idempotency_key = headers::idempotency_key(request.headers());
        let requested = action::read(body, idempotency_key.as_ref().err())?;
        let transaction = match idempotency_key {
            Ok(Some(idempotency_key)) => idempotency_key.transaction_of(&key),
            Ok(None) | Err(_) => self.transaction_without_key(&key, &requested, request.headers()),
        };
        let request = ServiceRequest {
            key: key.clone(),
            transaction: transaction.clone(),
            action: requested.action,
            merchant_reference: requested.merchant_reference,
            invocation: Invocation {
                nonce: Nonce::new(Uuid::new_v4().as_u128()),
                deadline,
                correlation_id: correlation_id.to_owned(),
                bearer,
            },
        };
        // Boxed, because the future is large and would be moved several times.
        let acted = Box::pin(self.service.act(request)).await;
        let form = preferences.form.unwrap_or(self.options.response);
        Ok(answer::to_action(acted, form, &key, &transaction).applied(preferences.form))
    }

    fn transaction_without_key(
        &self,
        key: &PaymentKey,
        requested: &RequestedAction,
        headers: &HeaderMap,
    ) -> TransactionId {
        let repeats = match self.options.repeat_detection {
            RepeatDetection::Key => None,
            RepeatDetection::CorrelationId => headers::given_correlation_id(headers),
        };
        match repeats {
            Some(correlation_id) => headers::transaction_of_repeat(key, correlation_id, requested),
            None => headers::time_ordered(self.service.now(), &ContextV7::new()),
        }
    }

    async fn get(&self, key: PaymentKey) -> Result<Answer, Problem> {
        match self.service.get(&key).await.map_err(Problem::from)? {
            Some(payment) => Ok(Answer::payment(StatusCode::OK, &payment)),
            None => Err(Problem::not_found(&key)),
        }
    }

    async fn find(&self, project: ProjectKey, key: &str) -> Result<Answer, Problem> {
        let name = Name::Key(key.to_owned());
        match self.service.find(&project, &name).await.map_err(Problem::from)? {
            Some(payment) => Ok(Answer::payment(StatusCode::OK, &payment)),
            None => Err(Problem::no_such_key(key)),
        }
    }

    async fn query(&self, project: ProjectKey, request: &Request) -> Result<Answer, Problem> {
        let name = query::read(request.query_string_parameters_ref())?;
        let found = self.service.find(&project, &name).await.map_err(Problem::from)?;
        Ok(Answer::page(found.as_ref()))
    }

    async fn create(&self, project: ProjectKey, request: &Request) -> Result<Answer, Problem> {
        let now = self.service.now();
        let registration = draft::read(json_body(request, BODY_BYTES_MAX)?, project, now)?;
        let payment = Payment::register(registration, now).map_err(Problem::from)?;
        match self.service.create(&payment).await {
            Ok(()) => Ok(Answer::payment(StatusCode::CREATED, &payment)),
            Err(CreateError::Exists) => Err(Problem::duplicate_id(&payment.key.id)),
            Err(CreateError::KeyTaken) => {
                Err(Problem::duplicate_key(payment.details.key.as_deref().unwrap_or_default()))
            }
            Err(CreateError::Store(error)) => Err(error.into()),
        }
    }

    async fn update(
        &self,
        key: PaymentKey,
        request: &Request,
        caller: Caller,
    ) -> Result<Answer, Problem> {
        let body = json_body(request, BODY_BYTES_MAX)?;
        let update::RequestedUpdate { version, updates } = update::read(body, self.service.now())?;
        let change = Change { key: key.clone(), version, updates, by: caller.subject };
        match self.service.update(change).await {
            Ok(payment) => Ok(Answer::payment(StatusCode::OK, &payment)),
            Err(error) => Err(answer::to_update(error, &key, version)),
        }
    }
}

impl<'a, S, C, K> TowerService<Request> for &'a Api<S, C, K>
where
    S: Store,
    C: Connector + Webhooks,
    K: Clock,
{
    type Response = Response;
    type Error = Infallible;
    type Future = BoxFuture<'a, Result<Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut std::task::Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let api = *self;
        Box::pin(async move { Ok(api.handle(request).await) })
    }
}

/// The answer to a request if the function could not read all of its settings. Nothing
/// was sent, and the next request tries again.
pub fn not_started(error: BoxError) -> Response {
    let correlation_id = headers::correlation_id(&HeaderMap::new());
    let answer = Answer::from(Problem::unavailable().because(error));
    answer.log(&correlation_id);
    answer.into_response(&correlation_id)
}

/// The body of a request. Checks its size, then its content type, then its encoding.
fn json_body(request: &Request, bytes_max: usize) -> Result<&str, Problem> {
    let body = request.body();
    if body.len() > bytes_max {
        return Err(Problem::too_large(bytes_max));
    }
    if !headers::is_json(request.headers()) {
        return Err(Problem::unsupported_media_type());
    }
    std::str::from_utf8(body).map_err(|error| Problem::invalid_json(&error.to_string()))
}
