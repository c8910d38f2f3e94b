//! What every page is made of: the document around its content, and its tables.

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

/// The style of every page: the only text that enters one without being escaped.
const STYLE: PreEscaped<&str> = PreEscaped(include_str!("style.css"));

/// A whole page around its content, as the text of a file.
pub(super) fn document(title: &str, content: Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (STYLE) }
            }
            body { main { (content) } }
        }
        "\n"
    };
    page.into_string()
}

/// A table that scrolls sideways where the window is narrower than it.
pub(super) fn table(heads: Markup, rows: Markup) -> Markup {
    html! {
        div.scroll {
            table {
                thead { tr { (heads) } }
                tbody { (rows) }
            }
        }
    }
}

/// Headings of columns that hold text.
pub(super) fn heads(names: &[&str]) -> Markup {
    html! { @for name in names { th { (name) } } }
}

/// Headings of columns that hold numbers.
pub(super) fn number_heads(names: &[&str]) -> Markup {
    html! { @for name in names { th.n { (name) } } }
}

/// Cells of text.
pub(super) fn texts<T: Render, const N: usize>(cells: [T; N]) -> Markup {
    html! { @for cell in cells { td { (cell) } } }
}

/// Cells of numbers, which stand at the right.
pub(super) fn numbers<T: Render, const N: usize>(cells: [T; N]) -> Markup {
    html! { @for cell in cells { td.n { (cell) } } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_in_names_is_text() {
        let page = document("a<b & \"c\"", html! { p title=("\"<i>\"") { ("</p>") } });
        assert!(page.contains("<title>a&lt;b &amp; &quot;c&quot;</title>"), "{page}");
        assert!(page.contains(r#"<p title="&quot;&lt;i&gt;&quot;">&lt;/p&gt;</p>"#), "{page}");
    }
}
