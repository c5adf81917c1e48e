//! Reader of as much Rust as shows which names of a crate a file uses.
//!
//! Read are tokens, `mod`, `use` and the paths in everything else. Types are not inferred: a
//! method called on a value names no file, and neither does what a macro puts together.

/// A module as its text has it; the tokens below `#[cfg(test)]` are left out.
#[derive(Debug, Default)]
pub(crate) struct Scope {
    /// Modules declared in it: the name, and the text of one that stands in the same file.
    pub(crate) modules: Vec<(String, Option<Scope>)>,
    /// Names that `use` brings in.
    pub(crate) uses: Vec<Use>,
    /// Items defined at the module's own level.
    pub(crate) items: Vec<String>,
    /// Paths of more than one part, outside `use`.
    pub(crate) paths: Vec<Vec<String>>,
}

/// Leaf of a use-tree.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Use {
    pub(crate) path: Vec<String>,
    /// The name by which the module knows it; `None` for `*`.
    pub(crate) name: Option<String>,
}

/// Reads the text of a file.
pub(crate) fn scope(text: &str) -> Scope {
    let mut tokens = tokens(text);
    leave_out_tests(&mut tokens);
    Parser { tokens: &tokens, at: 0 }.scope()
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A word, a keyword or not.
    Word(String),
    /// `::`.
    Separator,
    /// Any other character, and a literal as `"`.
    Sign(char),
}

impl Token {
    fn is(&self, sign: char) -> bool {
        *self == Self::Sign(sign)
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self, Self::Word(found) if found == word)
    }
}

fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            block_comment(rest)
        } else if let Some(length) = string(rest) {
            tokens.push(Token::Sign('"'));
            length
        } else if first == '\'' {
            quote(rest)
        } else if first.is_alphanumeric() || first == '_' {
            let length = word(rest);
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else if rest.starts_with("::") {
            tokens.push(Token::Separator);
            2
        } else {
            if !first.is_whitespace() {
                tokens.push(Token::Sign(first));
            }
            first.len_utf8()
        };
        rest = &rest[length..];
    }
    tokens
}

fn word(text: &str) -> usize {
    text.find(|next: char| !next.is_alphanumeric() && next != '_').unwrap_or(text.len())
}

