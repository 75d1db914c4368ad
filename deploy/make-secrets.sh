#!/bin/sh
# Makes the passwords of docker-compose.prod.yml, once: files that exist are left
# as they are. Nobody but the owner may enter the folder; within it the files are
# readable, since the containers run as users of their own.
set -eu
cd "$(dirname "$0")/.."
mkdir -p secrets
chmod 700 secrets
umask 022

password() { od -An -tx1 -N24 /dev/urandom | tr -d ' \n'; }
made() { [ -e "secrets/$1" ] || { printf '%s\n' "$2" > "secrets/$1"; echo "made secrets/$1"; }; }

made postgres_password "$(password)"
made redis_auth "requirepass $(password)"
made grafana_password "$(password)"
made console_viewer_token "$(password)"
made console_operator_token "$(password)"
made database_url "postgres://headwater:$(cat secrets/postgres_password)@postgres:5432/headwater"
made redis_url "redis://:$(sed -n 's/^requirepass //p' secrets/redis_auth)@redis:6379"
