"""Dense networks: layers with hand-derived backward passes over one flat parameter vector."""

from gradopt._network.network import Dense, Network

__all__ = ["Dense", "Network"]
