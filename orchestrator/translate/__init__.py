"""Pure translations between three vocabularies: the file's, the planner's, the host's."""
