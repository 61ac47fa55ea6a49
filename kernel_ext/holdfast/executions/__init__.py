"""What is common to all who deal with executions: starting one, its pinned text, its history, finding it by a part of its id."""
