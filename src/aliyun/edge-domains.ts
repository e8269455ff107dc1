import type { Secret } from '../secret.js'
import { Turns } from '../turns.js'
import { EdgeFunctions } from './edge-functions.js'
import type { Attempted } from './refusal.js'
import { isForbidden, type Json, listed, listOf, type RpcClient, textOf, vendorCode } from './rpc.js'

/** The two products that serve from edge nodes. One account's domain is of either, never of both. */
export type EdgeProduct = 'cdn' | 'dcdn'

/** What the products call the same things. */
interface Dialect {
  readonly version: string
  readonly setCertificate: string
  readonly describeCertificate: string
  readonly describeDomains: string
  readonly describeDomain: string
  /** Fields of the certificate: is HTTPS on, and the certificate as PEM. */
  readonly isOn: string
  readonly certificate: string
  /** Field of the list of domains: is HTTPS on. */
  readonly domainIsOn: string
}

const dialects: Readonly<Record<EdgeProduct, Dialect>> = {
  cdn: {
    version: '2018-05-10',
    setCertificate: 'SetCdnDomainSSLCertificate',
    describeCertificate: 'DescribeDomainCertificateInfo',
    describeDomains: 'DescribeUserDomains',
    describeDomain: 'DescribeCdnDomainDetail',
    isOn: 'ServerCertificateStatus',
    certificate: 'ServerCertificate',
    domainIsOn: 'SslProtocol',
  },
  dcdn: {
    version: '2018-01-15',
    setCertificate: 'SetDcdnDomainSSLCertificate',
    describeCertificate: 'DescribeDcdnDomainCertificateInfo',
    describeDomains: 'DescribeDcdnUserDomains',
    describeDomain: 'DescribeDcdnDomainDetail',
    isOn: 'SSLProtocol',
    certificate: 'SSLPub',
    domainIsOn: 'SSLProtocol',
  },
}

export const edgeVersion = (product: EdgeProduct): string => dialects[product].version

/** The RAM actions that the calls below take: each is called as its call. */
export const edgeActions = (product: EdgeProduct) => {
  const { setCertificate, describeCertificate, describeDomains, describeDomain } = dialects[product]
  return {
    set: `${product}:${setCertificate}`,
    look: `${product}:${describeCertificate}`,
    list: `${product}:${describeDomains}`,
    origin: `${product}:${describeDomain}`,
  }
}

export interface EdgeDomain {
  /** As the product spells it: a wildcard begins with a dot. */
  readonly domain: string
  readonly https: boolean
  /** Where it fetches from. */
  readonly origins: readonly string[]
}

/** The certificate that a domain has now. */
export interface EdgeCertificate {
  readonly https: boolean
  /** PEM; undefined where the product does not tell. */
  readonly certificate: string | undefined
  readonly name: string | undefined
  /** Where it lies in the certificate service, it can be bound again by its id; undefined where it was handed over. */
  readonly kept: { readonly id: string; readonly region: string } | undefined
}

export type EdgeUpload =
  | { readonly name: string; readonly certificate: string; readonly privateKey: Secret }
  /** One that lies in the certificate service. */
  | { readonly name: string; readonly id: string; readonly region: string }

// The most that the products give at once.
const pageSize = 500

// One that was changed a moment ago is in service as well, and takes the next change some minutes later.
const inService = ['online', 'configuring']

/** The domains of CDN or DCDN, and their certificates. */
export class EdgeDomains {
  readonly product: EdgeProduct
  readonly #client: RpcClient
  readonly #dialect: Dialect
  readonly functions: EdgeFunctions
  /** Work on one domain after other work on it: it may have been named, and found as well. */
  readonly turns = new Turns()

  constructor(product: EdgeProduct, client: RpcClient) {
    this.product = product
    this.#client = client
    this.#dialect = dialects[product]
    this.functions = new EdgeFunctions(product, client)
  }

  warmUp(count: number): void {
    this.#client.warmUp(count)
  }

  /** All domains that are in service, page by page. @throws CertError */
  async list(signal: AbortSignal): Promise<EdgeDomain[]> {
    const { describeDomains, domainIsOn } = this.#dialect
    const attempted = this.#attempt('listing the domains of', describeDomains, '*')
    const pages = listed(pageSize, async (page) => {
      const parameters = { PageNumber: page, PageSize: pageSize }
      const answer = await this.#client.call(describeDomains, parameters, attempted, signal)
      return { answer, found: listOf(answer, 'Domains', 'PageData') }
    })
    const domains: EdgeDomain[] = []
    for await (const one of pages) {
      const domain = textOf(one['DomainName'])?.toLowerCase()
      const isInService = inService.includes(textOf(one['DomainStatus'])?.toLowerCase() ?? 'online')
      const origins = contentsOf(listOf(one, 'Sources', 'Source'))
      if (domain !== undefined && isInService) domains.push({ domain, https: isOn(one[domainIsOn]), origins })
    }
    return domains
  }

