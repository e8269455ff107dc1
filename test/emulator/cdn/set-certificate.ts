import type { CasStore } from '../cas/store.js'
import { type Flaw, isExpired, readKeyPair } from '../key-pair.js'
import { metadataOf } from '../pop/metadata.js'
import type { PopCall, PopOperation } from '../pop/operation.js'
import { PopRefusal } from '../pop/refusal.js'
import type { DomainCertificate } from './domain.js'
import type { DomainStore } from './domain-store.js'
import { checkState, domainResource, existingDomain } from './existing-domain.js'
import type { Flavour } from './flavour.js'

const flaws: Readonly<Record<Flaw, PopRefusal>> = {
  certificate: new PopRefusal(400, 'InvalidSSLPub', 'The specified SSLPub is invalid.'),
  key: new PopRefusal(400, 'InvalidSSLPri', 'The specified SSLPri is invalid.'),
  mismatch: new PopRefusal(400, 'Certificate.MissMatch', 'The SSLPri does not match the certificate.'),
}

const expired = (): PopRefusal => new PopRefusal(400, 'Certificate.Expired', 'The certificate has expired.')

const demanded = ({ given }: PopCall, name: string): string => {
  const value = given[name]
  if (value !== undefined) return value
  throw new PopRefusal(400, `${name}.MissingParameter`, `The ${name} parameter is required.`)
}

const checkCertName = ({ given }: PopCall): string => {
  const name = given['CertName']
  if (name === undefined) throw new PopRefusal(404, 'CertName.MissingParameter', 'You must specify CertName')
  if (name.length > 128) throw new PopRefusal(400, 'InvalidCertName.TooLong', 'The CertName is too long.')
  return name
}

const uploaded = (call: PopCall, store: DomainStore): DomainCertificate => {
  const pair = { fullchain: demanded(call, 'SSLPub'), key: demanded(call, 'SSLPri') }
  const certName = checkCertName(call)
  const read = readKeyPair(pair)
  if (typeof read === 'string') throw flaws[read]
  if (isExpired(read, call.now)) throw expired()
  const sameName = store.uploaded(certName)
  if (sameName !== undefined && sameName.fullchain.trim() !== read.fullchain.trim())
    throw new PopRefusal(400, 'Certificate.Duplicated', 'The certificate name already exists.')
  if (store.refuseSameContent && sameName === undefined && store.holds(read))
    throw new PopRefusal(
      400,
      'CertificateContent.Duplicated',
      'The certificate has been uploaded; do not upload again.',
    )
  return store.keep({ ...read, certName, certType: 'upload', certRegion: 'cn-hangzhou', updated: call.now })
}

const fromCas = ({ given, now }: PopCall, cas: CasStore): DomainCertificate => {
  const { CertId: certId, CertRegion: certRegion = 'cn-hangzhou' } = given
  if (certId === undefined)
    throw new PopRefusal(400, 'SetDomainCertificate.ParameterError', 'The CertId parameter is required.')
  if (!['cn-hangzhou', 'ap-southeast-1'].includes(certRegion))
    throw new PopRefusal(400, 'Abs.CertRegion.ValueNotSupported', 'The specified CertRegion is invalid.')
  const found = cas.find(Number(certId))
  if (found === undefined || found.region !== certRegion)
    throw new PopRefusal(400, 'Certificate.NotFind', 'The certificate does not exist.')
  if (isExpired(found, now)) throw expired()
  const { fullchain, key, leaf, sha256, name } = found
  return { fullchain, key, leaf, sha256, certName: name, certType: 'cas', certId, certRegion, updated: now }
}

const chosen = (call: PopCall, store: DomainStore, cas: CasStore): DomainCertificate => {
  const { CertType: type = 'upload' } = call.given
  if (type === 'upload') return uploaded(call, store)
  if (type === 'cas') return fromCas(call, cas)
  throw new PopRefusal(400, 'SetDomainCertificate.ParameterError', 'The specified CertType is invalid.')
}

/** Whether the certificate covers the domain is nobody's question here: the product lets it pass and reports a mismatch. */
export const setCertificate = ({ product, operations }: Flavour, store: DomainStore, cas: CasStore): PopOperation => ({
  name: operations.setCertificate,
  metadata: metadataOf(product, operations.setCertificate),
  resources: domainResource,
  perform(call) {
    const domain = existingDomain(store, call.given)
    const { SSLProtocol: protocol } = call.given
    if (protocol !== 'on' && protocol !== 'off')
      throw new PopRefusal(400, 'InvalidSSLProtocol.ValueNotSupported', 'The specified SSLProtocol is invalid.')
    checkState(domain)
    domain.host(protocol === 'on' ? chosen(call, store, cas) : undefined, store.configuringMs)
    return {}
  },
})
