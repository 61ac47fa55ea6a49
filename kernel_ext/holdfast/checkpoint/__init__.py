"""What a cell left in memory: captured after it succeeded, restored in another process, taken back when it failed.

The public face is :class:`holdfast.checkpoint.checkpointer.Checkpointer`. Importing this room imports neither NumPy nor pandas.
"""
