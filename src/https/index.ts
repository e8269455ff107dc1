import { isIP } from 'node:net'
import { BucketConfiguration } from '../aliyun/bucket-configuration.js'
import type { CredentialSource } from '../aliyun/credentials.js'
import type { EdgeProduct } from '../aliyun/edge-domains.js'
import { ossEndpoint } from '../aliyun/endpoint.js'
import { boundDomains, edgeDomains } from '../aliyun/products.js'
import type { Permission } from '../aliyun/ram-policy.js'
import { canonicalName } from '../certificate/names.js'
import { CertError } from '../errors.js'
import type { HttpConnections } from '../http-connections.js'
import { bucketHttpsPermissions } from './bucket-permissions.js'
import { bucketPlace } from './bucket-place.js'
import { edgeHttpsPermissions } from './edge-permissions.js'
import { edgePlace } from './edge-place.js'
import type { HttpsPlace } from './https-place.js'

/** What places reach the world with; none of it is part of what they are. */
export interface HttpsContext {
  readonly credentials: CredentialSource
  readonly connections: HttpConnections
  /** Deadline of one request with its retries, in ms. */
  readonly timeout: number
  readonly now: () => Date
  readonly trace?: ((line: string) => void) | undefined
}

export type HttpsSettings = Readonly<Record<string, string | boolean>>

interface Kind {
  make(settings: HttpsSettings, context: HttpsContext): HttpsPlace
  permissions(settings: HttpsSettings): readonly Permission[]
}

const bucket: Kind = {
  make: (settings, context) => {
    const name = text(settings, 'bucket') ?? ''
    const endpoint = ossEndpoint({
      bucket: name,
      region: text(settings, 'region'),
      endpoint: text(settings, 'bucket-endpoint'),
      flag: '--bucket-endpoint',
    })
    const client = { ...context, bucket: name, endpoint, bucketEndpoint: endpoint }
    const edges = (['cdn', 'dcdn'] as const).map(
      (product) => edgeDomains(product, text(settings, `${product}-endpoint`), context).domains,
    )
    const { 'cdn-endpoint': _cdn, 'dcdn-endpoint': _dcdn, ...own } = settings
    return bucketPlace({
      bucket: name,
      domains: domainsIn(settings),
      configuration: new BucketConfiguration(client),
      bound: boundDomains(client),
      edges,
      settings: own,
    })
  },
  permissions: (settings) =>
    bucketHttpsPermissions({
      bucket: text(settings, 'bucket') ?? '',
      changes: true,
      certificates: text(settings, 'domains') !== undefined,
    }),
}

const domainsIn = (settings: HttpsSettings): string[] =>
  (text(settings, 'domains') ?? '').split(',').flatMap((one) => canonicalName(one) ?? [])

const edge = (product: EdgeProduct): Kind => ({
  make: (settings, context) => {
    const { domains } = edgeDomains(product, text(settings, `${product}-endpoint`), context)
    return edgePlace({ domain: edgeName(text(settings, 'domain') ?? ''), domains, settings })
  },
  permissions: (settings) => edgeHttpsPermissions({ product, domain: text(settings, 'domain') ?? '*' }),
})

/** As the product spells it. @throws CertError USAGE */
const edgeName = (domain: string): string => {
  const name = canonicalName(domain.replace(/^\./, '*.'))
  if (name !== undefined && isIP(name) === 0) return name.replace(/^\*/, '')
  throw new CertError('USAGE', `"${domain}" is not a domain`, { hint: 'such as www.example.com' })
}

const text = (settings: HttpsSettings, name: string): string | undefined => {
  const value = settings[name]
  return typeof value === 'string' && value !== '' ? value : undefined
}

/** The kinds of places whose HTTPS is seen to. A new one is a file and a line here. */
const kinds: Readonly<Record<string, Kind>> = { oss: bucket, cdn: edge('cdn'), dcdn: edge('dcdn') }

/**
 * Makes a place out of what was given, or of what was recorded in an earlier run. The domains of a bucket that are meant
 * stand in `domains`, with commas between them; a domain is spelled as its product does.
 * @throws CertError USAGE
 */
export const createHttpsPlace = (kind: string, settings: HttpsSettings, context: HttpsContext): HttpsPlace =>
  kindOf(kind).make(settings, context)

/** The rights that looking at a place's HTTPS and changing it uses. @throws CertError USAGE */
export const httpsPermissions = (kind: string, settings: HttpsSettings): readonly Permission[] =>
  kindOf(kind).permissions(settings)

const kindOf = (kind: string): Kind => {
  const found = Object.hasOwn(kinds, kind) ? kinds[kind] : undefined
  if (found !== undefined) return found
  throw new CertError('USAGE', `there is no HTTPS of "${kind}"`, { hint: `there is: ${Object.keys(kinds).join(', ')}` })
}
