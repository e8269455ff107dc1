import { certificatesOf } from '../key-pair.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import type { Given } from '../pop/parameters.js'
import { PopRefusal } from '../pop/refusal.js'
import { commonName, described, part } from './description.js'
import type { CasCertificate, CasStore } from './store.js'

const existing = (store: CasStore, given: Given): CasCertificate => {
  const certificate = store.find(Number(given['CertId']))
  if (certificate !== undefined) return certificate
  throw new PopRefusal(404, 'NotFound', 'The certificate does not exist.')
}

export const getUserCertificateDetail = (store: CasStore): PopOperation => ({
  name: 'GetUserCertificateDetail',
  metadata: metadataOf('cas', 'GetUserCertificateDetail'),
  resources: () => ['*'],
  perform({ given, now }) {
    const certificate = existing(store, given)
    const { leaf, fullchain, key } = certificate
    return store.tell({
      ...described(certificate, now),
      Id: certificate.id,
      Common: commonName(certificate),
      CertIdentifier: certificate.identifier,
      BuyInAliyun: false,
      NotBefore: new Date(leaf.validFrom).getTime(),
      NotAfter: new Date(leaf.validTo).getTime(),
      // The documents say that the filter drops both; nobody should lean on the certificate being there.
      ...(given['CertFilter'] === 'true' ? {} : { Cert: fullchain, Key: key }),
      // Whether the real one counts the leaf among them is not documented.
      CertChain: (certificatesOf(fullchain) ?? []).map((one) => ({
        CommonName: part('CN', one.subject ?? ''),
        IssuerCommonName: part('CN', one.issuer),
        NotBefore: new Date(one.validFrom).getTime(),
        NotAfter: new Date(one.validTo).getTime(),
        RemainDay: Math.floor((new Date(one.validTo).getTime() - now.getTime()) / 86_400_000),
      })),
    })
  },
})

/** The real service may look whether products still use it; that is not documented. */
export const deleteUserCertificate = (store: CasStore): PopOperation => ({
  name: 'DeleteUserCertificate',
  metadata: metadataOf('cas', 'DeleteUserCertificate'),
  resources: () => ['*'],
  perform({ given }) {
    store.remove(existing(store, given).id)
    return {}
  },
})

export const getCertWarehouseQuota = (store: CasStore): PopOperation => ({
  name: 'GetCertWarehouseQuota',
  metadata: metadataOf('cas', 'GetCertWarehouseQuota'),
  resources: () => ['*'],
  perform: () => ({ TotalQuota: store.quota, UseCount: store.certificates.length }),
})
