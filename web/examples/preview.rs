//! Serves the pages with made-up data, to look at them: `cargo run -p stemma-web --example preview`.

#[path = "../tests/all/fake/mod.rs"]
#[allow(dead_code)]
mod fake;

use std::sync::Arc;

use actix_web::{App, HttpServer, web::Data};

#[actix_web::main]
async fn main() -> std::io::Result<()> {
    let source: Arc<dyn web::Source> = Arc::new(fake::Fake { mark: String::new() });
    let source = Data::from(source);
    HttpServer::new(move || App::new().app_data(source.clone()).configure(web::configure))
        .workers(1)
        .bind(("127.0.0.1", 8099))?
        .run()
        .await
}
