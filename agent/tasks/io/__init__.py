"""Tasks against the world: `db` keeps what must outlive the agent, `actions` carries out what was decided."""
