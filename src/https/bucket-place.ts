import type { BoundDomain, BoundDomains } from '../aliyun/bound-domains.js'
import type { BucketConfiguration } from '../aliyun/bucket-configuration.js'
import { isHostOfBucket } from '../aliyun/bucket-host.js'
import type { EdgeDomain, EdgeDomains } from '../aliyun/edge-domains.js'
import { vendorCode } from '../aliyun/rpc.js'
import { CertError } from '../errors.js'
import type { Look } from '../object-store.js'
import { interrupted } from '../patience.js'
import { certificatePart, planBucket } from './bucket-plan.js'
import { isOff, readConfiguration } from './https-configuration.js'
import type { HttpsFacts, HttpsPlace, HttpsState } from './https-place.js'
import { deniesPlainHttp, readPolicy } from './policy-statement.js'

export interface BucketPlaceOptions {
  readonly bucket: string
  /** Whose hosted certificates are meant, as `canonicalName` spells them; all that are bound and enabled where empty. */
  readonly domains: readonly string[]
  readonly configuration: BucketConfiguration
  readonly bound: BoundDomains
  /** Where domains may be that fetch from the bucket. */
  readonly edges: readonly EdgeDomains[]
  /** What it takes to make this place again. */
  readonly settings: HttpsPlace['settings']
}

/** A bucket, with the domains that are bound to it. */
export const bucketPlace = (options: BucketPlaceOptions): HttpsPlace => {
  const { bucket, settings, bound } = options
  return {
    kind: 'oss',
    // No two buckets are called alike, wherever they are reached.
    identity: `oss ${bucket}`,
    name: `bucket ${bucket}`,
    settings,
    hosts: async (signal) => hostsOf(options, await bound.list(signal)),
    read: (signal, scope) => (scope === undefined ? readBucket(options, signal) : readPolicyOf(options, signal)),
    plan: (aim, state) => planBucket(options, aim, state),
    isAlike: (part, one, other) => part === 'tls' && isOff(one) && isOff(other),
    certificatesIn: (parts) =>
      Object.keys(parts).filter((part) => part.startsWith(certificatePart('')) && parts[part] !== null),
    hazards: (signal) => hazardsOf(options, signal),
  }
}

const hostsOf = ({ bucket, domains }: BucketPlaceOptions, look: Look<readonly BoundDomain[]>): string[] => {
  if (look.status === 'found') return enabledOf(look.value).map(({ domain }) => domain)
  // Whoever may not look can still be told.
  if (domains.length === 0) throw mayNotList(bucket)
  return [...domains]
}

const enabledOf = (all: readonly BoundDomain[]): BoundDomain[] => all.filter(({ isEnabled }) => isEnabled)

const mayNotList = (bucket: string): CertError =>
  new CertError('CLOUD_REFUSED', `the domains of ${bucket} may not be listed`, {
    hint: `grant the RAM user oss:ListCname on acs:oss:*:*:${bucket}`,
    vendor: { code: 'AccessDenied' },
  })

const notBound = (domain: string, bucket: string): CertError =>
  new CertError('USAGE', `${domain} is not bound to the bucket ${bucket}`, {
    hint: 'look for a typing error; the console shows the domains of a bucket',
  })

/** All that `relax` needs. */
const readPolicyOf = async (options: BucketPlaceOptions, signal: AbortSignal): Promise<HttpsState> => {
  const policy = (await options.configuration.read('policy', signal)) ?? null
  const parts = { policy }
  return { parts, unread: {}, facts: { ...otherFacts, ...factsOf(options, parts), https: null } }
}

