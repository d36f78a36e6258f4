echo "frontend on $(uname -m), log level $LOG"
