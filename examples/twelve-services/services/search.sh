echo "search on $(uname -m), log level $LOG"
