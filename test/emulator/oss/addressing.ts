import { isIP } from 'node:net'
import { percentDecode } from '../percent-encoding.js'
import type { WireRequest } from '../wire-request.js'
import type { Directory } from './directory.js'
import { OssRefusal } from './refusal.js'

interface Endpoint {
  /** `named` is any other host under which a bucket is asked for, such as PrivateLink's. */
  readonly kind: 'public' | 'internal' | 'accelerate' | 'dual-stack' | 'cname' | 'named' | 'address'
  /** Of endpoints that belong to one. */
  readonly region: string | undefined
}

/** Which bucket and key a request is about, and by which door it came. */
export interface Place {
  readonly endpoint: Endpoint
  readonly bucket: string | undefined
  /** Empty for calls on the bucket. */
  readonly key: string
}

const accelerate = /^(?:([^.]+)\.)?oss-accelerate(?:-overseas)?\.aliyuncs\.com$/
const regional = /^(?:([^.]+)\.)?oss-([a-z0-9-]+?)(-internal)?\.aliyuncs\.com$/
const dualStack = /^(?:([^.]+)\.)?([a-z0-9-]+)\.oss\.aliyuncs\.com$/

type Addressed = Pick<Place, 'endpoint' | 'bucket'>

const vendorHost = (hostname: string): Addressed | undefined => {
  const fast = accelerate.exec(hostname)
  if (fast) return { endpoint: { kind: 'accelerate', region: undefined }, bucket: fast[1] }
  const plain = regional.exec(hostname)
  if (plain) return { endpoint: { kind: plain[3] ? 'internal' : 'public', region: plain[2] }, bucket: plain[1] }
  const dual = dualStack.exec(hostname)
  if (dual) return { endpoint: { kind: 'dual-stack', region: dual[2] }, bucket: dual[1] }
  return undefined
}

const withoutPort = (host: string): string => host.replace(/:\d+$/, '').replace(/^\[(.*)\]$/, '$1')

const byHost = (hostname: string, directory: Directory): Addressed | undefined => {
  const bound = directory.domains.find(hostname)?.bucket
  if (bound !== undefined) return { endpoint: { kind: 'cname', region: undefined }, bucket: bound }
  const vendor = vendorHost(hostname)
  if (vendor !== undefined) return vendor
  const own = isIP(hostname) !== 0 || hostname === 'localhost'
  if (own) return { endpoint: { kind: 'address', region: undefined }, bucket: undefined }
  const [first = ''] = hostname.split('.')
  return directory.find(first) && { endpoint: { kind: 'named', region: undefined }, bucket: first }
}

/** Throws where the real service would not even look at the signature. */
export const locate = (request: WireRequest, directory: Directory, pathStyle: boolean): Place => {
  const path = percentDecode(request.path.slice(1))
  if (path === undefined) throw new OssRefusal(400, 'InvalidObjectName', 'The specified object is not valid.')
  const addressed = byHost(withoutPort(request.host), directory)
  if (addressed === undefined)
    throw new OssRefusal(
      403,
      'NonStandardHostForbidden',
      'Your host is invalid. Please use Open Storage Service standard host.',
      '0003-00001402',
    )
  if (addressed.bucket !== undefined || path === '') return { ...addressed, key: path }
  if (addressed.endpoint.kind !== 'address' || !pathStyle)
    throw new OssRefusal(
      403,
      'SecondLevelDomainForbidden',
      'Please use virtual hosted style to access the bucket: put its name in front of the endpoint.',
    )
  const slash = path.indexOf('/')
  return {
    endpoint: addressed.endpoint,
    bucket: slash < 0 ? path : path.slice(0, slash),
    key: slash < 0 ? '' : path.slice(slash + 1),
  }
}
