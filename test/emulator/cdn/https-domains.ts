import { commonName } from '../cas/description.js'
import type { JsonObject } from '../json.js'
import { coversHost, dnsNames, isExpired } from '../key-pair.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Domain, DomainCertificate } from './domain.js'
import type { DomainStore } from './domain-store.js'
import type { Flavour } from './flavour.js'
import { pageOf } from './page.js'

/** `2018-12-26 14:45:09`, without a zone; that it is UTC is a guess. */
const spacedTime = (date: Date): string => date.toISOString().slice(0, 19).replace('T', ' ')

const covers = ({ leaf }: DomainCertificate, name: string): boolean =>
  name.startsWith('.') ? dnsNames(leaf).includes(`*${name}`) : coversHost(leaf, name)

const statusOf = (certificate: DomainCertificate, name: string, now: Date): string => {
  if (isExpired(certificate, now)) return 'expired'
  if (!covers(certificate, name)) return 'mismatch'
  return isExpired(certificate, new Date(now.getTime() + 30 * 86_400_000)) ? 'expire_soon' : 'ok'
}

const entry = ({ name }: Domain, certificate: DomainCertificate, now: Date): JsonObject => ({
  CertCommonName: commonName(certificate),
  CertExpireTime: spacedTime(new Date(certificate.leaf.validTo)),
  CertName: certificate.certName,
  CertStartTime: spacedTime(new Date(certificate.leaf.validFrom)),
  CertStatus: statusOf(certificate, name, now),
  CertType: certificate.certType,
  CertUpdateTime: spacedTime(certificate.updated),
  DomainName: name,
})

export const httpsDomains = ({ product, operations }: Flavour, store: DomainStore): PopOperation => ({
  name: operations.httpsDomains,
  metadata: metadataOf(product, operations.httpsDomains),
  resources: () => ['domain/*'],
  perform({ given, now }) {
    const { Keyword: keyword = '' } = given
    const found = store.domains.flatMap((domain) =>
      domain.https && domain.certificate && domain.name.includes(keyword)
        ? [entry(domain, domain.certificate, now)]
        : [],
    )
    return { TotalCount: found.length, CertInfos: { CertInfo: pageOf(found, given).page } }
  },
})
