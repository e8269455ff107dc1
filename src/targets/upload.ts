import { createHash } from 'node:crypto'
import type { CasCertificate, CertificateService } from '../aliyun/certificate-service.js'
import { type CertificateBundle, fullchain } from '../certificate/bundle.js'
import { toTraditional } from '../certificate/private-key.js'
import type { Secret } from '../secret.js'

/** What every certificate that we hand over is called by: what is ours can be told from what is not. */
export const ourPrefix = 'acme-oss-'

/** What the products take: leaf and chain, and the key in its traditional encoding. */
export interface HandedOver {
  readonly certificate: string
  readonly privateKey: Secret
}

const known = new WeakMap<CertificateBundle, HandedOver>()

/** The same for everything that one certificate is handed to. */
export const handedOver = (bundle: CertificateBundle): HandedOver => {
  const before = known.get(bundle)
  if (before !== undefined) return before
  const made = { certificate: fullchain(bundle), privateKey: toTraditional(bundle.privateKey) }
  known.set(bundle, made)
  return made
}

// Beside it stand 20 characters of sums and 12 of our own; 64 are allowed.
const longestSlug = 26

/**
 * What a certificate is called on CDN and DCDN, where a name is taken once in an account: which one it is, and for whom.
 * @param again how many names before this one were taken
 */
export const edgeName = ({ name, fingerprint }: CertificateBundle, domain: string, again = 0): string => {
  const slug = name
    .replace(/[^A-Za-z0-9]+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, longestSlug)
  const sum = createHash('sha256').update(domain).digest('hex').slice(0, 6)
  const parts = [slug, fingerprint.sha256.slice(0, 12), sum, again === 0 ? '' : String(again + 1)]
  return `${ourPrefix}${parts.filter((part) => part !== '').join('-')}`
}

/** Every name that a certificate may have there. */
export const edgeNames = (bundle: CertificateBundle, domain: string): string[] => [
  ...[0, 1, 2].map((again) => edgeName(bundle, domain, again)),
  casName(bundle),
]

/** What it is called in the certificate service: the same however often it is uploaded. */
const casName = ({ fingerprint }: CertificateBundle): string => `${ourPrefix}${fingerprint.sha1}`

/** Its place in the certificate service, where it is put if it is not there. */
export const keepInService = (
  service: CertificateService,
  bundle: CertificateBundle,
  signal: AbortSignal,
): Promise<CasCertificate & { readonly name: string }> => {
  const name = casName(bundle)
  const upload = { name, ...bundle.fingerprint, ...handedOver(bundle) }
  return service.keep(upload, signal).then((kept) => ({ ...kept, name }))
}
