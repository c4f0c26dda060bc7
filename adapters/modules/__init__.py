"""How each known module is provisioned and put back, one file a module."""
