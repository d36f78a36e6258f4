echo "users on $(uname -m), log level $LOG"
