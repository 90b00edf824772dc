"""What single texts mean: sizes, durations, ports, command lines, `${VAR}`. Pure."""
