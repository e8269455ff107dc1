import { type HookSource, incomplete } from './hook.js'

const about = {
  client: 'acme.sh',
  setUp:
    "acme.sh --install-cert -d example.com --reloadcmd 'acme-oss hook acme.sh', or acme.sh --deploy -d example.com --deploy-hook acme_oss",
}

/**
 * acme.sh, both ways: a reloadcmd gets variables, a deploy hook gets `DOMAIN KEY CERT CA FULLCHAIN` as arguments. The
 * main domain can be a wildcard.
 */
export const acmeSh: HookSource = {
  ...about,
  read: ({ environment, words }) => {
    const [name, key, , , fullchain] =
      words.length > 0
        ? words
        : [environment['Le_Domain'], environment['CERT_KEY_PATH'], '', '', environment['CERT_FULLCHAIN_PATH']]
    const isCalled = words.length > 0
    if (!name) throw incomplete(isCalled ? 'domain' : 'Le_Domain', about)
    if (!key) throw incomplete(isCalled ? 'key file' : 'CERT_KEY_PATH', about)
    if (!fullchain) throw incomplete(isCalled ? 'full chain file' : 'CERT_FULLCHAIN_PATH', about)
    return [{ name, certificates: [fullchain], key }]
  },
}