  /** Undefined where looking is not permitted. @throws CertError: no such domain, among others */
  async certificate(domain: string, signal: AbortSignal): Promise<EdgeCertificate | undefined> {
    return await unlessForbidden(() => this.shownCertificate(domain, signal))
  }

  /** The same, where nothing can be done without. @throws CertError: looking is not permitted, among others */
  async shownCertificate(domain: string, signal: AbortSignal): Promise<EdgeCertificate> {
    const { describeCertificate, isOn: on, certificate } = this.#dialect
    const attempted = this.#attempt('looking at the certificate of', describeCertificate, domain)
    const answer = await this.#client.call(describeCertificate, { DomainName: domain }, attempted, signal)
    const [info = {}] = listOf(answer, 'CertInfos', 'CertInfo')
    const shown = textOf(info[certificate])
    // One that is shown is on, unless it is said to be off.
    const https = textOf(info[on]) === undefined ? shown !== undefined : isOn(info[on])
    const id = textOf(info['CertId'])
    const isKept = textOf(info['CertType'])?.toLowerCase() === 'cas'
    return {
      https,
      certificate: shown,
      name: textOf(info['CertName']),
      kept: isKept && id !== undefined ? { id, region: textOf(info['CertRegion']) ?? 'cn-hangzhou' } : undefined,
    }
  }

  /** Gives a domain a certificate, and switches its HTTPS on. @throws CertError */
  async setCertificate(domain: string, upload: EdgeUpload, signal: AbortSignal): Promise<void> {
    const { setCertificate } = this.#dialect
    const attempted = this.#attempt('setting the certificate of', setCertificate, domain)
    // Only what belongs to the kind: an empty field of the other one is refused as missing.
    const parameters =
      'id' in upload
        ? { CertType: 'cas', CertId: upload.id, CertRegion: upload.region }
        : { CertType: 'upload', SSLPub: upload.certificate, SSLPri: upload.privateKey }
    await this.#client.call(
      setCertificate,
      { DomainName: domain, SSLProtocol: 'on', CertName: upload.name, ...parameters },
      attempted,
      signal,
    )
  }

  /** Switches HTTPS off; the product keeps neither certificate nor key. @throws CertError */
  async switchOff(domain: string, signal: AbortSignal): Promise<void> {
    const { setCertificate } = this.#dialect
    const attempted = this.#attempt('switching HTTPS off for', setCertificate, domain)
    await this.#client.call(setCertificate, { DomainName: domain, SSLProtocol: 'off' }, attempted, signal)
  }

  /** All domains, or undefined where listing is not permitted. @throws CertError */
  async listIfPermitted(signal: AbortSignal): Promise<EdgeDomain[] | undefined> {
    return await unlessForbidden(() => this.list(signal))
  }

  /** Where a domain fetches from; undefined where looking is not permitted. @throws CertError */
  async origins(domain: string, signal: AbortSignal): Promise<string[] | undefined> {
    const { describeDomain } = this.#dialect
    const attempted = this.#attempt('looking at the origin of', describeDomain, domain)
    const answer = await unlessForbidden(() =>
      this.#client.call(describeDomain, { DomainName: domain }, attempted, signal),
    )
    return (
      answer &&
      contentsOf([
        ...listOf(answer, 'GetDomainDetailModel', 'SourceModels', 'SourceModel'),
        ...listOf(answer, 'DomainDetail', 'Sources', 'Source'),
      ])
    )
  }

  #attempt(verb: string, action: string, domain: string): Attempted {
    return {
      doing: `${verb} ${domain === '*' ? this.product.toUpperCase() : `the ${this.product.toUpperCase()} domain ${domain}`}`,
      action: `${this.product}:${action}`,
      // The documents name both, all domains and the whole product; this is either.
      resource: domain === '*' ? `acs:${this.product}:*:*:*` : `acs:${this.product}:*:*:domain/${domain}`,
    }
  }
}

const contentsOf = (sources: readonly Json[]): string[] =>
  sources.flatMap(({ Content }) => textOf(Content)?.toLowerCase() ?? [])

/** Undefined where the right to ask is missing. */
const unlessForbidden = async <T>(ask: () => Promise<T>): Promise<T | undefined> => {
  try {
    return await ask()
  } catch (error) {
    if (isForbidden(error)) return undefined
    throw error
  }
}

const isOn = (value: unknown): boolean => textOf(value)?.toLowerCase() === 'on'

/** Does the product hold this certificate, or another one of this name, already? */
export const isDuplicate = (error: unknown): boolean =>
  ['certificate.duplicated', 'certnamealreadyexists', 'certificatecontent.duplicated'].includes(vendorCode(error))

/** Is there no such domain in the account? */
export const isGone = (error: unknown): boolean => vendorCode(error) === 'invaliddomain.notfound'
