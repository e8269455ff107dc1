import { join } from 'node:path'
import { type HookSource, incomplete } from './hook.js'

const about = {
  client: 'uacme',
  setUp:
    'uacme -h … issue example.com && acme-oss hook uacme example.com (UACME_CONFDIR names its folder, if that is not /etc/ssl/uacme)',
}

/** uacme has no deploy hook; its exit status says whether there is something new. */
export const uacme: HookSource = {
  ...about,
  read: ({ environment, words: [name] }) => {
    if (!name || name.includes('/')) throw incomplete('name of a certificate', about)
    const folder = environment['UACME_CONFDIR'] || '/etc/ssl/uacme'
    return [{ name, certificates: [join(folder, name, 'cert.pem')], key: join(folder, 'private', name, 'key.pem') }]
  },
}
