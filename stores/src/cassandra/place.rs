//! Where a keyspace is: `cassandra://[user:password@]host[:port][,host[:port]…]/keyspace`, and as
//! parameters `replication` (copies in the datacenter; 1 if absent) and `datacenter`.

use url::Url;

use crate::error::{Result, StoreError};

const PORT: u16 = 9042;
const FORM: &str =
    "write cassandra://[user:password@]host[:port][,host…]/keyspace[?replication=3&datacenter=dc1]";

/// A keyspace's URL, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// Each with its port.
    pub hosts: Vec<String>,
    pub credentials: Option<(String, String)>,
    pub keyspace: String,
    /// How many copies are kept, where the keyspace is still to be made.
    pub replication: u32,
    /// Whose servers are asked, and no others.
    pub datacenter: Option<String>,
}

impl Place {
    /// # Errors
    /// Says what is wrong, and no secret.
    pub fn parse(url: &str) -> Result<Self> {
        let wrong = |what: &str| StoreError::Refused(format!("{what}: {FORM}"));
        let rest = url.strip_prefix("cassandra://").ok_or_else(|| wrong("no cassandra URL"))?;
        let (authority, path) = rest.split_once('/').ok_or_else(|| wrong("it names no keyspace"))?;
        // A URL has one host: the others are taken out first.
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (format!("{user}@"), hosts),
            None => (String::new(), authority),
        };
        let mut hosts = hosts.split(',');
        let first = hosts.next().unwrap_or_default();
        let parsed = Url::parse(&format!("cassandra://{user}{first}/{path}"))
            .map_err(|error| wrong(&format!("it can't be read ({error})")))?;
        let mut all = vec![address(&parsed).ok_or_else(|| wrong("it names no host"))?];
        for host in hosts {
            let host = Url::parse(&format!("cassandra://{host}/")).ok();
            all.push(host.as_ref().and_then(address).ok_or_else(|| wrong("one of its hosts can't be read"))?);
        }
        let keyspace = parsed.path().trim_start_matches('/').to_owned();
        let named = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if keyspace.is_empty() || keyspace.len() > 48 || !keyspace.chars().all(named) {
            return Err(wrong("its keyspace is no name of at most 48 of a-z, 0-9 and _"));
        }
        let mut place = Self {
            hosts: all,
            credentials: credentials(&parsed),
            keyspace,
            replication: 1,
            datacenter: None,
        };
        for (name, value) in parsed.query_pairs() {
            match &*name {
                "replication" => match value.parse() {
                    Ok(copies) if (1..=9).contains(&copies) => place.replication = copies,
                    _ => return Err(wrong("its replication is no number from 1 to 9")),
                },
                "datacenter" if !value.is_empty() && !value.contains(['\'', '"']) => {
                    place.datacenter = Some(value.into_owned());
                }
                _ => return Err(wrong(&format!("its parameter {name:?} is unknown or empty"))),
            }
        }
        Ok(place)
    }

    pub fn create_keyspace(&self) -> String {
        let Self { keyspace, replication, .. } = self;
        let strategy = match &self.datacenter {
            Some(datacenter) => format!("'NetworkTopologyStrategy', '{datacenter}'"),
            None => "'SimpleStrategy', 'replication_factor'".to_owned(),
        };
        format!(
            "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {{'class': {strategy}: {replication}}}"
        )
    }
}

fn address(url: &Url) -> Option<String> {
    let host = url.host_str().filter(|host| !host.is_empty())?;
    Some(format!("{host}:{}", url.port().unwrap_or(PORT)))
}

fn credentials(url: &Url) -> Option<(String, String)> {
    let decoded = |text: &str| {
        // A form's name ends at the first of these.
        let name = text.replace('+', "%2B").replace('&', "%26").replace('=', "%3D");
        let mut pairs = url::form_urlencoded::parse(name.as_bytes());
        pairs.next().map(|(name, _)| name.into_owned()).unwrap_or_default()
    };
    let password = url.password()?;
    Some((decoded(url.username()), decoded(password)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_names_hosts_keyspace_and_who_asks() {
        let place =
            Place::parse("cassandra://ann:p%40s=s+w&rd@one:9142,two/letopis?replication=3&datacenter=dc1");
        let place = place.expect("a place");
        assert_eq!(place.hosts, ["one:9142", "two:9042"]);
        assert_eq!(place.credentials, Some(("ann".to_owned(), "p@s=s+w&rd".to_owned())));
        assert_eq!((place.keyspace.as_str(), place.replication), ("letopis", 3));
        assert!(place.create_keyspace().ends_with("{'class': 'NetworkTopologyStrategy', 'dc1': 3}"));
        let place = Place::parse("cassandra://127.0.0.1/a").expect("a place");
        assert!(place.create_keyspace().ends_with("{'class': 'SimpleStrategy', 'replication_factor': 1}"));
    }

    #[test]
    fn what_it_is_not_is_said_without_the_password() {
        for wrong in [
            "cassandra://u:secret@host",
            "cassandra://u:secret@host/",
            "cassandra://u:secret@host/Upper",
            "cassandra://u:secret@/keyspace",
            "cassandra://u:secret@host,:1/keyspace",
            "cassandra://u:secret@host/keyspace?replication=0",
            "cassandra://u:secret@host/keyspace?consistency=one",
            "cassandra://u:secret@host/keyspace?datacenter=a'b",
        ] {
            let refused = Place::parse(wrong).err().map(|error| error.to_string());
            assert!(
                refused
                    .as_ref()
                    .is_some_and(|it| it.contains("write cassandra://") && !it.contains("secret")),
                "{wrong}: {refused:?}"
            );
        }
    }
}
