#!/usr/bin/env bash
# A certificate authority and a broker's certificate for 127.0.0.1, made with the JDK's keytool. Usage: certificates.sh FOLDER
set -euo pipefail

folder="$1"
command -v keytool >/dev/null || { echo "the TLS part of this lane needs keytool: install a JDK" >&2; exit 1; }
key() { keytool -storetype PKCS12 -storepass changeit -keypass changeit "$@" 2>/dev/null; }

key -genkeypair -alias ca -keystore "$folder/ca.p12" -keyalg RSA -keysize 2048 -dname CN=kizashi-test-ca -ext bc:c -validity 2
key -exportcert -alias ca -keystore "$folder/ca.p12" -rfc > "$folder/ca.pem"
key -genkeypair -alias broker -keystore "$folder/server.p12" -keyalg RSA -keysize 2048 -dname CN=127.0.0.1 -validity 2
key -certreq -alias broker -keystore "$folder/server.p12" > "$folder/broker.csr"
key -gencert -alias ca -keystore "$folder/ca.p12" -rfc -ext san=ip:127.0.0.1,dns:localhost -validity 2 \
    < "$folder/broker.csr" > "$folder/broker.pem"
key -importcert -noprompt -alias ca -keystore "$folder/server.p12" -file "$folder/ca.pem"
key -importcert -noprompt -alias broker -keystore "$folder/server.p12" -file "$folder/broker.pem"
