import { readXml, type XmlNode } from '../read-xml.js'
import { checkDigest } from './digest.js'
import type { Operation } from './operation.js'
import { malformedXml, OssRefusal } from './refusal.js'

const versions: readonly string[] = ['TLSv1.0', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']
const ciphers: readonly string[] = ['Enable', 'StrongCipherSuite', 'CustomCipherSuite', 'TLS13CustomCipherSuite']

const textsOf = (node: XmlNode, name: string): readonly string[] =>
  node.children.filter((child) => child.name === name).map(({ text }) => text.trim())

const isFlag = (texts: readonly string[]): boolean => texts.length === 1 && /^(true|false)$/.test(texts[0] ?? '')

const isTls = (tls: XmlNode): boolean => {
  const enable = textsOf(tls, 'Enable')
  const chosen = textsOf(tls, 'TLSVersion')
  return (
    isFlag(enable) &&
    chosen.length + 1 === tls.children.length &&
    chosen.every((version) => versions.includes(version)) &&
    (enable[0] === 'false' || chosen.length > 0)
  )
}

const isCipherSuite = (suite: XmlNode): boolean =>
  isFlag(textsOf(suite, 'Enable')) && suite.children.every(({ name }) => ciphers.includes(name))

const check = (document: string): void => {
  const root = readXml(document)
  if (root?.name !== 'HttpsConfiguration') throw malformedXml()
  const [first, second, ...more] = root.children.toSorted((a, b) => (a.name > b.name ? -1 : 1))
  if (first?.name !== 'TLS' || !isTls(first) || more.length > 0) throw malformedXml()
  if (second !== undefined && (second.name !== 'CipherSuite' || !isCipherSuite(second))) throw malformedXml()
}

/** The TLS versions that are switched on, such as `1.2`; undefined where the service's own choice holds. */
export const chosenVersions = (document: string | undefined): readonly string[] | undefined => {
  const tls = readXml(document ?? '')?.children.find(({ name }) => name === 'TLS')
  if (tls === undefined || textsOf(tls, 'Enable')[0] !== 'true') return undefined
  return textsOf(tls, 'TLSVersion').map((version) => version.replace('TLSv', ''))
}

/** A bucket's TLS versions and ciphers. A new configuration takes the place of the whole old one. */
export const httpsConfigOperations: readonly Operation[] = [
  {
    action: 'oss:GetBucketHttpsConfig',
    orAction: 'oss:GetTLSVersion',
    method: 'GET',
    on: 'bucket',
    query: { httpsConfig: true },
    data: false,
    perform({ bucket: { httpsConfig } }) {
      if (httpsConfig === undefined)
        throw new OssRefusal(404, 'NoSuchHttpsConfig', 'The https configuration does not exist.')
      return { status: 200, headers: { 'Content-Type': 'application/xml' }, body: Buffer.from(httpsConfig) }
    },
  },
  {
    action: 'oss:PutBucketHttpsConfig',
    orAction: 'oss:PutTLSVersion',
    method: 'PUT',
    on: 'bucket',
    query: { httpsConfig: true },
    data: false,
    perform({ bucket, request }) {
      checkDigest(request)
      const document = request.body.toString('utf8')
      check(document)
      bucket.httpsConfig = document
      return { status: 200 }
    },
  },
]
