"""How a module is called: abstract calls made concrete, and its answers made abstract."""
