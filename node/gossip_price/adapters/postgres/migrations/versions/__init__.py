"""One module a revision, numbered in order. Revisions only expand: running nodes are older."""
