echo "mail on $(uname -m), log level $LOG"
