#!/bin/sh
# What `cargo xtask kernels` looks at on one kernel: in a guest, or on this machine.
#
# Lines that begin with `@@ ` are for the command:
#   @@ kernel RELEASE
#   @@ step NAME EXIT-CODE CENTISECONDS, and what the step printed
#   @@ digest NAME SHA-256, of what must be the same on every machine
#   @@ end

home="--home-net 192.0.2.0/24 --home-net 2001:db8::/64"

centiseconds() {
    read -r up _ </proc/uptime
    echo "$up" | tr -d .
}

step() {
    name=$1 limit=$2
    shift 2
    begun=$(centiseconds)
    timeout "$limit" "$@" >"$OUT/$name" 2>"$OUT/$name.err"
    code=$?
    echo "@@ step $name $code $(($(centiseconds) - begun))"
    tail -n 20 "$OUT/$name.err"
    tail -c 20000 "$OUT/$name"
    echo
}

digest() {
    echo "@@ digest $1 $(cat "$2" | sha256sum | cut -d' ' -f1)"
}

echo "@@ kernel $(uname -r)"
for check in $CHECKS; do
    case $check in
    load) step doctor 600 "$WEIR" doctor ;;
    counts) step conformance 600 "$TESTS" --test-threads 1 the_written_frames_count_the_same ;;
    hooks) step hooks 600 "$TESTS" --test-threads 1 a_blocked_source_is_dropped_wherever ;;
    restart) step restart 600 "$TESTS" --test-threads 1 a_restart_takes_the_pins_over ;;
    trace) step trace 600 "$TESTS" --test-threads 1 --nocapture trace:: ;;
    links) step links 600 "$TESTS" --test-threads 1 --nocapture links:: ;;
    sharing) step sharing 600 "$TESTS" --test-threads 1 --nocapture sharing:: ;;
    loop) step loop 400 "$WEIR" demo --scenario demo ;;
    commands)
        # Rows and scores name their capture as it was given.
        cd "$DATA" || exit 1
        capture=demo.pcap.zst model=model.weir
        step version 60 "$WEIR" --version
        step inspect 60 "$WEIR" model inspect "$model"
        step learn 600 "$WEIR" learn --pcap "$capture" $home -o "$OUT/learnt.weir"
        step config 60 "$WEIR" config check --model "$OUT/learnt.weir"
        step replay 600 "$WEIR" replay --json --score "$model" $home "$capture"
        step tables 600 "$WEIR" replay --out "$OUT/rows" $home "$capture"
        step score 600 "$WEIR" score --model "$model" "$OUT/rows"
        step explain 600 "$WEIR" explain --json --model "$model" "$OUT/rows"
        step train 600 "$WEIR" train -o "$OUT/trained.weir" "$OUT/rows"
        # The last event names the capture's path and the time it took.
        grep -v '"event":"replay"' "$OUT/replay" >"$OUT/events"
        for output in events score explain; do digest "$output" "$OUT/$output"; done
        find "$OUT/rows" -name '*.parquet' | sort | xargs cat >"$OUT/parquet"
        digest tables "$OUT/parquet"
        ;;
    esac
done
echo "@@ end"
