//! Bodies that come too slowly are given up, whatever reads them.

use std::{
    cell::Cell,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    HttpMessage as _, ResponseError as _,
    body::{EitherBody, MessageBody},
    dev::{Payload, ServiceRequest, ServiceResponse},
    error::PayloadError,
    http::StatusCode,
    middleware::Next,
    rt::time::{Instant, Sleep, sleep},
    web::{Bytes, Data},
};
use futures::Stream;

use crate::Problem;

/// How fast a body has to come, and an answer to be taken in; app data of the service.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Longest wait for the next bytes.
    pub idle: Duration,
    /// Time in all that is waited at any rate.
    pub grace: Duration,
    /// Bytes that have to come in every second after that, on average.
    pub rate: u64,
}

impl Pace {
    /// How long the next bytes are waited for after `bytes` came, for which was waited already.
    fn next(&self, bytes: u64, waited: Duration) -> Duration {
        self.idle.min(self.earned(bytes).saturating_sub(waited))
    }

    /// How long may have been waited in all once `bytes` have passed.
    pub(crate) fn earned(&self, bytes: u64) -> Duration {
        self.grace + Duration::from_millis(bytes.saturating_mul(1_000) / self.rate.max(1))
    }
}

struct Paced {
    body: Payload,
    pace: Pace,
    bytes: u64,
    waited: Duration,
    /// Since when is waited, and until when. The time that a handler takes is not the client's.
    wait: Option<(Instant, Pin<Box<Sleep>>)>,
    late: Rc<Cell<bool>>,
}

impl Stream for Paced {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Poll::Ready(item) = Pin::new(&mut self.body).poll_next(cx) {
            if let Some((since, _)) = self.wait.take() {
                self.waited += since.elapsed();
            }
            if let Some(Ok(bytes)) = &item {
                self.bytes += bytes.len() as u64;
            }
            return Poll::Ready(item);
        }
        let next = self.pace.next(self.bytes, self.waited);
        let (_, end) = self.wait.get_or_insert_with(|| (Instant::now(), Box::pin(sleep(next))));
        if end.as_mut().poll(cx).is_pending() {
            return Poll::Pending;
        }
        self.late.set(true);
        Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
    }
}

/// Middleware: answers 408 to a body that stalls or trickles.
///
/// # Errors
/// Those of the service behind it.
pub async fn keep_pace<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let late = Rc::new(Cell::new(false));
    if let Some(pace) = request.app_data::<Data<Pace>>().map(|pace| *pace.get_ref()) {
        let body = request.take_payload();
        if matches!(body, Payload::None) {
            request.set_payload(body);
        } else {
            let (wait, late) = (None, Rc::clone(&late));
            let paced = Paced { body, pace, bytes: 0, waited: Duration::ZERO, wait, late };
            request.set_payload(Payload::Stream { payload: Box::pin(paced) });
        }
    }
    let answer = next.call(request).await?;
    if !late.get() {
        return Ok(answer.map_into_left_body());
    }
    let problem = Problem::new(
        StatusCode::REQUEST_TIMEOUT,
        "body_stalled",
        "the body came too slowly and was given up; nothing of it was kept, send it again",
    );
    let mut refusal = problem.error_response();
    refusal.head_mut().set_connection_type(actix_web::http::ConnectionType::Close);
    Ok(answer.into_response(refusal).map_into_right_body())
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpStream,
        time::Duration,
    };

    use actix_web::{App, HttpServer, middleware::from_fn, web};

    use super::{Pace, keep_pace};

    #[test]
    fn a_body_is_waited_for_as_long_as_its_rate_earns() {
        let seconds = Duration::from_secs;
        let pace = Pace { idle: seconds(30), grace: seconds(10), rate: 10_000 };

        assert_eq!(pace.next(0, Duration::ZERO), seconds(10));
        assert_eq!(pace.next(9, seconds(9)), seconds(1));
        assert_eq!(pace.next(100_000, seconds(15)), seconds(5));
        assert_eq!(pace.next(10_000_000, seconds(15)), seconds(30));
        assert_eq!(pace.next(5, seconds(11)), Duration::ZERO);
    }

    #[actix_web::test]
    async fn a_body_that_stalls_is_answered_and_the_connection_closed() {
        let pace = Pace { idle: Duration::from_secs(30), grace: Duration::from_millis(50), rate: 10_000 };
        let server = HttpServer::new(move || {
            App::new()
                .app_data(web::Data::new(pace))
                .wrap(from_fn(keep_pace))
                .route("/", web::post().to(|body: web::Bytes| async move { body.len().to_string() }))
        })
        .workers(1)
        .bind("127.0.0.1:0")
        .unwrap();
        let address = server.addrs()[0];
        actix_web::rt::spawn(server.run());
        let ask = |body: &'static str, told: usize| {
            actix_web::rt::task::spawn_blocking(move || {
                let mut client = TcpStream::connect(address).unwrap();
                let head = format!(
                    "POST / HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {told}\r\n\r\n"
                );
                // In one piece: a thread that is held up between two would stall as well.
                client.write_all(format!("{head}{body}").as_bytes()).unwrap();
                let mut answer = String::new();
                client.read_to_string(&mut answer).unwrap();
                answer
            })
        };

        let stalled = ask("{", 100).await.unwrap();
        let whole = ask("whole", 5).await.unwrap();

        assert!(stalled.starts_with("HTTP/1.1 408") && stalled.contains("body_stalled"), "{stalled}");
        assert!(whole.starts_with("HTTP/1.1 200") && whole.ends_with('5'), "{whole}");
    }
}
