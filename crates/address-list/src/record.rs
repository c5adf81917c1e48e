//! Records of a CSV file: RFC 4180, one on a line.

use std::borrow::Cow;

use crate::LineError;

/// The fields of a record. Blanks around a field do not count.
pub(crate) fn fields(line: &str, separator: char) -> Result<Vec<Cow<'_, str>>, LineError> {
    let mut fields = Vec::new();
    let mut rest = line;
    loop {
        let quoted = rest.trim_start_matches(' ').strip_prefix('"');
        let (field, behind) = if let Some(quoted) = quoted {
            unquoted(quoted)?
        } else {
            let end = rest.find(separator).unwrap_or(rest.len());
            (Cow::Borrowed(rest[..end].trim()), &rest[end..])
        };
        fields.push(field);
        let behind = behind.trim_start_matches(' ');
        if behind.is_empty() {
            return Ok(fields);
        }
        rest = behind.strip_prefix(separator).ok_or(LineError::AfterQuote)?;
    }
}

/// A field up to its closing quote, and what is behind that.
fn unquoted(quoted: &str) -> Result<(Cow<'_, str>, &str), LineError> {
    let mut field = Cow::Borrowed("");
    let mut rest = quoted;
    loop {
        let end = rest.find('"').ok_or(LineError::OpenQuote)?;
        if field.is_empty() {
            field = Cow::Borrowed(&rest[..end]);
        } else {
            field.to_mut().push_str(&rest[..end]);
        }
        let behind = &rest[end + 1..];
        match behind.strip_prefix('"') {
            // Two quotes within quotes are one.
            Some(more) => {
                field.to_mut().push('"');
                rest = more;
            }
            None => return Ok((field, behind)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_parted_by_the_separator_outside_quotes() {
        let check = |line, separator, expected: &[&str]| {
            assert_eq!(fields(line, separator).unwrap(), expected, "{line}");
        };
        check("a,b, c ", ',', &["a", "b", "c"]);
        check("", ',', &[""]);
        check("a,,", ',', &["a", "", ""]);
        check(r#""a,b", "c" ,d"#, ',', &["a,b", "c", "d"]);
        check(r#""say ""x""","""#, ',', &[r#"say "x""#, ""]);
        check(r#"x"y,z"#, ',', &[r#"x"y"#, "z"]);
        check("a,b\tc", '\t', &["a,b", "c"]);
    }

    #[test]
    fn a_quote_that_is_left_open_or_followed_by_text_is_an_error() {
        assert_eq!(fields(r#"a,"b"#, ','), Err(LineError::OpenQuote));
        assert_eq!(fields(r#""a"b,c"#, ','), Err(LineError::AfterQuote));
    }
}
