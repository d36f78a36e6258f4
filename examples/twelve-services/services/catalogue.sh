echo "catalogue on $(uname -m), log level $LOG"
