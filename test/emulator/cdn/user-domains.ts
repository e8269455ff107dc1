import type { JsonObject } from '../json.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'
import type { Domain } from './domain.js'
import { cnameOf, sourceOf } from './domain-detail.js'
import type { DomainStore } from './domain-store.js'
import { isoTime } from './existing-domain.js'
import type { Flavour } from './flavour.js'
import { pageOf } from './page.js'

const searches: Readonly<Record<string, (name: string, wanted: string) => boolean>> = {
  fuzzy_match: (name, wanted) => name.includes(wanted),
  pre_match: (name, wanted) => name.startsWith(wanted),
  suf_match: (name, wanted) => name.endsWith(wanted),
  full_match: (name, wanted) => name === wanted,
}

/** `CheckDomainShow` only widens a list that shows everything here anyway. */
const understood = ['CheckDomainShow', 'DomainName', 'DomainSearchType', 'DomainStatus', 'PageNumber', 'PageSize']

const filtered = (domains: readonly Domain[], given: Given): readonly Domain[] => {
  const other = Object.keys(given).find((name) => !understood.includes(name))
  if (other !== undefined) throw new PopRefusal(400, 'NotImplemented', `The emulator does not filter by ${other}.`)
  const { DomainName: wanted = '', DomainSearchType: type = 'full_match', DomainStatus: status } = given
  const search = searches[type]
  if (search === undefined)
    throw new PopRefusal(400, 'InvalidDomainSearchType.ValueNotSupported', 'The DomainSearchType is invalid.')
  return domains.filter(
    (domain) => (wanted === '' || search(domain.name, wanted)) && (status === undefined || domain.status === status),
  )
}

const entry = (domain: Domain, flavour: Flavour): JsonObject => ({
  Cname: cnameOf(domain, flavour),
  Description: '',
  DomainId: domain.id,
  DomainName: domain.name,
  DomainStatus: domain.status,
  GmtCreated: isoTime(domain.created),
  GmtModified: isoTime(domain.modified),
  ResourceGroupId: 'rg-default',
  Sandbox: 'normal',
  Sources: { Source: [sourceOf(domain)] },
  ...(flavour.product === 'cdn'
    ? { CdnType: 'web', Coverage: 'domestic', SslProtocol: domain.https ? 'on' : 'off' }
    : { SSLProtocol: domain.https ? 'on' : 'off' }),
})

export const userDomains = (flavour: Flavour, store: DomainStore): PopOperation => ({
  name: flavour.operations.userDomains,
  metadata: metadataOf(flavour.product, flavour.operations.userDomains),
  resources: () => ['domain/*'],
  perform({ given }) {
    const found = filtered(store.domains, given)
    const { page, number, size } = pageOf(found, given)
    return {
      PageNumber: number,
      PageSize: size,
      TotalCount: found.length,
      Domains: { PageData: page.map((domain) => entry(domain, flavour)) },
    }
  },
})