const readBucket = async (options: BucketPlaceOptions, signal: AbortSignal): Promise<HttpsState> => {
  const { bucket, domains, configuration, bound } = options
  const [tls, policy, look] = await Promise.all([
    // Whatever is wrong with it, plain HTTP can be let in again without.
    orRefusal(
      ({ code }) => code === 'CLOUD_REFUSED',
      () => configuration.read('httpsConfig', signal),
    ),
    orRefusal(
      ({ vendor }) => vendor?.code === 'AccessDenied',
      () => configuration.read('policy', signal),
    ),
    bound.list(signal),
  ])
  const parts: Record<string, string | null> = {}
  const unread: Record<string, CertError> = {}
  const documents = { tls, policy }
  for (const [part, text] of Object.entries(documents)) {
    if (text instanceof CertError) unread[part] = text
    else parts[part] = text ?? null
  }
  if (look.status === 'found') {
    const named = domains.length > 0 ? domains : enabledOf(look.value).map(({ domain }) => domain)
    for (const domain of named) {
      const found = look.value.find((one) => one.domain === domain)
      if (found === undefined) unread[certificatePart(domain)] = notBound(domain, bucket)
      else parts[certificatePart(domain)] = found.certificate?.id ?? null
    }
  } else {
    for (const domain of domains.length > 0 ? domains : ['*']) unread[certificatePart(domain)] = mayNotList(bucket)
  }
  return { parts, unread, facts: { ...otherFacts, ...factsOf(options, parts), https: answersHttps(look) } }
}

/** Being refused to look is an answer; everything else that goes wrong is thrown on. */
const orRefusal = async (
  isRefusal: (error: CertError) => boolean,
  read: () => Promise<string | undefined>,
): Promise<string | undefined | CertError> => {
  try {
    return await read()
  } catch (error) {
    if (error instanceof CertError && isRefusal(error)) return error
    throw error
  }
}

/** Of what a bucket has nothing. */
const otherFacts = { redirectCode: null, hsts: null, http2: null, gzip: null, brotli: null } as const

const factsOf = (
  { bucket }: BucketPlaceOptions,
  { tls, policy }: HttpsState['parts'],
): Pick<HttpsFacts, 'tls' | 'plainHttp'> => {
  const configured = typeof tls === 'string' ? readConfiguration(tls) : undefined
  return { tls: configured?.isOn ? configured.tls : null, plainHttp: plainHttpOf(policy, bucket) }
}

const plainHttpOf = (policy: string | null | undefined, bucket: string): HttpsFacts['plainHttp'] => {
  if (policy === undefined) return null
  const read = policy === null ? undefined : readPolicy(policy)
  if (typeof read === 'string') return null
  return read?.statements.some(({ value }) => deniesPlainHttp(value, bucket)) ? 'denied' : 'answered'
}

const answersHttps = (look: Look<readonly BoundDomain[]>): boolean | null => {
  const enabled = look.status === 'found' ? enabledOf(look.value) : []
  return enabled.length === 0 ? null : enabled.every(({ certificate }) => certificate?.isEnabled === true)
}

const hazardsOf = async (options: BucketPlaceOptions, signal: AbortSignal): Promise<string[]> => {
  const { bucket, edges, bound } = options
  const look = await orUnknown(() => bound.list(signal), signal)
  const own = look?.status === 'found' ? look.value.map(({ domain }) => domain) : []
  const isOurs = (origin: string) => isHostOfBucket(origin, bucket) || own.includes(origin)
  const found = await Promise.all(
    edges.map(async (edge) => {
      const all = await orUnknown(() => domainsOf(edge, signal), signal)
      return all
        ?.filter(({ origins }) => origins.some(isOurs))
        .map(({ domain }) => `${edge.product.toUpperCase()} domain ${domain}`)
    }),
  )
  const sentences = found
    .flatMap((domains) => domains ?? [])
    .map(
      (domain) =>
        `${domain} fetches from the bucket ${bucket}: what it fetches by plain HTTP is denied, so have it fetch by HTTPS first (origin protocol)`,
    )
  const isKnown = edges.length > 0 && found.every((domains) => domains !== undefined)
  return isKnown
    ? sentences
    : [
        ...sentences,
        `which CDN and DCDN domains fetch from the bucket ${bucket} is not known: what they fetch by plain HTTP is denied, so have them fetch by HTTPS first (origin protocol)`,
      ]
}

/** Who does not use the product has no domains there. */
const domainsOf = async (edge: EdgeDomains, signal: AbortSignal): Promise<EdgeDomain[] | undefined> => {
  try {
    return await edge.listIfPermitted(signal)
  } catch (error) {
    if (vendorCode(error) === `${edge.product}servicenotfound`) return []
    throw error
  }
}

/** A warning is not worth failing for. */
const orUnknown = async <T>(ask: () => Promise<T>, signal: AbortSignal): Promise<T | undefined> => {
  try {
    return await ask()
  } catch (error) {
    if (signal.aborted) throw interrupted()
    if (error instanceof CertError) return undefined
    throw error
  }
}
