import type { JsonObject } from '../json.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Domain } from './domain.js'
import type { DomainStore } from './domain-store.js'
import { domainResource, existingDomain, isoTime } from './existing-domain.js'
import type { Flavour } from './flavour.js'

/** What DNS should lead to. */
export const cnameOf = ({ name }: Domain, { cnameSuffix }: Flavour): string =>
  `${name.replace(/^\./, 'all.')}.${cnameSuffix}`

export const sourceOf = ({ origin }: Domain): JsonObject => ({
  Content: origin === undefined ? 'origin.example.com' : `${origin}.oss-cn-hangzhou.aliyuncs.com`,
  Port: 80,
  Priority: '20',
  Type: origin === undefined ? 'domain' : 'oss',
  Weight: '10',
})

const common = (domain: Domain, flavour: Flavour): JsonObject => ({
  Cname: cnameOf(domain, flavour),
  Description: '',
  DomainName: domain.name,
  DomainStatus: domain.status,
  GmtCreated: isoTime(domain.created),
  GmtModified: isoTime(domain.modified),
  ResourceGroupId: 'rg-default',
  Scope: 'domestic',
})

const detailOf = (domain: Domain, flavour: Flavour): JsonObject => {
  const source = { ...sourceOf(domain), Enabled: 'online' }
  if (flavour.product === 'cdn')
    return {
      GetDomainDetailModel: {
        ...common(domain, flavour),
        CdnType: 'web',
        HttpsCname: domain.https ? cnameOf(domain, flavour) : '',
        ServerCertificateStatus: domain.https ? 'on' : 'off',
        SourceModels: { SourceModel: [source] },
      },
    }
  return {
    DomainDetail: {
      ...common(domain, flavour),
      FunctionType: 'routine',
      SSLProtocol: domain.https ? 'on' : 'off',
      SSLPub: domain.certificate?.fullchain,
      Scene: 'apiscene',
      Sources: { Source: [source] },
    },
  }
}

export const domainDetail = (flavour: Flavour, store: DomainStore): PopOperation => ({
  name: flavour.operations.domainDetail,
  metadata: metadataOf(flavour.product, flavour.operations.domainDetail),
  resources: domainResource,
  perform: ({ given }) => detailOf(existingDomain(store, given), flavour),
})
