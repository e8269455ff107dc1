#!/bin/sh
# The HOOK= of dehydrated's config. dehydrated calls it for many reasons, some of which are yet to be invented and all of
# which have to end well; a certificate to deploy is one of them.
set -u
[ "${1-}" = deploy_cert ] || exit 0

# install.sh writes copies in which this is absolute, and right for where it installs.
acme_oss=acme-oss
# Reads /etc/acme-oss/env, for what the caller has not set.
with_environment=/usr/local/lib/acme-oss/hooks/with-environment
if [ -x "$with_environment" ]; then exec "$with_environment" "$acme_oss" hook dehydrated -- "$@"; fi
exec "$acme_oss" hook dehydrated -- "$@"
