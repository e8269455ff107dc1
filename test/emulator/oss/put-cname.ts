import { coversHost, type Flaw, isExpired, type KeyPair, readKeyPair } from '../key-pair.js'
import { element } from '../xml.js'
import { type CnameRequest, readCnameRequest } from './cname-request.js'
import type { Cname, CnameCertificate } from './custom-domains.js'
import type { Operation, OssCall, Outcome } from './operation.js'
import { OssRefusal } from './refusal.js'

type Wanted = NonNullable<CnameRequest['certificate']>

const checkNotElsewhere = ({ bucket }: OssCall, bound: Cname | undefined): void => {
  if (bound === undefined || bound.bucket === bucket.name) return
  throw new OssRefusal(409, 'CnameAlreadyExists', 'The cname you specified is already existed.', undefined, [
    element('CnameType', 'CNAME_OSS'),
  ])
}

const checkFirstBinding = ({ bucket, domains, now }: OssCall, host: string): void => {
  if (domains.lacksFiling(host))
    throw new OssRefusal(404, 'NoSuchCnameInRecord', 'The cname you specified has no record in the ICP filing system.')
  if (!domains.owns(bucket.name, host, now))
    throw new OssRefusal(
      403,
      'NeedVerifyDomainOwnership',
      'Please verify domain ownership by CreateCnameToken and try again.',
      '0018-00000115',
    )
}

/** None of these codes is documented, nor are all the ECs; that bad uploads are refused is. */
const flaws: Readonly<Record<Flaw, OssRefusal>> = {
  certificate: new OssRefusal(400, 'CertificateInvalid', 'The certificate is not valid.', '0018-00000201'),
  key: new OssRefusal(400, 'PrivateKeyInvalid', 'The private key is not valid.', '0018-00000210'),
  mismatch: new OssRefusal(400, 'CertificateKeyMismatch', 'The key is not that of the certificate.', '0018-00000202'),
}

const refusedCertificate = (code: string, message: string): OssRefusal =>
  new OssRefusal(400, code, message, '0018-00000203')

const invalidCasId = (ec: string): OssRefusal =>
  new OssRefusal(
    400,
    'CertificateInvalidCasId',
    'The CAS ID is invalid: not exist or not belong to the owner of the bucket',
    ec,
  )

const fromCas = ({ domains: { cas }, now }: OssCall, certId: string): CnameCertificate => {
  if (Buffer.byteLength(certId) >= 64) throw invalidCasId('0018-00000206')
  const found = cas.byIdentifier(certId)
  if (found === undefined) throw invalidCasId('0018-00000204')
  const { fullchain, key, leaf, sha256 } = found
  return { fullchain, key, leaf, sha256, certId, type: 'CAS', created: now }
}

/** What was sent along, if anything; `undefined` where an identifier says it all. */
const sentAlong = ({ CertId: certId, Certificate: fullchain, PrivateKey: key }: Wanted): KeyPair | undefined => {
  if (certId !== undefined && fullchain === undefined && key === undefined) return undefined
  const read = readKeyPair({ fullchain: fullchain ?? '', key: key ?? '' })
  if (typeof read === 'string') throw flaws[read]
  return read
}

const checkGood = ({ now }: OssCall, host: string, pair: KeyPair): void => {
  if (isExpired(pair, now)) throw refusedCertificate('CertificateExpired', 'The certificate has expired.')
  if (!coversHost(pair.leaf, host))
    throw refusedCertificate('CertificateDomainMismatch', 'The certificate does not cover the domain.')
}

/** Optimistic where the caller says what is bound, else by force alone. */
const checkReplacement = ({ PreviousCertId: previous, Force: force }: Wanted, bound: Cname | undefined): void => {
  if (force === 'true') return
  if (previous !== undefined && previous === bound?.certificate?.certId) return
  throw new OssRefusal(
    409,
    'CasRenewCertificateConflict',
    'The certificate bound is not the previous one that you named.',
    '0018-00000209',
  )
}

/** The service keeps what is uploaded to it in the certificate store of the account. */
const kept = ({ domains: { cas }, now }: OssCall, sent: KeyPair | undefined): CnameCertificate => {
  if (sent === undefined) throw new Error('neither an identifier nor a certificate')
  return { ...sent, certId: cas.add(sent).identifier, type: 'Upload', created: now }
}

const certificateFor = (call: OssCall, host: string, wanted: Wanted, bound: Cname | undefined): CnameCertificate => {
  for (const action of [
    'DescribeSSLCertificatePrivateKey',
    'DescribeSSLCertificatePublicKeyDetail',
    'CreateSSLCertificate',
  ])
    call.demand(`yundun-cert:${action}`, '*')
  const { CertId: certId } = wanted
  const sent = sentAlong(wanted)
  const known = certId === undefined ? undefined : fromCas(call, certId)
  for (const pair of [sent, known]) if (pair !== undefined) checkGood(call, host, pair)
  checkReplacement(wanted, bound)
  // Sent together, the identifier is what is bound.
  return known ?? kept(call, sent)
}

const perform = (call: OssCall): Outcome => {
  const { request, bucket, domains, now } = call
  const { host, certificate: wanted } = readCnameRequest(request, 'Status', 'CertificateConfiguration')
  const bound = domains.find(host)
  checkNotElsewhere(call, bound)
  if (bound === undefined) checkFirstBinding(call, host)
  const certificate =
    wanted?.['DeleteCertificate'] === 'true' ? undefined : wanted && certificateFor(call, host, wanted, bound)
  domains.bind({
    host,
    bucket: bucket.name,
    modified: now,
    certificate: wanted === undefined ? bound?.certificate : certificate,
  })
  return {
    status: 200,
    headers: certificate === undefined ? {} : { 'x-oss-yundun-certificate-id': certificate.certId },
  }
}

export const putCname: Operation = {
  action: 'oss:PutCname',
  method: 'POST',
  on: 'bucket',
  query: { cname: true, comp: 'add' },
  data: false,
  perform,
}
