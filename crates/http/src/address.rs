//! Where this service is reached, for the addresses it tells.

use actix_web::{HttpRequest, web};

/// The address that is configured, `scheme://host[:port]`; app data of the service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl(String);

impl PublicUrl {
    /// Reads a scheme and a host, without a path.
    ///
    /// # Errors
    /// What would be right.
    pub fn parse(text: &str) -> Result<Self, String> {
        let url = text.trim().trim_end_matches('/');
        let host = ["http://", "https://"].iter().find_map(|scheme| url.strip_prefix(scheme));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        match host {
            Some(host) if !host.is_empty() && host.chars().all(plain) => Ok(Self(url.to_owned())),
            _ => Err(format!(
                "`{text}` is no address; expected http:// or https:// and a host, such as https://models.example"
            )),
        }
    }
}

/// Scheme and host of this service: as configured, else as the request says.
pub fn address(request: &HttpRequest) -> String {
    if let Some(PublicUrl(url)) = request.app_data::<web::Data<PublicUrl>>().map(|url| url.get_ref()) {
        return url.clone();
    }
    let info = request.connection_info();
    format!("{}://{}", info.scheme(), info.host())
}

#[cfg(test)]
mod tests {
    use actix_web::{test::TestRequest, web};

    use super::{PublicUrl, address};

    #[test]
    fn a_configured_address_counts_more_than_a_header() {
        let request = || TestRequest::get().insert_header(("host", "evil.example"));
        let url = PublicUrl::parse("https://models.example/").unwrap();

        assert_eq!(address(&request().to_http_request()), "http://evil.example");
        let told = address(&request().app_data(web::Data::new(url)).to_http_request());
        assert_eq!(told, "https://models.example");
    }

    #[test]
    fn an_address_is_a_scheme_and_a_host() {
        for bad in ["", "models.example", "ftp://a", "https://", "https://a/b", "https://a\"b", "http://a b"]
        {
            assert!(PublicUrl::parse(bad).is_err(), "{bad}");
        }
        assert!(PublicUrl::parse("http://[::1]:8080").is_ok());
    }
}
