//! What a browser would trip over, without a browser.

use super::*;

fn text(path: &str) -> String {
    String::from_utf8_lossy(&Files::get(path).unwrap().data).into_owned()
}

fn own(ending: &'static str) -> impl Iterator<Item = (String, String)> {
    let own = move |path: &String| path.ends_with(ending) && !path.starts_with("vendor/");
    Files::iter().map(|path| path.to_string()).filter(own).map(|path| (path.clone(), text(&path)))
}

/// What stands between `before` and the next quote.
fn quoted<'a>(text: &'a str, before: &'a str, quote: char) -> impl Iterator<Item = &'a str> {
    text.split(before).skip(1).filter_map(move |rest| rest.split(quote).next())
}

#[test]
fn the_page_is_at_the_root_under_its_policy() {
    let response = file("/", None).unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()[header::CONTENT_TYPE], "text/html; charset=utf-8");
    assert_eq!(response.headers()[header::CONTENT_SECURITY_POLICY], POLICY);
}

#[test]
fn a_browser_that_has_the_file_is_told_so() {
    let first = file("/main.js", None).unwrap();
    let second = file("/main.js", Some(&first.headers()[header::ETAG])).unwrap();
    assert_eq!(second.status(), StatusCode::NOT_MODIFIED);
}

#[test]
fn a_path_that_is_no_file_is_left_to_the_router() {
    for path in ["/nothing.js", "/../mod.rs", "//etc/passwd", "/vendor", ""] {
        assert!(file(path, None).is_none(), "{path}");
    }
}

#[test]
fn every_file_that_the_page_names_is_there() {
    let page = text("index.html");
    let names = quoted(&page, "href=\"", '"').chain(quoted(&page, "src=\"", '"'));
    // The API's own paths, and places in the page.
    let files = names.filter(|name| !name.starts_with('#') && !["openapi.json", "metrics"].contains(name));
    let missing: Vec<_> = files.filter(|name| Files::get(name).is_none()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn every_module_that_is_imported_is_there() {
    for (path, script) in own(".js") {
        let folder = path.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/"));
        for name in quoted(&script, "from '", '\'') {
            let target =
                format!("{folder}{}", name.strip_prefix("./").unwrap_or(name)).replace("view/../", "");
            assert!(Files::get(&target).is_some(), "{path} imports {name}");
        }
    }
}

#[test]
fn nothing_in_the_page_needs_a_weaker_policy() {
    for (path, page) in own(".html") {
        for inline in ["<style", " style=", " onclick=", " onload=", "http://", "https://"] {
            assert!(!page.contains(inline), "{path} has {inline}");
        }
        assert_eq!(page.matches("<script").count(), page.matches("<script src=").count(), "{path}");
    }
}

#[test]
fn no_script_writes_markup() {
    for (path, script) in own(".js") {
        for sink in
            ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "new Function"]
        {
            assert!(!script.contains(sink), "{path} has {sink}");
        }
    }
}
