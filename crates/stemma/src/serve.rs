//! The HTTP server: routes, telemetry, a worker inside, a clean end.

use std::{
    fmt::Write as _,
    io::{IsTerminal as _, Write as _},
    time::{Duration, Instant},
};

use actix_web::{
    App, HttpRequest, HttpServer,
    body::MessageBody,
    dev::{ServiceRequest, ServiceResponse},
    http::Method,
    middleware::{Compress, Next, from_fn},
    web,
};
use domain::Class;
use http::Gate;
use jobs::Registry;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use tokio::{sync::watch, task::JoinHandle};

use crate::{
    config::{Config, LogFormat},
    connections,
    exit::Failure,
    site::Site,
};

/// Who runs the jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    Inside,
    Elsewhere,
}

/// Seconds that requests under way get when the process is asked to stop.
const LAST_SECONDS: u64 = 10;

/// Starts the log on stderr, filtered and written as the configuration says.
pub fn start_log(config: &Config) {
    let filter = tracing_subscriber::EnvFilter::new(&config.log);
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = match config.log_format {
        LogFormat::Text => log.with_ansi(std::io::stderr().is_terminal()).try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).try_init(),
    };
}

/// Serves until SIGINT or SIGTERM; prints the address on stdout.
///
/// # Errors
/// When the address cannot be bound.
pub async fn run(registry: Registry, config: &Config, work: Work) -> Result<(), Failure> {
    start_log(config);
    let devices = registry.devices.clone();
    tokio::task::spawn_blocking(move || tell_device(&devices));
    let recorder = PrometheusBuilder::new().build_recorder();
    let handle = recorder.handle();
    let _ = metrics::set_global_recorder(recorder);
    // What has not happened yet is told too.
    metrics::counter!(store::INGESTED_BYTES).increment(0);
    let (stop, stopped) = watch::channel(false);
    let leaving = web::Data::new(api::Leaving(stopped.clone()));
    let mut worker =
        (work == Work::Inside).then(|| tokio::spawn(jobs::run_worker(registry.clone(), stopped)));

    let (forests, catalogue) = (registry.forests.clone(), registry.catalogue.clone());
    tokio::spawn(async move { forests.current().await.map(drop) });
    tokio::spawn(async move { catalogue.current().await.map(drop) });
    let limits = registry.limits;
    let site = web::Data::from(Site::shared(registry.clone()));
    let doors = http::Doors { reads: config.reads, writes: config.writes };
    let gate = web::Data::new(Gate { store: registry.store.clone(), doors });
    let data = web::Data::new(registry);
    let public = config.public_url.as_deref().and_then(|url| http::PublicUrl::parse(url).ok());
    let public = public.map(web::Data::new);
    let pace = web::Data::new(http::Pace {
        idle: Duration::from_secs(limits.upload_idle_seconds),
        grace: Duration::from_secs(limits.body_grace_seconds),
        rate: limits.body_rate,
    });
    let rates = web::Data::new(http::Rates::new(&limits));
    connections::open_all_files();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let metrics_handle = web::Data::new(handle);
    let server = HttpServer::new(move || {
        App::new()
            .app_data(data.clone())
            .app_data(site.clone())
            .app_data(gate.clone())
            .app_data(metrics_handle.clone())
            .app_data(leaving.clone())
            .app_data(web::PayloadConfig::new(limits.body_bytes))
            .app_data(pace.clone())
            .app_data(rates.clone())
            .configure(|cfg| {
                if let Some(url) = &public {
                    cfg.app_data(url.clone());
                }
            })
            // From the inside out: the last one sees a request first.
            .wrap(from_fn(http::keep_pace))
            .wrap(from_fn(http::tag_answers))
            .wrap(from_fn(http::compress_pages))
            .wrap(Compress::default())
            .wrap(from_fn(http::answer_head))
            .wrap(from_fn(http::limit_rates))
            .wrap(from_fn(http::authorise))
            .wrap(from_fn(http::limit_caches))
            .wrap(from_fn(http::refuse_cross_site))
            .wrap(from_fn(measured))
            .wrap(from_fn(http::identify))
            .wrap(from_fn(http::hurry_readers))
            .route("/metrics", web::get().to(metrics_text))
            .configure(::web::configure_docs)
            .configure(|cfg| api::configure(cfg, &limits, doors))
            .configure(::web::configure)
    })
    // An answer in two pieces would wait for the client's delayed acknowledgement of the first, 40 ms.
    .tcp_nodelay(true)
    .on_connect(move |socket, _| connections::give_up_after(limits.answer_idle_seconds, socket))
    .workers(threads)
    .max_connections(connections::of_each_thread(limits.connections, threads))
    .client_request_timeout(Duration::from_secs(domain::FIXED.head_seconds))
    .shutdown_timeout(LAST_SECONDS)
    .disable_signals()
    .bind(&config.listen)
    .map_err(|error| {
        let class = match error.kind() {
            std::io::ErrorKind::InvalidInput => Class::Invalid,
            _ => Class::Unavailable,
        };
        Failure::new("listen", class, format!("cannot listen on {}: {error}", config.listen))
    })?;
    for address in server.addrs() {
        let _ = writeln!(std::io::stdout().lock(), "listening on http://{address}");
    }
    let _ = std::io::stdout().flush();
    let server = server.run();
    let handle = server.handle();
    let serving =
        async { server.await.map_err(|error| Failure::new("serve", Class::Internal, error.to_string())) };
    let ending = async {
        let ended = work_until(until_signalled(), worker.as_mut()).await;
        // First those that would otherwise hold the server up: followers of jobs, and the worker.
        let _ = stop.send(true);
        handle.stop(true).await;
        Ok(ended)
    };
    // In this order, so that whoever is answered already may ask the process to stop.
    let (ended, ()) = tokio::try_join!(ending, serving)?;
    ended?;
    match worker {
        Some(worker) => worker.await.map_err(|error| broken(&error)),
        None => Ok(()),
    }
}

