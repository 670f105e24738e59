# What .ci/run and .ci/wheels share: stages that print one line, or everything if they fail. Sourced.
# The caller sets $work, a folder that is deleted at the end; the last quiet command's output is in $log.
log=$work/log

stage() {
    printf '==== %3d s  %s\n' "$SECONDS" "$*"
}

quietly() {
    "$@" >"$log" 2>&1 || {
        local status=$?
        cat "$log"
        echo "FAILED (status $status): $*"
        exit 1
    }
}

# The last quiet command must have said this.
said() {
    grep -qF -- "$1" "$log" || {
        cat "$log"
        echo "FAILED: it did not say: $1"
        exit 1
    }
}
