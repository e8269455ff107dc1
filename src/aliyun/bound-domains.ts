import { CertError } from '../errors.js'
import type { Look } from '../object-store.js'
import type { Secret } from '../secret.js'
import { Turns } from '../turns.js'
import { element, OssClient, type OssClientOptions, vendorCode } from './oss-client.js'
import type { Attempted } from './refusal.js'

/** A domain as it is bound to a bucket (ListCname). */
export interface BoundDomain {
  readonly domain: string
  /** Does OSS answer for it? */
  readonly isEnabled: boolean
  /** The certificate that OSS hosts for it; undefined where it hosts none. */
  readonly certificate: HostedCertificate | undefined
}

export interface HostedCertificate {
  /** As the certificate service calls it: `12345-cn-hangzhou`. */
  readonly id: string
  readonly isEnabled: boolean
  /** Hexadecimal, lower case, without colons. Which algorithm it is of is not documented. */
  readonly fingerprint: string | undefined
  readonly notBefore: Date | undefined
  readonly notAfter: Date | undefined
}

/** A certificate for a bound domain: handed over, or by its id in the certificate service. */
export type GivenCertificate = { readonly id: string } | { readonly certificate: string; readonly privateKey: Secret }

/** What has to stand in DNS before a domain can be bound to a bucket for the first time. */
export interface OwnershipRecord {
  /** Of type TXT. */
  readonly host: string
  readonly value: string
  readonly expires: string | undefined
}

/** What OSS asks for, on every certificate of the account, of whoever has it host one. */
export const hostingActions = [
  'yundun-cert:CreateSSLCertificate',
  'yundun-cert:DescribeSSLCertificatePrivateKey',
  'yundun-cert:DescribeSSLCertificatePublicKeyDetail',
] as const

const bindAction = `oss:PutCname and ${hostingActions.join(', ')}`

/** The domains that are bound to one bucket, and the certificates that OSS hosts for them. */
export class BoundDomains {
  /** Work on one domain after other work on it: it may have been named, and found as well. */
  readonly turns = new Turns()
  readonly #client: OssClient

  constructor(options: OssClientOptions) {
    this.#client = new OssClient(options)
  }

  warmUp(count: number): void {
    this.#client.warmUp(count, 'bucket')
  }

  /** All of them: OSS knows no paging here. Being refused to look is an answer. */
  async list(signal: AbortSignal): Promise<Look<readonly BoundDomain[]>> {
    const attempted = this.#client.attempt('listing the domains of', 'oss:ListCname')
    try {
      const { body } = await this.#client.call({ method: 'GET', query: { cname: null }, attempted }, signal)
      const found = [...body.toString('utf8').matchAll(/<Cname>([\s\S]*?)<\/Cname>/g)]
      return { status: 'found', value: found.flatMap(([, xml = '']) => readDomain(xml)) }
    } catch (error) {
      if (vendorCode(error) === 'AccessDenied') return { status: 'refused' }
      throw error
    }
  }

