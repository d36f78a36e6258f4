echo "billing on $(uname -m), log level $LOG"
