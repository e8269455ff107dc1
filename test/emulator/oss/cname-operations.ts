import { accountId } from '../account.js'
import { element, type Xml, xmlDocument } from '../xml.js'
import { checkHost, readCnameRequest } from './cname-request.js'
import type { Cname, CnameCertificate, CnameToken, CustomDomains } from './custom-domains.js'
import type { Operation, Outcome } from './operation.js'
import { putCname } from './put-cname.js'
import { OssRefusal } from './refusal.js'

const xml = (root: Xml): Outcome => ({
  status: 200,
  headers: { 'Content-Type': 'application/xml' },
  body: xmlDocument(root),
})

const tokenDocument = ({ bucket, host, token, expires }: CnameToken): Outcome =>
  xml(
    element('CnameToken', [
      element('Bucket', bucket),
      element('Cname', host),
      element('Token', token),
      element('ExpireTime', expires.toUTCString()),
    ]),
  )

const createCnameToken: Operation = {
  action: 'oss:CreateCnameToken',
  method: 'POST',
  on: 'bucket',
  query: { cname: true, comp: 'token' },
  data: false,
  perform({ request, bucket, domains, now }) {
    const { host } = readCnameRequest(request)
    return tokenDocument(domains.createToken(bucket.name, host, now))
  },
}

const getCnameToken: Operation = {
  action: 'oss:GetCnameToken',
  method: 'GET',
  on: 'bucket',
  query: { cname: true, comp: 'token' },
  data: false,
  perform({ request, bucket, domains, now }) {
    const host = (request.query['cname'] ?? '').toLowerCase()
    checkHost(host)
    const token = domains.token(bucket.name, host, now)
    if (token === undefined)
      throw new OssRefusal(404, 'NoSuchCname', 'The specified cname does not exist.', undefined, [
        element('Cname', host),
      ])
    return tokenDocument(token)
  },
}

const certificateElement = (certificate: CnameCertificate, { fingerprintOf }: CustomDomains): Xml =>
  element('Certificate', [
    element('Type', certificate.type),
    element('CertId', certificate.certId),
    element('Status', 'Enabled'),
    element('CreationDate', certificate.created.toUTCString()),
    element('Fingerprint', fingerprintOf(certificate.leaf)),
    element('ValidStartDate', new Date(certificate.leaf.validFrom).toUTCString()),
    element('ValidEndDate', new Date(certificate.leaf.validTo).toUTCString()),
  ])

const cnameElement = ({ host, modified, certificate }: Cname, domains: CustomDomains): Xml =>
  element('Cname', [
    element('Domain', host),
    element('LastModified', modified.toISOString()),
    element('Status', 'Enabled'),
    certificate && certificateElement(certificate, domains),
  ])

const listCname: Operation = {
  action: 'oss:ListCname',
  method: 'GET',
  on: 'bucket',
  query: { cname: true },
  data: false,
  perform: ({ bucket, domains }) =>
    xml(
      element('ListCnameResult', [
        element('Bucket', bucket.name),
        element('Owner', accountId),
        ...domains.of(bucket.name).map((one) => cnameElement(one, domains)),
      ]),
    ),
}

/** Also a success where nothing was bound, and without effect on what another bucket has. */
const deleteCname: Operation = {
  action: 'oss:DeleteCname',
  method: 'POST',
  on: 'bucket',
  query: { cname: true, comp: 'delete' },
  data: false,
  perform({ request, bucket, domains }) {
    const { host } = readCnameRequest(request)
    if (domains.find(host)?.bucket === bucket.name) domains.unbind(host)
    return { status: 200 }
  },
}

/** A bucket's custom domains. */
export const cnameOperations: readonly Operation[] = [createCnameToken, getCnameToken, putCname, listCname, deleteCname]
