"""The public test kit: real servers on loopback, fault injection, and the suites that every implementation of a contract passes."""
