//! One statement, whichever protocol brought it.

use kizashi_engine::Parameters;
use pgwire::api::results::Tag;
use pgwire::error::{PgWireError, PgWireResult};
use pgwire::messages::response::TransactionStatus;

use crate::command::Command;
use crate::encode::Answer;
use crate::error::{error, told};
use crate::out::{Out, Wanted, copied, done, rows, shown, skip, tell, texts};
use crate::session::{Asked, Session, State};
use crate::settings::REPORTED;
use crate::split::Piece;

impl Session {
    pub fn fits(&self, text: &str) -> PgWireResult<()> {
        let most = self.door.sql.statement_bytes_max();
        if text.len() > most {
            let message = format!("the statement is {} bytes long; at most {most} are accepted", text.len());
            return Err(error("54000", message));
        }
        Ok(())
    }

    /// Runs one statement and says that it is done.
    pub async fn run<O: Out>(
        &self,
        out: &mut O,
        state: &mut State,
        text: &str,
        (piece, command): (&Piece<'_>, Command<'_>),
        parameters: Parameters,
        wanted: &Wanted<'_>,
    ) -> PgWireResult<()> {
        let failed = out.transaction_status() == TransactionStatus::Error;
        if !matches!(command, Command::Commit | Command::Rollback) {
            goes_on(out)?;
        }
        let tag = match command {
            Command::Query => {
                let mut answer = self.query(state, text, piece, parameters).await?;
                let (rows, _) = rows(out, &self.outgoing, &mut answer, wanted).await?;
                Tag::new(verb(piece)).with_rows(rows)
            }
            Command::Show(name) => {
                let (names, values) = shown(&state.settings, &name)?;
                texts(out, &names, &values, wanted).await?;
                Tag::new("SHOW")
            }
            Command::Set { name, value } => {
                let changed = state.settings.set(&name, value.as_deref());
                if changed.map_err(told)? {
                    tell(out, &state.settings, &name).await?;
                }
                Tag::new(if value.is_some() { "SET" } else { "RESET" })
            }
            Command::ResetAll => {
                state.settings.reset_all();
                for (name, _) in REPORTED {
                    tell(out, &state.settings, name).await?;
                }
                Tag::new("RESET")
            }
            Command::Begin(tag) => {
                out.set_transaction_status(TransactionStatus::Transaction);
                Tag::new(tag)
            }
            Command::Commit | Command::Rollback => {
                out.set_transaction_status(TransactionStatus::Idle);
                state.cursors.clear();
                state.open.clear();
                Tag::new(if failed || command == Command::Rollback { "ROLLBACK" } else { "COMMIT" })
            }
            Command::Taken(tag) => Tag::new(tag),
            Command::DiscardAll => {
                state.settings.reset_all();
                state.cursors.clear();
                forget(out, state, None)?;
                Tag::new("DISCARD ALL")
            }
            Command::Deallocate(name) => {
                forget(out, state, name.as_deref())?;
                Tag::new("DEALLOCATE")
            }
            Command::Declare { cursor, sql } => {
                if !state.cursors.contains_key(&cursor) && state.cursors.len() >= self.door.config.prepared_max {
                    return Err(error("53000", "too many cursors are open: close some"));
                }
                let answer = self.start(state, Asked { text, sql }, parameters).await?;
                state.cursors.insert(cursor, answer);
                Tag::new("DECLARE CURSOR")
            }
            Command::Fetch { cursor, rows: count, shown } => {
                let answer = cursor_of(state, &cursor)?;
                if count == Some(0) {
                    return done(out, Tag::new("FETCH").with_rows(0)).await;
                }
                if shown {
                    let wanted = Wanted { rows: count.unwrap_or(0), ..*wanted };
                    let (rows, _) = rows(out, &self.outgoing, answer, &wanted).await?;
                    Tag::new("FETCH").with_rows(rows)
                } else {
                    Tag::new("MOVE").with_rows(skip(answer, count.unwrap_or(usize::MAX)).await?)
                }
            }
            Command::Close(cursor) => {
                match cursor {
                    Some(name) => {
                        cursor_of(state, &name)?;
                        state.cursors.remove(&name);
                    }
                    None => state.cursors.clear(),
                }
                Tag::new("CLOSE CURSOR")
            }
            Command::Copy { sql, form } => {
                let mut answer = self.start(state, Asked { text, sql: &sql }, parameters).await?;
                Tag::new("COPY").with_rows(copied(out, &mut answer, &form).await?)
            }
        };
        done(out, tag).await
    }
}

/// Whether the transaction, if there is one, has not failed.
pub fn goes_on<O: Out>(out: &O) -> PgWireResult<()> {
    match out.transaction_status() {
        TransactionStatus::Error => Err(error("25P02", "the transaction has failed: nothing is done until ROLLBACK")),
        _ => Ok(()),
    }
}

/// Drops one prepared statement, or all.
fn forget<O: Out>(out: &O, state: &mut State, name: Option<&str>) -> PgWireResult<()> {
    match name {
        Some(name) if !state.prepared.remove(name) => {
            Err(error("26000", format!("prepared statement {name:?} does not exist")))
        }
        Some(name) => {
            out.forget(name);
            Ok(())
        }
        None => {
            std::mem::take(&mut state.prepared).iter().for_each(|name| out.forget(name));
            Ok(())
        }
    }
}

pub fn verb(piece: &Piece<'_>) -> &'static str {
    match piece.words.first().map(|word| word.text.as_str()) {
        Some("explain") => "EXPLAIN",
        Some("show") => "SHOW",
        _ => "SELECT",
    }
}

pub fn cursor_of<'s>(state: &'s mut State, name: &str) -> PgWireResult<&'s mut Answer> {
    state.cursors.get_mut(name).ok_or_else(|| no_cursor(name))
}

pub fn no_cursor(name: &str) -> PgWireError {
    error("34000", format!("cursor {name:?} does not exist"))
}
