# Makes the database of POSTGRES_USER at the first start, then becomes the server.
#
# TLS is the only way in from outside: certificate.pem and key.pem are expected in the folder `tls`.
set -eu
umask 077
home=/var/lib/postgresql
if [ ! -e "$home/data" ]; then
    rm -rf "$home/draft" # what an interrupted first start has left
    printf '%s' "$POSTGRES_PASSWORD" > /tmp/password
    initdb --pgdata="$home/draft" --username="$POSTGRES_USER" --pwfile=/tmp/password --auth=scram-sha-256 \
        --encoding=UTF8 --locale=C.UTF-8 > /dev/null
    rm /tmp/password
    echo 'hostssl all all all scram-sha-256' >> "$home/draft/pg_hba.conf"
    echo "CREATE DATABASE $POSTGRES_USER" | postgres --single -D "$home/draft" postgres > /dev/null
    mv "$home/draft" "$home/data" # from here on it is whole
fi
exec postgres -D "$home/data" -c listen_addresses='*' -c unix_socket_directories=/tmp -c shared_buffers=64MB \
    -c ssl=on -c ssl_cert_file="$home/tls/certificate.pem" -c ssl_key_file="$home/tls/key.pem"
