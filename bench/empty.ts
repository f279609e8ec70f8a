/** What any program made by `bun build --compile` costs: the floor under every call of dist/runnc. */
process.exit(0);
