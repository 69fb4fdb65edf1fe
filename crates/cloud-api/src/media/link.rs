//! Links that Meta can fetch: public, https, and the file itself rather than a page.

use std::net::IpAddr;

use url::{Host, Url};

/// Judges a link by its form; nothing is fetched.
///
/// # Errors
/// Why Meta could not fetch it. Repeats nothing of it.
pub fn check_link(link: &str) -> Result<(), &'static str> {
    if link.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("holds blanks: write %20");
    }
    let url = Url::parse(link).map_err(|_| "is not a web address")?;
    if url.scheme() != "https" {
        return Err("is not https");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a user name or password");
    }
    let private = match url.host() {
        None => true,
        Some(Host::Ipv4(ip)) => !is_public(IpAddr::V4(ip)),
        Some(Host::Ipv6(ip)) => !is_public(IpAddr::V6(ip)),
        Some(Host::Domain(name)) => is_local(name),
    };
    if private {
        return Err("names a private host that Meta cannot reach");
    }
    if is_page(&url) {
        return Err(
            "is a page that shows a file, not the file: use a direct link, or the file itself",
        );
    }
    Ok(())
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            !(ip.is_private()
                || ip.is_loopback()
                || ip.is_link_local()
                || ip.is_unspecified()
                || ip.is_broadcast()
                || ip.is_multicast()
                || ip.is_documentation()
                || shared
                || a == 0)
        }
        IpAddr::V6(ip) => {
            let mapped = ip.to_ipv4_mapped().map(IpAddr::V4);
            mapped.map_or_else(
                || {
                    !(ip.is_loopback()
                        || ip.is_unspecified()
                        || ip.is_unique_local()
                        || ip.is_unicast_link_local()
                        || ip.is_multicast())
                },
                is_public,
            )
        }
    }
}

fn is_local(name: &str) -> bool {
    const ENDS: &[&str] = &[
        ".local",
        ".localhost",
        ".internal",
        ".lan",
        ".home",
        ".corp",
        ".intranet",
        ".test",
        ".invalid",
        ".home.arpa",
    ];
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    name == "localhost" || !name.contains('.') || ENDS.iter().any(|end| name.ends_with(end))
}

/// Shares of well-known stores that answer with a page.
fn is_page(url: &Url) -> bool {
    let (host, path) = (url.host_str().unwrap_or(""), url.path());
    let asks = |key: &str, value: &str| url.query_pairs().any(|(k, v)| k == key && v == value);
    match host {
        "drive.google.com" => !path.starts_with("/uc") || !asks("export", "download"),
        "docs.google.com" => !path.contains("/export") && !path.starts_with("/uc"),
        "photos.google.com" | "photos.app.goo.gl" | "1drv.ms" | "onedrive.live.com" | "we.tl"
        | "icloud.com" | "www.icloud.com" => true,
        "www.dropbox.com" | "dropbox.com" => !(asks("dl", "1") || asks("raw", "1")),
        "github.com" => path.contains("/blob/"),
        _ => host.ends_with(".sharepoint.com") && !asks("download", "1"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_links_that_meta_can_fetch_pass() {
        for good in [
            "https://cdn.example.in/a.jpg",
            "https://example.in/a%20b.jpg?x=1",
            "https://drive.google.com/uc?export=download&id=1",
        ] {
            assert_eq!(check_link(good), Ok(()), "{good}");
        }
        for bad in [
            "http://example.in/a.jpg",
            "https://192.168.1.10/a.jpg",
            "https://[::1]/a.jpg",
            "https://localhost/a.jpg",
            "https://nas/a.jpg",
            "https://printer.local/a.jpg",
            "https://example.in/my promo (1).jpg",
            "https://drive.google.com/file/d/1AbC/view?usp=sharing",
            "https://www.dropbox.com/s/x/a.jpg?dl=0",
            "https://169.254.169.254/latest",
            "https://u:p@example.in/a.jpg",
            "ftp://example.in/a.jpg",
            "a.jpg",
            "",
            "https://[::ffff:10.0.0.1]/a.jpg",
            "https://0x7f.1/a.jpg",
        ] {
            assert!(check_link(bad).is_err(), "{bad}");
        }
    }
}
