"""Stack files of repositories and registries, brought to this machine and kept there."""
