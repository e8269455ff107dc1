#!/usr/bin/env sh
# A deploy hook for acme.sh: acme.sh --deploy -d example.com --deploy-hook acme_oss
#
# Settings are the variables ACME_OSS_BUCKET, ACME_OSS_REGION, ACME_OSS_PREFIX, … (acme-oss hook --help lists them). Those
# that are set when it is called are kept with the domain for the renewals to come. Credentials are Ali_Key and
# Ali_Secret, from the environment or from account.conf, or what /etc/acme-oss/env holds.

# install.sh writes copies in which this is absolute, and right for where it installs.
acme_oss=acme-oss
# Reads /etc/acme-oss/env, for what the caller has not set.
acme_oss_with_environment=/usr/local/lib/acme-oss/hooks/with-environment

# DOMAIN KEY CERT CA FULLCHAIN PFX
acme_oss_deploy() {
  _ao_domain=$1
  for _ao_name in BUCKET REGION PREFIX NO_LAYOUT OSS_CNAME CDN_DOMAIN DCDN_DOMAIN ENABLE_HTTPS VIA_CAS CAS_PRUNE SSE \
    DIRECTORY EXEC EXEC_SHELL EXEC_TIMEOUT ENDPOINT CNAME_ENDPOINT BUCKET_ENDPOINT CDN_ENDPOINT DCDN_ENDPOINT \
    CAS_ENDPOINT ALLOW_PUBLIC_BUCKET VERIFY VERIFY_TIMEOUT CONNECT DNS_RESOLVER CONFIG STATE_DIR NAME TIMEOUT; do
    _ao_name=ACME_OSS_$_ao_name
    _getdeployconf "$_ao_name"
    eval "_ao_value=\${$_ao_name:-}"
    # acme.sh leaves an empty variable where it has nothing: the file below may still have something.
    [ -n "$_ao_value" ] || { unset "$_ao_name" && continue; }
    export "${_ao_name?}"
    case $_ao_value in
      # acme.sh writes values between single quotes with sed; what either would trip over goes as base64.
      *[!A-Za-z0-9._/:,@+=-]*) _savedeployconf "$_ao_name" "$_ao_value" 1 ;;
      *) _savedeployconf "$_ao_name" "$_ao_value" ;;
    esac
  done
  _ao_id=${Ali_Key:-$(_readaccountconf_mutable Ali_Key)}
  _ao_secret=${Ali_Secret:-$(_readaccountconf_mutable Ali_Secret)}

  _debug "calling $acme_oss for $_ao_domain"
  set -- "$acme_oss" hook acme.sh -- "$@"
  [ ! -x "$acme_oss_with_environment" ] || set -- "$acme_oss_with_environment" "$@"
  Ali_Key=$_ao_id Ali_Secret=$_ao_secret "$@"
  _ao_status=$?
  case $_ao_status in
    0) ;;
    3) _err "acme-oss: $_ao_domain is in place in part; the rest is recorded, and acme-oss sync tries it again" ;;
    1) _err "acme-oss: $_ao_domain is not in place; what could be recorded is, and acme-oss sync tries it again" ;;
    *) _err "acme-oss ended with status $_ao_status" ;;
  esac
  return $_ao_status
}
