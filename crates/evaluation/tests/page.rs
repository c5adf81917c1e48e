//! The three forms of a report, of made-up detectors on made-up rows.

mod made_up;

use evaluation::Report;
use made_up::{HOSTILE, report};

#[test]
fn the_page_needs_nothing_from_anywhere() {
    let page = report(&["forest", "eif", "autoencoder", "hbos", "ecod"], 20_000).to_html();
    for forbidden in ["<script", "src=", "@import", "url(", "<link", "<iframe"] {
        assert!(!page.contains(forbidden), "{forbidden}");
    }
    let addresses = page.matches("http").count();
    let allowed = page.matches("http://www.w3.org/2000/svg").count()
        + page.matches("http-equiv=\"Content-Security-Policy\"").count();
    assert_eq!(addresses, allowed, "only the name of SVG's namespace");
    assert!(page.len() < 2_000_000, "{} bytes", page.len());
}

#[test]
fn hostile_names_stay_text() {
    let page = report(&[HOSTILE], 2_000).to_html();
    assert!(!page.contains(HOSTILE));
    assert!(!page.contains("<img"));
    assert!(page.contains("&lt;img src&#61;x onerror") || page.contains("&lt;img src=x onerror"));
    let text = report(&[HOSTILE], 2_000).to_text();
    assert!(!text.contains('\u{1b}'), "no escape sequence reaches the terminal");
}

#[test]
fn every_drawing_says_what_it_shows() {
    let page = report(&["forest"], 2_000).to_html();
    let (drawings, told) = (page.matches("<svg").count(), page.matches("role=\"img\"").count());
    assert_eq!((drawings, told), (7, 7));
    assert!(page.contains("lang=\"en\"") && page.contains("color-scheme"));
}

#[test]
fn the_same_rows_give_the_same_bytes() {
    let (one, other) = (report(&["forest"], 3_000), report(&["forest"], 3_000));
    assert_eq!(one.to_html(), other.to_html());
    assert_eq!(one.to_json(), other.to_json());
    assert_eq!(one.to_text(), other.to_text());
}

#[test]
fn json_comes_back_as_it_went() {
    let report = report(&["forest", "ecod"], 3_000);
    let again: Report = serde_json::from_str(&report.to_json()).unwrap();
    assert!(again == report);
    assert!(report.to_json().starts_with("{\n  \"format\": 1,\n  \"title\""));
}

#[test]
fn the_headline_says_what_is_caught_at_what_price() {
    let report = report(&["forest"], 20_000);
    let headline = report.headline(&report.evaluations[0]);
    assert!(headline.starts_with("At one false alarm in 1,000 benign peer-windows"), "{headline}");
}

#[test]
fn too_few_benign_rows_are_said_everywhere() {
    let report = report(&["forest"], 60);
    let headline = report.headline(&report.evaluations[0]);
    assert!(headline.contains("too few to measure even 1 false alarm in 100"), "{headline}");
    assert!(report.to_text().contains("– (needs 1,000)"), "{}", report.to_text());
    assert!(report.to_html().contains("needs 1,000 benign"));
}

/// Writes the page of `WEIR_REPORT_PAGE`, to be looked at.
#[test]
fn a_page_to_look_at() {
    let Some(path) = std::env::var_os("WEIR_REPORT_PAGE") else { return };
    let names = ["isolation forest", "extended isolation forest", "autoencoder", "HBOS", "ECOD"];
    let several = std::env::var_os("WEIR_REPORT_SEVERAL").is_some();
    let report = report(if several { &names } else { &names[..1] }, 40_000);
    std::fs::write(&path, report.to_html()).unwrap();
    println!("{}", report.to_text());
}
