"""One module and one page for each directive of a Corefile. Plugins do not know one another."""
