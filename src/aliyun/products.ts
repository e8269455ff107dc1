import type { HttpConnections } from '../http-connections.js'
import { BoundDomains } from './bound-domains.js'
import { type Caller, callerOf, stsVersion } from './caller.js'
import { CertificateService, casVersion } from './certificate-service.js'
import type { CredentialSource } from './credentials.js'
import { alidnsVersion, DnsZones } from './dns-zones.js'
import { EdgeDomains, type EdgeProduct, edgeVersion } from './edge-domains.js'
import { endpointUrl } from './endpoint.js'
import type { OssClientOptions } from './oss-client.js'
import { Pace } from './pace.js'
import { RpcClient } from './rpc.js'

export interface ProductsContext {
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one call with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly trace?: ((line: string) => void) | undefined
}

// The vendor allows an account 30 calls a second of each action that changes something; the certificate service answers
// 10 listings. All calls together stay below that, with room for others of the account. What AliDNS allows is not said.
const paces = { cdn: [22, 5], dcdn: [22, 5], cas: [6, 2], alidns: [18, 10], sts: [10, 2] } as const

// What is shared by all that go over the same connections: a certificate is uploaded once, and a limit holds for all.
const known = new WeakMap<HttpConnections, Map<string, unknown>>()

const shared = <T>(connections: HttpConnections, key: string, make: () => T): T => {
  const all = known.get(connections) ?? new Map<string, unknown>()
  known.set(connections, all)
  // A key has the kind of what it stands for in front.
  const found = all.get(key) as T | undefined
  if (found !== undefined) return found
  const made = make()
  all.set(key, made)
  return made
}

/** The domains of a bucket. */
export const boundDomains = (options: OssClientOptions): BoundDomains =>
  shared(
    options.connections,
    `oss-cname ${options.bucket} ${options.bucketEndpoint.url.origin}`,
    () => new BoundDomains(options),
  )

/**
 * CDN or DCDN at an endpoint, or at the vendor's own.
 * @throws CertError USAGE
 */
export const edgeDomains = (
  product: EdgeProduct,
  endpoint: string | undefined,
  context: ProductsContext,
): { readonly domains: EdgeDomains; readonly endpoint: string } => {
  const url = endpointUrl(`--${product}-endpoint`, endpoint ?? `https://${product}.aliyuncs.com`)
  const domains = shared(context.connections, `${product} ${url.origin}`, () => {
    const [perSecond, burst] = paces[product]
    const pace = new Pace(perSecond, burst)
    return new EdgeDomains(product, new RpcClient({ ...context, endpoint: url, version: edgeVersion(product), pace }))
  })
  return { domains, endpoint: url.origin }
}

/**
 * The certificate service at an endpoint, or at that of the vendor's own site in China.
 * @throws CertError USAGE
 */
export const certificateService = (
  endpoint: string | undefined,
  context: ProductsContext,
): { readonly service: CertificateService; readonly endpoint: string } => {
  const url = endpointUrl('--cas-endpoint', endpoint ?? 'https://cas.aliyuncs.com')
  const service = shared(context.connections, `cas ${url.origin}`, () => {
    const [perSecond, burst] = paces.cas
    const pace = new Pace(perSecond, burst)
    return new CertificateService(new RpcClient({ ...context, endpoint: url, version: casVersion, pace }))
  })
  return { service, endpoint: url.origin }
}

/**
 * AliDNS at an endpoint, or at the vendor's own.
 * @throws CertError USAGE
 */
export const dnsZones = (endpoint: string | undefined, context: ProductsContext): DnsZones => {
  const url = endpointUrl('--alidns-endpoint', endpoint ?? 'https://alidns.aliyuncs.com')
  return shared(context.connections, `alidns ${url.origin}`, () => {
    const [perSecond, burst] = paces.alidns
    const pace = new Pace(perSecond, burst)
    return new DnsZones(new RpcClient({ ...context, endpoint: url, version: alidnsVersion, pace }))
  })
}

/**
 * Whose credentials they are, by STS at an endpoint, or at the vendor's own.
 * @throws CertError USAGE at once; CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING, INTERRUPTED when asked
 */
export const caller = (
  endpoint: string | undefined,
  context: ProductsContext,
): { readonly url: URL; ask(signal: AbortSignal): Promise<Caller> } => {
  const url = endpointUrl('--sts-endpoint', endpoint ?? 'https://sts.aliyuncs.com')
  const [perSecond, burst] = paces.sts
  const client = new RpcClient({ ...context, endpoint: url, version: stsVersion, pace: new Pace(perSecond, burst) })
  return { url, ask: (signal) => callerOf(client, signal) }
}
