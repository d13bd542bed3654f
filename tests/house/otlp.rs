//! Traces, as a collector receives them.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::routing::post;
use domain::requests::{Register, Secret, Send};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;

use crate::api::{Answer, Api, new_key};
use crate::letopis::Folder;
use crate::people::Person;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";

/// Keeps what it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Bytes>>>);

impl Collector {
    async fn start() -> (Self, SocketAddr) {
        let collector = Self::default();
        let kept = collector.clone();
        let keep = async move |body: Bytes| kept.0.lock().expect("no panic").push(body);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let router = Router::new().route("/v1/traces", post(keep));
        tokio::spawn(async move { axum::serve(listener, router).await });
        (collector, address)
    }

    fn bodies(&self) -> Vec<Bytes> {
        self.0.lock().expect("no panic").clone()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        let decode = |body: &Bytes| ExportTraceServiceRequest::decode(&body[..]).expect("OTLP");
        self.bodies().iter().map(decode).collect()
    }

    fn spans(&self) -> Vec<Span> {
        let resources = self.requests().into_iter().flat_map(|it| it.resource_spans);
        resources.flat_map(|it| it.scope_spans).flat_map(|it| it.spans).collect()
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<Value> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    found.value.clone().and_then(|AnyValue { value }| value)
}

fn text(value: &str) -> Option<Value> {
    Some(Value::StringValue(value.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_a_span_of_its_callers_trace_and_says_nothing_personal() {
    let (collector, address) = Collector::start().await;
    let folder = Folder::new();
    // Nothing would leave by itself for an hour: what arrives was flushed by the stop.
    let settings = folder.settings().with(ENDPOINT, format!("http://{address}"));
    let letopis = settings.with("OTEL_BSP_SCHEDULE_DELAY", 3_600_000).start().await;
    let canaries = [
        ("email", "kanarejka.sled.83@letopis.example"),
        ("nickname", "канарейка_след"),
        ("name", "Имя Канарейки Следовое"),
        ("password", "canary's secret Пароль 4712"),
        ("text", "Canary text: meet at the new mill, полдень"),
        ("device", "CanaryBrowser/84.2 (Trace; Deep)"),
    ];
    let canary = |what: &str| canaries.iter().find(|it| it.0 == what).expect("one of them").1.to_owned();
    let api = Api::with_agent(&letopis, &canary("device"));
    let register = Register {
        email: canary("email"),
        password: Secret(canary("password")),
        nickname: canary("nickname"),
        name: Some(canary("name")),
    };
    let ann = Person::register_as(&api, register).await;
    let bob = Person::register(&api, "bob").await;
    ann.befriend(&api, &bob).await;
    let chat_id = ann.chat_with(&api, &bob).await;
    let send = Send::text(chat_id, canary("text"));
    let trace = "0af7651916cd43dd8448eb211c80319c";
    let request = ann.on(&api).request("POST", "/command/v1/send").json(&send);
    let request = request
        .header("Idempotency-Key", new_key().to_string())
        .header("traceparent", format!("00-{trace}-b7ad6b7169203331-01"));
    let answer = Answer::of(request).await.expect("it answers");
    assert_eq!((answer.status, answer.header("traceparent")), (200, ""), "{}", answer.text());
    ann.on(&api).get(&format!("/query/v1/chats/{chat_id}/messages?limit=x")).await.problem(400, "malformed");
    let said = letopis.stop().await;
    assert!(said.contains(&format!("traces go to the collector of {ENDPOINT}")), "{said}");

    let spans = collector.spans();
    let resources = collector.requests().into_iter().flat_map(|it| it.resource_spans);
    for resource in resources.filter_map(|it| it.resource) {
        assert_eq!(attribute(&resource.attributes, "service.name"), text("letopis"));
    }
    let sent = spans.iter().find(|span| span.name == "POST /command/v1/send").expect("the span of sending");
    assert_eq!(hex::encode(&sent.trace_id), trace);
    assert_eq!(hex::encode(&sent.parent_span_id), "b7ad6b7169203331");
    assert_eq!(sent.kind, SpanKind::Server as i32);
    assert!(sent.end_time_unix_nano > sent.start_time_unix_nano);
    for (key, value) in [
        ("http.request.method", text("POST")),
        ("http.route", text("/command/v1/send")),
        ("http.response.status_code", Some(Value::IntValue(200))),
        ("id", text(answer.header("x-request-id"))),
    ] {
        assert_eq!(attribute(&sent.attributes, key), value, "{key}");
    }
    let command = spans.iter().find(|span| span.parent_span_id == sent.span_id).expect("a span within it");
    assert_eq!((command.name.as_str(), &command.trace_id), ("command", &sent.trace_id));
    assert_eq!(attribute(&command.attributes, "operation"), text("send"));
    let refused = spans.iter().find(|span| span.name == "GET /query/v1/chats/{chat_id}/messages");
    let refused =
        refused.unwrap_or_else(|| panic!("{:?}", spans.iter().map(|it| &it.name).collect::<Vec<_>>()));
    assert_eq!(attribute(&refused.attributes, "http.response.status_code"), Some(Value::IntValue(400)));
    assert_ne!(refused.trace_id, sent.trace_id);

    let bodies = collector.bodies().concat();
    let holds = |needle: &str| bodies.windows(needle.len()).any(|window| window == needle.as_bytes());
    assert!(holds("/command/v1/send"), "the scan is not blind");
    let ids = [ann.id.to_string(), chat_id.to_string(), ann.session.to_string()];
    let secrets = [("person", &ids[0]), ("chat", &ids[1]), ("session", &ids[2]), ("token", &ann.access)];
    for (what, canary) in
        canaries.iter().map(|(what, it)| (*what, *it)).chain(secrets.map(|(what, it)| (what, &**it)))
    {
        assert!(!holds(canary), "the {what} was sent to the collector");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_collector_neither_slows_nor_stops_the_server() {
    // One takes connections and never answers; at the other's address nobody listens.
    let deaf = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let gone = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (deaf_at, gone_at) = (deaf.local_addr().expect("bound"), gone.local_addr().expect("bound"));
    drop(gone);
    for (address, is_gone) in [(deaf_at, false), (gone_at, true)] {
        let folder = Folder::new();
        let settings = folder.settings().with(ENDPOINT, format!("http://{address}"));
        // A queue that is full at once, and batches that always want to leave.
        let settings = settings.with("OTEL_BSP_SCHEDULE_DELAY", 1).with("OTEL_BSP_MAX_QUEUE_SIZE", 4);
        let letopis = settings.with("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 2).start().await;
        let api = Api::of(&letopis);
        let (ann, bob) = (Person::register(&api, "ann").await, Person::register(&api, "bob").await);
        ann.befriend(&api, &bob).await;
        let chat_id = ann.chat_with(&api, &bob).await;
        let numbers = futures::future::join_all((0..100).map(|_| ann.say(&api, chat_id, "hello"))).await;
        assert_eq!(numbers.len(), 100);
        // Ends with 0 and in time.
        let said = letopis.stop().await;
        let complaints = said.matches("the collector of traces is away").count();
        assert!(complaints <= 1 && (!is_gone || complaints == 1), "said {complaints} times:\n{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_cannot_be_spoken_to_is_refused_by_its_variable() {
    let folder = Folder::new();
    let said = folder.settings().with(ENDPOINT, "https://user:hush-hush@collector.example").refused().await;
    assert!(said.contains(ENDPOINT) && said.contains("http://127.0.0.1:4318"), "{said}");
    assert!(!said.contains("hush-hush"), "{said}");
    let settings = folder.settings().with(ENDPOINT, "http://127.0.0.1:4317");
    let said = settings.with("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc").refused().await;
    assert!(said.contains("OTEL_EXPORTER_OTLP_PROTOCOL") && said.contains("http/protobuf"), "{said}");
}
