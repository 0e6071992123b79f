"""How a push proves who sends it, and where it may go. Pure."""
