import { readChildren, readElement } from './der.js'
import { readPem } from './pem.js'
import { type Certificate, firstCertificate, readCertificate } from './x509.js'

/** Unknown: the certificate came alone, and who issued it is not known. */
export type Trust = 'trusted' | 'untrusted' | 'unknown'

// Real chains have two to four certificates.
const mostCertificates = 32

/**
 * Does a certificate (PEM, with the intermediates behind it) lead to one of `roots` (PEM, each)? By names and
 * signatures; when all of them are valid is another question.
 */
export const trustOf = (pem: string, roots: readonly string[]): Trust => {
  const [leaf, ...others] = certificatesIn(pem)
  if (leaf === undefined) return 'unknown'
  const path = pathFrom(leaf, others)
  const issuers = path.map(issuerName).filter((name) => name.length > 0)
  if (roots.some((root) => isRootOf(path, issuers, root))) return 'trusted'
  return path.length === 1 && !leaf.issuedBy(leaf) ? 'unknown' : 'untrusted'
}

const certificatesIn = (pem: string): Certificate[] => {
  try {
    const blocks = readPem(pem, (label) => label === 'CERTIFICATE').slice(0, mostCertificates)
    return blocks.map(({ der }) => readCertificate(der, 'the certificate'))
  } catch {
    return []
  }
}

/** The leaf, and every one of `others` that vouches for it, directly or not. */
const pathFrom = (leaf: Certificate, others: readonly Certificate[]): Certificate[] => {
  const path = [leaf]
  for (const one of path) {
    path.push(...others.filter((other) => !path.includes(other) && other.isAuthority && one.issuedBy(other)))
  }
  return path
}

/** To read all roots takes a hundred times as long as to see which of them have the name in them at all. */
const isRootOf = (path: readonly Certificate[], issuers: readonly Buffer[], pem: string): boolean => {
  const der = Buffer.from(pem.slice(pem.indexOf('\n'), pem.lastIndexOf('\n-----')), 'base64')
  if (!issuers.some((name) => der.includes(name))) return false
  const root = firstCertificate(pem)
  return root !== undefined && path.some((one) => one.issuedBy(root))
}

/** As it stands in the certificate: the third field behind the version, which the oldest do without (RFC 5280, 4.1). */
const issuerName = ({ der }: Certificate): Buffer => {
  const whole = readElement(der, 0)
  const [body] = whole === undefined ? [] : readChildren(der, whole)
  const fields = body === undefined ? [] : readChildren(der, body)
  const issuer = fields[fields[0]?.tag === versionTag ? 3 : 2]
  return der.subarray(issuer?.start ?? 0, issuer?.end ?? 0)
}

const versionTag = 0xa0

/** Did the same CA issue both, so that one of them is trusted as much as the other? PEM, as above. */
export const haveSameIssuer = (one: string, other: string): boolean => {
  const [leaf, ...above] = certificatesIn(one)
  const [otherLeaf, ...otherAbove] = certificatesIn(other)
  if (leaf === undefined || otherLeaf === undefined || leaf.issuer !== otherLeaf.issuer) return false
  const issuers = [...above, ...otherAbove].filter((issuer) => leaf.issuedBy(issuer) || otherLeaf.issuedBy(issuer))
  return issuers.every((issuer) => leaf.issuedBy(issuer) && otherLeaf.issuedBy(issuer))
}
