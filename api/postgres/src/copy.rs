//! The form in which COPY writes rows.

use bytes::Bytes;
use pgwire::api::results::{CopyCsvOptions, CopyEncoder, CopyTextOptions, FieldInfo};
use std::sync::Arc;

use crate::split::Word;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Csv,
    Binary,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Form {
    kind: Kind,
    header: bool,
    delimiter: Option<String>,
    null: Option<String>,
    quote: Option<String>,
    escape: Option<String>,
}

impl Form {
    /// `[WITH] (FORMAT csv, HEADER, ...)`, and the older `[WITH] CSV HEADER ...`.
    pub fn parse(words: &[Word]) -> Result<Self, String> {
        let mut form = Self { kind: Kind::Text, header: false, delimiter: None, null: None, quote: None, escape: None };
        let skipped = |word: &&Word| !word.quoted && matches!(word.text.as_str(), "with" | "(" | ")" | "," | "as");
        let mut words = words.iter().filter(|word| !skipped(word)).peekable();
        while let Some(word) = words.next() {
            let name = word.text.as_str();
            let mut value = || words.next().map(|word| word.text.clone()).ok_or_else(|| format!("{name} has no value"));
            match name {
                "format" => form.kind = Self::kind(&value()?)?,
                "csv" | "binary" | "text" => form.kind = Self::kind(name)?,
                "delimiter" => form.delimiter = Some(one_byte(name, value()?)?),
                "quote" => form.quote = Some(one_byte(name, value()?)?),
                "escape" => form.escape = Some(one_byte(name, value()?)?),
                "null" => form.null = Some(value()?),
                "encoding" => {
                    let value = value()?;
                    if !value.to_ascii_lowercase().replace('-', "").eq("utf8") {
                        return Err(format!("encoding {value} is not offered: UTF8 is"));
                    }
                }
                "header" => {
                    let off = |word: &&Word| matches!(word.text.as_str(), "true" | "false" | "on" | "off" | "1" | "0");
                    let said = words.next_if(|word| off(word)).map(|word| word.text.as_str());
                    form.header = !matches!(said, Some("false" | "off" | "0"));
                }
                other => return Err(format!("COPY has no option {other} here")),
            }
        }
        Ok(form)
    }

    fn kind(name: &str) -> Result<Kind, String> {
        match name.to_ascii_lowercase().as_str() {
            "csv" => Ok(Kind::Csv),
            "text" => Ok(Kind::Text),
            "binary" => Ok(Kind::Binary),
            other => Err(format!("COPY has no format {other}: csv, text or binary")),
        }
    }

    pub fn is_binary(&self) -> bool {
        self.kind == Kind::Binary
    }

    pub fn encoder(&self, fields: Arc<Vec<FieldInfo>>) -> CopyEncoder {
        match self.kind {
            Kind::Binary => CopyEncoder::new_binary(fields),
            Kind::Text => {
                let mut options = CopyTextOptions::default();
                put(&self.delimiter, &mut options.delimiter);
                put(&self.null, &mut options.null_string);
                CopyEncoder::new_text(fields, options)
            }
            Kind::Csv => {
                let mut options = CopyCsvOptions::default();
                put(&self.delimiter, &mut options.delimiter);
                put(&self.null, &mut options.null_string);
                put(&self.quote, &mut options.quote);
                put(&self.escape, &mut options.escape);
                CopyEncoder::new_csv(fields, options)
            }
        }
    }

    /// The line with the columns' names, if it is wanted.
    pub fn header(&self, fields: &[FieldInfo]) -> Option<Bytes> {
        if !self.header || self.kind == Kind::Binary {
            return None;
        }
        let default = if self.kind == Kind::Csv { "," } else { "\t" };
        let (delimiter, quote) = (self.delimiter.as_deref().unwrap_or(default), self.quote.as_deref().unwrap_or("\""));
        let name = |field: &FieldInfo| {
            let name = field.name();
            let plain = self.kind == Kind::Text || !name.contains([',', '"', '\n', '\r']);
            if plain { name.to_owned() } else { format!("{quote}{}{quote}", name.replace(quote, &quote.repeat(2))) }
        };
        let names: Vec<String> = fields.iter().map(name).collect();
        Some(Bytes::from(format!("{}\n", names.join(delimiter))))
    }
}

fn put<T: From<String>>(given: &Option<String>, to: &mut T) {
    if let Some(given) = given {
        *to = T::from(given.clone());
    }
}

fn one_byte(name: &str, value: String) -> Result<String, String> {
    // E'\t' comes as it is written.
    let value = if value == "\\t" { "\t".to_owned() } else { value };
    if value.len() == 1 { Ok(value) } else { Err(format!("{name} is one character of one byte")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::split::split;

    fn of(options: &str) -> Result<Form, String> {
        Form::parse(&split(&format!("x {options}"))[0].words[1..])
    }

    #[test]
    fn both_ways_to_write_options_mean_the_same() {
        assert_eq!(of("WITH (FORMAT csv, HEADER, DELIMITER ';')"), of("csv header delimiter as ';'"));
        assert_eq!(of("with (header false, format csv)"), of("csv"));
        assert!(of("(format binary)").unwrap().is_binary());
        assert!(of("(format parquet)").is_err() && of("(delimiter '::')").is_err() && of("(freeze)").is_err());
    }
}
