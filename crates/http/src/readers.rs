//! Answers that are taken in too slowly are broken off, as bodies are that come too slowly.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use actix_web::{
    body::{BodySize, BoxBody, MessageBody},
    dev::{ServiceRequest, ServiceResponse},
    middleware::Next,
    rt::time::Instant,
    web::{Bytes, Data},
};

use crate::Pace;

/// A stream that ends in an error where its reader is too slow.
struct Sent {
    body: BoxBody,
    pace: Pace,
    bytes: u64,
    waited: Duration,
    /// When bytes were handed over that the reader has yet to take in. The time that a handler takes is not the reader's.
    handed: Option<Instant>,
}

impl MessageBody for Sent {
    type Error = Box<dyn std::error::Error>;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Self::Error>>> {
        if let Some(since) = self.handed.take() {
            self.waited += since.elapsed();
        }
        if self.waited > self.pace.earned(self.bytes) {
            return Poll::Ready(Some(Err(io::Error::from(io::ErrorKind::TimedOut).into())));
        }
        let item = Pin::new(&mut self.body).poll_next(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &item {
            self.bytes += bytes.len() as u64;
            self.handed = Some(Instant::now());
        }
        item
    }
}

/// Middleware: breaks off an answer that is taken in more slowly than the pace of the service.
///
/// # Errors
/// Those of the service behind it.
pub async fn hurry_readers<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let pace = request.app_data::<Data<Pace>>().map(|pace| *pace.get_ref());
    let answer = next.call(request).await?.map_into_boxed_body();
    let Some(pace) = pace else { return Ok(answer) };
    Ok(answer.map_body(|_, body| match body.try_into_bytes() {
        // What is whole in memory is handed over at once.
        Ok(bytes) => BoxBody::new(bytes),
        Err(body) => BoxBody::new(Sent { body, pace, bytes: 0, waited: Duration::ZERO, handed: None }),
    }))
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use actix_web::{App, HttpResponse, HttpServer, middleware::from_fn, web};

    use super::*;

    const PART: usize = 1 << 20;
    const PARTS: usize = 16;

    /// Bytes of a stream that a client gets which reads as fast as it can.
    async fn got(rate: u64) -> usize {
        let pace = Data::new(Pace { idle: Duration::from_secs(60), grace: Duration::ZERO, rate });
        let streamed = || async {
            let parts = (0..PARTS).map(|_| Ok::<_, actix_web::Error>(Bytes::from_static(&[0; PART])));
            HttpResponse::Ok().streaming(futures::stream::iter(parts))
        };
        let server = HttpServer::new(move || {
            let app = App::new().app_data(pace.clone()).wrap(from_fn(hurry_readers));
            app.route("/", web::get().to(streamed))
        });
        let server = server.workers(1).bind("127.0.0.1:0").unwrap();
        let address = server.addrs()[0];
        let running = server.run();
        let handle = running.handle();
        actix_web::rt::spawn(running);
        let read = web::block(move || {
            let mut stream = std::net::TcpStream::connect(address).unwrap();
            stream.write_all(b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n").unwrap();
            let mut bytes = Vec::new();
            // A connection that is broken off may end in an error.
            let _ = stream.read_to_end(&mut bytes);
            bytes.len()
        });
        let read = read.await.unwrap();
        handle.stop(false).await;
        read
    }

    #[actix_web::test]
    async fn a_stream_is_broken_off_where_its_reader_falls_behind() {
        assert!(got(u64::MAX).await < PART * PARTS, "nobody reads at that rate");
        assert!(got(1).await > PART * PARTS);
    }
}
