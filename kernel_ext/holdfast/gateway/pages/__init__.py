"""The inbox: pages made on the server, useful without a script."""
