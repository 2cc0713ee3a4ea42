//! Settings from the environment.
//!
//! A part reads all its settings from an [`Env`], which remembers every mistake instead of stopping at the
//! first; [`Env::finish`] then reports them together.

use std::collections::HashMap;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The environment, and the mistakes found in it so far.
#[derive(Debug, Default)]
pub struct Env {
    values: HashMap<String, String>,
    mistakes: Vec<Mistake>,
}

/// One setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The variable.
    pub name: String,
    /// What is wrong with it, and what would be right.
    pub problem: String,
}

/// Every setting that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct ConfigErrors(pub Vec<Mistake>);

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the configuration cannot be used:")?;
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {}: {}", mistake.name, mistake.problem))
    }
}

impl Env {
    /// The environment of this process. Values that are not UTF-8 count as unset.
    #[must_use]
    pub fn process() -> Self {
        Self::from_pairs(
            std::env::vars_os().filter_map(|(k, v)| Some((k.into_string().ok()?, v.into_string().ok()?))),
        )
    }

    /// An environment made of these pairs, for tests and for the launcher.
    pub fn from_pairs(pairs: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { values: pairs.into_iter().collect(), mistakes: Vec::new() }
    }

    /// Sets a variable, whatever it was before: for what the launcher decides itself.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.values.insert(name.to_owned(), value.into());
    }

    /// The variable's text; an empty one counts as unset.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<String> {
        self.values.get(name).map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    /// The variable read as a `T`, or the default where it is unset.
    pub fn parse<T: FromStr>(&mut self, name: &str, default: T) -> T
    where
        T::Err: fmt::Display,
    {
        match self.text(name).map(|text| text.parse::<T>()) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.refuse(name, problem.to_string());
                default
            }
        }
    }

    /// The variable read as a duration with a unit (`250ms`, `5s`, `2m`, `1h 30m`), or the default where it
    /// is unset.
    pub fn duration(&mut self, name: &str, default: Duration) -> Duration {
        match self.text(name).map(|text| humantime::parse_duration(&text)) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(problem)) => {
                self.refuse(
                    name,
                    format!("{problem}; write a duration with its unit, such as 250ms, 5s or 2m"),
                );
                default
            }
        }
    }

    /// The variable read as a list separated by commas; empty where it is unset.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }

    /// Remembers that a setting cannot be used: `problem` says why, and what would be right.
    pub fn refuse(&mut self, name: &str, problem: impl Into<String>) {
        self.mistakes.push(Mistake { name: name.to_owned(), problem: problem.into() });
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// All mistakes, if there were any.
    pub fn finish(self) -> Result<(), ConfigErrors> {
        if self.mistakes.is_empty() { Ok(()) } else { Err(ConfigErrors(self.mistakes)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Env {
        Env::from_pairs(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn values_defaults_and_lists() {
        let mut env = env(&[("PORT", "81"), ("EMPTY", " "), ("WAIT", "1m 5s"), ("NODES", "a, b,,c")]);
        assert_eq!(env.parse("PORT", 5000_u16), 81);
        assert_eq!(env.parse("EMPTY", 5000_u16), 5000);
        assert_eq!(env.duration("WAIT", Duration::ZERO), Duration::from_secs(65));
        assert_eq!(env.list("NODES"), ["a", "b", "c"]);
        assert_eq!(env.text("NONE"), None);
        env.set("PORT", "82");
        assert_eq!(env.text("PORT").as_deref(), Some("82"));
        assert_eq!(env.finish(), Ok(()));
    }

    #[test]
    fn all_mistakes_are_reported_together() {
        let mut env = env(&[("PORT", "99999"), ("WAIT", "5")]);
        env.parse("PORT", 5000_u16);
        env.duration("WAIT", Duration::ZERO);
        env.refuse("SECRET", "is required");
        let errors = env.finish().unwrap_err();
        assert_eq!(errors.0.len(), 3);
        let text = errors.to_string();
        assert!(
            text.contains("PORT") && text.contains("WAIT") && text.contains("SECRET: is required"),
            "{text}"
        );
    }
}