/// Waits until the process is asked to stop, by `told`, while its worker works.
///
/// # Errors
/// When the worker ends before: what it was to do would wait for ever.
pub async fn work_until(
    told: impl Future<Output = ()>,
    worker: Option<&mut JoinHandle<()>>,
) -> Result<(), Failure> {
    let Some(worker) = worker else {
        told.await;
        return Ok(());
    };
    tokio::select! {
        () = told => Ok(()),
        ended = worker => Err(match ended {
            Ok(()) => broken(&"it stopped without being asked to"),
            Err(error) => broken(&error),
        }),
    }
}

/// A worker that broke down.
pub fn broken(why: &dyn std::fmt::Display) -> Failure {
    Failure::new("worker", Class::Internal, format!("the worker broke down: {why}"))
}

/// Returns when the process is asked to stop.
pub async fn until_signalled() {
    let term = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate());
    let Ok(mut term) = term else {
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = term.recv() => {}
    }
}

/// Totals are of what the asker may see: those of everything are for an administrator's token. They are no gauges of
/// the process, which everybody who asks shares.
async fn metrics_text(
    request: HttpRequest,
    handle: web::Data<PrometheusHandle>,
    registry: web::Data<Registry>,
) -> http::Result<String> {
    let viewer = http::viewer(&request).await?;
    let mut text = handle.render();
    let store = registry.store.seen_by(viewer);
    if let Ok(counts) = store.count_models().await {
        let totals = [
            ("models", counts.models),
            ("ghosts", counts.ghosts),
            ("edges", counts.edges),
            ("models_with_weights", counts.with_weights),
            ("jobs_queued", counts.jobs_queued),
        ];
        for (name, value) in totals {
            let _ = write!(text, "# TYPE stemma_{name} gauge\nstemma_{name} {value}\n\n");
        }
    }
    if let Ok(work) = store.count_work().await {
        text.push_str("# TYPE stemma_jobs gauge\n");
        for (state, count) in work.states {
            let _ = writeln!(text, "stemma_jobs{{state=\"{state}\"}} {count}");
        }
        let name = "stemma_jobs_oldest_queued_seconds";
        let _ = write!(text, "\n# TYPE {name} gauge\n{name} {}\n\n", work.oldest_queued_seconds);
    }
    if let Some(free) = store.free_bytes() {
        let name = "stemma_blob_store_free_bytes";
        let _ = write!(text, "# TYPE {name} gauge\n{name} {free}\n\n");
    }
    Ok(text)
}

/// The method as a label; a client must not be able to invent labels.
fn method_label(method: &Method) -> &'static str {
    let known = [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
    ];
    let words = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.iter().zip(words).find(|(known, _)| *known == method).map_or("other", |(_, word)| word)
}

/// Counts and times every request under its route template, never its raw path.
async fn measured(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let started = Instant::now();
    let method = method_label(request.method());
    let response = next.call(request).await?;
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let status = response.status().as_u16().to_string();
    metrics::counter!("stemma_http_requests_total", "route" => route.clone(), "method" => method, "status" => status)
        .increment(1);
    metrics::histogram!("stemma_http_request_seconds", "route" => route)
        .record(started.elapsed().as_secs_f64());
    Ok(response)
}

/// Looks for a device and logs what was found.
pub fn tell_device(devices: &jobs::Devices) {
    let device = devices.present();
    tracing::info!(device = device.used, "computes on {device}");
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use actix_web::http::Method;

    use super::{method_label, work_until};

    #[tokio::test]
    async fn a_worker_that_breaks_down_ends_the_process_with_a_failure() {
        let mut worker = tokio::spawn(async { panic!("out of luck") });

        let ended = work_until(pending(), Some(&mut worker)).await.unwrap_err();

        assert_eq!(ended.code, "worker");
        assert!(ended.message.contains("out of luck"), "{}", ended.message);
    }

    #[tokio::test]
    async fn a_process_that_is_asked_to_stop_ends_without_one() {
        let mut worker = tokio::spawn(pending());

        let ended = work_until(ready(()), Some(&mut worker)).await;

        assert!(ended.is_ok() && !worker.is_finished());
        assert!(work_until(ready(()), None).await.is_ok());
    }

    #[test]
    fn an_invented_method_is_counted_as_other() {
        assert_eq!(method_label(&Method::HEAD), "HEAD");
        assert_eq!(method_label(&Method::from_bytes(b"X7F3A").unwrap()), "other");
    }
}
