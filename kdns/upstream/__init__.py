"""Other resolvers: which there are, and how one is asked. Knows no zones and no plugins."""
