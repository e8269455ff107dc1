import { givenKeyPair } from '../key-pair.js'
import type { CallsPerSecond } from '../pop/operation.js'
import { Domain, type DomainCertificate, type DomainOptions } from './domain.js'
import type { EdgeFunction } from './functions.js'

/** What CDN has, or DCDN: its domains, the certificates that were uploaded to it, and how it behaves. */
export class DomainStore {
  /** How long a domain is `configuring` after a change. */
  configuringMs = 0
  /** Whether the same certificate may not be uploaded again under another name. */
  refuseSameContent = false
  callsPerSecond: CallsPerSecond
  /** Whether only one function is taken in a call. */
  oneAtATime = false
  /** What the product takes of nobody, beside what is malformed. */
  refuses: ((one: Pick<EdgeFunction, 'name' | 'args'>) => boolean) | undefined
  readonly #domains = new Map<string, Domain>()
  /** By name. */
  readonly #uploads = new Map<string, DomainCertificate>()
  readonly #now: () => Date
  #nextId = 9_002_448

  constructor(now: () => Date) {
    this.#now = now
  }

  get domains(): readonly Domain[] {
    return [...this.#domains.values()]
  }

  /** The domain of exactly that name; a wildcard one is spelled `.example.com`. */
  domain(name: string): Domain | undefined {
    return this.#domains.get(name)
  }

  /** The domain that answers for a host: its own, else the wildcard one. */
  serving(host: string): Domain | undefined {
    return this.domain(host) ?? this.domain(host.slice(host.indexOf('.')))
  }

  /** Puts a domain there without a request. One of the same name is replaced. */
  add(name: string, options: DomainOptions): Domain {
    if (name.startsWith('*')) throw new Error(`a wildcard domain is spelled .example.com, not ${name}`)
    const { certificate: given, https = given !== undefined } = options
    const certificate = given && this.#given(name, given)
    if (certificate?.certType === 'upload') this.#uploads.set(certificate.certName, certificate)
    const domain = new Domain(name, this.#nextId++, options, { https, certificate }, this.#now)
    domain.functions = (options.functions ?? []).map((one) => ({ ...one, id: this.newId() }))
    this.#domains.set(name, domain)
    return domain
  }

  newId(): string {
    return String(this.#nextId++)
  }

  uploaded(certName: string): DomainCertificate | undefined {
    return this.#uploads.get(certName)
  }

  /** Whether there is an upload of the same content, whatever it is called. */
  holds({ fullchain }: Pick<DomainCertificate, 'fullchain'>): boolean {
    return [...this.#uploads.values()].some((one) => one.fullchain.trim() === fullchain.trim())
  }

  keep(certificate: Omit<DomainCertificate, 'certId'>): DomainCertificate {
    const before = this.#uploads.get(certificate.certName)
    const kept = { ...certificate, certId: before?.certId ?? String(this.#nextId++) }
    this.#uploads.set(kept.certName, kept)
    return kept
  }

  #given(name: string, pair: NonNullable<DomainOptions['certificate']>): DomainCertificate {
    return {
      certName: `cert-of-${name}`,
      certType: 'upload',
      certId: String(this.#nextId++),
      certRegion: 'cn-hangzhou',
      updated: this.#now(),
      ...pair,
      ...givenKeyPair(pair),
    }
  }
}
