import { CertError } from '../errors.js'
import type { Certificate } from './x509.js'

export interface Chain {
  /** From the leaf's issuer upward, without the root. */
  readonly intermediates: readonly Certificate[]
  /** Certificates of another way to a root, which a chain in one line has no place for. */
  readonly leftOut: readonly Certificate[]
  /** Was the root that it ends in among the certificates given? */
  readonly rootGiven: boolean
}

// Real chains have one to three intermediates. The limit keeps a whole trust store, glued on by mistake, from being
// tried in every order.
const mostCertificates = 32

/**
 * Orders `others` above `leaf` by their signatures. The order in which they were given is kept where it is a chain; so
 * a CA's choice between several ways to a root stands. Where there is a choice to be made, those still in force win.
 * @throws CertError CHAIN_BROKEN: one of them has nothing to do with the leaf
 */
export const orderChain = (
  leaf: Certificate,
  others: readonly Certificate[],
  isInForce: (one: Certificate) => boolean = () => true,
): Chain => {
  if (others.length > mostCertificates) {
    throw new CertError('CHAIN_BROKEN', `${others.length} certificates were given beside the leaf`, {
      hint: 'give the leaf and its intermediates only, not a whole trust store',
    })
  }
  const issuers = new Map([leaf, ...others].map((one) => [one, others.filter((other) => issued(other, one))]))
  const above = (one: Certificate): Certificate[] => issuers.get(one) ?? []
  const connected = reachable([leaf], above)
  const foreign = others.find((one) => !connected.has(one))
  if (foreign !== undefined) throw unconnected(leaf, foreign)

  const candidates = others.filter((one) => !one.issuedBy(one))
  const isChain = candidates.every((one, i) => above(candidates[i - 1] ?? leaf).includes(one))
  const intermediates = isChain ? candidates : climb(leaf, candidates, above, isInForce)
  return {
    intermediates,
    leftOut: candidates.filter((one) => !intermediates.includes(one)),
    rootGiven: above(intermediates.at(-1) ?? leaf).some((one) => !candidates.includes(one)),
  }
}

const issued = (issuer: Certificate, one: Certificate): boolean =>
  // Old roots are of version 1, which cannot say that they are authorities.
  issuer !== one && (issuer.isAuthority || issuer.issuedBy(issuer)) && one.issuedBy(issuer)

type Above = (one: Certificate) => readonly Certificate[]

const reachable = (from: readonly Certificate[], above: Above, without: ReadonlySet<Certificate> = new Set()) => {
  const seen = new Set<Certificate>()
  const queue = [...from]
  for (let one = queue.pop(); one !== undefined; one = queue.pop()) {
    if (seen.has(one) || without.has(one)) continue
    seen.add(one)
    queue.push(...above(one))
  }
  return seen
}

/** Goes up from the leaf, at each fork the way from which the most certificates can be reached. */
const climb = (
  leaf: Certificate,
  candidates: readonly Certificate[],
  above: Above,
  isInForce: (one: Certificate) => boolean,
): Certificate[] => {
  const path: Certificate[] = []
  for (;;) {
    const taken = new Set(path)
    const ways = above(path.at(-1) ?? leaf)
      .filter((one) => candidates.includes(one) && !taken.has(one))
      .map((one) => ({ one, reach: reachable([one], above, taken).size - (isInForce(one) ? 0 : mostCertificates) }))
    const best = ways.reduce<(typeof ways)[number] | undefined>(
      (most, way) => (most === undefined || way.reach > most.reach ? way : most),
      undefined,
    )
    if (best === undefined) return path
    path.push(best.one)
  }
}

const unconnected = (leaf: Certificate, foreign: Certificate): CertError => {
  const name = foreign.subject || `serial ${foreign.serial}`
  return new CertError(
    'CHAIN_BROKEN',
    `the certificate of ${name} is not part of the chain of ${leaf.subject || 'the leaf'}`,
    {
      hint:
        foreign.names.length > 0 && !foreign.isAuthority
          ? 'it is another server certificate: give the files of one certificate only'
          : `an intermediate between the two is missing, or it belongs to another certificate; the leaf was issued by ${leaf.issuer || 'somebody without a name'}`,
    },
  )
}
