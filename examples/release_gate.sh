#!/usr/bin/env bash
# A release gate in CI: version 2 replaces version 1 only where it is nowhere worse, for everybody and for each group.
# usage: release_gate.sh FOLDER [STRENGTH]
set -euo pipefail
here=$(dirname "$(readlink -f "$0")")
python=${PYTHON:-python}
work=$1

"$python" "$here/train_versions.py" "$work" "${2:-0.5}"

# Both versions are audited alike, on the same people, so that the comparison can pair them row by row.
audit() {
    "$python" -m audit.run "$work/version-$1" --out "$work/audit-$1" --no-log --format junit \
        --data "$work/people.csv" --target repaid --positive yes --favourable yes --label-source outcome \
        --decision 'score>=0.5' --sensitive sex --skip explanation,efficiency | tail -n 1
}
old=$(audit 1)
new=$(audit 2)

# 0: nowhere worse than the plan's margins. 1: worse somewhere. 3: these rows cannot tell.
status=0
"$python" -m audit.compare "$old" "$new" --gate --junit "$work/gate.xml" || status=$?
if [ "$status" -eq 0 ]; then
    echo "version 2 is released"
else
    echo "version 2 is not released (exit status $status)" >&2
fi
exit "$status"
