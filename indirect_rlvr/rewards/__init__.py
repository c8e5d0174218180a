"""From a completion to a verifiable reward."""
