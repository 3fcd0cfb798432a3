//! A text cut into its statements, and each into words: enough to know what is meant for the session itself.

use sqlparser::dialect::PostgreSqlDialect;
use sqlparser::tokenizer::{Location, Token, Tokenizer};

/// A word, literal or sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Names and literals without their quotes; what is not quoted is in lower case.
    pub text: String,
    pub quoted: bool,
    /// In bytes of the whole text.
    pub start: usize,
    pub end: usize,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece<'t> {
    pub sql: &'t str,
    pub words: Vec<Word>,
}

/// The statements of a text. One that cannot be cut is one statement without words, of which the worker says what is wrong.
pub fn split(text: &str) -> Vec<Piece<'_>> {
    let Ok(tokens) = Tokenizer::new(&PostgreSqlDialect {}, text).tokenize_with_location() else {
        return vec![Piece { sql: text, words: Vec::new() }];
    };
    let lines = Lines::of(text);
    let (mut pieces, mut words, mut from) = (Vec::new(), Vec::new(), 0);
    for token in &tokens {
        let (start, end) = (lines.byte(token.span.start), lines.byte(token.span.end));
        if token.token == Token::SemiColon {
            push(&mut pieces, &text[from..start], &mut words);
            from = end;
        } else if let Some((text, quoted)) = word(&token.token) {
            words.push(Word { text, quoted, start, end });
        }
    }
    push(&mut pieces, &text[from..], &mut words);
    pieces
}

fn push<'t>(pieces: &mut Vec<Piece<'t>>, sql: &'t str, words: &mut Vec<Word>) {
    if !words.is_empty() {
        pieces.push(Piece { sql, words: std::mem::take(words) });
    }
}

fn word(token: &Token) -> Option<(String, bool)> {
    Some(match token {
        Token::Whitespace(_) | Token::EOF => return None,
        Token::Word(word) if word.quote_style.is_none() => (word.value.to_ascii_lowercase(), false),
        Token::Word(word) => (word.value.clone(), true),
        Token::SingleQuotedString(text) | Token::EscapedStringLiteral(text) => (text.clone(), true),
        other => (other.to_string(), false),
    })
}

/// Where each line begins.
pub struct Lines<'t> {
    text: &'t str,
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub fn of(text: &'t str) -> Self {
        let after = text.match_indices('\n').map(|(at, _)| at + 1);
        Self { text, starts: std::iter::once(0).chain(after).collect() }
    }

    fn byte(&self, at: Location) -> usize {
        self.place(at.line, at.column)
    }

    /// The byte at which a line and column, both from 1, are.
    pub fn place(&self, line: u64, column: u64) -> usize {
        let index = usize::try_from(line).unwrap_or(usize::MAX).saturating_sub(1);
        let Some(start) = self.starts.get(index).copied() else { return self.text.len() };
        let skipped = usize::try_from(column).unwrap_or(usize::MAX).saturating_sub(1);
        self.text[start..].char_indices().nth(skipped).map_or(self.text.len(), |(at, _)| start + at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_cut_at_their_semicolons_only() {
        let text = "select ';' -- no; \n, \"a;b\" ; \n set Time Zone 'Asia/Tokyo';;select 障 from t";
        let pieces = split(text);
        let sql: Vec<&str> = pieces.iter().map(|piece| piece.sql.trim()).collect();
        assert_eq!(sql, ["select ';' -- no; \n, \"a;b\"", "set Time Zone 'Asia/Tokyo'", "select 障 from t"]);
        let words: Vec<&str> = pieces[1].words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words, ["set", "time", "zone", "Asia/Tokyo"]);
        let last = &pieces[2].words[2];
        assert_eq!(&text[last.start..last.end], "from");
    }

    #[test]
    fn what_cannot_be_cut_stays_whole_and_nothing_is_no_statement() {
        assert_eq!(split("select 'open"), [Piece { sql: "select 'open", words: Vec::new() }]);
        assert_eq!(split(" ; ;\n-- nothing\n"), []);
    }
}
