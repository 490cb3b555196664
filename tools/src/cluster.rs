//! Which part of the work is this process's, as clusters say it in variables.

use anyhow::{Context, bail};

/// One of `world_size` processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Share {
    /// Which one, from 0.
    pub rank: usize,
    /// How many there are.
    pub world_size: usize,
}

/// Variables of rank and world size, the most specific first. Kubernetes tells an indexed job's pods no number of pods.
const CLUSTERS: [(&str, &str, &str); 5] = [
    ("torchrun", "RANK", "WORLD_SIZE"),
    ("Open MPI", "OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE"),
    ("MPI", "PMI_RANK", "PMI_SIZE"),
    ("SLURM", "SLURM_PROCID", "SLURM_NTASKS"),
    ("Kubernetes", "JOB_COMPLETION_INDEX", "WORLD_SIZE"),
];

/// What the flags say, and for what they leave open the variables that `variable` gives; alone, where nothing is said.
///
/// # Errors
/// When a variable is no number, or one is there without the other.
pub fn share(
    rank: Option<usize>,
    world_size: Option<usize>,
    variable: impl Fn(&str) -> Option<String>,
) -> anyhow::Result<Share> {
    if let (Some(rank), Some(world_size)) = (rank, world_size) {
        return Ok(Share { rank, world_size });
    }
    let number = |name: &str| -> anyhow::Result<Option<usize>> {
        let text = variable(name).filter(|text| !text.is_empty());
        text.map(|text| text.parse().with_context(|| format!("the variable {name} is no number: `{text}`"))).transpose()
    };
    for (cluster, rank_name, size_name) in CLUSTERS {
        let Some(found) = number(rank_name)? else { continue };
        let Some(size) = world_size.map_or_else(|| number(size_name), |given| Ok(Some(given)))? else {
            bail!("{cluster} says {rank_name}={found}, but not how many machines there are: --world-size N does");
        };
        return Ok(Share { rank: rank.unwrap_or(found), world_size: size });
    }
    match (rank, world_size) {
        (None, None | Some(1)) => Ok(Share { rank: 0, world_size: 1 }),
        (None, Some(_)) => bail!("--world-size without --rank: which of the machines is this?"),
        (Some(_), _) => bail!("--rank without --world-size: how many machines are there?"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn on(variables: &[(&str, &str)], rank: Option<usize>, world_size: Option<usize>) -> anyhow::Result<Share> {
        let get = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        share(rank, world_size, get)
    }

    #[test]
    fn clusters_say_which_share_it_is() {
        let slurm = [("SLURM_PROCID", "3"), ("SLURM_NTASKS", "8")];
        assert_eq!(on(&slurm, None, None).unwrap(), Share { rank: 3, world_size: 8 });
        assert_eq!(on(&slurm, Some(0), Some(1)).unwrap(), Share { rank: 0, world_size: 1 });
        let pod = [("JOB_COMPLETION_INDEX", "2")];
        assert_eq!(on(&pod, None, Some(4)).unwrap(), Share { rank: 2, world_size: 4 });
        assert!(on(&pod, None, None).unwrap_err().to_string().contains("--world-size"));
        assert_eq!(on(&[], None, None).unwrap(), Share { rank: 0, world_size: 1 });
    }

    #[test]
    fn half_of_it_is_refused() {
        assert!(on(&[], Some(1), None).is_err() && on(&[], None, Some(2)).is_err());
        assert!(on(&[("RANK", "x")], None, None).unwrap_err().to_string().contains("RANK"));
    }
}
