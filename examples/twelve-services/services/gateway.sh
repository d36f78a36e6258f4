echo "gateway on $(uname -m), log level $LOG"
