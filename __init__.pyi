"""For type checkers alone: the rooms are one package on their real paths too, as they are under src/p11conform."""
