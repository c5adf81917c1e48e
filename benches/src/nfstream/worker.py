"""The other contestant: meters the capture that it is told to, and answers with the version, the
flows and packets it saw, and the CPU seconds that it took in all its processes.

Start-up and imports are outside the time that is told.
"""

import os
import sys

try:
    import nfstream
except ImportError as error:
    print(error, file=sys.stderr)
    print("none")
    sys.exit()


def cpu_seconds():
    return sum(os.times()[:4])


if __name__ == "__main__":
    start = cpu_seconds()
    flows = packets = 0
    streamer = nfstream.NFStreamer(
        source=sys.argv[1], statistical_analysis=True, n_dissections=0, n_meters=1
    )
    for flow in streamer:
        flows += 1
        packets += flow.bidirectional_packets
    print(nfstream.__version__, flows, packets, cpu_seconds() - start)
