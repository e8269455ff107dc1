import { isIP } from 'node:net'
import { CertError } from '../errors.js'
import { isLoopback } from '../loopback.js'

/** Where the calls for one bucket go. */
export interface OssEndpoint {
  /** Scheme, host and port; the bucket is not in it. */
  readonly url: URL
  /** Region id without `oss-`: part of every signature. */
  readonly region: string
  /** Is the host a domain that is bound to the bucket, so that the bucket's name is not put before it? */
  readonly cname: boolean
}

export interface EndpointChoice {
  readonly bucket: string
  readonly region?: string | undefined
  readonly endpoint?: string | undefined
  readonly cnameEndpoint?: boolean | undefined
  /** Which flag the endpoint was given with; `--endpoint` unless said otherwise. */
  readonly flag?: string
  /** Which flag the region would be given with; `--region` unless said otherwise. */
  readonly regionFlag?: string
}

/** @throws CertError USAGE */
export const ossEndpoint = (choice: EndpointChoice): OssEndpoint => {
  requireBucketName(choice.bucket)
  const region = choice.region === undefined ? undefined : regionId(choice.region)
  if (choice.endpoint === undefined) {
    if (choice.cnameEndpoint) {
      throw new CertError(
        'USAGE',
        '--cname-endpoint says that the endpoint is a bound domain, but there is no --endpoint',
        {
          hint: 'add --endpoint https://your.domain',
        },
      )
    }
    if (region === undefined) throw regionMissing(choice.regionFlag)
    return { url: new URL(`https://oss-${region}.aliyuncs.com`), region, cname: false }
  }
  const flag = choice.flag ?? '--endpoint'
  const url = endpointUrl(flag, choice.endpoint)
  const named = choice.cnameEndpoint ? undefined : regionOfHost(url.hostname)
  if (region !== undefined && named !== undefined && region !== named) {
    throw new CertError('USAGE', `the endpoint ${url.host} is in ${named}, not in ${region}`, {
      hint: 'leave --region out, or give the one that the bucket is in',
    })
  }
  if (!choice.cnameEndpoint && url.hostname.startsWith(`${choice.bucket}.`)) {
    throw new CertError('USAGE', `the endpoint ${url.host} begins with the name of the bucket`, {
      hint: `give it without: ${flag} ${url.protocol}//${url.host.slice(choice.bucket.length + 1)}, or add --cname-endpoint if it is a domain bound to the bucket`,
    })
  }
  const known = region ?? named
  if (known === undefined) throw regionMissing(choice.regionFlag)
  return { url, region: known, cname: choice.cnameEndpoint ?? false }
}

/**
 * An endpoint given by the user: https, or http to this machine alone. A host without a scheme is taken for https.
 * @throws CertError USAGE
 */
export const endpointUrl = (flag: string, text: string): URL => {
  // A password can hold what ends a host, so that no parser would find it: nothing of the text is repeated.
  if (text.includes('@')) {
    throw new CertError('USAGE', `${flag} has an @ in it: it takes no user name and no password`, {
      hint: `leave them out, such as ${exampleOf(flag)}; access keys come from ALIBABA_CLOUD_ACCESS_KEY_ID and ALIBABA_CLOUD_ACCESS_KEY_SECRET`,
    })
  }
  const url = parseUrl(/^[a-z][a-z0-9+.-]*:\/\//i.test(text) ? text : `https://${text}`)
  if (url === undefined || url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    throw new CertError('USAGE', `${flag} takes a scheme, a host and perhaps a port, not "${text}"`, {
      hint: `such as ${exampleOf(flag)}`,
    })
  }
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && isLoopback(url.hostname))) {
    throw new CertError('USAGE', `${flag} ${url.protocol}//${url.host} would send private keys in the clear`, {
      hint: 'use https; plain http is accepted for this machine alone (127.0.0.1, localhost)',
    })
  }
  return url
}

const exampleOf = (flag: string): string => {
  const product = /^--(cdn|dcdn|cas|sts)-endpoint$/.exec(flag)?.[1] ?? 'oss-cn-hangzhou-internal'
  return `${flag} https://${product}.aliyuncs.com`
}

const parseUrl = (text: string): URL | undefined => {
  try {
    return new URL(text)
  } catch {
    return undefined
  }
}

/** Is it a domain that is bound to the bucket, rather than an endpoint of the vendor's or something on a test bench? */
export const isBoundDomain = ({ protocol, hostname }: URL): boolean =>
  protocol === 'https:' &&
  !/(^|\.)aliyuncs\.com$/.test(hostname) &&
  !isLoopback(hostname) &&
  isIP(hostname.replace(/^\[|\]$/g, '')) === 0

/** `oss-cn-hangzhou` (as OSS spells it) and `cn-hangzhou` (as the rest of Alibaba Cloud does) are the same. */
export const regionId = (text: string): string => {
  const region = text.replace(/^oss-/, '')
  if (!/^[a-z0-9]+(-[a-z0-9]+)+$/.test(region)) {
    throw new CertError('USAGE', `"${text}" is not a region`, { hint: 'such as --region cn-hangzhou' })
  }
  return region
}

const regionMissing = (flag = '--region'): CertError =>
  new CertError('USAGE', 'the region of the bucket is not given', {
    hint: `add ${flag}, such as ${flag} cn-hangzhou; the console shows it beside the name of the bucket`,
  })

/** The region that an Alibaba Cloud endpoint's name tells: public, internal or dual-stack. */
const regionOfHost = (host: string): string | undefined => {
  const match = /^(?:oss-(?<plain>[a-z0-9-]+?)(?:-internal)?|(?<dual>[a-z0-9-]+)\.oss)\.aliyuncs\.com$/.exec(host)
  const region = match?.groups?.['plain'] ?? match?.groups?.['dual']
  return region === undefined || region.startsWith('accelerate') ? undefined : region
}

/** @throws CertError USAGE */
export const requireBucketName = (bucket: string): void => {
  if (!/^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw new CertError('USAGE', `"${bucket}" cannot be the name of a bucket`, {
      hint: 'a bucket has 3 to 63 small letters, digits and hyphens, with a letter or digit at both ends; give the name alone, without oss:// or a domain',
    })
  }
}
