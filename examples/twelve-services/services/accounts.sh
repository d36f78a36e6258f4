echo "accounts on $(uname -m), log level $LOG"
