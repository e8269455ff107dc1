import type { JsonObject } from '../json.js'
import { isExpired } from '../key-pair.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopOperation } from '../pop/operation.js'
import { PopRefusal } from '../pop/refusal.js'
import { commonName, described } from './description.js'
import type { CasCertificate, CasStore } from './store.js'

const orderTypes = ['BUY', 'CERT', 'CPACK', 'UPLOAD']

const soon = 30 * 86_400_000

const statusOf = (certificate: CasCertificate, now: Date): string => {
  if (isExpired(certificate, now)) return 'EXPIRED'
  return new Date(certificate.leaf.validTo).getTime() - now.getTime() < soon ? 'WILLEXPIRED' : 'ISSUED'
}

const entry = (certificate: CasCertificate, now: Date): JsonObject => ({
  ...described(certificate, now),
  CertificateId: certificate.id,
  CommonName: commonName(certificate),
  Status: statusOf(certificate, now),
  SourceType: 'upload',
  Upload: true,
})

const concerns = (keyword: string, { CommonName, InstanceId, Sans }: JsonObject): boolean =>
  [CommonName, InstanceId, Sans].some((text) => String(text).includes(keyword))

const wholeNumber = (text: string | undefined, otherwise: number): number => {
  const value = Number(text ?? otherwise)
  if (value >= 1) return value
  throw new PopRefusal(400, 'InvalidParameter', 'A page and its size are at least 1.')
}

export const listUserCertificateOrder = (store: CasStore): PopOperation => ({
  name: 'ListUserCertificateOrder',
  metadata: metadataOf('cas', 'ListUserCertificateOrder'),
  resources: () => ['*'],
  perform({ given, now }) {
    // Not sending the type asks for orders, of which an account that only uploads has none.
    const { OrderType: type = 'CPACK', Keyword: keyword = '', Status: status } = given
    if (!orderTypes.includes(type)) throw new PopRefusal(400, 'InvalidParameter', 'The OrderType is not valid.')
    const page = wholeNumber(given['CurrentPage'], 1)
    const size = wholeNumber(given['ShowSize'], 50)
    const wanted = status === undefined ? ['ISSUED', 'WILLEXPIRED'] : [status]
    const all = type === 'CPACK' || type === 'BUY' ? [] : store.certificates.map((one) => entry(one, now))
    const found = all.filter((one) => wanted.includes(String(one['Status'])) && concerns(keyword, one))
    return store.tell({
      CurrentPage: page,
      ShowSize: size,
      TotalCount: found.length,
      CertificateOrderList: found.slice((page - 1) * size, page * size).map((one) => store.tell(one)),
    })
  },
})