  /**
   * Has OSS host a certificate for a domain, and binds the domain to the bucket where it is not (PutCname).
   * @param previous the id of the one that is there: OSS refuses if it is another by now; undefined replaces whatever is
   * @throws CertError CLOUD_REFUSED, CLOUD_UNAVAILABLE, CREDENTIALS_MISSING
   */
  async put(domain: string, given: GivenCertificate, previous: string | undefined, signal: AbortSignal): Promise<void> {
    const attempted = this.#client.attempt(`hosting the certificate of ${domain} in`, bindAction)
    const certificate =
      'id' in given
        ? tag('CertId', given.id)
        : tag('Certificate', given.certificate) + tag('PrivateKey', given.privateKey.reveal())
    const condition =
      previous === undefined ? tag('Force', 'true') : tag('PreviousCertId', previous) + tag('Force', 'false')
    const body = `<CertificateConfiguration>${certificate}${condition}</CertificateConfiguration>`
    try {
      await this.#post('add', domain, body, attempted, signal)
    } catch (error) {
      throw explained(error, domain, this.#client.name)
    }
  }

  /** Has OSS host none for a domain any more, which stays bound (PutCname). @throws CertError */
  async deleteCertificate(domain: string, signal: AbortSignal): Promise<void> {
    const attempted = this.#client.attempt(`deleting the certificate of ${domain} in`, 'oss:PutCname')
    const body = `<CertificateConfiguration>${tag('DeleteCertificate', 'true')}</CertificateConfiguration>`
    await this.#post('add', domain, body, attempted, signal)
  }

  /** What proves that a domain is ours (CreateCnameToken); undefined where asking for it is not permitted. */
  async ownershipRecord(domain: string, signal: AbortSignal): Promise<OwnershipRecord | undefined> {
    const attempted = this.#client.attempt(`asking how ${domain} is bound to`, 'oss:CreateCnameToken')
    try {
      const xml = await this.#post('token', domain, '', attempted, signal)
      const value = element(xml, 'Token')
      return value === undefined
        ? undefined
        : { host: `_dnsauth.${domain}`, value, expires: element(xml, 'ExpireTime') }
    } catch (error) {
      if (error instanceof CertError && error.code === 'CLOUD_REFUSED') return undefined
      throw error
    }
  }

  async #post(
    comp: 'add' | 'token',
    domain: string,
    more: string,
    attempted: Attempted,
    signal: AbortSignal,
  ): Promise<string> {
    const xml = `<?xml version="1.0" encoding="UTF-8"?><BucketCnameConfiguration><Cname>${tag('Domain', domain)}${more}</Cname></BucketCnameConfiguration>`
    const request = {
      method: 'POST',
      query: { cname: null, comp },
      headers: { 'Content-Type': 'application/xml' },
      body: Buffer.from(xml),
      attempted,
    } as const
    return (await this.#client.call(request, signal)).body.toString('utf8')
  }
}

const readDomain = (xml: string): BoundDomain[] => {
  const [, hosted] = /<Certificate>([\s\S]*?)<\/Certificate>/.exec(xml) ?? []
  const domain = element(xml, 'Domain')
  const id = hosted === undefined ? undefined : element(hosted, 'CertId')
  return domain === undefined
    ? []
    : [
        {
          domain: domain.toLowerCase(),
          // The certificate has a status of its own.
          isEnabled: isEnabled(element(xml.replace(/<Certificate>[\s\S]*?<\/Certificate>/, ''), 'Status')),
          certificate:
            hosted === undefined || id === undefined
              ? undefined
              : {
                  id,
                  isEnabled: isEnabled(element(hosted, 'Status')),
                  fingerprint: element(hosted, 'Fingerprint')?.replaceAll(':', '').toLowerCase(),
                  notBefore: readDate(element(hosted, 'ValidStartDate')),
                  notAfter: readDate(element(hosted, 'ValidEndDate')),
                },
        },
      ]
}

const isEnabled = (status: string | undefined): boolean => status?.toLowerCase() !== 'disabled'

const readDate = (text: string | undefined): Date | undefined => {
  const date = new Date(text ?? '')
  return Number.isNaN(date.getTime()) ? undefined : date
}

const tag = (name: string, text: string): string =>
  `<${name}>${text.replace(/[&<>]/g, (character) => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;' })[character] ?? '')}</${name}>`

/** What only whoever knows the domain can say of a refusal. */
const explained = (error: unknown, domain: string, bucket: string): unknown => {
  if (!(error instanceof CertError)) return error
  const hint = hints[error.vendor?.code ?? '']?.(domain, bucket)
  // A bucket in another region is refused with the same code, and explained already.
  if (hint === undefined || /^the bucket is at /.test(error.hint ?? '')) return error
  const { code, message, vendor, passing, cause } = error
  return new CertError(code, message, { hint, vendor, passing, cause })
}

const hints: Readonly<Record<string, (domain: string, bucket: string) => string>> = {
  AccessDenied: () =>
    'grant the RAM user oss:PutCname on the bucket, and yundun-cert:CreateSSLCertificate, yundun-cert:DescribeSSLCertificatePrivateKey and yundun-cert:DescribeSSLCertificatePublicKeyDetail on *: OSS asks for these three of whoever hosts a certificate (with them the user can read the private key of every certificate in the account, so give it no more than it needs elsewhere); acme-oss policy prints all that is needed',
  CertificateInvalidCasId: () =>
    'the certificate service that this id is from is not the one that OSS reads: on the international site use --cas-endpoint https://cas.ap-southeast-1.aliyuncs.com',
  CnameAlreadyExists: (domain) =>
    `${domain} is bound to another bucket: give that one (--oss-cname BUCKET/${domain}), or take the domain away from it first`,
  CnameDenied: (domain) => `${domain} is bound to a bucket of another account: take it away there first`,
  CnameIsForbidden: () => 'OSS does not take this domain: ask its support why',
  CnameIsRisk: () => 'OSS does not take this domain: ask its support why',
  NoSuchCnameInRecord: (domain) =>
    `no ICP filing is found for ${domain}, and a bucket in mainland China takes no domain without one: file it, or use a bucket in another region`,
  NonStandardHostForbidden: () =>
    "domains are bound through the region's endpoint: add --bucket-endpoint https://oss-REGION.aliyuncs.com",
}
