echo "invoices on $(uname -m), log level $LOG"
