echo "reports on $(uname -m), log level $LOG"
