"""Links between stages: messages as bytes, and the only modules that open a ZeroMQ socket."""
