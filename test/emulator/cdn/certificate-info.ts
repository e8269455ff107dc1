import { commonName } from '../cas/description.js'
import type { JsonObject } from '../json.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Domain, DomainCertificate } from './domain.js'
import type { DomainStore } from './domain-store.js'
import { domainResource, existingDomain, isoTime } from './existing-domain.js'
import type { Flavour } from './flavour.js'

const issuerOrganization = ({ leaf }: DomainCertificate): string =>
  /^O=(.*)$/m.exec(leaf.issuer)?.[1] ?? /^CN=(.*)$/m.exec(leaf.issuer)?.[1] ?? ''

const lifeInMonths = (certificate: DomainCertificate): string => {
  const ms = new Date(certificate.leaf.validTo).getTime() - new Date(certificate.leaf.validFrom).getTime()
  return `${Math.round(ms / (30 * 86_400_000))} months`
}

const common = (certificate: DomainCertificate): JsonObject => ({
  CertDomainName: commonName(certificate),
  CertExpireTime: isoTime(new Date(certificate.leaf.validTo)),
  CertId: certificate.certId,
  CertLife: lifeInMonths(certificate),
  CertName: certificate.certName,
  CertOrg: issuerOrganization(certificate),
  CertRegion: certificate.certRegion,
  CertType: certificate.certType,
  Status: 'success',
})

/** Only CDN tells when the certificate begins and when it was set. */
const cdnFields = ({ https, certificate }: Domain): JsonObject => ({
  DomainCnameStatus: 'ok',
  ServerCertificateStatus: https ? 'on' : 'off',
  ...(certificate && {
    CertStartTime: isoTime(new Date(certificate.leaf.validFrom)),
    CertUpdateTime: isoTime(certificate.updated),
    ServerCertificate: certificate.fullchain,
  }),
})

const dcdnFields = ({ https, certificate }: Domain): JsonObject => ({
  SSLProtocol: https ? 'on' : 'off',
  ...(certificate && { SSLPub: certificate.fullchain }),
})

export const certificateInfo = ({ product, operations }: Flavour, store: DomainStore): PopOperation => ({
  name: operations.certificateInfo,
  metadata: metadataOf(product, operations.certificateInfo),
  resources: domainResource,
  perform({ given }) {
    const domain = existingDomain(store, given)
    const { certificate } = domain
    const info = {
      DomainName: domain.name,
      ...(certificate && common(certificate)),
      ...(product === 'cdn' ? cdnFields(domain) : dcdnFields(domain)),
    }
    return { CertInfos: { CertInfo: [info] } }
  },
})
