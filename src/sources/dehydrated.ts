import { basename, dirname } from 'node:path'
import type { CertError } from '../errors.js'
import type { PemFiles } from './files.js'
import { type HookSource, incomplete } from './hook.js'

const about = {
  client: 'dehydrated',
  setUp:
    'HOOK=/path/to/hooks/dehydrated/acme-oss.sh in its config, which calls acme-oss hook dehydrated -- deploy_cert DOMAIN KEYFILE CERTFILE FULLCHAINFILE CHAINFILE TIMESTAMP',
}

// DOMAIN KEYFILE CERTFILE FULLCHAINFILE CHAINFILE TIMESTAMP; with HOOK_CHAIN=yes several of them in a row.
const groupSize = 6

/** dehydrated's hook: its first word says what happened, and only one of them is ours. */
export const dehydrated: HookSource = {
  ...about,
  read: ({ words: [operation, ...values] }) => {
    if (operation !== 'deploy_cert') return []
    const groups = Array.from({ length: Math.max(1, Math.ceil(values.length / groupSize)) }, (_, i) =>
      values.slice(i * groupSize, (i + 1) * groupSize),
    )
    return groups.map(([name, key, , fullchain]): PemFiles | CertError => {
      if (!name) return incomplete('DOMAIN', about)
      if (!key) return incomplete('KEYFILE', about)
      if (!fullchain) return incomplete('FULLCHAINFILE', about)
      // An alias is told by the folder alone, and two lines can begin with the same name.
      const folder = basename(dirname(key))
      return { name: ['', '.', '..', '/'].includes(folder) ? name : folder, certificates: [fullchain], key }
    })
  },
}
