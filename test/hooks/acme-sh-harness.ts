// acme.sh cannot be installed from Debian; what it does around a deploy hook and a reloadcmd is small enough to stand in
// for: the hook is sourced and its function called in a subshell, settings are kept in files of quoted assignments.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type Ended, quoted, runProgram } from './hook-world.js'

const functions = `
_note() { printf '%s\\n' "$*" >&2; }
_info() { _note "$@"; }
_err() { _note "$@"; return 1; }
_debug() { [ -z "$DEBUG" ] || _note "$@"; }
_debug2() { :; }
# FILE KEY VALUE [base64]: the value stands between single quotes, written by sed.
_write() {
  _text=$3
  [ -z "$4" ] || _text="__ACME_BASE64__START_$(printf '%s' "$3" | base64 -w 0)__ACME_BASE64__END_"
  touch "$1"
  sed "/^$2=/d" "$1" >"$1.tmp"
  _line=$(echo "$2='x'" | sed "s|^$2='.*'$|$2='$_text'|") || return 1
  printf '%s\\n' "$_line" >>"$1.tmp"
  mv "$1.tmp" "$1"
}
_read() {
  [ -f "$1" ] || return 0
  _text=$(
    eval "$(grep "^$2=" "$1")"
    eval "printf '%s' \\"\\$$2\\""
  )
  case $_text in
    __ACME_BASE64__START_*)
      _text=\${_text#__ACME_BASE64__START_}
      printf '%s' "\${_text%__ACME_BASE64__END_}" | base64 -d
      ;;
    *) printf '%s' "$_text" ;;
  esac
}
_savedeployconf() { _write "$DOMAIN_CONF" "SAVED_$1" "$2" "$3"; }
_getdeployconf() {
  eval "_now=\\$$1"
  [ -z "$_now" ] || return 0
  _saved=$(_read "$DOMAIN_CONF" "SAVED_$1")
  # Exported even where there is nothing.
  eval "export $1=\\"\\$_saved\\""
}
_readaccountconf_mutable() { _read "$ACCOUNT_CONF_PATH" "SAVED_$1"; }
`

export interface AcmeSh {
  /** The folder of the certificate, and the files that acme.sh keeps there. */
  readonly certificateFolder: string
  readonly files: { readonly key: string; readonly cert: string; readonly ca: string; readonly fullchain: string }
  readonly domainConf: () => string
  /** `--deploy --deploy-hook acme_oss`. */
  deploy(environment?: Readonly<Record<string, string>>): Promise<Ended>
  /** `--install-cert --reloadcmd COMMAND`. */
  reload(command: string, environment?: Readonly<Record<string, string>>): Promise<Ended>
}

export interface AcmeShOptions {
  readonly folder: string
  readonly domain: string
  /** The deploy hook. */
  readonly hook: string
  readonly pem: { readonly key: string; readonly cert: string; readonly ca: string }
  /** The text of account.conf. */
  readonly account?: string
}

export const standInForAcmeSh = ({ folder, domain, hook, pem, account = '' }: AcmeShOptions): AcmeSh => {
  const certificateFolder = join(folder, '.acme.sh', `${domain}_ecc`)
  mkdirSync(certificateFolder, { recursive: true })
  const put = (name: string, text: string): string => {
    writeFileSync(join(certificateFolder, name), text)
    return join(certificateFolder, name)
  }
  const files = {
    key: put(`${domain}.key`, pem.key),
    cert: put(`${domain}.cer`, pem.cert),
    ca: put('ca.cer', pem.ca),
    fullchain: put('fullchain.cer', pem.cert + pem.ca),
  }
  const domainConf = put(`${domain}.conf`, `Le_Domain='${domain}'\n`)
  const accountConf = join(folder, '.acme.sh', 'account.conf')
  writeFileSync(accountConf, account)

  const run = (script: string, environment: Readonly<Record<string, string>>): Promise<Ended> =>
    runProgram('/usr/bin/dash', ['-c', script], { PATH: '/usr/bin:/bin', HOME: folder, ...environment })
  const words = [domain, files.key, files.cert, files.ca, files.fullchain, join(certificateFolder, `${domain}.pfx`)]
  return {
    certificateFolder,
    files,
    domainConf: () => readFileSync(domainConf, 'utf8'),
    deploy: (environment = {}) =>
      run(
        `${functions}
DOMAIN_CONF=${quoted(domainConf)} ACCOUNT_CONF_PATH=${quoted(accountConf)}
(
  . ${quoted(hook)} || exit 99
  acme_oss_deploy ${words.map(quoted).join(' ')}
)`,
        environment,
      ),
    reload: (command, environment = {}) =>
      run(
        `export CERT_PATH=${quoted(files.cert)} CERT_KEY_PATH=${quoted(files.key)} CA_CERT_PATH=${quoted(files.ca)}
export CERT_FULLCHAIN_PATH=${quoted(files.fullchain)} Le_Domain=${quoted(domain)}
cd ${quoted(certificateFolder)} && eval ${quoted(command)}`,
        environment,
      ),
  }
}
