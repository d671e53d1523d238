"""A simulated model provider that speaks the real protocols, so that everything runs without a key.

- :mod:`~holdfast.lab.simulator.service` answers one request at a time and knows nothing of sockets;
- :mod:`~holdfast.lab.simulator.http` puts it behind the HTTP port, in process, on any clock;
- :mod:`~holdfast.lab.simulator.server` puts it behind a real socket;
- :mod:`~holdfast.lab.simulator.fault_table` names every fault that it can play.

The wire formats are written here once more, apart from those in :mod:`holdfast.llm.wire`: each is a test of the other.
"""
