//! Profiles: runs as files.
//!
//! ```toml
//! scenario = "chat"
//! name = "friday evening"
//!
//! [settings]
//! users = 2000
//! rates = { send = 500, typing = 100 }
//! duration = "1m"
//! ```

use std::path::Path;

use serde::Deserialize;

use crate::error::Error;
use crate::plan::{Scenario, Settings};

/// A run as a file says it.
#[derive(Clone, Debug)]
pub struct Profile {
    /// Its name in results.
    pub name: String,
    /// The scenario that it is a form of.
    pub scenario: Scenario,
    /// What it sets.
    pub settings: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    scenario: String,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    settings: Settings,
}

impl Profile {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, or what is in it makes no sense.
    pub fn read(path: &Path) -> Result<Self, Error> {
        let problem = |problem: String| Error::Profile { path: path.display().to_string(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| problem(error.to_string()))?;
        let mut profile = Self::parse(&text).map_err(problem)?;
        if profile.name.is_empty() {
            profile.name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        }
        Ok(profile)
    }

    fn parse(text: &str) -> Result<Self, String> {
        let File { scenario, name, settings } = toml::from_str(text).map_err(|error| error.to_string())?;
        let known = Scenario::ALL.into_iter().find(|known| known.as_str() == scenario);
        let known = known.ok_or_else(|| {
            format!("unknown scenario \"{scenario}\": use {}", Scenario::ALL.map(Scenario::as_str).join(", "))
        })?;
        Ok(Self { name: name.unwrap_or_default(), scenario: known, settings })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::plan::Action;

    #[test]
    fn a_profile_says_what_the_command_line_can() {
        let text = r#"
            scenario = "day"
            name = "friday"
            [settings]
            users = 20
            rates = { send = 5, typing = 0.5 }
            duration = "1m"
            slo = "p99=1s"
            protocol = "ws"
            arrivals = "poisson"
            no-verify = true
        "#;
        let profile = Profile::parse(text).unwrap();
        let plan = profile.settings.plan(profile.scenario, Some(profile.name)).unwrap();
        assert_eq!((plan.scenario.as_str(), plan.users, plan.verify), ("friday", 20, false));
        assert_eq!((plan.rate(Action::Send), plan.duration), (5.0, Duration::from_secs(60)));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (text, problem) in [
            ("scenario = \"sing\"", "sing"),
            ("name = \"x\"", "scenario"),
            ("scenario = \"chat\"\nusers = 3", "users"),
            ("scenario = \"chat\"\n[settings]\nuser = 3", "user"),
            ("scenario = \"chat\"\n[settings]\nduration = \"fast\"", "duration"),
            ("scenario = \"chat\"\n[settings]\nrates = { sing = 1 }", "sing"),
            ("scenario", "TOML"),
        ] {
            let refused = Profile::parse(text).unwrap_err();
            assert!(refused.contains(problem), "{text}: {refused}");
        }
        assert!(Profile::read(Path::new("nowhere.toml")).unwrap_err().to_string().contains("nowhere.toml"));
    }
}
