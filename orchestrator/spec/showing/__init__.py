"""What people and editors are told: the canonical document, why, the reference, the schema."""
