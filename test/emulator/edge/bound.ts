import type { Domain } from '../cdn/domain.js'
import type { DomainStore } from '../cdn/domain-store.js'
import type { KeyPair } from '../key-pair.js'
import type { Bucket } from '../oss/bucket.js'
import type { CustomDomains } from '../oss/custom-domains.js'
import { chosenVersions } from '../oss/https-config.js'
import type { EdgeProduct } from './edge.js'
import type { VersionsOf } from './tls-versions.js'

export interface Cloud {
  readonly cdn: DomainStore
  readonly dcdn: DomainStore
  readonly domains: CustomDomains
  readonly bucketOf: (name: string) => Bucket | undefined
}

const accelerators = ['cdn', 'dcdn'] as const

/** The certificate that a host shows: of CDN or DCDN where HTTPS is on there, else of the bucket. */
export const boundAt =
  (cloud: Cloud, products: readonly EdgeProduct[]) =>
  (host: string, time: number): KeyPair | undefined => {
    for (const product of accelerators) {
      const shown = products.includes(product) ? cloud[product].serving(host)?.shownAt(time) : undefined
      if (shown !== undefined) return shown
    }
    return products.includes('oss') ? cloud.domains.shownAt(host, time) : undefined
  }

const tlsArguments = { '1.0': 'tls10', '1.1': 'tls11', '1.2': 'tls12', '1.3': 'tls13' }

/** The TLS versions that were chosen for the domain of a host; undefined where none were. */
export const versionsOf =
  (cloud: Cloud, products: readonly EdgeProduct[]): VersionsOf =>
  (host) => {
    for (const product of accelerators) {
      const chosen = products.includes(product) ? cloud[product].serving(host)?.inForce('https_tls_version') : undefined
      if (chosen === undefined) continue
      const spoken = Object.entries(tlsArguments).flatMap(([version, name]) => (chosen[name] === 'on' ? [version] : []))
      return spoken.length === 0 ? undefined : spoken
    }
    const bound = products.includes('oss') ? cloud.domains.find(host) : undefined
    return bound && chosenVersions(cloud.bucketOf(bound.bucket)?.httpsConfig)
  }

/** The accelerated domain that answers for a host, with a bucket behind it. */
export const domainOf =
  (cloud: Cloud, products: readonly EdgeProduct[]) =>
  (host: string): { readonly product: 'cdn' | 'dcdn'; readonly domain: Domain } | undefined => {
    for (const product of accelerators) {
      const domain = products.includes(product) ? cloud[product].serving(host) : undefined
      if (domain?.origin !== undefined) return { product, domain }
    }
    return undefined
  }
