import { readXml, type XmlNode } from '../read-xml.js'
import type { WireRequest } from '../wire-request.js'
import { checkDigest } from './digest.js'
import { invalidArgument, malformedXml } from './refusal.js'

type Texts = Readonly<Record<string, string | undefined>>

/** What a request about a domain says. */
export interface CnameRequest {
  readonly host: string
  /** The elements of `CertificateConfiguration`, where there is one. */
  readonly certificate: Texts | undefined
}

/** The children by name; none may come twice, and none that is not known may come at all. */
const childrenOf = (node: XmlNode, known: readonly string[]): ReadonlyMap<string, XmlNode> => {
  const children = new Map(node.children.map((child) => [child.name, child]))
  if (children.size !== node.children.length || [...children.keys()].some((name) => !known.includes(name)))
    throw malformedXml()
  return children
}

const textsOf = (node: XmlNode, known: readonly string[]): Texts =>
  Object.fromEntries(
    [...childrenOf(node, known)].map(([name, child]) => {
      if (child.children.length > 0) throw malformedXml()
      return [name, child.text]
    }),
  )

const certificateElements = ['CertId', 'Certificate', 'DeleteCertificate', 'Force', 'PreviousCertId', 'PrivateKey']

const isFlag = (text: string | undefined): boolean => text === undefined || text === 'true' || text === 'false'

const readCertificate = (node: XmlNode): Texts => {
  const texts = textsOf(node, certificateElements)
  const { CertId: id, Certificate: certificate, PrivateKey: key, DeleteCertificate: remove, Force: force } = texts
  if (!isFlag(remove) || !isFlag(force)) throw malformedXml()
  const brings = id !== undefined || certificate !== undefined || key !== undefined
  // Seen by others: taking a certificate away and forcing it exclude each other.
  if (remove === 'true' && (force !== undefined || brings)) throw malformedXml()
  if (remove !== 'true' && !brings) throw malformedXml()
  return texts
}

const reserved = ['aliyuncs.com', 'aliyun.com', 'aliyun-inc.com', 'taobaocdn.com', 'taobao.com']

const label = '[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?'

/** Throws unless the name is one that a bucket can have; wildcards are not. */
export const checkHost = (host: string): void => {
  if (host.length < 4) throw invalidArgument('The domain name is too short.', 'Domain', host, '0017-00000249')
  if (!new RegExp(`^${label}(?:\\.${label})+$`).test(host) || host.length > 253)
    throw invalidArgument('The domain name is not valid.', 'Domain', host)
  if (reserved.some((suffix) => host === suffix || host.endsWith(`.${suffix}`)))
    throw invalidArgument('The domain name is reserved.', 'Domain', host, '0018-00000401')
}

/** Of the elements that may stand beside `Domain`, each operation knows its own. */
export const readCnameRequest = (request: WireRequest, ...beside: readonly string[]): CnameRequest => {
  checkDigest(request)
  const root = readXml(request.body.toString('utf8'))
  if (root?.name !== 'BucketCnameConfiguration') throw malformedXml()
  const cname = childrenOf(root, ['Cname']).get('Cname')
  if (cname === undefined) throw malformedXml()
  const children = childrenOf(cname, ['Domain', ...beside])
  const host = children.get('Domain')?.text.toLowerCase()
  if (host === undefined) throw malformedXml()
  checkHost(host)
  const configuration = children.get('CertificateConfiguration')
  return { host, certificate: configuration && readCertificate(configuration) }
}
