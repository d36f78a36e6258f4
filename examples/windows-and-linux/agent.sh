echo "agent on $(uname -m)"
