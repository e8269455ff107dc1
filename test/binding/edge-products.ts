// CDN and DCDN differ in names alone: what is proven of the one is proven of the other.
import type { Domain, DomainOptions } from '../emulator/cdn/domain.js'
import type { DomainStore } from '../emulator/cdn/domain-store.js'
import type { Emulator } from '../emulator/emulator.js'

export interface EdgeProduct {
  /** As in target names and in RAM actions. */
  readonly name: 'cdn' | 'dcdn'
  readonly other: 'cdn' | 'dcdn'
  /** `--cdn-domain` */
  readonly flag: string
  /** As actions of the journal. */
  readonly set: string
  readonly look: string
  readonly list: string
  store(emulator: Emulator): DomainStore
  add(emulator: Emulator, name: string, options?: DomainOptions): Domain
}

export const cdn: EdgeProduct = {
  name: 'cdn',
  other: 'dcdn',
  flag: '--cdn-domain',
  set: 'cdn:SetCdnDomainSSLCertificate',
  look: 'cdn:DescribeDomainCertificateInfo',
  list: 'cdn:DescribeUserDomains',
  store: (emulator) => emulator.cdn,
  add: (emulator, name, options) => emulator.addCdnDomain(name, options),
}

export const dcdn: EdgeProduct = {
  name: 'dcdn',
  other: 'cdn',
  flag: '--dcdn-domain',
  set: 'dcdn:SetDcdnDomainSSLCertificate',
  look: 'dcdn:DescribeDcdnDomainCertificateInfo',
  list: 'dcdn:DescribeDcdnUserDomains',
  store: (emulator) => emulator.dcdn,
  add: (emulator, name, options) => emulator.addDcdnDomain(name, options),
}

export const products = [cdn, dcdn] as const
