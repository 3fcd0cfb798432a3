//! Who may do what: the table of `permissions.toml`, read once. A role or a word that the table does not know has nothing.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use kizashi_desk::{Owner, Role, TokenBearer};

macro_rules! permissions {
    ($($variant:ident = $text:literal),* $(,)?) => {
        /// What a route needs. The words are explained in `permissions.toml`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Permission {
            $($variant),*
        }

        impl Permission {
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),* }
            }
        }
    };
}
permissions! {
    StateRead = "state.read",
    TicketRead = "ticket.read",
    TicketWork = "ticket.work",
    SqlRun = "sql.run",
    Import = "import",
    RejectWork = "reject.work",
    MetricsRead = "metrics.read",
    PeopleManage = "people.manage",
    TokenOwn = "token.own",
    TokenManage = "token.manage",
    AccessRead = "access.read",
    ConfigRead = "config.read",
    ConfigWrite = "config.write",
}

impl Permission {
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|permission| permission.as_str() == name)
    }
}

/// A set of permissions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Permissions(u32);

impl Permissions {
    pub fn has(self, permission: Permission) -> bool {
        self.0 & (1 << permission as u32) != 0
    }

    /// Whether it has everything that `other` has.
    pub fn covers(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    pub fn names(self) -> Vec<&'static str> {
        Permission::ALL.iter().filter(|one| self.has(**one)).map(|one| one.as_str()).collect()
    }

    /// Those of the names that are permissions.
    pub fn named<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(Permission::from_name).collect()
    }

    /// What the table gives the role.
    pub fn of(role: Role) -> Self {
        TABLE.get(role.as_str()).map_or(Self::default(), |names| Self::named(names.iter().map(String::as_str)))
    }
}

impl FromIterator<Permission> for Permissions {
    fn from_iter<T: IntoIterator<Item = Permission>>(all: T) -> Self {
        Self(all.into_iter().fold(0, |set, one| set | 1 << one as u32))
    }
}

/// Empty, so that nobody may do anything, if the file does not parse; a test sees to it that it does.
static TABLE: LazyLock<BTreeMap<String, Vec<String>>> =
    LazyLock::new(|| toml::from_str(include_str!("permissions.toml")).unwrap_or_default());

/// Whether a token's bearer may run SQL: the role may, and the token's scopes have it.
#[must_use]
pub fn may_run_sql(bearer: &TokenBearer) -> bool {
    let role = match (&bearer.person, &bearer.token.owner) {
        (Some(person), _) => person.role,
        (None, Owner::Service { role, .. }) => *role,
        (None, Owner::Person(_)) => return false,
    };
    let scopes = Permissions::named(bearer.token.scopes.iter().map(String::as_str));
    Permissions::of(role).and(scopes).has(Permission::SqlRun)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_table_has_every_role_and_no_word_that_is_not_a_permission() {
        let roles: BTreeSet<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
        assert_eq!(TABLE.keys().map(String::as_str).collect::<BTreeSet<_>>(), roles);
        for (role, names) in &*TABLE {
            for name in names {
                assert!(Permission::from_name(name).is_some(), "{role} has {name}, which is no permission");
            }
        }
        let text = include_str!("permissions.toml");
        for permission in Permission::ALL {
            assert!(text.contains(&format!("# {} ", permission.as_str())), "{permission:?} is not explained");
        }
    }

    #[test]
    fn an_administrator_may_everything_and_nobody_else_may_manage_people() {
        assert_eq!(Permissions::of(Role::Administrator).names().len(), Permission::ALL.len());
        for role in Role::ALL.iter().filter(|role| **role != Role::Administrator) {
            assert!(!Permissions::of(*role).has(Permission::PeopleManage), "{role:?}");
            assert!(Permissions::of(Role::Administrator).covers(Permissions::of(*role)));
            assert!(!Permissions::of(*role).covers(Permissions::of(Role::Administrator)));
        }
    }

    #[test]
    fn a_set_holds_what_it_was_made_of() {
        let set = Permissions::named(["import", "sql.run", "no.such"]);
        assert_eq!(set.names(), ["sql.run", "import"]);
        assert_eq!(set.and(Permissions::named(["import", "state.read"])).names(), ["import"]);
    }
}
