echo "orders on $(uname -m), log level $LOG"
