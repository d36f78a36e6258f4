echo "stock on $(uname -m), log level $LOG"
