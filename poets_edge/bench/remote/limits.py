"""Time limits for a connection to a device."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Time limits for a connection to a device, in seconds.

    Attributes:
        login: limit for typing a password and starting Python on a slow device.
        silence: limit for the time without a byte from the agent, which sends a heartbeat every 3 s.
        taking: limit for sending a block of 64 KiB to the device.
        answer: limit for the answer to a short request.
        work: limit for the answer to a request that writes or removes many files.
        fetch: limit for downloading packages on the device.
        program: limit for the time until a program prints its next line of output or ends.
        measuring: limit for the time without a message during a measurement. The requested duration of the measurement
            is added to it; one round may take ten minutes.
    """

    login: float = 180.0
    silence: float = 15.0
    taking: float = 120.0
    answer: float = 15.0
    work: float = 1800.0
    fetch: float = 3600.0
    program: float = 60.0
    measuring: float = 1200.0


LIMITS = Limits()
