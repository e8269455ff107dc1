import { basename, isAbsolute, join } from 'node:path'
import { type HookSource, incomplete } from './hook.js'

const about = {
  client: 'certbot',
  setUp:
    "certbot renew --deploy-hook 'acme-oss hook certbot', or the script hooks/certbot/acme-oss in /etc/letsencrypt/renewal-hooks/deploy/",
}

/** certbot's deploy hook: `RENEWED_LINEAGE` is the folder of the certificate, whose name may end in `-0001`. */
export const certbot: HookSource = {
  ...about,
  read: ({ environment }) => {
    const lineage = environment['RENEWED_LINEAGE']
    if (!lineage || !isAbsolute(lineage)) throw incomplete('RENEWED_LINEAGE', about)
    const files = { certificates: [join(lineage, 'fullchain.pem')], key: join(lineage, 'privkey.pem') }
    return [{ name: basename(lineage), ...files }]
  },
}
