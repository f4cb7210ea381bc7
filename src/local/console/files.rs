//! The files of the page.

/// The path, the content type and the text of each file.
const FILES: [(&str, &str, &str); 8] = [
    ("/", "text/html; charset=utf-8", include_str!("index.html")),
    ("/console/style.css", "text/css; charset=utf-8", include_str!("style.css")),
    ("/console/icon.svg", "image/svg+xml", include_str!("icon.svg")),
    ("/console/main.js", SCRIPT, include_str!("main.js")),
    ("/console/dom.js", SCRIPT, include_str!("dom.js")),
    ("/console/money.js", SCRIPT, include_str!("money.js")),
    ("/console/payment.js", SCRIPT, include_str!("payment.js")),
    ("/console/wire.js", SCRIPT, include_str!("wire.js")),
];

const SCRIPT: &str = "text/javascript; charset=utf-8";

/// The content type and the text of a file.
pub(super) fn find(path: &str) -> Option<(&'static str, &'static str)> {
    let file = FILES.iter().find(|(known, ..)| *known == path);
    file.map(|(_, content_type, text)| (*content_type, *text))
}