fn block_comment(text: &str) -> usize {
    let mut depth = 0;
    let mut at = 0;
    while at < text.len() {
        if text[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += text[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

/// The length of the string literal that the text begins with, of whatever kind.
fn string(text: &str) -> Option<usize> {
    let prefix = text.find(|next: char| !next.is_ascii_lowercase())?;
    if !["", "b", "c", "r", "br", "cr"].contains(&&text[..prefix]) {
        return None;
    }
    let body = &text[prefix..];
    if text[..prefix].ends_with('r') {
        let hashes = body.len() - body.trim_start_matches('#').len();
        let end = format!("\"{}", "#".repeat(hashes));
        let inner = body[hashes..].strip_prefix('"')?;
        return Some(prefix + hashes + 1 + inner.find(&end)? + end.len());
    }
    body.starts_with('"').then(|| prefix + 1 + until(&body[1..], '"'))
}

/// The length up to and with the first `end` that no backslash precedes.
fn until(text: &str, end: char) -> usize {
    let mut escaped = false;
    for (at, next) in text.char_indices() {
        if !escaped && next == end {
            return at + 1;
        }
        escaped = !escaped && next == '\\';
    }
    text.len()
}

/// The length of a character literal, or of a lifetime's quote.
fn quote(text: &str) -> usize {
    let mut inner = text.chars().skip(1);
    match (inner.next(), inner.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => 1 + until(&text[1..], '\''),
        _ => 1,
    }
}

/// Takes out each item that `#[cfg(test)]` or `#[cfg(all(test, …))]` stands before.
fn leave_out_tests(tokens: &mut Vec<Token>) {
    let mut kept = Vec::with_capacity(tokens.len());
    let mut at = 0;
    while at < tokens.len() {
        if is_test_attribute(&tokens[at..]) {
            at = end_of_item(tokens, at);
        } else {
            kept.push(tokens[at].clone());
            at += 1;
        }
    }
    *tokens = kept;
}

fn is_test_attribute(tokens: &[Token]) -> bool {
    let starts = |words: &[&str]| {
        words.iter().enumerate().all(|(place, word)| match tokens.get(place) {
            Some(Token::Word(found)) => found == word,
            Some(Token::Sign(sign)) => word.starts_with(*sign),
            _ => false,
        })
    };
    starts(&["#", "[", "cfg", "(", "test", ")"])
        || starts(&["#", "[", "cfg", "(", "all", "(", "test"])
}

/// The place behind an item and its attributes, of which the first is at `at`.
fn end_of_item(tokens: &[Token], mut at: usize) -> usize {
    while tokens.get(at).is_some_and(|token| token.is('#')) {
        at = end_of_group(tokens, at + 1);
    }
    let is_statement = tokens[at..]
        .iter()
        .take(3)
        .any(|token| ["use", "const", "static", "type"].iter().any(|word| token.is_word(word)));
    while let Some(token) = tokens.get(at) {
        match token {
            Token::Sign(';') => return at + 1,
            Token::Sign('{') if !is_statement => return end_of_group(tokens, at),
            Token::Sign('{' | '(' | '[') => at = end_of_group(tokens, at),
            Token::Sign('}') => return at,
            _ => at += 1,
        }
    }
    at
}

/// The place behind the bracket that closes the one at `at`.
fn end_of_group(tokens: &[Token], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while let Some(token) = tokens.get(at) {
        at += 1;
        match token {
            Token::Sign('{' | '(' | '[') => depth += 1,
            Token::Sign('}' | ')' | ']') => {
                depth -= 1;
                if depth == 0 {
                    break;
                }
            }
            _ => {}
        }
    }
    at
}

struct Parser<'a> {
    tokens: &'a [Token],
    at: usize,
}

impl Parser<'_> {
    /// A module's text up to the brace that closes it, which is read too.
    fn scope(&mut self) -> Scope {
        let mut scope = Scope::default();
        let mut depth = 0_usize;
        while let Some(token) = self.next() {
            match token {
                Token::Sign('{') => depth += 1,
                Token::Sign('}') if depth == 0 => break,
                Token::Sign('}') => depth -= 1,
                Token::Word(word) => self.word(&word, depth == 0, &mut scope),
                // A path from outside: `::std::…`.
                Token::Separator => drop(self.path()),
                Token::Sign(_) => {}
            }
        }
        scope
    }

    fn word(&mut self, word: &str, at_own_level: bool, scope: &mut Scope) {
        match word {
            // The scope of `pub(in crate::net)` is no use of the name.
            "pub" if self.peek().is_some_and(|token| token.is('(')) => {
                self.at = end_of_group(self.tokens, self.at);
            }
            "use" => {
                self.use_tree(&[], &mut scope.uses);
            }
            "mod" => {
                let Some(name) = self.name() else { return };
                let inline = self.take('{').then(|| self.scope());
                scope.modules.push((name, inline));
            }
            "fn" | "struct" | "enum" | "union" | "trait" | "type" | "const" | "static"
                if at_own_level =>
            {
                if matches!(self.peek(), Some(token) if token.is_word("mut") || token.is_word("unsafe"))
                {
                    self.at += 1;
                }
                // `const fn` comes here again with its second word.
                if let Some(Token::Word(name)) = self.peek().cloned()
                    && name != "fn"
                {
                    self.at += 1;
                    scope.items.push(name);
                }
            }
            "macro_rules" if self.take('!') => scope.items.extend(self.name()),
            first => {
                let path = self.path_from(first);
                if path.len() > 1 {
                    scope.paths.push(path);
                }
            }
        }
    }

    /// The leaves of a use-tree below `before`.
    fn use_tree(&mut self, before: &[String], uses: &mut Vec<Use>) {
        let from_outside = self.peek() == Some(&Token::Separator);
        let mut path = before.to_vec();
        loop {
            match self.next() {
                Some(Token::Separator) => {}
                Some(Token::Word(word)) => {
                    path.push(word);
                    if self.peek() != Some(&Token::Separator) {
                        break;
                    }
                }
                Some(Token::Sign('{')) => {
                    while !self.take('}') && self.peek().is_some() {
                        self.use_tree(&path, uses);
                        self.take(',');
                    }
                    return;
                }
                Some(Token::Sign('*')) => {
                    uses.push(Use { path, name: None });
                    return;
                }
                // `use` of precise capturing: `impl Trait + use<'_>`.
                _ => return,
            }
        }
        if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
            path.pop();
        }
        let mut name = path.last().cloned();
        if self.peek().is_some_and(|token| token.is_word("as")) {
            self.at += 1;
            name = self.name();
        }
        if !from_outside {
            uses.push(Use { path, name });
        }
    }

    fn path(&mut self) -> Vec<String> {
        self.name().map_or_else(Vec::new, |first| self.path_from(&first))
    }

    fn path_from(&mut self, first: &str) -> Vec<String> {
        let mut path = vec![first.to_owned()];
        while let [Token::Separator, Token::Word(next), ..] = &self.tokens[self.at..] {
            path.push(next.clone());
            self.at += 2;
        }
        path
    }

    fn name(&mut self) -> Option<String> {
        let Some(Token::Word(name)) = self.peek().cloned() else { return None };
        self.at += 1;
        Some(name)
    }

    fn take(&mut self, sign: char) -> bool {
        let is_there = self.peek().is_some_and(|token| token.is(sign));
        self.at += usize::from(is_there);
        is_there
    }

    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn next(&mut self) -> Option<Token> {
        let token = self.peek().cloned();
        self.at += 1;
        token
    }
}
